/* The MASA of the demo: run by the supervisor with the switches of a file, so
 * that another file and a restart make it misbehave. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/demo.h"
#include "cli/programs.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"

#define NAME	     "masa"
#define SWITCHES     NAME ".switches"
#define SWITCHES_MAX ((size_t)4096)
#define ARGS_MAX     32
#define FIXED_MAX    9 /* program, its three options, one more, NULL */
#define DOWN	     "--down"
#define START_MS     8000
#define POLL_MS	     20

/* ---- its command line ------------------------------------------------ */

int
demo_masa_set(const struct folder *f, const char *const *switches, size_t n,
    struct err *e)
{
	AUTO(char) path = folder_path(f, SWITCHES, "");
	struct buf text AUTO_BUF = { 0 };
	size_t i;

	if (n > ARGS_MAX)
		return err_set(e, ERR_USAGE, "more than %d switches", ARGS_MAX);
	buf_add_str(&text, "# switches of waybill-masa, one a line\n");
	for (i = 0; i < n; i++) {
		if (*switches[i] == '\0' || *switches[i] == '#' ||
		    strchr(switches[i], '\n') != NULL)
			return err_set(
			    e, ERR_USAGE, "'%s' is no switch", switches[i]);
		buf_printf(&text, "%s\n", switches[i]);
	}
	return file_write(path, 0600, buf_bytes(&text), e);
}

char **
demo_masa_argv(const struct folder *f, const char *port, struct err *e)
{
	AUTO(char) path = folder_path(f, SWITCHES, "");
	AUTO(argv) argv = xcalloc(FIXED_MAX + ARGS_MAX, sizeof(*argv));
	struct buf listen AUTO_BUF = { 0 }, text AUTO_BUF = { 0 };
	size_t n = 0, given = 0;
	char *line, *rest;

	if (file_read(path, SWITCHES_MAX, &text, e) == -1 ||
	    (argv[n++] = program_find("waybill-masa", e)) == NULL)
		return NULL;
	buf_printf(&listen, "127.0.0.1:%s", port);
	argv[n++] = xstrdup("--listen");
	argv[n++] = xstrdup(buf_cstr(&listen));
	argv[n++] = xstrdup("--vendor");
	argv[n++] = folder_path(f, "vendor", "");
	argv[n++] = xstrdup("--state");
	argv[n++] = folder_path(f, NAME, "");
	buf_cstr(&text);
	for (line = strtok_r((char *)text.data, "\n", &rest);
	     line != NULL && given < ARGS_MAX;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (*line == '#')
			continue;
		argv[n++] = xstrdup(line);
		given++;
	}
	return STEAL(argv);
}

/* ---- other switches -------------------------------------------------- */

/* Whether it listens. */
static bool
there(unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd != -1 && connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
}

/* A new one runs, and listens or does not. */
static bool
settled(const struct folder *f, pid_t old, unsigned port, bool listens)
{
	pid_t pid;

	return demo_pid(f, NAME, &pid, NULL) == 0 && pid != old &&
	    kill(pid, 0) == 0 && there(port) == listens;
}

static int
restart(const struct folder *f, unsigned port, bool listens, struct err *e)
{
	uint64_t end = clock_mono_ms() + START_MS;
	pid_t pid;

	if (!demo_supervisor_there(f))
		return err_set(e, ERR_PEER, "no demo runs in %s", f->dir);
	if (demo_pid(f, NAME, &pid, e) == -1 ||
	    program_end(pid, SIGTERM, START_MS, e) == -1)
		return err_prefix(e, "%s", NAME);
	while (!settled(f, pid, port, listens)) {
		if (clock_mono_ms() >= end)
			return err_set(e, ERR_LOCAL,
			    "%s: does not run so: read %s/%s.log", NAME, f->dir,
			    NAME);
		poll(NULL, 0, POLL_MS);
	}
	return 0;
}

static int
port_of(const struct folder *f, unsigned *ret, struct err *e)
{
	AUTO(char) address = demo_env_get(f, "MASA", e);
	char host[64], port[6];
	uint64_t n;

	if (address == NULL || hostport_parse(address, host, port, e) == -1 ||
	    number_parse(port, 1, UINT16_MAX, &n, e) == -1)
		return -1;
	*ret = (unsigned)n;
	return 0;
}

/* Runs it with one option more, which is read last and ends it. */
static int
try_switches(const struct folder *f, struct err *e)
{
	AUTO(char) log = folder_path(f, NAME, ".log");
	AUTO(argv) argv = demo_masa_argv(f, "0", e);
	size_t n = 0;

	if (argv == NULL)
		return -1;
	while (argv[n] != NULL)
		n++;
	argv[n] = xstrdup("--version");
	if (program_run(argv, log, e) == -1)
		return err_prefix(e, "%s", log);
	return 0;
}

int
demo_masa_switch(const struct folder *f, const char *const *switches, size_t n,
    struct err *e)
{
	AUTO(char) path = folder_path(f, SWITCHES, "");
	struct buf old AUTO_BUF = { 0 };
	bool listens = true;
	unsigned port;
	size_t i;

	for (i = 0; i < n; i++)
		listens = listens && strcmp(switches[i], DOWN) != 0;
	if (port_of(f, &port, e) == -1 ||
	    file_read(path, SWITCHES_MAX, &old, e) == -1 ||
	    demo_masa_set(f, switches, n, e) == -1)
		return -1;
	if (try_switches(f, e) == 0)
		return restart(f, port, listens, e);
	/* Else its next start would fail, and all after it. */
	if (file_write(path, 0600, buf_bytes(&old), NULL) == -1)
		err_prefix(e, "its switches stay");
	return -1;
}
