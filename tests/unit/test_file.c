#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"

static char dir[] = "/tmp/waybill-file-XXXXXX";

static int
enter(void **state)
{
	(void)state;
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int
leave(void **state)
{
	static const char *const made[] = { "key", "link", "fifo", "full.tmp",
		"full", "a/b/c", "a/b", "a", "s" };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(made); i++)
		remove(made[i]);
	return chdir("/") == 0 ? rmdir(dir) : -1;
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void
what_is_written_is_read(void **state)
{
	static const struct {
		size_t n;
		mode_t mode;
	} cases[] = { { 0, 0600 }, { 1, 0644 }, { 4096, 0400 }, { 9, 0660 },
		{ 200000, 0600 } };
	mode_t old = umask(077);
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf data AUTO_BUF = { 0 }, got AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		memset(buf_grow(&data, cases[i].n), 'x', cases[i].n);
		assert_int_equal(
		    file_write("key", cases[i].mode, buf_bytes(&data), &e), 0);
		assert_int_equal(mode_of("key"), cases[i].mode);
		assert_int_equal(access("key.tmp", F_OK), -1);
		assert_int_equal(file_read("key", cases[i].n, &got, &e), 0);
		assert_true(bytes_eq(buf_bytes(&data), buf_bytes(&got)));
	}
	umask(old);
}

static void
what_cannot_be_read_is_told(void **state)
{
	static const struct {
		const char *path;
		size_t max;
		enum err_kind kind;
		const char *msg;
	} cases[] = {
		{ "key", 5, ERR_INPUT, "key: 6 octets, limit 5" },
		{ "key", 0, ERR_INPUT, "key: 6 octets, limit 0" },
		{ "none", 9, ERR_LOCAL,
		    "none: open: No such file or directory" },
		{ ".", 9, ERR_INPUT, ".: not a regular file" },
		{ "fifo", 9, ERR_INPUT, "fifo: not a regular file" },
		{ "/dev/zero", 9, ERR_INPUT, "/dev/zero: not a regular file" },
		/* Says 0 octets of itself, and has more. */
		{ "/proc/self/status", 9, ERR_INPUT,
		    "/proc/self/status: over the limit of 9 octets" },
		{ "/proc/self/status", 64, ERR_INPUT,
		    "/proc/self/status: over the limit of 64 octets" },
	};
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(file_write("key", 0600, bytes_of("secret", 6), &e), 0);
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf got = { 0 };

		assert_int_equal(
		    file_read(cases[i].path, cases[i].max, &got, &e), -1);
		assert_int_equal(e.kind, cases[i].kind);
		assert_string_equal(e.msg, cases[i].msg);
		assert_null(got.data);
		assert_int_equal(got.len, 0);
	}
}

static void
files_that_tell_no_size_are_read(void **state)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_read("/proc/self/status", 65536, &got, &e), 0);
	assert_memory_equal(got.data, "Name:", 5);
}

/* A failure before the rename leaves the old file and no other. */
static void
failure_keeps_the_old_file(void **state)
{
	static const struct {
		const char *what, *path;
	} cases[] = {
		{ "no folder", "none/key" },
		{ "path is a folder", "full" },
		{ "folder is a file", "key/sub" },
	};
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	assert_int_equal(mkdir("full", 0700), 0);
	assert_int_equal(file_write("key", 0600, bytes_of("old", 3), &e), 0);
	for (i = 0; i < NELEMS(cases); i++) {
		print_message("%s\n", cases[i].what);
		e = (struct err)ERR_INIT;
		assert_int_equal(
		    file_write(cases[i].path, 0600, bytes_of("new", 3), &e),
		    -1);
		assert_int_equal(e.kind, ERR_LOCAL);
		assert_memory_equal(
		    e.msg, cases[i].path, strlen(cases[i].path));
	}
	assert_int_equal(access("full.tmp", F_OK), -1);
	/* What stands in the way of path.tmp itself. */
	assert_int_equal(rmdir("full"), 0);
	assert_int_equal(mkdir("full.tmp", 0700), 0);
	assert_int_equal(file_write("full", 0600, bytes_of("new", 3), &e), -1);
	assert_int_equal(access("full", F_OK), -1);
	assert_int_equal(file_read("key", 9, &got, &e), 0);
	assert_true(bytes_eq(buf_bytes(&got), bytes_of("old", 3)));
}

