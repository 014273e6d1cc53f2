/* The RA's answer to a site's request: certificates, and whom to believe. */
#include <string.h>

#include "cli/exchange.h"
#include "cli/init.h"
#include "cli/init_masa.h"
#include "cli/issuer.h"
#include "cli/pairing.h"
#include "cli/request.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"

#define OLD_CERTS_MAX 4

static int
certify(const struct folder *f, const struct request *r, enum site_key key,
    X509 **ret, struct err *e)
{
	const struct profile *p =
	    profile_find(profiles_site, site_key_names[key]);
	struct buf san AUTO_BUF = { 0 };

	if (request_san(r->csr[key], r->site, &san, e) == -1)
		return err_prefix(e, "%s", site_key_names[key]);
	*ret = issuer_issue(f, p, r->site, (char *)san.data,
	    X509_REQ_get0_pubkey(r->csr[key]), NULL, e);
	return *ret != NULL ? 0 : -1;
}

/* The services of a folder: their files, and what they answer. */
static const struct {
	const char *cert, *box, *address, *option;
	enum pairing_kind kind;
} services[] = {
	{ "service", "service-box", "address", "--address", PAIRING_CMP },
	{ "masa-service", "masa-box", "masa-address", "--masa-address",
	    PAIRING_VOUCHER },
};

static int
load_own(const struct folder *f, struct pairing *p, struct err *e)
{
	static const struct {
		enum pairing_cert cert;
		const char *name;
	} own[] = {
		{ PAIRING_ROOT, "domain-root" },
		{ PAIRING_CA, "domain-ca" },
		{ PAIRING_LINK_CA, "link-ca" },
	};
	size_t i;

	for (i = 0; i < NELEMS(own); i++)
		if ((p->cert[own[i].cert] = folder_cert(f, own[i].name, e)) ==
		    NULL)
			return -1;
	return 0;
}

/* given: by this run's options, or NULL. */
static int
set_address(const json_t *settings, size_t i, const char *given,
    struct pairing_service *s, struct err *e)
{
	const char *address = given != NULL
	    ? given
	    : json_string_value(json_object_get(settings, services[i].address));

	if (address == NULL || *address == '\0')
		return err_set(e, ERR_USAGE,
		    "no address of the service '%s' is known: give %s URL",
		    s->name, services[i].option);
	if (str_copy(s->address, sizeof(s->address), address) >=
	    sizeof(s->address))
		return err_set(e, ERR_USAGE, "%s: over %zu octets",
		    services[i].option, sizeof(s->address) - 1);
	if (address_check(s->address, e) == -1)
		return err_prefix(e, "%s", services[i].option);
	return 0;
}

static int
load_services(const struct folder *f, const struct ra_options *o,
    struct pairing *p, struct err *e)
{
	const char *const given[] = { o->address, o->masa_address };
	AUTO(json_t) settings = folder_recall(f, e);
	size_t i;

	if (settings == NULL)
		return -1;
	for (i = 0; i < NELEMS(services); i++) {
		struct pairing_service *s = &p->services[p->n_services];

		if (services[i].kind != PAIRING_CMP &&
		    !folder_has(f, services[i].cert, ".crt"))
			continue;
		p->n_services++;
		s->kinds[services[i].kind] = true;
		s->cert = folder_cert(f, services[i].cert, e);
		if (s->cert == NULL ||
		    (s->box = folder_cert(f, services[i].box, e)) == NULL ||
		    cert_service(s->cert, s->name, e) == -1 ||
		    set_address(settings, i, given[i], s, e) == -1)
			return -1;
	}
	return 0;
}

/* Also the registrar's former certificates: what they signed is still on its
 * way. */
