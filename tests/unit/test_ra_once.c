/* A real waybill-ra: what is asked again, given up, or forgotten by its site
 * leads to one certificate, or none. */
#include "tests/unit/ra_process.h"

#include "ra/clerk_int.h"

/* ---- the audit trail --------------------------------------------------- */

struct trail {
	char text[400];
};

/* The events of a case, one after the other. */
static struct trail
trail_of(unsigned id)
{
	struct trail t = { "" };
	char path[64];
	AUTO(json_t) j = NULL;
	const json_t *r;
	size_t i;

	snprintf(path, sizeof(path), "/v1/audit?case=%u", id);
	j = control(path);
	json_array_foreach(json_object_get(j, "audit"), i, r)
	{
		if (i > 0)
			strcat(t.text, " ");
		strcat(t.text, json_string_value(json_object_get(r, "event")));
	}
	return t;
}

static void
expect_trail(unsigned id, const char *want)
{
	struct trail t = trail_of(id);

	assert_string_equal(t.text, want);
}

static X509 *
answered(struct site *s, uint64_t id, const struct buf *request)
{
	struct buf answer AUTO_BUF = { 0 };
	char reason[160];

	assert_int_equal(site_answer(s, id, &answer, reason), BATCH_ANSWERED);
	return check_issued(request, &answer);
}

/* ---- the order of commits ---------------------------------------------- */

/* Killed after each of them: the next comes, and none twice. */
static void
test_killed_between_commits(void **state)
{
	struct lab_ask a = { .cn = "pump" };
	struct buf request AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;
	AUTO(X509) again = NULL;
	struct site s;

	(void)state;
	service_start(NO_CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	expect_trail(1, "seen");
	site_close(&s);
	assert_int_equal(service_stop(SIGKILL), -SIGKILL);

	service_start(CLOCK);
	site_open(&s);
	cert = answered(&s, 1, &request);
	expect_trail(1, "seen intent issued");
	site_close(&s);
	assert_int_equal(service_stop(SIGKILL), -SIGKILL);

	service_start(CLOCK);
	site_open(&s);
	again = answered(&s, 1, &request);
	assert_int_equal(X509_cmp(cert, again), 0);
	expect_trail(1, "seen intent issued");
	site_close(&s);
}

/* Nobody is served on the word of a ledger that may be an older copy. */
static void
test_silent_site_waits(void **state)
{
	struct lab_ask a = { .cn = "pump" };
	struct buf request AUTO_BUF = { 0 };
	AUTO(signer) registrar =
	    lab_registrar(lab, "URI:urn:waybill:site:paris", LAB_REG_EKU);
	AUTO(X509) cert = NULL;
	struct signer *berlin = lab->registrar;
	struct site s, paris;

	(void)state;
	service_start(NO_CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);

	lab_pair(lab, "paris", registrar);
	service_start(CLOCK);
	site_dial(&paris, "paris");
	lab->registrar = registrar;
	site_hello(&paris);
	{
		struct buf other AUTO_BUF = { 0 };
		AUTO(signer) device = lab_device(&lab->vendor_sub, "WB-0777");
		struct lab_ask b = { .device = device };
		AUTO(X509) theirs = NULL;

		/* Its turn comes after berlin's, which has none. */
		lab_request(lab, &b, &other);
		assert_int_equal(site_put(&paris, 1, &other), BATCH_STORED);
		theirs = answered(&paris, 1, &other);
	}
	lab->registrar = berlin;
	expect_trail(1, "seen");
	site_open(&s);
	cert = answered(&s, 1, &request);
	expect_trail(1, "seen intent issued");
	site_close(&s);
	site_close(&paris);
}

/* ---- the same key pair in a new transaction ---------------------------- */

/* Asks `first`, then `second`: whether both got one certificate. */
static bool
same_certificate(const struct lab_ask *first, const struct lab_ask *second)
{
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	AUTO(X509) a = NULL;
	AUTO(X509) b = NULL;
	struct site s;
	bool same;

	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, first, &one);
	lab_request(lab, second, &two);
	assert_int_equal(site_put(&s, 1, &one), BATCH_STORED);
	a = answered(&s, 1, &one);
	assert_int_equal(site_put(&s, 2, &two), BATCH_STORED);
	b = answered(&s, 2, &two);
	same = X509_cmp(a, b) == 0;
	expect_trail(2, same ? "seen same-key" : "seen intent issued");
	assert_int_equal(issued(), same ? 1 : 2);
	site_close(&s);
	return same;
}

