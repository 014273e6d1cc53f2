/* `waybill demo`: its steps, in order, one numbered line each. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/demo.h"
#include "cli/init.h"
#include "cli/programs.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/sys/control.h"

#define SITE	   "demo"
#define SERVICE	   "ra"
#define POLL_MS	   20
#define START_MS   8000
#define WAITING_MS 10000
#define ENROL_MS   20000
#define STOP_MS	   9000
#define LOG_MAX	   ((size_t)1 << 20)
#define ID_MAX	   40

struct demo {
	struct folder folder;
	struct demo_ports ports;
	bool keep, temporary;
	unsigned step;
	uint64_t begun; /* monotonic milliseconds */
	pid_t supervisor, pledge;
	int leash;
	char id[ID_MAX]; /* of the device's request */
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signo)
{
	interrupted = signo;
}

static void PRINTF(2, 3) say(struct demo *d, const char *fmt, ...)
{
	va_list ap;

	printf("%2u  ", ++d->step);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* ---- waiting --------------------------------------------------------- */

/* 1: it is so, 0: not yet, -1: it will never be. */
typedef int (*demo_test)(struct demo *d, struct err *e);

/* Whatever we wait for, these end it. */
static int
check_life(const struct demo *d, struct err *e)
{
	if (interrupted != 0)
		return err_set(e, ERR_LOCAL, "interrupted");
	if (d->supervisor > 0 && waitpid(d->supervisor, NULL, WNOHANG) != 0)
		return err_set(e, ERR_LOCAL,
		    "the supervisor ended: read %s/supervisor.log",
		    d->folder.dir);
	return 0;
}

static int
await(struct demo *d, demo_test test, uint64_t ms, const char *what,
    const char *log, struct err *e)
{
	uint64_t end = clock_mono_ms() + ms;
	int rc;

	while ((rc = test(d, e)) == 0) {
		if (check_life(d, e) == -1)
			return -1;
		if (clock_mono_ms() >= end)
			return err_set(e, ERR_PEER,
			    "%s: not within %llu s: read %s/%s", what,
			    (unsigned long long)ms / 1000, d->folder.dir, log);
		poll(NULL, 0, POLL_MS);
	}
	return rc == 1 ? 0 : -1;
}

static int
control_there(const struct demo *d, const char *name)
{
	AUTO(char) socket = folder_path(&d->folder, name, "");
	AUTO(json_t) j = NULL;
	int status = 0;

	j = control_call(socket, "GET", "/v1/status", NULL, &status, NULL);
	return j != NULL && status == 200 ? 1 : 0;
}

static int
relay_there(struct demo *d, struct err *e)
{
	bool up;

	(void)e;
	return demo_relay_call(&d->folder, "status", &up, NULL) == 0 ? 1 : 0;
}

static int
ra_there(struct demo *d, struct err *e)
{
	(void)e;
	return control_there(d, DEMO_RA_CONTROL);
}

static int
registrar_there(struct demo *d, struct err *e)
{
	(void)e;
	return control_there(d, DEMO_SITE_CONTROL);
}

static int
proxy_there(struct demo *d, struct err *e)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)d->ports.proxy),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)e;
	return fd != -1 && connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0
	    ? 1
	    : 0;
}

/* ---- steps: keys and daemons ----------------------------------------- */

/* All of them, before anything is made. */
static int
find_programs(struct err *e)
{
	size_t i;

	for (i = 0; i < DEMO_DAEMON__MAX; i++) {
		const char *name = demo_programs[i].program;
		AUTO(char) path =
		    name != NULL ? program_find(name, e) : program_self(e);

		if (path == NULL)
			return -1;
	}
	return 0;
}

static int
make_vendor(struct demo *d, struct err *e)
{
	AUTO(char) factory = program_find("waybill-factory", e);
	AUTO(char) dir = folder_path(&d->folder, "vendor", "");
	AUTO(char) log = folder_path(&d->folder, "factory", ".log");

	if (factory == NULL)
		return -1;
	if (program_run((char *[]){ factory, (char *)(intptr_t) "init", dir,
			    (char *)(intptr_t) "--vendor",
			    (char *)(intptr_t) "Demo Vendor", NULL },
		log, e) == -1)
		return err_prefix(e, "%s", log);
	return demo_device(&d->folder, DEMO_FIRST_DEVICE, e);
}

