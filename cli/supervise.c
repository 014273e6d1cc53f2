/*
 * `waybill demo-supervise`: starts the demo's processes and starts again what
 * ends, until SIGTERM or until the demo that holds its leash ends without
 * having said "keep".  It ends after the last of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <event2/event.h>

#include "cli/demo.h"
#include "cli/programs.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/sys/loop.h"

#define LEASH_FD	3
#define LEASH_KEEP	"k"
#define RESTART_MS	100
#define RESTARTS_MAX	20 /* a minute */
#define MINUTE_MS	60000
#define KILL_MS		3000
#define GIVE_UP_MS	6000
#define RELAY_PORTS_MAX 8

struct supervisor;

struct child {
	struct supervisor *s;
	const struct demo_program *program;
	pid_t pid; /* 0: not running */
	struct timer *again;
	uint64_t failed[RESTARTS_MAX]; /* a ring of times */
	size_t failures;
};

struct supervisor {
	struct folder folder;
	struct loop *loop;
	const char *masa_port;
	char **relay_ports; /* pairs, as demo-relay takes them; then NULL */
	int lock;
	struct event *leash;
	struct timer *end;
	bool stopping, killing;
	struct child child[DEMO_DAEMON__MAX];
};

/* ---- children -------------------------------------------------------- */

static char **
relay_argv(const struct folder *f, char *const *ports, struct err *e)
{
	AUTO(argv) argv = xcalloc(4 + RELAY_PORTS_MAX, sizeof(*argv));
	size_t i;

	if ((argv[0] = program_self(e)) == NULL)
		return NULL;
	argv[1] = xstrdup("demo-relay");
	argv[2] = folder_path(f, DEMO_RELAY_SOCKET, "");
	for (i = 0; ports[i] != NULL; i++)
		argv[3 + i] = xstrdup(ports[i]);
	return STEAL(argv);
}

static char **
daemon_argv(const struct folder *f, const struct demo_program *p, struct err *e)
{
	AUTO(argv) argv = xcalloc(4, sizeof(*argv));

	if ((argv[0] = program_find(p->program, e)) == NULL)
		return NULL;
	argv[1] = xstrdup("--config");
	argv[2] = folder_path(f, p->conf, "");
	return STEAL(argv);
}

static int
spawn(struct child *c, struct err *e)
{
	const struct folder *f = &c->s->folder;
	const struct demo_program *p = c->program;
	AUTO(char) log = folder_path(f, p->name, ".log");
	AUTO(argv) argv = p == &demo_programs[DEMO_RELAY]
	    ? relay_argv(f, c->s->relay_ports, e)
	    : p == &demo_programs[DEMO_MASA]
	    ? demo_masa_argv(f, c->s->masa_port, e)
	    : daemon_argv(f, p, e);

	if (argv == NULL)
		return -1;
	return program_start(argv, log, SIGKILL, -1, &c->pid, e);
}

static int
write_pid(const struct child *c, struct err *e)
{
	AUTO(char) path = folder_path(&c->s->folder, c->program->name, ".pid");
	char text[24];
	int n = snprintf(text, sizeof(text), "%d\n", (int)c->pid);

	return file_write(path, 0600, bytes_of(text, (size_t)n), e);
}

static void
start(void *arg)
{
	struct child *c = arg;
	struct err e = ERR_INIT;

	if (c->s->stopping || c->pid != 0)
		return;
	if (spawn(c, &e) == -1 || write_pid(c, &e) == -1)
		log_err(LOG_ERROR, "demo.not-started", &e, "name", "%s",
		    c->program->name, NULL);
	else
		log_event(LOG_INFO, "demo.started", "name", "%s",
		    c->program->name, "pid", "%d", (int)c->pid, NULL);
	if (c->pid == 0)
		timer_set(c->again, 1000);
}

/* Soon; but what fails again and again may do so 20 times a minute.  Who ends
 * well was asked to. */
static void
start_again(struct child *c, bool well)
{
	uint64_t now = clock_mono_ms(), free_at, wait = RESTART_MS;

	if (!well)
		c->failed[c->failures++ % RESTARTS_MAX] = now;
	if (c->failures >= RESTARTS_MAX) {
		free_at = c->failed[c->failures % RESTARTS_MAX] + MINUTE_MS;
		if (free_at > now + wait)
			wait = free_at - now;
	}
	timer_set(c->again, wait);
}

