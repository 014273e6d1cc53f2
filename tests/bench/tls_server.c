#include "tests/bench/bench_tls.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/sys/control.h"

#define SERVED_US 10e6

/* Who listens does not serve yet; who answers does. */
static void
wait_until_served(const struct site *s)
{
	double until = bench_now() + SERVED_US;
	struct err e = ERR_INIT;
	json_t *status;
	int code;

	while ((status = control_call(s->control, "GET", "/v1/status", NULL,
		    &code, &e)) == NULL) {
		if (bench_now() > until)
			bench_fail("%s", e.msg);
		usleep(1000);
	}
	json_decref(status);
}

struct server
tls_registrar_start(struct tls_bench *t)
{
	site_start(&t->site, SITE_REGISTRAR);
	wait_until_served(&t->site);
	return (struct server){ t->site.pids[SITE_REGISTRAR], t->site.port };
}

void
tls_registrar_stop(struct tls_bench *t)
{
	site_stop(&t->site, SITE_REGISTRAR);
}

/* Beside this program. */
static void
beside(const char *name, char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (n <= 0)
		bench_fail("/proc/self/exe: %s", strerror(errno));
	path[n] = '\0';
	slash = strrchr(path, '/') + 1;
	if (str_copy(slash, size - (size_t)(slash - path), name) >=
	    size - (size_t)(slash - path))
		bench_fail("%s: too long a path", name);
}

static void
ceiling_exec(const struct tls_bench *t, const char *name, int out)
{
	AUTO(char) key = path_join(t->site.dir, "site/registrar.key");
	AUTO(char) cert = path_join(t->site.dir, "site/registrar.crt");
	char path[512];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	beside(name, path, sizeof(path));
	if (dup2(out, STDOUT_FILENO) != -1)
		execl(path, name, key, cert, t->type, t->body, (char *)NULL);
	fprintf(stderr, "%s: %s\n", path, strerror(errno));
	_exit(1);
}

struct server
tls_ceiling_start(const struct tls_bench *t, const char *name)
{
	struct server s = { 0 };
	char line[16] = "";
	int fds[2];
	FILE *from;

	if (pipe(fds) == -1 || (s.pid = fork()) == -1 ||
	    (from = fdopen(fds[0], "r")) == NULL)
		bench_fail("%s: %s", name, strerror(errno));
	if (s.pid == 0)
		ceiling_exec(t, name, fds[1]);
	close(fds[1]);
	if (fgets(line, sizeof(line), from) == NULL ||
	    (s.port = (unsigned)atoi(line)) == 0)
		bench_fail("%s: did not tell its port", name);
	fclose(from);
	return s;
}

void
tls_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		bench_fail("process %d ended before its time", (int)pid);
}