static const struct words loopback = { { "127.0.0.1", "::1", "localhost" }, 3 };

static int
make_ra(struct demo *d, const char *vendor, struct err *e)
{
	AUTO(char) dir = folder_path(&d->folder, "ra", "");
	char listen[64], address[64];
	struct ra_options o = { .dir = dir,
		.name = SERVICE,
		.address = address,
		.map_size = "64MiB",
		.no_masa = true,
		.hosts = loopback,
		.quiet = true };

	snprintf(listen, sizeof(listen), "tls+tcp://127.0.0.1:%u", d->ports.ra);
	snprintf(
	    address, sizeof(address), "tls+tcp://127.0.0.1:%u", d->ports.relay);
	words_add(&o.listens, listen);
	words_add(&o.vendors, vendor);
	return init_ra(&o, e);
}

static int
make_site(struct demo *d, const char *vendor, struct err *e)
{
	AUTO(char) dir = folder_path(&d->folder, "site", "");
	char listen[32], proxy[32];
	struct site_options o = { .dir = dir,
		.name = SITE,
		.map_size = "64MiB",
		.hold = "3s",
		.check_after = "1s",
		.retry_after = "1s",
		.reconnect_max = "1s",
		.hosts = loopback,
		.quiet = true };

	snprintf(listen, sizeof(listen), "127.0.0.1:%u", d->ports.registrar);
	snprintf(proxy, sizeof(proxy), "127.0.0.1:%u", d->ports.proxy);
	words_add(&o.listens, listen);
	words_add(&o.proxy_listens, proxy);
	words_add(&o.vendors, vendor);
	return init_site(&o, e);
}

static int
pair(struct demo *d, struct err *e)
{
	AUTO(char) ra = folder_path(&d->folder, "ra", "");
	AUTO(char) site = folder_path(&d->folder, "site", "");
	AUTO(char) request = path_join(site, SITE ".request");
	AUTO(char) pairing = path_join(site, SITE ".pairing");
	struct ra_options o = { .dir = ra, .quiet = true };

	if (init_ra_pair(&o, request, NULL, e) == -1)
		return -1;
	return init_site_pair(site, pairing, true, e);
}

static int
step_keys(struct demo *d, struct err *e)
{
	AUTO(char) root = folder_path(&d->folder, "vendor/vendor-root.crt", "");
	struct buf vendor AUTO_BUF = { 0 };

	buf_printf(&vendor, "demo=%s", root);
	if (make_vendor(d, e) == -1 || demo_ports_pick(&d->ports, e) == -1 ||
	    make_ra(d, buf_cstr(&vendor), e) == -1 ||
	    make_site(d, buf_cstr(&vendor), e) == -1 || pair(d, e) == -1)
		return -1;
	say(d, "made       vendor, device %s, domain CA, keys of RA and site",
	    DEMO_FIRST_DEVICE);
	return 0;
}

static int
step_start(struct demo *d, struct err *e)
{
	if (demo_supervisor_start(
		&d->folder, &d->ports, &d->supervisor, &d->leash, e) == -1 ||
	    await(d, relay_there, START_MS, "relay", "relay.log", e) == -1 ||
	    await(d, ra_there, START_MS, "RA", "ra.log", e) == -1 ||
	    await(d, registrar_there, START_MS, "registrar", "registrar.log",
		e) == -1 ||
	    await(d, proxy_there, START_MS, "proxy", "proxy.log", e) == -1)
		return -1;
	say(d,
	    "started    proxy :%u, registrar :%u, forwarder, RA :%u on "
	    "127.0.0.1; link DOWN",
	    d->ports.proxy, d->ports.registrar, d->ports.ra);
	return 0;
}

/* ---- steps: the device asks ------------------------------------------ */

