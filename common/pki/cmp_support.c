/* Support messages (RFC 9483 4.3) and revocation (4.2), read and written. */
#include "common/pki/cmp_msg.h"

#include <string.h>

#include <openssl/asn1.h>

/* id-it without its last arc: 1.3.6.1.5.5.7.4 (RFC 9810 5.1.1) */
static const uint8_t id_it[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x04 };
/* id-ce-cRLReasons, RFC 5280 5.3.1 */
static const uint8_t reason_code[] = { 0x55, 0x1d, 0x15 };

#define DER_BOOLEAN    0x01
#define DER_ENUMERATED 0x0a
#define DER_UTC_TIME   0x17
#define REASON_UNUSED  7
#define REASON_LAST    10

AUTO_DEFINE(ASN1_TIME, ASN1_TIME, ASN1_TIME_free);

/* ---- certificates by issuer and serial number ----------------------------- */

void
cmp_add_serial(X509 *x, uint8_t tag, struct buf *out)
{
	const ASN1_INTEGER *n = X509_get0_serialNumber(x);
	int len = i2d_ASN1_INTEGER(n, NULL);
	size_t at = out->len;
	uint8_t *p;

	if (len <= 0)
		err_die("out of memory");
	p = buf_grow(out, (size_t)len);
	i2d_ASN1_INTEGER(n, &p);
	out->data[at] = tag;
}

bool
cmp_names_cert(const struct cmp_cert_id *id, X509 *x)
{
	struct buf issuer AUTO_BUF = { 0 }, serial AUTO_BUF = { 0 };
	struct der d;

	ossl_name_der(X509_get_issuer_name(x), &issuer);
	cmp_add_serial(x, DER_INTEGER, &serial);
	d = der_open(buf_bytes(&serial));
	return bytes_eq(id->serial, der_value(&d, DER_INTEGER)) &&
	    bytes_eq(id->issuer, buf_bytes(&issuer));
}

/* ---- rr, rp ----------------------------------------------------------- */

/* RFC 4211 5: fields of the CertTemplate */
#define CERT_SERIAL 0x81
#define CERT_ISSUER DER_CTX(3)

static void
read_named(struct der t, struct cmp_cert_id *ret)
{
	struct der issuer;
	uint8_t tag;

	while ((tag = der_peek(&t)) != 0) {
		if (tag == CERT_SERIAL) {
			ret->serial = der_value(&t, tag);
		} else if (tag == CERT_ISSUER) {
			issuer = der_enter(&t, tag);
			ret->issuer = der_whole(&issuer, DER_SEQ);
		} else {
			der_value(&t, tag);
		}
	}
}

/* The reasonCode among Extensions { oid, critical?, OCTET STRING }; -1, also if
 * another one is critical, since we know none (RFC 5280 4.2). */
static int
read_reason(struct der list)
{
	struct der one, value;
	struct bytes oid, n;
	bool critical;
	int reason = -1;

	while (der_peek(&list) == DER_SEQ) {
		one = der_enter(&list, DER_SEQ);
		oid = der_value(&one, DER_OID);
		critical = der_peek(&one) == DER_BOOLEAN &&
		    der_value(&one, DER_BOOLEAN).len > 0;
		if (!bytes_eq(
			oid, bytes_of(reason_code, sizeof(reason_code)))) {
			if (critical)
				return -1;
			continue;
		}
		value = der_enter(&one, DER_OCTETS);
		n = der_value(&value, DER_ENUMERATED);
		if (n.len != 1 || reason != -1 || !der_end(&value))
			return -1;
		reason = n.p[0];
	}
	return der_end(&list) ? reason : -1;
}

int
cmp_read_rr(const struct cmp_msg *m, struct cmp_revocation *ret, struct err *e)
{
	struct cmp_revocation r = { .reason = -1 };
	struct der d;

	if (cmp_open_single(m, CMP_TYPE(CMP_RR), &d, e) == -1)
		return -1;
	read_named(der_enter(&d, DER_SEQ), &r.cert);
	if (der_peek(&d) == DER_SEQ)
		r.reason = read_reason(der_enter(&d, DER_SEQ));
	if (!der_end(&d))
		return cmp_malformed(m, e);
	if (r.cert.issuer.len == 0 || r.cert.serial.len == 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_CERT_ID,
		    "cmp: RFC 9483 4.2: rr without issuer and serial number");
	if (r.reason < 0 || r.reason > REASON_LAST || r.reason == REASON_UNUSED)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 4.2: rr without one reasonCode");
	*ret = r;
	return 0;
}

