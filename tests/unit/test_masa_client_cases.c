/* Cases of the MASA client: when they wait, end, and make room. */
#include "masa_client_process.h"

/* ---- tests ------------------------------------------------------------- */

static void
test_restart_in_mid_wait(void **state)
{
	static const struct step away[] = { { .status = 503, .last = true } };
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 }, rvr AUTO_BUF = { 0 };
	char reason[160], line[512];
	struct vch_answer a;
	struct site s;

	(void)state;
	masa.vouchers = away;
	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(put(&s, &ask, 1, &rvr), BATCH_STORED);
	serve_until_logged("event=masa.later", line, sizeof(line));
	site_close(&s);
	/* As if the power had gone. */
	assert_int_equal(service_stop(SIGKILL), -SIGKILL);

	masa.vouchers = &good_voucher;
	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_true(octets_are(a.voucher, VOUCHER));
	assert_true(bytes_eq(buf_bytes(&masa.voucher_body), buf_bytes(&rvr)));
	site_close(&s);
}

static void
test_newer_ends_older(void **state)
{
	static const struct step plan[] = {
		{ .hold = true },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = VOUCHER,
		    .last = true },
	};
	static const struct lab_voucher older = { .nonce = "MQ==" },
					newer = { .nonce = "Mg==" };
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	char reason[160];
	struct site s;

	(void)state;
	masa.vouchers = plan;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &older, 1, NULL);
	masa.asked = masa.n_held > 0;
	run_until(&masa.asked);
	put(&s, &newer, 2, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_REFUSED);
	assert_string_equal(reason, "superseded");
	assert_int_equal(a.status, 0);
	assert_int_equal(answer(&s, 2, &octets, &a, reason), BATCH_ANSWERED);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

/* After a start, the site has the first word: the ledger may be an old one. */
static void
test_silent_site_waits(void **state)
{
	static const struct step away[] = { { .status = 503, .last = true } };
	static const struct lab_voucher ask;
	struct buf octets AUTO_BUF = { 0 };
	AUTO(json_t) j = NULL;
	char reason[160], line[512];
	struct vch_answer a;
	struct site s;

	(void)state;
	masa.vouchers = away;
	service_start(CLOCK);
	site_open(&s);
	assert_int_equal(put(&s, &ask, 1, NULL), BATCH_STORED);
	serve_until_logged("event=masa.later", line, sizeof(line));
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);

	masa.vouchers = &good_voucher;
	masa.n_vouchers = 0;
	service_start(CLOCK);
	site_dial(&s, LAB_SITE);
	j = control("/v1/asking");
	assert_int_equal(json_array_size(json_object_get(j, "asking")), 1);
	assert_int_equal(masa.n_vouchers, 0);
	site_hello(&s);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	assert_int_equal(masa.n_vouchers, 1);
	site_close(&s);
}

/* Given up while its MASA is asked, or before it came. */
static void
test_withdrawn(void **state)
{
	static const struct step plan[] = { { .hold = true },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = VOUCHER,
		    .last = true } };
	static const struct lab_voucher one = { .nonce = "MQ==" },
					two = { .nonce = "Mg==" };
	struct buf octets AUTO_BUF = { 0 };
	struct vch_answer a;
	char reason[160];
	struct lab_entry en;
	struct site s;

	(void)state;
	masa.vouchers = plan;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &one, 1, NULL);
	masa.asked = masa.n_held > 0;
	run_until(&masa.asked);
	assert_int_equal(site_withdraw(&s, 2, 1, &put_digest), BATCH_ANSWERED);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_REFUSED);
	assert_string_equal(reason, "withdrawn");
	lab_voucher(lab, &two, 3, &en);
	assert_int_equal(site_withdraw(&s, 4, 3, &en.h.digest), BATCH_ANSWERED);
	lab_entry_done(&en);
	assert_int_equal(put(&s, &two, 3, NULL), BATCH_STORED);
	assert_int_equal(answer(&s, 3, &octets, &a, reason), BATCH_REFUSED);
	assert_string_equal(reason, "withdrawn");
	assert_int_equal(masa.n_vouchers, 1);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