static void
ended(struct supervisor *s, pid_t pid, int status)
{
	size_t i;

	for (i = 0; i < DEMO_DAEMON__MAX; i++) {
		struct child *c = &s->child[i];

		if (c->pid != pid)
			continue;
		c->pid = 0;
		log_event(s->stopping ? LOG_INFO : LOG_WARN, "demo.ended",
		    "name", "%s", c->program->name, "code", "%d",
		    WIFEXITED(status) ? WEXITSTATUS(status) : -1, "signal",
		    "%d", WIFSIGNALED(status) ? WTERMSIG(status) : 0, NULL);
		if (!s->stopping)
			start_again(c, status == 0);
	}
}

/* Those of our children as well: we are their subreaper. */
static void
on_child(void *arg)
{
	struct supervisor *s = arg;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		ended(s, pid, status);
	if (s->stopping && pid == -1 && errno == ECHILD)
		loop_stop(s->loop);
}

/* ---- the end --------------------------------------------------------- */

static void
signal_all(struct supervisor *s, int signo)
{
	size_t i;

	for (i = 0; i < DEMO_DAEMON__MAX; i++) {
		if (s->child[i].pid == 0)
			continue;
		kill(s->child[i].pid, signo);
		/* One that was stopped could not end. */
		kill(s->child[i].pid, SIGCONT);
	}
}

static void
on_late(void *arg)
{
	struct supervisor *s = arg;

	if (s->killing) {
		loop_stop(s->loop);
		return;
	}
	s->killing = true;
	signal_all(s, SIGKILL);
	timer_set(s->end, GIVE_UP_MS - KILL_MS);
}

static void
on_end(void *arg)
{
	struct supervisor *s = arg;

	if (s->stopping)
		return;
	s->stopping = true;
	log_event(LOG_INFO, "demo.stopping", NULL);
	signal_all(s, SIGTERM);
	timer_set(s->end, KILL_MS);
	on_child(s);
}

static void
on_leash(evutil_socket_t fd, short what, void *arg)
{
	struct supervisor *s = arg;
	char c;

	(void)what;
	event_free(s->leash);
	s->leash = NULL;
	if (read(fd, &c, 1) != 1 || c != LEASH_KEEP[0])
		on_end(s);
	close(fd);
}

/* ---- its life -------------------------------------------------------- */

/* The lock lives as long as we do; the number is for people and for stop. */
static int
take_folder(struct supervisor *s, struct err *e)
{
	AUTO(char) path = folder_path(&s->folder, DEMO_SUPERVISOR, ".pid");
	AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd == -1)
		return err_errno(e, ERR_LOCAL, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(
		    e, ERR_POLICY, "a demo runs in %s", s->folder.dir);
	if (ftruncate(fd, 0) == -1 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return err_errno(e, ERR_LOCAL, "%s", path);
	s->lock = fd_steal(&fd);
	return 0;
}

static int
open_loop(struct supervisor *s, struct err *e)
{
	size_t i;

	if ((s->loop = loop_new(e)) == NULL)
		return -1;
	s->end = timer_new(s->loop, on_late, s);
	for (i = 0; i < DEMO_DAEMON__MAX; i++)
		s->child[i] = (struct child){ .s = s,
			.program = &demo_programs[i],
			.again = timer_new(s->loop, start, &s->child[i]) };
	s->leash =
	    event_new(loop_base(s->loop), LEASH_FD, EV_READ, on_leash, s);
	if (s->leash == NULL || event_add(s->leash, NULL) == -1)
		return err_set(e, ERR_LOCAL, "supervisor: no leash");
	if (loop_signal(s->loop, SIGCHLD, on_child, s, e) == -1 ||
	    loop_signal(s->loop, SIGTERM, on_end, s, e) == -1 ||
	    loop_signal(s->loop, SIGINT, on_end, s, e) == -1)
		return -1;
	return 0;
}

static void
leave_folder(struct supervisor *s)
{
	AUTO(char) own = folder_path(&s->folder, DEMO_SUPERVISOR, ".pid");
	size_t i;

	for (i = 0; i < DEMO_DAEMON__MAX; i++) {
		AUTO(char) path =
		    folder_path(&s->folder, demo_programs[i].name, ".pid");

		unlink(path);
		timer_free(s->child[i].again);
	}
	if (s->leash != NULL)
		event_free(s->leash);
	timer_free(s->end);
	loop_free(s->loop);
	unlink(own);
	close(s->lock);
}

static int
supervise(struct supervisor *s, struct err *e)
{
	size_t i;

	/* Not the terminal's: Ctrl-C is for the demo, which holds the leash. */
	setsid();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) == -1)
		return err_errno(e, ERR_LOCAL, "prctl");
	if (take_folder(s, e) == -1 || open_loop(s, e) == -1)
		return -1;
	for (i = 0; i < DEMO_DAEMON__MAX; i++)
		start(&s->child[i]);
	loop_run(s->loop);
	leave_folder(s);
	return 0;
}