/* 1 if the pledge's log has this line's beginning; it must still run. */
static int
pledge_says(struct demo *d, const char *word, struct err *e)
{
	AUTO(char) path = folder_path(&d->folder, "pledge", ".log");
	struct buf text AUTO_BUF = { 0 };
	const char *at;
	int code;

	if (file_read(path, LOG_MAX, &text, NULL) == 0)
		for (at = buf_cstr(&text); at != NULL; at = strchr(at, '\n')) {
			at += *at == '\n';
			if (str_starts(at, word))
				return 1;
		}
	if (program_wait(d->pledge, 0, &code, NULL) == -1)
		return 0;
	d->pledge = 0;
	return err_set(e, cli_kind_of_exit(code),
	    "device: ended with code %d: read %s", code, path);
}

static int
pledge_waits(struct demo *d, struct err *e)
{
	return pledge_says(d, "waiting", e);
}

/* The one entry of the site. */
static int
queue_entry(struct demo *d, json_t **ret)
{
	AUTO(char) socket = folder_path(&d->folder, DEMO_SITE_CONTROL, "");
	AUTO(json_t) j = NULL;
	json_t *en;
	int status = 0;

	j = control_call(
	    socket, "GET", "/v1/queue?first=0&max=1", NULL, &status, NULL);
	en = json_array_get(json_object_get(j, "entries"), 0);
	if (status != 200 || en == NULL)
		return 0;
	*ret = json_incref(en);
	return 1;
}

static const char *
text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "-";
}

static int
entry_queued(struct demo *d, struct err *e)
{
	AUTO(json_t) en = NULL;

	(void)e;
	if (queue_entry(d, &en) == 0 ||
	    strcmp(text_of(en, "state"), "queued") != 0)
		return 0;
	str_copy(d->id, sizeof(d->id), text_of(en, "id"));
	return 1;
}

static int
step_ask(struct demo *d, struct err *e)
{
	AUTO(char) log = folder_path(&d->folder, "pledge", ".log");
	AUTO(argv) argv = NULL;
	char proxy[32];

	snprintf(proxy, sizeof(proxy), "127.0.0.1:%u", d->ports.proxy);
	argv = demo_pledge_argv(&d->folder, DEMO_FIRST_DEVICE, proxy, e);
	if (argv == NULL ||
	    program_start(argv, log, SIGKILL, -1, &d->pledge, e) == -1 ||
	    await(d, pledge_waits, WAITING_MS, "device", "pledge.log", e) ==
		-1 ||
	    await(d, entry_queued, WAITING_MS, "queue", "registrar.log", e) ==
		-1)
		return -1;
	say(d,
	    "asks       device -> proxy -> registrar: \"waiting\"; queued as "
	    "%s",
	    d->id);
	return 0;
}

/* ---- steps: the registrar dies, the link comes ----------------------- */

static int
step_kill(struct demo *d, struct err *e)
{
	char before[ID_MAX];
	pid_t pid;

	str_copy(before, sizeof(before), d->id);
	if (demo_pid(&d->folder, "registrar", &pid, e) == -1 ||
	    program_end(pid, SIGKILL, START_MS, e) == -1 ||
	    await(d, registrar_there, START_MS, "registrar", "registrar.log",
		e) == -1 ||
	    await(d, entry_queued, START_MS, "queue", "registrar.log", e) == -1)
		return -1;
	if (strcmp(before, d->id) != 0)
		return err_set(e, ERR_DAMAGE, "%s became %s", before, d->id);
	say(d,
	    "killed     registrar, kill -9: a new one runs, %s is still there",
	    d->id);
	return 0;
}

static int
link_up(struct demo *d, struct err *e)
{
	bool up = false;

	(void)e;
	return demo_link_known(&d->folder, &up, NULL) == 0 && up ? 1 : 0;
}

static int
step_link(struct demo *d, struct err *e)
{
	bool up;

	if (demo_relay_call(&d->folder, "up", &up, e) == -1 ||
	    await(d, link_up, START_MS, "link", "forwarder.log", e) == -1)
		return -1;
	say(d, "link UP    forwarder -> RA");
	return 0;
}

/* ---- steps: the certificate ------------------------------------------ */

