/* CMP messages as peers, broken ones and hostile ones, send them. */
#include "cmp_fixture.h"

#include <openssl/err.h>

#include "common/pki/cmp_msg.h"

static const uint8_t many[128];

/* Object identifiers' octets. */
#define ECDSA_SHA256 "\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define ECDSA_SHA1   "\x2a\x86\x48\xce\x3d\x04\x01"
#define RSA_PSS	     "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
#define PBM	     "\x2a\x86\x48\x86\xf6\x7d\x07\x42\x0d"
#define DH_MAC	     "\x2a\x86\x48\x86\xf6\x7d\x07\x42\x1e"
#define PBMAC1	     "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0e"
#define KMAC256	     "\x60\x86\x48\x01\x65\x03\x04\x02\x14"

/* ---- crafted headers --------------------------------------------------- */

/* A header by hand; lengths of what is filled with zeros, 0: left out. */
struct raw {
	long pvno;
	size_t tid, nonce, recip_nonce;
	const char *alg;    /* OID octets; NULL: none */
	const char *sender; /* GeneralName in hex; NULL: the NULL-DN */
	const char *more;   /* elements behind the others, in hex */
	const char *body;   /* in hex; NULL: pollReq 0 */
	const char *tail;   /* behind the body, in hex; NULL: a signature */
};

static const struct raw plain = { 2, 16, 16, 0, ECDSA_SHA256 };

static void
add_hex(struct buf *out, const char *hex)
{
	size_t n = strlen(hex) / 2;

	if (n > 0)
		assert_int_equal(hex_parse(hex, buf_grow(out, n), n, NULL), 0);
}

static void
add_filled(struct buf *out, enum cmp_field f, size_t len)
{
	size_t at = out->len;

	if (len == 0)
		return;
	der_add(out, DER_OCTETS, bytes_of(many, len));
	der_close(out, at, (uint8_t)DER_CTX(f));
}

static void
craft(const struct raw *r, struct buf *out)
{
	size_t at;

	der_add_long(out, r->pvno);
	add_hex(out, r->sender != NULL ? r->sender : "a4023000");
	add_hex(out, "a4023000");
	if (r->alg != NULL) {
		at = out->len;
		der_add(out, DER_OID, bytes_of(r->alg, strlen(r->alg)));
		der_close(out, at, DER_SEQ);
		der_close(out, at, DER_CTX(1));
	}
	add_filled(out, CMP_TRANSACTION_ID, r->tid);
	add_filled(out, CMP_SENDER_NONCE, r->nonce);
	add_filled(out, CMP_RECIP_NONCE, r->recip_nonce);
	add_hex(out, r->more != NULL ? r->more : "");
	der_close(out, 0, DER_SEQ);
	add_hex(out, r->body != NULL ? r->body : "b90730053003020100");
	add_hex(out, r->tail != NULL ? r->tail : "a00403020000");
	der_close(out, 0, DER_SEQ);
}

static void
headers_checked(void **state)
{
	static const struct {
		const char *what;
		struct raw raw;
		uint32_t fail; /* 0: fine */
	} cases[] = {
		{ "plain", { 2, 16, 16, 0, ECDSA_SHA256 }, 0 },
		{ "pvno 3", { 3, 16, 16, 0, ECDSA_SHA256 }, 0 },
		{ "recipNonce in a pollReq", { 2, 16, 16, 16, ECDSA_SHA256 },
		    0 },
		{ "nonce of 64", { 2, 16, 64, 0, ECDSA_SHA256 }, 0 },
		{ "pvno 1", { 1, 16, 16, 0, ECDSA_SHA256 },
		    CMP_UNSUPPORTED_VERSION },
		{ "pvno 4", { 4, 16, 16, 0, ECDSA_SHA256 },
		    CMP_UNSUPPORTED_VERSION },
		{ "pvno -2", { -2, 16, 16, 0, ECDSA_SHA256 },
		    CMP_UNSUPPORTED_VERSION },
		{ "no transactionID", { 2, 0, 16, 0, ECDSA_SHA256 },
		    CMP_BAD_DATA_FORMAT },
		{ "short transactionID", { 2, 15, 16, 0, ECDSA_SHA256 },
		    CMP_BAD_DATA_FORMAT },
		{ "long transactionID", { 2, 17, 16, 0, ECDSA_SHA256 },
		    CMP_BAD_DATA_FORMAT },
		{ "no nonce", { 2, 16, 0, 0, ECDSA_SHA256 },
		    CMP_BAD_SENDER_NONCE },
		{ "short nonce", { 2, 16, 15, 0, ECDSA_SHA256 },
		    CMP_BAD_SENDER_NONCE },
		{ "no protection", { 2, 16, 16, 0, ECDSA_SHA256, .tail = "" },
		    CMP_BAD_MESSAGE_CHECK },
		{ "no algorithm", { 2, 16, 16, 0, NULL },
		    CMP_BAD_MESSAGE_CHECK },
		{ "PBM", { 2, 16, 16, 0, PBM }, CMP_WRONG_INTEGRITY },
		{ "PBMAC1", { 2, 16, 16, 0, PBMAC1 }, CMP_WRONG_INTEGRITY },
		{ "DH MAC", { 2, 16, 16, 0, DH_MAC }, CMP_WRONG_INTEGRITY },
		{ "KMAC", { 2, 16, 16, 0, KMAC256 }, CMP_WRONG_INTEGRITY },
		{ "SHA-1", { 2, 16, 16, 0, ECDSA_SHA1 }, CMP_BAD_ALG },
		{ "PSS with SHA-1", { 2, 16, 16, 0, RSA_PSS }, CMP_BAD_ALG },
		{ "unknown algorithm", { 2, 16, 16, 0, "\x2a\x03" },
		    CMP_BAD_ALG },
		{ "sender is a DNS name",
		    { 2, 16, 16, 0, ECDSA_SHA256, .sender = "820161" },
		    CMP_BAD_DATA_FORMAT },
		{ "recipNonce in an rr",
		    { 2, 16, 16, 16, ECDSA_SHA256, .body = "ab023000" },
		    CMP_BAD_RECIPIENT_NONCE },
	};
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cmp_msg *m;
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		buf_reset(&der);
		craft(&cases[i].raw, &der);
		m = fixture_parse(buf_bytes(&der));
		rc = cmp_check_header(m, &e);
		if (rc != (cases[i].fail == 0 ? 0 : -1) ||
		    (rc == -1 && err_cmp_fail(&e) != cases[i].fail))
			fail_msg("%s: %d %s", cases[i].what, rc, e.msg);
		cmp_free(m);
	}
}

