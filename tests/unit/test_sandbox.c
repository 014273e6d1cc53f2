/* What a process may still do in a sandbox: each case in a child of its own,
 * which ends with 0, the errno it met, or the signal that ended it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>

#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/sys/sandbox_int.h"
#include "forwarder/forwarder.h"
#include "masa-client/masa_conf.h"
#include "ra/ca.h"
#include "ra/ra_conf.h"
#include "registrar/reg_conf.h"

#define NO_LANDLOCK (SANDBOX_SANITIZED || sandbox_landlock() == 0)

static char dir[] = "/tmp/waybill-sandbox-XXXXXX";

/* "dir/name", for good. */
static char *
in_dir(const char *name)
{
	static char paths[64][64];
	static size_t n;
	char *p = paths[n++ % NELEMS(paths)];

	snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
	return p;
}

static void
put_file(const char *path, const char *text)
{
	struct err e = ERR_INIT;

	if (file_write(path, 0600, bytes_of(text, strlen(text)), &e) == -1)
		fail_msg("%s", e.msg);
}

/* ---- acts: 0 or an errno ----------------------------------------------- */

static int
result(long rc)
{
	return rc == -1 ? errno : 0;
}

static int
act_read(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	return result(fd);
}

static int
act_make(const char *path)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return result(fd);
}

static int
act_remove(const char *path)
{
	return result(unlink(path));
}

static int
act_truncate(const char *path)
{
	AUTO_FD fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	return result(fd);
}

static int
act_list(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return result(fd);
}

static int
act_execve(const char *path)
{
	char *argv[] = { (char *)(uintptr_t) "true", NULL };

	return result(execve(path, argv, NULL));
}

static int
act_fork(const char *unused)
{
	pid_t pid = fork();

	(void)unused;
	if (pid == 0)
		_exit(0);
	return result(pid);
}

static void *
no_work(void *arg)
{
	return arg;
}

static int
act_thread(const char *unused)
{
	pthread_t t;
	int rc = pthread_create(&t, NULL, no_work, NULL);

	(void)unused;
	return rc != 0 ? rc : pthread_join(t, NULL);
}

static int
act_ptrace(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_ptrace, 0, 0, 0, 0));
}

static int
act_process_vm(const char *unused)
{
	(void)unused;
	return result(
	    syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
}

static int
act_keyctl(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int
act_bpf(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_bpf, 0, NULL, 0));
}

static int
act_mount(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
}

static int
act_module(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_finit_module, -1, NULL, 0));
}

static int
act_uring(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int
act_kill(const char *unused)
{
	(void)unused;
	return result(kill(getppid(), 0));
}

static int
act_setuid(const char *unused)
{
	(void)unused;
	return result(syscall(SYS_setuid, getuid()));
}

static int
act_code(const char *unused)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)unused;
	if (p == MAP_FAILED)
		return errno;
	return result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int
act_map_code(const char *unused)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)unused;
	return p == MAP_FAILED ? errno : 0;
}

static int
act_ask_clock(const char *unused)
{
	struct timex t = { .modes = 0 };

	(void)unused;
	return result(adjtimex(&t));
}

/* To what it is already: harmless where it works. */
static int
act_set_clock(const char *unused)
{
	struct timex t = { .modes = 0 };

	(void)unused;
	if (adjtimex(&t) == -1)
		return errno;
	t.modes = ADJ_FREQUENCY;
	return result(adjtimex(&t));
}

static int
act_set_limit(const char *unused)
{
	struct rlimit r;

	(void)unused;
	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		return 0; /* asking is fine, so this fails the test */
	return result(setrlimit(RLIMIT_NOFILE, &r));
}

static int
make_socket(int family, int type)
{
	AUTO_FD fd = socket(family, type | SOCK_CLOEXEC, 0);

	return result(fd);
}

static int
act_unix(const char *unused)
{
	(void)unused;
	return make_socket(AF_UNIX, SOCK_STREAM);
}

static int
act_tcp(const char *unused)
{
	(void)unused;
	return make_socket(AF_INET6, SOCK_STREAM);
}

static int
act_udp(const char *unused)
{
	(void)unused;
	return make_socket(AF_INET, SOCK_DGRAM);
}

static int
act_raw(const char *unused)
{
	(void)unused;
	return make_socket(AF_INET, SOCK_RAW);
}

static int
act_netlink(const char *unused)
{
	(void)unused;
	return make_socket(AF_NETLINK, SOCK_RAW);
}

static int
act_packet(const char *unused)
{
	(void)unused;
	return make_socket(AF_PACKET, SOCK_RAW);
}

