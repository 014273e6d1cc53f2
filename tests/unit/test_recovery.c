/* A service that was put back to an older copy is told what it forgot. */
#include "tests/unit/fwd_lab.h"

static void
ask_for_evidence(uint64_t next_id)
{
	struct frame_hello h = fwd_mirror(&fwd);

	h.service_seq = 0;
	h.site_next_id = next_id;
	h.recover = true;
	fwd_welcome(&fwd, &h, fwd.hello_tag, fwd.key);
}

/* Of the frame that was read last. */
static struct entry_header
evidence_header(void)
{
	struct entry_header h = { 0 };
	struct err e = ERR_INIT;

	if (entry_header_parse(fwd.f.u.evidence.header, &h, &e) == -1 ||
	    sign_check(fwd.g->l->registrar->cert, ENTRY_LABEL,
		fwd.f.u.evidence.header, fwd.f.u.evidence.sig, &e) == -1)
		fail_msg("%s", e.msg);
	return h;
}

static void
expect_evidence(uint64_t id, enum entry_state state)
{
	fwd_expect(&fwd, FRAME_EVIDENCE);
	assert_int_equal(evidence_header().id, id);
	assert_int_equal(fwd.f.u.evidence.state, state);
}

static void
pong(uint64_t tag)
{
	struct buf out AUTO_BUF = { 0 };

	frame_ping(tag, &out);
	fwd_send(&fwd, &out);
}

/* 1 in custody, 2 answered (3 is its answer), 4 in flight; 5 has not left. */
static void
four_entries(struct reg_lab *g, struct buf *answer)
{
	struct buf request AUTO_BUF = { 0 };
	struct fwd_issue x = { 0 };

	fwd.credit = 1;
	fwd_enrol_only(g, "a");
	cmp_free(fwd_enrol(g, "b", &request));
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	assert_int_equal(fwd_custody(&fwd), 2);
	fwd_issue(&fwd, &request, &x, answer);
	X509_free(x.cert);
	fwd_answer(&fwd, 2, BATCH_ANSWERED, buf_bytes(answer));
	reg_await(g, 2, ENTRY_ANSWERED);
	fwd_expect(&fwd, FRAME_GOT);
	fwd_expect(&fwd, FRAME_PULL);
	fwd_enrol_only(g, "c");
	fwd_expect(&fwd, FRAME_PUT);
	fwd_enrol_only(g, "d");
	fwd_settle(&fwd);
	fwd.credit = 2;
}

static void
what_a_service_forgot_it_is_told(void **state)
{
	struct reg_lab *g = *state;
	struct buf answer AUTO_BUF = { 0 };
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;
	uint64_t first, second;

	reg_start(g, NULL);
	four_entries(g, &answer);
	assert_int_equal(fwd.hello.service_seq, 3);
	ask_for_evidence(1);
	expect_evidence(1, ENTRY_CUSTODY);
	first = fwd.f.tag;
	assert_int_equal(fwd.f.u.evidence.answer.len, 0);
	assert_int_equal(outbox_octets(g->r.outbox, 1, &x, &e), 0);
	assert_true(bytes_eq(fwd.f.u.evidence.octets, buf_bytes(&x.wrapped)));
	outbox_octets_done(&x);
	expect_evidence(2, ENTRY_ANSWERED);
	second = fwd.f.tag;
	assert_true(bytes_eq(fwd.f.u.evidence.answer, buf_bytes(&answer)));
	pong(second);
	expect_evidence(4, ENTRY_INFLIGHT);
	pong(fwd.f.tag);
	pong(first + 1000);
	pong(first);
	/* The end: what we have of its batches, and nothing of entry 5. */
	fwd_expect(&fwd, FRAME_GOT);
	assert_int_equal(fwd.f.u.got.upto, 3);
	assert_int_equal(reg_logged(g, "event=link.ready"), 1);
	pong(fwd.f.tag);
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	assert_int_equal(fwd.hello.service_seq, 3);
	fwd_greet(&fwd);
	assert_int_equal(fwd.f.u.pull.since, 3);
	assert_int_equal(fwd_custody(&fwd), 4);
	assert_int_equal(fwd_custody(&fwd), 5);
}

/* No more is out than there is credit for, and a cut takes it up again. */
static void
evidence_keeps_to_the_window(void **state)
{
	struct reg_lab *g = *state;
	struct buf answer AUTO_BUF = { 0 };

	reg_start(g, NULL);
	four_entries(g, &answer);
	ask_for_evidence(1);
	expect_evidence(1, ENTRY_CUSTODY);
	expect_evidence(2, ENTRY_ANSWERED);
	fwd_silence(&fwd);
	ask_for_evidence(1);
	expect_evidence(1, ENTRY_CUSTODY);
	expect_evidence(2, ENTRY_ANSWERED);
	fwd_silence(&fwd);
}