static void
mac_is_named_in_the_refusal(void **state)
{
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct raw raw = plain;
	struct err e = ERR_INIT;

	(void)state;
	raw.alg = PBM;
	craft(&raw, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_check_header(m, &e), -1);
	assert_non_null(strstr(e.msg, "MAC"));
}

/* ---- what is not parsed ------------------------------------------------ */

static void
refused(const char *what, struct bytes der, const char *why)
{
	struct cmp_msg *m = (struct cmp_msg *)0x7777;
	struct err e = ERR_INIT;

	if (cmp_parse(der, &m, &e) != -1)
		fail_msg("%s: accepted", what);
	assert_ptr_equal(m, (struct cmp_msg *)0x7777);
	assert_int_equal(e.kind, ERR_INPUT);
	if (err_cmp_fail(&e) != CMP_BAD_DATA_FORMAT ||
	    strstr(e.msg, why) == NULL)
		fail_msg("%s: %s", what, e.msg);
}

static void
malformed_messages(void **state)
{
	static const struct {
		const char *what;
		struct raw raw;
		const char *why;
	} cases[] = {
		{ "body tag 27", { .body = "bb023000" }, "body tag bb" },
		{ "body is universal", { .body = "3000" }, "body tag 30" },
		{ "body of indefinite length", { .body = "b98030000000" },
		    "not a PKIMessage" },
		{ "indefinite length below the body's top",
		    { .body = "b90430800000" }, "not one element" },
		{ "body of two elements", { .body = "b90430003000" },
		    "not one element" },
		{ "empty body", { .body = "b900" }, "not one element" },
		{ "length not shortest", { .body = "b981023000" },
		    "not a PKIMessage" },
		{ "indefinite length in the header", { .more = "a88030000000" },
		    "header is not DER" },
		{ "indefinite length deep in the header",
		    { .more = "a80c300a3008060355040330800000" },
		    "header is not DER" },
		{ "field 9", { .more = "a9023000" }, "field a9" },
		{ "field that is no context tag", { .more = "020100" },
		    "out of order" },
		{ "field twice", { .more = "a5040402aaaaa5040402aaaa" },
		    "out of order" },
		{ "fields out of order", { .more = "a6040402aaaaa5040402aaaa" },
		    "out of order" },
		{ "nonce of another type", { .more = "a6030c0161" },
		    "recipNonce malformed" },
		{ "two nonces in one", { .more = "a606040100040100" },
		    "recipNonce malformed" },
		{ "nonce of 65", { .recip_nonce = 65 }, "over 64" },
		{ "implicitConfirm that is not NULL",
		    { .more = "a811300f300d06082b0601050507040d0c0179" },
		    "not NULL" },
		{ "generalInfo empty", { .more = "a8023000" }, "generalInfo" },
		{ "generalInfo item empty", { .more = "a80430023000" },
		    "generalInfo" },
		{ "generalInfo item no SEQUENCE", { .more = "a80430020500" },
		    "generalInfo" },
		{ "certProfile empty",
		    { .more = "a810300e300c06082b060105050704153000" },
		    "certProfile" },
		{ "certProfile of no octets",
		    { .more = "a8123010300e06082b0601050507041530020c00" },
		    "certProfile" },
		{ "certProfile with a newline",
		    { .more = "a8133011300f06082b0601050507041530030c010a" },
		    "certProfile" },
		{ "certProfile with a NUL",
		    { .more = "a8133011300f06082b0601050507041530030c0100" },
		    "certProfile" },
		{ "certProfile not UTF-8",
		    { .more = "a8133011300f06082b0601050507041530030c01ff" },
		    "certProfile" },
		{ "certProfile of two names",
		    { .more = "a8163014301206082b0601050507041530060c01610c01"
			      "62" },
		    "certProfile" },
		{ "certProfile twice",
		    { .more = "a8243022300f06082b0601050507041530030c0161300f"
			      "06082b0601050507041530030c0161" },
		    "certProfile" },
		{ "sender no GeneralName", { .sender = "3000" }, "sender" },
		{ "sender no Name", { .sender = "a4020500" }, "sender" },
		{ "sender with something behind", { .sender = "a40430000500" },
		    "sender" },
		{ "protection no BIT STRING", { .tail = "a004040200ff" },
		    "not a PKIMessage" },
		{ "extraCerts empty", { .tail = "a00403020000a1023000" },
		    "extraCerts" },
		{ "extraCerts no SEQUENCE", { .tail = "a00403020000a1020500" },
		    "extraCerts" },
		{ "extraCert no certificate",
		    { .tail = "a00403020000a10430023000" }, "extraCerts" },
		{ "extraCerts before the protection",
		    { .tail = "a1023000a00403020000" }, "not a PKIMessage" },
		{ "something behind extraCerts",
		    { .tail = "a00403020000a2023000" }, "not a PKIMessage" },
	};
	struct buf der AUTO_BUF = { 0 };
	struct raw raw;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		raw = cases[i].raw;
		raw.pvno = plain.pvno;
		raw.alg = plain.alg;
		raw.tid = plain.tid;
		/* Where a case tells its own field 5, ours stays away. */
		raw.nonce = raw.more != NULL && strstr(raw.more, "a504") != NULL
		    ? 0
		    : 16;
		buf_reset(&der);
		craft(&raw, &der);
		refused(cases[i].what, buf_bytes(&der), cases[i].why);
	}
}

