/* Header, protection and extraCerts, right and wrong. */
#include "tests/cmp/client.h"

#include <string.h>
#include <time.h>

#include "common/base/str.h"
#include "common/pki/issue.h"

/* id-it of implicitConfirm, certProfile; something of nobody's. */
#define OID_IMPLICIT "\x2b\x06\x01\x05\x05\x07\x04\x0d"
#define OID_PROFILE  "\x2b\x06\x01\x05\x05\x07\x04\x15"
#define OID_NOBODYS  "\x2b\x06\x01\x04\x01\x81\xfd\x58\x01"
#define MANY	     12 /* more than CMP_EXTRA_MAX */

/* ecdsa-with-SHA1, PasswordBasedMac with nothing behind it, an OID of nobody */
static const struct {
	const char *name;
	struct bytes der;
} algorithms[] = {
	{ "sha1",
	    { (const uint8_t *)"\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04"
			       "\x01",
		11 } },
	{ "mac",
	    { (const uint8_t *)"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf6\x7d"
			       "\x07\x42\x0d",
		13 } },
	{ "unknown",
	    { (const uint8_t *)"\x30\x0b\x06\x09\x2b\x06\x01\x04\x01"
			       "\x81\xfd\x58\x01",
		13 } },
	{ "malformed", { (const uint8_t *)"\x02\x01\x05", 3 } },
	{ "rsa",
	    { (const uint8_t *)"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d"
			       "\x01\x01\x0b\x05\x00",
		15 } },
};

/* Whose name, certificate and chain the message shows. */
static const struct signer *
shown(const struct client *c)
{
	return wrong_is(c, "signer", "other") && c->other != NULL ? c->other
								  : c->signer;
}

static const struct signer *
signs(const struct client *c)
{
	return wrong_is(c, "protection", "other") && c->other != NULL
	    ? c->other
	    : shown(c);
}

/* ---- fields ------------------------------------------------------------ */

static void
add_sender(const struct client *c, struct buf *out)
{
	AUTO(X509_NAME) other = issue_name("somebody else", NULL, NULL);

	if (wrong_is(c, "sender", "dns"))
		der_add(out, 0x82, bytes_of("pump.test", 9));
	else if (wrong_is(c, "sender", "empty"))
		add_directory_name(NULL, out);
	else if (wrong_is(c, "sender", "other"))
		add_directory_name(other, out);
	else
		add_directory_name(X509_get_subject_name(shown(c)->cert), out);
}

static void
add_recipient(const struct client *c, struct buf *out)
{
	AUTO(X509_NAME) other = issue_name("nobody we know", NULL, NULL);

	if (wrong_is(c, "recipient", "other"))
		add_directory_name(other, out);
	else
		add_directory_name(c->first_signer == NULL
			? NULL
			: X509_get_subject_name(c->first_signer),
		    out);
}

static void
add_time(const struct client *c, struct buf *out)
{
	const char *value = wrong(c, "time");
	time_t t = time(NULL);
	size_t at = out->len, n;
	char text[32];
	struct tm tm;

	if (value == NULL)
		return;
	if (strcmp(value, "past") == 0)
		t -= 3L * 365 * 86400;
	else if (strcmp(value, "future") == 0)
		t += 3L * 365 * 86400;
	gmtime_r(&t, &tm);
	n = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	if (strcmp(value, "malformed") == 0)
		n = str_copy(text, sizeof(text), "yesterday");
	der_add(out, DER_TIME, bytes_of(text, n));
	der_close(out, at, DER_CTX(CMP_MESSAGE_TIME));
}

static int
add_algorithm(const struct client *c, struct buf *out, struct err *e)
{
	const char *value = wrong(c, "alg");
	size_t at = out->len;

	if (value != NULL && strcmp(value, "absent") == 0)
		return 0;
	if (value == NULL &&
	    algorithm_of(c->sign_alg, signs(c)->key, out, e) == -1)
		return -1;
	for (size_t i = 0; value != NULL && i < NELEMS(algorithms); i++)
		if (strcmp(algorithms[i].name, value) == 0)
			buf_add(
			    out, algorithms[i].der.p, algorithms[i].der.len);
	der_close(out, at, DER_CTX(CMP_PROTECTION_ALG));
	return 0;
}

/* `right` octets, or: absent, empty, short (8), longer (8 more), long (65
 * more), wrong (one bit), present (16 where none belong). */
static void
add_octets(const struct client *c, const char *field, enum cmp_field tag,
    struct bytes right, struct buf *out)
{
	const char *value = wrong(c, field);
	struct buf octets AUTO_BUF = { 0 };
	size_t at = out->len;

