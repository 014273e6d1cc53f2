/* The off-site side: a domain's CA, a service's keys, and the certificates
 * that a site gets when it is paired. */
#include <string.h>

#include "cli/init.h"
#include "cli/pairing.h"
#include "cli/profile.h"
#include "cli/yaml.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"

#define LISTEN_DEFAULT "tls+tcp://0.0.0.0:5740"
#define OLD_CERTS_MAX  4

/* ---- keys and certificates ------------------------------------------- */

/* Loads NAME.crt and NAME.key of an issuer. */
static int
load_issuer(const struct folder *f, const char *name, X509 **ret_cert,
    EVP_PKEY **ret_key, struct err *e)
{
	AUTO(char) path = folder_path(f, name, ".key");
	AUTO(EVP_PKEY) key = ossl_load_key(path, e);
	X509 *x;

	if (key == NULL || (x = folder_cert(f, name, e)) == NULL)
		return -1;
	*ret_cert = x;
	*ret_key = STEAL(key);
	return 0;
}

/* Issues by a profile under the folder's CA of that name. */
static X509 *
issue(const struct folder *f, const struct profile *p, const char *who,
    const char *san, EVP_PKEY *pubkey, EVP_PKEY *own_key, struct err *e)
{
	AUTO(X509) issuer = NULL;
	AUTO(EVP_PKEY) key = NULL;

	if (p->issuer == NULL)
		return profile_issue(p, who, san, pubkey, NULL, own_key, e);
	if (load_issuer(f, p->issuer, &issuer, &key, e) == -1)
		return NULL;
	return profile_issue(p, who, san, pubkey, issuer, key, e);
}

/* PEM of a certificate, and of its issuer if its file goes on with it. */
static int
chain_pem(const struct folder *f, const struct profile *p, X509 *x,
    struct buf *out, struct err *e)
{
	AUTO(X509) issuer = NULL;

	ossl_cert_pem(x, out);
	if (!p->chain)
		return 0;
	if ((issuer = folder_cert(f, p->issuer, e)) == NULL)
		return -1;
	ossl_cert_pem(issuer, out);
	return 0;
}

static int
make_cert(const struct folder *f, const struct profile *p,
    const struct ra_options *o, struct err *e)
{
	struct buf san AUTO_BUF = { 0 }, pem AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = NULL;
	AUTO(X509) x = NULL;

	if (p->ca && folder_has(f, p->name, ".crt") &&
	    !folder_has(f, p->name, ".key")) {
		folder_say(f, "%s.crt: kept, its key is elsewhere", p->name);
		return 0;
	}
	if ((key = folder_key(f, p->name, e)) == NULL)
		return -1;
	if (folder_has(f, p->name, ".crt")) {
		folder_say(f, "%s.crt: there already, kept", p->name);
		return 0;
	}
	if (!p->ca &&
	    profile_san(&san, "service", o->name, o->hosts.v,
		p->hosts ? o->hosts.n : 0, e) == -1)
		return -1;
	x = issue(f, p, o->name, p->ca ? NULL : (char *)san.data, key, key, e);
	if (x == NULL || chain_pem(f, p, x, &pem, e) == -1)
		return -1;
	return folder_put(f, p->name, ".crt", 0644, buf_bytes(&pem), e);
}

static int
make_certs(const struct folder *f, const struct ra_options *o, struct err *e)
{
	const struct profile *p;

	for (p = profiles_ra; p->name != NULL; p++)
		if (make_cert(f, p, o, e) == -1)
			return -1;
	return 0;
}

/* ---- configuration --------------------------------------------------- */

/* "tls+tcp://HOST:PORT" of the first host and the first port listened on, or
 * NULL. */
static char *
guess_address(const struct ra_options *o)
{
	const char *url = o->listens.n > 0 ? o->listens.v[0] : LISTEN_DEFAULT;
	const char *port = strrchr(url, ':');
	struct buf b = { 0 };
	bool v6;

	if (!str_starts(url, "tls+tcp://"))
		return xstrdup(url);
	if (o->hosts.n == 0)
		return NULL;
	v6 = strchr(o->hosts.v[0], ':') != NULL;
	buf_printf(&b, "tls+tcp://%s%s%s%s", v6 ? "[" : "", o->hosts.v[0],
	    v6 ? "]" : "", port);
	buf_cstr(&b);
	return (char *)b.data;
}

