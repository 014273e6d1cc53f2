#include "cli/request.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/pem.h>

#include "cli/exchange.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"

#define FORMAT_REQUEST "waybill-request/1"

const char *const site_key_names[SITE_KEY__MAX] = { "registrar", "box",
	"link" };

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

static X509_REQ *
csr_of(const json_t *j, const char *key, struct err *e)
{
	struct buf der AUTO_BUF = { 0 };
	AUTO(X509_REQ) r = NULL;
	const uint8_t *p;
	EVP_PKEY *k;

	if (exchange_pem(j, key, PEM_STRING_X509_REQ, &der, e) == -1)
		return NULL;
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
	exchange_set_text(j, "format", FORMAT_REQUEST);
	exchange_set_text(j, "site", r->site);
	for (i = 0; i < SITE_KEY__MAX; i++) {
		struct buf pem AUTO_BUF = { 0 };

		ossl_req_pem(r->csr[i], &pem);
		exchange_set_text(j, site_key_names[i], buf_cstr(&pem));
	}
	json_format(out, j);
}

int
request_parse(struct bytes text, struct request *ret, struct err *e)
{
	struct request r AUTO_REQUEST = { 0 };
	AUTO(json_t) j =
	    exchange_object(text, FORMAT_REQUEST, 2 + SITE_KEY__MAX, e);
	size_t i;

	if (j == NULL || exchange_name(j, "site", r.site, e) == -1)
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
	if (sk_GENERAL_NAME_num(names) > REQUEST_SAN_MAX)
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
