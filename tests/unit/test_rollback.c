/* One side was put back to an older copy: how the registrar finds out, and what
 * it does then; and a link that does not get on. */
#include "tests/unit/fwd_lab.h"

#include "registrar/carry_int.h"

static void
welcome(const struct frame_hello *h)
{
	struct frame_hello copy = *h;

	fwd_welcome(&fwd, &copy, fwd.hello_tag, fwd.key);
}

static void
expect_unavailable(struct reg_lab *g)
{
	struct lab_ask ask = { .cn = "new" };
	struct buf request AUTO_BUF = { 0 };
	struct reg_reply p AUTO_REPLY = { 0 };
	struct reg_http h = { .client = g->l->device,
		.path = REG_CMP "/p/new",
		.type = REG_CMP_TYPE };

	lab_request(g->l, &ask, &request);
	h.body = buf_bytes(&request);
	reg_http(g, &h, &p);
	assert_int_equal(p.status, 503);
	assert_true(reg_reply_has(&p, "Retry-After: "));
	assert_true(reg_reply_has(&p, "queue restore"));
}

/* ---- the site ---------------------------------------------------------- */

struct renewal {
	struct reg_lab *g;
	atomic_bool over;
};

static void
renewed(void *user, const struct err *e)
{
	struct renewal *x = user;

	assert_null(e);
	carry_renewed(x->g->r.carry);
	atomic_store(&x->over, true);
}

/* As the control socket does it. */
static void
renew(struct reg_lab *g)
{
	uint64_t end = clock_mono_ms() + REG_WAIT_MS;
	struct renewal x = { .g = g };

	outbox_renew(
	    g->r.outbox, "test", renewed, &x, loop_poster(g->r.loops[0]));
	while (!atomic_load(&x.over) && clock_mono_ms() < end)
		poll(NULL, 0, 1);
	assert_true(atomic_load(&x.over));
}

/* One entry in custody; the service claims to have seen the next id too. */
static void
put_back(struct reg_lab *g)
{
	struct frame_hello h;

	fwd_enrol_only(g, "a");
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_settle(&fwd);
	h = fwd_mirror(&fwd);
	h.site_next_id++;
	welcome(&h);
	fwd_silence(&fwd);
}

static void
a_site_put_back_takes_nothing_new(void **state)
{
	struct reg_lab *g = *state;
	struct frame_hello h;

	reg_start(g, NULL);
	put_back(g);
	assert_int_equal(reg_logged(g, "event=link.site-rolled-back"), 1);
	expect_unavailable(g);
	assert_false(atomic_load(&g->r.services[0].contact.up));
	/* A service that has seen no more of us is no way out. */
	h = fwd_mirror(&fwd);
	welcome(&h);
	fwd_silence(&fwd);
	expect_unavailable(g);
	/* Nor is a restart. */
	reg_stop(g);
	fwd_close(&fwd);
	reg_start(g, NULL);
	expect_unavailable(g);
	fwd_connect(&fwd);
	fwd_silence(&fwd);
	h = fwd_mirror(&fwd);
	welcome(&h);
	fwd_silence(&fwd);
}

/* Found by one service, it holds for all. */
static void
no_service_hears_of_a_site_put_back(void **state)
{
	struct reg_lab *g = *state;
	struct forwarder masa;

	reg_start(g, NULL);
	fwd_init(&masa, g, "masa", g->masa_service);
	fwd_ready(&masa);
	assert_true(atomic_load(&g->r.services[1].contact.up));
	put_back(g);
	assert_false(atomic_load(&g->r.services[1].contact.up));
	renew(g);
	fwd_expect(&masa, FRAME_HELLO);
	fwd_take_hello(&masa);
	assert_memory_equal(
	    masa.hello.site_epoch, outbox_epoch(g->r.outbox), ENTRY_EPOCH_LEN);
	fwd_close(&masa);
}

static void
a_renewed_site_says_hello_and_resends(void **state)
{
	struct reg_lab *g = *state;
	static const uint8_t zeros[ENTRY_EPOCH_LEN];
	uint8_t old[ENTRY_EPOCH_LEN];
	struct outbox_octets x = { 0 };
	struct entry_header h;
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	put_back(g);
	memcpy(old, outbox_epoch(g->r.outbox), sizeof(old));
	renew(g);
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	assert_memory_not_equal(fwd.hello.site_epoch, old, sizeof(old));
	assert_memory_equal(fwd.hello.service_epoch, zeros, sizeof(zeros));
	assert_int_equal(fwd.hello.service_seq, 0);
	fwd_greet(&fwd);
	assert_int_equal(fwd.f.u.pull.since, 0);
	fwd_expect(&fwd, FRAME_PUT);
	h = fwd_header(&fwd);
	assert_int_equal(h.id, 1);
	assert_memory_equal(h.epoch, fwd.hello.site_epoch, sizeof(h.epoch));
	assert_int_equal(outbox_octets(g->r.outbox, 1, &x, &e), 0);
	assert_true(bytes_eq(fwd.f.u.put.octets, buf_bytes(&x.wrapped)));
	outbox_octets_done(&x);
	fwd_stored(&fwd, 1);
	fwd_enrol_only(g, "b");
	assert_int_equal(fwd_custody(&fwd), 2);
}