static int
remember(const struct folder *f, const struct ra_options *o, struct err *e)
{
	AUTO(char) guess = guess_address(o);
	const char *address = o->address != NULL ? o->address : guess;
	AUTO(json_t) j = json_pack("{s:s, s:s, s:s}", "role", "ra", "name",
	    o->name, "address", address != NULL ? address : "");

	if (j == NULL)
		return err_set(e, ERR_USAGE, "--address: not UTF-8");
	return folder_remember(f, j, e);
}

static void
listen_yaml(struct buf *out, const struct ra_options *o)
{
	AUTO(json_t) j = json_array();
	size_t i;

	if (o->listens.n == 0)
		json_array_append_new(j, json_string(LISTEN_DEFAULT));
	for (i = 0; i < o->listens.n; i++)
		json_array_append_new(j, json_string(o->listens.v[i]));
	yaml_list(out, "listen", j);
}

static void
ca_yaml(struct buf *out, const struct folder *f, const struct ra_options *o)
{
	buf_add_str(out, "\nca:\n  kind: local\n");
	yaml_file(out, 1, "key", f, "domain-ca.key");
	yaml_file(out, 1, "certificate", f, "domain-ca.crt");
	buf_add_str(out, "  lifetime: 365d\n");
	if (o->organization != NULL)
		yaml_text(out, 1, "organization", o->organization);
}

static int
ra_yaml(struct buf *out, const struct folder *f, const struct ra_options *o,
    struct err *e)
{
	buf_printf(
	    out, "# waybill-ra: made by waybill init ra\nname: %s\n", o->name);
	listen_yaml(out, o);
	yaml_file(out, 0, "key", f, "service.key");
	yaml_file(out, 0, "certificate", f, "service.crt");
	yaml_file(out, 0, "domain-ca", f, "domain-root.crt");
	yaml_file(out, 0, "sites", f, "sites");
	buf_add_str(out, "\nlink:\n");
	yaml_file(out, 1, "key", f, "link.key");
	yaml_file(out, 1, "certificate", f, "link.crt");
	yaml_file(out, 1, "ca", f, "link-ca.crt");
	buf_add_str(out, "\n# makers whose devices may join\n");
	if (yaml_vendors(out, f, e) == -1)
		return -1;
	buf_add_str(out, "\nstore:\n");
	yaml_file(out, 1, "directory", f, "store");
	buf_printf(out, "  map-size: %s\n", o->map_size);
	yaml_file(out, 1, "seal", f, "seal.key");
	ca_yaml(out, f, o);
	buf_add_str(out, "\ncontrol:\n");
	yaml_file(out, 1, "socket", f, "control.sock");
	return 0;
}

static int
make_conf(const struct folder *f, const struct ra_options *o, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };

	if (ra_yaml(&text, f, o, e) == -1)
		return -1;
	return folder_put_new(f, "ra", ".yaml", 0600, buf_bytes(&text), e);
}

/* ---- init ------------------------------------------------------------ */

static int
check_options(const struct folder *f, const struct ra_options *o, struct err *e)
{
	struct buf san AUTO_BUF = { 0 };
	uint64_t size;
	size_t i;

	/* All before the first file: what is made is kept by later runs. */
	if (!name_valid(o->name))
		return err_set(e, ERR_USAGE,
		    "--name %s: a name is a-z, 0-9 and '-'", o->name);
	if (profile_san(&san, "service", o->name, o->hosts.v, o->hosts.n, e) ==
	    -1)
		return -1;
	if (size_parse(o->map_size, &size, e) == -1)
		return err_prefix(e, "--map-size");
	for (i = 0; i < o->listens.n; i++)
		if (address_check(o->listens.v[i], e) == -1)
			return err_prefix(e, "--listen");
	if (o->address != NULL && address_check(o->address, e) == -1)
		return err_prefix(e, "--address");
	return folder_check_socket(f, "control.sock", e);
}

