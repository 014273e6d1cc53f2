#include "cli/pairing.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/base/json.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"

#define PEM_MAX	       ((size_t)16 * 1024)
#define FORMAT_REQUEST "waybill-request/1"
#define FORMAT_PAIRING "waybill-pairing/1"

const char *const site_key_names[SITE_KEY__MAX] = { "registrar", "box",
	"link" };

static const struct {
	const char *key;
	int issuer; /* -1: itself */
	bool ca;
	/* What it must say of whom: */
	int (*name)(X509 *x, char ret[33], struct err *e);
} certs[PAIRING_CERT__MAX] = {
	[PAIRING_REGISTRAR] = { "registrar", PAIRING_CA, false, cert_site },
	[PAIRING_BOX] = { "box", PAIRING_CA, false, cert_site },
	[PAIRING_LINK] = { "link", PAIRING_LINK_CA, false, cert_site },
	[PAIRING_ROOT] = { "domain-root", -1, true, NULL },
	[PAIRING_CA] = { "domain-ca", PAIRING_ROOT, true, NULL },
	[PAIRING_LINK_CA] = { "link-ca", -1, true, NULL },
	[PAIRING_SERVICE] = { "service", PAIRING_CA, false, cert_service },
	[PAIRING_SERVICE_BOX] = { "service-box", PAIRING_CA, false,
	    cert_service },
};

AUTO_DEFINE(GENERAL_NAMES, GENERAL_NAMES, GENERAL_NAMES_free);

static inline void
exts_free(STACK_OF(X509_EXTENSION) * s)
{
	sk_X509_EXTENSION_pop_free(s, X509_EXTENSION_free);
}
AUTO_DEFINE(EXTS, STACK_OF(X509_EXTENSION), exts_free);

void
request_done(struct request *r)
{
	size_t i;

	for (i = 0; i < SITE_KEY__MAX; i++)
		X509_REQ_free(r->csr[i]);
	*r = (struct request){ 0 };
}

void
pairing_done(struct pairing *p)
{
	size_t i;

	for (i = 0; i < PAIRING_CERT__MAX; i++)
		X509_free(p->cert[i]);
	*p = (struct pairing){ 0 };
}

/* An object of texts with exactly these keys, or NULL. */
static const char *
text_of(const json_t *j, const char *key, size_t max, struct err *e)
{
	const json_t *v = json_object_get(j, key);
	const char *s = json_string_value(v);

	if (s == NULL || json_string_length(v) > max ||
	    strlen(s) != json_string_length(v)) {
		err_set(e, ERR_INPUT,
		    "%s: a text of at most %zu octets is missing", key, max);
		return NULL;
	}
	return s;
}

static json_t *
object_of(struct bytes text, const char *format, size_t n_keys, struct err *e)
{
	AUTO(json_t) j = json_parse(text, PAIRING_FILE_MAX, e);
	const char *got;

	if (j == NULL)
		return NULL;
	if ((got = text_of(j, "format", 64, e)) == NULL)
		return NULL;
	if (strcmp(got, format) != 0) {
		err_set(
		    e, ERR_INPUT, "format: '%s', expected '%s'", got, format);
		return NULL;
	}
	/* All keys are asked for by name, so a surplus is an unknown one. */
	if (json_object_size(j) != n_keys) {
		err_set(e, ERR_INPUT, "%zu keys, expected %zu",
		    json_object_size(j), n_keys);
		return NULL;
	}
	return STEAL(j);
}

static int
name_of(const json_t *j, const char *key, char ret[33], struct err *e)
{
	const char *s = text_of(j, key, 32, e);

	if (s == NULL)
		return -1;
	if (!name_valid(s))
		return err_set(e, ERR_INPUT, "%s: '%s' is no name", key, s);
	str_copy(ret, 33, s);
	return 0;
}

static void
set_text(json_t *j, const char *key, const char *value)
{
	if (json_object_set_new(j, key, json_string(value)) == -1)
		err_die("out of memory");
}