static void
test_same_key(void **state)
{
	static const struct lab_ask a = { .cn = "pump" };

	(void)state;
	assert_true(same_certificate(&a, &a));
}

static void
test_same_key_other_template(void **state)
{
	static const struct lab_ask a = { .cn = "pump" }, b = { .cn = "valve" };

	(void)state;
	assert_false(same_certificate(&a, &b));
}

static void
test_same_key_other_profile(void **state)
{
	static const struct lab_ask a = { .cn = "pump" },
				    b = { .cn = "pump", .profile = "other" };

	(void)state;
	assert_false(same_certificate(&a, &b));
}

static void
test_same_key_other_device(void **state)
{
	AUTO(signer) twin = lab_device(&lab->vendor_sub, "WB-0001");
	struct lab_ask a = { .cn = "pump" };
	struct lab_ask b = { .cn = "pump", .device = twin };

	(void)state;
	assert_false(same_certificate(&a, &b));
}

static void
test_other_key(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	static const struct lab_ask a = { .cn = "pump" };
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	struct lab_ask b = { .cn = "pump", .key = key };
	struct buf answer AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;
	char reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &one);
	lab_request(lab, &b, &two);
	assert_int_equal(site_put(&s, 1, &one), BATCH_STORED);
	cert = answered(&s, 1, &one);
	assert_int_equal(site_put(&s, 2, &two), BATCH_STORED);
	assert_int_equal(site_answer(&s, 2, &answer, reason), BATCH_ANSWERED);
	assert_int_equal(issued(), 2);
	site_close(&s);
}

static void
test_same_key_never(void **state)
{
	static const struct lab_ask a = { .cn = "pump" };
	struct buf y AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
	    file_read(lab_path(lab, "ra.yaml"), 1 << 16, &y, &e), 0);
	buf_add_str(&y, "same-key-window: 0s\n");
	lab_write(lab, "ra.yaml", buf_bytes(&y));
	assert_false(same_certificate(&a, &a));
}

static void
test_same_key_window(void **state)
{
	/* Begins at 1000, so it was issued at 1300; ends at 5000. */
	static const struct {
		uint64_t now, window;
		bool fresh;
	} cases[] = {
		{ 1300, 60, true },
		{ 1360, 60, true },
		{ 1361, 60, false },
		{ 5000, 10000, true },
		{ 5001, 10000, false },
		{ 999, 10000, false },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++)
		assert_int_equal(
		    same_is_fresh(1000, 5000, cases[i].now, cases[i].window),
		    cases[i].fresh);
}