/* A second run under another name would mix two services in one folder. */
static int
check_same(const struct folder *f, const struct ra_options *o, struct err *e)
{
	AUTO(X509) x = NULL;
	char name[33];

	if (!folder_has(f, "service", ".crt"))
		return 0;
	if ((x = folder_cert(f, "service", e)) == NULL ||
	    cert_service(x, name, e) == -1)
		return -1;
	if (strcmp(name, o->name) != 0)
		return err_set(e, ERR_USAGE,
		    "%s holds the service '%s', not '%s'", f->dir, name,
		    o->name);
	return 0;
}

static int
tell_root(const struct folder *f, struct err *e)
{
	AUTO(X509) root = folder_cert(f, "domain-root", e);
	char fp[FINGERPRINT_LEN];

	if (root == NULL)
		return -1;
	if (f->quiet)
		return 0;
	printf("Domain root, SHA-256:\n  %s\n", fingerprint_cert(fp, root));
	printf("Take domain-root.key and link-ca.key off this machine when all "
	       "sites are paired.\n");
	return 0;
}

static int
fill(struct folder *f, const struct ra_options *o, struct err *e)
{
	AUTO(char) sites = folder_path(f, "sites", "");
	AUTO(char) store = folder_path(f, "store", "");
	size_t i;

	if (check_options(f, o, e) == -1 || check_same(f, o, e) == -1 ||
	    make_certs(f, o, e) == -1 || folder_seal(f, e) == -1 ||
	    file_mkdirs(sites, 0700, e) == -1 ||
	    file_mkdirs(store, 0700, e) == -1)
		return -1;
	for (i = 0; i < o->vendors.n; i++)
		if (folder_vendor(f, o->vendors.v[i], e) == -1)
			return -1;
	if (remember(f, o, e) == -1 || make_conf(f, o, e) == -1)
		return -1;
	return tell_root(f, e);
}

int
init_ra(const struct ra_options *o, struct err *e)
{
	struct folder f = { 0 };
	int rc;

	if (folder_open(&f, o->dir, o->quiet, e) == -1)
		return -1;
	rc = fill(&f, o, e);
	folder_close(&f);
	return rc;
}

/* ---- pairing --------------------------------------------------------- */

static int
certify(const struct folder *f, const struct request *r, enum site_key key,
    X509 **ret, struct err *e)
{
	const struct profile *p =
	    profile_find(profiles_site, site_key_names[key]);
	struct buf san AUTO_BUF = { 0 };

	if (request_san(r->csr[key], r->site, &san, e) == -1)
		return err_prefix(e, "%s", site_key_names[key]);
	*ret = issue(f, p, r->site, (char *)san.data,
	    X509_REQ_get0_pubkey(r->csr[key]), NULL, e);
	return *ret != NULL ? 0 : -1;
}

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
		{ PAIRING_SERVICE, "service" },
		{ PAIRING_SERVICE_BOX, "service-box" },
	};
	size_t i;

	for (i = 0; i < NELEMS(own); i++)
		if ((p->cert[own[i].cert] = folder_cert(f, own[i].name, e)) ==
		    NULL)
			return -1;
	return cert_service(p->cert[PAIRING_SERVICE], p->service, e);
}

static int
set_address(
    const struct folder *f, const char *given, struct pairing *p, struct err *e)
{
	AUTO(json_t) j = folder_recall(f, e);
	const char *address;

	if (j == NULL)
		return -1;
	address = given != NULL
	    ? given
	    : json_string_value(json_object_get(j, "address"));
	if (address == NULL || *address == '\0')
		return err_set(e, ERR_USAGE,
		    "no address of this RA is known: give --address URL");
	if (str_copy(p->address, sizeof(p->address), address) >=
	    sizeof(p->address))
		return err_set(e, ERR_USAGE, "--address: over %zu octets",
		    sizeof(p->address) - 1);
	return address_check(p->address, e);
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
	if (load_own(f, p, e) == -1 || set_address(f, o->address, p, e) == -1)
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

	if (file_read(request, PAIRING_FILE_MAX, &in, e) == -1)
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
