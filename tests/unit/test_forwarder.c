#include "forwarder_lab.h"

#include <errno.h>

/* ---- waiting ----------------------------------------------------------- */

static bool
pinged(uint64_t tag)
{
	return seen_of(FRAME_PING, tag) != NULL;
}

static bool
told(uint64_t tag)
{
	return seen_of(FRAME_DATA, tag) != NULL;
}

static bool
was_closed(uint64_t times)
{
	return w.closed >= times;
}

static bool
was_accepted(uint64_t times)
{
	return w.accepted >= times;
}

/* ---- the tests --------------------------------------------------------- */

static void
frames_go_out_and_replies_come_back_as_they_are(void **state)
{
	struct buf b AUTO_BUF = { 0 };

	(void)state;
	world_up("");
	assert_string_equal(w.seen[0].service, "ra");
	reg_put(7);
	must_wait(stored, 7, "STORED");
	assert_non_null(seen_of(FRAME_SENT, 7));
	assert_true(seen_of(FRAME_SENT, 7) < seen_of(FRAME_STORED, 7));
	assert_true(bytes_eq(buf_bytes(&w.last), buf_bytes(&w.sent)));
	frame_pull(8, "north", 0, 1, &b);
	reg_send(&b);
	reg_put(UINT64_MAX);
	must_wait(stored, UINT64_MAX, "STORED");
	assert_non_null(seen_of(FRAME_ANSWERS, 8));
	assert_int_equal(w.accepted, 1);
	world_close();
}

static void
recovery_and_reference_data_are_relayed(void **state)
{
	struct frame_evidence x = { B("header"), B("octets"), B("sig"),
		ENTRY_CUSTODY, { NULL, 0 } };
	struct buf b AUTO_BUF = { 0 };

	(void)state;
	world_up("");
	frame_evidence(3, &x, &b);
	reg_send(&b);
	must_wait(pinged, 3, "PING");
	buf_reset(&b);
	frame_ask(4, "north", "crl", 6, 0, &b);
	reg_send(&b);
	must_wait(told, 4, "DATA");
	assert_true(bytes_eq(buf_bytes(&w.last), buf_bytes(&w.sent)));
	assert_non_null(seen_of(FRAME_SENT, 3));
	assert_non_null(seen_of(FRAME_SENT, 4));
	world_close();
}

/* A link that just came up is not flooded. */
static void
entries_start_slowly(void **state)
{
	(void)state;
	world_up("window: 32\n");
	w.hold = true;
	for (uint64_t tag = 1; tag <= 20; tag++)
		reg_put(tag);
	must_wait(holds, 2, "requests");
	wait_ms(never, 0, 100);
	assert_int_equal(w.requests, 2);
	/* Two come back: four may be out. */
	w.hold = false;
	svc_answer(w.held[0]);
	svc_answer(w.held[1]);
	w.n_held = 0;
	w.hold = true;
	must_wait(holds, 4, "requests");
	wait_ms(never, 0, 100);
	assert_int_equal(w.requests, 6);
	svc_release();
	must_wait(stored, 20, "STORED");
	world_close();
}

/* What is over the limit never reaches the service; what follows does. */
static void
oversize_is_answered_here(void **state)
{
	static uint8_t body[FRAME_MAX];
	struct buf b AUTO_BUF = { 0 };
	uint8_t length[4] = { 0 };
	size_t off = 0;
	ssize_t n;

	(void)state;
	world_up("");
	frame_put(7, B("header"), bytes_of(body, sizeof(body)), B("sig"), &b);
	length[1] = (uint8_t)(b.len >> 16);
	length[2] = (uint8_t)(b.len >> 8);
	length[3] = (uint8_t)b.len;
	assert_int_equal(write(w.conn, length, 4), 4);
	while (off < b.len) {
		n = write(w.conn, b.data + off, b.len - off);
		assert_true(n > 0 || errno == EAGAIN);
		off += n > 0 ? (size_t)n : 0;
		wait_ms(never, 0, 2);
	}
	reg_put(8);
	must_wait(nacked, 7, "NACK");
	must_wait(stored, 8, "STORED");
	assert_string_equal(seen_of(FRAME_NACK, 7)->reason,
	    "frame of 262164 octets, limit 262144");
	assert_null(seen_of(FRAME_SENT, 7));
	assert_int_equal(w.requests, 1);
	assert_int_equal(w.accepted, 1);
	world_close();
}

static void
first_word_tells_the_service_even_while_it_is_down(void **state)
{
	(void)state;
	world_open(geteuid(), "");
	must_wait(link_is, 0, "LINK down");
	assert_int_equal(w.n, 1);
	assert_string_equal(w.seen[0].service, "ra");
	reg_put(1);
	must_wait(nacked, 1, "NACK");
	assert_string_equal(
	    seen_of(FRAME_NACK, 1)->reason, "link to ra is down");
	assert_null(seen_of(FRAME_SENT, 1));
	world_close();
}