/* RevRepContent { status, revCerts [0], crls [1] } */
int
cmp_read_rp(const struct cmp_msg *m, struct cmp_response *ret, struct err *e)
{
	struct cmp_response r = { 0 };
	struct der d, rep, list;

	if (cmp_open_body(m, CMP_TYPE(CMP_RP), &d, e) == -1)
		return -1;
	rep = der_enter(&d, DER_SEQ);
	list = der_enter(&rep, DER_SEQ);
	if (der_count(list) != 1)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: RFC 9483 4.2: rp of %zu statuses, not one",
		    der_count(list));
	cmp_read_status(&list, &r);
	for (uint8_t n = 0; n <= 1; n++)
		if (der_peek(&rep) == DER_CTX(n))
			der_whole(&rep, DER_CTX(n));
	if (!der_end(&list) || !der_end(&rep))
		return cmp_malformed(m, e);
	*ret = r;
	return 0;
}

void
cmp_body_rp(
    enum cmp_status status, uint32_t fail, const char *text, struct buf *out)
{
	size_t at = out->len;

	cmp_add_status(out, status, fail, text);
	der_close(out, at, DER_SEQ); /* status */
	der_close(out, at, DER_SEQ); /* RevRepContent */
	cmp_close_body(out, at, CMP_RP);
}

static void
add_reason(struct buf *out, int reason)
{
	uint8_t code = (uint8_t)reason;
	size_t at = out->len, value;

	der_add(out, DER_OID, bytes_of(reason_code, sizeof(reason_code)));
	value = out->len;
	der_add(out, DER_ENUMERATED, bytes_of(&code, 1));
	der_close(out, value, DER_OCTETS);
	der_close(out, at, DER_SEQ); /* Extension */
	der_close(out, at, DER_SEQ);
}

void
cmp_body_rr(X509 *x, int reason, struct buf *out)
{
	size_t at = out->len, issuer;

	cmp_add_serial(x, CERT_SERIAL, out);
	issuer = out->len;
	ossl_name_der(X509_get_issuer_name(x), out);
	der_close(out, issuer, CERT_ISSUER);
	der_close(out, at, DER_SEQ); /* certDetails */
	add_reason(out, reason);
	der_close(out, at, DER_SEQ); /* RevDetails */
	der_close(out, at, DER_SEQ); /* RevReqContent */
	cmp_close_body(out, at, CMP_RR);
}

/* ---- genm, genp --------------------------------------------------------- */

static enum cmp_info_type
info_type(struct bytes oid)
{
	if (oid.len != sizeof(id_it) + 1 ||
	    memcmp(oid.p, id_it, sizeof(id_it)) != 0 ||
	    oid.p[sizeof(id_it)] >= 0x80)
		return CMP_INFO_OTHER;
	return (enum cmp_info_type)oid.p[sizeof(id_it)];
}

int
cmp_read_info(const struct cmp_msg *m, struct cmp_info *ret, struct err *e)
{
	struct cmp_info info = { .type = CMP_INFO_OTHER };
	struct der d;

	if (cmp_open_single(
		m, CMP_TYPE(CMP_GENM) | CMP_TYPE(CMP_GENP), &d, e) == -1)
		return -1;
	info.type = info_type(der_value(&d, DER_OID));
	if (der_peek(&d) != 0)
		info.value = der_whole(&d, der_peek(&d));
	if (!der_end(&d))
		return cmp_malformed(m, e);
	*ret = info;
	return 0;
}

enum cmp_info_type
cmp_info_answer(enum cmp_info_type asked)
{
	switch ((int)asked) {
	case CMP_INFO_CA_CERTS:
	case CMP_INFO_TEMPLATE:
		return asked;
	case CMP_INFO_ROOT_CERT:
		return CMP_INFO_ROOT_UPDATE;
	case CMP_INFO_CRL_STATUS:
		return CMP_INFO_CRLS;
	default:
		return CMP_INFO_OTHER;
	}
}

STACK_OF(X509) * cmp_info_read_certs(struct bytes value, struct err *e)
{
	return cmp_certs(value, "caCerts", e);
}

X509 *
cmp_info_read_root(struct bytes value, struct err *e)
{
	X509 *x = ossl_cert_parse(value, e);

	if (x == NULL)
		err_prefix(e, "cmp: rootCaCert");
	return x;
}

