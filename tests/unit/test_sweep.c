/* What time does to a queue: expiry with a stored answer, retention,
 * checkpoints. */
#include "tests/unit/fwd_lab.h"

#include "registrar/ending.h"

/* The device's request, answered "waiting", as the next entry. */
static struct cmp_msg *
enrol(struct reg_lab *g, enum cmp_body type, struct buf *request)
{
	struct lab_ask ask = { .type = type, .cn = "dev" };

	lab_request(g->l, &ask, request);
	return reg_cmp(g, g->l->device, request);
}

/* Milliseconds in which several sweeps come by. */
static void
some_sweeps(void)
{
	struct timespec ts = { .tv_nsec = 600000000 };

	nanosleep(&ts, NULL);
}

static struct cmp_msg *
stored_answer(struct reg_lab *g, uint64_t id)
{
	struct outbox_entry en = reg_entry(g, id);
	struct buf octets AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(en.answer_code, BATCH_REFUSED);
	if (outbox_answer(g->r.outbox, &en, &octets, &e) == -1)
		fail_msg("%s", e.msg);
	reg_oracle(g->l, buf_bytes(&octets));
	return lab_parse(buf_bytes(&octets));
}

/* ---- expiry ------------------------------------------------------------ */

static const struct reg_want brief = { .more = "deadline: 1s\nsweep: 100ms\n" };

static void
what_is_due_expires_with_its_answer(void **state)
{
	static const struct {
		enum cmp_body request, answer;
		long id;
	} cases[] = { { CMP_IR, CMP_IP, 0 }, { CMP_P10CR, CMP_CP, -1 } };
	struct reg_lab *g = *state;

	reg_start(g, &brief);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf request AUTO_BUF = { 0 }, poll AUTO_BUF = { 0 };
		uint64_t id = reg_next_id(g);
		AUTO(cmp_msg) a = enrol(g, cases[i].request, &request);
		struct outbox_entry en = reg_await(g, id, ENTRY_EXPIRED);

		assert_string_equal(en.reason, "not answered in time");
		AUTO(cmp_msg) kept = stored_answer(g, id);
		reg_expect_refused("kept", kept, cases[i].answer, CMP_BAD_TIME,
		    "expired: not answered in time");
		/* The poll gets that, with its own nonce; so does a repeat. */
		reg_pollreq(a, g->l->device, cases[i].id, &poll);
		AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &poll);
		reg_expect_refused("poll", b, cases[i].answer, CMP_BAD_TIME,
		    "expired: not answered in time");
		assert_true(
		    bytes_eq(cmp_sender_nonce(b), cmp_sender_nonce(kept)));
		AUTO(cmp_msg) c = reg_cmp(g, g->l->device, &request);
		assert_true(bytes_eq(cmp_der(c), cmp_der(kept)));
	}
	assert_int_equal(reg_logged(g, "event=queue.expired"), 2);
}

static void
an_expired_request_stays_so(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &brief);
	AUTO(cmp_msg) a = enrol(g, CMP_IR, &request);
	reg_await(g, 1, ENTRY_EXPIRED);
	AUTO(cmp_msg) kept = stored_answer(g, 1);
	reg_stop(g);
	reg_start(g, &brief);
	AUTO(cmp_msg) b = reg_cmp(g, g->l->device, &request);
	assert_true(bytes_eq(cmp_der(b), cmp_der(kept)));
	fwd_ready(&fwd);
	fwd_settle(&fwd); /* a PUT in between would fail */
}

static void
nothing_expires_by_a_clock_not_believed(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &brief);
	AUTO(cmp_msg) a = enrol(g, CMP_IR, &request);
	reg_stop(g);
	for (int i = 0; i < 2; i++) {
		setenv("WAYBILL_CLOCK", i == 0 ? "none" : "floor", 1);
		reg_start(g, &brief);
		some_sweeps();
		some_sweeps();
		some_sweeps();
		assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
		reg_stop(g);
	}
	setenv("WAYBILL_CLOCK", "rtc", 1);
	reg_start(g, &brief);
	reg_await(g, 1, ENTRY_EXPIRED);
}