static void
message_time_is_a_time(void **state)
{
	struct fixture *f = *state;
	struct cmp_head h = fixture_head();
	struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cmp_msg *m = NULL;
	uint8_t *at;

	cmp_body_pollreq(0, &body);
	h.message_time = 1800000000;
	fixture_build(&h, buf_bytes(&body), f->device, &out);
	cmp_free(fixture_parse(buf_bytes(&out)));
	at = memmem(out.data, out.len,
	    "\x18\x0f"
	    "2027",
	    6);
	assert_non_null(at);
	at[8] = '9';
	assert_int_equal(cmp_parse(buf_bytes(&out), &m, &e), -1);
	assert_null(m);
	assert_int_equal(e.fail, CMP_BAD_DATA_FORMAT);
	assert_non_null(strstr(e.msg, "messageTime"));
}

static void
not_even_a_frame(void **state)
{
	static const struct {
		const char *what, *hex;
	} cases[] = {
		{ "nothing", "" },
		{ "one octet", "30" },
		{ "empty SEQUENCE", "3000" },
		{ "SEQUENCE of empty ones", "300430003000" },
		{ "another type", "310430003000" },
		{ "indefinite length", "30803000a00230000000" },
		{ "high tag", "1f0100" },
		{ "length of four octets", "308400000000" },
		{ "length beyond the end", "30820fff" },
	};
	struct buf der AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		buf_reset(&der);
		add_hex(&der, cases[i].hex);
		refused(cases[i].what, buf_bytes(&der), "cmp: ");
	}
}

static void
trailing_octets(void **state)
{
	struct buf der AUTO_BUF = { 0 };

	fixture_ir(*state, &der);
	buf_add(&der, "", 1);
	refused("one octet", buf_bytes(&der), "1 trailing");
}

/* Each copy has its own memory, for the address sanitizer to fence. */
static void
truncated_anywhere(void **state)
{
	struct buf der AUTO_BUF = { 0 };
	struct buf part;
	size_t n;

	fixture_ir(*state, &der);
	for (n = 0; n < der.len; n++) {
		part = bytes_dup(bytes_of(der.data, n));
		refused("truncated", buf_bytes(&part), "cmp: ");
		buf_done(&part);
	}
}

static void
sizes(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;

	/* A nested message may be longer than 64 KiB, others may not. */
	memset(buf_grow(&body, 70000), 0, 70000);
	der_close(&body, 0, DER_OCTETS);
	der_close(&body, 0, DER_SEQ);
	der_close(&body, 0, DER_CTX(CMP_NESTED));
	fixture_build(&h, buf_bytes(&body), f->registrar, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_body(m), CMP_NESTED);
	body.data[0] = DER_CTX(CMP_GENM);
	assert_int_equal(
	    cmp_build(&h, buf_bytes(&body), f->registrar, NULL, &der, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	/* The body follows SEQUENCE and header: change its tag in place. */
	((uint8_t *)m->body.p)[0] = DER_CTX(CMP_GENM);
	refused("genm of 70000", cmp_der(m), "limit 65536");
	buf_reset(&body);
	memset(buf_grow(&body, CMP_NESTED_MAX + 1), 0, CMP_NESTED_MAX + 1);
	refused("over 96 KiB", buf_bytes(&body), "limit 98304");
}

static void
extra_certs(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 }, list AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct raw raw = plain;
	AUTO(char) tail = NULL;
	int i;

	for (i = 0; i < CMP_EXTRA_MAX; i++)
		ossl_cert_der(f->issued, &list);
	der_close(&list, 0, DER_SEQ);
	der_close(&list, 0, DER_CTX(1));
	tail = xmalloc(2 * list.len + 1);
	raw.tail = hex_format(tail, list.data, list.len);
	craft(&raw, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(sk_X509_num(cmp_extra_certs(m)), CMP_EXTRA_MAX);
	assert_false(cmp_is_protected(m));

	buf_reset(&list);
	for (i = 0; i < CMP_EXTRA_MAX + 1; i++)
		ossl_cert_der(f->issued, &list);
	der_close(&list, 0, DER_SEQ);
	der_close(&list, 0, DER_CTX(1));
	free(tail);
	tail = xmalloc(2 * list.len + 1);
	raw.tail = hex_format(tail, list.data, list.len);
	buf_reset(&der);
	craft(&raw, &der);
	refused("eleven", buf_bytes(&der), "extraCerts are not 1 to 10");
}

static void
der_or_not(void **state)
{
	static const struct {
		const char *hex;
		bool strict;
	} cases[] = {
		{ "", true },
		{ "0500", true },
		{ "05000500", true },
		{ "30040500a000", true },
		{ "0401aa", true },
		{ "048080", false },
		{ "30800000", false },
		{ "a00430800000", false },
		{ "1f0100", false },
		{ "30031f0100", false },
		{ "0000", false },
		{ "0402aa", false },
		{ "3003040200", false },
		{ "048101aa", false },
		{ "04820001aa", false },
		{ "04840000000100", false },
		{ "04", false },
		{ "0481", false },
	};
	struct buf der AUTO_BUF = { 0 };
	struct der d;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		buf_reset(&der);
		add_hex(&der, cases[i].hex);
		if (der_strict(buf_bytes(&der)) != cases[i].strict)
			fail_msg("%s", cases[i].hex);
	}
	/* Nothing is given out beyond the end. */
	d = der_open(bytes_of("\x04\x02\xaa", 3));
	assert_null(der_value(&d, DER_OCTETS).p);
	assert_true(d.bad);
	/* 80 is no length, not even with 128 octets behind it. */
	buf_reset(&der);
	memset(buf_grow(&der, 130), 0, 130);
	der.data[0] = DER_OCTETS;
	der.data[1] = 0x80;
	assert_false(der_strict(buf_bytes(&der)));
}

static void
depth(void **state)
{
	struct buf der AUTO_BUF = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 33; i++) {
		assert_true(der_strict(buf_bytes(&der)));
		der_close(&der, 0, DER_SEQ);
	}
	assert_false(der_strict(buf_bytes(&der)));
}