/* The DER of the one PEM block with this label that a text holds. */
static int
one_block(const char *pem, const char *label, struct buf *ret, struct err *e)
{
	AUTO(BIO) in = BIO_new_mem_buf(pem, -1);
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	long len = 0;
	int rc = 0;

	if (in == NULL)
		err_die("out of memory");
	/* PEM_read_bio would pass over anything that stands before. */
	if (!str_starts(pem, "-----BEGIN ") ||
	    PEM_read_bio(in, &name, &header, &der, &len) != 1)
		rc = err_ossl(e, ERR_INPUT, "not PEM");
	else if (strcmp(name, label) != 0)
		rc = err_set(e, ERR_INPUT, "%s, expected %s", name, label);
	else if (BIO_pending(in) != 0)
		rc = err_set(e, ERR_INPUT, "more than one PEM block");
	else
		buf_add(ret, der, (size_t)len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	return rc;
}

static X509_REQ *
csr_of(const json_t *j, const char *key, struct err *e)
{
	const char *pem = text_of(j, key, PEM_MAX, e);
	struct buf der AUTO_BUF = { 0 };
	AUTO(X509_REQ) r = NULL;
	const uint8_t *p;
	EVP_PKEY *k;

	if (pem == NULL)
		return NULL;
	if (one_block(pem, PEM_STRING_X509_REQ, &der, e) == -1) {
		err_prefix(e, "%s", key);
		return NULL;
	}
	p = der.data;
	r = d2i_X509_REQ(NULL, &p, (long)der.len);
	if (r == NULL || p != der.data + der.len) {
		err_ossl(e, ERR_INPUT, "%s: not a CSR", key);
		return NULL;
	}
	if ((k = X509_REQ_get0_pubkey(r)) == NULL || key_check(k, e) == -1) {
		err_prefix(e, "%s", key);
		return NULL;
	}
	if (X509_REQ_verify(r, k) != 1) {
		err_ossl(e, ERR_TRUST, "%s: CSR is not signed by its key", key);
		return NULL;
	}
	return STEAL(r);
}

/* One key for two uses would make the weaker holder the stronger's equal. */
static int
check_distinct(const struct request *r, struct err *e)
{
	size_t i, k;

	for (i = 0; i < SITE_KEY__MAX; i++)
		for (k = 0; k < i; k++)
			if (EVP_PKEY_eq(X509_REQ_get0_pubkey(r->csr[i]),
				X509_REQ_get0_pubkey(r->csr[k])) == 1)
				return err_set(e, ERR_TRUST,
				    "%s and %s are the same key",
				    site_key_names[k], site_key_names[i]);
	return 0;
}

void
request_format(struct buf *out, const struct request *r)
{
	AUTO(json_t) j = json_object();
	size_t i;

	if (j == NULL)
		err_die("out of memory");
	set_text(j, "format", FORMAT_REQUEST);
	set_text(j, "site", r->site);
	for (i = 0; i < SITE_KEY__MAX; i++) {
		struct buf pem AUTO_BUF = { 0 };

		ossl_req_pem(r->csr[i], &pem);
		set_text(j, site_key_names[i], buf_cstr(&pem));
	}
	json_format(out, j);
}

int
request_parse(struct bytes text, struct request *ret, struct err *e)
{
	struct request r AUTO_REQUEST = { 0 };
	AUTO(json_t) j = object_of(text, FORMAT_REQUEST, 2 + SITE_KEY__MAX, e);
	size_t i;

	if (j == NULL || name_of(j, "site", r.site, e) == -1)
		return err_prefix(e, "request");
	for (i = 0; i < SITE_KEY__MAX; i++) {
		r.csr[i] = csr_of(j, site_key_names[i], e);
		if (r.csr[i] == NULL)
			return err_prefix(e, "request of %s", r.site);
	}
	if (check_distinct(&r, e) == -1)
		return err_prefix(e, "request of %s", r.site);
	*ret = r;
	r = (struct request){ 0 };
	return 0;
}

static int
add_ip(const ASN1_OCTET_STRING *ip, struct buf *out, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	int n = ASN1_STRING_length(ip);

	if ((n != 4 && n != 16) ||
	    inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip),
		text, sizeof(text)) == NULL)
		return err_set(e, ERR_INPUT, "iPAddress of %d octets", n);
	buf_printf(out, ",IP:%s", text);
	return 0;
}

