/* Messages taken apart: frame, header, extraCerts. */
#include "common/pki/cmp_msg.h"

#include <string.h>

#include "common/base/str.h"
#include "common/pki/cert_memo.h"

#define HEADER_MAX     LIMIT_CMP_HEADER
#define INFO_MAX       LIMIT_CMP_INFO	    /* elements of generalInfo */
#define PROTECTION_MAX LIMIT_CMP_PROTECTION /* RSA with 4096 bits takes 513 */

static const uint8_t implicit_confirm[] = { 0x2b, 6, 1, 5, 5, 7, 4, 13 };
static const uint8_t confirm_wait[] = { 0x2b, 6, 1, 5, 5, 7, 4, 14 };
static const uint8_t cert_profile[] = { 0x2b, 6, 1, 5, 5, 7, 4, 21 };
const struct bytes cmp_it_implicit_confirm = { implicit_confirm,
	sizeof(implicit_confirm) };
const struct bytes cmp_it_confirm_wait = { confirm_wait, sizeof(confirm_wait) };
const struct bytes cmp_it_profile = { cert_profile, sizeof(cert_profile) };

/* What [n] holds, and how many octets of it. */
static const struct {
	const char *name;
	uint8_t tag;
	size_t max;
} fields[CMP_FIELD__MAX] = {
	[CMP_MESSAGE_TIME] = { "messageTime", DER_TIME, 24 },
	[CMP_PROTECTION_ALG] = { "protectionAlg", DER_SEQ, 256 },
	[CMP_SENDER_KID] = { "senderKID", DER_OCTETS, 64 },
	[CMP_RECIP_KID] = { "recipKID", DER_OCTETS, 64 },
	[CMP_TRANSACTION_ID] = { "transactionID", DER_OCTETS, CMP_NONCE_MAX },
	[CMP_SENDER_NONCE] = { "senderNonce", DER_OCTETS, CMP_NONCE_MAX },
	[CMP_RECIP_NONCE] = { "recipNonce", DER_OCTETS, CMP_NONCE_MAX },
	[CMP_FREE_TEXT] = { "freeText", DER_SEQ, 2048 },
	[CMP_GENERAL_INFO] = { "generalInfo", DER_SEQ, 4096 },
};

/* Names, and what a request is answered with; 0: error. */
static const struct {
	const char *name;
	enum cmp_body response;
	bool first; /* opens a transaction */
} bodies[CMP_BODY__MAX] = {
	[CMP_IR] = { "ir", CMP_IP, true },
	[CMP_IP] = { "ip" },
	[CMP_CR] = { "cr", CMP_CP, true },
	[CMP_CP] = { "cp" },
	[CMP_P10CR] = { "p10cr", CMP_CP, true },
	[CMP_KUR] = { "kur", CMP_KUP, true },
	[CMP_KUP] = { "kup" },
	[CMP_RR] = { "rr", CMP_RP, true },
	[CMP_RP] = { "rp" },
	[CMP_PKICONF] = { "pkiConf" },
	[CMP_NESTED] = { "nested" },
	[CMP_GENM] = { "genm", CMP_GENP, true },
	[CMP_GENP] = { "genp" },
	[CMP_ERROR] = { "error", CMP_PKICONF },
	[CMP_CERTCONF] = { "certConf", CMP_PKICONF },
	[CMP_POLLREQ] = { "pollReq", CMP_POLLREP },
	[CMP_POLLREP] = { "pollRep" },
};

const char *
cmp_body_name(enum cmp_body b)
{
	if ((unsigned)b >= CMP_BODY__MAX || bodies[b].name == NULL)
		return "?";
	return bodies[b].name;
}

enum cmp_body
cmp_response_to(enum cmp_body request)
{
	if ((unsigned)request >= CMP_BODY__MAX || bodies[request].response == 0)
		return CMP_ERROR;
	return bodies[request].response;
}

bool
cmp_is_first(enum cmp_body b)
{
	return (unsigned)b < CMP_BODY__MAX && bodies[b].first;
}

