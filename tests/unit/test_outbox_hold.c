/* The outbox: who holds an entry stops its clock. */
#include "outbox_damage.h"

static void
held_long_ago(struct outbox_entry *en)
{
	en->held_since -= 1000;
}

static void
held_by_no_clock(struct outbox_entry *en)
{
	en->held_since = 0;
}

static void
due_now(struct outbox_entry *en)
{
	en->deadline = THEN + 1;
}

static void
held_and_released(void **state)
{
	uint64_t id = take("ir", "dev"), ids[4];
	struct outbox_entry en;

	(void)state;
	assert_true(hold(id, true));
	en = entry(id);
	assert_true(en.held);
	assert_string_equal(en.held_who, "uid 1000");
	assert_string_equal(en.held_why, "the test");
	assert_in_range(en.held_since, clock_now().time - 60, clock_now().time);
	assert_int_equal(counts().held, 1);
	assert_false(move(id, ENTRY_EV_HANDOUT));
	assert_false(move(id, ENTRY_EV_EXPIRE));
	assert_int_equal(outbox_sendable(box, ~0u, 0, true, ids, 4), 0);
	reopen();
	assert_true(entry(id).held);
	assert_int_equal(outbox_sendable(box, ~0u, 0, true, ids, 4), 0);
	assert_true(hold(id, false));
	assert_false(entry(id).held);
	assert_string_equal(entry(id).held_why, "");
	assert_int_equal(counts().held, 0);
	assert_int_equal(outbox_sendable(box, ~0u, 0, true, ids, 4), 1);
	history_is(id, "accepted held released");
	/* Again: nothing to be done, and no word of it. */
	assert_true(hold(id, false));
	history_is(id, "accepted held released");
}

/* The header that leaves has the later deadline. */
static void
its_clock_stands_still(void **state)
{
	uint64_t id = take("ir", "dev"), deadline = entry(id).deadline;

	(void)state;
	assert_true(hold(id, true));
	forge(id, held_long_ago);
	assert_true(hold(id, false));
	assert_in_range(entry(id).deadline, deadline + 1000, deadline + 1060);
	assert_int_equal(header_of(id).deadline, entry(id).deadline);
	assert_int_equal(header_of(id).received.time, THEN);
}

/* It had 1010 seconds in all. */
static void
received_of_late(struct outbox_entry *en)
{
	en->received.time = clock_now().time - 1000;
	en->deadline = en->received.time + 1010;
}

/* Nobody knows for how long it was held: all of its term begins again. */
static void
held_without_a_clock(void **state)
{
	uint64_t id = take("ir", "dev"), now = clock_now().time;

	(void)state;
	forge(id, received_of_late);
	assert_true(hold(id, true));
	forge(id, held_by_no_clock);
	assert_true(hold(id, false));
	assert_in_range(entry(id).deadline, now + 1010, now + 1070);
	assert_int_equal(header_of(id).deadline, entry(id).deadline);
	/* Never sooner than it was. */
	id = take("ir'", "dev'");
	assert_true(hold(id, true));
	setenv("WAYBILL_CLOCK", "none", 1);
	assert_true(hold(id, false));
	assert_in_range(entry(id).deadline, THEN + 2592000, UINT64_MAX);
}

static void
not_what_has_left(void **state)
{
	uint64_t a = take("1", "dev1"), b = take("2", "dev2");
	struct outbox_hold h = {
		.ids = { a, b, 99 }, .n = 3, .hold = true, .who = "uid 1000"
	};

	(void)state;
	assert_true(move(a, ENTRY_EV_HANDOUT));
	assert_int_equal(WAIT_FOR(outbox_hold, &h, held).kind, ERR_NONE);
	assert_int_equal(h.refused, 2);
	assert_true(!h.moved[0] && h.moved[1] && !h.moved[2]);
	assert_false(entry(a).held);
	assert_true(entry(b).held);
}

/* Expiry asks memory which ones; held ones are not among them. */
static void
due_in_time(void **state)
{
	uint64_t a = take("1", "dev1"), b = take("2", "dev2");
	uint64_t c = take("3", "dev3"), ids[4];
	int again;

	(void)state;
	forge(b, due_now);
	forge(c, due_now);
	for (again = 0; again < 2; again++) {
		assert_int_equal(outbox_due(box, THEN + 1, ids, 4), 0);
		assert_int_equal(outbox_due(box, THEN + 2, ids, 4), 2);
		assert_true(ids[0] == b && ids[1] == c);
		assert_int_equal(outbox_due(box, THEN + 2, ids, 1), 1);
		assert_int_equal(ids[0], b);
		reopen();
	}
	assert_true(hold(b, true));
	assert_int_equal(outbox_due(box, THEN + 2, ids, 4), 1);
	assert_int_equal(ids[0], c);
	assert_true(hold(b, false));
	assert_true(move(c, ENTRY_EV_HANDOUT));
	assert_int_equal(outbox_due(box, THEN + 2, ids, 4), 1);
	assert_int_equal(ids[0], b);
	assert_int_equal(outbox_due(box, THEN + 100000000, ids, 4), 2);
	assert_true(ids[0] == a && ids[1] == b);
}

/* Its header cannot be signed anew, so it cannot leave. */
static void
released_without_octets(void **state)
{
	uint64_t id = take("1", "dev1"), other = take("2", "dev2");
	struct buf log AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_true(hold(id, true));
	assert_int_equal(
	    store_submit_wait(box->store, junk_octets_job, &id, &e), 0);
	listen_start();
	assert_false(hold(id, false));
	listen_end(&log);
	assert_int_equal(alarms(&log), 1);
	state_is(id, ENTRY_DEAD);
	state_is(other, ENTRY_QUEUED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(held_and_released),
		T(its_clock_stands_still),
		T(held_without_a_clock),
		T(not_what_has_left),
		T(due_in_time),
		T(released_without_octets),
	};

	return outbox_tests(tests, NELEMS(tests));
}
