/*
 * Who may end an entry (DESIGN 7), line by line, at the registrar: before the
 * first copy has left it, after that the service alone; what was given up, and
 * what comes late.
 */
#include "tests/unit/fwd_lab.h"

#include "common/base/cbor.h"
#include "registrar/ending.h"

static struct cmp_msg *
poll_for(struct reg_lab *g, const struct cmp_msg *last)
{
	struct buf request AUTO_BUF = { 0 };

	reg_pollreq(last, g->l->device, 0, &request);
	return reg_cmp(g, g->l->device, &request);
}

static void
wait_until(atomic_bool *over)
{
	uint64_t end = clock_mono_ms() + REG_WAIT_MS;

	while (!atomic_load(over) && clock_mono_ms() < end)
		poll(NULL, 0, 1);
	assert_true(atomic_load(over));
}

static void
given_up(struct outbox_withdraw *w, const struct err *e)
{
	assert_null(e);
	atomic_store((atomic_bool *)w->user, true);
}

/* The id of the withdrawal that is on its way, 0: nothing had left. */
static uint64_t
give_up(struct reg_lab *g, uint64_t id)
{
	atomic_bool over = false;
	struct outbox_entry en = reg_entry(g, id);
	struct buf answer AUTO_BUF = { 0 };
	struct outbox_withdraw w = {
		.id = id, .who = "test", .why = "wrong site", .user = &over
	};
	struct post now = { reg_post_now, NULL };
	struct err e = ERR_INIT;

	/* As the control socket does it. */
	if (en.kind == ENTRY_CMP &&
	    ending_answer(&g->r, &en, ENTRY_WITHDRAWN, w.why, &answer, &e) ==
		-1)
		fail_msg("%s", e.msg);
	w.answer = buf_bytes(&answer);
	outbox_withdraw(g->r.outbox, &w, given_up, now);
	wait_until(&over);
	assert_true(w.withdrawn);
	assert_int_equal(reg_entry(g, id).state, ENTRY_WITHDRAWN);
	return w.entry;
}

static void
moved(struct outbox_move *m, const struct err *e)
{
	assert_null(e);
	atomic_store((atomic_bool *)m->user, true);
}

static bool
try_move(struct reg_lab *g, uint64_t id, enum entry_event ev)
{
	atomic_bool over = false;
	struct outbox_move m = { .event = ev,
		.ids = { id },
		.n = 1,
		.who = "test",
		.reason = "deadline",
		.user = &over };
	struct post now = { reg_post_now, NULL };

	outbox_move(g->r.outbox, &m, moved, now);
	wait_until(&over);
	return m.moved[0];
}

/* ---- before and after the first copy has left -------------------------- */

static void
before_a_copy_left_the_registrar_ends_it(void **state)
{
	struct reg_lab *g = *state;
	struct buf a AUTO_BUF = { 0 }, b AUTO_BUF = { 0 };

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = fwd_enrol(g, "a", &a);
	AUTO(cmp_msg) waits_too = fwd_enrol(g, "b", &b);
	assert_int_equal(give_up(g, 1), 0);
	assert_true(try_move(g, 2, ENTRY_EV_EXPIRE));
	AUTO(cmp_msg) said = poll_for(g, waiting);
	reg_expect_refused(
	    "withdrawn", said, CMP_IP, CMP_BAD_REQUEST, "wrong site");
	AUTO(cmp_msg) expired = poll_for(g, waits_too);
	reg_expect_refused(
	    "expired", expired, CMP_IP, CMP_BAD_TIME, "deadline");
	/* Neither they nor a word of them leaves. */
	fwd_ready(&fwd);
	fwd_silence(&fwd);
}