/* Only its service ends it then. */
static void
what_has_left_does_not_expire(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &brief);
	fwd_ready(&fwd);
	AUTO(cmp_msg) a = enrol(g, CMP_IR, &request);
	assert_int_equal(fwd_custody(&fwd), 1);
	some_sweeps();
	some_sweeps();
	some_sweeps();
	assert_int_equal(reg_entry(g, 1).state, ENTRY_CUSTODY);
}

/* More than one portion, none of it answered twice. */
static void
many_expire_in_portions(void **state)
{
	struct reg_want rare = { .more = "deadline: 1s\nsweep: 1h\n" };
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	uint64_t ids[70];
	char path[64];

	/* Nothing expires before all are there. */
	reg_start(g, &rare);
	for (int i = 0; i < 70; i++) {
		struct buf request AUTO_BUF = { 0 };

		ids[i] = reg_next_id(g);
		lab_request(g->l, &ask, &request);
		snprintf(path, sizeof(path), REG_CMP "/p/p%d", i);
		cmp_free(reg_cmp_at(g, g->l->device, path, &request));
	}
	reg_stop(g);
	reg_start(g, &brief);
	for (int i = 0; i < 70; i++) {
		reg_await(g, ids[i], ENTRY_EXPIRED);
		cmp_free(stored_answer(g, ids[i]));
	}
	assert_int_equal(reg_logged(g, "event=queue.expired"), 70);
}

/* ---- what a device is told ---------------------------------------------- */

static void
each_kind_has_its_answer(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct outbox_entry en;
	struct vch_answer v;
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	AUTO(cmp_msg) a = enrol(g, CMP_IR, &request);
	en = reg_entry(g, 1);
	assert_int_equal(
	    ending_answer(&g->r, &en, ENTRY_WITHDRAWN, "no", &out, &e), 0);
	AUTO(cmp_msg) m = lab_parse(buf_bytes(&out));
	reg_expect_refused(
	    "withdrawn", m, CMP_IP, CMP_BAD_REQUEST, "withdrawn: no");
	AUTO(cmp_msg) asked = lab_parse(buf_bytes(&request));
	assert_true(bytes_eq(cmp_recip_nonce(m), cmp_sender_nonce(asked)));
	/* A device's certConf waits for no answer of ours. */
	buf_reset(&out);
	en.step = 1;
	assert_int_equal(
	    ending_answer(&g->r, &en, ENTRY_WITHDRAWN, "no", &out, &e), 0);
	assert_int_equal(out.len, 0);
	en = (struct outbox_entry){ .kind = ENTRY_VOUCHER };
	assert_int_equal(
	    ending_answer(&g->r, &en, ENTRY_EXPIRED, "late", &out, &e), 0);
	assert_int_equal(vch_answer_parse(buf_bytes(&out), &v, &e), 0);
	assert_int_equal(v.status, 406);
	assert_int_equal(v.voucher.len, 0);
	assert_string_equal(v.reason, "expired: late");
	/* One that is gone has none. */
	buf_reset(&out);
	en = (struct outbox_entry){ .id = 99, .kind = ENTRY_CMP };
	assert_int_equal(
	    ending_answer(&g->r, &en, ENTRY_EXPIRED, "late", &out, &e), -1);
	assert_int_equal(out.len, 0);
}

static void
a_masas_word_is_passed_on(void **state)
{
	static const struct {
		int said, told;
	} cases[] = { { 403, 403 }, { 404, 404 }, { 415, 415 }, { 406, 406 },
		{ 401, 406 }, { 500, 406 } };
	struct buf voucher AUTO_BUF = { 0 };
	struct vch_answer v = { .status = 403,
		.voucher = bytes_of("octets", 6) };

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf out AUTO_BUF = { 0 };

		ending_voucher(cases[i].said, "not yours", &out);
		assert_int_equal(ending_status(buf_bytes(&out)), cases[i].told);
	}
	vch_answer_format(&v, &voucher);
	assert_int_equal(ending_status(buf_bytes(&voucher)), 406);
	assert_int_equal(ending_status(bytes_of("junk", 4)), 406);
}

/* ---- retention --------------------------------------------------------- */

