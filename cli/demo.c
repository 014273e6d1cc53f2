/* What the demo and the commands for one that was kept share. */
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
#define DEVICE_MAX 64
#define DEVICE_CHARS \
	"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-"

const struct demo_program demo_programs[DEMO_DAEMON__MAX] = {
	[DEMO_RELAY] = { "relay", NULL, NULL, DEMO_RELAY_SOCKET },
	[DEMO_MASA] = { "masa", "MASA", "waybill-masa", "masa.switches" },
	[DEMO_RA] = { "ra", "RA", "waybill-ra", "ra/ra.yaml" },
	[DEMO_MASA_CLIENT] = { "masa-client", "MASA_CLIENT",
	    "waybill-masa-client", "ra/masa-client.yaml" },
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
	unsigned *const port[] = { &p.ra, &p.relay, &p.registrar, &p.proxy,
		&p.masa, &p.masa_client, &p.masa_relay };
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
	env_port(&out, "MASA", ports->masa);
	env_port(&out, "MASA_CLIENT_LINK", ports->masa_client);
	env_file(&out, "VENDOR_CA", f, DEMO_VENDOR_ROOT, "");
	env_file(&out, "DOMAIN_CA", f, "site/domain-root.crt", "");
	env_file(&out, "IDEVID_CERT", f, device, ".crt");
	env_file(&out, "IDEVID_KEY", f, device, ".key");
	env_file(&out, "IDEVID_CHAIN", f, device, ".chain.pem");
	for (i = 0; i < DEMO_DAEMON__MAX; i++)
		env_daemon(&out, f, &demo_programs[i]);
	env_file(&out, "REGISTRAR_CONTROL", f, DEMO_SITE_CONTROL, "");
	env_file(&out, "RA_CONTROL", f, DEMO_RA_CONTROL, "");
	env_file(&out, "MASA_CLIENT_CONTROL", f, DEMO_MASA_CONTROL, "");
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

bool
demo_links_are(const struct folder *f, bool up)
{
	AUTO(char) socket = folder_path(f, DEMO_SITE_CONTROL, "");
	AUTO(json_t) j = NULL;
	const json_t *service;
	const char *link;
	int status;
	size_t i;

	j = control_call(socket, "GET", "/v1/status", NULL, &status, NULL);
	json_array_foreach(json_object_get(j, "services"), i, service)
	{
		link = json_string_value(json_object_get(service, "link"));
		if (link == NULL || (strcmp(link, "up") == 0) != up)
			return false;
	}
	return json_array_size(json_object_get(j, "services")) > 0;
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
	argv[n++] = xstrdup("--vendor-ca");
	argv[n++] = folder_path(f, DEMO_VENDOR_ROOT, "");
	for (i = 0; i < NELEMS(files); i++) {
		AUTO(char) file = path_join(files[i].folder, name);

		argv[n++] = xstrdup(files[i].option);
		argv[n++] = folder_path(f, file, files[i].suffix);
	}
	return STEAL(argv);
}