/* The octets between the elements: nothing is decoded yet. */
static int
read_frame(struct cmp_msg *m, struct bytes *ret_extra, struct err *e)
{
	struct der top = der_open(buf_bytes(&m->der));
	struct der d = der_enter(&top, DER_SEQ);
	struct der protection;
	uint8_t tag;

	m->header = der_whole(&d, DER_SEQ);
	tag = der_peek(&d);
	m->body = der_whole(&d, tag);
	if (der_peek(&d) == DER_CTX(0)) {
		protection = der_enter(&d, DER_CTX(0));
		m->protection = der_whole(&protection, DER_BITS);
		if (!der_end(&protection))
			d.bad = true;
	}
	if (der_peek(&d) == DER_CTX(1))
		*ret_extra = der_value(&d, DER_CTX(1));
	if (!der_end(&d))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: not a PKIMessage in DER");
	if (!der_end(&top))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: %zu trailing octets", top.rest.len);
	if ((tag & 0xe0) != 0xa0 || (tag & 0x1f) >= CMP_BODY__MAX)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: body tag %02x: RFC 9810 5.1.2 has none", tag);
	m->type = tag & 0x1f;
	return 0;
}

static int
check_frame(const struct cmp_msg *m, struct err *e)
{
	struct der d = der_open(m->body), body;

	if (m->type != CMP_NESTED && m->der.len > CMP_MAX)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: %zu octets, limit %d", m->der.len, CMP_MAX);
	if (m->header.len > HEADER_MAX)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: header of %zu octets, limit %d", m->header.len,
		    HEADER_MAX);
	if (m->protection.len > PROTECTION_MAX)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: protection of %zu octets, limit %d",
		    m->protection.len, PROTECTION_MAX);
	if (!der_strict(m->header))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: header is not DER");
	body = der_enter(&d, der_peek(&d));
	der_whole(&body, der_peek(&body));
	if (!der_end(&body))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: body is not one element in DER");
	return 0;
}

/* GeneralName: a directoryName into *ret, any other form into NULL. */
static int
read_name(struct der *header, const char *what, X509_NAME **ret, struct err *e)
{
	struct bytes whole = der_whole(header, der_peek(header)), name;
	struct der d = der_open(whole);
	const uint8_t *p;

	if (header->bad || (whole.p[0] & 0xc0) != 0x80)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: header %s is not a GeneralName", what);
	if (der_peek(&d) != DER_CTX(4))
		return 0;
	p = (name = der_value(&d, DER_CTX(4))).p;
	*ret = d2i_X509_NAME(NULL, &p, (long)name.len);
	if (*ret == NULL || p != name.p + name.len)
		return err_ossl(e, ERR_INPUT,
		    "cmp: header %s is not a directoryName", what);
	return 0;
}

/* [n] EXPLICIT: one element of the right type. */
static int
read_field(struct cmp_msg *m, struct der *header, struct err *e)
{
	uint8_t tag = der_peek(header);
	struct der d = der_enter(header, tag);
	size_t f = tag & 0x1f;

	if ((tag & 0xe0) != 0xa0 || f >= CMP_FIELD__MAX)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: header field %02x: RFC 9810 5.1.1 has none", tag);
	m->field[f] = der_whole(&d, fields[f].tag);
	if (!der_end(&d))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: header %s malformed", fields[f].name);
	if (cmp_field(m, (enum cmp_field)f).len > fields[f].max)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: header %s over %zu octets", fields[f].name,
		    fields[f].max);
	return 0;
}

AUTO_DEFINE(ASN1_STRING, ASN1_STRING, ASN1_STRING_free);