static int
issued(struct demo *d, struct err *e)
{
	AUTO(char) socket = folder_path(&d->folder, DEMO_RA_CONTROL, "");
	AUTO(json_t) j = NULL;
	int status = 0;

	(void)e;
	j = control_call(socket, "GET", "/v1/issued", NULL, &status, NULL);
	return status == 200 &&
		json_array_size(json_object_get(j, "issued")) == 1
	    ? 1
	    : 0;
}

static int
step_issue(struct demo *d, struct err *e)
{
	if (await(d, issued, ENROL_MS, "certificate", "ra.log", e) == -1)
		return -1;
	say(d, "issued     RA: judged %s, issued one certificate", d->id);
	return 0;
}

static int
pledge_done(struct demo *d, struct err *e)
{
	int code;

	if (program_wait(d->pledge, 0, &code, NULL) == -1)
		return 0;
	d->pledge = 0;
	if (code == 0)
		return 1;
	return err_set(e, cli_kind_of_exit(code),
	    "device: exit code %d: read %s/pledge.log", code, d->folder.dir);
}

static int
step_ldevid(struct demo *d, struct err *e)
{
	AUTO(char) path =
	    folder_path(&d->folder, "enrolled/" DEMO_FIRST_DEVICE, ".crt");
	AUTO(X509) x = NULL;
	char subject[128], serial[64];

	if (await(d, pledge_done, ENROL_MS, "device", "pledge.log", e) == -1 ||
	    (x = ossl_load_cert(path, e)) == NULL)
		return -1;
	say(d, "enrolled   device holds its LDevID: %s, serial %s",
	    cert_subject_text(x, subject, sizeof(subject)),
	    cert_serial_hex(x, serial, sizeof(serial)));
	return 0;
}

/* openssl's own word, on stdout as it came. */
static int
step_verify(struct demo *d, struct err *e)
{
	AUTO(char) root = folder_path(&d->folder, "site/domain-root.crt", "");
	AUTO(char) cert =
	    folder_path(&d->folder, "enrolled/" DEMO_FIRST_DEVICE, ".crt");
	AUTO(char) chain = folder_path(
	    &d->folder, "enrolled/" DEMO_FIRST_DEVICE, ".chain.pem");

	say(d, "openssl    verify -CAfile domain-root.crt:");
	printf("    ");
	if (program_run(
		(char *[]){ (char *)(intptr_t) "openssl",
		    (char *)(intptr_t) "verify", (char *)(intptr_t) "-CAfile",
		    root, (char *)(intptr_t) "-untrusted", chain, cert, NULL },
		NULL, e) == -1) {
		e->kind = ERR_TRUST;
		return -1;
	}
	return 0;
}

static void
print_history(const json_t *history)
{
	const json_t *r;
	size_t i;

	json_array_foreach(history, i, r)
	{
		struct buf detail AUTO_BUF = { 0 };
		const char *s = text_of(r, "detail");

		str_escape(&detail, s, strlen(s));
		printf("    %s  %-10s %-12s %s\n", text_of(r, "time"),
		    text_of(r, "event"), text_of(r, "who"), buf_cstr(&detail));
	}
}

/* Implicitly or explicitly: that the answer went out, or was confirmed. */
static int
entry_confirmed(struct demo *d, struct err *e)
{
	AUTO(json_t) en = NULL;

	(void)e;
	return queue_entry(d, &en) == 1 &&
		strcmp(text_of(en, "state"), "confirmed") == 0
	    ? 1
	    : 0;
}

static int
step_audit(struct demo *d, struct err *e)
{
	AUTO(char) socket = folder_path(&d->folder, DEMO_SITE_CONTROL, "");
	AUTO(json_t) j = NULL;
	char path[64];
	int status = 0;

	if (await(d, entry_confirmed, START_MS, "confirmation", "registrar.log",
		e) == -1)
		return -1;
	snprintf(path, sizeof(path), "/v1/queue/%s", d->id);
	if ((j = control_call(socket, "GET", path, NULL, &status, e)) == NULL)
		return -1;
	if (json_array_size(json_object_get(j, "history")) == 0)
		return err_set(e, ERR_LOCAL, "%s has no audit trail", d->id);
	say(d, "audit      of %s, %s:", d->id,
	    text_of(json_object_get(j, "entry"), "state"));
	print_history(json_object_get(j, "history"));
	return 0;
}