/* ---- protection -------------------------------------------------------- */

static void
ir_as_sent(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_request r = { 0 };
	struct err e = ERR_INIT;
	X509 *signer;

	fixture_ir(f, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_true(bytes_eq(cmp_der(m), buf_bytes(&der)));
	assert_ptr_not_equal(cmp_der(m).p, der.data);
	assert_int_equal(cmp_body(m), CMP_IR);
	assert_int_equal(cmp_pvno(m), 2);
	assert_true(bytes_eq(cmp_transaction_id(m), bytes_of(fixture_tid, 16)));
	assert_true(bytes_eq(cmp_sender_nonce(m), bytes_of(fixture_nonce, 16)));
	assert_int_equal(cmp_recip_nonce(m).len, 0);
	assert_int_equal(X509_NAME_cmp(cmp_sender(m),
			     X509_get_subject_name(f->device->cert)),
	    0);
	assert_int_equal(X509_NAME_cmp(cmp_recipient(m),
			     X509_get_subject_name(f->registrar->cert)),
	    0);
	assert_false(cmp_implicit_confirm(m));
	assert_string_equal(cmp_profile(m), "");
	assert_int_equal(cmp_check_header(m, &e), 0);
	assert_non_null(signer = cmp_find_signer(m, NULL, &e));
	assert_int_equal(X509_cmp(signer, f->device->cert), 0);
	assert_int_equal(cmp_verify(m, signer, &e), 0);
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_int_equal(r.id, 0);
	assert_int_equal(EVP_PKEY_eq(r.pubkey, f->new_key), 1);
	assert_int_equal(
	    X509_NAME_cmp(r.subject, X509_get_subject_name(f->issued)), 0);
	cmp_request_done(&r);
	assert_int_equal(ERR_peek_error(), 0);
}

static bool
holds(struct bytes der, X509 *signer)
{
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;
	bool ok;

	ok = cmp_parse(der, &m, &e) == 0 && cmp_check_header(m, &e) == 0 &&
	    cmp_verify(m, signer, &e) == 0;
	assert_int_equal(ERR_peek_error(), 0);
	if (!ok)
		assert_int_not_equal(e.kind, ERR_NONE);
	return ok;
}

/* One bit anywhere in header, body or protection; extraCerts are behind. */
static void
tampered_anywhere(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	size_t i, end;

	fixture_ir(f, &der);
	m = fixture_parse(buf_bytes(&der));
	end = (size_t)(m->protection.p - m->der.data) + m->protection.len;
	assert_true(holds(buf_bytes(&der), f->device->cert));
	for (i = 0; i < der.len; i++) {
		der.data[i] ^= (uint8_t)(1 << i % 8);
		if (holds(buf_bytes(&der), f->device->cert) && i < end)
			fail_msg("octet %zu of %zu", i, end);
		der.data[i] ^= (uint8_t)(1 << i % 8);
	}
}

static void
tampered_body_says_so(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	cmp_body_pollreq(0, &body);
	fixture_build(&h, buf_bytes(&body), f->device, &der);
	m = fixture_parse(buf_bytes(&der));
	((uint8_t *)m->body.p)[m->body.len - 1] = 0xff;
	assert_int_equal(cmp_verify(m, f->device->cert, &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_MESSAGE_CHECK);
}

static void
another_key(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };

	fixture_ir(f, &der);
	assert_false(holds(buf_bytes(&der), f->registrar->cert));
}

static void
unprotected_does_not_verify(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct raw raw = plain;
	struct err e = ERR_INIT;

	raw.tail = "";
	craft(&raw, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_verify(m, f->device->cert, &e), -1);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_MESSAGE_CHECK);
}

static void
weak_signer_is_not_tried(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	AUTO(X509) cert = NULL;
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	assert_non_null(key);
	cert = fixture_cert("weak", key, f->sub, f->sub_key);
	fixture_ir(f, &der);
	m = fixture_parse(buf_bytes(&der));
	assert_int_equal(cmp_verify(m, cert, &e), -1);
	assert_int_equal(err_cmp_fail(&e), CMP_BAD_ALG);
}

