/* The outbox: what may move, and what it leaves. */
#include "outbox_lab.h"

static void
what_may_not_move(void **state)
{
	uint64_t id = take("ir", "dev"), held = take("ir'", "dev'");

	(void)state;
	assert_true(hold(held, true));
	assert_false(move(held, ENTRY_EV_HANDOUT));
	assert_false(move(held, ENTRY_EV_EXPIRE));
	assert_false(move(99, ENTRY_EV_HANDOUT));
	assert_false(move(id, ENTRY_EV_DELIVER));
	assert_false(move(id, ENTRY_EV_CONFIRM));
	setenv("WAYBILL_CLOCK", "none", 1);
	assert_false(move(id, ENTRY_EV_EXPIRE));
	setenv("WAYBILL_CLOCK", "floor", 1);
	assert_false(move(id, ENTRY_EV_EXPIRE));
	setenv("WAYBILL_CLOCK", "rtc", 1);
	assert_true(move(id, ENTRY_EV_EXPIRE));
	assert_string_equal(entry(id).reason, "the test");
	id = take("ir2", "dev");
	assert_true(move(id, ENTRY_EV_HANDOUT));
	/* The table has this edge for a service's signed word alone. */
	assert_false(move(id, ENTRY_EV_REFUSE));
	assert_false(move(id, ENTRY_EV_EXPIRE));
	assert_true(move(id, ENTRY_EV_WITHDRAW));
}

static void
one_that_may_not_spares_the_others(void **state)
{
	struct outbox_move m = { .event = ENTRY_EV_HANDOUT, .n = 3 };
	struct err e;

	(void)state;
	m.ids[0] = take("1", "dev1");
	m.ids[1] = take("2", "dev2");
	m.ids[2] = take("3", "dev3");
	assert_true(move(m.ids[1], ENTRY_EV_WITHDRAW));
	e = move_wait(&m);
	assert_int_equal(e.kind, ERR_NONE);
	assert_int_equal(m.refused, 1);
	assert_true(m.moved[0] && !m.moved[1] && m.moved[2]);
	state_is(m.ids[2], ENTRY_INFLIGHT);
}

/* Polls for a delivered answer write nothing, unless it goes another way. */
static void
delivered_again(void **state)
{
	struct outbox_move m = { .event = ENTRY_EV_DELIVER, .n = 1 };
	uint64_t id = take("ir", "dev"), records;
	struct digest before, after;

	(void)state;
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	m.ids[0] = id;
	m.carrier = "relayed";
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	assert_string_equal(entry(id).carrier, "relayed");
	records = audit_records();
	m.carrier = "re-protected";
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	assert_true(m.moved[0]);
	assert_string_equal(entry(id).carrier, "re-protected");
	before = file_digest();
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	m.carrier = NULL;
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	after = file_digest();
	assert_memory_equal(&before, &after, sizeof(after));
	assert_string_equal(entry(id).carrier, "re-protected");
	assert_int_equal(audit_records(), records);
}

/* An answer that is made here comes with the end. */
static void
ends_with_an_answer(void **state)
{
	static const struct {
		enum entry_event ev;
		enum entry_state want;
	} cases[] = {
		{ ENTRY_EV_WITHDRAW, ENTRY_WITHDRAWN },
		{ ENTRY_EV_EXPIRE, ENTRY_EXPIRED },
		{ ENTRY_EV_DIE, ENTRY_DEAD },
	};
	struct bytes answer[2] = { text("ip(rejection)"), { NULL, 0 } };
	char name[8];
	size_t i;

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	for (i = 0; i < NELEMS(cases); i++) {
		struct outbox_move m = { .event = cases[i].ev,
			.n = 2,
			.reason = "too old",
			.answers = answer };

		snprintf(name, sizeof(name), "%zu", i);
		m.ids[0] = take(name, name);
		snprintf(name, sizeof(name), "%zu'", i);
		m.ids[1] = take(name, name);
		assert_int_equal(move_wait(&m).kind, ERR_NONE);
		assert_true(m.moved[0] && m.moved[1]);
		reopen();
		state_is(m.ids[0], cases[i].want);
		answer_is(m.ids[0], "ip(rejection)");
		assert_int_equal(entry(m.ids[0]).answer_code, BATCH_REFUSED);
		assert_false(entry(m.ids[0]).late);
		answer_is(m.ids[1], NULL);
		assert_int_equal(entry(m.ids[1]).answer_code, 0);
	}
}

/* Of the two the device gets ours; people find the service's. */
static void
ours_goes_before_theirs(void **state)
{
	struct bytes answer = text("given up");
	struct outbox_move m = {
		.event = ENTRY_EV_WITHDRAW, .n = 1, .answers = &answer
	};

	(void)state;
	m.ids[0] = take("ir", "dev");
	say((struct word){ 1, m.ids[0], BATCH_ANSWERED, "ir", "ip" });
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	answer_is(m.ids[0], "given up");
	late_is(m.ids[0], "ip");
	assert_int_equal(counts().late, 1);
	/* It is told again, and is known. */
	assert_int_equal(
	    say((struct word){ 2, m.ids[0], BATCH_ANSWERED, "ir", "ip" })
		.ignored,
	    1);
	assert_int_equal(
	    say((struct word){ 3, m.ids[0], BATCH_ANSWERED, "ir", "pi" })
		.alarms,
	    1);
}

