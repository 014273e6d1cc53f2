/*
 * A queue drains: a registrar, a forwarder and an RA as they are, over TLS,
 * until the RA's receipts are on the disk of both.  The RA does not judge
 * meanwhile: it has no clock, so it waits (rule 5).
 *
 *   bench_link [--quick] [drain]
 *
 * Held against nng alone: requests of 2 KiB by the same engine, between two
 * processes, on the same two cores.  A PUT is half as long again, and its
 * receipt six times as long as the reply there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "tests/bench/bench.h"
#include "tests/bench/ceiling_nng.h"
#include "tests/bench/site.h"

#define ROUNDS	 5
#define LIMIT_US 60e6
#define LOOK_US	 10000

/* A process of ours with whom a line is exchanged. */
struct peer {
	pid_t pid;
	FILE *to, *from;
};

/* From where this program stands. */
static char *
beside(const char *path)
{
	char self[PATH_MAX], *all = NULL;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		bench_fail("/proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	if (asprintf(&all, "%s/%s", self, path) == -1)
		bench_fail("no memory");
	return all;
}

static void
peer_start(struct peer *p, char *const argv[])
{
	int to[2], from[2];
	pid_t parent = getpid();

	if (pipe2(to, O_CLOEXEC) == -1 || pipe2(from, O_CLOEXEC) == -1)
		bench_fail("pipe: %s", strerror(errno));
	fflush(NULL);
	if ((p->pid = fork()) == -1)
		bench_fail("fork: %s", strerror(errno));
	if (p->pid == 0) {
		if (dup2(to[0], STDIN_FILENO) == -1 ||
		    dup2(from[1], STDOUT_FILENO) == -1 ||
		    prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 ||
		    getppid() != parent)
			_exit(127);
		execv(argv[0], argv);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	p->to = fdopen(to[1], "w");
	p->from = fdopen(from[0], "r");
}

static void
peer_hear(struct peer *p, char *line, size_t size)
{
	if (fgets(line, (int)size, p->from) == NULL)
		bench_fail("ceiling_nng ended");
	line[strcspn(line, "\n")] = '\0';
}

static void
peer_stop(struct peer *p)
{
	int status;

	fclose(p->to);
	fclose(p->from);
	if (waitpid(p->pid, &status, 0) != p->pid || status != 0)
		bench_fail("ceiling_nng: status %x", (unsigned)status);
}

/* ---- nng alone ------------------------------------------------------------ */

struct ceiling {
	struct peer server, client;
};

static void
ceiling_start(const struct site *s, struct ceiling *c)
{
	AUTO(char) program = beside("ceiling_nng");
	AUTO(char) ca = path_join(s->dir, "site/link-ca.crt");
	AUTO(char) key = path_join(s->dir, "ra/link.key");
	AUTO(char) cert = path_join(s->dir, "ra/link.crt");
	AUTO(char) site_key = path_join(s->dir, "site/link.key");
	AUTO(char) site_cert = path_join(s->dir, "site/link.crt");
	char serve[] = "serve", ask[] = "ask", port[16];
	char *server[] = { program, serve, key, cert, ca, NULL };
	char *client[] = { program, ask, site_key, site_cert, ca, port, NULL };

	peer_start(&c->server, server);
	peer_hear(&c->server, port, sizeof(port));
	peer_start(&c->client, client);
}

static void
ceiling_stop(struct ceiling *c)
{
	peer_stop(&c->client);
	peer_stop(&c->server);
}

/* Microseconds of wall clock for n, and of both processes for one. */
static double
ceiling_run(struct ceiling *c, long n, double *ret_cpu)
{
	double cpu = bench_cpu(c->server.pid) + bench_cpu(c->client.pid);
	char line[32];

	fprintf(c->client.to, "%ld\n", n);
	fflush(c->client.to);
	peer_hear(&c->client, line, sizeof(line));
	*ret_cpu = (bench_cpu(c->server.pid) + bench_cpu(c->client.pid) - cpu) /
	    (double)n;
	return strtod(line, NULL);
}

/* ---- the drain ------------------------------------------------------------ */

/* Genuine requests, each of a device of its own, as the registrar would have
 * taken them; it is stopped. */
static void
fill(const struct site *s, unsigned n)
{
	AUTO(char) program = beside("../fault/queue_fill");
	AUTO(char) conf = path_join(s->dir, "site/registrar.yaml");
	AUTO(char) maker = path_join(s->dir, "maker");
	char word[] = "fill", count[16];
	char *argv[] = { program, word, conf, maker, count, NULL };
	struct peer p;
	int status;

	snprintf(count, sizeof(count), "%u", n);
	peer_start(&p, argv);
	if (waitpid(p.pid, &status, 0) != p.pid || status != 0)
		bench_fail("queue_fill: status %x", (unsigned)status);
	fclose(p.to);
	fclose(p.from);
}

/* Of which the RA's word has not come. */
static size_t
waiting(const struct site *s)
{
	return site_entries(s, "queued") + site_entries(s, "in-flight");
}

struct cpu {
	double us[SITE__MAX];
};

static struct cpu
drain_cpu(const struct site *s)
{
	struct cpu c;

	for (int p = 0; p < SITE__MAX; p++)
		c.us[p] = bench_cpu(s->pids[p]);
	return c;
}

/* Of all three for one entry; each is told on stderr. */
static double
cpu_each(const struct cpu *from, const struct cpu *to, size_t n)
{
	static const char *const names[SITE__MAX] = {
		[SITE_REGISTRAR] = "registrar",
		[SITE_RA] = "RA",
		[SITE_FORWARDER] = "forwarder",
	};
	double sum = 0, us;

	fprintf(stderr, "link: %zu entries, processor time of each:", n);
	for (int p = 0; p < SITE__MAX; p++) {
		us = (to->us[p] - from->us[p]) / (double)n;
		fprintf(stderr, " %s %.0f us", names[p], us);
		sum += us;
	}
	fputc('\n', stderr);
	return sum;
}

/* With the link up, until at least n more have their receipt: how many. */
static size_t
drain(const struct site *s, size_t n, double *ret_us, double *ret_cpu)
{
	size_t before, now;
	struct cpu from, to;
	double start;

	before = now = waiting(s);
	start = bench_now();
	from = drain_cpu(s);
	while (now + n > before) {
		if (bench_now() - start > LIMIT_US)
			bench_fail("drain: %zu of %zu are left", now, before);
		usleep(LOOK_US);
		now = waiting(s);
	}
	*ret_us = bench_now() - start;
	to = drain_cpu(s);
	*ret_cpu = cpu_each(&from, &to, before - now);
	return before - now;
}

static void
round_of(struct site *s, struct ceiling *c, struct bench_row *r, unsigned n)
{
	struct bench_round x;
	double us, cpu;
	size_t done;

	site_start(s, SITE_FORWARDER);
	done = drain(s, n, &us, &cpu);
	site_stop(s, SITE_FORWARDER);
	x.value = (double)done * 1e6 / us;
	x.cpu_us = cpu;
	us = ceiling_run(c, 10L * n, &x.ceiling_cpu_us);
	x.ceiling = 10.0 * n * 1e6 / us;
	bench_add(r, x);
}

/* Nobody is lost: those of which no receipt was verified are still there.  What
 * the registrar asks on its own account comes on top. */
static void
check(const struct site *s, unsigned all, unsigned drained)
{
	size_t custody = site_entries(s, "custody"), left = waiting(s);

	if (custody + left < all || custody < drained)
		bench_fail("drain: %zu in custody, %zu waiting, of %u", custody,
		    left, all);
}

int
main(int argc, char *argv[])
{
	struct bench_row r = { .name = "drain",
		.what = "queued entries that reach an RA, receipts durable",
		.unit = "1/s",
		.against = "nng alone, the same TLS, 64 outstanding",
		.target = 0.30 };
	struct site_want want = { .map_size = "512MiB" };
	unsigned n = bench_quick(argc, argv) ? 150 : 1500;
	unsigned all = n * (ROUNDS + 3);
	struct ceiling c;
	struct site s;

	if (!bench_wanted(argc, argv, r.name))
		return 0;
	site_open(&s, &want);
	fill(&s, all);
	site_start(&s, SITE_REGISTRAR);
	setenv("WAYBILL_CLOCK", "none", 1);
	site_start(&s, SITE_RA);
	unsetenv("WAYBILL_CLOCK");
	ceiling_start(&s, &c);
	while (r.n < ROUNDS)
		round_of(&s, &c, &r, n);
	check(&s, all, ROUNDS * n);
	r.peak_kb = bench_memory(s.pids[SITE_RA], "VmHWM");
	ceiling_stop(&c);
	site_close(&s);
	bench_tell(&r, stdout);
	return 0;
}
