/* Bodies written.  What is missing to write them, memory, ends the process. */
#include "common/pki/cmp_msg.h"

#include <string.h>

#include "common/base/str.h"
#include "common/pki/issue.h"

void
cmp_close_body(struct buf *out, size_t at, enum cmp_body type)
{
	der_close(out, at, (uint8_t)DER_CTX(type));
}

/* PKIFreeText of one line; nothing if there is no text.  Octets that are not
 * UTF-8 came from a peer and become '?'. */
static void
add_text(struct buf *out, const char *text)
{
	char line[CMP_TEXT_MAX + 1];
	size_t i, at = out->len;
	bool ascii;

	if (text == NULL || text[0] == '\0')
		return;
	str_copy(line, sizeof(line), text);
	/* Truncation may have cut a character. */
	ascii = !utf8_valid(line, strlen(line));
	for (i = 0; line[i] != '\0'; i++)
		if ((uint8_t)line[i] < 0x20 || line[i] == 0x7f ||
		    (ascii && (uint8_t)line[i] > 0x7e))
			line[i] = '?';
	der_add(out, DER_UTF8, bytes_of(line, strlen(line)));
	der_close(out, at, DER_SEQ);
}

/* X.690 11.2.2: a BIT STRING of named bits ends with its last 1. */
static void
add_fail(struct buf *out, uint32_t fail)
{
	uint8_t b[5] = { 0 };
	size_t i, last = 0;

	if (fail == 0)
		return;
	for (i = 0; i < 32; i++) {
		if ((fail >> i & 1) == 0)
			continue;
		b[1 + i / 8] |= (uint8_t)(0x80 >> i % 8);
		last = i;
	}
	b[0] = (uint8_t)(7 - last % 8);
	der_add(out, DER_BITS, bytes_of(b, 2 + last / 8));
}

void
cmp_add_status(
    struct buf *out, enum cmp_status status, uint32_t fail, const char *text)
{
	size_t at = out->len;

	der_add_long(out, status);
	add_text(out, text);
	add_fail(out, fail);
	der_close(out, at, DER_SEQ);
}

static bool
is_cert_rep(enum cmp_body response)
{
	return response == CMP_IP || response == CMP_CP || response == CMP_KUP;
}

/* A CertRepMessage of one CertResponse without a certificate. */
static void
body_status(enum cmp_body response, long id, enum cmp_status status,
    uint32_t fail, const char *text, struct buf *out)
{
	size_t at = out->len;

	der_add_long(out, id);
	cmp_add_status(out, status, fail, text);
	der_close(out, at, DER_SEQ); /* CertResponse */
	der_close(out, at, DER_SEQ); /* response */
	der_close(out, at, DER_SEQ); /* CertRepMessage */
	cmp_close_body(out, at, response);
}

void
cmp_body_waiting(enum cmp_body request, long id, struct buf *out)
{
	enum cmp_body response = cmp_response_to(request);

	if (is_cert_rep(response))
		body_status(response, id, CMP_WAITING, 0, NULL, out);
	else
		cmp_body_error(CMP_WAITING, 0, NULL, out);
}

/* RFC 9483 3.6.2: what is not reported in the response is an error. */
void
cmp_body_rejection(enum cmp_body request, long id, uint32_t fail,
    const char *text, struct buf *out)
{
	enum cmp_body response = cmp_response_to(request);

	if (is_cert_rep(response))
		body_status(response, id, CMP_REJECTION, fail, text, out);
	else if (response == CMP_RP)
		cmp_body_rp(CMP_REJECTION, fail, text, out);
	else
		cmp_body_error(CMP_REJECTION, fail, text, out);
}

void
cmp_body_error(
    enum cmp_status status, uint32_t fail, const char *text, struct buf *out)
{
	size_t at = out->len;

	cmp_add_status(out, status, fail, text);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, CMP_ERROR);
}

void
cmp_body_pollrep(long id, uint32_t seconds, struct buf *out)
{
	size_t at = out->len;

	der_add_long(out, id);
	/* 31 bits are what clients read. */
	der_add_long(out, seconds < INT32_MAX ? (long)seconds : INT32_MAX);
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, CMP_POLLREP);
}

void
cmp_body_pollreq(long id, struct buf *out)
{
	size_t at = out->len;

	der_add_long(out, id);
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, CMP_POLLREQ);
}

void
cmp_body_pkiconf(struct buf *out)
{
	size_t at = out->len;

	der_close(out, at, DER_NULL);
	cmp_close_body(out, at, CMP_PKICONF);
}

void
cmp_body_nested(struct bytes message, struct buf *out)
{
	size_t at = out->len;

	buf_add(out, message.p, message.len);
	der_close(out, at, DER_SEQ); /* PKIMessages */
	cmp_close_body(out, at, CMP_NESTED);
}

void
cmp_body_issued(
    enum cmp_body response, long id, X509 *cert, X509 *ca_pub, struct buf *out)
{
	cmp_body_granted(response, id, CMP_ACCEPTED, cert, ca_pub, out);
}

