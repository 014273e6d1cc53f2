/* What the demo's commands share, and the commands for one that was kept. */
#include "cli/demo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli/programs.h"
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/sys/control.h"

#define PORT_FIRST 20000 /* below what the kernel gives to clients */
#define PORT_COUNT 12000
#define PORT_TRIES 200
#define ENV_MAX	   ((size_t)16 * 1024)
#define RELAY_MS   2000
#define LINK_MS	   8000
#define ENROL_MS   130000
#define DEVICE_MAX 64
#define DEVICE_CHARS \
	"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-"

const struct demo_program demo_programs[DEMO_DAEMON__MAX] = {
	[DEMO_RELAY] = { "relay", NULL, NULL, DEMO_RELAY_SOCKET },
	[DEMO_RA] = { "ra", "RA", "waybill-ra", "ra/ra.yaml" },
	[DEMO_REGISTRAR] = { "registrar", "REGISTRAR", "waybill-registrar",
	    "site/registrar.yaml" },
	[DEMO_FORWARDER] = { "forwarder", "FORWARDER", "waybill-forwarder",
	    "site/forwarder.yaml" },
	[DEMO_PROXY] = { "proxy", "PROXY", "waybill-proxy", "site/proxy.yaml" },
};

/* ---- ports ----------------------------------------------------------- */

/* Binds one to have it; the caller lets all of them go at once. */
static int
port_take(int *ret_fd, unsigned *ret_port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint16_t random;

	random_bytes(&random, sizeof(random));
	*ret_port = PORT_FIRST + random % PORT_COUNT;
	in.sin_port = htons((uint16_t)*ret_port);
	if (fd == -1 || bind(fd, (struct sockaddr *)&in, sizeof(in)) == -1)
		return -1;
	*ret_fd = fd_steal(&fd);
	return 0;
}

int
demo_ports_pick(struct demo_ports *ret, struct err *e)
{
	struct demo_ports p;
	unsigned *const port[] = { &p.ra, &p.relay, &p.registrar, &p.proxy };
	int fd[NELEMS(port)];
	size_t n = 0;
	int tries;

	for (tries = 0; n < NELEMS(port) && tries < PORT_TRIES; tries++)
		if (port_take(&fd[n], port[n]) == 0)
			n++;
	tries = n == NELEMS(port) ? 0 : -1;
	while (n > 0)
		close(fd[--n]);
	if (tries == -1)
		return err_set(e, ERR_LOCAL, "no free ports on 127.0.0.1");
	*ret = p;
	return 0;
}

/* ---- DIR/env --------------------------------------------------------- */