/* A service put back to an empty ledger of its own. */
static void
another_ledger_is_met(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	fwd_enrol_only(g, "a");
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_settle(&fwd);
	fwd.epoch[0] ^= 1;
	ask_for_evidence(1);
	expect_evidence(1, ENTRY_CUSTODY);
	pong(fwd.f.tag);
	fwd_expect(&fwd, FRAME_GOT);
	assert_int_equal(fwd.f.u.got.upto, 0);
	pong(fwd.f.tag);
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	assert_memory_equal(
	    fwd.hello.service_epoch, fwd.epoch, ENTRY_EPOCH_LEN);
	assert_int_equal(fwd.hello.service_seq, 0);
	fwd_greet(&fwd);
	fwd_enrol_only(g, "b");
	assert_int_equal(fwd_custody(&fwd), 2);
	fwd_silence(&fwd);
	assert_int_equal(fwd.hello.service_seq, 1);
}

static void
evidence_that_is_refused_is_told_again(void **state)
{
	struct reg_lab *g = *state;
	struct buf out AUTO_BUF = { 0 };

	reg_start(g, NULL);
	fwd_enrol_only(g, "a");
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_settle(&fwd);
	ask_for_evidence(1);
	expect_evidence(1, ENTRY_CUSTODY);
	frame_nack(fwd.f.tag, 0, "the ledger is full", &out);
	fwd_send(&fwd, &out);
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	ask_for_evidence(1);
	expect_evidence(1, ENTRY_CUSTODY);
	assert_int_equal(reg_logged(g, "event=carry.unsolicited"), 0);
}

/* ---- many -------------------------------------------------------------- */

#define MANY 100

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	assert_null(e);
	atomic_fetch_add((atomic_uint *)a->user, 1);
}

/* Entries 1 to MANY, all in custody. */
static void
many_entries(struct reg_lab *g)
{
	static const struct facts none;
	static struct outbox_accept all[MANY];
	struct post now = { reg_post_now, NULL };
	uint64_t end = clock_mono_ms() + REG_WAIT_MS;
	atomic_uint n = 0;

	for (size_t i = 0; i < MANY; i++) {
		all[i] = (struct outbox_accept){ .kind = ENTRY_CMP,
			.row = digest_of(&i, sizeof(i)),
			.bytes = bytes_of("octets", 6),
			.facts = &none,
			.label = "WB-0001",
			.received = clock_now(),
			.user = &n };
		outbox_accept(g->r.outbox, &all[i], accepted, now);
	}
	while (atomic_load(&n) < MANY && clock_mono_ms() < end)
		poll(NULL, 0, 1);
	assert_int_equal(atomic_load(&n), MANY);
	fwd_ready(&fwd);
	for (uint64_t id = 1; id <= MANY; id++)
		assert_int_equal(fwd_custody(&fwd), id);
	fwd_settle(&fwd);
}

/* After a cut it goes on, but for the last windows: these the service may have
 * lost if it was put back to a copy made meanwhile. */
static void
evidence_goes_on_after_a_cut(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	many_entries(g);
	ask_for_evidence(1);
	for (uint64_t id = 1; id <= 70; id++) {
		expect_evidence(id, ENTRY_CUSTODY);
		pong(fwd.f.tag);
	}
	fwd_settle(&fwd);
	ask_for_evidence(71);
	fwd_expect(&fwd, FRAME_EVIDENCE);
	assert_int_equal(evidence_header().id, 33);
	fwd_settle(&fwd);
	/* Put back once more: all of it. */
	ask_for_evidence(1);
	expect_evidence(1, ENTRY_CUSTODY);
	fwd_settle(&fwd);
	/* Another ledger, which knows as much of others. */
	fwd.epoch[0] ^= 1;
	ask_for_evidence(71);
	expect_evidence(1, ENTRY_CUSTODY);
}

static void
evidence_of_many_comes_to_its_end(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	many_entries(g);
	ask_for_evidence(1);
	for (uint64_t id = 1; id <= MANY; id++) {
		expect_evidence(id, ENTRY_CUSTODY);
		pong(fwd.f.tag);
	}
	fwd_expect(&fwd, FRAME_GOT);
	assert_int_equal(fwd.f.u.got.upto, MANY);
	pong(fwd.f.tag);
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	fwd_greet(&fwd);
	fwd_silence(&fwd);
	/* A later recovery is another one. */
	ask_for_evidence(MANY + 1);
	expect_evidence(1, ENTRY_CUSTODY);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_a_service_forgot_it_is_told),
		T(evidence_keeps_to_the_window),
		T(another_ledger_is_met),
		T(evidence_that_is_refused_is_told_again),
		T(evidence_goes_on_after_a_cut),
		T(evidence_of_many_comes_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
