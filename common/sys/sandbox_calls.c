#include "common/sys/sandbox_int.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define CALL(name)	SCMP_SYS(name)
#define BITS(arg, m, v) SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, m, v)
#define IS(arg, v)	BITS(arg, UINT32_MAX, v)
#define STREAM		BITS(1, 0xf, SOCK_STREAM) /* beside flags */
#define DGRAM		BITS(1, 0xf, SOCK_DGRAM)

/* ---- tables ------------------------------------------------------------ */

/* Each list is what the suites were seen to use, and what the same library
 * functions use on other kernels and versions. */
static const int all_calls[] = {
	/* what is open */
	CALL(read),
	CALL(readv),
	CALL(write),
	CALL(writev),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(sendto),
	CALL(sendmsg),
	CALL(close),
	CALL(fstat),
	CALL(lseek),
	CALL(pread64),
	CALL(poll),
	CALL(ppoll),
	/* memory, locks */
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(futex),
	CALL(futex_time64),
	CALL(sched_yield),
	CALL(membarrier),
	/* signals and the end */
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sigaltstack),
	CALL(restart_syscall),
	CALL(exit),
	CALL(exit_group),
	/* time and chance; who could set the clock has no capability for it */
	CALL(clock_gettime),
	CALL(clock_gettime64),
	CALL(clock_getres),
	CALL(gettimeofday),
	CALL(time),
	CALL(nanosleep),
	CALL(clock_nanosleep),
	CALL(adjtimex),
	CALL(clock_adjtime),
	CALL(getrandom),
	/* who we are: OpenSSL and libevent ask before they read environments
	 * or reuse a seed */
	CALL(getpid),
	CALL(gettid),
	CALL(getppid),
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(uname),
	CALL(sysinfo),
};

static const int serve_calls[] = {
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_pwait2),
	CALL(select),
	CALL(pselect6),
	CALL(eventfd2),
	CALL(pipe2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(fcntl),
	CALL(accept),
	CALL(accept4),
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(shutdown),
	CALL(sendmmsg),
	CALL(recvmmsg),
	CALL(wait4),
	CALL(waitid),
	CALL(dup),
};

static const int thread_calls[] = {
	CALL(set_robust_list),
	CALL(get_robust_list),
	CALL(rseq),
	CALL(set_tid_address),
	CALL(sched_getaffinity),
	CALL(sched_setaffinity),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(getcpu),
};

static const int store_calls[] = {
	CALL(pwrite64),
	CALL(preadv),
	CALL(pwritev),
	CALL(fsync),
	CALL(fdatasync),
	CALL(msync),
	CALL(sync_file_range),
	CALL(flock),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(fadvise64),
	CALL(mincore),
	CALL(fstatfs),
};

static const int file_calls[] = {
	CALL(open),
	CALL(openat),
	CALL(newfstatat),
	CALL(stat),
	CALL(lstat),
	CALL(statx),
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(readlink),
	CALL(readlinkat),
	CALL(getdents64),
	CALL(unlink),
	CALL(unlinkat),
	CALL(rename),
	CALL(renameat),
	CALL(renameat2),
	CALL(getcwd),
	CALL(fchmod),
};

static const int dial_calls[] = {
	CALL(connect),
	CALL(bind), /* to no port: netlink; Landlock sees to it */
};

/* Ends the process, whoever asks. */
static const int fatal_calls[] = {
	CALL(execve),
	CALL(execveat),
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(pidfd_getfd),
	CALL(perf_event_open),
	CALL(bpf),
	CALL(io_uring_setup),
	CALL(userfaultfd),
	CALL(mount),
	CALL(umount2),
	CALL(pivot_root),
	CALL(chroot),
	CALL(move_mount),
	CALL(open_tree),
	CALL(fsopen),
	CALL(fsconfig),
	CALL(fsmount),
	CALL(fspick),
	CALL(mount_setattr),
	CALL(unshare),
	CALL(setns),
	CALL(open_by_handle_at),
	CALL(kexec_load),
	CALL(kexec_file_load),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(reboot),
	CALL(swapon),
	CALL(swapoff),
	CALL(iopl),
	CALL(ioperm),
	CALL(add_key),
	CALL(request_key),
	CALL(keyctl),
};

static const struct {
	unsigned may; /* 0: everybody */
	const int *v;
	size_t n;
} lists[] = {
	{ 0, all_calls, NELEMS(all_calls) },
	{ SANDBOX_SERVE, serve_calls, NELEMS(serve_calls) },
	{ SANDBOX_THREADS, thread_calls, NELEMS(thread_calls) },
	{ SANDBOX_STORE, store_calls, NELEMS(store_calls) },
	{ SANDBOX_FILES | SANDBOX_RESOLVE, file_calls, NELEMS(file_calls) },
	{ SANDBOX_DIAL, dial_calls, NELEMS(dial_calls) },
};

