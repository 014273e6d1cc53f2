#include "tests/bench/site.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/sys/control.h"
#include "tests/bench/bench.h"

#define NAME	"bench"
#define WAIT_US 20e6
#define TURN_US 1000
#define SITES	4 /* open at a time */
#define ARGS	24

/* What a load of thousands must not run into. */
#define SITE_LIMITS \
	"limits: {connections: 16384, device-connections: 64, " \
	"device-requests: 100000, nameless-requests: 100000, " \
	"device-open: 0, device-hour: 0, vendor-open: 0, open: 0}\n"

static const struct {
	const char *folder, *name; /* of the program, in the build */
	const char *conf;	   /* in the site's folder */
} programs[SITE__MAX] = {
	[SITE_REGISTRAR] = { "registrar", "waybill-registrar",
	    "site/registrar.yaml" },
	[SITE_RA] = { "ra", "waybill-ra", "ra/ra.yaml" },
	[SITE_FORWARDER] = { "forwarder", "waybill-forwarder",
	    "site/forwarder.yaml" },
};

/* ---- files and processes ------------------------------------------------- */

static char *__attribute__((format(printf, 1, 2))) text(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) == -1)
		bench_fail("no memory");
	va_end(ap);
	return s;
}

/* Ours is BUILD/tests/bench/NAME. */
static char *
built(const char *folder, const char *name)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int i;

	if (n == -1)
		bench_fail("/proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	for (i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	return text("%s/%s/%s", self, folder, name);
}

static _Noreturn void
child(char *const argv[], const char *log, pid_t parent)
{
	int out = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (out == -1 || dup2(out, STDOUT_FILENO) == -1 ||
	    dup2(out, STDERR_FILENO) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent)
		_exit(127);
	signal(SIGPIPE, SIG_DFL);
	setenv("WAYBILL_CLOCK", "sync", 0);
	execv(argv[0], argv);
	_exit(127);
}

static pid_t
begin(const struct site *s, char *const argv[], const char *name)
{
	AUTO(char) log = text("%s/%s.log", s->dir, name);
	pid_t parent = getpid(), pid;

	fflush(NULL);
	if ((pid = fork()) == -1)
		bench_fail("fork: %s", strerror(errno));
	if (pid == 0)
		child(argv, log, parent);
	return pid;
}

/* True if it has ended within the time. */
static bool
ended(pid_t pid, double us, int *ret_status)
{
	double until = bench_now() + us;

	while (waitpid(pid, ret_status, WNOHANG) != pid) {
		if (bench_now() > until)
			return false;
		usleep(TURN_US);
	}
	return true;
}

/* A command of ours, its words up to NULL. */
static void
run(const struct site *s, const char *folder, const char *name, ...)
{
	AUTO(char) path = built(folder, name);
	char *argv[ARGS] = { path };
	size_t n = 1;
	va_list ap;
	int status;
	pid_t pid;

	va_start(ap, name);
	while (n < ARGS - 1 && (argv[n] = va_arg(ap, char *)) != NULL)
		n++;
	va_end(ap);
	pid = begin(s, argv, "init");
	if (!ended(pid, WAIT_US, &status)) {
		kill(pid, SIGKILL);
		bench_fail("%s %s: takes too long", name, argv[1]);
	}
	if (status != 0)
		bench_fail("%s %s: failed: see %s", name, argv[1], s->dir);
}

static unsigned
free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd == -1 || bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) == -1)
		bench_fail("no free port: %s", strerror(errno));
	close(fd);
	return ntohs(a.sin_port);
}

static bool
listens(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool up;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	up = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return up;
}

/* ---- the house ----------------------------------------------------------- */

static struct site *open_sites[SITES];

