/* A store that is copied: upgraded, compacted, sealed anew.  Whatever is
 * interrupted leaves one of both, whole. */
#include "store_copy_lab.h"

/* ---- the folder ------------------------------------------------------ */

static void
copy_file(const char *from, const char *to)
{
	struct buf b AUTO_BUF = contents(from);

	assert_int_equal(file_write(to, 0600, buf_bytes(&b), NULL), 0);
}

/* ---- versions -------------------------------------------------------- */

static int
refuse_row(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	(void)db, (void)key, (void)value, (void)ret;
	return err_set(e, ERR_DAMAGE, "no such row");
}

static void
test_older_version_is_brought_up(void **state)
{
	struct store *s = open_store();
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct store_report r;
	struct err e = ERR_INIT;

	(void)state;
	fill(s);
	was = look(s);
	store_close(s);
	conf.version = 3;
	conf.upgrades = upgrades;
	is = look_at_it();
	assert_string_equal(buf_cstr(&is.v[ROW][1]), "one+2");
	assert_string_equal(buf_cstr(&is.v[ROW][2]), "");
	assert_string_equal(buf_cstr(&is.v[TX][1]), "elsewhere+2+3");
	assert_string_equal(is.user, "words of three");
	assert_int_equal(is.next, was.next);
	assert_memory_equal(is.epoch, was.epoch, STORE_EPOCH_LEN);
	if (store_check(&conf, NULL, &r, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(r.version, 3);
	assert_int_equal(r.records, 1);
	is_there(false, in_store("next"));
}

static void
test_newer_version_is_refused(void **state)
{
	AUTO(char) file = in_store("data.mdb");
	struct buf was AUTO_BUF = { 0 }, is AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	conf.version = 3;
	store_close(open_store());
	was = contents(file);
	conf.version = 2;
	conf.upgrades = upgrades;
	refuses_to_open(
	    ERR_DAMAGE, "version 3, made by a newer release: this one knows 2");
	assert_int_equal(err_exit_code(ERR_DAMAGE), 9);
	refused(store_check(&conf, NULL, &(struct store_report){ 0 }, &e), &e,
	    ERR_DAMAGE, "version 3, made by a newer release");
	is = contents(file);
	assert_true(bytes_eq(buf_bytes(&was), buf_bytes(&is)));
}

static void
test_upgrade_that_fails_leaves_what_was(void **state)
{
	static const struct store_upgrade none[] = { { 1, refuse_row, NULL },
		{ 2, add_three, NULL }, { 0, NULL, NULL } };
	struct store *s = open_store();
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };

	(void)state;
	fill(s);
	was = look(s);
	store_close(s);
	conf.version = 3;
	conf.upgrades = none;
	refuses_to_open(ERR_DAMAGE,
	    "upgrade from version 1: \"row\": row of 1: no such row");
	conf.upgrades = upgrades + 1;
	refuses_to_open(ERR_DAMAGE, "version 1 is too old for this release");
	is_there(false, in_store("next"));
	conf.version = 1;
	is = look_at_it();
	same(&was, &is);
}

static void
test_half_a_copy_is_swept_away(void **state)
{
	AUTO(char) part = in_store("next.mdb");
	AUTO(char) next = in_store("next");
	AUTO(char) half = in_store("next/data.mdb");

	(void)state;
	store_close(open_store());
	assert_int_equal(mkdir(next, 0700), 0);
	assert_int_equal(file_write(part, 0600, bytes_of("half", 4), NULL), 0);
	assert_int_equal(file_write(half, 0600, bytes_of("half", 4), NULL), 0);
	store_close(open_store());
	assert_false(there(part));
	assert_false(there(next));
}

static void
test_damaged_row_stays_behind(void **state)
{
	AUTO(char) file = in_store("data.mdb");
	struct store *s = open_store();
	struct store_report r;
	struct err e = ERR_INIT;
	uint64_t lost = 7;

	(void)state;
	fill(s);
	put_big(s, 3);
	store_close(s);
	spoil_big(file);
	refused(store_check(&conf, NULL, &r, &e), &e, ERR_DAMAGE,
	    "\"row\": the row of 3 does not open");
	assert_int_equal(r.db[ROW].damaged, 1);
	assert_int_equal(r.db[ROW].rows, 3);
	assert_int_equal(r.db[TX].rows, 1);
	assert_int_equal(r.records, 1);
	refused(store_compact(&conf, &lost, &e), &e, ERR_DAMAGE,
	    "\"row\": the row of 3 does not open");
	conf.tolerant = true;
	assert_int_equal(store_compact(&conf, &lost, &e), 0);
	assert_int_equal(lost, 1);
	assert_int_equal(store_check(&conf, NULL, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 2);
}

/* ---- compact --------------------------------------------------------- */

static void
test_compact_is_the_same_and_smaller(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct store *s = open_store();
	AUTO(char) file = in_store("data.mdb");
	uint8_t k[STORE_KEY_ID_LEN];
	struct store_report r;
	struct err e = ERR_INIT;
	uint64_t lost = 7;
	struct stat st;

	(void)state, (void)k;
	fill(s);
	for (uint64_t id = 3; id < 40; id++)
		put_big(s, id);
	for (uint64_t id = 3; id < 40; id++)
		put(s, ROW, id, "small now");
	was = look(s);
	refused(store_compact(&conf, &lost, &e), &e, ERR_LOCAL, "open already");
	store_close(s);
	assert_int_equal(store_compact(&conf, &lost, &e), 0);
	assert_int_equal(lost, 0);
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_size < 200000);
	assert_int_equal(store_check(&conf, NULL, &r, &e), 0);
	assert_int_equal(r.db[ROW].rows, 39);
	is = look_at_it();
	same(&was, &is);
}

/* ---- the secret ------------------------------------------------------ */

static void
test_rekey_needs_the_new_secret(void **state)
{
	AUTO(char) old = in_dir("old.key");
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct store *s = open_store();
	struct err e = ERR_INIT;
	uint64_t lost = 7;

	(void)state;
	fill(s);
	was = look(s);
	refused(store_rekey(&conf, &lost, &e), &e, ERR_LOCAL, "open already");
	store_close(s);
	copy_file(seal, old);
	assert_int_equal(store_rekey(&conf, &lost, &e), 0);
	assert_int_equal(lost, 0);
	is_there(false, in_dir("seal.key.next"));
	is = look_at_it();
	same(&was, &is);
	conf.seal = old;
	refuses_to_open(ERR_DAMAGE, "sealed with another key");
}

/* The old secret is in its place, the new one beside; is the file new? */
static void
interrupted(bool file_is_new)
{
	AUTO(char) next = in_dir("seal.key.next");
	AUTO(char) file = in_store("data.mdb");
	AUTO(char) half = in_store("next.mdb");
	struct buf secret AUTO_SECRET = contents(seal);
	struct buf data AUTO_BUF = contents(file);
	struct err e = ERR_INIT;
	uint64_t lost;

	if (store_rekey(&conf, &lost, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(rename(seal, next), 0);
	assert_int_equal(file_write(seal, 0600, buf_bytes(&secret), NULL), 0);
	if (file_is_new)
		return;
	assert_int_equal(rename(file, half), 0);
	assert_int_equal(file_write(file, 0600, buf_bytes(&data), NULL), 0);
}

static void
test_interrupted_rekey_is_finished(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 };
	struct store *s = open_store();

	(void)state;
	fill(s);
	was = look(s);
	store_close(s);
	for (int turn = 0; turn < 4; turn++) {
		struct buf before AUTO_SECRET = contents(seal);
		struct buf after AUTO_SECRET = { 0 };
		struct look is AUTO_LOOK = { .next = 0 };
		struct store_report r;
		struct err e = ERR_INIT;
		uint64_t lost;

		interrupted(turn % 2 == 0);
		/* Who only looks finishes nothing. */
		if (store_check(&conf, NULL, &r, &e) == -1)
			fail_msg("%s", e.msg);
		is_there(true, in_dir("seal.key.next"));
		/* So does the next rekey, before its own. */
		if (turn >= 2)
			assert_int_equal(store_rekey(&conf, &lost, &e), 0);
		is = look_at_it();
		same(&was, &is);
		is_there(false, in_dir("seal.key.next"));
		is_there(false, in_store("next.mdb"));
		after = contents(seal);
		assert_int_equal(
		    bytes_eq(buf_bytes(&before), buf_bytes(&after)), turn == 1);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_older_version_is_brought_up),
		TEST(test_newer_version_is_refused),
		TEST(test_upgrade_that_fails_leaves_what_was),
		TEST(test_half_a_copy_is_swept_away),
		TEST(test_damaged_row_stays_behind),
		TEST(test_compact_is_the_same_and_smaller),
		TEST(test_rekey_needs_the_new_secret),
		TEST(test_interrupted_rekey_is_finished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