static void
full_window_leaves_the_rest_in_the_socket(void **state)
{
	(void)state;
	world_up("window: 2\n");
	w.hold = true;
	for (uint64_t tag = 1; tag <= 10; tag++)
		reg_put(tag);
	must_wait(holds, 2, "requests");
	wait_ms(never, 0, 100);
	assert_int_equal(w.requests, 2);
	assert_null(seen_of(FRAME_SENT, 3));
	svc_release();
	must_wait(stored, 10, "STORED");
	assert_int_equal(w.requests, 10);
	for (uint64_t tag = 1; tag <= 10; tag++)
		assert_true(stored(tag));
	world_close();
}

/* 40 frames of 200 kB: many times what any buffer on the way holds. */
static void
large_frames_come_in_parts(void **state)
{
	static uint8_t body[200000];
	struct buf b AUTO_BUF = { 0 }, all AUTO_BUF = { 0 };
	size_t off = 0;
	ssize_t n;

	(void)state;
	world_up("");
	for (uint64_t tag = 1; tag <= 40; tag++) {
		buf_reset(&b);
		frame_put(tag, B("header"), bytes_of(body, sizeof(body)),
		    B("sig"), &b);
		frame_wrap(buf_bytes(&b), &all);
	}
	while (off < all.len) {
		n = write(w.conn, all.data + off, all.len - off);
		assert_true(n > 0 || errno == EAGAIN);
		off += n > 0 ? (size_t)n : 0;
		wait_ms(never, 0, 2);
	}
	must_wait(stored, 40, "STORED");
	for (uint64_t tag = 1; tag <= 40; tag++)
		assert_true(stored(tag));
	world_close();
}

static void
what_no_registrar_says_ends_the_connection(void **state)
{
	static const struct bytes bad[] = {
		{ (const uint8_t *)"\x83\x01\x0b\x07", 4 }, /* SENT */
		{ (const uint8_t *)"\x83\x01\x0f\x07", 4 }, /* type 15 */
		{ (const uint8_t *)"\x87\x01\x0e\x07\x40\x40\x00\x40",
		    8 },				    /* DATA */
		{ (const uint8_t *)"\x83\x02\x08\x07", 4 }, /* version 2 */
		{ (const uint8_t *)"junk", 4 },
	};
	unsigned before;

	(void)state;
	world_up("");
	for (size_t i = 0; i < NELEMS(bad); i++) {
		struct buf b AUTO_BUF = bytes_dup(bad[i]);

		reg_send(&b);
		must_wait(was_closed, i + 1, "close");
		must_wait(was_accepted, i + 2, "connection");
	}
	assert_int_equal(w.requests, 0);
	/* A length beyond the limit as well, before its octets come. */
	before = w.closed;
	assert_int_equal(write(w.conn, "\xff\xff\xff\xff", 4), 4);
	must_wait(was_closed, before + 1, "close");
	must_wait(was_accepted, before + 2, "connection");
	reg_put(5);
	must_wait(stored, 5, "STORED");
	world_close();
}

static void
what_no_service_says_is_not_passed_on(void **state)
{
	(void)state;
	world_up("");
	w.bad = true;
	reg_put(4);
	must_wait(nacked, 4, "NACK");
	assert_string_equal(
	    seen_of(FRAME_NACK, 4)->reason, "ra answers PUT with SENT");
	w.bad = false;
	reg_put(5);
	must_wait(stored, 5, "STORED");
	world_close();
}

/* The reply to a request of the old connection must not free the slot of
 * another request with the same tag on the new one. */
static void
registrar_restart_forgets_old_tags(void **state)
{
	(void)state;
	world_up("");
	w.hold = true;
	reg_put(1);
	must_wait(holds, 1, "request");
	reg_hangup();
	w.n = 0;
	must_wait(link_is, 1, "LINK up");
	assert_int_equal(w.accepted, 2);
	svc_release();
	wait_ms(never, 0, 100);
	assert_int_equal(w.n, 1); /* LINK alone */
	reg_put(1);
	must_wait(stored, 1, "STORED");
	assert_int_equal(w.requests, 2);
	world_close();
}

static void
registrar_of_another_uid_is_not_spoken_to(void **state)
{
	(void)state;
	world_open(geteuid() + 1, "");
	svc_listen(w.f.loop, w.url);
	must_wait(was_closed, 2, "two attempts"); /* it tries again */
	assert_int_equal(w.n, 0);
	assert_int_equal(w.in.len, 0);
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    frames_go_out_and_replies_come_back_as_they_are),
		cmocka_unit_test(recovery_and_reference_data_are_relayed),
		cmocka_unit_test(entries_start_slowly),
		cmocka_unit_test(oversize_is_answered_here),
		cmocka_unit_test(
		    first_word_tells_the_service_even_while_it_is_down),
		cmocka_unit_test(full_window_leaves_the_rest_in_the_socket),
		cmocka_unit_test(large_frames_come_in_parts),
		cmocka_unit_test(what_no_registrar_says_ends_the_connection),
		cmocka_unit_test(what_no_service_says_is_not_passed_on),
		cmocka_unit_test(registrar_restart_forgets_old_tags),
		cmocka_unit_test(registrar_of_another_uid_is_not_spoken_to),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