/* RFC 9810 5.1.1: a messageTime that is there is a time. */
static int
check_time(const struct cmp_msg *m, struct err *e)
{
	struct bytes der = m->field[CMP_MESSAGE_TIME];
	AUTO(ASN1_STRING) t = NULL;
	const uint8_t *p = der.p;

	if (der.len == 0)
		return 0;
	t = d2i_ASN1_GENERALIZEDTIME(NULL, &p, (long)der.len);
	if (t == NULL || ASN1_GENERALIZEDTIME_check(t) != 1)
		return cmp_fail_ossl(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: header messageTime is no time");
	return 0;
}

static int
read_header(struct cmp_msg *m, struct err *e)
{
	struct der d = der_open(m->header), header = der_enter(&d, DER_SEQ);
	uint8_t tag, last = 0;

	m->pvno = der_long(&header);
	if (read_name(&header, "sender", &m->sender, e) == -1 ||
	    read_name(&header, "recipient", &m->recipient, e) == -1)
		return -1;
	while ((tag = der_peek(&header)) != 0) {
		if (tag <= last)
			return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
			    "cmp: header field %02x out of order", tag);
		last = tag;
		if (read_field(m, &header, e) == -1)
			return -1;
	}
	if (!der_end(&header))
		return err_fail(
		    e, ERR_INPUT, CMP_BAD_DATA_FORMAT, "cmp: header malformed");
	return check_time(m, e);
}

static bool
is_plain(struct bytes text)
{
	size_t i;

	for (i = 0; i < text.len; i++)
		if (text.p[i] < 0x20 || text.p[i] == 0x7f)
			return false;
	return utf8_valid(text.p, text.len);
}

/* RFC 9483 3.1: CertProfileValue is exactly one UTF8String. */
static int
read_profile(struct cmp_msg *m, struct der *info, struct err *e)
{
	struct der list = der_enter(info, DER_SEQ);
	struct bytes name = der_value(&list, DER_UTF8);

	if (!der_end(&list) || m->profile[0] != '\0' || name.len == 0 ||
	    name.len > CMP_PROFILE_MAX || !is_plain(name))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: certProfile: RFC 9483 3.1: not one name of 1 to %d "
		    "octets",
		    CMP_PROFILE_MAX);
	memcpy(m->profile, name.p, name.len);
	return 0;
}

/* RFC 9810 5.1.1.1: the value is NULL; one that is left out is no harm. */
static int
read_implicit(struct cmp_msg *m, struct der *info, struct err *e)
{
	if (der_peek(info) != 0)
		der_value(info, DER_NULL);
	if (!der_end(info))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: implicitConfirm: RFC 9810 5.1.1.1: not NULL");
	m->implicit_confirm = true;
	return 0;
}

static int
read_info(struct cmp_msg *m, struct err *e)
{
	struct der d = der_open(cmp_field(m, CMP_GENERAL_INFO)), info;
	struct bytes oid;
	size_t n = 0;

	while (der_peek(&d) != 0) {
		info = der_enter(&d, DER_SEQ);
		oid = der_value(&info, DER_OID);
		if (info.bad || ++n > INFO_MAX)
			break;
		if (bytes_eq(oid, cmp_it_implicit_confirm) &&
		    read_implicit(m, &info, e) == -1)
			return -1;
		if (bytes_eq(oid, cmp_it_profile) &&
		    read_profile(m, &info, e) == -1)
			return -1;
	}
	if (!der_end(&d) || (n == 0 && m->field[CMP_GENERAL_INFO].len > 0))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: header generalInfo is not 1 to %d items", INFO_MAX);
	return 0;
}

STACK_OF(X509) * cmp_certs(struct bytes der, const char *what, struct err *e)
{
	AUTO(X509S) certs = sk_X509_new_reserve(NULL, CMP_EXTRA_MAX);
	struct der top = der_open(der), d = der_enter(&top, DER_SEQ);
	X509 *x;

	if (certs == NULL)
		err_die("out of memory");
	if (!der_end(&top) || der_count(d) == 0 ||
	    der_count(d) > CMP_EXTRA_MAX) {
		err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: %s are not 1 to %d certificates", what,
		    CMP_EXTRA_MAX);
		return NULL;
	}
	while (der_peek(&d) != 0) {
		x = cert_memo_parse(der_whole(&d, der_peek(&d)), e);
		if (x == NULL) {
			err_prefix(e, "cmp: %s", what);
			return NULL;
		}
		/* Cannot fail: the place is reserved. */
		sk_X509_push(certs, x);
	}
	return STEAL(certs);
}

