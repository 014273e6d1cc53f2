/* Backups of an open store, and their way back. */
#include "store_copy_lab.h"

#include "common/base/str.h"

/* ---- live copies ----------------------------------------------------- */

static void
test_backup_is_what_was_then(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 };
	AUTO(char) path = in_store("backup-monday-1.mdb");
	struct store *s = open_store();
	struct store_report r;
	struct wait w, again;
	struct err e = ERR_INIT;

	(void)state;
	fill(s);
	was = look(s);
	backup(s, &w, "monday-1");
	if (w.failed)
		fail_msg("%s", w.e.msg);
	assert_string_equal(w.b.path, path);
	put(s, ROW, 3, "later");
	assert_string_equal(w.b.report.trouble, "");
	assert_int_equal(w.b.report.db[ROW].rows, 2);
	assert_int_equal(w.b.report.db[ROW].expected, 2);
	assert_string_equal(w.b.report.db[AUDIT].name, "audit");
	assert_int_equal(w.b.report.records, 1);
	assert_true(digest_eq(&w.b.report.audit.hash, &was.audit.hash));
	assert_memory_equal(w.b.report.epoch, was.epoch, STORE_EPOCH_LEN);
	assert_int_equal(w.b.report.next_id, was.next);
	/* It can be looked at while the store is open. */
	assert_int_equal(store_check(&conf, path, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 2);
	backup(s, &again, "monday-1");
	refused(again.failed ? -1 : 0, &again.e, ERR_INPUT, "there already");
	free(w.b.path);
	store_close(s);
}

static void
test_backup_has_a_plain_name(void **state)
{
	static const char *const names[] = { "", "a/b", "..", "a b", "\xc3\xa9",
		"12345678901234567890123456789012345678901" };
	struct store *s = open_store();

	(void)state;
	for (size_t i = 0; i < NELEMS(names); i++) {
		struct wait w;

		backup(s, &w, names[i]);
		refused(w.failed ? -1 : 0, &w.e, ERR_INPUT, "a name is");
		assert_null(w.b.path);
	}
	store_close(s);
	is_there(false, in_store("next.mdb"));
}

