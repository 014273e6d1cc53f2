/* When a request was received, as far as the RA believes its site: a real
 * waybill-ra, whose path is the first argument. */
#include "tests/unit/ra_process.h"

#include "common/base/cbor.h"

/* The device's certificate ended ten minutes ago. */
static struct signer *
expired_device(void)
{
	struct lab_want w = { .cn = "device",
		.serial = "WB-0001",
		.from = clock_now().time - 3000,
		.to = clock_now().time - 600 };

	return lab_signer(&w, &lab->vendor_sub);
}

static void
put_received(struct site *s, uint64_t id, const struct lab_ask *a,
    struct stamp received, struct buf *octets)
{
	struct buf out AUTO_BUF = { 0 };
	struct lab_entry en;

	lab_request(lab, a, octets);
	lab_wrap(lab, lab->registrar, s->name, id, buf_bytes(octets), &en);
	en.h.received = received;
	lab_entry_sign(&en, lab->registrar);
	frame_put(++s->tag, buf_bytes(&en.header), buf_bytes(&en.octets),
	    buf_bytes(&en.sig), &out);
	assert_int_equal(site_put_frame(s, id, &out), BATCH_STORED);
	lab_entry_done(&en);
}

static struct stamp
ago(uint64_t seconds, enum clock_quality quality)
{
	return (struct stamp){ clock_now().time - seconds, quality, 0 };
}

/* Nobody knows whether it expired before or after it was received: others are
 * served meanwhile, and its site can still give it up. */
static void
test_held(void **state)
{
	AUTO(signer) old = expired_device();
	struct lab_ask ask = { .device = old }, good = { .cn = "pump" };
	struct buf held AUTO_BUF = { 0 }, request AUTO_BUF = { 0 };
	struct buf answer AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;
	struct digest d;
	char line[256], reason[160];
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	put_received(&s, 1, &ask, ago(1200, CLOCK_RTC), &held);
	await_log("event=case.held", line, sizeof(line));
	cert = enrol(&s, 2, &good, &request, &answer);
	assert_int_equal(issued(), 1);
	d = digest_of(held.data, held.len);
	assert_int_equal(site_withdraw(&s, 3, 1, &d), BATCH_ANSWERED);
	buf_reset(&answer);
	assert_int_equal(site_answer(&s, 1, &answer, reason), BATCH_REFUSED);
	assert_string_equal(reason, "withdrawn");
	site_close(&s);
}

/* Its chain tells when its audit trail was so far. */
static void
put_checkpoint(struct site *s, uint64_t id, struct stamp received)
{
	struct buf text AUTO_BUF = { 0 }, header AUTO_BUF = { 0 };
	struct buf sig AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct digest hash = digest_of("head", 4);
	struct entry_header h = {
		.id = id, .kind = ENTRY_AUDIT, .received = received
	};
	struct err e = ERR_INIT;

	cbor_write_array(&text, 4);
	cbor_write_text(&text, "waybill-checkpoint/1");
	cbor_write_uint(&text, id);
	cbor_write_bytes(&text, hash.b, sizeof(hash.b));
	cbor_write_uint(&text, received.time);
	str_copy(h.site, sizeof(h.site), s->name);
	memcpy(h.epoch, lab->epoch, sizeof(h.epoch));
	h.digest = digest_of(text.data, text.len);
	assert_int_equal(
	    entry_header_sign(&h, lab->registrar, &header, &sig, &e), 0);
	frame_put(++s->tag, buf_bytes(&header), buf_bytes(&text),
	    buf_bytes(&sig), &out);
	assert_int_equal(site_put_frame(s, id, &out), BATCH_ANSWERED);
}

/*
 * The same words of time, twenty minutes ago: believed of what is older than the
 * last checkpoint, not of what came after that.  A checkpoint by a clock that
 * nobody disciplined tells nothing.
 */
static void
test_checkpoint_bounds_the_past(void **state)
{
	static const struct {
		enum clock_quality quality;
		enum batch_code after;
	} cases[] = {
		{ CLOCK_RTC, BATCH_ANSWERED },
		{ CLOCK_SYNC, BATCH_REFUSED },
	};
	AUTO(signer) old = expired_device();
	struct lab_ask ask = { .device = old };
	struct site s;

	(void)state;
	service_start(CLOCK);
	site_open(&s);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf before AUTO_BUF = { 0 }, after AUTO_BUF = { 0 };
		struct buf answer AUTO_BUF = { 0 };
		uint64_t id = 10 * (i + 1);
		char reason[160];

		put_checkpoint(&s, id, ago(60, cases[i].quality));
		put_received(&s, id - 1, &ask, ago(1200, CLOCK_SYNC), &before);
		assert_int_equal(
		    site_answer(&s, id - 1, &answer, reason), BATCH_ANSWERED);
		put_received(&s, id + 1, &ask, ago(1200, CLOCK_SYNC), &after);
		buf_reset(&answer);
		if (site_answer(&s, id + 1, &answer, reason) != cases[i].after)
			fail_msg("%zu: %s", i, reason);
		if (cases[i].after == BATCH_REFUSED)
			assert_non_null(strstr(reason, "expired"));
	}
	site_close(&s);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_held),
		TEST(test_checkpoint_bounds_the_past),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_ra_time WAYBILL-RA\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
