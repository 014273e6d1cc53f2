/* Ends that are counted, and a store that is opened for reading alone. */
#include "store_copy_lab.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "common/queue/ends.h"

/* ---- ends ------------------------------------------------------------ */

static void
note_ends(uint64_t first, unsigned n)
{
	int fd = ends_open(store_dir, true);

	assert_int_not_equal(fd, -1);
	for (unsigned i = 0; i < n; i++)
		ends_note(fd, first + i);
	close(fd);
}

static void
test_three_ends_start_read_only(void **state)
{
	struct look was AUTO_LOOK = { .next = 0 }, is AUTO_LOOK = { .next = 0 };
	struct row r = { ROW, 3, bytes_of("new", 3) };
	AUTO(char) file = in_store("data.mdb");
	struct buf before AUTO_BUF = { 0 }, after AUTO_BUF = { 0 };
	struct store *s = open_store();
	uint64_t now = clock_now().time;
	struct err e = ERR_INIT;
	struct wait w;

	(void)state;
	fill(s);
	was = look(s);
	assert_false(store_read_only(s));
	store_close(s);
	before = contents(file);
	note_ends(now - 3000, 3);
	note_ends(now - 300, 2);
	assert_int_equal(store_ends(store_dir), 2);
	assert_int_equal(store_check_ends(store_dir, &e), 0);
	store_close(s = open_store());
	note_ends(now - 5, 1);
	assert_int_equal(store_ends(store_dir), 3);
	refused(store_check_ends(store_dir, &e), &e, ERR_DAMAGE,
	    "3 commits failed within 10 minutes");
	s = open_store();
	assert_true(store_read_only(s));
	is = look(s);
	same(&was, &is);
	refused(
	    store_submit_wait(s, put_run, &r, &e), &e, ERR_RETRY, "read-only");
	refused(store_submit_wait(s, epoch_run, NULL, &e), &e, ERR_RETRY,
	    "read-only");
	look_done(&is);
	is = look(s);
	same(&was, &is);
	backup(s, &w, "while-read-only");
	assert_false(w.failed);
	free(w.b.path);
	store_close(s);
	after = contents(file);
	assert_true(bytes_eq(buf_bytes(&before), buf_bytes(&after)));
}

static void
test_asked_for_read_only(void **state)
{
	struct row r = { ROW, 1, bytes_of("new", 3) };
	struct err e = ERR_INIT;
	struct store *s;

	(void)state;
	conf.read_only = true;
	refuses_to_open(ERR_LOCAL, "No such file");
	conf.read_only = false;
	store_close(open_store());
	conf.read_only = true;
	s = open_store();
	refused(
	    store_submit_wait(s, put_run, &r, &e), &e, ERR_RETRY, "read-only");
	store_close(s);
	conf.version = 2;
	conf.upgrades = upgrades;
	refuses_to_open(ERR_LOCAL, "nothing may be written");
}

static void
test_failed_commit_is_counted(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	store_close(open_store());
	if ((pid = fork()) == 0) {
		/* The first pages hold the heads, the rest is further on. */
		struct rlimit some = { PAGE, PAGE };
		struct row r = { ROW, 1, bytes_of("new", 3) };
		struct store *s = NULL;

		signal(SIGXFSZ, SIG_IGN);
		if (store_open(&conf, &s, NULL) == -1)
			_exit(1);
		close(STDERR_FILENO); /* the alarm is expected */
		setrlimit(RLIMIT_FSIZE, &some);
		_exit(store_submit_wait(s, put_run, &r, NULL));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 9);
	assert_int_equal(store_ends(store_dir), 1);
}

static void
test_ends_are_counted_around_now(void **state)
{
	static const struct {
		uint64_t now;
		unsigned want;
	} cases[] = {
		{ 10000, 4 },
		{ 10602, 1 },
		{ 10603, 0 },
		{ 9401, 1 },
		{ 9400, 0 },
		{ 0, 0 },
	};
	int fd;

	(void)state;
	assert_int_equal(mkdir(store_dir, 0700), 0);
	assert_int_equal(ends_open(store_dir, false), -1);
	note_ends(10000, 1);
	note_ends(500, 1);
	note_ends(10001, 3); /* the oldest makes room */
	fd = ends_open(store_dir, false);
	for (size_t i = 0; i < NELEMS(cases); i++)
		assert_int_equal(
		    ends_count(fd, cases[i].now, 600), cases[i].want);
	assert_int_equal(ends_count(-1, 10000, 600), 0);
	close(fd);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_three_ends_start_read_only),
		TEST(test_asked_for_read_only),
		TEST(test_failed_commit_is_counted),
		TEST(test_ends_are_counted_around_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
