/* A waybill-masa-client between a site and a MASA: what it asks, and what it
 * makes of answers. */
#include "crl_lab.h"
#include "masa_client_process.h"

/* ---- tests ------------------------------------------------------------- */

static void
test_voucher_and_log(void **state)
{
	static const struct lab_voucher ask;
	struct buf rvr AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_answer a;
	struct digest client;
	char reason[160];
	struct site s;
	AUTO(X509) cert = NULL;

	(void)state;
	/* One connection does for all: a second one would be closed. */
	masa_close();
	masa_open("IP:127.0.0.1", 1);
	service_start(CLOCK);
	site_open(&s);
	for (uint64_t id = 1; id <= 2; id++) {
		buf_reset(&rvr);
		assert_int_equal(put(&s, &ask, id, &rvr), BATCH_STORED);
		assert_int_equal(
		    answer(&s, id, &octets, &a, reason), BATCH_ANSWERED);
		assert_int_equal(a.status, 200);
		assert_true(octets_are(a.voucher, VOUCHER));
		assert_int_equal(a.log_status, 200);
		assert_true(octets_are(a.log, LOG_JSON));
		/* RFC 8995 5.8: the same message asks for both. */
		assert_true(
		    bytes_eq(buf_bytes(&masa.voucher_body), buf_bytes(&rvr)));
		assert_true(
		    bytes_eq(buf_bytes(&masa.log_body), buf_bytes(&rvr)));
	}
	assert_true(masa.headers_ok);
	assert_non_null(cert = ossl_load_cert(lab_path(lab, "client.crt"), &e));
	client = cert_digest(cert);
	assert_true(digest_eq(&client, &masa.client));
	assert_int_equal(masa.n_vouchers, 2);
	assert_int_equal(masa.n_logs, 2);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_masa_refuses(void **state)
{
	static const struct step refusals[] = {
		{ .status = 404,
		    .type = "text/plain; charset=utf-8",
		    .body = "unknown device\nand more" },
		{ .status = 403, .type = "text/html", .body = "<p>no" },
		{ .status = 406, .last = true },
	};
	static const struct {
		unsigned status;
		const char *reason, *told;
	} want[] = {
		{ 404, "unknown device", "MASA: 404 unknown device" },
		{ 403, "", "MASA: 403 " },
		{ 406, "", "MASA: 406 " },
	};
	static const char *const nonces[] = { "YQ==", "Yg==", "Yw==" };
	struct site s;

	(void)state;
	masa.vouchers = refusals;
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(want); i++) {
		struct lab_voucher ask = { .nonce = nonces[i] };
		struct buf octets AUTO_BUF = { 0 };
		struct vch_answer a;
		char reason[160];

		put(&s, &ask, i + 1, NULL);
		assert_int_equal(
		    answer(&s, i + 1, &octets, &a, reason), BATCH_REFUSED);
		assert_int_equal(a.status, want[i].status);
		assert_string_equal(a.reason, want[i].reason);
		assert_string_equal(reason, want[i].told);
		assert_int_equal(a.voucher.len, 0);
	}
	assert_int_equal(masa.n_logs, 0);
	site_close(&s);
}

/* None of these decides anything, and none is followed or taken. */
static void
test_not_yet(void **state)
{
	static const struct step troubles[] = {
		{ .status = 503, .retry_after = 3600 },
		{ .status = 500, .type = "text/plain", .body = "oh" },
		{ .status = 408 },
		{ .status = 429 },
		{ .status = 302, .location = "%/elsewhere" },
		{ .status = 307, .location = "%/.well-known/brski/elsewhere" },
		{ .status = 200, .type = "text/html", .body = "\x30\x01x" },
		{ .status = 200, .type = VOUCHER_TYPE, .body = "garbage" },
		{ .status = 200, .type = VOUCHER_TYPE },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = "\x30",
		    .filler = CMS_OCTETS_MAX },
		{ .status = 200, .type = VOUCHER_TYPE "x", .body = VOUCHER },
		{ .status = 200,
		    .type = VOUCHER_TYPE "; charset=x",
		    .body = VOUCHER,
		    .last = true },
	};
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	char reason[160], line[512];
	struct site s;

	(void)state;
	masa.vouchers = troubles;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_true(octets_are(a.voucher, VOUCHER));
	assert_int_equal(masa.n_vouchers, NELEMS(troubles));
	assert_int_equal(masa.strays, 0);
	assert_true(logged("reason=\"HTTP 500: oh\"", line, sizeof(line)));
	assert_true(logged("a redirect is not followed", line, sizeof(line)));
	assert_true(logged("answer of over 65536", line, sizeof(line)));
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_slow(void **state)
{
	static const struct step slow[] = {
		{ .hold = true },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = VOUCHER,
		    .last = true },
	};
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 };
	char vendor[160], reason[160];
	struct vch_answer a;
	struct site s;

	(void)state;
	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/vendor.crt", lab->dir);
	configure(vendor, SOON ", timeout: 300ms");
	masa.vouchers = slow;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_int_equal(masa.n_vouchers, 2);
	site_close(&s);
}

