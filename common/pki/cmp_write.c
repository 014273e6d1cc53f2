/* Messages put together: header, protection, extraCerts. */
#include "common/pki/cmp_msg.h"

#include <string.h>
#include <time.h>

#define TIME_END 253402300799 /* 9999-12-31T23:59:59Z */

/* A header in parts.  Empty ones are left out; the last two are elements as
 * another header had them. */
struct header {
	long pvno;
	const X509_NAME *sender, *recipient;
	uint64_t time;
	struct bytes kid, transaction_id, sender_nonce, recip_nonce;
	struct bytes free_text, general_info;
};

/* directoryName [4]; the NULL-DN if there is no name. */
static void
add_name(struct buf *out, const X509_NAME *name)
{
	size_t at = out->len;

	if (name != NULL)
		ossl_name_der(name, out);
	else
		der_close(out, at, DER_SEQ);
	der_close(out, at, DER_CTX(4));
}

static void
add_octets(struct buf *out, enum cmp_field f, struct bytes value)
{
	size_t at = out->len;

	if (value.len == 0)
		return;
	der_add(out, DER_OCTETS, value);
	der_close(out, at, (uint8_t)DER_CTX(f));
}

static void
add_element(struct buf *out, enum cmp_field f, struct bytes element)
{
	if (element.len > 0)
		der_add(out, (uint8_t)DER_CTX(f), element);
}

/* GeneralizedTime as in RFC 5280 4.1.2.5.2, which ends with the year 9999. */
static void
add_time(struct buf *out, uint64_t seconds)
{
	time_t t = (time_t)(seconds < TIME_END ? seconds : TIME_END);
	struct tm tm = { 0 };
	char text[32];
	size_t n;

	gmtime_r(&t, &tm);
	n = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	der_add(out, DER_TIME, bytes_of(text, n));
}

static int
add_header(
    struct buf *out, const struct header *h, EVP_PKEY *key, struct err *e)
{
	size_t at = out->len, field;

	der_add_long(out, h->pvno);
	add_name(out, h->sender);
	add_name(out, h->recipient);
	if (h->time != 0) {
		field = out->len;
		add_time(out, h->time);
		der_close(out, field, DER_CTX(CMP_MESSAGE_TIME));
	}
	field = out->len;
	if (cmp_sign_alg(key, out, e) == -1)
		return -1;
	der_close(out, field, DER_CTX(CMP_PROTECTION_ALG));
	add_octets(out, CMP_SENDER_KID, h->kid);
	add_octets(out, CMP_TRANSACTION_ID, h->transaction_id);
	add_octets(out, CMP_SENDER_NONCE, h->sender_nonce);
	add_octets(out, CMP_RECIP_NONCE, h->recip_nonce);
	add_element(out, CMP_FREE_TEXT, h->free_text);
	add_element(out, CMP_GENERAL_INFO, h->general_info);
	der_close(out, at, DER_SEQ);
	return 0;
}

static bool
has_cert(STACK_OF(X509) * certs, X509 *x)
{
	int i;

	for (i = 0; i < sk_X509_num(certs); i++)
		if (X509_cmp(sk_X509_value(certs, i), x) == 0)
			return true;
	return false;
}

/* Borrowed certificates, each once, as many as a receiver takes. */
static void
collect(STACK_OF(X509) * certs, const STACK_OF(X509) * more)
{
	int i;

	for (i = 0; i < sk_X509_num(more); i++)
		if (sk_X509_num(certs) < CMP_EXTRA_MAX &&
		    !has_cert(certs, sk_X509_value(more, i)) &&
		    sk_X509_push(certs, sk_X509_value(more, i)) == 0)
			err_die("out of memory");
}

/* RFC 9483 3.3: the protection certificate first, then its chain. */
static void
add_extra(struct buf *out, const struct signer *s, const STACK_OF(X509) * more)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	size_t at = out->len;
	int i;

	if (certs == NULL || sk_X509_push(certs, s->cert) == 0)
		err_die("out of memory");
	collect(certs, s->chain);
	collect(certs, more);
	for (i = 0; i < sk_X509_num(certs); i++)
		ossl_cert_der(sk_X509_value(certs, i), out);
	sk_X509_free(certs);
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_CTX(1));
}

