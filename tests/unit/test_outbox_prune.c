/* The outbox: what ended long ago goes, and is not missed. */
#include "outbox_damage.h"

static void
prune(uint64_t before, size_t max, size_t want)
{
	struct outbox_prune p = { .before = before, .max = max, .n = 7777 };

	assert_int_equal(WAIT_FOR(outbox_prune, &p, pruned).kind, ERR_NONE);
	assert_int_equal(p.n, want);
}

static uint64_t
later(void)
{
	return clock_now().time + 60;
}

static bool
there(uint64_t id, enum outbox_part part)
{
	struct outbox_octets x = { 0 };
	struct outbox_entry en;
	struct err e = ERR_INIT;
	int rc;

	if (part == PART_ENTRY)
		return outbox_get(box, id, &en, &e) == 1;
	rc = outbox_octets(box, id, &x, &e);
	outbox_octets_done(&x);
	return rc == 0;
}

/* Answer, delivery and confirmation of each of these. */
static void
whole_life(uint64_t id, const char *name, uint64_t seq)
{
	assert_true(move(id, ENTRY_EV_HANDOUT));
	say((struct word){ seq, id, BATCH_ANSWERED, name, "ip" });
	assert_true(move(id, ENTRY_EV_DELIVER));
	assert_true(move(id, ENTRY_EV_CONFIRM));
}

static void
no_alarm_at_start(void)
{
	struct buf log AUTO_BUF = { 0 };

	close_box();
	open_listening(&log);
	assert_int_equal(alarms(&log), 0);
}

static void
ended_before_that_time(void **state)
{
	uint64_t a = take("1", "1"), b = take("2", "2"), c = take("3", "3");
	struct digest row = digest_text("2");
	struct outbox_entry en;
	struct err e = ERR_INIT;

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	whole_life(b, "2", 1); /* its answer is 4 */
	prune(clock_now().time - 60, 10, 0);
	setenv("WAYBILL_CLOCK", "floor", 1);
	prune(later(), 10, 0);
	setenv("WAYBILL_CLOCK", "rtc", 1);
	assert_true(there(b, PART_OCTETS));
	prune(later(), 10, 1);
	for (int again = 0; again < 2; again++) {
		/* Its row says that it was, until nothing older is left. */
		assert_true(there(b, PART_ENTRY) && !there(b, PART_OCTETS));
		assert_true(entry(b).pruned);
		state_is(b, ENTRY_CONFIRMED);
		answer_is(b, NULL);
		assert_int_equal(outbox_find(box, &row, &en, &e), 0);
		assert_int_equal(counted(ENTRY_CONFIRMED), 1);
		no_alarm_at_start();
	}
	prune(later(), 10, 0);
	/* It is told again, and nothing can be compared. */
	assert_int_equal(
	    say((struct word){ 1, b, BATCH_ANSWERED, "2", "ip" }).ignored, 1);
	whole_life(a, "1", 2); /* 5 */
	prune(later(), 10, 1);
	for (int again = 0; again < 2; again++) {
		assert_false(there(a, PART_ENTRY) || there(b, PART_ENTRY));
		assert_int_equal(counted(ENTRY_CONFIRMED), 0);
		assert_true(there(c, PART_ENTRY) && there(c, PART_OCTETS));
		sendable_is(~0u, 0, false, "3 ");
		no_alarm_at_start();
	}
	/* The same octets are a new entry now; a late word harms nobody. */
	assert_int_equal(take("1", "1"), 6);
	assert_int_equal(
	    say((struct word){ 3, a, BATCH_STORED, "1" }).ignored, 1);
	assert_int_equal(audit_records(), 12);
}

/* All go, and ids go on. */
static void
the_last_one_too(void **state)
{
	uint64_t a = take("1", "1");

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	whole_life(a, "1", 1);
	prune(later(), 10, 1);
	assert_false(there(a, PART_ENTRY));
	no_alarm_at_start();
	assert_int_equal(take("3", "3"), 3);
	no_alarm_at_start();
	assert_true(there(3, PART_ENTRY));
}

static void
a_few_at_once(void **state)
{
	char name[8];
	uint64_t i;

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	for (i = 1; i <= 5; i++) {
		snprintf(name, sizeof(name), "%llu", (unsigned long long)i);
		take(name, name);
		assert_true(move(i, ENTRY_EV_WITHDRAW));
	}
	prune(later(), 2, 2);
	assert_true(!there(2, PART_ENTRY) && there(3, PART_OCTETS));
	prune(later(), 2, 2);
	assert_true(!there(4, PART_ENTRY) && there(5, PART_OCTETS));
	no_alarm_at_start();
	prune(later(), 2, 1);
	prune(later(), 2, 0);
}