static void
test_logs(void **state)
{
	static const struct step moved[] = {
		{ .status = 201, .location = "%" LOG_URL, .last = true }
	};
	static const struct step relative[] = {
		{ .status = 201, .location = LOG_URL, .last = true }
	};
	static const struct step elsewhere[] = { { .status = 201,
	    .location = "https://localhost/log/1",
	    .last = true } };
	static const struct step broken[] = { { .status = 500, .last = true } };
	static const struct step heals[] = { { .status = 500 },
		{ .status = 503 },
		{ .status = 200,
		    .type = "application/json",
		    .body = LOG_JSON,
		    .last = true } };
	static const struct step refused[] = { { .status = 404,
	    .last = true } };
	static const struct step no_json[] = { { .status = 200,
	    .type = "text/html",
	    .body = LOG_JSON,
	    .last = true } };
	static const struct step empty[] = {
		{ .status = 200, .type = "application/json", .last = true }
	};
	static const struct step huge[] = { { .status = 200,
	    .type = "application/json",
	    .body = "{",
	    .filler = VCH_JSON_MAX,
	    .last = true } };
	static const struct {
		const char *nonce;
		const struct step *plan;
		unsigned asked, moved, status;
		bool log;
	} cases[] = {
		{ "MQ==", moved, 1, 1, 200, true },
		{ "Mg==", relative, 1, 1, 200, true },
		{ "Mw==", elsewhere, 3, 0, 201, false },
		{ "NA==", broken, 3, 0, 500, false },
		{ "NQ==", heals, 3, 0, 200, true },
		{ "Ng==", refused, 1, 0, 404, false },
		{ "Nw==", huge, 3, 0, 0, false },
		{ "OA==", no_json, 3, 0, 200, false },
		{ "OQ==", empty, 3, 0, 200, false },
	};
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct lab_voucher ask = { .nonce = cases[i].nonce };
		struct buf octets AUTO_BUF = { 0 };
		struct vch_answer a;
		char reason[160];

		masa.logs = cases[i].plan;
		masa.n_vouchers = masa.n_logs = masa.n_moved = 0;
		put(&s, &ask, i + 1, NULL);
		assert_int_equal(
		    answer(&s, i + 1, &octets, &a, reason), BATCH_ANSWERED);
		assert_true(octets_are(a.voucher, VOUCHER));
		if (masa.n_vouchers != 1 || masa.n_logs != cases[i].asked ||
		    masa.n_moved != cases[i].moved ||
		    a.log_status != cases[i].status ||
		    octets_are(a.log, LOG_JSON) != cases[i].log)
			fail_msg("%zu: %u vouchers, %u logs, %u moved, %u", i,
			    masa.n_vouchers, masa.n_logs, masa.n_moved,
			    a.log_status);
	}
	assert_int_equal(masa.strays, 0);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