/* A device that the MASA fails for keeps no other one waiting. */
static void
test_devices_do_not_wait_for_each_other(void **state)
{
	static const struct step plan[] = {
		{ .hold = true },
		{ .status = 200,
		    .type = VOUCHER_TYPE,
		    .body = VOUCHER,
		    .last = true },
	};
	static const struct lab_voucher first;
	struct lab_want w = { .cn = "device", .serial = "WB-0002" };
	struct buf octets AUTO_BUF = { 0 };
	char reason[160], url[64];
	AUTO(signer) device = NULL;
	struct vch_answer a;
	struct site s;

	(void)state;
	snprintf(url, sizeof(url), "127.0.0.1:%u", https_port(masa.h));
	w.masa_url = url;
	device = lab_signer(&w, &lab->vendor_sub);
	masa.vouchers = plan;
	service_start(CLOCK);
	site_open(&s);
	put(&s, &first, 1, NULL);
	put(&s, &(struct lab_voucher){ .device = device, .serial = "WB-0002" },
	    2, NULL);
	assert_int_equal(answer(&s, 2, &octets, &a, reason), BATCH_ANSWERED);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

static void
test_prefetch(void **state)
{
	static const struct lab_voucher ask = { .prefetch = true },
					other = { .prefetch = true,
						.vendor = "nobody" };
	struct buf octets AUTO_BUF = { 0 };
	char vendor[240], reason[160];
	struct vch_answer a;
	struct site s;

	(void)state;
	snprintf(vendor, sizeof(vendor),
	    "allow-private: true, tls-anchor: %s/vendor.crt, "
	    "url: \"https://127.0.0.1:%u\"",
	    lab->dir, https_port(masa.h));
	configure(vendor, SOON);
	service_start(CLOCK);
	site_open(&s);
	put(&s, &ask, 1, NULL);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_ANSWERED);
	put(&s, &other, 2, NULL);
	assert_int_equal(answer(&s, 2, &octets, &a, reason), BATCH_REFUSED);
	assert_non_null(strstr(reason, "nobody"));
	assert_int_equal(masa.n_vouchers, 1);
	site_close(&s);
	assert_int_equal(service_stop(SIGTERM), 0);
}

/* Refused by a signed answer, and the MASA never hears of it. */
static void
test_refused_unasked(void **state)
{
	struct lab_want w = { .cn = "device", .serial = "WB-0001" };
	AUTO(signer) stranger = NULL, homeless = NULL;
	char url[64];
	struct site s;

	(void)state;
	snprintf(url, sizeof(url), "127.0.0.1:%u", https_port(masa.h));
	homeless = lab_signer(&w, &lab->vendor_sub);
	w.masa_url = url;
	stranger = lab_signer(&w, &lab->stranger);
	const struct {
		struct lab_voucher ask;
		const char *reason;
	} cases[] = {
		{ { .device = stranger }, "signer" },
		{ { .device = homeless }, "neither the IDevID nor we" },
		{ { .serial = "WB-0009" }, "serial-number" },
		{ { .prefetch = true }, "neither the IDevID nor we" },
	};
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf octets AUTO_BUF = { 0 };
		struct vch_answer a;
		char reason[160];

		assert_int_equal(
		    put(&s, &cases[i].ask, i + 1, NULL), BATCH_STORED);
		assert_int_equal(
		    answer(&s, i + 1, &octets, &a, reason), BATCH_REFUSED);
		if (strstr(reason, cases[i].reason) == NULL)
			fail_msg("%zu: %s", i, reason);
		assert_int_equal(a.status, 0);
	}
	assert_int_equal(masa.n_vouchers, 0);
	site_close(&s);
}

static void
test_past_its_deadline(void **state)
{
	static const struct lab_voucher ask;
	struct buf out AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };
	struct vch_answer a;
	struct lab_entry en;
	char reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_voucher(lab, &ask, 1, &en);
	en.h.deadline = clock_now().time - 1;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	assert_int_equal(site_put_frame(&s, 1, &out), BATCH_STORED);
	assert_int_equal(answer(&s, 1, &octets, &a, reason), BATCH_REFUSED);
	assert_string_equal(reason, "expired");
	assert_int_equal(masa.n_vouchers, 0);
	lab_entry_done(&en);
	site_close(&s);
}

/* DESIGN 5, rule 5: no date can be judged, so nothing is asked or refused. */
static void
test_no_clock(void **state)
{
	static const struct lab_voucher ask;
	char line[512];
	struct site s;

	(void)state;
	service_start(NO_CLOCK);
	site_open(&s);
	assert_int_equal(put(&s, &ask, 1, NULL), BATCH_STORED);
	serve_until_logged("event=asker.no-clock", line, sizeof(line));
	assert_int_equal(masa.n_vouchers, 0);
	site_close(&s);
}

static void
test_other_kinds(void **state)
{
	struct lab_ask a = { .type = CMP_IR };
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct lab_entry en;
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	lab_request(lab, &a, &request);
	lab_wrap(lab, lab->registrar, LAB_SITE, 1, buf_bytes(&request), &en);
	frame_put(++s.tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	assert_int_equal(site_put_frame(&s, 1, &out), BATCH_NOT_AUTHORISED);
	lab_entry_done(&en);
	site_close(&s);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_restart_in_mid_wait),
		TEST(test_newer_ends_older),
		TEST(test_silent_site_waits),
		TEST(test_withdrawn),
		TEST(test_devices_do_not_wait_for_each_other),
		TEST(test_prefetch),
		TEST(test_refused_unasked),
		TEST(test_past_its_deadline),
		TEST(test_no_clock),
		TEST(test_other_kinds),
	};

	if (argc != 2) {
		fprintf(stderr,
		    "usage: test_masa_client_cases WAYBILL-MASA-CLIENT\n");
		return 2;
	}
	program = argv[1];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