/* 'text' for a shell: a quote ends the quotes, stands, and opens them. */
static void
env_line(struct buf *out, const char *name, const char *value)
{
	const char *p;

	buf_printf(out, "%s='", name);
	for (p = value; *p != '\0'; p++)
		if (*p == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add(out, p, 1);
	buf_add_str(out, "'\n");
}

static void
env_file(struct buf *out, const char *name, const struct folder *f,
    const char *file, const char *suffix)
{
	AUTO(char) path = folder_path(f, file, suffix);

	env_line(out, name, path);
}

static void
env_port(struct buf *out, const char *name, unsigned port)
{
	char text[32];

	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	env_line(out, name, text);
}

static void
env_daemon(
    struct buf *out, const struct folder *f, const struct demo_program *p)
{
	char name[32];

	if (p->env == NULL)
		return;
	snprintf(name, sizeof(name), "%s_CONF", p->env);
	env_file(out, name, f, p->conf, "");
	snprintf(name, sizeof(name), "%s_LOG", p->env);
	env_file(out, name, f, p->name, ".log");
	snprintf(name, sizeof(name), "%s_PID", p->env);
	env_file(out, name, f, p->name, ".pid");
}

int
demo_env_write(
    const struct folder *f, const struct demo_ports *ports, struct err *e)
{
	static const char device[] = "devices/" DEMO_FIRST_DEVICE;
	AUTO(char) path = folder_path(f, "env", "");
	AUTO(char) self = program_self(e);
	struct buf out AUTO_BUF = { 0 };
	size_t i;

	if (self == NULL)
		return -1;
	env_port(&out, "PROXY", ports->proxy);
	env_port(&out, "REGISTRAR", ports->registrar);
	env_port(&out, "RA_LINK", ports->ra);
	env_file(&out, "VENDOR_CA", f, "vendor/vendor-root.crt", "");
	env_file(&out, "DOMAIN_CA", f, "site/domain-root.crt", "");
	env_file(&out, "IDEVID_CERT", f, device, ".crt");
	env_file(&out, "IDEVID_KEY", f, device, ".key");
	env_file(&out, "IDEVID_CHAIN", f, device, ".chain.pem");
	for (i = 0; i < DEMO_DAEMON__MAX; i++)
		env_daemon(&out, f, &demo_programs[i]);
	env_file(&out, "REGISTRAR_CONTROL", f, DEMO_SITE_CONTROL, "");
	env_file(&out, "RA_CONTROL", f, DEMO_RA_CONTROL, "");
	env_line(&out, "WAYBILL", self);
	return file_write(path, 0600, buf_bytes(&out), e);
}

char *
demo_env_get(const struct folder *f, const char *name, struct err *e)
{
	AUTO(char) path = folder_path(f, "env", "");
	struct buf text AUTO_BUF = { 0 };
	size_t n = strlen(name);
	char *line, *rest;

	if (file_read(path, ENV_MAX, &text, e) == -1)
		return NULL;
	buf_cstr(&text);
	for (line = strtok_r((char *)text.data, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, name, n) != 0 || line[n] != '=' ||
		    line[n + 1] != '\'')
			continue;
		line += n + 2;
		line[strcspn(line, "'")] = '\0';
		return xstrdup(line);
	}
	err_set(e, ERR_CONF, "%s: no %s in it", path, name);
	return NULL;
}

int
demo_pid(const struct folder *f, const char *name, pid_t *ret, struct err *e)
{
	AUTO(char) path = folder_path(f, name, ".pid");
	struct buf text AUTO_BUF = { 0 };
	uint64_t pid;

	if (file_read(path, 64, &text, e) == -1)
		return -1;
	buf_cstr(&text);
	if (text.len > 0 && text.data[text.len - 1] == '\n')
		text.data[text.len - 1] = '\0';
	if (number_parse((char *)text.data, 2, INT32_MAX, &pid, e) == -1)
		return err_prefix(e, "%s", path);
	*ret = (pid_t)pid;
	return 0;
}

/* ---- the link -------------------------------------------------------- */

static int
relay_connect(const struct folder *f, struct err *e)
{
	AUTO(char) path = folder_path(f, DEMO_RELAY_SOCKET, "");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (str_copy(un.sun_path, sizeof(un.sun_path), path) >=
	    sizeof(un.sun_path))
		return err_set(e, ERR_CONF, "%s: too long for a socket", path);
	if (fd == -1 || connect(fd, (struct sockaddr *)&un, sizeof(un)) == -1)
		return err_errno(e, ERR_PEER, "%s: no demo runs there", path);
	return fd_steal(&fd);
}

int
demo_relay_call(
    const struct folder *f, const char *word, bool *ret_up, struct err *e)
{
	AUTO_FD fd = relay_connect(f, e);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char answer[16] = "";
	ssize_t n;

	if (fd == -1)
		return -1;
	if (dprintf(fd, "%s\n", word) < 0 || poll(&p, 1, RELAY_MS) != 1 ||
	    (n = read(fd, answer, sizeof(answer) - 1)) <= 0)
		return err_errno(e, ERR_PEER, "relay");
	if (strcmp(answer, "up\n") != 0 && strcmp(answer, "down\n") != 0)
		return err_set(
		    e, ERR_LOCAL, "relay: '%s' failed, see relay.log", word);
	*ret_up = strcmp(answer, "up\n") == 0;
	return 0;
}

int
demo_link_known(const struct folder *f, bool *ret_up, struct err *e)
{
	AUTO(char) socket = folder_path(f, DEMO_SITE_CONTROL, "");
	AUTO(json_t) j = NULL;
	const char *link;
	int status;

	if ((j = control_call(socket, "GET", "/v1/status", NULL, &status, e)) ==
	    NULL)
		return -1;
	link = json_string_value(json_object_get(
	    json_array_get(json_object_get(j, "services"), 0), "link"));
	*ret_up = link != NULL && strcmp(link, "up") == 0;
	return 0;
}

