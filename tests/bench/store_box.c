#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/bench/store_talk.h"

#define SHIM	  "../fault/write_log.so" /* from where this program stands */
#define AGE_PAGES 256

void
store_box_make(struct store_bench *b, const char *name, unsigned map_mb,
    struct store_box *ret)
{
	*ret = (struct store_box){ .bench = b, .map_mb = map_mb, .talk = -1 };
	snprintf(ret->dir, sizeof(ret->dir), "%s/%s", b->site.dir, name);
}

/* ---- its process ---------------------------------------------------------- */

static void
preload(const char *log)
{
	char self[PATH_MAX], shim[2 * PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		_exit(127);
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(shim, sizeof(shim), "%s/" SHIM, self);
	if (access(shim, R_OK) == -1)
		_exit(127);
	setenv("LD_PRELOAD", shim, 1);
	setenv("WRITE_LOG", log, 1);
}

static _Noreturn void
become_worker(
    const struct store_box *x, int talk, const char *log, pid_t parent)
{
	static char name[] = "bench_store", work[] = "--work";
	char dir[sizeof(x->dir)], site[sizeof(x->bench->site.dir)], map[16];
	char *argv[] = { name, work, dir, site, map, NULL };

	memcpy(dir, x->dir, sizeof(dir));
	memcpy(site, x->bench->site.dir, sizeof(site));
	snprintf(map, sizeof(map), "%u", x->map_mb);
	if (dup2(talk, STORE_TALK) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
		_exit(127);
	setenv("WAYBILL_CLOCK", "sync", 1);
	if (log != NULL)
		preload(log);
	execv("/proc/self/exe", argv);
	_exit(127);
}

static struct store_cost
hear(const struct store_box *x)
{
	struct store_cost c;

	if (recv(x->talk, &c, sizeof(c), MSG_WAITALL) != sizeof(c))
		bench_fail("store: its process ended");
	return c;
}

void
store_box_open(struct store_box *x, const char *log)
{
	pid_t parent = getpid();
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == -1)
		bench_fail("socketpair: %s", strerror(errno));
	fflush(NULL);
	if ((x->pid = fork()) == -1)
		bench_fail("fork: %s", strerror(errno));
	if (x->pid == 0)
		become_worker(x, fds[1], log, parent);
	close(fds[1]);
	x->talk = fds[0];
	hear(x);
}

void
store_box_close(struct store_box *x)
{
	int status;

	if (x->pid == 0)
		return;
	close(x->talk);
	if (waitpid(x->pid, &status, 0) != x->pid || status != 0)
		bench_fail("store: its process did not end well");
	x->pid = 0;
	x->talk = -1;
}

struct store_cost
store_box_do(struct store_box *x, enum store_work work, unsigned long n,
    unsigned at_once)
{
	struct store_order o = { work, n, at_once };

	if (send(x->talk, &o, sizeof(o), MSG_NOSIGNAL) != sizeof(o))
		bench_fail("store: its process has ended");
	if (work == STORE_FILL || work == STORE_ACCEPT)
		x->entries += n;
	return hear(x);
}

/* ---- its file -------------------------------------------------------------- */

void
store_box_age(const struct store_box *x)
{
	AUTO(char) path = path_join(x->dir, "data.mdb");
	AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC);
	AUTO(void) block = xmalloc(AGE_PAGES * 4096);
	ssize_t n;
	off_t at;

	if (fd == -1)
		bench_fail("%s: %s", path, strerror(errno));
	for (at = 0; (n = pread(fd, block, AGE_PAGES * 4096, at)) > 0; at += n)
		if (pwrite(fd, block, (size_t)n, at) != n)
			bench_fail("%s: %s", path, strerror(errno));
	if (n == -1 || fsync(fd) == -1)
		bench_fail("%s: %s", path, strerror(errno));
}

double
store_log_octets(const char *log)
{
	FILE *f = fopen(log, "re");
	unsigned long octets;
	char line[200], event[16];
	double sum = 0;

	if (f == NULL)
		bench_fail("%s: %s", log, strerror(errno));
	while (fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%*s %*s %15s %*s %lu", event, &octets) == 2 &&
		    (strcmp(event, "write") == 0 ||
			strcmp(event, "dsync") == 0))
			sum += (double)octets;
	fclose(f);
	return sum;
}
