/* The store as it is opened and walked through, its keys and its secret. */
#include "store_lab.h"

#include <sys/stat.h>

/* ---- tests ----------------------------------------------------------- */

static int
fill_head(struct store_txn *t, void *arg, struct err *e)
{
	(void)arg, (void)e;
	store_set_user(t, bytes_of("high water 12", 13));
	store_audit_head(t)->seq = 3;
	assert_int_equal(store_take_id(t), 1);
	assert_int_equal(store_take_id(t), 2);
	assert_int_equal(store_peek_id(t), 3);
	return 0;
}

static void
test_reopened_store_is_the_same(void **state)
{
	struct store *s = open_store();
	struct look before, after;

	(void)state;
	put(s, 0, 1, "one");
	put(s, 1, 1, "");
	put(s, 0, 1, "one again");
	assert_int_equal(store_submit_wait(s, fill_head, NULL, NULL), 0);
	before = look(s, 0, 0);
	store_close(s);

	s = open_store();
	holds(s, 0, 1, "one again");
	holds(s, 1, 1, "");
	holds(s, 2, 1, NULL);
	after = look(s, 0, 0);
	assert_memory_equal(before.epoch, after.epoch, STORE_EPOCH_LEN);
	assert_string_equal(after.user, "high water 12");
	assert_int_equal(after.next, 3);
	assert_int_equal(after.audit.seq, 3);
	store_close(s);
}

