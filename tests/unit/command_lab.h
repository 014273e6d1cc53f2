/*
 * Commands that ask a control socket, in this process: against a registrar of
 * the test's own making (lab_answers), what they say in files.
 */
#ifndef WAYBILL_TESTS_COMMAND_LAB_H
#define WAYBILL_TESTS_COMMAND_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/str.h"
#include "common/sys/https.h"

#define BODY_MAX ((size_t)128 * 1024)
#define TEXT_MAX ((size_t)1 << 20)
#define ARGS_MAX 16

static char dir[] = "/tmp/waybill-command-XXXXXX";
static char *sock;
static struct loop *l;
static struct https *h;

/* What the registrar does, on a thread of its own; set before `setup`. */
static void (*lab_answers)(struct https_req *q, void *arg);

static inline void
answer(struct https_req *q, int status, const char *text)
{
	https_reply(q,
	    &(struct https_answer){ .status = status,
		.type = "application/json",
		.body = bytes_of(text, strlen(text)) });
}

/* ---- running a command ------------------------------------------------ */

static inline struct buf
slurp(const char *name)
{
	AUTO(char) path = path_join(dir, name);
	struct buf b = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(file_read(path, TEXT_MAX, &b, &e), 0);
	buf_cstr(&b);
	return b;
}

static inline void
put(const char *name, const char *text)
{
	AUTO(char) path = path_join(dir, name);
	struct err e = ERR_INIT;

	assert_int_equal(
	    file_write(path, 0600, bytes_of(text, strlen(text)), &e), 0);
}

static inline int
redirect(FILE *f, const char *name)
{
	AUTO(char) path = path_join(dir, name);
	int old = dup(fileno(f));
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	fflush(f);
	assert_true(old != -1 && fd != -1 && dup2(fd, fileno(f)) != -1);
	return old;
}

static inline void
restore(FILE *f, int old)
{
	fflush(f);
	assert_int_not_equal(dup2(old, fileno(f)), -1);
	close(old);
}

/* Its exit code; what it said is in "out" and "err". */
static inline int
run(int (*command)(int argc, char **argv), const char *const *args)
{
	char *argv[ARGS_MAX + 1] = { (char *)(intptr_t) "waybill",
		(char *)(intptr_t) "--socket", sock };
	int argc = 3, code, out, err;

	for (; *args != NULL && argc < ARGS_MAX; args++)
		argv[argc++] = (char *)(intptr_t)*args;
	out = redirect(stdout, "out");
	err = redirect(stderr, "err");
	code = command(argc, argv);
	restore(stdout, out);
	restore(stderr, err);
	return code;
}

#define RUN(command, ...) \
	run(command, (const char *const[]){ __VA_ARGS__, NULL })

static inline void
assert_said(const char *file, const char *text)
{
	struct buf b AUTO_BUF = slurp(file);

	if (strstr((char *)b.data, text) == NULL)
		fail_msg("'%s' is not in: %s", text, (char *)b.data);
}

/* ---- life -------------------------------------------------------------- */

static inline int
setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return -1;
	sock = path_join(dir, "control");
	if ((l = loop_new(&e)) == NULL ||
	    (h = https_open_unix(l, sock, BODY_MAX, lab_answers, NULL, &e)) ==
		NULL ||
	    loop_spawn(l, &e) == -1)
		return -1;
	return 0;
}

static inline int
teardown(void **state)
{
	static const char *const files[] = { "out", "err", "list", "voucher" };
	size_t i;

	(void)state;
	loop_join(l);
	https_close(h);
	loop_free(l);
	free(sock);
	for (i = 0; i < NELEMS(files); i++) {
		AUTO(char) path = path_join(dir, files[i]);

		unlink(path);
	}
	return rmdir(dir);
}

#endif