int
cmp_parse(struct bytes der, struct cmp_msg **ret, struct err *e)
{
	AUTO(cmp_msg) m = NULL;
	struct bytes extra = { NULL, 0 };

	if (der.len > CMP_NESTED_MAX)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: %zu octets, limit %d", der.len, CMP_NESTED_MAX);
	m = xcalloc(1, sizeof(*m));
	m->der = bytes_dup(der);
	if (read_frame(m, &extra, e) == -1 || check_frame(m, e) == -1 ||
	    read_header(m, e) == -1 || read_info(m, e) == -1 ||
	    (extra.p != NULL &&
		(m->extra = cmp_certs(extra, "extraCerts", e)) == NULL))
		return -1;
	*ret = STEAL(m);
	return 0;
}

void
cmp_free(struct cmp_msg *m)
{
	if (m == NULL)
		return;
	x509s_free(m->extra);
	X509_NAME_free(m->sender);
	X509_NAME_free(m->recipient);
	buf_done(&m->der);
	free(m);
}

struct bytes
cmp_field(const struct cmp_msg *m, enum cmp_field f)
{
	struct der d = der_open(m->field[f]);

	return der_value(&d, fields[f].tag);
}

struct bytes
cmp_der(const struct cmp_msg *m)
{
	return buf_bytes(&m->der);
}

enum cmp_body
cmp_body(const struct cmp_msg *m)
{
	return m->type;
}

int
cmp_pvno(const struct cmp_msg *m)
{
	return (int)m->pvno;
}

struct bytes
cmp_transaction_id(const struct cmp_msg *m)
{
	return cmp_field(m, CMP_TRANSACTION_ID);
}

struct bytes
cmp_sender_nonce(const struct cmp_msg *m)
{
	return cmp_field(m, CMP_SENDER_NONCE);
}

struct bytes
cmp_recip_nonce(const struct cmp_msg *m)
{
	return cmp_field(m, CMP_RECIP_NONCE);
}

const X509_NAME *
cmp_sender(const struct cmp_msg *m)
{
	return m->sender;
}

const X509_NAME *
cmp_recipient(const struct cmp_msg *m)
{
	return m->recipient;
}

bool
cmp_implicit_confirm(const struct cmp_msg *m)
{
	return m->implicit_confirm;
}

const char *
cmp_profile(const struct cmp_msg *m)
{
	return m->profile;
}

const STACK_OF(X509) * cmp_extra_certs(const struct cmp_msg *m)
{
	return m->extra;
}

bool
cmp_is_protected(const struct cmp_msg *m)
{
	return m->protection.len > 0;
}

/* RFC 9483 3.5 */
int
cmp_check_header(const struct cmp_msg *m, struct err *e)
{
	if (m->pvno != 2 && m->pvno != 3)
		return err_fail(e, ERR_INPUT, CMP_UNSUPPORTED_VERSION,
		    "cmp: RFC 9483 3.5: pvno %ld is neither 2 nor 3", m->pvno);
	if (cmp_transaction_id(m).len != CMP_TID_LEN)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: RFC 9483 3.1: transactionID of %zu octets, not %d",
		    cmp_transaction_id(m).len, CMP_TID_LEN);
	if (cmp_sender_nonce(m).len < CMP_NONCE_MIN)
		return err_fail(e, ERR_INPUT, CMP_BAD_SENDER_NONCE,
		    "cmp: RFC 9483 3.5: senderNonce of %zu octets, less than "
		    "%d",
		    cmp_sender_nonce(m).len, CMP_NONCE_MIN);
	if (!cmp_is_protected(m) || m->field[CMP_PROTECTION_ALG].len == 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_MESSAGE_CHECK,
		    "cmp: RFC 9483 3.5: %s without protection",
		    cmp_body_name(m->type));
	if (cmp_check_alg(m->field[CMP_PROTECTION_ALG], e) == -1)
		return -1;
	if (m->sender == NULL)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: RFC 9483 3.1: sender is not a directoryName");
	if (cmp_is_first(m->type) && m->field[CMP_RECIP_NONCE].len > 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_RECIPIENT_NONCE,
		    "cmp: RFC 9483 3.1: recipNonce in a first message");
	return 0;
}