void
cmp_body_granted(enum cmp_body response, long id, enum cmp_status status,
    X509 *cert, X509 *ca_pub, struct buf *out)
{
	size_t at = out->len, list, pair;

	if (ca_pub != NULL) {
		ossl_cert_der(ca_pub, out);
		der_close(out, at, DER_SEQ);
		der_close(out, at, DER_CTX(1));
	}
	list = out->len;
	der_add_long(out, id);
	cmp_add_status(out, status, 0, NULL);
	pair = out->len;
	ossl_cert_der(cert, out);
	der_close(out, pair, DER_CTX(0)); /* certificate of certOrEncCert */
	der_close(out, pair, DER_SEQ);	  /* certifiedKeyPair */
	der_close(out, list, DER_SEQ);	  /* CertResponse */
	der_close(out, list, DER_SEQ);	  /* response */
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, response);
}

/* RFC 9810 5.3.18: SHA-512 and its name where the signature names no digest;
 * such a message needs pvno 3. */
void
cmp_body_certconf(
    long id, X509 *cert, bool accept, const char *text, struct buf *out)
{
	int nid = cmp_hash_nid(cert);
	const EVP_MD *md = EVP_get_digestbynid(nid);
	uint8_t hash[EVP_MAX_MD_SIZE];
	size_t at = out->len, alg;
	unsigned len;

	if (X509_digest(cert, md != NULL ? md : EVP_sha512(), hash, &len) != 1)
		err_die("certHash cannot be made");
	der_add(out, DER_OCTETS, bytes_of(hash, len));
	der_add_long(out, id);
	if (!accept)
		cmp_add_status(out, CMP_REJECTION, 0, text);
	if (md == NULL) {
		/* id-sha512, RFC 5754 2.4 */
		alg = out->len;
		der_add(out, DER_OID,
		    bytes_of("\x60\x86\x48\x01\x65\x03\x04\x02\x03", 9));
		der_close(out, alg, DER_SEQ);
		der_close(out, alg, DER_CTX(0));
	}
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_SEQ);
	cmp_close_body(out, at, CMP_CERTCONF);
}

/* Controls of one: oldCertId (RFC 4211 6.5). */
static void
add_old_cert_id(struct buf *out, X509 *old)
{
	size_t at = out->len, id;

	der_add(
	    out, DER_OID, bytes_of("\x2b\x06\x01\x05\x05\x07\x05\x01\x05", 9));
	id = out->len;
	ossl_name_der(X509_get_issuer_name(old), out);
	der_close(out, id, DER_CTX(4)); /* directoryName */
	cmp_add_serial(old, DER_INTEGER, out);
	der_close(out, id, DER_SEQ);
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_SEQ);
}

/* CertRequest: certReqId 0, subject [5] and publicKey [6]; controls if it
 * updates a certificate. */
static void
add_cert_request(
    struct buf *out, EVP_PKEY *key, const X509_NAME *subject, X509 *old)
{
	size_t at = out->len, tmpl, field;

	der_add_long(out, 0);
	tmpl = field = out->len;
	ossl_name_der(subject, out);
	der_close(out, field, DER_CTX(5)); /* a CHOICE is tagged explicitly */
	field = out->len;
	ossl_spki_der(key, out);
	out->data[field] = DER_CTX(6); /* [6] IMPLICIT */
	der_close(out, tmpl, DER_SEQ);
	if (old != NULL)
		add_old_cert_id(out, old);
	der_close(out, at, DER_SEQ);
}

/* RFC 4211 4.1: the signature is over the CertRequest. */
static int
add_pop(struct buf *out, EVP_PKEY *key, struct bytes req, struct err *e)
{
	size_t at = out->len;

	if (cmp_sign_alg(key, out, e) == -1 || cmp_sign(key, req, out, e) == -1)
		return -1;
	der_close(out, at, DER_CTX(1));
	return 0;
}

static int
body_crmf(enum cmp_body type, EVP_PKEY *key, const X509_NAME *subject,
    X509 *old, struct buf *out, struct err *e)
{
	struct buf req AUTO_BUF = { 0 }, msg AUTO_BUF = { 0 };

	add_cert_request(&req, key, subject, old);
	buf_add(&msg, req.data, req.len);
	if (add_pop(&msg, key, buf_bytes(&req), e) == -1)
		return -1;
	der_close(&msg, 0, DER_SEQ); /* CertReqMsg */
	der_close(&msg, 0, DER_SEQ); /* CertReqMessages */
	cmp_close_body(&msg, 0, type);
	buf_add(out, msg.data, msg.len);
	return 0;
}

int
cmp_body_certreq(enum cmp_body type, EVP_PKEY *key, const X509_NAME *subject,
    struct buf *out, struct err *e)
{
	return body_crmf(type, key, subject, NULL, out, e);
}

int
cmp_body_kur(EVP_PKEY *key, const X509_NAME *subject, X509 *old,
    struct buf *out, struct err *e)
{
	return body_crmf(CMP_KUR, key, subject, old, out, e);
}

int
cmp_body_p10cr(
    EVP_PKEY *key, const X509_NAME *subject, struct buf *out, struct err *e)
{
	AUTO(X509_REQ) req = issue_request(key, subject, NULL, e);
	size_t at = out->len;
	uint8_t *p;
	int len;

	if (req == NULL)
		return -1;
	if ((len = i2d_X509_REQ(req, NULL)) <= 0)
		return err_ossl(e, ERR_LOCAL, "cmp: p10cr");
	p = buf_grow(out, (size_t)len);
	i2d_X509_REQ(req, &p);
	cmp_close_body(out, at, CMP_P10CR);
	return 0;
}