static void
test_one_backup_at_a_time_and_close_waits(void **state)
{
	struct store *s = open_store();
	struct wait w, other;
	struct err e = ERR_INIT;
	struct store_report r;

	(void)state;
	for (uint64_t id = 1; id < 60; id++)
		put_big(s, id);
	backup_ask(s, &w, "first");
	backup(s, &other, "second");
	refused(
	    other.failed ? -1 : 0, &other.e, ERR_RETRY, "one is being made");
	store_close(s);
	assert_int_equal(sem_trywait(&w.over), 0);
	assert_false(w.failed);
	assert_int_equal(store_check(&conf, w.b.path, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 59);
	free(w.b.path);
}

static void
test_backup_tells_of_damage(void **state)
{
	AUTO(char) file = in_store("data.mdb");
	struct store *s = open_store();
	struct wait w;

	(void)state;
	fill(s);
	put_big(s, 3);
	store_close(s);
	spoil_big(file);
	s = open_store();
	backup(s, &w, "damaged");
	assert_false(w.failed);
	assert_string_equal(
	    w.b.report.trouble, "\"row\": the row of 3 does not open");
	free(w.b.path);
	store_close(s);
}

/* ---- restore --------------------------------------------------------- */

struct prepare {
	char seen[80];
	bool fail;
};

static int
prepare(const char *at, void *arg, struct err *e)
{
	struct prepare *p = arg;
	struct store_conf c = conf;
	AUTO(store) s = NULL;

	str_copy(p->seen, sizeof(p->seen), at);
	if (p->fail)
		return err_set(e, ERR_LOCAL, "not this one");
	c.dir = at;
	if (store_open(&c, &s, e) == -1)
		return -1;
	return store_submit_wait(s, epoch_run, NULL, e);
}

/* A backup beside the store, which has gone on since. */
static char *
make_backup(struct look *ret_was, struct look *ret_now)
{
	struct store *s = open_store();
	struct wait w;

	fill(s);
	backup(s, &w, "b");
	assert_false(w.failed);
	*ret_was = look(s);
	put(s, ROW, 3, "later");
	*ret_now = look(s);
	store_close(s);
	return w.b.path;
}

static void
test_restore_takes_the_place(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct look now AUTO_LOOK = { .next = 0 };
	AUTO(char) file = make_backup(&was, &now);
	AUTO(char) before = in_store("before-x.mdb");
	AUTO(char) place = in_store("next");
	struct prepare p = { .fail = false };
	struct store_report r;
	struct err e = ERR_INIT;
	struct store *s;

	(void)state;
	if (store_restore(&conf, file, "x", prepare, &p, &r, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(p.seen, place);
	assert_int_equal(r.db[ROW].rows, 2);
	assert_false(there(place));
	is = look_at_it();
	assert_memory_not_equal(is.epoch, was.epoch, STORE_EPOCH_LEN);
	memcpy(is.epoch, was.epoch, STORE_EPOCH_LEN);
	same(&was, &is);
	/* What was there is there, whole, and leads back. */
	assert_int_equal(store_check(&conf, before, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 3);
	refused(store_restore(&conf, file, "x", prepare, &p, &r, &e), &e,
	    ERR_INPUT, "there already");
	assert_int_equal(
	    store_restore(&conf, before, "y", NULL, NULL, &r, &e), 0);
	look_done(&is);
	is = look_at_it();
	same(&now, &is);
	s = open_store();
	refused(store_restore(&conf, file, "z", prepare, &p, &r, &e), &e,
	    ERR_LOCAL, "open already");
	store_close(s);
}

static void
test_restore_that_fails_changes_nothing(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct look now AUTO_LOOK = { .next = 0 };
	AUTO(char) file = make_backup(&was, &now);
	AUTO(char) none = in_dir("none.mdb");
	AUTO(char) cut = in_dir("cut.mdb");
	struct prepare p = { .fail = true };
	struct store_report r;
	struct err e = ERR_INIT;
	struct buf b AUTO_BUF = contents(file);

	(void)state;
	assert_int_equal(
	    file_write(cut, 0600, bytes_of(b.data, b.len / 2), NULL), 0);
	refused(store_restore(&conf, none, "x", prepare, &p, &r, &e), &e,
	    ERR_LOCAL, "none.mdb");
	refused(store_restore(&conf, dir, "x", prepare, &p, &r, &e), &e,
	    ERR_INPUT, "not a regular file");
	refused(store_restore(&conf, cut, "x", prepare, &p, &r, &e), &e,
	    ERR_DAMAGE, "shorter than it says");
	refused(store_restore(&conf, seal, "x", prepare, &p, &r, &e), &e,
	    ERR_DAMAGE, "page 0: cut off");
	assert_string_equal(p.seen, "");
	refused(store_restore(&conf, file, "x", prepare, &p, &r, &e), &e,
	    ERR_LOCAL, "not this one");
	is_there(false, in_store("next"));
	is_there(false, in_store("before-x.mdb"));
	is = look_at_it();
	same(&now, &is);
}

static void
test_restore_brings_back_what_is_gone(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct look now AUTO_LOOK = { .next = 0 };
	AUTO(char) file = make_backup(&was, &now);
	AUTO(char) gone = in_store("data.mdb");
	struct store_report r;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(unlink(gone), 0);
	refuses_to_open(ERR_DAMAGE, "data.mdb is gone");
	assert_int_equal(
	    store_restore(&conf, file, "x", NULL, NULL, &r, &e), 0);
	is_there(false, in_store("before-x.mdb"));
	is = look_at_it();
	same(&was, &is);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_backup_is_what_was_then),
		TEST(test_backup_has_a_plain_name),
		TEST(test_one_backup_at_a_time_and_close_waits),
		TEST(test_backup_tells_of_damage),
		TEST(test_restore_takes_the_place),
		TEST(test_restore_that_fails_changes_nothing),
		TEST(test_restore_brings_back_what_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
