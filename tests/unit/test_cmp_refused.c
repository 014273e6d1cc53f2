/* What of a message that cannot be read is left to answer it by. */
#include "cmp_raw.h"

#include <openssl/cmp.h>

/* Of those that cmp_parse refuses, each for another reason. */
static const struct {
	const char *what;
	struct raw raw;
	enum cmp_body type;
	bool named; /* its sender is a directoryName */
} answered[] = {
	{ "field that there is none of", { .more = "a9023000" }, CMP_POLLREQ,
	    true },
	{ "fields out of order", { .more = "a0023000" }, CMP_POLLREQ, true },
	{ "recipNonce of another type", { .more = "a6030c0161" }, CMP_POLLREQ,
	    true },
	{ "generalInfo empty", { .more = "a8023000" }, CMP_POLLREQ, true },
	{ "indefinite length", { .more = "a80a30800000" }, CMP_POLLREQ, true },
	{ "extraCerts empty", { .tail = "a00403020000a1023000" }, CMP_POLLREQ,
	    true },
	{ "something behind extraCerts", { .tail = "a00403020000a2023000" },
	    CMP_POLLREQ, true },
	{ "body of two elements", { .body = "b90430003000" }, CMP_POLLREQ,
	    true },
	{ "body of no type", { .body = "bb023000" }, CMP_BODY__MAX, true },
	{ "body that is universal", { .body = "3000" }, CMP_BODY__MAX, true },
	{ "sender no name", { .sender = "a4020500" }, CMP_POLLREQ, false },
	{ "sender in BER", { .sender = "a40430800000" }, CMP_POLLREQ, false },
	{ "sender two names", { .sender = "a40430003000" }, CMP_POLLREQ,
	    false },
	{ "sender nothing", { .sender = "3000", .more = "a9023000" },
	    CMP_POLLREQ, false },
};

static void
expect_refused(const char *what, struct bytes der)
{
	struct cmp_msg *m = NULL;
	struct err e = ERR_INIT;

	if (cmp_parse(der, &m, &e) == 0)
		fail_msg("%s: read", what);
}

static void
a_header_is_enough(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(answered); i++) {
		struct raw raw = answered[i].raw;
		struct buf der AUTO_BUF = { 0 };
		struct cmp_head h;

		raw.pvno = plain.pvno;
		raw.alg = plain.alg;
		raw.tid = 16;
		raw.nonce = 17;
		craft(&raw, &der);
		expect_refused(answered[i].what, buf_bytes(&der));
		AUTO(cmp_msg) m = cmp_parse_refused(buf_bytes(&der));
		if (m == NULL)
			fail_msg("%s: no answer", answered[i].what);
		assert_int_equal(cmp_body(m), answered[i].type);
		assert_int_equal(cmp_pvno(m), 2);
		cmp_head_reply(m, &h);
		assert_int_equal(h.pvno, 2);
		assert_int_equal(h.transaction_id.len, 16);
		assert_int_equal(h.recip_nonce.len, 17);
		assert_int_equal(h.recipient != NULL, answered[i].named);
	}
}

/* A client knows its transaction by its number, whatever that is. */
static void
long_numbers_come_back(void **state)
{
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 }, body AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct raw raw = plain;
	struct cmp_head h;
	struct err e = ERR_INIT;
	const ASN1_OCTET_STRING *tid;
	OSSL_CMP_MSG *oracle;
	const uint8_t *p;

	raw.tid = CMP_NONCE_MAX + 1;
	craft(&raw, &der);
	expect_refused("transactionID", buf_bytes(&der));
	AUTO(cmp_msg) m = cmp_parse_refused(buf_bytes(&der));
	assert_non_null(m);
	cmp_head_reply(m, &h);
	cmp_body_error(CMP_REJECTION, CMP_BAD_DATA_FORMAT, "long", &body);
	if (cmp_build(&h, buf_bytes(&body), f->registrar, NULL, &out, &e) == -1)
		fail_msg("%s", e.msg);
	p = out.data;
	oracle = d2i_OSSL_CMP_MSG(NULL, &p, (long)out.len);
	assert_non_null(oracle);
	tid = OSSL_CMP_HDR_get0_transactionID(OSSL_CMP_MSG_get0_header(oracle));
	assert_int_equal(ASN1_STRING_length(tid), CMP_NONCE_MAX + 1);
	OSSL_CMP_MSG_free(oracle);
}

/* There is no header, or no saying where it ends. */
static void
less_is_no_message(void **state)
{
	static const struct {
		const char *what, *hex;
	} cases[] = {
		{ "nothing", "" },
		{ "empty SEQUENCE", "3000" },
		{ "another type", "310430003000" },
		{ "indefinite length", "30803000a00230000000" },
		{ "header alone", "300c300a020102a4023000a40230" },
		{ "no pvno", "300e3008a4023000a4023000a0023000" },
		{ "no recipient", "300d3007020102a4023000a0023000" },
		{ "header no SEQUENCE", "300e3109020102a4023000a4023000a000" },
		{ "body beyond the end",
		    "3010300b020102a4023000a4023000a00530" },
	};
	struct buf der AUTO_BUF = { 0 };

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		buf_reset(&der);
		add_hex(&der, cases[i].hex);
		AUTO(cmp_msg) m = cmp_parse_refused(buf_bytes(&der));
		if (m != NULL)
			fail_msg("%s: answered", cases[i].what);
	}
}

static void
sizes_have_limits(void **state)
{
	struct buf der AUTO_BUF = { 0 }, more AUTO_BUF = { 0 };
	struct raw raw = plain;
	AUTO(char) hex = NULL;

	/* An unknown field of 8 KiB. */
	memset(buf_grow(&more, LIMIT_CMP_HEADER), 0, LIMIT_CMP_HEADER);
	der_close(&more, 0, DER_OCTETS);
	der_close(&more, 0, DER_CTX(9));
	hex = xmalloc(2 * more.len + 1);
	raw.more = hex_format(hex, more.data, more.len);
	craft(&raw, &der);
	AUTO(cmp_msg) wide = cmp_parse_refused(buf_bytes(&der));
	assert_null(wide);
	buf_reset(&more);
	memset(buf_grow(&more, CMP_NESTED_MAX + 1), 0, CMP_NESTED_MAX + 1);
	AUTO(cmp_msg) large = cmp_parse_refused(buf_bytes(&more));
	assert_null(large);
	(void)state;
}

/* Each copy has its own memory, for the address sanitizer to fence. */
static void
truncated_anywhere(void **state)
{
	struct buf der AUTO_BUF = { 0 };

	fixture_ir(*state, &der);
	for (size_t n = 0; n < der.len; n++) {
		struct buf part = bytes_dup(bytes_of(der.data, n));
		AUTO(cmp_msg) m = cmp_parse_refused(buf_bytes(&part));

		assert_null(m);
		buf_done(&part);
	}
	buf_add(&der, "", 1);
	AUTO(cmp_msg) m = cmp_parse_refused(buf_bytes(&der));
	assert_null(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_enough),
		cmocka_unit_test(long_numbers_come_back),
		cmocka_unit_test(less_is_no_message),
		cmocka_unit_test(sizes_have_limits),
		cmocka_unit_test(truncated_anywhere),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