static void
signer_by_name_and_key_id(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 }, der AUTO_BUF = { 0 };
	struct buf alien AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) twin = fixture_cert("device", key, f->sub, f->sub_key);
	AUTO(X509) alias =
	    fixture_cert("alias", f->device->key, f->sub, f->sub_key);
	struct cmp_head h = fixture_head();
	struct signer *no_extra;
	AUTO(cmp_msg) m = NULL;
	AUTO(cmp_msg) other = NULL;
	struct err e = ERR_INIT;
	struct raw raw = plain;

	cmp_body_pollreq(0, &body);
	no_extra = signer_new(f->device->key, f->device->cert, NULL);
	fixture_build(&h, buf_bytes(&body), no_extra, &der);
	signer_free(no_extra);
	m = fixture_parse(buf_bytes(&der));
	/* The same name with another key is not the signer. */
	X509_free(sk_X509_delete(m->extra, 0));
	assert_null(cmp_find_signer(m, NULL, &e));
	assert_int_equal(e.kind, ERR_TRUST);
	assert_int_equal(err_cmp_fail(&e), CMP_SIGNER_NOT_TRUSTED);
	assert_null(cmp_find_signer(m, twin, &e));
	assert_null(cmp_find_signer(m, alias, &e));
	assert_ptr_equal(
	    cmp_find_signer(m, f->device->cert, &e), f->device->cert);
	/* A sender without a directoryName is nobody. */
	raw.sender = "820161";
	craft(&raw, &alien);
	other = fixture_parse(buf_bytes(&alien));
	assert_null(cmp_sender(other));
	assert_null(cmp_find_signer(other, f->device->cert, &e));
}

/* ---- requests ---------------------------------------------------------- */

enum pop {
	POP_GOOD,
	POP_NONE,
	POP_RA_VERIFIED,
	POP_INPUT,
	POP_MAC,
	POP_SHA1,
	POP_OTHER_KEY
};

struct crmf {
	const char *what;
	long id;
	int subject, key; /* present */
	enum pop pop;
	int messages;
	uint32_t fail;
};

/* A proof that holds, by an algorithm that is not accepted any more. */
static void
sign_sha1(EVP_PKEY *key, struct bytes req, struct buf *msg)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[128] = { 0 };
	size_t at = msg->len, len = sizeof(sig) - 1;

	der_add(msg, DER_OID, bytes_of(ECDSA_SHA1, strlen(ECDSA_SHA1)));
	der_close(msg, at, DER_SEQ);
	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha1(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig + 1, &len, req.p, req.len), 1);
	EVP_MD_CTX_free(ctx);
	der_add(msg, DER_BITS, bytes_of(sig, 1 + len));
	der_close(msg, at, DER_CTX(1));
}

static void
craft_pop(struct fixture *f, enum pop pop, struct bytes req, struct buf *msg)
{
	EVP_PKEY *key = pop == POP_OTHER_KEY ? f->root_key : f->new_key;
	struct err e = ERR_INIT;
	size_t at = msg->len;

	if (pop == POP_SHA1) {
		sign_sha1(key, req, msg);
		return;
	}
	if (pop == POP_NONE)
		return;
	if (pop == POP_RA_VERIFIED) {
		add_hex(msg, "8000");
		return;
	}
	if (pop == POP_INPUT)
		add_hex(msg, "a000");
	if (pop == POP_MAC) {
		der_add(msg, DER_OID, bytes_of(PBM, strlen(PBM)));
		der_close(msg, at, DER_SEQ);
	} else {
		assert_int_equal(cmp_sign_alg(key, msg, &e), 0);
	}
	assert_int_equal(cmp_sign(key, req, msg, &e), 0);
	der_close(msg, at, DER_CTX(1));
}

static void
craft_crmf(struct fixture *f, const struct crmf *c, struct buf *body)
{
	struct buf req AUTO_BUF = { 0 };
	size_t at, field;
	int i;

	der_add_long(&req, c->id);
	at = field = req.len;
	if (c->subject) {
		ossl_name_der(X509_get_subject_name(f->issued), &req);
		der_close(&req, field, DER_CTX(5));
	}
	if (c->key) {
		field = req.len;
		ossl_spki_der(f->new_key, &req);
		req.data[field] = DER_CTX(6);
	}
	der_close(&req, at, DER_SEQ);
	der_close(&req, 0, DER_SEQ);
	for (i = 0; i < c->messages; i++) {
		at = body->len;
		buf_add(body, req.data, req.len);
		craft_pop(f, c->pop, buf_bytes(&req), body);
		der_close(body, at, DER_SEQ);
	}
	der_close(body, 0, DER_SEQ);
	der_close(body, 0, DER_CTX(CMP_IR));
}

/* Parses a message of this body by the device. */
static struct cmp_msg *
message(struct fixture *f, struct bytes body)
{
	struct buf der AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();

	fixture_build(&h, body, f->device, &der);
	return fixture_parse(buf_bytes(&der));
}

static void
request_must(
    struct fixture *f, const char *what, struct bytes body, uint32_t fail)
{
	AUTO(cmp_msg) m = message(f, body);
	struct cmp_request r = { .id = 7777 };
	struct err e = ERR_INIT;
	int rc = cmp_read_request(m, &r, &e);

