#include "common/sys/daemon.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/str.h"

#define OPTION_NO_SANDBOX 0x100 /* has no letter */

static const char *daemon_name = "waybill";

static const char *const level_names[] = { "alarm", "error", "warn", "info",
	"debug" };

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "Read the configuration from FILE", 0 },
	{ "check", 't', NULL, 0,
	    "Check configuration, keys and certificates, then exit", 0 },
	{ "print-config", 'p', NULL, 0,
	    "Print every value and where it comes from, then exit", 0 },
	{ "log-level", 'l', "LEVEL", 0,
	    "Log up to alarm, error, warn, info (default) or debug", 0 },
	{ "no-sandbox", OPTION_NO_SANDBOX, NULL, 0,
	    "Do not confine the process: for tests alone", 0 },
	{ 0 }
};

static void
set_level(const char *name, struct argp_state *state)
{
	for (size_t i = 0; i < NELEMS(level_names); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			log_set_level((enum log_level)i);
			return;
		}
	}
	argp_error(state,
	    "--log-level: '%s' is not one of "
	    "alarm, error, warn, info, debug",
	    name);
}

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct daemon_opts *o = state->input;

	switch (key) {
	case 'c':
		o->conf = arg;
		return 0;
	case 't':
		o->check = true;
		return 0;
	case 'p':
		o->print_config = true;
		return 0;
	case 'l':
		set_level(arg, state);
		return 0;
	case OPTION_NO_SANDBOX:
		o->no_sandbox = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is not expected here", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const char *
default_conf(const char *name)
{
	static char path[128];

	if (str_starts(name, "waybill-"))
		name += strlen("waybill-");
	snprintf(path, sizeof(path), "/etc/waybill/%s.yaml", name);
	return path;
}

void
daemon_init(struct daemon_opts *o, const char *name, const char *sentence,
    int argc, char **argv)
{
	static char version[64];
	struct argp argp = { options, on_option, NULL, sentence };

	daemon_name = name;
	snprintf(version, sizeof(version), "%s %s", name, WAYBILL_VERSION);
	argp_program_version = version;
	argp_err_exit_status = err_exit_code(ERR_USAGE);
	log_init(name, LOG_INFO);
	*o = (struct daemon_opts){ .conf = default_conf(name) };
	argp_parse(&argp, argc, argv, 0, NULL, o);
	/* A peer that resets its connection must not end us. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* who reloads asks for it with loop_signal */
	umask(077);
	if (!o->no_sandbox)
		sandbox_hide_memory();
}

/* One datagram, as sd_notify(3) describes it; '@' names an abstract socket. */
static int
notify(const char *text, struct err *e)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	AUTO_FD fd = -1;
	socklen_t len;

	if (path == NULL || *path == '\0')
		return 0;
	if (strlen(path) >= sizeof(to.sun_path))
		return err_set(e, ERR_LOCAL, "NOTIFY_SOCKET: path too long");
	memcpy(to.sun_path, path, strlen(path));
	if (*path == '@')
		to.sun_path[0] = '\0';
	len =
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1 ||
	    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
		len) == -1)
		return err_errno(e, ERR_LOCAL, "NOTIFY_SOCKET %s", path);
	return 0;
}

/* ---- its sandbox ------------------------------------------------------- */

static void
say_sandbox(const struct sandbox *s, const struct sandbox_report *r)
{
	if (r->calls == 0)
		log_event(LOG_WARN, "sandbox.off", "reason", "%s",
		    "a sanitizer is in this build", NULL);
	else
		log_event(LOG_INFO, "sandbox.entered", "landlock", "%d",
		    r->landlock, "calls", "%u", r->calls, NULL);
	if (r->calls != 0 && r->landlock == 0)
		log_event(LOG_WARN, "sandbox.no-landlock", "reason", "%s",
		    "this kernel has none: folders are not confined", NULL);
	if (r->files != 0)
		log_event(LOG_WARN, "sandbox.few-files", "limit", "%llu",
		    (unsigned long long)r->files, "wanted", "%llu",
		    (unsigned long long)s->files, NULL);
}

int
daemon_confine(
    const struct daemon_opts *o, const struct sandbox *s, struct err *e)
{
	struct sandbox_report r;

	if (o->no_sandbox) {
		log_event(LOG_WARN, "sandbox.off", "reason", "%s",
		    "--no-sandbox", NULL);
		return 0;
	}
	if (sandbox_enter(s, &r, e) == -1)
		return -1;
	say_sandbox(s, &r);
	return 0;
}

void
daemon_check_sandbox(const struct daemon_opts *o, const struct sandbox *s)
{
	struct buf b AUTO_BUF = { 0 };

	if (o->no_sandbox)
		buf_printf(&b, "sandbox: off (--no-sandbox)");
	else
		sandbox_describe(s, &b);
	printf("%s: %s\n", daemon_name, buf_cstr(&b));
}

/* ---- its life ---------------------------------------------------------- */

static void
on_end(void *arg)
{
	log_event(LOG_INFO, "daemon.stopping", NULL);
	loop_stop(arg);
}

int
daemon_ready(struct loop *l, struct err *e)
{
	if (loop_signal(l, SIGTERM, on_end, l, e) == -1 ||
	    loop_signal(l, SIGINT, on_end, l, e) == -1)
		return -1;
	return notify("READY=1", e);
}

int
daemon_fail(const struct err *e)
{
	log_err(LOG_ERROR, "daemon.failed", e, NULL);
	return err_exit_code(e->kind);
}

int
daemon_check_ok(const char *fmt, ...)
{
	va_list ap;

	printf("%s: configuration ok: ", daemon_name);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	/* A full disk or a closed pipe must not read as yes. */
	return fflush(stdout) == 0 ? 0 : err_exit_code(ERR_LOCAL);
}
