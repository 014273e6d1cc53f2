/* Answers read: status, certificates issued, errors. */
#include "common/pki/cmp_msg.h"

/* A UTF8String for logs and terminals: one line of ASCII. */
static void
read_text(struct der *texts, char ret[CMP_TEXT_MAX + 1])
{
	struct bytes t = der_value(texts, DER_UTF8);
	size_t i;

	for (i = 0; i < t.len && i < CMP_TEXT_MAX; i++)
		ret[i] = t.p[i] < 0x20 || t.p[i] > 0x7e ? '?' : (char)t.p[i];
	ret[i] = '\0';
}

/* BIT STRING: bit 0 is the highest of the first octet. */
static uint32_t
read_bits(struct der *d)
{
	struct bytes v = der_value(d, DER_BITS);
	uint32_t bits = 0;
	size_t i;

	if (v.len < 1 || v.p[0] > 7) {
		d->bad = true;
		return 0;
	}
	for (i = 0; i < 8 * (v.len - 1) && i < 32; i++)
		if ((v.p[1 + i / 8] & 0x80 >> i % 8) != 0)
			bits |= 1u << i;
	return bits;
}

void
cmp_read_status(struct der *d, struct cmp_response *r)
{
	struct der s = der_enter(d, DER_SEQ), texts;
	long status = der_long(&s);

	if (der_peek(&s) == DER_SEQ) {
		texts = der_enter(&s, DER_SEQ);
		read_text(&texts, r->text);
		s.bad |= texts.bad;
	}
	if (der_peek(&s) == DER_BITS)
		r->fail = read_bits(&s);
	if (!der_end(&s) || status < CMP_ACCEPTED || status > CMP_WAITING)
		d->bad = true;
	r->status = (enum cmp_status)status;
}

void
cmp_response_done(struct cmp_response *r)
{
	X509_free(r->cert);
	x509s_free(r->ca_pubs);
	*r = (struct cmp_response){ 0 };
}

/* CertifiedKeyPair: a plain certificate; a private key sealed for the device
 * and publicationInfo are passed over. */
static int
read_key_pair(struct der *d, X509 **ret, struct err *e)
{
	struct der pair = der_enter(d, DER_SEQ), cert;
	struct bytes der;
	uint8_t n;

	if (der_peek(&pair) != DER_CTX(0))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: certOrEncCert is not a plain certificate");
	cert = der_enter(&pair, DER_CTX(0));
	der = der_whole(&cert, DER_SEQ);
	for (n = 0; n <= 1; n++)
		if (der_peek(&pair) == DER_CTX(n))
			der_whole(&pair, DER_CTX(n));
	if (!der_end(&cert) || !der_end(&pair))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: certifiedKeyPair malformed");
	if ((*ret = ossl_cert_parse(der, e)) == NULL)
		return err_prefix(e, "cmp: certificate issued");
	return 0;
}

/* The one CertResponse. */
static int
read_cert_response(const struct cmp_msg *m, struct der *list,
    struct cmp_response *r, struct err *e)
{
	struct der d = der_enter(list, DER_SEQ);
	bool issued;

	r->id = der_long(&d);
	cmp_read_status(&d, r);
	if (der_peek(&d) == DER_SEQ && read_key_pair(&d, &r->cert, e) == -1)
		return -1;
	if (der_peek(&d) == DER_OCTETS)
		der_whole(&d, DER_OCTETS); /* rspInfo */
	if (!der_end(&d))
		return cmp_malformed(m, e);
	issued =
	    r->status == CMP_ACCEPTED || r->status == CMP_GRANTED_WITH_MODS;
	if (issued != (r->cert != NULL))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: RFC 9483 4.1.1: %s with status %d %s a certificate",
		    cmp_body_name(m->type), (int)r->status,
		    issued ? "lacks" : "holds");
	return 0;
}

/* CertRepMessage { caPubs [1], SEQUENCE OF CertResponse } */
static int
read_cert_rep(const struct cmp_msg *m, struct der *d, struct cmp_response *r,
    struct err *e)
{
	struct der rep = der_enter(d, DER_SEQ), list;

	if (der_peek(&rep) == DER_CTX(1) &&
	    (r->ca_pubs = cmp_certs(
		 der_value(&rep, DER_CTX(1)), "caPubs", e)) == NULL)
		return -1;
	list = der_enter(&rep, DER_SEQ);
	if (!der_end(&rep) || der_count(list) != 1)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: RFC 9483 4.1.1: %s is not one CertResponse",
		    cmp_body_name(m->type));
	return read_cert_response(m, &list, r, e);
}

int
cmp_read_response(
    const struct cmp_msg *m, struct cmp_response *ret, struct err *e)
{
	struct cmp_response r = { 0 };
	struct der d;

	if (cmp_open_body(m,
		CMP_TYPE(CMP_IP) | CMP_TYPE(CMP_CP) | CMP_TYPE(CMP_KUP), &d,
		e) == -1)
		return -1;
	if (read_cert_rep(m, &d, &r, e) == -1) {
		cmp_response_done(&r);
		return -1;
	}
	*ret = r;
	return 0;
}

int
cmp_read_error(const struct cmp_msg *m, struct cmp_response *ret, struct err *e)
{
	struct cmp_response r = { 0 };
	struct der d, msg;

	if (cmp_open_body(m, CMP_TYPE(CMP_ERROR), &d, e) == -1)
		return -1;
	msg = der_enter(&d, DER_SEQ);
	cmp_read_status(&msg, &r);
	if (der_peek(&msg) == DER_INTEGER)
		der_whole(&msg, DER_INTEGER); /* errorCode */
	if (der_peek(&msg) == DER_SEQ)
		der_whole(&msg, DER_SEQ); /* errorDetails */
	if (!der_end(&msg))
		return cmp_malformed(m, e);
	*ret = r;
	return 0;
}