static void
await_pruned(struct reg_lab *g, uint64_t id)
{
	uint64_t end = clock_mono_ms() + REG_WAIT_MS;
	struct outbox_entry en = { 0 };
	struct err e = ERR_INIT;

	while (outbox_get(g->r.outbox, id, &en, &e) == 1 && !en.pruned)
		if (clock_mono_ms() > end)
			fail_msg("entry %u stays", (unsigned)id);
}

static void
what_ended_long_ago_is_dropped(void **state)
{
	struct reg_want want = {
		.more = "deadline: 30d\nsweep: 100ms\nretention: 1s\n",
	};
	struct reg_lab *g = *state;
	struct buf old AUTO_BUF = { 0 }, young AUTO_BUF = { 0 };
	struct buf again AUTO_BUF = { 0 };

	reg_start(g, &want);
	AUTO(cmp_msg) a = enrol(g, CMP_IR, &old);
	AUTO(cmp_msg) b = enrol(g, CMP_IR, &young); /* supersedes it */
	assert_int_equal(reg_entry(g, 1).state, ENTRY_WITHDRAWN);
	await_pruned(g, 1);
	/* What has not ended stays, however old. */
	some_sweeps();
	assert_int_equal(reg_entry(g, 2).state, ENTRY_QUEUED);
	AUTO(cmp_msg) c = enrol(g, CMP_IR, &again);
	reg_expect_waiting(c, CMP_IP, 0);
}

static void
what_ended_lately_stays(void **state)
{
	struct reg_want want = { .more = "sweep: 100ms\nretention: 1h\n" };
	struct reg_lab *g = *state;
	struct buf old AUTO_BUF = { 0 }, young AUTO_BUF = { 0 };

	reg_start(g, &want);
	AUTO(cmp_msg) a = enrol(g, CMP_IR, &old);
	AUTO(cmp_msg) b = enrol(g, CMP_IR, &young);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_WITHDRAWN);
	some_sweeps();
	some_sweeps();
	some_sweeps();
	assert_false(reg_entry(g, 1).pruned);
	assert_int_equal(reg_logged(g, "event=queue.pruned"), 0);
}

/* ---- checkpoints ------------------------------------------------------- */

static unsigned
checkpoints(struct reg_lab *g)
{
	struct outbox_entry en;
	struct err e = ERR_INIT;
	unsigned n = 0;

	for (uint64_t id = 1; id < reg_next_id(g); id++)
		if (outbox_get(g->r.outbox, id, &en, &e) == 1)
			n += en.kind == ENTRY_AUDIT;
	return n;
}

static void
the_trail_is_countersigned(void **state)
{
	struct reg_want want = {
		.more = "sweep: 100ms\ncheckpoint: 1s\n",
	};
	uint64_t end = clock_mono_ms() + REG_WAIT_MS;
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &want);
	AUTO(cmp_msg) a = enrol(g, CMP_IR, &request);
	while (checkpoints(g) == 0)
		if (clock_mono_ms() > end)
			fail_msg("no checkpoint");
	/* Nothing new but what it says itself: no further one. */
	some_sweeps();
	some_sweeps();
	some_sweeps();
	assert_int_equal(checkpoints(g), 1);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	assert_int_equal(fwd_header(&fwd).kind, ENTRY_CMP);
	fwd_stored(&fwd, 1);
	fwd_expect(&fwd, FRAME_PUT);
	assert_int_equal(fwd_header(&fwd).kind, ENTRY_AUDIT);
}

static void
without_somebody_to_sign_none_is_made(void **state)
{
	struct reg_want want = { .more = "sweep: 100ms\ncheckpoint: 1s\n",
		.ra_kinds = "cmp" };
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, &want);
	AUTO(cmp_msg) a = enrol(g, CMP_IR, &request);
	some_sweeps();
	some_sweeps();
	some_sweeps();
	assert_int_equal(checkpoints(g), 0);
	assert_int_equal(reg_next_id(g), 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_due_expires_with_its_answer),
		T(an_expired_request_stays_so),
		T(nothing_expires_by_a_clock_not_believed),
		T(what_has_left_does_not_expire),
		T(many_expire_in_portions),
		T(each_kind_has_its_answer),
		T(a_masas_word_is_passed_on),
		T(what_ended_long_ago_is_dropped),
		T(what_ended_lately_stays),
		T(the_trail_is_countersigned),
		T(without_somebody_to_sign_none_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