/* ---- devices --------------------------------------------------------- */

/* It becomes part of a path. */
static int
check_device(const char *name, struct err *e)
{
	size_t n = strspn(name, DEVICE_CHARS);

	if (n == 0 || n > DEVICE_MAX || name[n] != '\0' || name[0] == '.')
		return err_set(e, ERR_USAGE,
		    "'%s' is no device's name: letters, digits, '.' and '-'",
		    name);
	return 0;
}

int
demo_device(const struct folder *f, const char *name, struct err *e)
{
	AUTO(char) factory = NULL;
	AUTO(char) vendor = folder_path(f, "vendor", "");
	AUTO(char) devices = folder_path(f, "devices", "");
	AUTO(char) log = folder_path(f, "factory", ".log");
	AUTO(char) prefix = path_join(devices, name);

	if (check_device(name, e) == -1 ||
	    file_mkdirs(devices, 0700, e) == -1 ||
	    (factory = program_find("waybill-factory", e)) == NULL)
		return -1;
	if (folder_has(f, prefix + strlen(f->dir) + 1, ".crt"))
		return 0;
	if (program_run((char *[]){ factory, (char *)(intptr_t) "device",
			    vendor, (char *)(intptr_t)name,
			    (char *)(intptr_t) "--out", prefix, NULL },
		log, e) == -1)
		return err_prefix(e, "%s", log);
	return 0;
}

void
demo_argv_free(char **argv)
{
	size_t i;

	for (i = 0; argv != NULL && argv[i] != NULL; i++)
		free(argv[i]);
	free(argv);
}

char **
demo_pledge_argv(
    const struct folder *f, const char *name, const char *proxy, struct err *e)
{
	const struct {
		const char *option, *folder, *suffix;
	} files[] = {
		{ "--cert", "devices", ".crt" },
		{ "--key", "devices", ".key" },
		{ "--chain", "devices", ".chain.pem" },
		{ "--state", "enrolled", ".state" },
		{ "--out", "enrolled", "" },
	};
	AUTO(argv) argv = xcalloc(7 + 2 * NELEMS(files), sizeof(*argv));
	AUTO(char) enrolled = folder_path(f, "enrolled", "");
	size_t i, n = 0;

	if (file_mkdirs(enrolled, 0700, e) == -1 ||
	    (argv[n++] = program_find("waybill-pledge", e)) == NULL)
		return NULL;
	argv[n++] = xstrdup("enrol");
	argv[n++] = xstrdup("--proxy");
	argv[n++] = xstrdup(proxy);
	argv[n++] = xstrdup("--trust");
	argv[n++] = folder_path(f, "site/domain-root.crt", "");
	for (i = 0; i < NELEMS(files); i++) {
		AUTO(char) file = path_join(files[i].folder, name);

		argv[n++] = xstrdup(files[i].option);
		argv[n++] = folder_path(f, file, files[i].suffix);
	}
	return STEAL(argv);
}

/* ---- commands -------------------------------------------------------- */

struct args {
	const char *dir, *word, *what;
	bool keep;
};

static const struct argp_option options[] = {
	{ "dir", 'd', "DIR", 0, "The folder of the demo", 0 },
	{ 0 },
};

static const struct argp_option run_options[] = {
	{ "dir", 'd', "DIR", 0, "Work in DIR, which stays (a temporary folder)",
	    0 },
	{ "keep", 'k', NULL, 0, "Leave everything running; DIR/env tells where",
	    0 },
	{ 0 },
};

static error_t
on_option(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'd':
		a->dir = arg;
		return 0;
	case 'k':
		a->keep = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->what == NULL || a->word != NULL)
			argp_error(state, "'%s' is not expected here", arg);
		a->word = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->what != NULL && a->word == NULL)
			argp_error(state, "%s is missing", a->what);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
