/* The outbox: damage is found, and stays where it is. */
#include "outbox_damage.h"

/* Octets and answers are not opened before somebody asks for them. */
static void
dies_when_needed(uint64_t id, enum outbox_part part)
{
	struct outbox_move m = { .event = ENTRY_EV_DIE,
		.ids = { id },
		.n = 1,
		.reason = "damaged" };
	struct outbox_entry en = entry(id);
	struct outbox_octets x = { 0 };
	struct buf log AUTO_BUF = { 0 }, got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (part == PART_OCTETS)
		assert_int_equal(outbox_octets(box, id, &x, &e), -1);
	else
		assert_int_equal(outbox_answer(box, &en, &got, &e), -1);
	assert_int_equal(e.kind, ERR_DAMAGE);
	assert_int_equal(got.len, 0);
	listen_start();
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	listen_end(&log);
	assert_true(m.moved[0]);
	assert_int_equal(alarms(&log), 1);
}

/* Each on an answered entry 1 (answer 2), with 3 and 4 that must not suffer. */
static void
damage_kills_one_entry(void **state)
{
	static const struct {
		const char *what;
		enum outbox_part part;
		uint64_t id;
		bool remove, at_open;
	} cases[] = {
		{ "row spoilt", PART_ENTRY, 1, false, true },
		{ "row gone", PART_ENTRY, 1, true, true },
		{ "octets spoilt", PART_OCTETS, 1, false, false },
		{ "octets gone", PART_OCTETS, 1, true, true },
		{ "answer spoilt", PART_ANSWER, 2, false, false },
		{ "answer gone", PART_ANSWER, 2, true, true },
	};
	struct digest row = digest_text("1");
	struct outbox_entry en = { 0 };
	struct buf log AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	void *none = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		take("1", "dev1");
		say((struct word){ 1, 1, BATCH_ANSWERED, "1", "ip" });
		take("3", "dev3");
		take("4", "dev4");
		close_box();
		spoil_part(cases[i].id, cases[i].part, cases[i].remove);
		open_listening(&log);
		assert_int_equal(alarms(&log), cases[i].at_open ? 1 : 0);
		if (!cases[i].at_open)
			dies_when_needed(1, cases[i].part);
		state_is(1, ENTRY_DEAD);
		assert_non_null(strstr(entry(1).reason, "damaged"));
		assert_int_equal(entry(1).kind, ENTRY_CMP);
		assert_int_equal(outbox_find(box, &row, &en, &e), 1);
		assert_int_equal(en.state, ENTRY_DEAD);
		history_is(1, "accepted answered dead");
		assert_int_equal(counted(ENTRY_DEAD), 1);
		assert_int_equal(counted(ENTRY_QUEUED), 2);
		/* Buried once. */
		close_box();
		open_listening(&log);
		assert_int_equal(alarms(&log), 0);
		assert_int_equal(counted(ENTRY_DEAD), 1);
		assert_int_equal(take("5", "dev5"), 5);
		teardown(&none);
		assert_int_equal(setup(&none), 0);
	}
}

/* Nothing of entry 2 is left but its transaction; of 4, the last, not even. */
static void
vanished_entries_are_dead(void **state)
{
	struct digest row = digest_text("2"), last = digest_text("4");
	struct outbox_entry en = { 0 };
	struct buf log AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	take("1", "dev1");
	take("2", "dev2");
	take("3", "dev3");
	take("4", "dev4");
	close_box();
	spoil_part(2, PART_ENTRY, true);
	spoil_part(2, PART_OCTETS, true);
	spoil_part(4, PART_ENTRY, true);
	spoil_part(4, PART_OCTETS, true);
	spoil_tx(4, true);
	open_listening(&log);
	assert_int_equal(alarms(&log), 2);
	state_is(2, ENTRY_DEAD);
	state_is(4, ENTRY_DEAD);
	assert_int_equal(outbox_find(box, &row, &en, &e), 1);
	assert_int_equal(en.id, 2);
	assert_int_equal(outbox_find(box, &last, &en, &e), 0);
	assert_int_equal(counted(ENTRY_QUEUED), 2);
	assert_int_equal(take("5", "dev5"), 5);
	close_box();
	open_listening(&log);
	assert_int_equal(alarms(&log), 0);
}

/* Without it a device would be taken for a new one. */
static void
lost_transactions_are_mended(void **state)
{
	static const bool remove[] = { false, true };
	struct outbox_accept a = request("1", "dev1");
	struct buf log AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	take("1", "dev1");
	for (i = 0; i < NELEMS(remove); i++) {
		close_box();
		spoil_tx(1, remove[i]);
		open_listening(&log);
		assert_int_equal(alarms(&log), 1);
		assert_int_equal(accept_wait(&a).kind, ERR_NONE);
		assert_true(a.replay);
		state_is(1, ENTRY_QUEUED);
	}
}