/* Who rejects the second rejects the first. */
static void
test_same_key_after_rejection(void **state)
{
	struct lab_ask a = { .cn = "pump", .no_implicit = true };
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	struct buf three AUTO_BUF = { 0 }, ip AUTO_BUF = { 0 };
	struct buf conf AUTO_BUF = { 0 }, pkiconf AUTO_BUF = { 0 };
	AUTO(X509) first = NULL;
	AUTO(X509) second = NULL;
	AUTO(X509) third = NULL;
	AUTO(cmp_msg) m = NULL;
	struct lab_entry en;
	struct buf out AUTO_BUF = { 0 };
	char reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &one);
	lab_request(lab, &a, &two);
	lab_request(lab, &a, &three);
	assert_int_equal(site_put(&s, 1, &one), BATCH_STORED);
	first = answered(&s, 1, &one);
	assert_int_equal(site_put(&s, 2, &two), BATCH_STORED);
	assert_int_equal(site_answer(&s, 2, &ip, reason), BATCH_ANSWERED);
	second = check_issued(&two, &ip);
	assert_int_equal(X509_cmp(first, second), 0);
	/* The certConf of the second transaction. */
	m = lab_parse(buf_bytes(&ip));
	lab_certconf(lab, m, second, false, &conf);
	lab_wrap(lab, lab->registrar, s.name, 3, buf_bytes(&conf), &en);
	en.h.step = 1;
	en.h.parent = 2;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	assert_int_equal(site_put_frame(&s, 3, &out), BATCH_STORED);
	lab_entry_done(&en);
	assert_int_equal(site_answer(&s, 3, &pkiconf, reason), BATCH_ANSWERED);
	expect_trail(1, "seen intent issued rejected");
	expect_trail(2, "seen same-key rejected");
	assert_int_equal(site_put(&s, 4, &three), BATCH_STORED);
	third = answered(&s, 4, &three);
	assert_int_not_equal(X509_cmp(first, third), 0);
	site_close(&s);
}

/* ---- withdrawals ------------------------------------------------------- */

static void
withdraw(struct site *s, uint64_t id, uint64_t target, const struct buf *octets)
{
	struct digest d = digest_of(octets->data, octets->len);

	assert_int_equal(site_withdraw(s, id, target, &d), BATCH_ANSWERED);
}

/* The device is told so, in a message of its own. */
static void
expect_withdrawn(struct site *s, uint64_t id)
{
	struct buf answer AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;
	char reason[160];

	assert_int_equal(site_answer(s, id, &answer, reason), BATCH_REFUSED);
	assert_string_equal(reason, "withdrawn");
	m = lab_parse(buf_bytes(&answer));
	assert_int_equal(cmp_body(m), CMP_ERROR);
	assert_int_equal(issued(), 0);
}

static void
test_withdrawn_before_judged(void **state)
{
	struct lab_ask a = { .cn = "pump" };
	struct buf request AUTO_BUF = { 0 };
	struct site s;

	(void)state;
	service_start(NO_CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	withdraw(&s, 2, 1, &request);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
	service_start(CLOCK);
	site_open(&s);
	expect_withdrawn(&s, 1);
	site_close(&s);
}

static void
test_withdrawn_before_it_came(void **state)
{
	struct lab_ask a = { .cn = "pump" };
	struct buf request AUTO_BUF = { 0 };
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	withdraw(&s, 2, 1, &request);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	expect_withdrawn(&s, 1);
	site_close(&s);
}

static void
test_withdrawn_when_issued(void **state)
{
	struct lab_ask a = { .cn = "pump" };
	struct buf request AUTO_BUF = { 0 }, again AUTO_BUF = { 0 };
	AUTO(X509) first = NULL;
	AUTO(X509) second = NULL;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	lab_request(lab, &a, &again);
	assert_int_equal(site_put(&s, 1, &request), BATCH_STORED);
	first = answered(&s, 1, &request);
	withdraw(&s, 2, 1, &request);
	expect_trail(1, "seen intent issued withdrawn rejected");
	{
		AUTO(json_t) j = control("/v1/entries?state=rejected");

		assert_int_equal(
		    json_array_size(json_object_get(j, "entries")), 1);
	}
	/* Nobody is given it again. */
	assert_int_equal(site_put(&s, 3, &again), BATCH_STORED);
	second = answered(&s, 3, &again);
	assert_int_not_equal(X509_cmp(first, second), 0);
	site_close(&s);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_killed_between_commits),
		TEST(test_silent_site_waits),
		TEST(test_same_key),
		TEST(test_same_key_other_template),
		TEST(test_same_key_other_profile),
		TEST(test_same_key_other_device),
		TEST(test_other_key),
		TEST(test_same_key_never),
		TEST(test_same_key_window),
		TEST(test_same_key_after_rejection),
		TEST(test_withdrawn_before_judged),
		TEST(test_withdrawn_before_it_came),
		TEST(test_withdrawn_when_issued),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_ra_once WAYBILL-RA\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
