#include "common/sys/sandbox_int.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

/*
 * Landlock, capabilities and no_new_privs belong to a thread, and only it can
 * give its own up.  So each is asked by a signal and does it in the handler;
 * what threads it makes later inherit it.
 */
#define WAIT_TRIES 30
#define WAIT_NS	   100000000 /* a try */

static int ask_rules;
static sem_t ask_done;
static atomic_int ask_errno;

/* Raw calls alone: in a handler nothing else may be used.  0 or the errno. */
static int
confine_self(int rules)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    (rules != -1 &&
		syscall(SYS_landlock_restrict_self, rules, 0) == -1) ||
	    syscall(SYS_capset, &h, none) == -1)
		return errno;
	return 0;
}

static void
on_asked(int signo)
{
	int saved = errno;

	(void)signo;
	atomic_store(&ask_errno, confine_self(ask_rules));
	sem_post(&ask_done);
	errno = saved;
}

/* 1: it has answered; 0: it is gone; -1: it is there and does not answer. */
static int
await_thread(pid_t tid)
{
	struct timespec until;

	for (int i = 0; i < WAIT_TRIES; i++) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += WAIT_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (sem_clockwait(&ask_done, CLOCK_MONOTONIC, &until) == 0)
			return 1;
		/* Its answer may have been its last act. */
		if (syscall(SYS_tgkill, getpid(), tid, 0) == -1)
			return sem_trywait(&ask_done) == 0;
	}
	return -1;
}

static int
ask_thread(pid_t tid, struct err *e)
{
	int rc;

	if (syscall(SYS_tgkill, getpid(), tid, SIGRTMIN) == -1)
		return errno == ESRCH
		    ? 0
		    : err_errno(e, ERR_LOCAL, "sandbox: thread %d", tid);
	if ((rc = await_thread(tid)) == 0)
		return 0;
	if (rc == -1)
		return err_set(e, ERR_LOCAL,
		    "sandbox: thread %d blocks signal %d", tid, SIGRTMIN);
	if ((errno = atomic_load(&ask_errno)) != 0)
		return err_errno(e, ERR_LOCAL, "sandbox: thread %d", tid);
	return 0;
}

static bool
is_known(const struct buf *known, pid_t tid)
{
	const pid_t *v = (const pid_t *)(const void *)known->data;

	for (size_t i = 0; i < known->len / sizeof(tid); i++)
		if (v[i] == tid)
			return true;
	return false;
}

/* Asks those that were not asked yet; 1 if there was one, 0 if none, -1. */
static int
ask_round(struct buf *known, struct err *e)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *entry;
	int rc = 0;

	if (d == NULL)
		return err_errno(e, ERR_LOCAL, "sandbox: /proc/self/task");
	while (rc != -1 && (entry = readdir(d)) != NULL) {
		pid_t tid = (pid_t)atoi(entry->d_name);

		if (tid == 0 || tid == gettid() || is_known(known, tid))
			continue;
		buf_add(known, &tid, sizeof(tid));
		rc = ask_thread(tid, e) == -1 ? -1 : 1;
	}
	closedir(d);
	return rc;
}

/* A thread that was not asked yet may have made another meanwhile: until a
 * round finds none. */
static int
ask_all(struct err *e)
{
	struct buf known AUTO_BUF = { 0 };
	int rc;

	do
		rc = ask_round(&known, e);
	while (rc == 1);
	return rc;
}

int
sandbox_threads(int rules, struct err *e)
{
	struct sigaction ask = { .sa_handler = on_asked,
		.sa_flags = SA_RESTART };
	struct sigaction old;
	int rc;

	ask_rules = rules;
	sem_init(&ask_done, 0, 0);
	if (sigaction(SIGRTMIN, &ask, &old) == -1)
		return err_errno(e, ERR_LOCAL, "sandbox: signal");
	rc = ask_all(e);
	if (sigaction(SIGRTMIN, &old, NULL) == -1)
		return err_errno(e, ERR_LOCAL, "sandbox: signal");
	sem_destroy(&ask_done);
	if (rc == -1)
		return -1;
	if ((errno = confine_self(rules)) != 0)
		return err_errno(e, ERR_LOCAL, "sandbox: no new privileges");
	return 0;
}
