#include "cli/pairing.h"

#include <string.h>

#include <openssl/err.h>

#include "cli/exchange.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/sign.h"

#define FORMAT_PAIRING	"waybill-pairing/2"
#define N_KEYS_PAIRING	(3 + PAIRING_CERT__MAX)
#define N_KEYS_SERVICE	5
#define SERVICE_BOX_KEY "box"

const char *const pairing_kind_names[PAIRING_KIND__MAX] = { "cmp", "voucher" };

static const struct {
	const char *key;
	int issuer; /* -1: itself */
	bool ca, names_site;
} certs[PAIRING_CERT__MAX] = {
	[PAIRING_REGISTRAR] = { "registrar", PAIRING_CA, false, true },
	[PAIRING_BOX] = { "box", PAIRING_CA, false, true },
	[PAIRING_LINK] = { "link", PAIRING_LINK_CA, false, true },
	[PAIRING_ROOT] = { "domain-root", -1, true, false },
	[PAIRING_CA] = { "domain-ca", PAIRING_ROOT, true, false },
	[PAIRING_LINK_CA] = { "link-ca", -1, true, false },
};

void
pairing_done(struct pairing *p)
{
	size_t i;

	for (i = 0; i < PAIRING_CERT__MAX; i++)
		X509_free(p->cert[i]);
	for (i = 0; i < p->n_services; i++) {
		X509_free(p->services[i].cert);
		X509_free(p->services[i].box);
	}
	*p = (struct pairing){ 0 };
}

const struct pairing_service *
pairing_find(const struct pairing *p, enum pairing_kind kind)
{
	size_t i;

	for (i = 0; i < p->n_services; i++)
		if (p->services[i].kinds[kind])
			return &p->services[i];
	return NULL;
}

/* ---- writing --------------------------------------------------------- */

static json_t *
service_json(const struct pairing_service *s)
{
	json_t *j = json_object(), *kinds = json_array();
	size_t i;

	if (j == NULL || kinds == NULL)
		err_die("out of memory");
	for (i = 0; i < PAIRING_KIND__MAX; i++)
		if (s->kinds[i])
			json_array_append_new(
			    kinds, json_string(pairing_kind_names[i]));
	exchange_set_text(j, "name", s->name);
	exchange_set_text(j, "address", s->address);
	json_object_set_new(j, "kinds", kinds);
	exchange_set_cert(j, "certificate", s->cert);
	exchange_set_cert(j, SERVICE_BOX_KEY, s->box);
	return j;
}

void
pairing_format(struct buf *out, const struct pairing *p)
{
	AUTO(json_t) j = json_object();
	json_t *services = json_array();
	size_t i;

	if (j == NULL || services == NULL)
		err_die("out of memory");
	exchange_set_text(j, "format", FORMAT_PAIRING);
	exchange_set_text(j, "site", p->site);
	for (i = 0; i < p->n_services; i++)
		json_array_append_new(services, service_json(&p->services[i]));
	json_object_set_new(j, "services", services);
	for (i = 0; i < PAIRING_CERT__MAX; i++)
		exchange_set_cert(j, certs[i].key, p->cert[i]);
	json_format(out, j);
}

/* ---- whether it agrees with itself ----------------------------------- */

static bool
issued_by(X509 *x, X509 *issuer)
{
	EVP_PKEY *k = X509_get0_pubkey(issuer);
	bool yes = k != NULL && cert_is_ca(issuer) &&
	    X509_check_issued(issuer, x) == X509_V_OK && X509_verify(x, k) == 1;

	ERR_clear_error();
	return yes;
}

/* key names it in messages. */
static int
check_cert(const char *key, X509 *x, X509 *issuer, const char *issuer_key,
    bool ca, struct err *e)
{
	EVP_PKEY *k = X509_get0_pubkey(x);

	if (k == NULL || key_check(k, e) == -1)
		return err_prefix(e, "%s", key);
	if (!issued_by(x, issuer))
		return err_set(
		    e, ERR_TRUST, "%s: not issued by %s", key, issuer_key);
	if (ca != cert_is_ca(x))
		return err_set(
		    e, ERR_TRUST, "%s: %s", key, ca ? "is no CA" : "is a CA");
	return 0;
}

static int
check_name(const char *key, X509 *x,
    int (*read)(X509 *x, char ret[33], struct err *e), const char *want,
    struct err *e)
{
	char name[33];

	if (read(x, name, e) == -1)
		return err_prefix(e, "%s", key);
	if (strcmp(name, want) != 0)
		return err_set(e, ERR_TRUST, "%s: names '%s', expected '%s'",
		    key, name, want);
	return 0;
}

/* DESIGN 8a: what signs for the domain says so. */
static int
check_cmcra(const char *key, X509 *x, struct err *e)
{
	if (cert_has_cmcra(x))
		return 0;
	return err_set(e, ERR_TRUST, "%s: lacks id-kp-cmcRA", key);
}

static int
check_own(const struct pairing *p, size_t i, struct err *e)
{
	size_t issuer = certs[i].issuer == -1 ? i : (size_t)certs[i].issuer;

	if (check_cert(certs[i].key, p->cert[i], p->cert[issuer],
		certs[issuer].key, certs[i].ca, e) == -1)
		return -1;
	if (certs[i].names_site &&
	    check_name(certs[i].key, p->cert[i], cert_site, p->site, e) == -1)
		return -1;
	return i == PAIRING_REGISTRAR ? check_cmcra(certs[i].key, p->cert[i], e)
				      : 0;
}