/* ---- its life -------------------------------------------------------- */

static int (*const steps[])(struct demo *d, struct err *e) = { step_keys,
	step_start, step_ask, step_kill, step_link, step_issue, step_ldevid,
	step_verify, step_audit };

static int
run_steps(struct demo *d, struct err *e)
{
	size_t i;

	for (i = 0; i < NELEMS(steps); i++)
		if (check_life(d, e) == -1 || steps[i](d, e) == -1)
			return -1;
	if (d->keep &&
	    (demo_env_write(&d->folder, &d->ports, e) == -1 ||
		demo_supervisor_keep(d->leash, e) == -1))
		return -1;
	return 0;
}

/* Ends what was started, unless it is to be kept. */
static int
end_processes(struct demo *d, bool keep, struct err *e)
{
	int rc = 0;

	if (d->pledge > 0) {
		rc = program_end(d->pledge, SIGKILL, STOP_MS, e);
		waitpid(d->pledge, NULL, 0);
	}
	if (d->leash != -1)
		close(d->leash);
	if (d->supervisor > 0 && !keep) {
		rc = program_end(d->supervisor, 0, STOP_MS, e);
		if (rc == -1)
			rc = program_end(d->supervisor, SIGKILL, STOP_MS, e);
		waitpid(d->supervisor, NULL, 0);
	}
	return rc;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
is_member(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* Also true if there is none yet. */
static bool
is_empty(const char *dir)
{
	struct dirent **found;
	int n = scandir(dir, &found, is_member, NULL), i;

	if (n == -1)
		return errno == ENOENT;
	for (i = 0; i < n; i++)
		free(found[i]);
	free(found);
	return n == 0;
}

static int
open_dir(struct demo *d, const char *dir, struct err *e)
{
	char made[] = "/tmp/waybill-demo-XXXXXX";

	if (dir == NULL) {
		if (mkdtemp(made) == NULL)
			return err_errno(e, ERR_LOCAL, "%s", made);
		d->temporary = !d->keep;
		return folder_open(&d->folder, made, true, e);
	}
	if (!is_empty(dir))
		return err_set(e, ERR_USAGE,
		    "%s is not an empty folder: take another, or end and "
		    "remove it (waybill demo stop --dir %s)",
		    dir, dir);
	return folder_open(&d->folder, dir, true, e);
}

static void
tell_end(const struct demo *d)
{
	uint64_t ms = clock_mono_ms() - d->begun;

	printf("\nDone in %llu.%llu s.", (unsigned long long)(ms / 1000),
	    (unsigned long long)(ms % 1000 / 100));
	if (d->keep)
		printf("  It keeps running:\n"
		       "  . %s/env\n"
		       "  waybill demo link up|down, demo device NAME, demo "
		       "stop: all with --dir %s",
		    d->folder.dir, d->folder.dir);
	else if (!d->temporary)
		printf("  All of it is in %s", d->folder.dir);
	putchar('\n');
}

static void
catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

int
demo_run(const char *dir, bool keep, struct err *e)
{
	struct demo d = { .keep = keep, .leash = -1, .begun = clock_mono_ms() };
	struct err end = ERR_INIT;
	int rc;

	catch_signals();
	if (find_programs(e) == -1 || open_dir(&d, dir, e) == -1)
		return -1;
	rc = run_steps(&d, e);
	if (end_processes(&d, keep && rc == 0, &end) == -1 && rc == 0) {
		*e = end;
		rc = -1;
	}
	/* What failed is to be looked at; what was stopped is not. */
	if (d.temporary && (rc == 0 || interrupted != 0))
		nftw(d.folder.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	else if (rc == -1)
		printf("    what it left is in %s\n", d.folder.dir);
	if (rc == 0)
		tell_end(&d);
	folder_close(&d.folder);
	return rc;
}
