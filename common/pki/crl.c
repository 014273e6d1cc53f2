#include "common/pki/crl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/pki/certfacts.h"
#include "common/pki/cmp_msg.h"
#include "common/pki/sign.h"

#define DER_ENUMERATED 0x0a
#define CRL_FILE_MAX   LIMIT_CRL_FILE

AUTO_DEFINE(ASN1_TIME, ASN1_TIME, ASN1_TIME_free);

/* ---- making ------------------------------------------------------------ */

/* UTCTime before 2050, GeneralizedTime from then on (RFC 5280 5.1.2.4). */
static void
add_time(struct buf *out, uint64_t seconds)
{
	AUTO(ASN1_TIME) t = ASN1_TIME_set(NULL, (time_t)seconds);
	uint8_t *p;
	int len;

	if (t == NULL || (len = i2d_ASN1_TIME(t, NULL)) <= 0)
		err_die("out of memory");
	p = buf_grow(out, (size_t)len);
	i2d_ASN1_TIME(t, &p);
}

/* Turns what was written since `at` into the extension id-ce n. */
static void
close_extension(struct buf *out, size_t at, uint8_t n)
{
	const uint8_t oid[] = { 0x55, 0x1d, n };
	struct buf value AUTO_BUF = { 0 };

	der_close(out, at, DER_OCTETS);
	buf_add(&value, out->data + at, out->len - at);
	out->len = at;
	der_add(out, DER_OID, bytes_of(oid, sizeof(oid)));
	buf_add(out, value.data, value.len);
	der_close(out, at, DER_SEQ);
}

static void
add_entry(struct buf *out, const struct crl_entry *en)
{
	uint8_t reason = (uint8_t)en->reason;
	size_t at = out->len, extensions;

	der_add(out, DER_INTEGER, en->serial);
	add_time(out, en->when);
	if (en->reason != 0) {
		extensions = out->len;
		der_add(out, DER_ENUMERATED, bytes_of(&reason, 1));
		close_extension(out, extensions, 21);
		der_close(out, extensions, DER_SEQ);
	}
	der_close(out, at, DER_SEQ);
}

/* authorityKeyIdentifier (35) and cRLNumber (20), RFC 5280 5.2 */
static void
add_extensions(struct buf *out, const struct crl_spec *spec, X509 *issuer)
{
	struct bytes ski = cert_ski(issuer);
	size_t at = out->len, one;

	if (ski.len > 0) {
		one = out->len;
		der_add(out, 0x80, ski);
		der_close(out, one, DER_SEQ);
		close_extension(out, one, 35);
	}
	one = out->len;
	der_add_long(out, (long)spec->number);
	close_extension(out, one, 20);
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_CTX(0));
}

int
crl_tbs(
    const struct crl_spec *spec, X509 *issuer, struct buf *tbs, struct err *e)
{
	size_t at = tbs->len, list;

	der_add_long(tbs, 1); /* v2 */
	if (cmp_sign_alg(X509_get0_pubkey(issuer), tbs, e) == -1)
		return -1;
	ossl_name_der(X509_get_subject_name(issuer), tbs);
	add_time(tbs, spec->this_update);
	add_time(tbs, spec->next_update);
	list = tbs->len;
	for (size_t i = 0; i < spec->n; i++)
		add_entry(tbs, &spec->entries[i]);
	if (spec->n > 0) /* RFC 5280 5.1.2.6: absent if nothing is revoked */
		der_close(tbs, list, DER_SEQ);
	add_extensions(tbs, spec, issuer);
	der_close(tbs, at, DER_SEQ);
	return 0;
}

int
crl_finish(struct bytes tbs, struct bytes signature, X509 *issuer,
    struct buf *ret, struct err *e)
{
	struct buf der AUTO_BUF = { 0 }, bits AUTO_BUF = { 0 };
	AUTO(X509_CRL) crl = NULL;

	buf_add(&der, tbs.p, tbs.len);
	if (cmp_sign_alg(X509_get0_pubkey(issuer), &der, e) == -1)
		return -1;
	buf_add(&bits, "", 1);
	buf_add(&bits, signature.p, signature.len);
	der_add(&der, DER_BITS, buf_bytes(&bits));
	der_close(&der, 0, DER_SEQ);
	if ((crl = crl_parse(buf_bytes(&der), e)) == NULL)
		return err_prefix(e, "our own list");
	if (X509_CRL_verify(crl, X509_get0_pubkey(issuer)) != 1)
		return err_ossl(
		    e, ERR_LOCAL, "crl: the signature is not the issuer's");
	buf_add(ret, der.data, der.len);
	return 0;
}

/* ---- reading ----------------------------------------------------------- */

X509_CRL *
crl_parse(struct bytes der, struct err *e)
{
	AUTO(X509_CRL) crl = NULL;
	const uint8_t *p = der.p;

	crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	if (crl == NULL || p != der.p + der.len) {
		err_ossl(e, ERR_INPUT, "crl: not one CertificateList");
		return NULL;
	}
	return STEAL(crl);
}

static bool
seconds_of(const ASN1_TIME *t, uint64_t *ret)
{
	struct tm tm;
	time_t s;

	if (ASN1_TIME_to_tm(t, &tm) != 1 || (s = timegm(&tm)) < 0)
		return false;
	*ret = (uint64_t)s;
	return true;
}

int
crl_dates(
    const X509_CRL *crl, uint64_t *ret_this, uint64_t *ret_next, struct err *e)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);

	*ret_next = 0;
	if (!seconds_of(X509_CRL_get0_lastUpdate(crl), ret_this) ||
	    (next != NULL && !seconds_of(next, ret_next)))
		return err_ossl(e, ERR_INPUT, "crl: dates malformed");
	return 0;
}