static void
test_file_is_reserved_and_private(void **state)
{
	AUTO(char) path = path_join(dir, "data.mdb");
	struct stat st;

	(void)state;
	store_close(open_store());
	assert_int_equal(stat(path, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 >= MAP);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* A copy has lost its blocks. */
	assert_int_equal(truncate(path, MAP / 4), 0);
	store_close(open_store());
	assert_int_equal(stat(path, &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 >= MAP);
}

static void
test_second_opener_is_refused(void **state)
{
	struct store *s = open_store();

	(void)state;
	refuses_to_open(ERR_LOCAL, "open already");
	put(s, 0, 1, "still works");
	store_close(s);
	s = open_store();
	holds(s, 0, 1, "still works");
	store_close(s);
}

static void
test_wrong_key_is_refused(void **state)
{
	struct store *s = open_store();

	(void)state;
	put(s, 0, 1, "one");
	store_close(s);
	conf.key[31] ^= 1;
	refuses_to_open(ERR_DAMAGE, "head row does not open");
	conf.key[31] ^= 1;
	s = open_store();
	holds(s, 0, 1, "one");
	store_close(s);
}

static void
test_later_databases_are_added(void **state)
{
	static const char *const more[] = { "row", "tx", "audit", "new", NULL };
	struct store *s = open_store();

	(void)state;
	put(s, 2, 1, "one");
	store_close(s);
	conf.databases = more;
	s = open_store();
	put(s, 3, 1, "two");
	store_close(s);
	s = open_store();
	holds(s, 2, 1, "one");
	holds(s, 3, 1, "two");
	store_close(s);
	/* The older program does not touch what it does not know. */
	conf.databases = databases;
	refuses_to_open(ERR_DAMAGE, "store head");
}

/* ---- walks ----------------------------------------------------------- */

struct walk {
	unsigned db;
	uint64_t from, stop;
	struct store_txn *delete_in;
	char seen[64];
};

static int
walk_visit(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct walk *w = arg;
	uint64_t id = store_key_to_id(key);
	size_t n = strlen(w->seen);

	assert_int_equal(key.len, STORE_KEY_ID_LEN);
	assert_int_equal(value.len == 0, damaged);
	if (id == 13)
		return err_set(e, ERR_INPUT, "thirteen");
	snprintf(w->seen + n, sizeof(w->seen) - n, "%s%llu",
	    damaged ? "!" : " ", (unsigned long long)id);
	if (w->delete_in != NULL &&
	    store_del(w->delete_in, w->db, key, e) == -1)
		return -1;
	return id == w->stop;
}

static int
walk_run(struct store_txn *t, void *arg, struct err *e)
{
	struct walk *w = arg;
	uint8_t k[STORE_KEY_ID_LEN];
	struct bytes from = { 0 };

	w->seen[0] = '\0';
	if (w->from != 0)
		from = store_key_id(k, w->from);
	if (w->delete_in != NULL)
		w->delete_in = t;
	return store_walk(t, w->db, from, walk_visit, w, e);
}

static void
test_walk_meets_every_row_once(void **state)
{
	struct walk w = { 0 };
	struct store_txn *later = (void *)&w; /* set when the walk begins */
	struct err e = ERR_INIT;
	struct store *s;

	(void)state;
	three_rows();
	raw_flip(2);
	s = open_store();
	assert_int_equal(store_read(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, " 1!2 3");
	w.from = 2;
	assert_int_equal(store_read(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, "!2 3");
	w.stop = 2;
	assert_int_equal(store_read(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, "!2");
	w = (struct walk){ .db = 2 };
	assert_int_equal(store_read(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, "");
	put(s, 0, 13, "thirteen");
	w = (struct walk){ .db = 0 };
	assert_int_equal(store_read(s, walk_run, &w, &e), -1);
	assert_string_equal(e.msg, "thirteen");
	/* Deleting while walking. */
	w = (struct walk){ .stop = 3, .delete_in = later };
	assert_int_equal(store_submit_wait(s, walk_run, &w, &e), 0);
	assert_string_equal(w.seen, " 1!2 3");
	holds(s, 0, 1, NULL);
	holds(s, 0, 13, "thirteen");
	store_close(s);
	store_close(open_store());
}

static int
delete_two_of_three(struct bytes key, struct bytes value, bool damaged,
    void *arg, struct err *e)
{
	struct walk *w = arg;

	(void)value, (void)damaged;
	assert_int_equal(store_key_to_id(key), ++w->from);
	return w->from % 3 != 0 ? store_del(w->delete_in, 0, key, e) : 0;
}

static int
prune_run(struct store_txn *t, void *arg, struct err *e)
{
	struct walk *w = arg;

	w->delete_in = t;
	w->from = 0;
	return store_walk(t, 0, bytes_of(NULL, 0), delete_two_of_three, w, e);
}

static int
many_run(struct store_txn *t, void *arg, struct err *e)
{
	static const uint8_t value[700];
	uint8_t k[STORE_KEY_ID_LEN];

	(void)arg;
	for (uint64_t id = 1; id <= 900; id++)
		if (store_put(t, 0, store_key_id(k, id),
			bytes_of(value, id % 700 + 1), e) == -1)
			return -1;
	return 0;
}

static void
test_walk_may_delete_as_it_goes(void **state)
{
	struct store *s = open_store();
	struct walk w = { 0 };

	(void)state;
	assert_int_equal(store_submit_wait(s, many_run, NULL, NULL), 0);
	assert_int_equal(store_submit_wait(s, prune_run, &w, NULL), 0);
	assert_int_equal(w.from, 900);
	store_close(s);
	store_close(open_store());
}

/* ---- keys and secrets ------------------------------------------------ */

static void
test_id_keys_sort_as_numbers(void **state)
{
	uint8_t a[STORE_KEY_ID_LEN], b[STORE_KEY_ID_LEN];

	(void)state;
	store_key_id(a, 255);
	store_key_id(b, 256);
	assert_true(memcmp(a, b, sizeof(a)) < 0);
	assert_int_equal(store_key_to_id(bytes_of(b, sizeof(b))), 256);
	assert_true(store_key_to_id(store_key_id(a, UINT64_MAX)) == UINT64_MAX);
	assert_int_equal(store_key_to_id(bytes_of(b, 7)), 0);
}

static void
test_seal_secret_is_made_once(void **state)
{
	AUTO(char) path = path_join(dir, "secret");
	struct buf a AUTO_SECRET = { 0 }, b AUTO_SECRET = { 0 };
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(store_seal_secret(path, false, &a, &e), -1);
	assert_int_equal(store_seal_secret(path, true, &a, &e), 0);
	assert_int_equal(a.len, 32);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(store_seal_secret(path, true, &b, &e), 0);
	assert_true(bytes_eq(buf_bytes(&a), buf_bytes(&b)));

	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(store_seal_secret(path, true, &b, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 31), 0);
	assert_int_equal(store_seal_secret(path, true, &b, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(b.len, 32);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_reopened_store_is_the_same),
		TEST(test_file_is_reserved_and_private),
		TEST(test_second_opener_is_refused),
		TEST(test_wrong_key_is_refused),
		TEST(test_later_databases_are_added),
		TEST(test_walk_meets_every_row_once),
		TEST(test_walk_may_delete_as_it_goes),
		TEST(test_id_keys_sort_as_numbers),
		TEST(test_seal_secret_is_made_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