static int
act_vsock(const char *unused)
{
	(void)unused;
	return make_socket(AF_VSOCK, SOCK_STREAM);
}

static int
act_bind(const char *unused)
{
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET };

	(void)unused;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1)
		return errno;
	return result(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

/* A socket that was open before connects to nobody. */
static int socket_before;

static int
act_connect(const char *unused)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9) };

	(void)unused;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return result(connect(socket_before, (struct sockaddr *)&a, sizeof(a)));
}

static int
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

static int
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
static int
ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define NOT_ENTERED 200

static int
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

static const struct {
	const char *what;
	unsigned may;
	int (*fn)(const char *);
	int want;
} calls[] = {
	{ "another program", ALL, act_execve, DEADLY },
	{ "another program, nothing allowed", 0, act_execve, DEADLY },
	{ "another process", ALL, act_fork, EPERM },
	{ "a thread", SANDBOX_THREADS, act_thread, 0 },
	{ "a thread, not allowed", ALL & ~(unsigned)SANDBOX_THREADS, act_thread,
	    EPERM },
	{ "ptrace", ALL, act_ptrace, DEADLY },
	{ "another's memory", ALL, act_process_vm, DEADLY },
	{ "keyrings", ALL, act_keyctl, DEADLY },
	{ "bpf", ALL, act_bpf, DEADLY },
	{ "mount", ALL, act_mount, DEADLY },
	{ "a kernel module", ALL, act_module, DEADLY },
	{ "io_uring", ALL, act_uring, DEADLY },
	{ "a signal to another", ALL, act_kill, EPERM },
	{ "another user", ALL, act_setuid, EPERM },
	{ "code of data", ALL, act_code, EPERM },
	{ "new code", ALL & ~(unsigned)SANDBOX_RESOLVE, act_map_code, EPERM },
	{ "new code, a module", ALL, act_map_code, 0 },
	{ "the clock is asked", 0, act_ask_clock, 0 },
	{ "a limit is set", ALL, act_set_limit, EPERM },
	{ "a Unix socket", SANDBOX_SERVE, act_unix, 0 },
	{ "a Unix socket, nothing allowed", 0, act_unix, EPERM },
	{ "TCP", SANDBOX_DIAL, act_tcp, 0 },
	{ "TCP, who only serves", SANDBOX_SERVE, act_tcp, EPERM },
	{ "UDP", SANDBOX_RESOLVE, act_udp, 0 },
	{ "UDP, who only dials", SANDBOX_DIAL, act_udp, EPERM },
	{ "raw IP", ALL, act_raw, EPERM },
	{ "netlink", SANDBOX_RESOLVE, act_netlink, 0 },
	{ "netlink, not allowed", ALL & ~(unsigned)SANDBOX_RESOLVE, act_netlink,
	    DEADLY },
	{ "packets", ALL, act_packet, DEADLY },
	{ "the hypervisor", ALL, act_vsock, DEADLY },
	{ "packets, nothing allowed", 0, act_packet, DEADLY },
	{ "computing", 0, act_compute, 0 },
	{ "a file, nothing allowed", 0, act_read, EPERM },
	{ "a name", ALL, act_resolve, 0 },
};

static void
calls_do_what_the_table_says(void **state)
{
	(void)state;
	if (SANDBOX_SANITIZED)
		skip();
	for (size_t i = 0; i < NELEMS(calls); i++) {
		struct sandbox s = { .may = calls[i].may };
		int got =
		    confined(&s, (struct act){ calls[i].fn, "/bin/true" });

		if (got != calls[i].want)
			fail_msg("%s: %d, wanted %d", calls[i].what, got,
			    calls[i].want);
	}
}

/* Nobody but the machine's owner may do so at all. */
static void
the_clock_cannot_be_set(void **state)
{
	struct sandbox s = { .may = ALL };

	(void)state;
	if (SANDBOX_SANITIZED)
		skip();
	assert_int_equal(
	    confined(&s, (struct act){ act_set_clock, NULL }), EPERM);
}

/* ---- paths ------------------------------------------------------------- */

static void
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