/* Allowed with these arguments alone. */
static const struct {
	unsigned may;
	int call;
	unsigned n;
	struct scmp_arg_cmp cmp[3];
} partly[] = {
	/* Nobody makes code; only modules of the resolver are loaded. */
	{ 0, CALL(mmap), 1, { BITS(2, PROT_EXEC, 0) } },
	{ SANDBOX_RESOLVE, CALL(mmap), 1, { BITS(2, PROT_EXEC, PROT_EXEC) } },
	{ 0, CALL(mprotect), 1, { BITS(2, PROT_EXEC, 0) } },
	/* Limits are asked for, not set. */
	{ 0, CALL(prlimit64), 1, { BITS(2, UINT64_MAX, 0) } },
	{ 0, CALL(ioctl), 1, { IS(1, TCGETS) } },
	{ SANDBOX_SERVE, CALL(ioctl), 1, { IS(1, FIONREAD) } },
	{ SANDBOX_SERVE, CALL(ioctl), 1, { IS(1, FIONBIO) } },
	{ SANDBOX_THREADS, CALL(prctl), 1, { IS(0, PR_SET_NAME) } },
	{ SANDBOX_THREADS, CALL(clone), 1,
	    { BITS(0, CLONE_THREAD, CLONE_THREAD) } },
	/* systemd is told that we are ready; libevent wakes itself. */
	{ SANDBOX_SERVE, CALL(socketpair), 1, { IS(0, AF_UNIX) } },
	{ SANDBOX_SERVE, CALL(socket), 2, { IS(0, AF_UNIX), STREAM } },
	{ SANDBOX_SERVE, CALL(socket), 2, { IS(0, AF_UNIX), DGRAM } },
	{ SANDBOX_DIAL, CALL(socket), 2, { IS(0, AF_INET), STREAM } },
	{ SANDBOX_DIAL, CALL(socket), 2, { IS(0, AF_INET6), STREAM } },
	{ SANDBOX_RESOLVE, CALL(socket), 2, { IS(0, AF_INET), DGRAM } },
	{ SANDBOX_RESOLVE, CALL(socket), 2, { IS(0, AF_INET6), DGRAM } },
	/* Which addresses this machine has: NETLINK_ROUTE. */
	{ SANDBOX_RESOLVE, CALL(socket), 2, { IS(0, AF_NETLINK), IS(2, 0) } },
};

/* ---- what of it is this daemon's --------------------------------------- */

static bool
is_given(const struct sandbox *s, unsigned may)
{
	return may == 0 || (s->may & may) != 0;
}

static bool
family_is_known(const struct sandbox *s, unsigned family)
{
	return family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
	    (family == AF_NETLINK && is_given(s, SANDBOX_RESOLVE));
}

/* Several rows of one call are one call. */
static bool
is_first(const struct sandbox *s, size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (partly[i].call == partly[row].call &&
		    is_given(s, partly[i].may))
			return false;
	return true;
}

unsigned
sandbox_count_calls(const struct sandbox *s)
{
	unsigned n = 1; /* tgkill */

	for (size_t i = 0; i < NELEMS(lists); i++)
		if (is_given(s, lists[i].may))
			n += (unsigned)lists[i].n;
	for (size_t i = 0; i < NELEMS(partly); i++)
		n += is_given(s, partly[i].may) && is_first(s, i);
	return n;
}

/* ---- rules ------------------------------------------------------------- */

/* All return 0 or what libseccomp does: a negative errno. */

static int
add_list(scmp_filter_ctx f, uint32_t action, const int *v, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = seccomp_rule_add_array(f, action, v[i], 0, NULL);
	return rc;
}

static int
add_allowed(scmp_filter_ctx f, const struct sandbox *s)
{
	struct scmp_arg_cmp self = IS(0, (uint32_t)getpid());
	int rc = 0;

	for (size_t i = 0; i < NELEMS(lists) && rc == 0; i++)
		if (is_given(s, lists[i].may))
			rc =
			    add_list(f, SCMP_ACT_ALLOW, lists[i].v, lists[i].n);
	for (size_t i = 0; i < NELEMS(partly) && rc == 0; i++)
		if (is_given(s, partly[i].may))
			rc = seccomp_rule_add_array(f, SCMP_ACT_ALLOW,
			    partly[i].call, partly[i].n, partly[i].cmp);
	/* abort() is a signal to a thread of our own. */
	return rc != 0
	    ? rc
	    : seccomp_rule_add_array(f, SCMP_ACT_ALLOW, CALL(tgkill), 1, &self);
}

/* A filter cannot look at what clone3 points to; glibc then takes clone. */
static int
add_clone3(scmp_filter_ctx f)
{
	return seccomp_rule_add_array(
	    f, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0, NULL);
}

static int
add_fatal(scmp_filter_ctx f, const struct sandbox *s)
{
	struct scmp_arg_cmp odd = SCMP_CMP64(0, SCMP_CMP_GE, AF_MAX);
	int rc = add_list(
	    f, SCMP_ACT_KILL_PROCESS, fatal_calls, NELEMS(fatal_calls));

	if (rc == 0)
		rc = seccomp_rule_add_array(
		    f, SCMP_ACT_KILL_PROCESS, CALL(socket), 1, &odd);
	for (unsigned i = 0; i < AF_MAX && rc == 0; i++) {
		struct scmp_arg_cmp this = SCMP_CMP64(0, SCMP_CMP_EQ, i);

		if (!family_is_known(s, i))
			rc = seccomp_rule_add_array(
			    f, SCMP_ACT_KILL_PROCESS, CALL(socket), 1, &this);
	}
	return rc;
}

static int
set_attributes(scmp_filter_ctx f)
{
	int rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

	if (rc == 0)
		rc = seccomp_attr_set(
		    f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* A tree: a call costs a dozen comparisons and not two hundred. */
	return rc != 0 ? rc : seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
}

int
sandbox_filter(const struct sandbox *s, struct err *e)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = -ENOMEM;

	if (f != NULL && (rc = set_attributes(f)) == 0 &&
	    (rc = add_allowed(f, s)) == 0 && (rc = add_clone3(f)) == 0 &&
	    (rc = add_fatal(f, s)) == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	errno = -rc;
	return rc == 0 ? 0 : err_errno(e, ERR_LOCAL, "sandbox: seccomp");
}