/* Completes h with who signs, appends the whole message. */
static int
protect(struct header h, struct bytes body, const struct signer *s,
    const STACK_OF(X509) * more, struct buf *out, struct err *e)
{
	struct buf msg AUTO_BUF = { 0 }, part AUTO_BUF = { 0 };
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(s->cert);
	bool nests = body.len > 0 && body.p[0] == DER_CTX(CMP_NESTED);
	size_t at, limit = nests ? CMP_NESTED_MAX : CMP_MAX;

	h.sender = X509_get_subject_name(s->cert);
	if (ski != NULL)
		h.kid = bytes_of(ASN1_STRING_get0_data(ski),
		    (size_t)ASN1_STRING_length(ski));
	if (add_header(&msg, &h, s->key, e) == -1)
		return -1;
	buf_add(&msg, body.p, body.len);
	/* RFC 9810 5.1.3: ProtectedPart */
	buf_add(&part, msg.data, msg.len);
	der_close(&part, 0, DER_SEQ);
	at = msg.len;
	if (cmp_sign(s->key, buf_bytes(&part), &msg, e) == -1)
		return -1;
	der_close(&msg, at, DER_CTX(0));
	add_extra(&msg, s, more);
	der_close(&msg, 0, DER_SEQ);
	if (msg.len > limit)
		return err_set(e, ERR_LOCAL,
		    "cmp: a message of %zu octets, limit %zu", msg.len, limit);
	buf_add(out, msg.data, msg.len);
	return 0;
}

void
cmp_head_reply(const struct cmp_msg *m, struct cmp_head *ret)
{
	*ret = (struct cmp_head){
		/* A version nobody knows is answered in the oldest we speak. */
		.pvno = m->pvno == 3 ? 3 : 2,
		.recipient = m->sender,
		.transaction_id = cmp_transaction_id(m),
		.recip_nonce = cmp_sender_nonce(m),
	};
}

/* InfoTypeAndValue: its value was written since `at`. */
static void
info_close(struct buf *out, size_t at, struct bytes oid)
{
	struct buf value AUTO_BUF =
	    bytes_dup(bytes_of(out->data + at, out->len - at));

	out->len = at;
	der_add(out, DER_OID, oid);
	buf_add(out, value.data, value.len);
	der_close(out, at, DER_SEQ);
}

/* generalInfo; nothing if there is none. */
static void
add_info(struct buf *out, const struct cmp_head *h)
{
	size_t at;

	if (h->implicit_confirm) {
		at = out->len;
		der_close(out, at, DER_NULL);
		info_close(out, at, cmp_it_implicit_confirm);
	}
	if (h->confirm_wait != 0) {
		at = out->len;
		add_time(out, h->confirm_wait);
		info_close(out, at, cmp_it_confirm_wait);
	}
	if (h->profile != NULL && h->profile[0] != '\0') {
		at = out->len;
		der_add(
		    out, DER_UTF8, bytes_of(h->profile, strlen(h->profile)));
		der_close(out, at, DER_SEQ);
		info_close(out, at, cmp_it_profile);
	}
	if (out->len > 0)
		der_close(out, 0, DER_SEQ);
}

int
cmp_build(const struct cmp_head *h, struct bytes body, const struct signer *s,
    const STACK_OF(X509) * more, struct buf *out, struct err *e)
{
	struct buf info AUTO_BUF = { 0 };
	uint8_t fresh[CMP_NONCE_MIN];
	struct header full = {
		.pvno = h->pvno != 0 ? h->pvno : 2,
		.recipient = h->recipient,
		.time = h->message_time,
		.transaction_id = h->transaction_id,
		.sender_nonce = h->sender_nonce,
		.recip_nonce = h->recip_nonce,
	};

	if (full.sender_nonce.len == 0) {
		random_bytes(fresh, sizeof(fresh));
		full.sender_nonce = bytes_of(fresh, sizeof(fresh));
	}
	add_info(&info, h);
	full.general_info = buf_bytes(&info);
	return protect(full, body, s, more, out, e);
}

int
cmp_reprotect(const struct cmp_msg *m, const X509_NAME *recipient,
    struct bytes recip_nonce, uint64_t message_time, const struct signer *s,
    struct buf *out, struct err *e)
{
	struct header h = {
		.pvno = m->pvno,
		.recipient = recipient,
		.time = message_time,
		.transaction_id = cmp_transaction_id(m),
		.sender_nonce = cmp_sender_nonce(m),
		.recip_nonce = recip_nonce,
		.free_text = m->field[CMP_FREE_TEXT],
		.general_info = m->field[CMP_GENERAL_INFO],
	};

	return protect(h, m->body, s, m->extra, out, e);
}

int
cmp_nest(const struct cmp_msg *m, const struct signer *s, struct buf *out,
    struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h = {
		.pvno = (int)m->pvno,
		.transaction_id = cmp_transaction_id(m),
		.sender_nonce = cmp_sender_nonce(m),
		.recip_nonce = cmp_recip_nonce(m),
	};

	/* A fresh nonce would not be the inner message's. */
	if (h.transaction_id.len == 0 || h.sender_nonce.len == 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: RFC 9483 5.2.2.1: nothing to nest by: "
		    "transactionID or senderNonce is missing");
	if (m->type == CMP_NESTED)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 5.2.2.1: nested in nested");
	cmp_body_nested(cmp_der(m), &body);
	return cmp_build(&h, buf_bytes(&body), s, NULL, out, e);
}
