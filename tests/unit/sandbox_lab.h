/* What a process may still do in a sandbox: each case in a child of its own,
 * which ends with 0, the errno it met, or the signal that ended it. */
#ifndef WAYBILL_TESTS_SANDBOX_LAB_H
#define WAYBILL_TESTS_SANDBOX_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/base/file.h"
#include "common/sys/sandbox_int.h"
#include "ra/ra_conf.h"

#define NO_LANDLOCK (SANDBOX_SANITIZED || sandbox_landlock() == 0)

static char dir[] = "/tmp/waybill-sandbox-XXXXXX";

/* "dir/name", for good. */
static inline char *
in_dir(const char *name)
{
	static char paths[64][64];
	static size_t n;
	char *p = paths[n++ % NELEMS(paths)];

	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static inline void
put_file(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	if (file_write(path, 0600, bytes_of(text, strlen(text)), &e) == -1)
		fail_msg("%s", e.msg);
}

/* ---- acts: 0 or an errno ----------------------------------------------- */

static inline int
result(long rc)
{
	return rc == -1 ? errno : 0;
}

static inline int
act_read(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	return result(fd);
}

static inline int
act_execve(const char *path)
{
	char *argv[] = { (char *)(uintptr_t) "true", NULL };

	return result(execve(path, argv, NULL));
}

static inline void *
no_work(void *arg)
{
	return arg;
}

static inline int
act_thread(const char *unused)
{
	pthread_t t;
	int rc = pthread_create(&t, NULL, no_work, NULL);

	(void)unused;
	return rc != 0 ? rc : pthread_join(t, NULL);
}

static inline int
act_map_code(const char *unused)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)unused;
	return p == MAP_FAILED ? errno : 0;
}

static inline int
make_socket(int family, int type)
{
	AUTO_FD fd = socket(family, type | SOCK_CLOEXEC, 0);

	return result(fd);
}

static inline int
act_unix(const char *unused)
{
	(void)unused;
	return make_socket(AF_UNIX, SOCK_STREAM);
}

static inline int
act_tcp(const char *unused)
{
	(void)unused;
	return make_socket(AF_INET6, SOCK_STREAM);
}

static inline int
act_netlink(const char *unused)
{
	(void)unused;
	return make_socket(AF_NETLINK, SOCK_RAW);
}

/* A socket that was open before connects to nobody. */
static int socket_before;

static inline int
act_resolve(const char *unused)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG };
	struct addrinfo *ai;

	(void)unused;
	if (getaddrinfo("localhost", "443", &hints, &ai) != 0)
		return errno != 0 ? errno : EIO;
	freeaddrinfo(ai);
	return 0;
}

static inline int
act_compute(const char *unused)
{
	static uint8_t secret[32];
	struct buf b AUTO_BUF = { 0 };
	uint8_t hkdf[32];

	(void)unused;
	for (int i = 0; i < 100000; i++)
		buf_add(&b, secret, sizeof(secret));
	digest_hkdf(buf_bytes(&b), "x", hkdf, sizeof(hkdf));
	return 0;
}

/* ---- a child that enters and acts -------------------------------------- */

struct act {
	int (*fn)(const char *path);
	const char *path;
};

/* An exit code, or minus the signal. */
static inline int
ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define NOT_ENTERED 200

static inline int
confined(const struct sandbox *s, struct act a)
{
	struct sandbox_report r;
	struct err e = ERR_INIT;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid > 0)
		return ended(pid);
	alarm(10);
	socket_before = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sandbox_enter(s, &r, &e) == -1)
		_exit(NOT_ENTERED);
	_exit(a.fn(a.path));
}

/* ---- calls ------------------------------------------------------------- */

#define ALL \
	(SANDBOX_SERVE | SANDBOX_THREADS | SANDBOX_STORE | SANDBOX_FILES | \
	    SANDBOX_DIAL | SANDBOX_RESOLVE)
#define DEADLY (-SIGSYS)

/* ---- paths ------------------------------------------------------------- */

static inline void
lay_out(void)
{
	static const char *const folders[] = { "store", "sites", "run",
		"other" };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < NELEMS(folders); i++)
		if (file_mkdirs(in_dir(folders[i]), 0700, &e) == -1)
			fail_msg("%s", e.msg);
	put_file(in_dir("store/data"), "d");
	put_file(in_dir("sites/a.pem"), "a");
	put_file(in_dir("run/sock"), "s");
	put_file(in_dir("other/deny"), "o");
	put_file(in_dir("key"), "secret");
}

static inline void
allow_some(struct sandbox *s)
{
	*s = (struct sandbox){ .may = SANDBOX_FILES | SANDBOX_DIAL };
	sandbox_allow(s, SANDBOX_WRITE, in_dir("store"));
	sandbox_allow(s, SANDBOX_READ, in_dir("sites"));
	sandbox_allow(s, SANDBOX_READ, in_dir("is-not-there"));
	sandbox_allow(s, SANDBOX_READ, NULL);
	sandbox_allow(s, SANDBOX_REMOVE, in_dir("run/sock"));
}

/* ---- the rest ---------------------------------------------------------- */

static inline int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	lay_out();
	return 0;
}

static inline int
teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

#endif
