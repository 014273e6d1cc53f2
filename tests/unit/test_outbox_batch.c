/* The outbox: a service's word. */
#include "outbox_lab.h"

static void
batch_about_other_octets(void **state)
{
	uint64_t id = take("ir", "dev");
	struct outbox_batch b;

	(void)state;
	b = say((struct word){ 1, id, BATCH_STORED, "other" });
	assert_int_equal(b.alarms, 1);
	b = say((struct word){ 2, id, BATCH_ANSWERED, "other", "ip" });
	assert_int_equal(b.alarms, 1);
	b = say((struct word){ 3, id, BATCH_CONFLICT, "other" });
	assert_int_equal(b.alarms, 1);
	b = say((struct word){ 4, id + 1, BATCH_STORED, "ir" });
	assert_int_equal(b.alarms, 1);
	state_is(id, ENTRY_QUEUED);
	answer_is(id, NULL);
	assert_int_equal(audit_records(), 1);
	assert_int_equal(b.seq_high, 4);
}

static void
answer_with_other_octets_than_signed(void **state)
{
	uint64_t id = take("ir", "dev");
	struct batch_item item = { .id = id,
		.code = BATCH_ANSWERED,
		.digest = digest_text("ir"),
		.has_answer = true,
		.answer = digest_text("ip") };
	struct batch batch = { .service = "ra", .seq = 1, .n = 1 };
	struct bytes answer = text("pi");
	struct outbox_batch b = { .batch = &batch, .answers = &answer };
	bool skip = true;

	(void)state;
	batch.items = &item;
	assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	assert_int_equal(b.alarms, 1);
	state_is(id, ENTRY_QUEUED);
	answer = text("ip");
	b.skip = &skip;
	assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	assert_int_equal(b.ignored, 1);
	state_is(id, ENTRY_QUEUED);
	skip = false;
	assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	state_is(id, ENTRY_ANSWERED);
}

static void
batch_again_and_another_answer(void **state)
{
	uint64_t id = take("ir", "dev"), records;
	struct word w = { 1, id, BATCH_ANSWERED, "ir", "ip" };
	struct outbox_batch b;

	(void)state;
	assert_int_equal(say(w).moved, 1);
	records = audit_records();
	b = say(w);
	assert_int_equal(b.ignored, 1);
	assert_int_equal(b.seq_high, 1);
	w.code = BATCH_STORED;
	w.answer = NULL;
	assert_int_equal(say(w).ignored, 1);
	b = say((struct word){ 2, id, BATCH_ANSWERED, "ir", "another ip" });
	assert_int_equal(b.alarms, 1);
	answer_is(id, "ip");
	assert_int_equal(audit_records(), records);
	/* Harmless as well after it was used up. */
	assert_true(move(id, ENTRY_EV_DELIVER));
	assert_true(move(id, ENTRY_EV_CONFIRM));
	b = say((struct word){ 2, id, BATCH_ANSWERED, "ir", "ip" });
	assert_int_equal(b.ignored, 1);
	state_is(id, ENTRY_CONFIRMED);
}

static void
late_answer_is_kept_not_believed(void **state)
{
	uint64_t id = take("ir", "dev");
	struct outbox_counts c;

	(void)state;
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_true(move(id, ENTRY_EV_WITHDRAW));
	assert_int_equal(
	    say((struct word){ 1, id, BATCH_STORED, "ir" }).ignored, 1);
	assert_int_equal(
	    say((struct word){ 2, id, BATCH_ANSWERED, "ir", "ip" }).moved, 1);
	reopen();
	state_is(id, ENTRY_WITHDRAWN);
	assert_true(entry(id).late);
	assert_string_equal(entry(id).reason, "the test");
	answer_is(id, NULL);
	late_is(id, "ip");
	assert_false(move(id, ENTRY_EV_DELIVER));
	history_is(id, "accepted handed-out withdrawn late");
	outbox_count(box, &c);
	assert_int_equal(c.late, 1);
	assert_int_equal(c.by_state[ENTRY_WITHDRAWN], 1);
	/* The answer took an id as well. */
	assert_int_equal(c.next_id, id + 2);
}