/* Who meets one that does not open buries it, and stops nobody. */
static void
damage_while_running(void **state)
{
	uint64_t id = take("1", "dev"), other = take("2", "dev2"), ids[4];
	struct outbox_accept again = request("1", "dev");
	struct outbox_accept next = request("3", "dev");
	struct buf got AUTO_BUF = { 0 }, log AUTO_BUF = { 0 };
	struct digest row = digest_text("1");
	struct outbox_move m = {
		.event = ENTRY_EV_HANDOUT, .ids = { id, other }, .n = 2
	};
	struct outbox_entry en;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(store_submit_wait(box->store, junk_job, &id, &e), 0);
	assert_int_equal(outbox_find(box, &row, &en, &e), -1);
	assert_int_equal(e.kind, ERR_DAMAGE);
	assert_int_equal(outbox_list(box, 0, 9, list_add, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), "1:dead 2:queued ");
	assert_int_equal(
	    say((struct word){ 1, id, BATCH_STORED, "1" }).alarms, 1);
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 2);
	listen_start();
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	listen_end(&log);
	assert_true(!m.moved[0] && m.moved[1]);
	assert_int_equal(alarms(&log), 1);
	state_is(id, ENTRY_DEAD);
	history_is(id, "accepted dead");
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 0);
	/* Its device hears of it, and may ask anew. */
	assert_int_equal(accept_wait(&again).kind, ERR_NONE);
	assert_true(again.replay);
	assert_int_equal(again.entry.state, ENTRY_DEAD);
	assert_int_equal(accept_wait(&next).kind, ERR_NONE);
	assert_int_equal(next.superseded, 0);
}

/* The device that comes again meets it first. */
static void
damage_met_by_its_device(void **state)
{
	static const bool octets_too[] = { false, true };
	char name[2] = "1";
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(octets_too); i++, name[0]++) {
		struct outbox_accept again = request(name, name);
		struct outbox_accept other = request(name, name);
		struct buf log AUTO_BUF = { 0 };
		uint64_t id = take(name, name);
		struct err e = ERR_INIT;

		assert_int_equal(
		    store_submit_wait(box->store, junk_job, &id, &e), 0);
		if (octets_too[i])
			assert_int_equal(store_submit_wait(box->store,
					     junk_octets_job, &id, &e),
			    0);
		listen_start();
		assert_int_equal(accept_wait(&again).kind, ERR_NONE);
		listen_end(&log);
		assert_int_equal(alarms(&log), 1);
		assert_true(again.replay);
		assert_int_equal(again.entry.state, ENTRY_DEAD);
		state_is(id, ENTRY_DEAD);
		/* What its octets were is known, or not: never another's. */
		other.bytes = text("other octets");
		assert_int_equal(accept_wait(&other).kind,
		    octets_too[i] ? ERR_NONE : ERR_POLICY);
	}
}

/* A key is not sealed: one that was damaged names an id that never was. */
static void
keys_that_are_none_of_ours(void **state)
{
	static const uint64_t ids[] = { 3, UINT64_C(1) << 40, UINT64_MAX };
	struct buf log AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	take("1", "dev1");
	take("2", "dev2");
	close_box();
	for (i = 0; i < NELEMS(ids); i++) {
		spoil_part(ids[i], PART_ENTRY, false);
		spoil_part(ids[i], PART_ANSWER, false);
	}
	spoil("row", text("x"), false);
	open_listening(&log);
	assert_int_equal(alarms(&log), 0);
	assert_int_equal(counted(ENTRY_QUEUED), 2);
	assert_int_equal(counted(ENTRY_DEAD), 0);
	assert_int_equal(take("3", "dev3"), 3);
	reopen();
	state_is(3, ENTRY_QUEUED);
	assert_int_equal(take("4", "dev4"), 4);
}

/* What ended keeps its end; the alarm is told at each start. */
static void
damage_after_the_end(void **state)
{
	struct buf log AUTO_BUF = { 0 };
	uint64_t id = take("1", "dev1");

	(void)state;
	assert_true(move(id, ENTRY_EV_WITHDRAW));
	close_box();
	spoil_part(id, PART_OCTETS, true);
	open_listening(&log);
	assert_int_equal(alarms(&log), 1);
	state_is(id, ENTRY_WITHDRAWN);
	history_is(id, "accepted withdrawn");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(damage_kills_one_entry),
		T(vanished_entries_are_dead),
		T(lost_transactions_are_mended),
		T(damage_while_running),
		T(damage_met_by_its_device),
		T(keys_that_are_none_of_ours),
		T(damage_after_the_end),
	};

	return outbox_tests(tests, NELEMS(tests));
}