static int
check_service(const struct pairing *p, size_t i, struct err *e)
{
	const struct pairing_service *s = &p->services[i];
	const struct {
		const char *key;
		X509 *x;
	} of[] = { { "certificate", s->cert }, { SERVICE_BOX_KEY, s->box } };
	size_t k;

	for (k = 0; k < NELEMS(of); k++)
		if (check_cert(of[k].key, of[k].x, p->cert[PAIRING_CA],
			certs[PAIRING_CA].key, false, e) == -1 ||
		    check_name(of[k].key, of[k].x, cert_service, s->name, e) ==
			-1)
			return -1;
	if (check_cmcra(of[0].key, s->cert, e) == -1)
		return -1;
	for (k = 0; k < i; k++)
		if (strcmp(p->services[k].name, s->name) == 0)
			return err_set(e, ERR_INPUT, "stands there twice");
	return 0;
}

/* Else it would not be clear who answers. */
static int
check_kinds(const struct pairing *p, struct err *e)
{
	unsigned n;
	size_t i, kind;

	for (kind = 0; kind < PAIRING_KIND__MAX; kind++) {
		for (n = 0, i = 0; i < p->n_services; i++)
			n += p->services[i].kinds[kind];
		if (n > 1)
			return err_set(e, ERR_INPUT,
			    "services: %u of them answer %s", n,
			    pairing_kind_names[kind]);
	}
	if (pairing_find(p, PAIRING_CMP) == NULL)
		return err_set(e, ERR_INPUT, "services: none answers cmp");
	return 0;
}

static int
check_pairing(const struct pairing *p, struct err *e)
{
	size_t i;

	for (i = 0; i < PAIRING_CERT__MAX; i++)
		if (check_own(p, i, e) == -1)
			return -1;
	for (i = 0; i < p->n_services; i++)
		if (check_service(p, i, e) == -1)
			return err_prefix(e, "service %s", p->services[i].name);
	return check_kinds(p, e);
}

/* ---- reading --------------------------------------------------------- */

static int
read_kind(const json_t *item, struct pairing_service *s, struct err *e)
{
	const char *name = json_string_value(item);
	size_t i;

	for (i = 0; i < PAIRING_KIND__MAX; i++) {
		if (name == NULL || strcmp(name, pairing_kind_names[i]) != 0)
			continue;
		s->kinds[i] = true;
		return 0;
	}
	return err_set(e, ERR_INPUT, "kinds: '%s' is none",
	    name != NULL ? name : "not a text");
}

static int
read_kinds(const json_t *list, struct pairing_service *s, struct err *e)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > PAIRING_KIND__MAX)
		return err_set(e, ERR_INPUT, "kinds: a list of 1 to %d names",
		    PAIRING_KIND__MAX);
	json_array_foreach(
	    list, i, item) if (read_kind(item, s, e) == -1) return -1;
	return 0;
}

/* s is the pairing's already, so what is read is freed with it. */
static int
read_service(const json_t *j, struct pairing_service *s, struct err *e)
{
	const char *address;

	if (json_object_size(j) != N_KEYS_SERVICE)
		return err_set(e, ERR_INPUT, "%zu keys, expected %d",
		    json_object_size(j), N_KEYS_SERVICE);
	if (exchange_name(j, "name", s->name, e) == -1)
		return -1;
	address = exchange_text(j, "address", sizeof(s->address) - 1, e);
	if (address == NULL || address_check(address, e) == -1 ||
	    read_kinds(json_object_get(j, "kinds"), s, e) == -1 ||
	    (s->cert = exchange_cert(j, "certificate", e)) == NULL ||
	    (s->box = exchange_cert(j, SERVICE_BOX_KEY, e)) == NULL)
		return err_prefix(e, "%s", s->name);
	str_copy(s->address, sizeof(s->address), address);
	return 0;
}

static int
read_services(const json_t *list, struct pairing *p, struct err *e)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > PAIRING_SERVICES_MAX)
		return err_set(e, ERR_INPUT, "services: a list of 1 to %d",
		    PAIRING_SERVICES_MAX);
	json_array_foreach(list, i, item)
	{
		p->n_services = i + 1;
		if (read_service(item, &p->services[i], e) == -1)
			return err_prefix(e, "service");
	}
	return 0;
}

static int
read_certs(const json_t *j, struct pairing *p, struct err *e)
{
	size_t i;

	for (i = 0; i < PAIRING_CERT__MAX; i++)
		if ((p->cert[i] = exchange_cert(j, certs[i].key, e)) == NULL)
			return -1;
	return 0;
}

int
pairing_parse(struct bytes text, struct pairing *ret, struct err *e)
{
	struct pairing p AUTO_PAIRING = { 0 };
	AUTO(json_t) j =
	    exchange_object(text, FORMAT_PAIRING, N_KEYS_PAIRING, e);

	if (j == NULL || exchange_name(j, "site", p.site, e) == -1)
		return err_prefix(e, "pairing");
	if (read_services(json_object_get(j, "services"), &p, e) == -1 ||
	    read_certs(j, &p, e) == -1 || check_pairing(&p, e) == -1)
		return err_prefix(e, "pairing of %s", p.site);
	*ret = p;
	p = (struct pairing){ 0 };
	return 0;
}

int
address_check(const char *url, struct err *e)
{
	static const char tls[] = "tls+tcp://", ipc[] = "ipc:///";
	char host[64], port[6];

	if (str_starts(url, ipc) && url[strlen(ipc)] != '\0')
		return 0;
	if (!str_starts(url, tls))
		return err_set(e, ERR_USAGE,
		    "'%s': tls+tcp://HOST:PORT or ipc:///PATH expected", url);
	return hostport_parse(url + strlen(tls), host, port, e);
}
