/* A store that finds no room says so, and can be emptied. */
#include "store_lab.h"

/* ---- room ------------------------------------------------------------ */

static char big[2 << 20];

/* Adds rows of len octets until there is no room; returns how many. */
static uint64_t
fill(struct store *s, size_t len)
{
	struct op op = { .value = big, .len = len };
	struct err e = ERR_INIT;

	while (store_submit_wait(s, op_run, &op, &e) == 0)
		;
	assert_int_equal(e.kind, ERR_RETRY);
	assert_true(store_used_percent(s) > 80);
	assert_int_equal(look(s, 0, 0).next, op.took);
	return op.took - 1;
}

/* One by one; with a len of 0 they are deleted. */
static void
change_all(struct store *s, uint64_t last, size_t len)
{
	for (uint64_t id = 1; id <= last; id++) {
		struct op op = { .id = id, .len = len };
		struct err e = ERR_INIT;

		op.value = len > 0 ? big : NULL;
		if (store_submit_wait(s, op_run, &op, &e) == -1)
			fail_msg("row %u: %s", (unsigned)id, e.msg);
	}
}

static void
full_map(size_t len)
{
	struct store *s;
	uint64_t last;

	conf.map_size = 1 << 20;
	s = open_store();
	assert_true(store_used_percent(s) < 5);
	last = fill(s, len);
	change_all(s, last, len);
	change_all(s, last, 0);
	assert_true(store_used_percent(s) < 10);
	/* A row of several pages needs them side by side, and one page between
	 * may be what the store has of its own. */
	assert_true(fill(s, len) >= 2 * last - (len > 4096));
	store_close(s);
	s = open_store();
	assert_true(store_used_percent(s) > 80);
	store_close(s);
}

static void
test_full_map_of_small_rows_can_be_emptied(void **state)
{
	(void)state;
	full_map(1000);
}

static void
test_full_map_of_large_rows_can_be_emptied(void **state)
{
	(void)state;
	full_map(20000);
}

static int
change_run(struct store_txn *t, void *arg, struct err *e)
{
	const uint64_t *upto = arg;
	uint8_t k[STORE_KEY_ID_LEN];

	for (uint64_t id = 1; id <= *upto; id++)
		if (store_put(t, 0, store_key_id(k, id), bytes_of(big, 3000),
			e) == -1)
			return -1;
	return 0;
}

static void
test_commit_without_room_is_retry(void **state)
{
	struct err e = ERR_INIT;
	struct store *s;
	uint64_t last, upto;
	unsigned failed = 0, at_commit = 0;

	(void)state;
	conf.map_size = 1 << 20;
	s = open_store();
	last = fill(s, 3000);
	/* Two small commits set free what the last one replaced: so each
	 * needs a page more than the one before, until the changes fit and
	 * the commit itself does not. */
	for (upto = 1; upto <= last && failed < 10; upto++) {
		put(s, 0, last, "small");
		put(s, 0, last, "small");
		if (store_submit_wait(s, change_run, &upto, &e) == 0)
			continue;
		assert_int_equal(e.kind, ERR_RETRY);
		failed++;
		at_commit += strstr(e.msg, "commit") != NULL;
	}
	assert_true(at_commit > 0);
	assert_int_equal(failed, 10);
	change_all(s, last, 3000);
	store_close(s);
}

static void
test_full_map_fails_one_job_of_many(void **state)
{
	struct store *s = open_store();
	struct gate gate = { 0 };
	struct op ops[6] = { 0 };
	unsigned failed = 0;

	(void)state;
	gate_close(&gate, s);
	for (size_t i = 0; i < NELEMS(ops); i++) {
		ops[i].value = big;
		ops[i].len = 900 * 1024;
		if (i == 5)
			ops[i].len = 10;
		store_submit(s, op_run, op_done, &ops[i], here);
	}
	sem_post(&gate.go);
	drain(s);
	for (size_t i = 0; i < NELEMS(ops); i++) {
		failed += ops[i].failed;
		if (ops[i].failed)
			assert_int_equal(ops[i].e.kind, ERR_RETRY);
	}
	assert_int_equal(failed, 1);
	assert_true(ops[4].failed);
	store_close(s);
	store_close(open_store());
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_full_map_of_small_rows_can_be_emptied),
		TEST(test_full_map_of_large_rows_can_be_emptied),
		TEST(test_commit_without_room_is_retry),
		TEST(test_full_map_fails_one_job_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