/* The MASA is never reached; why is told to those who ask. */
static void
expect_unreached(const char *vendor, const char *why)
{
	static const struct lab_voucher ask;
	AUTO(json_t) j = NULL;
	const json_t *one;
	char line[512];
	struct site s;

	configure(vendor, SOON);
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	serve_until_logged("event=masa.later", line, sizeof(line));
	j = control("/v1/asking");
	one = json_array_get(json_object_get(j, "asking"), 0);
	assert_non_null(one);
	if (strstr(json_string_value(json_object_get(one, "why")), why) == NULL)
		fail_msg("%s: %s", why, line);
	assert_string_equal(
	    json_string_value(json_object_get(one, "device")), "WB-0001");
	assert_int_equal(masa.n_vouchers, 0);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_private_address(void **state)
{
	char vendor[160];

	(void)state;
	snprintf(vendor, sizeof(vendor), "tls-anchor: %s/vendor.crt", lab->dir);
	expect_unreached(vendor, "allow-private");
}

static void
test_wrong_tls_anchor(void **state)
{
	char vendor[160];

	(void)state;
	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/stranger.crt", lab->dir);
	expect_unreached(vendor, "certificate");
}

/* The maker's root is none that the system believes. */
static void
test_system_anchors(void **state)
{
	(void)state;
	expect_unreached("allow-private: true", "certificate");
}

static void
test_wrong_name(void **state)
{
	char vendor[160];

	(void)state;
	masa_close();
	masa_open("DNS:masa.example", 16);
	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/vendor.crt", lab->dir);
	expect_unreached(vendor, "127.0.0.1");
}

/* ---- makers' lists ----------------------------------------------------- */

static void
configure_lists(void)
{
	const char *d = lab->dir;
	struct buf vendor AUTO_BUF = { 0 };

	buf_printf(&vendor,
	    "allow-private: true, tls-anchor: %s/vendor.crt, "
	    "sub-ca: %s/vendor-sub.crt, crl: [%s/vendor.crl]",
	    d, d, d);
	configure(buf_cstr(&vendor), SOON);
}

/* Nobody is asked until there is a list that tells. */
static void
test_lists(void **state)
{
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 }, other AUTO_BUF = { 0 };
	char line[512], reason[160];
	struct vch_answer a;
	struct site s;

	(void)state;
	lab_save_list(lab, false, true);
	configure_lists();
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	serve_until_logged("event=masa.held", line, sizeof(line));
	assert_int_equal(masa.n_vouchers, 0);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);

	lab_save_list(lab, false, false);
	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_int_equal(masa.n_vouchers, 1);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);

	lab_save_list(lab, true, false);
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 2, NULL);
	assert_int_equal(answer(&s, 2, &other, &a, reason), BATCH_REFUSED);
	assert_non_null(strstr(reason, "revoked"));
	assert_int_equal(masa.n_vouchers, 1);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_status(void **state)
{
	static const struct lab_voucher ask;
	AUTO(json_t) status = NULL, entries = NULL;
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	const json_t *one;
	char reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	status = control("/v1/status");
	assert_int_equal(
	    json_integer_value(json_object_get(status, "open")), 0);
	assert_true(json_is_integer(json_object_get(status, "waiting")));
	entries = control("/v1/entries");
	one = json_array_get(json_object_get(entries, "entries"), 0);
	assert_string_equal(
	    json_string_value(json_object_get(one, "kind")), "voucher");
	assert_string_equal(
	    json_string_value(json_object_get(one, "device")), "WB-0001");
	site_close(&s);
}

static void
test_check(void **state)
{
	(void)state;
	assert_int_equal(ended(spawn(CLOCK, "--check")), 0);
	configure("url: \"http://masa.example/\"", SOON);
	assert_int_equal(ended(spawn(CLOCK, "--check")), 78);
	configure("allow-private: true", "retry-min: 2m, retry-max: 1m");
	assert_int_equal(ended(spawn(CLOCK, "--check")), 78);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_voucher_and_log),
		TEST(test_masa_refuses),
		TEST(test_not_yet),
		TEST(test_slow),
		TEST(test_logs),
		TEST(test_private_address),
		TEST(test_wrong_tls_anchor),
		TEST(test_system_anchors),
		TEST(test_wrong_name),
		TEST(test_lists),
		TEST(test_status),
		TEST(test_check),
	};

	if (argc != 2) {
		fprintf(stderr,
		    "usage: test_masa_client_process WAYBILL-MASA-CLIENT\n");
		return 2;
	}
	program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