/* What was on its way when the outbox was renewed is nobody's fault. */
static void
replies_of_before_are_ignored(void **state)
{
	struct reg_lab *g = *state;
	struct fwd_batch x;
	uint64_t put, pull;

	reg_start(g, NULL);
	fwd_enrol_only(g, "a");
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	put = fwd.f.tag;
	pull = fwd.pull_tag;
	x = fwd_batch(&fwd, 1, BATCH_STORED, bytes_of(NULL, 0));
	renew(g);
	fwd_send_batch(&fwd, FRAME_STORED, put, &x);
	fwd_send_batch(&fwd, FRAME_ANSWERS, pull, &x);
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_silence(&fwd);
	assert_int_equal(reg_logged(g, "event=carry."), 0);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_INFLIGHT);
	fwd_greet(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
}

/* ---- the service ------------------------------------------------------- */

static void
a_service_put_back_gets_nothing(void **state)
{
	struct reg_lab *g = *state;
	struct frame_hello h;
	uint64_t before;

	reg_start(g, NULL);
	fwd_enrol_only(g, "a");
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_enrol_only(g, "b");
	fwd_expect(&fwd, FRAME_PUT);
	fwd_settle(&fwd);
	/* Another ledger. */
	fwd.epoch[0] ^= 1;
	h = fwd_mirror(&fwd);
	welcome(&h);
	fwd_silence(&fwd);
	assert_int_equal(reg_logged(g, "has another ledger"), 1);
	/* An older copy of the one that we know. */
	fwd.epoch[0] ^= 1;
	h = fwd_mirror(&fwd);
	h.service_seq--;
	welcome(&h);
	before = clock_mono_ms();
	/* It is asked again in a while, and the alarm is not repeated. */
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	assert_true(clock_mono_ms() - before > 2000);
	assert_int_equal(reg_logged(g, "event=link.service-rolled-back"), 1);
	assert_false(atomic_load(&g->r.services[0].contact.up));
	fwd_greet(&fwd);
	assert_int_equal(fwd_custody(&fwd), 2);
	assert_int_equal(reg_logged(g, "event=link.site-rolled-back"), 0);
}

/* ---- the watchdog ------------------------------------------------------ */

static void
no_progress_is_an_alarm(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	g->r.carry->stall_ms = 300;
	fwd_ready(&fwd);
	fwd_enrol_only(g, "a");
	fwd_expect(&fwd, FRAME_PUT);
	fwd_expect(&fwd, FRAME_HELLO);
	assert_int_equal(reg_logged(g, "event=link.no-progress"), 1);
	fwd_take_hello(&fwd);
	fwd_greet(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	/* Who waits for an answer makes no backlog. */
	for (uint64_t end = clock_mono_ms() + 600; clock_mono_ms() < end;)
		poll(NULL, 0, 50);
	fwd_silence(&fwd);
	assert_int_equal(reg_logged(g, "event=link.no-progress"), 1);
}

/* Slowly is not never. */
static void
slow_progress_is_no_alarm(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	g->r.carry->stall_ms = 1000;
	fwd.credit = 1;
	fwd_enrol_only(g, "a");
	fwd_enrol_only(g, "b");
	fwd_ready(&fwd);
	for (uint64_t id = 1; id <= 2; id++) {
		fwd_expect(&fwd, FRAME_PUT);
		assert_int_equal(fwd_header(&fwd).id, id);
		poll(NULL, 0, 600);
		fwd_stored(&fwd, id);
	}
	fwd_silence(&fwd);
	assert_int_equal(reg_logged(g, "event=link.no-progress"), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_site_put_back_takes_nothing_new),
		T(no_service_hears_of_a_site_put_back),
		T(a_renewed_site_says_hello_and_resends),
		T(replies_of_before_are_ignored),
		T(a_service_put_back_gets_nothing),
		T(no_progress_is_an_alarm),
		T(slow_progress_is_no_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