bool
crl_is_by(const X509_CRL *crl, struct bytes name)
{
	const uint8_t *p = name.p;
	AUTO(X509_NAME) issuer = d2i_X509_NAME(NULL, &p, (long)name.len);

	ERR_clear_error();
	return issuer != NULL && p == name.p + name.len &&
	    X509_NAME_cmp(X509_CRL_get_issuer(crl), issuer) == 0;
}

/* ---- asking ------------------------------------------------------------ */

struct held {
	X509_CRL *crl;
	uint64_t from, to; /* to 0: it never says */
	struct held *next;
};

struct crls {
	struct held *first;
};

struct crls *
crls_new(void)
{
	return xcalloc(1, sizeof(struct crls));
}

void
crls_free(struct crls *c)
{
	struct held *h;

	if (c == NULL)
		return;
	while ((h = c->first) != NULL) {
		c->first = h->next;
		X509_CRL_free(h->crl);
		free(h);
	}
	free(c);
}

static struct held *
find(const struct crls *c, const X509_NAME *issuer)
{
	struct held *h = c->first;

	while (h != NULL &&
	    X509_NAME_cmp(X509_CRL_get_issuer(h->crl), issuer) != 0)
		h = h->next;
	return h;
}

/* Whose key signed it, among those who may. */
static bool
is_signed(X509_CRL *crl, const STACK_OF(X509) * issuers)
{
	for (int i = 0; i < sk_X509_num(issuers); i++) {
		X509 *x = sk_X509_value(issuers, i);
		uint32_t usage = X509_get_key_usage(x);

		if (X509_NAME_cmp(X509_get_subject_name(x),
			X509_CRL_get_issuer(crl)) == 0 &&
		    (usage & KU_CRL_SIGN) != 0 &&
		    key_check(X509_get0_pubkey(x), NULL) == 0 &&
		    X509_CRL_verify(crl, X509_get0_pubkey(x)) == 1)
			return true;
	}
	return false;
}

/* RFC 5280 5.2: of the critical ones we read none. */
static int
check_extensions(const X509_CRL *crl, struct err *e)
{
	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
		if (X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i)))
			return err_set(e, ERR_INPUT,
			    "crl: RFC 5280 5.2: a critical extension");
	return 0;
}

int
crls_add(struct crls *c, struct bytes der, const STACK_OF(X509) * issuers,
    struct err *e)
{
	AUTO(X509_CRL) crl = crl_parse(der, e);
	uint64_t from, to;
	struct held *h;

	if (crl == NULL || check_extensions(crl, e) == -1 ||
	    crl_dates(crl, &from, &to, e) == -1)
		return -1;
	if (!is_signed(crl, issuers))
		return err_ossl(e, ERR_TRUST,
		    "crl: RFC 5280 6.3.3: signed by none of its issuers");
	if ((h = find(c, X509_CRL_get_issuer(crl))) == NULL) {
		h = xcalloc(1, sizeof(*h));
		h->next = c->first;
		c->first = h;
	} else if (h->from >= from) {
		return 0;
	}
	X509_CRL_free(h->crl);
	h->crl = STEAL(crl);
	h->from = from;
	h->to = to;
	return 1;
}

static int
load_pem(struct crls *c, struct bytes text, const STACK_OF(X509) * issuers,
    struct err *e)
{
	AUTO(BIO) in = BIO_new_mem_buf(text.p, (int)text.len);
	int n = 0, added;

	for (;;) {
		AUTO(X509_CRL) crl =
		    PEM_read_bio_X509_CRL(in, NULL, NULL, NULL);
		uint8_t *der = NULL;
		int len;

		if (crl == NULL)
			break;
		if ((len = i2d_X509_CRL(crl, &der)) <= 0)
			err_die("out of memory");
		added = crls_add(c, bytes_of(der, (size_t)len), issuers, e);
		OPENSSL_free(der);
		if (added == -1)
			return -1;
		n += added;
	}
	return n;
}

int
crls_load(struct crls *c, const char *path, const STACK_OF(X509) * issuers,
    struct err *e)
{
	struct buf text AUTO_BUF = { 0 };
	int n;

	if (file_read(path, CRL_FILE_MAX, &text, e) == -1)
		return -1;
	if (text.len > 0 && text.data[0] == DER_SEQ)
		n = crls_add(c, buf_bytes(&text), issuers, e);
	else
		n = load_pem(c, buf_bytes(&text), issuers, e);
	return n == -1 ? err_prefix(e, "%s", path) : n;
}

enum crl_word
crls_ask(const struct crls *c, X509 *x, uint64_t now, char *why, size_t size)
{
	const struct held *h = find(c, X509_get_issuer_name(x));
	X509_REVOKED *entry = NULL;
	char date[21];

	if (why == NULL)
		size = 0;
	if (h == NULL) {
		snprintf(why, size, "no list of its issuer");
		return CRL_UNKNOWN;
	}
	if (X509_CRL_get0_by_cert(h->crl, &entry, x) == 1) {
		snprintf(why, size, "revoked, says the list of %s",
		    clock_format(date, h->from));
		return CRL_REVOKED;
	}
	if (now == 0 || now < h->from || (h->to != 0 && now > h->to)) {
		snprintf(why, size, "the list of %s is not of now",
		    clock_format(date, h->from));
		return CRL_UNKNOWN;
	}
	snprintf(
	    why, size, "not on the list of %s", clock_format(date, h->from));
	return CRL_GOOD;
}