	if (rc != (fail == 0 ? 0 : -1) ||
	    (rc == -1 && err_cmp_fail(&e) != fail))
		fail_msg("%s: %d %s", what, rc, e.msg);
	if (rc == -1) {
		assert_int_equal(r.id, 7777);
		assert_null(r.pubkey);
		assert_int_equal(e.kind, ERR_INPUT);
	} else {
		cmp_request_done(&r);
	}
	assert_int_equal(ERR_peek_error(), 0);
}

static void
certificate_requests(void **state)
{
	static const struct crmf cases[] = {
		{ "plain", 0, 1, 1, POP_GOOD, 1, 0 },
		{ "none", 0, 1, 1, POP_GOOD, 0, CMP_BAD_REQUEST },
		{ "two", 0, 1, 1, POP_GOOD, 2, CMP_BAD_REQUEST },
		{ "certReqId 1", 1, 1, 1, POP_GOOD, 1, CMP_BAD_REQUEST },
		{ "no proof", 0, 1, 1, POP_NONE, 1, CMP_BAD_POP },
		{ "raVerified", 0, 1, 1, POP_RA_VERIFIED, 1, CMP_BAD_POP },
		{ "poposkInput", 0, 1, 1, POP_INPUT, 1, CMP_BAD_POP },
		{ "another key's proof", 0, 1, 1, POP_OTHER_KEY, 1,
		    CMP_BAD_POP },
		{ "MAC as proof", 0, 1, 1, POP_MAC, 1, CMP_BAD_POP },
		{ "SHA-1 as proof", 0, 1, 1, POP_SHA1, 1, CMP_BAD_POP },
		{ "no subject", 0, 0, 1, POP_GOOD, 1, CMP_BAD_CERT_TEMPLATE },
		{ "no key", 0, 1, 0, POP_GOOD, 1, CMP_BAD_CERT_TEMPLATE },
	};
	struct buf body AUTO_BUF = { 0 };
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		buf_reset(&body);
		craft_crmf(*state, &cases[i], &body);
		request_must(
		    *state, cases[i].what, buf_bytes(&body), cases[i].fail);
	}
}

static void
keys_nobody_should_certify(void **state)
{
	static const struct {
		const char *what, *type, *param;
	} cases[] = {
		{ "RSA of 1024 bits", "RSA", NULL },
		{ "P-224", "EC", "P-224" },
		{ "secp256k1", "EC", "secp256k1" },
	};
	struct fixture *f = *state;
	X509_NAME *name = X509_get_subject_name(f->issued);
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	EVP_PKEY *k;
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		if (strcmp(cases[i].type, "RSA") == 0)
			k = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
		else
			k = EVP_PKEY_Q_keygen(
			    NULL, NULL, cases[i].type, cases[i].param);
		assert_non_null(k);
		buf_reset(&body);
		assert_int_equal(
		    cmp_body_certreq(CMP_IR, k, name, &body, &e), 0);
		request_must(f, cases[i].what, buf_bytes(&body), CMP_BAD_ALG);
		buf_reset(&body);
		assert_int_equal(cmp_body_p10cr(k, name, &body, &e), 0);
		request_must(f, cases[i].what, buf_bytes(&body), CMP_BAD_ALG);
		EVP_PKEY_free(k);
	}
}

static void
p10cr_as_sent(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_request r = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(cmp_body_p10cr(f->new_key,
			     X509_get_subject_name(f->issued), &body, &e),
	    0);
	m = message(f, buf_bytes(&body));
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_int_equal(r.id, -1);
	assert_int_equal(EVP_PKEY_eq(r.pubkey, f->new_key), 1);
	assert_int_equal(
	    X509_NAME_cmp(r.subject, X509_get_subject_name(f->issued)), 0);
	cmp_request_done(&r);
	/* The signature is what the CSR ends with. */
	body.data[body.len - 1] ^= 1;
	request_must(f, "tampered CSR", buf_bytes(&body), CMP_BAD_POP);
}

static void
null_dn_is_no_subject(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(X509_NAME) empty = X509_NAME_new();
	AUTO(cmp_msg) m = NULL;
	struct cmp_request r = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(
	    cmp_body_certreq(CMP_IR, f->new_key, empty, &body, &e), 0);
	m = message(f, buf_bytes(&body));
	assert_int_equal(cmp_read_request(m, &r, &e), 0);
	assert_null(r.subject);
	assert_non_null(r.pubkey);
	cmp_request_done(&r);
}

/* The template's digest tells templates apart, not the messages around. */
static void
template_digest(void **state)
{
	struct fixture *f = *state;
	struct digest d[3];
	X509 *named[3] = { f->issued, f->issued, f->ra->cert };
	struct err e = ERR_INIT;
	size_t i;

	for (i = 0; i < 3; i++) {
		struct buf body AUTO_BUF = { 0 };
		AUTO(cmp_msg) m = NULL;
		struct cmp_request r = { 0 };

		assert_int_equal(
		    cmp_body_certreq(CMP_IR, f->new_key,
			X509_get_subject_name(named[i]), &body, &e),
		    0);
		m = message(f, buf_bytes(&body));
		assert_int_equal(cmp_read_request(m, &r, &e), 0);
		d[i] = r.tmpl;
		cmp_request_done(&r);
	}
	assert_true(digest_eq(&d[0], &d[1]));
	assert_false(digest_eq(&d[0], &d[2]));
}

/* ---- other bodies ------------------------------------------------------ */

