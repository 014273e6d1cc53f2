#include "cli/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/base/buf.h"

#define RUN_MS 10000

char *
program_self(struct err *e)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n == -1) {
		err_errno(e, ERR_LOCAL, "/proc/self/exe");
		return NULL;
	}
	path[n] = '\0';
	return xstrdup(path);
}

/* malloc'd: the first executable file of a pattern, or NULL. */
static char *
first_match(const char *pattern)
{
	char *path = NULL;
	size_t i;
	glob_t g;

	if (glob(pattern, 0, NULL, &g) != 0)
		return NULL;
	for (i = 0; i < g.gl_pathc && path == NULL; i++)
		if (access(g.gl_pathv[i], X_OK) == 0)
			path = realpath(g.gl_pathv[i], NULL);
	globfree(&g);
	return path;
}

char *
program_find(const char *name, struct err *e)
{
	static const char *const places[] = { "", "../*/",
		"../libexec/waybill/" };
	AUTO(char) dir = program_self(e);
	char *path = NULL;
	size_t i;

	if (dir == NULL)
		return NULL;
	*strrchr(dir, '/') = '\0';
	for (i = 0; i < NELEMS(places) && path == NULL; i++) {
		struct buf pattern AUTO_BUF = { 0 };

		buf_printf(&pattern, "%s/%s%s", dir, places[i], name);
		path = first_match(buf_cstr(&pattern));
	}
	if (path == NULL)
		err_set(e, ERR_CONF, "%s: not found beside %s", name, dir);
	return path;
}

/* In the child, where only a message and an end are left. */
static _Noreturn void
child_fail(const char *what)
{
	dprintf(STDERR_FILENO, "waybill: %s: %s\n", what, strerror(errno));
	_exit(127);
}

static void
child_files(const char *log, int pass)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = -1;

	if (null == -1 || dup2(null, STDIN_FILENO) == -1)
		child_fail("/dev/null");
	if (log != NULL) {
		out = open(log,
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
		if (out == -1 || dup2(out, STDOUT_FILENO) == -1 ||
		    dup2(out, STDERR_FILENO) == -1)
			child_fail(log);
	}
	if (pass != -1 && pass != 3 && dup2(pass, 3) == -1)
		child_fail("descriptor");
	if (pass == 3)
		fcntl(3, F_SETFD, 0);
	close_range(pass != -1 ? 4 : 3, UINT_MAX, 0);
}

static _Noreturn void
child(char *const argv[], const char *log, int signo, int pass, pid_t parent)
{
	sigset_t none;

	if (signo != 0 && prctl(PR_SET_PDEATHSIG, signo) == -1)
		child_fail("prctl");
	/* It may have ended before the line above. */
	if (signo != 0 && getppid() != parent)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	child_files(log, pass);
	execvp(argv[0], argv);
	child_fail(argv[0]);
}

int
program_start(char *const argv[], const char *log, int signo, int pass,
    pid_t *ret, struct err *e)
{
	pid_t parent = getpid(), pid;

	/* Else the child would say again what waits to be said. */
	fflush(NULL);
	if ((pid = fork()) == -1)
		return err_errno(e, ERR_LOCAL, "%s: fork", argv[0]);
	if (pid == 0)
		child(argv, log, signo, pass, parent);
	*ret = pid;
	return 0;
}

/* Until the process of this pidfd has ended. */
static int
wait_fd(int fd, pid_t pid, uint64_t ms, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, ms < INT_MAX ? (int)ms : INT_MAX);

	if (n == -1)
		return err_errno(e, ERR_LOCAL, "process %d", (int)pid);
	if (n == 0)
		return err_set(e, ERR_RETRY, "still running after %llu ms",
		    (unsigned long long)ms);
	return 0;
}

int
program_end(pid_t pid, int signo, uint64_t ms, struct err *e)
{
	AUTO_FD fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd == -1 && errno == ESRCH)
		return 0;
	if (fd == -1 ||
	    (signo != 0 &&
		syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0) == -1 &&
		errno != ESRCH))
		return err_errno(e, ERR_LOCAL, "process %d", (int)pid);
	return wait_fd(fd, pid, ms, e);
}

int
program_wait(pid_t pid, uint64_t ms, int *ret, struct err *e)
{
	AUTO_FD fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int status;

	if (fd == -1)
		return err_errno(e, ERR_LOCAL, "process %d", (int)pid);
	if (wait_fd(fd, pid, ms, e) == -1)
		return -1;
	if (waitpid(pid, &status, 0) != pid)
		return err_errno(e, ERR_LOCAL, "process %d", (int)pid);
	*ret = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

int
program_run(char *const argv[], const char *log, struct err *e)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash != NULL ? slash + 1 : argv[0];
	pid_t pid;
	int code;

	if (program_start(argv, log, SIGTERM, -1, &pid, e) == -1)
		return -1;
	if (program_wait(pid, RUN_MS, &code, e) == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err_prefix(e, "%s", name);
	}
	if (code != 0)
		return err_set(
		    e, cli_kind_of_exit(code), "%s: exit code %d", name, code);
	return 0;
}