/* ---- the table --------------------------------------------------------- */

static void
to_received(struct outbox_entry *en)
{
	en->state = ENTRY_RECEIVED;
}

static void
end_as(struct outbox_entry *en, enum entry_state s)
{
	en->state = s;
}

static void
to_confirmed(struct outbox_entry *en)
{
	end_as(en, ENTRY_CONFIRMED);
}

static void
to_delivered(struct outbox_entry *en)
{
	end_as(en, ENTRY_DELIVERED);
}

static void
to_refused(struct outbox_entry *en)
{
	end_as(en, ENTRY_REFUSED);
}

static void
to_expired(struct outbox_entry *en)
{
	end_as(en, ENTRY_EXPIRED);
}

static void
to_withdrawn(struct outbox_entry *en)
{
	end_as(en, ENTRY_WITHDRAWN);
}

static void
to_dead(struct outbox_entry *en)
{
	end_as(en, ENTRY_DEAD);
}

static void
to_custody(struct outbox_entry *en)
{
	end_as(en, ENTRY_CUSTODY);
}

static void
to_inflight(struct outbox_entry *en)
{
	end_as(en, ENTRY_INFLIGHT);
}

static void
to_queued(struct outbox_entry *en)
{
	end_as(en, ENTRY_QUEUED);
}

static void
to_answered(struct outbox_entry *en)
{
	end_as(en, ENTRY_ANSWERED);
}

static void (*const forgers[ENTRY_STATE__MAX])(struct outbox_entry *en) = {
	[ENTRY_RECEIVED] = to_received,
	[ENTRY_QUEUED] = to_queued,
	[ENTRY_INFLIGHT] = to_inflight,
	[ENTRY_CUSTODY] = to_custody,
	[ENTRY_ANSWERED] = to_answered,
	[ENTRY_DELIVERED] = to_delivered,
	[ENTRY_CONFIRMED] = to_confirmed,
	[ENTRY_REFUSED] = to_refused,
	[ENTRY_EXPIRED] = to_expired,
	[ENTRY_WITHDRAWN] = to_withdrawn,
	[ENTRY_DEAD] = to_dead,
};

/* By the way that an event comes: a service's word, or ours. */
static void
happen(uint64_t id, const char *name, enum entry_event ev, enum entry_state s)
{
	static const enum batch_code codes[ENTRY_EV__MAX] = {
		[ENTRY_EV_RECEIPT] = BATCH_STORED,
		[ENTRY_EV_ANSWER] = BATCH_ANSWERED,
		[ENTRY_EV_REFUSE] = BATCH_CONFLICT,
	};
	static uint64_t seq;

	/* What has not left is refused by us. */
	if (codes[ev] != 0 && !(ev == ENTRY_EV_REFUSE && s == ENTRY_RECEIVED))
		say((struct word){ ++seq, id, codes[ev], name,
		    ev == ENTRY_EV_ANSWER ? "ip" : NULL });
	else
		move(id, ev);
}

/* Each cell of the golden file, by the outbox's own calls. */
static void
each_cell(void **state)
{
	struct buf golden AUTO_BUF = { 0 };
	enum entry_state s, after;
	enum entry_event ev;
	struct err e = ERR_INIT;
	char name[16], *line, *cell, *lines, *cells;
	unsigned n = 0;
	uint64_t id;

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	conf.per_device_hour = 0;
	reopen();
	assert_int_equal(
	    file_read(GOLDEN "/transitions.txt", 65536, &golden, &e), 0);
	buf_cstr(&golden);
	strtok_r((char *)golden.data, "\n", &lines);
	for (s = ENTRY_RECEIVED; s < ENTRY_STATE__MAX; s++) {
		line = strtok_r(NULL, "\n", &lines);
		cell = strtok_r(line, " ", &cells);
		assert_string_equal(cell, entry_state_name(s));
		for (ev = 0; ev < ENTRY_EV__MAX; ev++) {
			cell = strtok_r(NULL, " ", &cells);
			/* Comes with outbox_accept alone. */
			if (ev == ENTRY_EV_ADMIT)
				continue;
			snprintf(name, sizeof(name), "%u", n++);
			id = take(name, name);
			forge(id, forgers[s]);
			happen(id, name, ev, s);
			after = strcmp(cell, "-") == 0 ? s : ENTRY_NONE;
			if (after != ENTRY_NONE)
				state_is(id, s);
			else
				assert_string_equal(
				    entry_state_name(entry(id).state), cell);
		}
	}
	assert_int_equal(n, 11 * 9);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_may_not_move),
		T(one_that_may_not_spares_the_others),
		T(delivered_again),
		T(ends_with_an_answer),
		T(ours_goes_before_theirs),
		T(each_cell),
	};

	return outbox_tests(tests, NELEMS(tests));
}