demo_command(int argc, char **argv)
{
	struct argp argp = { run_options, on_option, "",
		"A device joins a domain across a link that is down at first: "
		"everything real, on this machine, without network or root." };
	struct args a = { 0 };
	struct err e = ERR_INIT;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	return demo_run(a.dir, a.keep, &e) == -1 ? cli_fail(&e) : cli_flush();
}

/* Parses and opens DIR, which must be a demo's; exits on wrong use. */
static int
open_kept(int argc, char **argv, const char *doc, struct args *a,
    struct folder *f, struct err *e)
{
	struct argp argp = { options, on_option, a->what, doc };
	AUTO(char) env = NULL;

	argp_parse(&argp, argc, argv, 0, NULL, a);
	if (a->dir == NULL)
		return err_set(e, ERR_USAGE, "--dir DIR is needed");
	env = path_join(a->dir, "env");
	if (access(env, F_OK) == -1 && access(a->dir, X_OK) == -1)
		return err_errno(e, ERR_CONF, "%s: no demo there", a->dir);
	return folder_open(f, a->dir, true, e);
}

/* The relay has switched; the site is told by its forwarder, if that runs. */
static void
await_link(const struct folder *f, bool want)
{
	uint64_t end = clock_mono_ms() + LINK_MS;
	struct err e = ERR_INIT;
	bool up = !want;

	while (clock_mono_ms() < end) {
		if (demo_link_known(f, &up, &e) == 0 && up == want)
			return;
		poll(NULL, 0, 20);
	}
	fprintf(stderr,
	    "waybill: the relay is %s; the registrar does not say "
	    "so yet\n",
	    want ? "up" : "down");
}

int
demo_link_command(int argc, char **argv)
{
	struct args a = { .what = "up|down" };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	bool up;
	int rc = open_kept(argc, argv,
	    "Switches the link between site and RA, and waits until the "
	    "registrar knows.",
	    &a, &f, &e);

	if (rc == 0 && strcmp(a.word, "up") != 0 && strcmp(a.word, "down") != 0)
		rc = err_set(&e, ERR_USAGE, "up or down, not '%s'", a.word);
	if (rc == 0)
		rc = demo_relay_call(&f, a.word, &up, &e);
	if (rc == 0)
		await_link(&f, up);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : 0;
}

int
demo_device_command(int argc, char **argv)
{
	struct args a = { .what = "NAME" };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	int rc = open_kept(argc, argv,
	    "Makes DIR/devices/NAME.crt, .key and .chain.pem: a further "
	    "device of the demo's vendor.",
	    &a, &f, &e);

	if (rc == 0)
		rc = demo_device(&f, a.word, &e);
	if (rc == 0)
		printf("%s/devices/%s.crt\n", f.dir, a.word);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : cli_flush();
}

static int
enrol(const struct folder *f, const char *name, int *ret_code, struct err *e)
{
	AUTO(char) proxy = demo_env_get(f, "PROXY", e);
	AUTO(argv) argv = NULL;
	pid_t pid;

	if (proxy == NULL || demo_device(f, name, e) == -1 ||
	    (argv = demo_pledge_argv(f, name, proxy, e)) == NULL ||
	    program_start(argv, NULL, SIGTERM, -1, &pid, e) == -1)
		return -1;
	return program_wait(pid, ENROL_MS, ret_code, e);
}

int
demo_enrol_command(int argc, char **argv)
{
	struct args a = { .what = "NAME" };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	int code = 0;
	int rc = open_kept(argc, argv,
	    "Makes a device and lets it join: DIR/enrolled/NAME.crt is its "
	    "certificate.  The exit code is the device's.",
	    &a, &f, &e);

	if (rc == 0)
		rc = enrol(&f, a.word, &code, &e);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : code;
}

int
demo_stop_command(int argc, char **argv)
{
	struct args a = { 0 };
	struct folder f = { 0 };
	struct err e = ERR_INIT;
	int rc = open_kept(argc, argv,
	    "Ends all processes of the demo in DIR and waits for their end.",
	    &a, &f, &e);

	if (rc == 0)
		rc = demo_supervisor_stop(&f, &e);
	folder_close(&f);
	return rc == -1 ? cli_fail(&e) : 0;
}
