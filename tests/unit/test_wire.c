/* A link in use: its window, what breaks it, how it comes back. */
#include "wire_lab.h"

/* ---- a service --------------------------------------------------------- */

static void
release(struct service *sv)
{
	unsigned i;

	sv->keep = 0;
	for (i = 0; i < sv->n_held; i++)
		answer(sv->held[i]);
	sv->n_held = 0;
}

/* ---- a site ------------------------------------------------------------ */

static bool
is_up_again(void *arg)
{
	return ((struct site *)arg)->ups == 2;
}

static bool
has_ended_all(void *arg)
{
	struct site *st = arg;

	return st->replies + st->failures >= 64;
}

static bool
holds_all(void *arg)
{
	struct service *sv = arg;

	return sv->n_held == sv->keep;
}

/* ---- the tests --------------------------------------------------------- */

static void
window_is_64_and_no_more(void **state)
{
	struct service sv = { .keep = 64 };
	struct site st = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&st, "north", &sv);
	assert_int_equal(wire_room(st.w), 64);
	for (int i = 0; i < 64; i++)
		must_send(&st, bytes_of("x", 1), LIMIT_MS);
	assert_int_equal(wire_room(st.w), 0);
	assert_int_equal(
	    wire_send(st.w, bytes_of("x", 1), 100, on_done, &st, &e), -1);
	assert_int_equal(e.kind, ERR_RETRY);
	must_wait(holds_all, &sv);
	assert_int_equal(st.replies, 0);
	release(&sv);
	must_wait(has_ended_all, &st);
	assert_int_equal(st.replies, 64);
	assert_int_equal(wire_room(st.w), 64);
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
oversize_is_never_sent(void **state)
{
	struct service sv = { 0 };
	struct site st = { 0 };
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&st, "north", &sv);
	memset(buf_grow(&b, FRAME_MAX + 1), 'x', FRAME_MAX + 1);
	assert_int_equal(
	    wire_send(st.w, buf_bytes(&b), 100, on_done, &st, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	/* "north:" in front makes this reply the largest there is. */
	must_send(&st, bytes_of(b.data, FRAME_MAX - 6), LIMIT_MS);
	must_wait(has_ended_one, &st);
	assert_int_equal(st.last_len, FRAME_MAX);
	/* The largest request; its reply would be too large, so none comes. */
	must_send(&st, bytes_of(b.data, FRAME_MAX), 400);
	st.replies = 0;
	must_wait(has_ended_one, &st);
	assert_int_equal(sv.seen, 2);
	assert_int_equal(st.failures, 1);
	assert_int_equal(st.e.kind, ERR_RETRY);
	must_echo(&st, "after", "north:after");
	assert_int_equal(st.downs, 0);
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
client_comes_back_after_a_restart(void **state)
{
	struct service sv = { .keep = 1 };
	struct site st = { 0 };
	char url[64];
	uint64_t start;

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	str_copy(url, sizeof(url), sv.url);
	must_dial(&st, "north", &sv);
	must_send(&st, bytes_of("lost", 4), LIMIT_MS);
	must_wait(holds_all, &sv);
	start = clock_mono_ms();
	wire_close(sv.s);
	must_wait(is_down, &st);
	must_wait(has_ended_one, &st);
	assert_true(clock_mono_ms() - start < 2000); /* not by time-out */
	assert_int_equal(st.failures, 1);
	assert_int_equal(st.e.kind, ERR_PEER);
	wire_reply(sv.held[0], bytes_of("late", 4)); /* into the void */
	sv.keep = sv.n_held = 0;
	must_listen(&sv, url);
	must_wait(is_up, &st);
	must_echo(&st, "again", "north:again");
	assert_int_equal(st.ups, 2);
	assert_int_equal(st.downs, 1);
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
reconnect_brings_a_new_pipe(void **state)
{
	struct service sv = { .keep = 1 };
	struct site st = { 0 };

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&st, "north", &sv);
	must_send(&st, bytes_of("lost", 4), LIMIT_MS);
	must_wait(holds_all, &sv);
	wire_reconnect(st.w);
	must_wait(has_ended_one, &st);
	assert_int_equal(st.e.kind, ERR_PEER);
	must_wait(is_up_again, &st);
	release(&sv);
	must_echo(&st, "again", "north:again");
	assert_int_equal(st.downs, 1);
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
reply_after_the_peer_has_gone_hurts_nobody(void **state)
{
	struct service sv = { .keep = 1 };
	struct site gone = { 0 }, st = { 0 };

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&gone, "north", &sv);
	must_send(&gone, bytes_of("x", 1), LIMIT_MS);
	must_wait(holds_all, &sv);
	wire_hangup(gone.w);
	assert_int_equal(gone.failures, 1); /* told at once, and once */
	assert_int_equal(gone.e.kind, ERR_PEER);
	must_dial(&st, "south", &sv);
	assert_string_equal(wire_site(sv.held[0]), "north");
	release(&sv);
	must_echo(&st, "x", "south:x");
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
request_times_out_and_its_place_is_free_again(void **state)
{
	struct service sv = { .keep = 1 };
	struct site st = { 0 };

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&st, "north", &sv);
	must_send(&st, bytes_of("x", 1), 100);
	must_wait(has_ended_one, &st);
	assert_int_equal(st.failures, 1);
	assert_int_equal(st.e.kind, ERR_RETRY);
	assert_int_equal(wire_room(st.w), 64);
	must_wait(holds_all, &sv);
	release(&sv); /* the late reply is nobody's */
	for (int i = 0; i < 70; i++)
		must_echo(&st, "y", "north:y");
	assert_int_equal(st.ups, 1);
	wire_hangup(st.w);
	wire_close(sv.s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_is_64_and_no_more),
		cmocka_unit_test(oversize_is_never_sent),
		cmocka_unit_test(client_comes_back_after_a_restart),
		cmocka_unit_test(reconnect_brings_a_new_pipe),
		cmocka_unit_test(reply_after_the_peer_has_gone_hurts_nobody),
		cmocka_unit_test(request_times_out_and_its_place_is_free_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
