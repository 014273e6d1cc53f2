/* What the MASA client believes of an entry before it asks anybody. */
#include "tests/unit/crl_lab.h"
#include "tests/unit/voucher_lab.h"

#include "masa-client/judge.h"

static struct lab *lab;

static int
setup(void **state)
{
	(void)state;
	lab = lab_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	lab_free(lab);
	return 0;
}

/* ---- unwrapping -------------------------------------------------------- */

static void
test_unwrap(void **state)
{
	static const struct lab_voucher asks[] = { { .prefetch = false },
		{ .prefetch = true } };

	(void)state;
	for (size_t i = 0; i < NELEMS(asks); i++) {
		struct buf inner AUTO_BUF = { 0 };
		enum batch_code code;
		struct err e = ERR_INIT;
		struct lab_entry en;
		struct digest d;

		lab_voucher(lab, &asks[i], 1, &en);
		if (judge_unwrap(&en.h, lab->registrar->cert,
			buf_bytes(&en.octets), &inner, &code, &e) == -1)
			fail_msg("%s", e.msg);
		d = digest_of(inner.data, inner.len);
		assert_true(digest_eq(&d, &en.h.digest));
		assert_int_equal(
		    bytes_eq(buf_bytes(&inner), buf_bytes(&en.octets)),
		    asks[i].prefetch);
		lab_entry_done(&en);
	}
}

static void
spoil_digest(struct lab_entry *en)
{
	en->h.digest.b[0] ^= 1;
}

static void
spoil_size(struct lab_entry *en)
{
	memset(buf_grow(&en->octets, CMS_OCTETS_MAX), 0, CMS_OCTETS_MAX);
}

static void
spoil_end(struct lab_entry *en)
{
	en->octets.len--;
}

/* The registrar's signature is at the end. */
static void
spoil_signature(struct lab_entry *en)
{
	en->octets.data[en->octets.len - 1] ^= 1;
}

/* The pledge's request by itself, under its own digest. */
static void
spoil_wrapper(struct lab_entry *en)
{
	static const struct lab_voucher plain;

	buf_reset(&en->octets);
	lab_prior(lab, &plain, &en->octets);
	en->h.digest = digest_of(en->octets.data, en->octets.len);
}

/* Signed well by a registrar of the same site, but by another. */
static void
spoil_signer(struct lab_entry *en)
{
	AUTO(signer) other = lab_registrar(lab, LAB_SAN, LAB_REG_EKU);
	struct lab_voucher a = { .registrar = other };

	lab_entry_done(en);
	lab_voucher(lab, &a, 1, en);
}

/* SignedData around what is no voucher request. */
static void
spoil_json(struct lab_entry *en)
{
	struct err e = ERR_INIT;

	buf_reset(&en->octets);
	assert_int_equal(cms_sign(nid_json_voucher(), bytes_of("{}", 2),
			     lab->registrar, NULL, &en->octets, &e),
	    0);
}