static bool
read_time(struct der *d, uint64_t *ret)
{
	uint8_t tag = der_peek(d);
	struct bytes whole = der_whole(d, tag);
	AUTO(ASN1_TIME) t = NULL;
	const uint8_t *p = whole.p;
	struct tm tm;

	if ((tag != DER_TIME && tag != DER_UTC_TIME) ||
	    (t = d2i_ASN1_TIME(NULL, &p, (long)whole.len)) == NULL ||
	    ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*ret = (uint64_t)timegm(&tm);
	return true;
}

/* CRLStatus { source, thisUpdate OPTIONAL }, RFC 9483 4.3.4 */
int
cmp_info_read_crl_status(struct bytes value, uint64_t *ret, struct err *e)
{
	struct der d = der_open(value), list = der_enter(&d, DER_SEQ), one;
	uint64_t seconds = 0;
	uint8_t tag;

	if (value.len > 0 && list.bad)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: crlStatusList malformed");
	if (!der_end(&d) || der_count(list) != 1)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 4.3.4: crlStatusList of %zu, not one",
		    der_count(list));
	one = der_enter(&list, DER_SEQ);
	tag = der_peek(&one);
	if (tag == DER_CTX(0) || tag == DER_CTX(1))
		der_whole(&one, tag);
	else
		one.bad = true;
	if (der_peek(&one) != 0 && !read_time(&one, &seconds))
		one.bad = true;
	if (!der_end(&one))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: CRLStatus malformed");
	*ret = seconds;
	return 0;
}

/* issuer [1] EXPLICIT GeneralNames; without the SEQUENCE it was written by who
 * read the tag as implicit, and says the same. */
struct bytes
cmp_info_crl_issuer(struct bytes value)
{
	struct der d = der_open(value), list = der_enter(&d, DER_SEQ);
	struct der one = der_enter(&list, DER_SEQ), names, name;

	if (der_peek(&one) != DER_CTX(1))
		return bytes_of(NULL, 0);
	names = der_enter(&one, DER_CTX(1));
	if (der_peek(&names) == DER_SEQ)
		names = der_enter(&names, DER_SEQ);
	name = der_enter(&names, DER_CTX(4)); /* directoryName */
	return der_whole(&name, DER_SEQ);
}

void
cmp_body_info(enum cmp_body body, enum cmp_info_type type, struct bytes value,
    struct buf *out)
{
	uint8_t oid[sizeof(id_it) + 1];
	size_t at = out->len;

	memcpy(oid, id_it, sizeof(id_it));
	oid[sizeof(id_it)] = (uint8_t)type;
	der_add(out, DER_OID, bytes_of(oid, sizeof(oid)));
	buf_add(out, value.p, value.len);
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, body);
}

void
cmp_info_certs(const STACK_OF(X509) * certs, struct buf *out)
{
	size_t at = out->len;

	for (int i = 0; i < sk_X509_num(certs); i++)
		ossl_cert_der(sk_X509_value(certs, i), out);
	der_close(out, at, DER_SEQ);
}

/* RootCaKeyUpdateContent { newWithNew, newWithOld [0], oldWithNew [1] } */
void
cmp_info_root_update(
    X509 *new_with_new, X509 *new_with_old, X509 *old_with_new, struct buf *out)
{
	X509 *const more[] = { new_with_old, old_with_new };
	size_t at = out->len, one;

	ossl_cert_der(new_with_new, out);
	for (size_t i = 0; i < NELEMS(more); i++) {
		if (more[i] == NULL)
			continue;
		one = out->len;
		ossl_cert_der(more[i], out);
		der_close(out, one, (uint8_t)DER_CTX(i));
	}
	der_close(out, at, DER_SEQ);
}

void
cmp_info_crls(const struct bytes *crls, size_t n, struct buf *out)
{
	size_t at = out->len;

	for (size_t i = 0; i < n; i++)
		buf_add(out, crls[i].p, crls[i].len);
	der_close(out, at, DER_SEQ);
}

void
cmp_info_crl_status(
    const X509_NAME *issuer, uint64_t this_update, struct buf *out)
{
	AUTO(ASN1_TIME) t = NULL;
	size_t at = out->len;
	uint8_t *p;
	int len;

	ossl_name_der(issuer, out);
	der_close(out, at, DER_CTX(4)); /* directoryName */
	der_close(out, at, DER_SEQ);	/* GeneralNames */
	der_close(out, at, DER_CTX(1)); /* source: issuer */
	if (this_update != 0) {
		t = ASN1_TIME_set(NULL, (time_t)this_update);
		if (t == NULL || (len = i2d_ASN1_TIME(t, NULL)) <= 0)
			err_die("out of memory");
		p = buf_grow(out, (size_t)len);
		i2d_ASN1_TIME(t, &p);
	}
	der_close(out, at, DER_SEQ); /* CRLStatus */
	der_close(out, at, DER_SEQ);
}