static int
add_dns(const ASN1_IA5STRING *s, struct buf *out, struct err *e)
{
	struct buf name AUTO_BUF = { 0 };
	const char *text;

	buf_add(&name, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	text = buf_cstr(&name);
	/* Also refuses octets 0 and commas, which would mean more names. */
	if (strlen(text) != name.len || !issue_host_valid(text))
		return err_set(e, ERR_INPUT, "dNSName '%s'", text);
	buf_printf(out, ",DNS:%s", text);
	return 0;
}

static bool
is_text(const ASN1_STRING *s, const char *text)
{
	return (size_t)ASN1_STRING_length(s) == strlen(text) &&
	    memcmp(ASN1_STRING_get0_data(s), text, strlen(text)) == 0;
}

/* Appends what one name asks for; *uris counts the site's own. */
static int
add_name(const GENERAL_NAME *n, const char *uri, unsigned *uris,
    struct buf *out, struct err *e)
{
	if (n->type == GEN_DNS)
		return add_dns(n->d.dNSName, out, e);
	if (n->type == GEN_IPADD)
		return add_ip(n->d.iPAddress, out, e);
	if (n->type != GEN_URI || !is_text(n->d.uniformResourceIdentifier, uri))
		return err_set(e, ERR_TRUST, "a name that is not %s", uri);
	(*uris)++;
	return 0;
}

static GENERAL_NAMES *
names_of(X509_REQ *csr)
{
	AUTO(EXTS) exts = X509_REQ_get_extensions(csr);

	return X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
}

int
request_san(X509_REQ *csr, const char *site, struct buf *ret, struct err *e)
{
	AUTO(GENERAL_NAMES) names = names_of(csr);
	struct buf out AUTO_BUF = { 0 };
	char uri[64];
	unsigned uris = 0;
	int i;

	snprintf(uri, sizeof(uri), "urn:waybill:site:%s", site);
	buf_printf(&out, "URI:%s", uri);
	if (sk_GENERAL_NAME_num(names) > PAIRING_SAN_MAX)
		return err_set(e, ERR_INPUT, "subjectAltName: %d names",
		    sk_GENERAL_NAME_num(names));
	for (i = 0; i < sk_GENERAL_NAME_num(names); i++)
		if (add_name(sk_GENERAL_NAME_value(names, i), uri, &uris, &out,
			e) == -1)
			return err_prefix(e, "subjectAltName");
	if (uris != 1)
		return err_set(e, ERR_TRUST,
		    "subjectAltName: %s stands there %u times", uri, uris);
	buf_add(ret, out.data, out.len);
	buf_cstr(ret);
	return 0;
}

void
pairing_format(struct buf *out, const struct pairing *p)
{
	AUTO(json_t) j = json_object();
	size_t i;

	if (j == NULL)
		err_die("out of memory");
	set_text(j, "format", FORMAT_PAIRING);
	set_text(j, "site", p->site);
	set_text(j, "service-name", p->service);
	set_text(j, "address", p->address);
	for (i = 0; i < PAIRING_CERT__MAX; i++) {
		struct buf pem AUTO_BUF = { 0 };

		ossl_cert_pem(p->cert[i], &pem);
		set_text(j, certs[i].key, buf_cstr(&pem));
	}
	json_format(out, j);
}

static X509 *
cert_of(const json_t *j, const char *key, struct err *e)
{
	const char *pem = text_of(j, key, PEM_MAX, e);
	struct buf der AUTO_BUF = { 0 };
	X509 *x;

	if (pem == NULL)
		return NULL;
	if (one_block(pem, PEM_STRING_X509, &der, e) == -1 ||
	    (x = ossl_cert_parse(buf_bytes(&der), e)) == NULL) {
		err_prefix(e, "%s", key);
		return NULL;
	}
	return x;
}

static bool
issued_by(X509 *x, X509 *issuer)
{
	EVP_PKEY *k = X509_get0_pubkey(issuer);
	bool yes = k != NULL && cert_is_ca(issuer) &&
	    X509_check_issued(issuer, x) == X509_V_OK && X509_verify(x, k) == 1;

	ERR_clear_error();
	return yes;
}

static int
check_cert(const struct pairing *p, size_t i, struct err *e)
{
	X509 *x = p->cert[i];
	int issuer = certs[i].issuer == -1 ? (int)i : certs[i].issuer;
	const char *want = certs[i].name == cert_site ? p->site : p->service;
	char name[33];

	if (X509_get0_pubkey(x) == NULL ||
	    key_check(X509_get0_pubkey(x), e) == -1)
		return err_prefix(e, "%s", certs[i].key);
	if (!issued_by(x, p->cert[issuer]))
		return err_set(e, ERR_TRUST, "%s: not issued by %s",
		    certs[i].key, certs[issuer].key);
	if (certs[i].ca != cert_is_ca(x))
		return err_set(e, ERR_TRUST, "%s: %s", certs[i].key,
		    certs[i].ca ? "is no CA" : "is a CA");
	if (certs[i].name == NULL)
		return 0;
	if (certs[i].name(x, name, e) == -1)
		return err_prefix(e, "%s", certs[i].key);
	if (strcmp(name, want) != 0)
		return err_set(e, ERR_TRUST, "%s: names '%s', expected '%s'",
		    certs[i].key, name, want);
	return 0;
}

static int
check_pairing(const struct pairing *p, struct err *e)
{
	size_t i;

	for (i = 0; i < PAIRING_CERT__MAX; i++)
		if (check_cert(p, i, e) == -1)
			return -1;
	/* DESIGN 8a: what signs for the domain says so. */
	if (!cert_has_cmcra(p->cert[PAIRING_REGISTRAR]) ||
	    !cert_has_cmcra(p->cert[PAIRING_SERVICE]))
		return err_set(
		    e, ERR_TRUST, "registrar or service: lacks id-kp-cmcRA");
	return 0;
}

int
pairing_parse(struct bytes text, struct pairing *ret, struct err *e)
{
	struct pairing p AUTO_PAIRING = { 0 };
	AUTO(json_t) j =
	    object_of(text, FORMAT_PAIRING, 4 + PAIRING_CERT__MAX, e);
	const char *address;
	size_t i;

	if (j == NULL || name_of(j, "site", p.site, e) == -1 ||
	    name_of(j, "service-name", p.service, e) == -1 ||
	    (address = text_of(j, "address", sizeof(p.address) - 1, e)) ==
		NULL ||
	    address_check(address, e) == -1)
		return err_prefix(e, "pairing");
	str_copy(p.address, sizeof(p.address), address);
	for (i = 0; i < PAIRING_CERT__MAX; i++)
		if ((p.cert[i] = cert_of(j, certs[i].key, e)) == NULL)
			return err_prefix(e, "pairing of %s", p.site);
	if (check_pairing(&p, e) == -1)
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
