/* Which calls a sandbox leaves, and what it says of itself. */
#include "sandbox_lab.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timex.h>

/* ---- acts: 0 or an errno ----------------------------------------------- */

static int
act_fork(const char *unused)
{
	pid_t pid = fork();

	(void)unused;
	if (pid == 0)
		_exit(0);
	return result(pid);
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

/* ---- calls ------------------------------------------------------------- */

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_do_what_the_table_says),
		cmocka_unit_test(the_clock_cannot_be_set),
		cmocka_unit_test(it_is_told_in_one_line),
		cmocka_unit_test(open_files_are_raised_as_far_as_they_go),
		cmocka_unit_test(memory_is_not_dumped),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