static void
test_refused_for_good(void **state)
{
	static const struct {
		const char *what;
		void (*spoil)(struct lab_entry *en);
		enum batch_code code;
		const char *reason;
	} cases[] = {
		{ "size", spoil_size, BATCH_TOO_LARGE, "limit" },
		{ "cut", spoil_end, BATCH_BAD_SCHEMA, "registrar's request" },
		{ "tampered", spoil_signature, BATCH_NOT_AUTHORISED,
		    "signature" },
		{ "not the registrar's", spoil_wrapper, BATCH_NOT_AUTHORISED,
		    "signers" },
		{ "other registrar", spoil_signer, BATCH_NOT_AUTHORISED,
		    "signers" },
		{ "JSON", spoil_json, BATCH_BAD_SCHEMA, "voucher" },
		{ "digest", spoil_digest, BATCH_BAD_SCHEMA, "digest" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		static const struct lab_voucher plain;
		struct buf inner AUTO_BUF = { 0 };
		enum batch_code code = 0;
		struct err e = ERR_INIT;
		struct lab_entry en;

		lab_voucher(lab, &plain, 1, &en);
		cases[i].spoil(&en);
		if (judge_unwrap(&en.h, lab->registrar->cert,
			buf_bytes(&en.octets), &inner, &code, &e) == 0)
			fail_msg("%s: taken", cases[i].what);
		if (code != cases[i].code ||
		    strstr(e.msg, cases[i].reason) == NULL)
			fail_msg("%s: %s: %s", cases[i].what,
			    batch_code_name(code), e.msg);
		assert_int_equal(inner.len, 0);
		lab_entry_done(&en);
	}
}

/* ---- judging ----------------------------------------------------------- */

static struct revocation *revoked; /* by makers; NULL: nothing is */

static int
judge(const struct lab_voucher *a, struct request *ret, struct err *e)
{
	struct stamp now = clock_now();
	struct lab_entry en;
	int rc;

	lab_voucher(lab, a, 1, &en);
	rc = judge_request(
	    lab->vendors, revoked, &en.h, buf_bytes(&en.octets), &now, ret, e);
	lab_entry_done(&en);
	return rc;
}

static struct signer *
device_with_url(const char *url)
{
	struct lab_want w = {
		.cn = "device", .serial = "WB-0001", .masa_url = url
	};

	return lab_signer(&w, &lab->vendor_sub);
}

static void
test_judged_by_the_device(void **state)
{
	AUTO(signer) device = device_with_url("masa.acme.example");
	struct lab_voucher a = { .device = device, .vendor = "forged" };
	struct request r;
	struct err e = ERR_INIT;
	const struct fact *f;
	struct digest d;

	(void)state;
	if (judge(&a, &r, &e) == -1)
		fail_msg("%s", e.msg);
	assert_false(r.prefetch);
	assert_string_equal(r.vendor, "acme");
	assert_string_equal(r.serial, "WB-0001");
	assert_string_equal(r.url, "masa.acme.example");
	d = cert_device(device->cert, "");
	assert_true(digest_eq(&d, &r.device));
	f = facts_get(&r.facts, "vendor");
	assert_non_null(f);
	assert_int_equal(f->level, FACT_END_TO_END);
	assert_string_equal(f->value, "acme");

	a.device = NULL;
	assert_int_equal(judge(&a, &r, &e), 0);
	assert_string_equal(r.url, "");
}

static void
test_prefetch_is_the_registrars_word(void **state)
{
	struct lab_voucher a = { .prefetch = true, .vendor = "acme" };
	struct request r, other;
	struct err e = ERR_INIT;

	(void)state;
	if (judge(&a, &r, &e) == -1)
		fail_msg("%s", e.msg);
	assert_true(r.prefetch);
	assert_string_equal(r.vendor, "acme");
	assert_string_equal(r.url, "");
	assert_int_equal(facts_get(&r.facts, "vendor")->level, FACT_REGISTRAR);
	a.vendor = "other";
	assert_int_equal(judge(&a, &other, &e), 0);
	assert_false(digest_eq(&r.device, &other.device));
}

static void
test_refused(void **state)
{
	AUTO(signer) stranger = lab_device(&lab->stranger, "WB-0001");
	/* It would lead us somewhere, but nobody we know made it. */
	struct lab_want w = {
		.cn = "device", .serial = "WB-0001", .masa_url = "evil.example"
	};
	AUTO(signer) lure = lab_signer(&w, &lab->stranger);
	const struct {
		const char *what;
		struct lab_voucher ask;
		const char *reason;
	} cases[] = {
		{ "unknown maker", { .device = stranger }, "signer" },
		{ "unknown maker with a URL", { .device = lure }, "signer" },
		{ "the pledge's serial number", { .serial = "WB-0002" },
		    "pledge's request: RFC 8995 5.5: serial" },
		{ "the registrar's serial number", { .rvr_serial = "WB-0002" },
		    "registrar's request: RFC 8995 5.5: serial" },
		{ "another nonce", { .rvr_nonce = "YWJj" }, "nonce" },
		{ "nonce left out", { .rvr_nonce = "" }, "nonce" },
		{ "prefetch with a nonce",
		    { .prefetch = true, .rvr_nonce = "YWJj" }, "nonce" },
		{ "prefetch of nobody", { .prefetch = true, .vendor = "" },
		    "whose" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct err e = ERR_INIT;
		struct request r;

		if (judge(&cases[i].ask, &r, &e) == 0)
			fail_msg("%s: taken", cases[i].what);
		if (strstr(e.msg, cases[i].reason) == NULL)
			fail_msg("%s: %s", cases[i].what, e.msg);
		assert_string_equal(r.url, "");
	}
}

/* ---- makers' lists ----------------------------------------------------- */

static int
judge_listed(enum revocation_unknown u, struct request *ret, struct err *e)
{
	static const struct lab_voucher plain;
	const char *lists[] = { lab_path(lab, "vendor.crl") };
	const struct revocation_vendor vendor = { .name = "acme",
		.anchor = lab_path(lab, "vendor.crt"),
		.sub_ca = lab_path(lab, "vendor-sub.crt"),
		.lists = lists,
		.n = 1,
		.unknown = u };
	int rc;

	revoked = revocation_new();
	if (revocation_add(revoked, &vendor, e) == -1)
		fail_msg("%s", e->msg);
	rc = judge(&plain, ret, e);
	revocation_free(STEAL(revoked));
	return rc;
}

static void
test_makers_lists(void **state)
{
	static const struct {
		bool revokes, stale;
		enum revocation_unknown u;
		int rc;
		bool held;
		const char *fact, *reason;
	} cases[] = {
		{ false, false, REVOCATION_REFUSE, 0, false, "good", "" },
		{ true, false, REVOCATION_ACCEPT, -1, false, NULL, "revoked" },
		{ false, true, REVOCATION_ACCEPT, 0, false, "unknown", "" },
		{ false, true, REVOCATION_WAIT, 0, true, "unknown", "" },
		{ false, true, REVOCATION_REFUSE, -1, false, NULL, "nobody" },
		{ true, true, REVOCATION_WAIT, -1, false, NULL, "revoked" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		const struct fact *f;
		struct err e = ERR_INIT;
		struct request r;

		lab_save_list(lab, cases[i].revokes, cases[i].stale);
		if (judge_listed(cases[i].u, &r, &e) != cases[i].rc ||
		    r.held != cases[i].held ||
		    strstr(e.msg, cases[i].reason) == NULL)
			fail_msg("case %zu: %s", i, e.msg);
		f = facts_get(&r.facts, "revocation");
		if (cases[i].fact == NULL) {
			assert_null(f);
			continue;
		}
		assert_int_equal(f->level, FACT_END_TO_END);
		assert_string_equal(f->value, cases[i].fact);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_unwrap),
		TEST(test_refused_for_good),
		TEST(test_judged_by_the_device),
		TEST(test_prefetch_is_the_registrars_word),
		TEST(test_refused),
		TEST(test_makers_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