	buf_add(&octets, right.p, right.len);
	if (value == NULL && right.len == 0)
		return;
	if (value != NULL && strcmp(value, "absent") == 0)
		return;
	if (value != NULL && strcmp(value, "short") == 0 && octets.len > 8)
		octets.len = 8;
	if (value != NULL && strcmp(value, "empty") == 0)
		octets.len = 0;
	if (value != NULL && strcmp(value, "long") == 0)
		memset(buf_grow(&octets, 65), 'x', 65);
	if (value != NULL && strcmp(value, "longer") == 0)
		memset(buf_grow(&octets, 8), 'x', 8);
	if (value != NULL && strcmp(value, "present") == 0)
		memset(buf_grow(&octets, 16), 'x', 16);
	if (value != NULL && strcmp(value, "wrong") == 0 && octets.len > 0)
		octets.data[octets.len - 1] ^= 1;
	der_add(out, DER_OCTETS, buf_bytes(&octets));
	der_close(out, at, (uint8_t)DER_CTX(tag));
}

static void
add_kid(const struct client *c, struct buf *out)
{
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(shown(c)->cert);

	if (ski != NULL)
		add_octets(c, "kid", CMP_SENDER_KID,
		    bytes_of(ASN1_STRING_get0_data(ski),
			(size_t)ASN1_STRING_length(ski)),
		    out);
}

/* ---- generalInfo ------------------------------------------------------- */

static void
info(const char *oid, uint8_t tag, const char *text, bool listed,
    struct buf *out)
{
	size_t at = out->len, value;

	der_add(out, DER_OID, bytes_of(oid, strlen(oid)));
	value = out->len;
	if (text != NULL) {
		der_add(out, tag, bytes_of(text, strlen(text)));
		if (listed)
			der_close(out, value, DER_SEQ);
	}
	der_close(out, at, DER_SEQ);
}

/* certProfile, as one text or as two in one list. */
static void
add_profile(const struct client *c, struct buf *out)
{
	const char *value = wrong(c, "profile");
	size_t at = out->len, list;

	if (value != NULL && strcmp(value, "two") == 0) {
		der_add(out, DER_OID, bytes_of(OID_PROFILE, 8));
		list = out->len;
		der_add(out, DER_UTF8, bytes_of("one", 3));
		der_add(out, DER_UTF8, bytes_of("two", 3));
		der_close(out, list, DER_SEQ);
		der_close(out, at, DER_SEQ);
		return;
	}
	if (c->profile == NULL && value == NULL)
		return;
	info(OID_PROFILE, DER_UTF8, c->profile != NULL ? c->profile : "one",
	    true, out);
	if (value != NULL && strcmp(value, "twice") == 0)
		info(OID_PROFILE, DER_UTF8, "two", true, out);
}

static void
add_info(const struct client *c, struct buf *out)
{
	size_t at = out->len;

	if (c->now == STAGE_FIRST && c->implicit)
		info(OID_IMPLICIT, DER_NULL, "", false, out);
	if (wrong_is(c, "implicit", "value"))
		info(OID_IMPLICIT, DER_UTF8, "yes", false, out);
	if (wrong_is(c, "info", "unknown"))
		info(OID_NOBODYS, DER_UTF8, "odd", false, out);
	if (c->now == STAGE_FIRST)
		add_profile(c, out);
	if (wrong_is(c, "info", "empty")) {
		der_close(out, at, DER_SEQ);
		der_close(out, at, DER_CTX(CMP_GENERAL_INFO));
		return;
	}
	if (wrong_is(c, "info", "malformed"))
		der_add_long(out, 5);
	if (out->len == at)
		return;
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_CTX(CMP_GENERAL_INFO));
}

static int
add_header(const struct client *c, struct buf *out, struct err *e)
{
	size_t at = out->len, field;

	der_add_long(out, wrong_long(c, "pvno", c->pvno));
	add_sender(c, out);
	add_recipient(c, out);
	add_time(c, out);
	if (add_algorithm(c, out, e) == -1)
		return -1;
	add_kid(c, out);
	add_octets(c, "tid", CMP_TRANSACTION_ID,
	    bytes_of(c->tid, sizeof(c->tid)), out);
	add_octets(c, "nonce", CMP_SENDER_NONCE,
	    bytes_of(c->nonce, sizeof(c->nonce)), out);
	add_octets(c, "recipnonce", CMP_RECIP_NONCE,
	    c->now == STAGE_FIRST ? bytes_of(NULL, 0)
				  : buf_bytes(&c->peer_nonce),
	    out);
	if (wrong(c, "freetext") != NULL) {
		field = out->len;
		der_add(out, DER_UTF8, bytes_of("good day", 8));
		der_close(out, field, DER_SEQ);
		der_close(out, field, DER_CTX(CMP_FREE_TEXT));
	}
	add_info(c, out);
	der_close(out, at, DER_SEQ);
	return 0;
}

/* ---- behind the body --------------------------------------------------- */