static int
put_site(const struct folder *f, const struct pairing *p, struct err *e)
{
	struct buf pem AUTO_BUF = { 0 };
	AUTO(char) name = path_join("sites", p->site);
	AUTO(char) path = folder_path(f, name, ".pem");
	AUTO(X509S) old = NULL;
	int i;

	ossl_cert_pem(p->cert[PAIRING_REGISTRAR], &pem);
	if (folder_has(f, name, ".pem")) {
		if ((old = ossl_load_certs(path, e)) == NULL)
			return -1;
		for (i = 0; i < sk_X509_num(old) && i < OLD_CERTS_MAX; i++)
			ossl_cert_pem(sk_X509_value(old, i), &pem);
	}
	return folder_put(f, name, ".pem", 0644, buf_bytes(&pem), e);
}

/* malloc'd: SITE.pairing beside the request. */
static char *
pairing_path(const char *request, const char *site)
{
	const char *slash = strrchr(request, '/');
	struct buf b = { 0 };

	if (slash != NULL)
		buf_add(&b, request, (size_t)(slash - request) + 1);
	buf_printf(&b, "%s.pairing", site);
	buf_cstr(&b);
	return (char *)b.data;
}

static int
check_first(const struct folder *f, const struct ra_options *o,
    const struct request *r, struct err *e)
{
	AUTO(char) name = path_join("sites", r->site);

	if (o->again || !folder_has(f, name, ".pem"))
		return 0;
	return err_set(e, ERR_POLICY,
	    "site '%s' is paired already: --again makes new certificates",
	    r->site);
}

static int
make_pairing(const struct folder *f, const struct ra_options *o,
    const struct request *r, struct pairing *p, struct err *e)
{
	str_copy(p->site, sizeof(p->site), r->site);
	if (load_own(f, p, e) == -1 || load_services(f, o, p, e) == -1)
		return -1;
	if (certify(f, r, SITE_REGISTRAR, &p->cert[PAIRING_REGISTRAR], e) ==
		-1 ||
	    certify(f, r, SITE_BOX, &p->cert[PAIRING_BOX], e) == -1 ||
	    certify(f, r, SITE_LINK, &p->cert[PAIRING_LINK], e) == -1)
		return err_prefix(e, "request of %s", r->site);
	return 0;
}

static void
tell(const struct folder *f, const char *what, struct bytes text)
{
	char fp[FINGERPRINT_LEN];

	if (!f->quiet)
		printf(
		    "%s, SHA-256:\n  %s\n", what, fingerprint_format(fp, text));
}

static int
pair(const struct folder *f, const struct ra_options *o, const char *request,
    const char *out, struct err *e)
{
	struct buf in AUTO_BUF = { 0 }, text AUTO_BUF = { 0 };
	struct request r AUTO_REQUEST = { 0 };
	struct pairing p AUTO_PAIRING = { 0 };
	AUTO(char) beside = NULL;

	if (file_read(request, EXCHANGE_FILE_MAX, &in, e) == -1)
		return -1;
	tell(f, "Request (must be what the site's people read out)",
	    buf_bytes(&in));
	if (request_parse(buf_bytes(&in), &r, e) == -1)
		return err_prefix(e, "%s", request);
	beside = pairing_path(request, r.site);
	if (out == NULL)
		out = beside;
	if (check_first(f, o, &r, e) == -1 ||
	    make_pairing(f, o, &r, &p, e) == -1)
		return -1;
	pairing_format(&text, &p);
	/* The service knows the site before the site can speak. */
	if (put_site(f, &p, e) == -1 ||
	    file_write(out, 0644, buf_bytes(&text), e) == -1)
		return -1;
	folder_say(f, "%s: made", out);
	tell(f, "Pairing (read this out)", buf_bytes(&text));
	return 0;
}

int
init_ra_pair(const struct ra_options *o, const char *request, const char *out,
    struct err *e)
{
	struct folder f = { 0 };
	int rc;

	if (folder_open(&f, o->dir, o->quiet, e) == -1)
		return -1;
	rc = pair(&f, o, request, out, e);
	folder_close(&f);
	return rc;
}