static const struct {
	const char *what;
	int (*fn)(const char *);
	const char *name; /* with '/' in front: as it stands */
	int want;
} paths[] = {
	{ "read outside", act_read, "/etc/passwd", EACCES },
	{ "read a key", act_read, "key", EACCES },
	{ "write over a key", act_truncate, "key", EACCES },
	{ "write outside", act_make, "new", EACCES },
	{ "list outside", act_list, "/", EACCES },
	{ "read by way of inside", act_read, "store/../key", EACCES },
	{ "read inside", act_read, "store/data", 0 },
	{ "write inside", act_make, "store/new", 0 },
	{ "truncate inside", act_truncate, "store/data", 0 },
	{ "remove inside", act_remove, "store/new", 0 },
	{ "read what is read only", act_read, "sites/a.pem", 0 },
	{ "list what is read only", act_list, "sites", 0 },
	{ "write what is read only", act_truncate, "sites/a.pem", EACCES },
	{ "make where is read only", act_make, "sites/b.pem", EACCES },
	{ "remove where is read only", act_remove, "sites/a.pem", EACCES },
	{ "read beside a socket", act_read, "run/sock", EACCES },
	{ "make beside a socket", act_make, "run/other", EACCES },
	{ "remove a socket", act_remove, "run/sock", 0 },
	{ "open a port", act_bind, "", EACCES },
};

static void
allow_some(struct sandbox *s)
{
	*s = (struct sandbox){ .may = SANDBOX_FILES | SANDBOX_DIAL };
	sandbox_allow(s, SANDBOX_WRITE, in_dir("store"));
	sandbox_allow(s, SANDBOX_READ, in_dir("sites"));
	sandbox_allow(s, SANDBOX_READ, in_dir("is-not-there"));
	sandbox_allow(s, SANDBOX_READ, NULL);
	sandbox_allow(s, SANDBOX_REMOVE, in_dir("run/sock"));
}

static void
paths_open_where_the_rules_say(void **state)
{
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK || sandbox_landlock() < 4)
		skip();
	allow_some(&s);
	for (size_t i = 0; i < NELEMS(paths); i++) {
		const char *path = paths[i].name[0] == '/'
		    ? paths[i].name
		    : in_dir(paths[i].name);
		int got = confined(&s, (struct act){ paths[i].fn, path });

		if (got != paths[i].want)
			fail_msg("%s: %d, wanted %d", paths[i].what, got,
			    paths[i].want);
	}
}

static void
who_does_not_dial_connects_nowhere(void **state)
{
	struct sandbox serves = { .may = ALL & ~(unsigned)SANDBOX_DIAL };
	struct sandbox dials = { .may = ALL };

	(void)state;
	if (NO_LANDLOCK || sandbox_landlock() < 4)
		skip();
	assert_int_equal(
	    confined(&serves, (struct act){ act_connect, NULL }), EPERM);
	assert_int_equal(
	    confined(&dials, (struct act){ act_connect, NULL }), ECONNREFUSED);
}

/* Its parent replaces the file once it is confined. */
static int
after_replacement(enum sandbox_access access)
{
	struct sandbox s = { .may = SANDBOX_FILES };
	const char *path = in_dir("other/deny");
	struct sandbox_report r;
	struct err e = ERR_INIT;
	int p[2], q[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(p, O_CLOEXEC) + pipe2(q, O_CLOEXEC), 0);
	sandbox_allow(&s, access, path);
	if ((pid = fork()) == 0) {
		alarm(10);
		if (sandbox_enter(&s, &r, &e) == -1 || act_read(path) != 0 ||
		    write(p[1], "", 1) != 1 || read(q[0], &c, 1) != 1)
			_exit(NOT_ENTERED);
		_exit(act_read(path));
	}
	assert_int_equal(read(p[0], &c, 1), 1);
	put_file(path, "another");
	assert_int_equal(write(q[1], "", 1), 1);
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
	return ended(pid);
}

static void
a_file_that_is_replaced_needs_its_folder(void **state)
{
	(void)state;
	if (NO_LANDLOCK)
		skip();
	assert_int_equal(after_replacement(SANDBOX_READ), EACCES);
	assert_int_equal(after_replacement(SANDBOX_REREAD), 0);
}

/* ---- threads ----------------------------------------------------------- */

/* Runs before the sandbox, acts in it. */
struct worker {
	struct act act;
	int signal; /* blocked; -1: all but SIGRTMIN, 0: none */
	int go[2], done;
	pthread_t thread;
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	sigset_t set;
	char c;

	sigemptyset(&set);
	if (w->signal == -1) {
		sigfillset(&set);
		sigdelset(&set, SIGRTMIN);
	} else if (w->signal != 0) {
		sigaddset(&set, w->signal);
	}
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	if (write(w->go[1], "", 1) != 1)
		return NULL;
	while (read(w->done, &c, 1) == -1 && errno == EINTR)
		;
	return (void *)(intptr_t)w->act.fn(w->act.path);
}