/* Which reader, what it must say of the body. */
static int
read_any(const struct cmp_msg *m, enum cmp_body reader, struct err *e)
{
	struct cmp_response response = { 0 };
	struct cmp_request request = { 0 };
	struct cmp_certconf conf;
	struct bytes inner;
	uint32_t secs;
	long id;
	int rc = -1;

	if (reader == CMP_POLLREQ)
		rc = cmp_read_pollreq(m, &id, e);
	else if (reader == CMP_POLLREP)
		rc = cmp_read_pollrep(m, &id, &secs, e);
	else if (reader == CMP_CERTCONF)
		rc = cmp_read_certconf(m, &conf, e);
	else if (reader == CMP_ERROR)
		rc = cmp_read_error(m, &response, e);
	else if (reader == CMP_NESTED)
		rc = cmp_read_nested(m, &inner, e);
	else if (reader == CMP_IP)
		rc = cmp_read_response(m, &response, e);
	else
		rc = cmp_read_request(m, &request, e);
	cmp_request_done(&request);
	cmp_response_done(&response);
	return rc;
}

static void
bodies_refused(void **state)
{
	static const struct {
		const char *what;
		enum cmp_body reader;
		const char *body;
		uint32_t fail;
	} cases[] = {
		{ "pollReq 0", CMP_POLLREQ, "b90730053003020100", 0 },
		{ "pollReq -1", CMP_POLLREQ, "b907300530030201ff", 0 },
		{ "pollReq empty", CMP_POLLREQ, "b9023000", CMP_BAD_REQUEST },
		{ "pollReq of two", CMP_POLLREQ, "b90c300a30030201003003020100",
		    CMP_BAD_REQUEST },
		{ "pollReq 1", CMP_POLLREQ, "b90730053003020101",
		    CMP_BAD_REQUEST },
		{ "pollReq -2", CMP_POLLREQ, "b907300530030201fe",
		    CMP_BAD_REQUEST },
		{ "pollReq without id", CMP_POLLREQ, "b90430023000",
		    CMP_BAD_DATA_FORMAT },
		{ "pollReq id of no octets", CMP_POLLREQ, "b906300430020200",
		    CMP_BAD_DATA_FORMAT },
		{ "pollReq id of 5 octets", CMP_POLLREQ,
		    "b90b3009300702050100000000", CMP_BAD_DATA_FORMAT },
		{ "pollReq id and more", CMP_POLLREQ, "b909300730050201000500",
		    CMP_BAD_DATA_FORMAT },
		{ "pollReq indefinite", CMP_POLLREQ, "b909300730800201000000",
		    CMP_BAD_DATA_FORMAT },
		{ "ip where pollReq belongs", CMP_POLLREQ, "a1023000",
		    CMP_BAD_REQUEST },
		{ "pollRep", CMP_POLLREP, "ba0b300930070201000202012c", 0 },
		{ "pollRep with reason", CMP_POLLREP,
		    "ba0f300d300b02010002010530030c0161", 0 },
		{ "pollRep of the past", CMP_POLLREP,
		    "ba0a300830060201000201ff", CMP_BAD_DATA_FORMAT },
		{ "pollRep for ever", CMP_POLLREP,
		    "ba0e300c300a02010002050100000000", CMP_BAD_DATA_FORMAT },
		{ "pollRep empty", CMP_POLLREP, "ba023000", CMP_BAD_REQUEST },
		{ "certConf", CMP_CERTCONF, "b80a300830060401aa020100", 0 },
		{ "certConf with SHA-256 named", CMP_CERTCONF,
		    "b819301730150401aa020100a00d300b0609608648016503040201",
		    0 },
		{ "certConf with status", CMP_CERTCONF,
		    "b80f300d300b0401aa0201003003020102", 0 },
		{ "certConf with SHA-1 named", CMP_CERTCONF,
		    "b815301330110401aa020100a009300706052b0e03021a",
		    CMP_BAD_ALG },
		{ "certConf empty", CMP_CERTCONF, "b8023000", CMP_BAD_REQUEST },
		{ "certConf of two", CMP_CERTCONF,
		    "b812301030060401aa02010030060401aa020100",
		    CMP_BAD_REQUEST },
		{ "certConf without id", CMP_CERTCONF, "b807300530030401aa",
		    CMP_BAD_DATA_FORMAT },
		{ "certConf with empty status", CMP_CERTCONF,
		    "b80c300a30080401aa0201003000", CMP_BAD_DATA_FORMAT },
		{ "ip waiting", CMP_IP, "a10e300c300a30080201003003020103", 0 },
		{ "ip of two", CMP_IP,
		    "a118301630143008020100300302010330080201003003020103",
		    CMP_BAD_DATA_FORMAT },
		{ "ip of none", CMP_IP, "a10430023000", CMP_BAD_DATA_FORMAT },
		{ "ip empty", CMP_IP, "a1023000", CMP_BAD_DATA_FORMAT },
		{ "ip accepted without certificate", CMP_IP,
		    "a10e300c300a30080201003003020100", CMP_BAD_DATA_FORMAT },
		{ "ip with unknown status", CMP_IP,
		    "a10e300c300a30080201003003020107", CMP_BAD_DATA_FORMAT },
		{ "ip with encrypted certificate", CMP_IP,
		    "a11430123010300e02010030030201003004a1023000",
		    CMP_BAD_DATA_FORMAT },
		{ "ip with certificate of nothing", CMP_IP,
		    "a11430123010300e02010030030201003004a0023000",
		    CMP_BAD_DATA_FORMAT },
		{ "ip with empty caPubs", CMP_IP,
		    "a1123010a1023000300a30080201003003020103",
		    CMP_BAD_DATA_FORMAT },
		{ "error", CMP_ERROR, "b70730053003020102", 0 },
		{ "error with all", CMP_ERROR,
		    "b71a3018300e02010230040c026e6f030306004002010530030c0161",
		    0 },
		{ "error without status", CMP_ERROR, "b7023000",
		    CMP_BAD_DATA_FORMAT },
		{ "error with empty text", CMP_ERROR, "b709300730050201023000",
		    CMP_BAD_DATA_FORMAT },
		{ "error with failInfo of nothing", CMP_ERROR,
		    "b709300730050201020300", CMP_BAD_DATA_FORMAT },
		{ "error with nine unused bits", CMP_ERROR,
		    "b70b30093007020102030209ff", CMP_BAD_DATA_FORMAT },
		{ "template out of order", CMP_IR,
		    "a0133011300f300d0201003008a6023000a5023000",
		    CMP_BAD_DATA_FORMAT },
		{ "template with field 10", CMP_IR,
		    "a00f300d300b30090201003004aa023000", CMP_BAD_DATA_FORMAT },
		{ "nested of one", CMP_NESTED, "b408300630043000a500", 0 },
		{ "nested of none", CMP_NESTED, "b4023000", CMP_BAD_REQUEST },
		{ "nested of two", CMP_NESTED,
		    "b40e300c30043000a50030043000a500", CMP_BAD_REQUEST },
		{ "nested in nested", CMP_NESTED, "b408300630043000b400",
		    CMP_BAD_REQUEST },
		{ "nested of something else", CMP_NESTED, "b40430020500",
		    CMP_BAD_REQUEST },
		{ "ir of nothing", CMP_IR, "a0023000", CMP_BAD_REQUEST },
		{ "ir of an empty message", CMP_IR, "a00430023000",
		    CMP_BAD_DATA_FORMAT },
		{ "ir of an empty request", CMP_IR, "a006300430023000",
		    CMP_BAD_DATA_FORMAT },
		{ "p10cr of nothing", CMP_IR, "a4023000", CMP_BAD_DATA_FORMAT },
		{ "genm as a request", CMP_IR, "b5023000", CMP_BAD_REQUEST },
	};
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	size_t i;
	int rc;

	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(cmp_msg) m = NULL;

		buf_reset(&body);
		add_hex(&body, cases[i].body);
		m = message(f, buf_bytes(&body));
		rc = read_any(m, cases[i].reader, &e);
		if (rc != (cases[i].fail == 0 ? 0 : -1) ||
		    (rc == -1 && err_cmp_fail(&e) != cases[i].fail))
			fail_msg("%s: %d %s", cases[i].what, rc, e.msg);
		assert_int_equal(ERR_peek_error(), 0);
	}
}