static void
refusals(void **state)
{
	static const struct {
		const char *name;
		struct word w;
		enum entry_state want;
		const char *reason, *answer;
	} cases[] = {
		{ "1", { 1, 0, BATCH_REFUSED, "1", "ip(rejection)", "no" },
		    ENTRY_ANSWERED, "no", "ip(rejection)" },
		{ "2", { 2, 0, BATCH_REFUSED, "2", NULL, "no" }, ENTRY_REFUSED,
		    "refused: no" },
		{ "3", { 3, 0, BATCH_CONFLICT, "3", NULL, "seen" },
		    ENTRY_REFUSED, "conflict: seen" },
		{ "4", { 4, 0, BATCH_TOO_LARGE, "4" }, ENTRY_REFUSED,
		    "too-large" },
		{ "5", { 5, 0, BATCH_BAD_SCHEMA, "5" }, ENTRY_REFUSED,
		    "bad-schema" },
		{ "6", { 6, 0, BATCH_NOT_AUTHORISED, "6" }, ENTRY_REFUSED,
		    "not-authorised" },
	};
	struct word w;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		w = cases[i].w;
		w.id = take(cases[i].name, cases[i].name);
		assert_true(move(w.id, ENTRY_EV_HANDOUT));
		assert_int_equal(say(w).moved, 1);
		state_is(w.id, cases[i].want);
		assert_int_equal(entry(w.id).answer_code, w.code);
		assert_string_equal(entry(w.id).reason, cases[i].reason);
		answer_is(w.id, cases[i].answer);
		assert_int_equal(say(w).ignored, 1);
	}
	/* Refused by the table: it never left, so it will be offered. */
	w = cases[2].w;
	w.name = "7";
	w.id = take("7", "7");
	assert_int_equal(say(w).alarms, 1);
	state_is(w.id, ENTRY_QUEUED);
}

static void
marks_have_no_gaps(void **state)
{
	uint64_t id = take("ir", "dev");
	struct word w = { 1, id, BATCH_STORED, "ir", NULL, NULL, 7 };

	(void)state;
	assert_int_equal(peer("ra").seq, 0);
	w.seq = 2;
	assert_int_equal(say(w).seq_high, 0);
	w.seq = 1;
	assert_int_equal(say(w).seq_high, 1);
	w.seq = 3;
	assert_int_equal(say(w).seq_high, 1);
	w.seq = 2;
	assert_int_equal(say(w).seq_high, 2);
	w.seq = 1;
	assert_int_equal(say(w).seq_high, 2);
	/* A new epoch starts at 1. */
	w.epoch = 8;
	w.seq = 3;
	assert_int_equal(say(w).seq_high, 0);
	assert_int_equal(peer("ra").epoch[0], 7);
	w.seq = 1;
	assert_int_equal(say(w).seq_high, 1);
	w.service = "masa-client";
	w.epoch = 1;
	assert_int_equal(say(w).seq_high, 1);
	reopen();
	assert_int_equal(peer("ra").seq, 1);
	assert_int_equal(peer("ra").epoch[0], 8);
	assert_int_equal(peer("masa-client").seq, 1);
	assert_int_equal(peer("nobody").seq, 0);
}

static void
marks_of_eight_services(void **state)
{
	uint64_t id = take("ir", "dev");
	struct batch_item item = {
		.id = id, .code = BATCH_STORED, .digest = digest_text("ir")
	};
	struct batch batch = { .service = "s", .seq = 1, .n = 1 };
	struct bytes none = { NULL, 0 };
	struct outbox_batch b = { .batch = &batch, .answers = &none };
	int i;

	(void)state;
	batch.items = &item;
	for (i = 0; i < PEERS_MAX; i++) {
		memset(batch.service, 'a' + i, ENTRY_NAME_MAX - 1);
		assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	}
	assert_int_equal(b.seq_high, 1);
	memset(batch.service, 'z', ENTRY_NAME_MAX - 1);
	assert_int_equal(batch_wait(&b).kind, ERR_LOCAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(batch_about_other_octets),
		T(answer_with_other_octets_than_signed),
		T(batch_again_and_another_answer),
		T(late_answer_is_kept_not_believed),
		T(refusals),
		T(marks_have_no_gaps),
		T(marks_of_eight_services),
	};

	return outbox_tests(tests, NELEMS(tests));
}