static int
start_worker(struct worker *w)
{
	int p[2];
	char c;

	if (pipe2(w->go, O_CLOEXEC) == -1 || pipe2(p, O_CLOEXEC) == -1)
		return -1;
	w->done = p[0];
	if (pthread_create(&w->thread, NULL, work, w) != 0 ||
	    read(w->go[0], &c, 1) != 1)
		return -1;
	return p[1];
}

/* What a thread that ran before met, or NOT_ENTERED. */
static int
confined_thread(int signo, struct act a)
{
	struct worker w = { .act = a, .signal = signo };
	struct sandbox s = { .may = ALL };
	struct sandbox_report r;
	struct err e = ERR_INIT;
	void *rc;
	int fd;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid > 0)
		return ended(pid);
	alarm(10);
	if ((fd = start_worker(&w)) == -1)
		_exit(NOT_ENTERED + 1);
	if (sandbox_enter(&s, &r, &e) == -1)
		_exit(
		    strstr(e.msg, "blocks signal") != NULL ? NOT_ENTERED : 255);
	if (write(fd, "", 1) != 1 || pthread_join(w.thread, &rc) != 0)
		_exit(NOT_ENTERED + 2);
	_exit((int)(intptr_t)rc);
}

static void
threads_that_run_already_are_confined(void **state)
{
	const struct act passwd = { act_read, "/etc/passwd" };
	const struct act program = { act_execve, "/bin/true" };

	(void)state;
	if (!NO_LANDLOCK) {
		assert_int_equal(confined_thread(0, passwd), EACCES);
		assert_int_equal(confined_thread(-1, passwd), EACCES);
	}
	if (!SANDBOX_SANITIZED)
		assert_int_equal(confined_thread(0, program), DEADLY);
}

static void
a_thread_that_cannot_be_reached_ends_it(void **state)
{
	const struct act passwd = { act_read, "/etc/passwd" };

	(void)state;
	if (SANDBOX_SANITIZED)
		skip();
	assert_int_equal(confined_thread(SIGRTMIN, passwd), NOT_ENTERED);
}

/* ---- the daemons' own rows --------------------------------------------- */

static void
expect(const struct sandbox *s, int (*fn)(const char *), const char *name,
    int want)
{
	const char *path = name[0] == '/' ? name : in_dir(name);
	int got = confined(s, (struct act){ fn, path });

	if (got != want)
		fail_msg("%s: %d, wanted %d", path, got, want);
}

static void
a_registrar_opens_its_outbox_alone(void **state)
{
	struct reg_conf c = { .limits.connections = 10 };
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK)
		skip();
	c.key = in_dir("key");
	c.store.directory = in_dir("store");
	c.control.socket = in_dir("run/control");
	reg_conf_sandbox(&c, &s);
	expect(&s, act_read, "key", EACCES);
	expect(&s, act_read, "/etc/passwd", EACCES);
	expect(&s, act_make, "other/new", EACCES);
	expect(&s, act_read, "store/data", 0);
	expect(&s, act_truncate, "store/data", 0);
	expect(&s, act_execve, "/bin/true", DEADLY);
	expect(&s, act_tcp, "", EPERM);
	expect(&s, act_netlink, "", DEADLY);
	expect(&s, act_map_code, "", EPERM);
}

static void
service_conf_fill(struct service_conf *c)
{
	static char *listen[] = { NULL };

	listen[0] = in_dir("run/link");
	c->key = c->link.key = c->store.seal = in_dir("key");
	c->sites = in_dir("sites");
	c->store.directory = in_dir("store");
	c->control.socket = in_dir("run/control");
	c->listen.v = listen;
	c->listen.n = 1;
}

static void
an_ra_reads_sites_and_its_deny_list(void **state)
{
	struct ra_conf c = { .deny_list = in_dir("other/deny") };
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK)
		skip();
	service_conf_fill(&c.service);
	c.ca.key = in_dir("key");
	ra_conf_sandbox(&c, &s);
	expect(&s, act_read, "sites/a.pem", 0);
	expect(&s, act_truncate, "sites/a.pem", EACCES);
	expect(&s, act_read, "other/deny", 0);
	expect(&s, act_read, "key", EACCES);
	/* A folder with keys is not opened for a deny list's sake. */
	put_file(in_dir("deny"), "here");
	c.deny_list = in_dir("deny");
	ra_conf_sandbox(&c, &s);
	expect(&s, act_read, "deny", 0);
	expect(&s, act_read, "key", EACCES);
}