static void
texts_of_peers_are_one_line(void **state)
{
	struct fixture *f = *state;
	struct buf body AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;

	add_hex(&body, "b7133011300f02010230070c05610a1b62ff030100");
	m = message(f, buf_bytes(&body));
	assert_int_equal(cmp_read_error(m, &r, &e), 0);
	assert_string_equal(r.text, "a??b?");
	assert_int_equal(r.fail, 0);
	assert_int_equal(r.status, CMP_REJECTION);
	cmp_response_done(&r);
}

static void
names_and_responses(void **state)
{
	(void)state;
	assert_string_equal(cmp_body_name(CMP_IR), "ir");
	assert_string_equal(cmp_body_name(CMP_POLLREP), "pollRep");
	assert_string_equal(cmp_body_name((enum cmp_body)9), "?");
	assert_string_equal(cmp_body_name(CMP_BODY__MAX), "?");
	assert_int_equal(cmp_response_to(CMP_IR), CMP_IP);
	assert_int_equal(cmp_response_to(CMP_P10CR), CMP_CP);
	assert_int_equal(cmp_response_to(CMP_KUR), CMP_KUP);
	assert_int_equal(cmp_response_to(CMP_CERTCONF), CMP_PKICONF);
	assert_int_equal(cmp_response_to(CMP_NESTED), CMP_ERROR);
	assert_int_equal(cmp_response_to((enum cmp_body)99), CMP_ERROR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_checked),
		cmocka_unit_test(mac_is_named_in_the_refusal),
		cmocka_unit_test(malformed_messages),
		cmocka_unit_test(message_time_is_a_time),
		cmocka_unit_test(not_even_a_frame),
		cmocka_unit_test(trailing_octets),
		cmocka_unit_test(truncated_anywhere),
		cmocka_unit_test(sizes),
		cmocka_unit_test(extra_certs),
		cmocka_unit_test(der_or_not),
		cmocka_unit_test(depth),
		cmocka_unit_test(ir_as_sent),
		cmocka_unit_test(tampered_anywhere),
		cmocka_unit_test(tampered_body_says_so),
		cmocka_unit_test(another_key),
		cmocka_unit_test(unprotected_does_not_verify),
		cmocka_unit_test(weak_signer_is_not_tried),
		cmocka_unit_test(signer_by_name_and_key_id),
		cmocka_unit_test(certificate_requests),
		cmocka_unit_test(keys_nobody_should_certify),
		cmocka_unit_test(p10cr_as_sent),
		cmocka_unit_test(null_dn_is_no_subject),
		cmocka_unit_test(template_digest),
		cmocka_unit_test(bodies_refused),
		cmocka_unit_test(texts_of_peers_are_one_line),
		cmocka_unit_test(names_and_responses),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