/* demo-supervise DIR MASA-PORT (PORT TO-PORT)..., leash on descriptor 3 */
int
demo_supervise_command(int argc, char **argv)
{
	struct supervisor s = { .lock = -1 };
	struct err e = ERR_INIT;
	int rc;

	log_init("waybill-supervisor", LOG_INFO);
	if (argc < 5 || argc > 3 + RELAY_PORTS_MAX) {
		err_set(
		    &e, ERR_USAGE, "demo-supervise DIR PORT (PORT TO-PORT)...");
		return cli_fail(&e);
	}
	s.masa_port = argv[2];
	s.relay_ports = argv + 3;
	if (folder_open(&s.folder, argv[1], true, &e) == -1)
		return cli_fail(&e);
	rc = supervise(&s, &e);
	folder_close(&s.folder);
	return rc == -1 ? cli_fail(&e) : 0;
}

/* ---- from outside ---------------------------------------------------- */

int
demo_supervisor_start(const struct folder *f, const struct demo_ports *ports,
    pid_t *ret_pid, int *ret_leash, struct err *e)
{
	const unsigned numbers[] = { ports->masa, ports->relay, ports->ra,
		ports->masa_relay, ports->masa_client };
	AUTO(char) self = program_self(e);
	AUTO(char) log = folder_path(f, DEMO_SUPERVISOR, ".log");
	char text[NELEMS(numbers)][8];
	char *argv[4 + NELEMS(numbers)] = { self,
		(char *)(intptr_t) "demo-supervise", f->dir };
	int fd[2], rc;
	size_t i;

	if (self == NULL)
		return -1;
	for (i = 0; i < NELEMS(numbers); i++) {
		snprintf(text[i], sizeof(text[i]), "%u", numbers[i]);
		argv[3 + i] = text[i];
	}
	if (pipe2(fd, O_CLOEXEC) == -1)
		return err_errno(e, ERR_LOCAL, "pipe");
	rc = program_start(argv, log, 0, fd[0], ret_pid, e);
	close(fd[0]);
	if (rc == -1)
		close(fd[1]);
	else
		*ret_leash = fd[1];
	return rc;
}

int
demo_supervisor_keep(int leash, struct err *e)
{
	if (write(leash, LEASH_KEEP, 1) != 1)
		return err_errno(e, ERR_LOCAL, "supervisor");
	return 0;
}

bool
demo_supervisor_there(const struct folder *f)
{
	AUTO(char) path = folder_path(f, DEMO_SUPERVISOR, ".pid");
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

	/* Whoever holds the lock is alive. */
	return fd != -1 && flock(fd, LOCK_SH | LOCK_NB) == -1 &&
	    errno == EWOULDBLOCK;
}

int
demo_supervisor_stop(const struct folder *f, struct err *e)
{
	pid_t pid;

	if (!demo_supervisor_there(f))
		return 0;
	if (demo_pid(f, DEMO_SUPERVISOR, &pid, e) == -1)
		return -1;
	return program_end(pid, SIGTERM, GIVE_UP_MS + 2000, e);
}