static void
a_masa_client_reads_sites_and_resolves(void **state)
{
	struct masa_vendor v = { .tls_anchor = in_dir("other/deny") };
	struct masa_conf c = { .vendors = { .v = &v, .n = 1 } };
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK)
		skip();
	service_conf_fill(&c.service);
	masa_conf_sandbox(&c, &s);
	expect(&s, act_read, "sites/a.pem", 0);
	expect(&s, act_read, "key", EACCES);
	expect(&s, act_read, "/etc/passwd", EACCES);
	expect(&s, act_list, "/etc/ssl/certs", EACCES);
	expect(&s, act_resolve, "", 0);
	v.tls_anchor = NULL;
	masa_conf_sandbox(&c, &s);
	expect(&s, act_list, "/etc/ssl/certs", 0);
	expect(&s, act_read, "/etc/passwd", EACCES);
}

static void
a_forwarder_and_a_ca_open_nothing(void **state)
{
	(void)state;
	if (SANDBOX_SANITIZED)
		skip();
	if (!NO_LANDLOCK) {
		expect(&fwd_sandbox, act_read, "key", EACCES);
		expect(&fwd_sandbox, act_make, "store/new", EACCES);
		expect(&fwd_sandbox, act_resolve, "", 0);
	}
	expect(&ca_sandbox, act_read, "key", EPERM);
	expect(&ca_sandbox, act_unix, "", EPERM);
	expect(&ca_sandbox, act_connect, "", EPERM);
	expect(&ca_sandbox, act_thread, "", EPERM);
	expect(&ca_sandbox, act_compute, "", 0);
}

/* ---- the rest ---------------------------------------------------------- */

static void
it_is_told_in_one_line(void **state)
{
	struct buf got AUTO_BUF = { 0 }, want AUTO_BUF = { 0 };
	struct sandbox s;

	(void)state;
	if (NO_LANDLOCK)
		skip();
	allow_some(&s);
	sandbox_allow(&s, SANDBOX_REREAD, "/x/deny");
	sandbox_describe(&s, &got);
	buf_printf(&want,
	    "sandbox: landlock ABI %d, seccomp %u calls, read: %s/sites "
	    "%s/is-not-there, read beside: /x/deny, write: %s/store, "
	    "remove: %s/run/sock",
	    sandbox_landlock(), sandbox_count_calls(&s), dir, dir, dir, dir);
	assert_string_equal(buf_cstr(&got), buf_cstr(&want));
}

/* What is wished of open files, and what there is of it. */
static int
act_few_files(const char *want)
{
	struct sandbox s = { .may = 0, .files = (uint64_t)atoi(want) };
	struct rlimit r = { 64, 256 };
	struct sandbox_report report;
	struct err e = ERR_INIT;

	if (setrlimit(RLIMIT_NOFILE, &r) == -1 ||
	    sandbox_enter(&s, &report, &e) == -1 ||
	    getrlimit(RLIMIT_NOFILE, &r) == -1)
		return 255;
	return (int)(report.files != 0 ? report.files - 1 : r.rlim_cur / 2);
}

static int
files_of(const char *want)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(act_few_files(want));
	return ended(pid);
}

static void
open_files_are_raised_as_far_as_they_go(void **state)
{
	(void)state;
	assert_int_equal(files_of("0"), 64 / 2);
	assert_int_equal(files_of("200"), 200 / 2);
	assert_int_equal(files_of("1000"), 256 - 1);
}

static int
hidden_core(void)
{
	struct rlimit r;

	sandbox_hide_memory();
	if (getrlimit(RLIMIT_CORE, &r) == -1)
		return 255;
	return r.rlim_cur == 0 && r.rlim_max == 0 ? 0 : 1;
}

static void
memory_is_not_dumped(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(hidden_core());
	assert_int_equal(ended(pid), 0);
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	lay_out();
	return 0;
}

static int
teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_do_what_the_table_says),
		cmocka_unit_test(the_clock_cannot_be_set),
		cmocka_unit_test(paths_open_where_the_rules_say),
		cmocka_unit_test(who_does_not_dial_connects_nowhere),
		cmocka_unit_test(a_file_that_is_replaced_needs_its_folder),
		cmocka_unit_test(threads_that_run_already_are_confined),
		cmocka_unit_test(a_thread_that_cannot_be_reached_ends_it),
		cmocka_unit_test(a_registrar_opens_its_outbox_alone),
		cmocka_unit_test(an_ra_reads_sites_and_its_deny_list),
		cmocka_unit_test(a_masa_client_reads_sites_and_resolves),
		cmocka_unit_test(a_forwarder_and_a_ca_open_nothing),
		cmocka_unit_test(it_is_told_in_one_line),
		cmocka_unit_test(open_files_are_raised_as_far_as_they_go),
		cmocka_unit_test(memory_is_not_dumped),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