static int
forget(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Also of a bench that has failed: children end with us, the folder does not.
 * */
static void
clear_all(void)
{
	for (size_t i = 0; i < SITES; i++)
		if (open_sites[i] != NULL)
			nftw(open_sites[i]->dir, forget, 16,
			    FTW_DEPTH | FTW_PHYS);
}

static void
folder_make(struct site *s)
{
	static bool clears;
	const char *tmp = getenv("TMPDIR");
	size_t i;

	snprintf(s->dir, sizeof(s->dir), "%s/wbb.XXXXXX",
	    tmp != NULL && strlen(tmp) < 40 ? tmp : "/tmp");
	if (mkdtemp(s->dir) == NULL)
		bench_fail("%s: %s", s->dir, strerror(errno));
	if (!clears)
		atexit(clear_all);
	clears = true;
	for (i = 0; i < SITES && open_sites[i] != NULL;)
		i++;
	if (i == SITES)
		bench_fail("more than %d sites at a time", SITES);
	open_sites[i] = s;
}

static void
house_make(struct site *s, const struct site_want *w)
{
	AUTO(char) maker = text("%s/maker", s->dir);
	AUTO(char) ra = text("%s/ra", s->dir);
	AUTO(char) site = text("%s/site", s->dir);
	AUTO(char) vendor = text("acme=%s/vendor-root.crt", maker);
	AUTO(char) listen = text("127.0.0.1:%u", s->port);
	AUTO(char) link = text("tls+tcp://127.0.0.1:%u", s->ra_port);
	AUTO(char) away = text("tls+tcp://127.0.0.1:%u", free_port());
	AUTO(char) request = text("%s/" NAME ".request", site);
	AUTO(char) pairing = text("%s/" NAME ".pairing", site);
	const char *map = w->map_size != NULL ? w->map_size : "256MiB";

	run(s, "manufacturer", "waybill-factory", "init", maker, "--masa-url",
	    "https://masa.example", NULL);
	run(s, "cli", "waybill", "init", "ra", ra, "--host", "127.0.0.1",
	    "--listen", link, "--address", link, "--masa-listen", away,
	    "--masa-address", away, "--map-size", map, "--vendor", vendor,
	    NULL);
	run(s, "cli", "waybill", "init", "site", site, "--name", NAME, "--host",
	    "127.0.0.1", "--listen", listen, "--map-size", map, "--vendor",
	    vendor, "--reconnect-max", "1s", NULL);
	run(s, "cli", "waybill", "init", "ra", ra, "--pair", request, NULL);
	run(s, "cli", "waybill", "init", "site", site, "--pair", pairing, NULL);
}

/* What `init` has no words for. */
static void
conf_add(const struct site *s, const struct site_want *w)
{
	AUTO(char) path = text("%s/%s", s->dir, programs[SITE_REGISTRAR].conf);
	FILE *f = fopen(path, "ae");

	if (f == NULL ||
	    fprintf(f, "threads: %u\n" SITE_LIMITS "%s",
		w->threads > 0 ? w->threads : 1,
		w->more != NULL ? w->more : "") < 0 ||
	    fclose(f) == EOF)
		bench_fail("%s: %s", path, strerror(errno));
}

void
site_open(struct site *s, const struct site_want *w)
{
	AUTO(char) key = NULL;
	AUTO(char) cert = NULL;
	AUTO(char) registrar = NULL;
	struct err e = ERR_INIT;

	*s = (struct site){ .port = free_port(), .ra_port = free_port() };
	signal(SIGPIPE, SIG_IGN);
	folder_make(s);
	house_make(s, w);
	conf_add(s, w);
	key = text("%s/maker/vendor-sub.key", s->dir);
	cert = text("%s/maker/vendor-sub.crt", s->dir);
	registrar = text("%s/site/registrar.crt", s->dir);
	s->control = text("%s/site/control.sock", s->dir);
	s->ra_control = text("%s/ra/control.sock", s->dir);
	s->maker = signer_load(key, cert, &e);
	s->registrar = ossl_load_cert(registrar, &e);
	if (s->maker == NULL || s->registrar == NULL)
		bench_fail("site: %s", e.msg);
}

void
site_close(struct site *s)
{
	for (int p = SITE__MAX - 1; p >= 0; p--)
		site_stop(s, (enum site_program)p);
	nftw(s->dir, forget, 16, FTW_DEPTH | FTW_PHYS);
	for (size_t i = 0; i < SITES; i++)
		if (open_sites[i] == s)
			open_sites[i] = NULL;
	signer_free(s->maker);
	X509_free(s->registrar);
	free(s->control);
	free(s->ra_control);
	*s = (struct site){ 0 };
}

/* ---- who runs ------------------------------------------------------------ */

static json_t *
ask(const char *socket, const char *path)
{
	struct err e = ERR_INIT;
	int status;
	json_t *j = control_call(socket, "GET", path, NULL, &status, &e);

	if (j == NULL || status != 200)
		bench_fail("%s %s: %s", socket, path,
		    j == NULL ? e.msg : "no status 200");
	return j;
}

/* The registrar says so of the service that answers requests. */
static bool
link_up(const struct site *s)
{
	AUTO(json_t) j = ask(s->control, "/v1/status");
	const json_t *ra = json_array_get(json_object_get(j, "services"), 0);
	const char *link = json_string_value(json_object_get(ra, "link"));

	return link != NULL && strcmp(link, "up") == 0;
}

static bool
serves(const struct site *s, enum site_program p)
{
	if (p == SITE_FORWARDER)
		return link_up(s);
	return listens(p == SITE_RA ? s->ra_port : s->port) &&
	    access(p == SITE_RA ? s->ra_control : s->control, F_OK) == 0;
}

void
site_start(struct site *s, enum site_program p)
{
	AUTO(char) path = built(programs[p].folder, programs[p].name);
	AUTO(char) conf = text("%s/%s", s->dir, programs[p].conf);
	char *argv[] = { path, (char *)(intptr_t) "--config", conf, NULL };
	double until = bench_now() + WAIT_US;
	int status;

	s->pids[p] = begin(s, argv, programs[p].name);
	while (!serves(s, p)) {
		if (waitpid(s->pids[p], &status, WNOHANG) == s->pids[p])
			bench_fail("%s ended at its start", programs[p].name);
		if (bench_now() > until)
			bench_fail("%s does not serve", programs[p].name);
		usleep(TURN_US);
	}
}

void
site_stop(struct site *s, enum site_program p)
{
	pid_t pid = s->pids[p];
	int status;

	if (pid == 0)
		return;
	s->pids[p] = 0;
	kill(pid, SIGTERM);
	if (!ended(pid, WAIT_US, &status)) {
		kill(pid, SIGKILL);
		bench_fail("%s does not end", programs[p].name);
	}
	if (status != 0)
		bench_fail("%s ended with status %x", programs[p].name,
		    (unsigned)status);
}

pid_t
site_ca_child(const struct site *s)
{
	AUTO(char) path = text("/proc/%d/task/%d/children",
	    (int)s->pids[SITE_RA], (int)s->pids[SITE_RA]);
	FILE *f = fopen(path, "re");
	int pid = 0;

	if (f == NULL || fscanf(f, "%d", &pid) != 1)
		bench_fail("%s: no child", path);
	fclose(f);
	return pid;
}

size_t
site_entries(const struct site *s, const char *state)
{
	AUTO(json_t) j = ask(s->control, "/v1/status");

	return (size_t)json_integer_value(
	    json_object_get(json_object_get(j, "states"), state));
}