static void
a_copy_is_the_same_and_replaces_nothing(void **state)
{
	AUTO(void) mem = xcalloc(3000000, 1);
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	memset(mem, 7, 2999999);
	assert_int_equal(
	    file_write("key", 0644, bytes_of(mem, 3000000), &e), 0);
	assert_int_equal(file_copy("key", "s", &e), 0);
	assert_int_equal(mode_of("s"), 0600);
	assert_int_equal(file_read("s", 4000000, &got, &e), 0);
	assert_true(bytes_eq(buf_bytes(&got), bytes_of(mem, 3000000)));
	assert_int_equal(file_write("key", 0600, bytes_of("new", 3), &e), 0);
	assert_int_equal(file_copy("key", "s", &e), -1);
	assert_string_equal(e.msg, "s: create: File exists");
	assert_int_equal(file_copy("none", "full", &e), -1);
	assert_string_equal(e.msg, "none: open: No such file or directory");
	assert_int_equal(file_copy(".", "full", &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_int_equal(access("full", F_OK), -1);
	buf_done(&got);
	assert_int_equal(file_read("s", 4000000, &got, &e), 0);
	assert_int_equal(got.len, 3000000);
	assert_int_equal(remove("s"), 0);
}

/* What a crash, or somebody else, left as path.tmp is not written through. */
static void
a_stale_link_is_not_followed(void **state)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(file_write("key", 0600, bytes_of("old", 3), &e), 0);
	assert_int_equal(symlink("key", "link.tmp"), 0);
	assert_int_equal(file_write("link", 0600, bytes_of("new", 3), &e), 0);
	assert_int_equal(file_read("key", 9, &got, &e), 0);
	assert_true(bytes_eq(buf_bytes(&got), bytes_of("old", 3)));
	assert_int_equal(access("link.tmp", F_OK), -1);
}

static void
folders_are_made_with_their_parents(void **state)
{
	static const struct {
		const char *path;
		int rc;
	} cases[] = {
		{ "a/b/c", 0 },
		{ "a/b/c", 0 },
		{ "a/b/c/", 0 },
		{ "a//b", 0 },
		{ ".", 0 },
		{ "/", 0 },
		{ "", -1 },
		{ "key", -1 },
		{ "key/a", -1 },
	};
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	assert_int_equal(file_write("key", 0600, bytes_of("old", 3), &e), 0);
	for (i = 0; i < NELEMS(cases); i++) {
		print_message("%s\n", cases[i].path);
		assert_int_equal(
		    file_mkdirs(cases[i].path, 0700, &e), cases[i].rc);
	}
	assert_int_equal(mode_of("a/b/c"), 0700);
	assert_int_equal(file_mkdirs("s/", 0700, &e), 0);
	assert_int_equal(mode_of("s"), 0700);
	assert_int_equal(file_sync_dir("a/b", &e), 0);
	assert_int_equal(file_sync_dir("none", &e), -1);
	assert_int_equal(file_sync_dir("key", &e), -1);
}

static void
paths_have_one_slash(void **state)
{
	static const struct {
		const char *dir, *name, *want;
	} cases[] = {
		{ "a", "b", "a/b" },
		{ "a/", "b", "a/b" },
		{ "/", "b", "/b" },
		{ "", "b", "b" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(char) got = path_join(cases[i].dir, cases[i].name);

		assert_string_equal(got, cases[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_cannot_be_read_is_told),
		cmocka_unit_test(files_that_tell_no_size_are_read),
		cmocka_unit_test(failure_keeps_the_old_file),
		cmocka_unit_test(a_copy_is_the_same_and_replaces_nothing),
		cmocka_unit_test(a_stale_link_is_not_followed),
		cmocka_unit_test(folders_are_made_with_their_parents),
		cmocka_unit_test(paths_have_one_slash),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