static void
long_ago(struct outbox_entry *en)
{
	en->changed -= 1000;
}

/* From the time on when it came, somebody may want to read it. */
static void
a_late_answer_is_kept(void **state)
{
	uint64_t id = take("1", "1");

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_true(move(id, ENTRY_EV_WITHDRAW));
	forge(id, long_ago);
	say((struct word){ 1, id, BATCH_ANSWERED, "1", "ip" });
	prune(clock_now().time - 500, 10, 0);
	late_is(id, "ip");
	take("2", "2");
	prune(later(), 10, 1);
	no_alarm_at_start();
	prune(later(), 10, 0);
}

/* One that has a younger one before it still says what it was. */
static void
words_about_what_was_pruned(void **state)
{
	static const struct {
		bool late;
		const char *answer;
		size_t alarms;
	} cases[] = {
		{ true, "ip", 0 },
		{ false, "ip", 1 }, /* it cannot be kept any more */
		{ false, NULL, 0 },
	};
	uint64_t seq = 0, id;
	char name[8];
	size_t i;

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	take("first", "first");
	for (i = 0; i < NELEMS(cases); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		id = take(name, name);
		assert_true(move(id, ENTRY_EV_HANDOUT));
		assert_true(move(id, ENTRY_EV_WITHDRAW));
		if (cases[i].late)
			say((struct word){
			    ++seq, id, BATCH_ANSWERED, name, "ip" });
		prune(later(), 10, 1);
		assert_int_equal(
		    say((struct word){ ++seq, id,
			    cases[i].answer != NULL ? BATCH_ANSWERED
						    : BATCH_STORED,
			    name, cases[i].answer })
			.alarms,
		    cases[i].alarms);
	}
}

/* Nobody asks for its octets again, but its certConf is still to go. */
static void
a_child_outlives_its_parent(void **state)
{
	struct outbox_accept c = request("cc", "dev");
	uint64_t id = take("ir", "dev");

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	c.initial = false;
	c.step = 1;
	c.parent = id;
	assert_int_equal(accept_wait(&c).kind, ERR_NONE);
	prune(later(), 10, 1);
	assert_false(there(id, PART_ENTRY));
	sendable_is(~0u, 0, false, "3 ");
	reopen();
	sendable_is(~0u, 0, false, "3 ");
}

/* Chunks of memory go as a whole; what stays is found all the same. */
static void
more_than_a_chunk(void **state)
{
	unsigned n = CHUNK_SLOTS + 100, i;
	struct outbox_accept *a = xcalloc(n, sizeof(*a));
	struct result *r = xcalloc(n, sizeof(*r));
	char(*names)[16] = xcalloc(n, sizeof(*names));
	struct outbox_entry en;
	struct err e = ERR_INIT;
	struct digest row;
	struct inbox in;

	(void)state;
	setenv("WAYBILL_CLOCK", "rtc", 1);
	conf.store.map_size = 8 * MAP;
	conf.per_device_hour = 0;
	reopen();
	inbox_init(&in);
	for (i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "%u", i);
		/* Each supersedes the one before, of a hundred devices. */
		a[i] = request(names[i], names[i % 100]);
		a[i].user = &r[i];
		outbox_accept(
		    box, &a[i], accepted, (struct post){ inbox_post, &in });
	}
	for (i = 0; i < n; i++)
		inbox_run(&in);
	inbox_done(&in);
	assert_int_equal(counts().open, 100);
	assert_int_equal(counted(ENTRY_WITHDRAWN), n - 100);
	for (int again = 0; again < 2; again++) {
		for (i = 0; i < 5; i++)
			prune(later(), 1000,
			    again == 1	? 0
				: i < 4 ? 1000
					: n - 100 - 4000);
		assert_int_equal(counted(ENTRY_WITHDRAWN), 0);
		assert_int_equal(counted(ENTRY_QUEUED), 100);
		row = digest_text(names[n - 1]);
		assert_int_equal(outbox_find(box, &row, &en, &e), 1);
		assert_int_equal(en.id, n);
		assert_int_equal(
		    outbox_newest(box, ENTRY_CMP, &en.device, &en, &e), 1);
		assert_int_equal(en.id, n);
		assert_int_equal(outbox_older(box, &en, &en, &e), 0);
		no_alarm_at_start();
	}
	free(names);
	free(a);
	free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(ended_before_that_time),
		T(the_last_one_too),
		T(a_few_at_once),
		T(a_late_answer_is_kept),
		T(words_about_what_was_pruned),
		T(a_child_outlives_its_parent),
		T(more_than_a_chunk),
	};

	return outbox_tests(tests, NELEMS(tests));
}
