/* Frames and headers of CMP messages as peers, broken ones and hostile ones,
 * send them. */
#include "cmp_raw.h"

/* ---- crafted headers --------------------------------------------------- */

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
		{ "long nonce", { 2, 16, CMP_NONCE_MAX, 0, ECDSA_SHA256 }, 0 },
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
		{ "nonce over the limit", { .recip_nonce = CMP_NONCE_MAX + 1 },
		    "over 256" },
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
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