static void
after_that_only_the_service_ends_it(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	struct fwd_issue x = { .refuse = true };

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = fwd_enrol(g, "a", &request);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	assert_false(try_move(g, 1, ENTRY_EV_EXPIRE));
	assert_false(try_move(g, 1, ENTRY_EV_REFUSE));
	fwd_stored(&fwd, 1);
	assert_false(try_move(g, 1, ENTRY_EV_EXPIRE));
	assert_false(try_move(g, 1, ENTRY_EV_REFUSE));
	assert_int_equal(reg_entry(g, 1).state, ENTRY_CUSTODY);
	/* Its deadline is in the header that the service has. */
	assert_int_equal(fwd_header(&fwd).deadline, reg_entry(g, 1).deadline);
	fwd_issue(&fwd, &request, &x, &answer);
	fwd_answer(&fwd, 1, BATCH_REFUSED, buf_bytes(&answer));
	fwd_expect(&fwd, FRAME_GOT);
	AUTO(cmp_msg) said = poll_for(g, waiting);
	reg_expect_refused(
	    "refused", said, CMP_IP, CMP_NOT_AUTHORIZED, "not in the plan");
}

/* ---- giving up what has left ------------------------------------------- */

/* Of the PUT that was read last: a withdrawal of entry `id`. */
static void
expect_withdrawal_of(struct reg_lab *g, struct forwarder *w, uint64_t id)
{
	struct entry_header h = fwd_header(w);
	struct digest digest, want = reg_entry(g, id).digest;
	uint8_t epoch[ENTRY_EPOCH_LEN];
	char label[32], reason[160];
	struct cbor_in in;
	struct err e = ERR_INIT;

	assert_int_equal(h.kind, ENTRY_WITHDRAW);
	assert_int_equal(h.parent, id);
	cbor_read_init(&in, w->f.u.put.octets, "withdrawal");
	cbor_read_array(&in, 5);
	cbor_read_text(&in, label, sizeof(label));
	cbor_read_fixed(&in, epoch, sizeof(epoch));
	assert_int_equal(cbor_read_uint(&in, UINT64_MAX), id);
	cbor_read_fixed(&in, digest.b, sizeof(digest.b));
	cbor_read_text(&in, reason, sizeof(reason));
	if (cbor_read_end(&in, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(label, "waybill-withdraw/1");
	assert_string_equal(reason, "wrong site");
	assert_true(digest_eq(&digest, &want));
	assert_memory_equal(epoch, outbox_epoch(g->r.outbox), sizeof(epoch));
}

static void
done_answer(const char *label, struct buf *out)
{
	buf_reset(out);
	cbor_write_array(out, 2);
	cbor_write_text(out, label);
	cbor_write_text(out, "never issued");
}

static void
a_withdrawal_goes_before_all_else(void **state)
{
	struct reg_lab *g = *state;
	struct buf a AUTO_BUF = { 0 }, b AUTO_BUF = { 0 };
	struct fwd_batch x;
	uint64_t id;

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = fwd_enrol(g, "a", &a);
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_settle(&fwd);
	cmp_free(fwd_enrol(g, "b", &b));
	id = give_up(g, 1);
	assert_true(id > 2);
	AUTO(cmp_msg) said = poll_for(g, waiting);
	reg_expect_refused(
	    "withdrawn", said, CMP_IP, CMP_BAD_REQUEST, "wrong site");
	fwd_greet(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	expect_withdrawal_of(g, &fwd, 1);
	x = fwd_batch(&fwd, id, BATCH_STORED, bytes_of(NULL, 0));
	fwd_send_batch(&fwd, FRAME_STORED, fwd.f.tag, &x);
	assert_int_equal(fwd_custody(&fwd), 2);
	/* The receipt is its end: nobody fetches an answer. */
	assert_int_equal(reg_entry(g, id).state, ENTRY_CONFIRMED);
}

static void
a_withdrawal_is_answered_with_done(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	struct fwd_batch x;
	uint64_t id, tag;

	reg_start(g, NULL);
	cmp_free(fwd_enrol(g, "a", &request));
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	id = give_up(g, 1);
	fwd_expect(&fwd, FRAME_PUT);
	tag = fwd.f.tag;
	done_answer("waybill-done/2", &answer);
	fwd_answer(&fwd, id, BATCH_ANSWERED, buf_bytes(&answer));
	fwd_expect(&fwd, FRAME_GOT);
	fwd_expect(&fwd, FRAME_PULL);
	assert_int_equal(reg_logged(g, "event=link.bad-answer"), 1);
	assert_int_equal(reg_entry(g, id).state, ENTRY_INFLIGHT);
	done_answer("waybill-done/1", &answer);
	x = fwd_batch(&fwd, id, BATCH_ANSWERED, buf_bytes(&answer));
	fwd_send_batch(&fwd, FRAME_STORED, tag, &x);
	reg_await(g, id, ENTRY_CONFIRMED);
	assert_non_null(strstr(reg_entry(g, id).reason, "never issued"));
}

/* ---- a device that waits ----------------------------------------------- */

static void
who_is_held_open_is_told_at_once(void **state)
{
	struct reg_lab *g = *state;
	struct lab_ask ask = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct reg_want want = { .cmp = "hold: 10s" };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct reg_http h = { .path = REG_CMP, .type = REG_CMP_TYPE };
	struct client c;
	uint64_t before;

	reg_start(g, &want);
	fwd_ready(&fwd);
	lab_request(g->l, &ask, &request);
	h.body = buf_bytes(&request);
	reg_dial(g, &c, g->l->device);
	reg_http_send(&c, &h);
	assert_int_equal(fwd_custody(&fwd), 1);
	before = clock_mono_ms();
	assert_int_not_equal(give_up(g, 1), 0);
	reg_http_receive(&c, &p);
	assert_true(clock_mono_ms() - before < 5000);
	client_close(&c);
	AUTO(cmp_msg) said =
	    reg_cmp_read(g, g->l->registrar, buf_bytes(&request), &p);
	reg_expect_refused(
	    "withdrawn", said, CMP_IP, CMP_BAD_REQUEST, "wrong site");
}

/* ---- what comes late --------------------------------------------------- */

static void
expect_late(struct reg_lab *g, const struct buf *answer)
{
	struct outbox_entry en = reg_entry(g, 1);
	struct buf late AUTO_BUF = { 0 };
	struct outbox_counts n;
	struct err e = ERR_INIT;

	assert_int_equal(en.state, ENTRY_WITHDRAWN);
	assert_true(en.late);
	assert_int_equal(outbox_late(g->r.outbox, &en, &late, &e), 0);
	assert_true(bytes_eq(buf_bytes(&late), buf_bytes(answer)));
	outbox_count(g->r.outbox, &n);
	assert_int_equal(n.late, 1);
}

/* Asked for in every way that there is. */
static void
expect_never_told(
    struct reg_lab *g, const struct cmp_msg *waiting, const struct buf *request)
{
	AUTO(cmp_msg) polled = poll_for(g, waiting);
	AUTO(cmp_msg) again =
	    reg_cmp_at(g, g->l->device, REG_CMP "/p/a", request);

	reg_expect_refused(
	    "polled", polled, CMP_IP, CMP_BAD_REQUEST, "wrong site");
	reg_expect_refused(
	    "again", again, CMP_IP, CMP_BAD_REQUEST, "wrong site");
}

static void
a_late_answer_is_kept_and_never_told(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	struct fwd_issue x = { 0 };

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = fwd_enrol(g, "a", &request);
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	assert_int_not_equal(give_up(g, 1), 0);
	fwd_expect(&fwd, FRAME_PUT);
	fwd_issue(&fwd, &request, &x, &answer);
	X509_free(x.cert);
	fwd_answer(&fwd, 1, BATCH_ANSWERED, buf_bytes(&answer));
	fwd_expect(&fwd, FRAME_GOT);
	expect_late(g, &answer);
	expect_never_told(g, waiting, &request);
}

static void
what_was_answered_can_be_given_up_until_it_is_told(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	struct fwd_issue x = { 0 };

	reg_start(g, NULL);
	AUTO(cmp_msg) waiting = fwd_enrol(g, "a", &request);
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_issue(&fwd, &request, &x, &answer);
	X509_free(x.cert);
	fwd_answer(&fwd, 1, BATCH_ANSWERED, buf_bytes(&answer));
	fwd_expect(&fwd, FRAME_GOT);
	fwd_expect(&fwd, FRAME_PULL);
	assert_int_not_equal(give_up(g, 1), 0);
	fwd_expect(&fwd, FRAME_PUT);
	expect_withdrawal_of(g, &fwd, 1);
	expect_late(g, &answer);
	expect_never_told(g, waiting, &request);
}

/* ---- whose business it is ---------------------------------------------- */

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	assert_null(e);
	atomic_store((atomic_bool *)a->user, true);
}

static void
ask_for_voucher(struct reg_lab *g)
{
	static const struct facts none;
	atomic_bool over = false;
	struct outbox_accept a = { .kind = ENTRY_VOUCHER,
		.row = digest_of("row", 3),
		.bytes = bytes_of("octets", 6),
		.facts = &none,
		.label = "WB-0001",
		.received = clock_now(),
		.user = &over };
	struct post now = { reg_post_now, NULL };

	outbox_accept(g->r.outbox, &a, accepted, now);
	wait_until(&over);
}

static void
a_voucher_is_withdrawn_where_it_was_asked_for(void **state)
{
	struct reg_lab *g = *state;
	struct forwarder masa;

	reg_start(g, NULL);
	fwd_init(&masa, g, "masa", g->masa_service);
	fwd_ready(&fwd);
	fwd_ready(&masa);
	ask_for_voucher(g);
	assert_int_equal(fwd_custody(&masa), 1);
	assert_int_not_equal(give_up(g, 1), 0);
	fwd_expect(&masa, FRAME_PUT);
	expect_withdrawal_of(g, &masa, 1);
	fwd_silence(&fwd);
	fwd_close(&masa);
}

/* No service ends what is another's to answer, not even by a receipt. */
static void
another_service_has_no_word_in_it(void **state)
{
	struct reg_lab *g = *state;
	struct forwarder masa;
	struct buf request AUTO_BUF = { 0 };
	struct fwd_batch x;

	reg_start(g, NULL);
	fwd_init(&masa, g, "masa", g->masa_service);
	fwd_ready(&fwd);
	fwd_ready(&masa);
	cmp_free(fwd_enrol(g, "a", &request));
	fwd_expect(&fwd, FRAME_PUT);
	x = fwd_batch(&masa, 1, BATCH_CONFLICT, bytes_of(NULL, 0));
	fwd_send_batch(&masa, FRAME_ANSWERS, masa.pull_tag, &x);
	fwd_expect(&masa, FRAME_GOT);
	assert_int_equal(reg_logged(g, "cmp is not its kind"), 1);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_INFLIGHT);
	fwd_close(&masa);
}

static void
checked(struct outbox_checkpoint *c, const struct err *e)
{
	assert_null(e);
	atomic_store((atomic_bool *)c->user, true);
}

static void
a_checkpoint_is_countersigned(void **state)
{
	struct reg_lab *g = *state;
	struct post now = { reg_post_now, NULL };
	struct buf answer AUTO_BUF = { 0 };
	atomic_bool over = false;
	struct outbox_checkpoint c = { .user = &over };

	reg_start(g, NULL);
	fwd_ready(&fwd);
	ask_for_voucher(g); /* something to tell */
	outbox_checkpoint(g->r.outbox, &c, checked, now);
	wait_until(&over);
	fwd_expect(&fwd, FRAME_PUT);
	assert_int_equal(fwd_header(&fwd).kind, ENTRY_AUDIT);
	done_answer("waybill-done/1", &answer);
	fwd_answer(&fwd, c.id, BATCH_ANSWERED, buf_bytes(&answer));
	reg_await(g, c.id, ENTRY_CONFIRMED);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(before_a_copy_left_the_registrar_ends_it),
		T(after_that_only_the_service_ends_it),
		T(a_withdrawal_goes_before_all_else),
		T(a_withdrawal_is_answered_with_done),
		T(who_is_held_open_is_told_at_once),
		T(a_late_answer_is_kept_and_never_told),
		T(what_was_answered_can_be_given_up_until_it_is_told),
		T(a_voucher_is_withdrawn_where_it_was_asked_for),
		T(another_service_has_no_word_in_it),
		T(a_checkpoint_is_countersigned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
