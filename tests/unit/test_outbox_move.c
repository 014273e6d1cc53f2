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

/* Each commit changes it. */
static struct digest
file_digest(void)
{
	AUTO(char) path = path_join(dir, "data.mdb");
	struct buf file AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(file_read(path, MAP, &file, &e), 0);
	return digest_of(file.data, file.len);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_may_not_move),
		T(one_that_may_not_spares_the_others),
		T(delivered_again),
	};

	return outbox_tests(tests, NELEMS(tests));
}