static int
add_protection(const struct client *c, struct buf *msg, struct err *e)
{
	struct buf part AUTO_BUF = bytes_dup(buf_bytes(msg));
	size_t at = msg->len;

	der_close(&part, 0, DER_SEQ);
	if (wrong_is(c, "protection", "absent"))
		return 0;
	if (wrong_is(c, "protection", "empty"))
		der_add(msg, DER_BITS, bytes_of("", 1));
	else if (sign_by(c->sign_alg, signs(c)->key, buf_bytes(&part), msg,
		     e) == -1)
		return -1;
	if (wrong_is(c, "protection", "wrong"))
		msg->data[msg->len - 1] ^= 1;
	der_close(msg, at, DER_CTX(0));
	return 0;
}

static void
add_chain(const struct signer *s, bool backwards, struct buf *out)
{
	int n = sk_X509_num(s->chain);

	for (int i = 0; i < n; i++)
		ossl_cert_der(
		    sk_X509_value(s->chain, backwards ? n - 1 - i : i), out);
}

static void
add_extra(const struct client *c, struct buf *out)
{
	const char *value = wrong(c, "extracerts");
	const struct signer *s = shown(c);
	size_t at = out->len;

	if (value != NULL && strcmp(value, "absent") == 0)
		return;
	if (value != NULL && strcmp(value, "other-first") == 0 &&
	    c->other != NULL)
		ossl_cert_der(c->other->cert, out);
	if (value != NULL && strcmp(value, "reversed") == 0)
		add_chain(s, true, out);
	if (value == NULL || strcmp(value, "empty") != 0)
		ossl_cert_der(s->cert, out);
	for (int i = 0; value != NULL && strcmp(value, "many") == 0 && i < MANY;
	     i++)
		ossl_cert_der(s->cert, out);
	if (value == NULL ||
	    (strcmp(value, "no-chain") != 0 && strcmp(value, "empty") != 0 &&
		strcmp(value, "reversed") != 0))
		add_chain(s, false, out);
	if (value != NULL && strcmp(value, "malformed") == 0)
		der_add_long(out, 5);
	der_close(out, at, DER_SEQ);
	der_close(out, at, DER_CTX(1));
}

/* ---- the whole --------------------------------------------------------- */

static void
spoil_message(const struct client *c, struct buf *msg)
{
	const char *value = wrong(c, "message");

	if (value == NULL)
		return;
	if (strcmp(value, "trailing") == 0)
		buf_add(msg, "\5\0", 2);
	else if (strcmp(value, "cut") == 0)
		msg->len -= 5;
	else if (strcmp(value, "garbage") == 0)
		memset(msg->data, 'x', msg->len);
	else if (strcmp(value, "empty") == 0)
		msg->len = 0;
	else if (strcmp(value, "indefinite") == 0)
		msg->data[1] = 0x80;
	else if (strcmp(value, "large") == 0)
		memset(buf_grow(msg, 2 * CMP_MAX), 0, 2 * CMP_MAX);
	else if (strcmp(value, "no-header") == 0)
		msg->data[4] = 0x02;
}

static int
message_once(
    struct client *c, struct bytes body, struct buf *msg, struct err *e)
{
	if (add_header(c, msg, e) == -1)
		return -1;
	buf_add(msg, body.p, body.len);
	if (add_protection(c, msg, e) == -1)
		return -1;
	add_extra(c, msg);
	der_close(msg, 0, DER_SEQ);
	return 0;
}

/* Inside of `n` nested ones, by the other one if there is one, of the same
 * transactionID and senderNonce (RFC 9483 5.2.2.1). */
static int
message_nested(struct client *c, long n, struct buf *msg, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h = {
		.pvno = c->pvno,
		.transaction_id = bytes_of(c->tid, sizeof(c->tid)),
		.sender_nonce = bytes_of(c->nonce, sizeof(c->nonce)),
	};

	if (wrong_is(c, "outer", "tid"))
		h.transaction_id = bytes_of(c->nonce, sizeof(c->nonce));
	if (wrong_is(c, "outer", "nonce"))
		h.sender_nonce = bytes_of(c->tid, sizeof(c->tid));
	while (n-- > 0) {
		buf_reset(&body);
		cmp_body_nested(buf_bytes(msg), &body);
		buf_reset(msg);
		if (cmp_build(&h, buf_bytes(&body),
			c->other != NULL ? c->other : c->signer, NULL, msg,
			e) == -1)
			return -1;
	}
	return 0;
}

int
message_make(struct client *c, struct bytes body, struct err *e)
{
	if (!wrong_is(c, "nonce", "reused"))
		random_bytes(c->nonce, sizeof(c->nonce));
	if (!c->began)
		memcpy(c->first_nonce, c->nonce, sizeof(c->nonce));
	c->began = true;
	buf_reset(&c->sent);
	if (message_once(c, body, &c->sent, e) == -1 ||
	    message_nested(c, wrong_long(c, "nested", 0), &c->sent, e) == -1)
		return -1;
	spoil_message(c, &c->sent);
	return 0;
}
