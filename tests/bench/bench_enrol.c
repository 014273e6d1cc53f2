/*
 * Rows about enrolments: what one costs the registrar until the device is told
 * to wait, and a poll; what a second event base adds; what the RA needs to
 * judge and issue; how long devices wait for their first answer.
 *
 *   bench_enrol [--quick] [--calls] [ROW...]
 *
 * With --calls each call of the ceilings is told on stderr.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/str.h"
#include "tests/bench/bench_tls.h"
#include "tests/bench/enrol_calls.h"
#include "tests/bench/enrol_talk.h"

#define AT_ONCE	    64
#define SAMPLE	    5 /* one device in so many makes the calls alone */
#define WAIT_US	    60e6
#define LEVELS	    5
#define PREFIX_MAX  24
#define POLL_TYPE   "application/pkixcmp"
#define POLL_OCTETS 1200

struct run {
	int argc;
	char **argv;
	bool quick, calls;
	unsigned devices; /* so far: no name is given twice */
};

static bool
wanted(const struct run *b, const char *name)
{
	return bench_wanted(b->argc, b->argv, name);
}

static struct talks *
devices(struct run *b, const struct site *s, size_t n, bool voucher)
{
	char prefix[PREFIX_MAX];

	if (b->quick)
		n = n / 10 + 1;
	snprintf(prefix, sizeof(prefix), "D%u", b->devices++);
	return talks_new(s, prefix, n, voucher);
}

/* The registrar's processor time for each device, in us. */
static double
registrar_cpu(const struct site *s, struct talks *t, enum talk what,
    unsigned at_once, struct load_sum *ret)
{
	double before = bench_cpu(s->pids[SITE_REGISTRAR]);

	talks_run(s, t, what, at_once, ret);
	return (bench_cpu(s->pids[SITE_REGISTRAR]) - before) /
	    (double)talks_n(t);
}

typedef double calls_fn(struct enrol_calls *c, const struct enrol_input *in);

/* Of a part of the devices, the mean. */
static double
calls_cpu(struct enrol_calls *c, const struct talks *t, calls_fn *fn)
{
	double us = 0;
	size_t n = 0;

	for (size_t i = 0; i < talks_n(t); i += SAMPLE, n++) {
		struct enrol_input in = talks_input(t, i);

		us += fn(c, &in);
	}
	return us / (double)n;
}

static void
add_rates(struct bench_row *r, double us, double ceiling_us)
{
	bench_add(r,
	    (struct bench_round){ .value = 1e6 / us,
		.ceiling = 1e6 / ceiling_us,
		.cpu_us = us,
		.ceiling_cpu_us = ceiling_us });
}

static void
add_figure(struct bench_row *r, double value, double cpu_us)
{
	bench_add(r, (struct bench_round){ .value = value, .cpu_us = cpu_us });
}

/* Of a table of rows that are measured together, those asked for. */
static void
tell(const struct run *b, const struct bench_row *r)
{
	if (wanted(b, r->name))
		bench_tell(r, stdout);
}

/* As long as a pollRep. */
static char *
poll_body(void)
{
	char *text = xcalloc(1, POLL_OCTETS + 1);

	memset(text, 'x', POLL_OCTETS);
	return text;
}

/* ---- enrol-accept, poll-fresh, enrolments --------------------------------- */

/* Of a bare server, for one connection of each device. */
static double
handshake_cpu(struct tls_bench *b, const struct server *bare, struct talks *t)
{
	AUTO(load) l = load_new(bare->port);
	struct tls_talk k;
	double us;

	b->devices = talks_signers(t);
	b->n_devices = talks_n(t);
	tls_talk_new(b, b->n_devices, TLS_FRESH, 1, &k);
	us = tls_talk_run(&k, l, bare->pid, AT_ONCE, "ceiling_epoll", NULL);
	tls_talk_done(&k);
	return us;
}

static void
poll_round(struct tls_bench *tls, const struct server *bare,
    struct enrol_calls *c, struct talks *t, struct bench_row *poll)
{
	struct load_sum sum = { 0 };
	double us, ceiling_us;

	talks_prepare_polls(t);
	us = registrar_cpu(&tls->site, t, TALK_POLL, AT_ONCE, &sum);
	ceiling_us =
	    handshake_cpu(tls, bare, t) + calls_cpu(c, t, enrol_calls_poll);
	add_rates(poll, us, ceiling_us);
	load_sum_done(&sum);
}

static void
accept_rounds(struct run *b, struct tls_bench *tls, struct enrol_calls *c,
    struct bench_row *enrol, struct bench_row *poll, struct bench_row *rate)
{
	struct server bare = tls_ceiling_start(tls, "ceiling_epoll");

	for (int i = 0; i < BENCH_ROUNDS; i++) {
		AUTO(talks) t = devices(b, &tls->site, 300, true);
		struct load_sum sum = { 0 };
		double us =
		    registrar_cpu(&tls->site, t, TALK_ENROL, AT_ONCE, &sum);

		add_rates(enrol, us, calls_cpu(c, t, enrol_calls_accept));
		add_figure(rate, (double)talks_n(t) * 1e6 / sum.us, us);
		load_sum_done(&sum);
		poll_round(tls, &bare, c, t, poll);
	}
	tls_kill(bare.pid);
}

static void
accept_rows(struct run *b)
{
	struct site_want want = { .threads = 1 };
	struct bench_row enrol = { .name = "enrol-accept",
		.what = "voucher request and ir, to waiting; 1 s of a core",
		.unit = "1/s",
		.against = "the sum of its library calls",
		.target = 0.80 };
	struct bench_row poll = { .name = "poll-fresh",
		.what = "pollReq on a fresh connection; 1 s of a core",
		.unit = "1/s",
		.against = "a bare mutual handshake, one sign, one verify",
		.target = 0.80 };
	struct bench_row rate = { .name = "enrolments",
		.what = "the same by the clock, one base, its clients beside",
		.unit = "1/s" };
	struct tls_bench tls = { .type = POLL_TYPE };
	AUTO(enrol_calls) c = NULL;

	if (!wanted(b, enrol.name) && !wanted(b, poll.name) &&
	    !wanted(b, rate.name))
		return;
	site_open(&tls.site, &want);
	site_start(&tls.site, SITE_REGISTRAR);
	c = enrol_calls_new(&tls.site);
	tls.body = poll_body();
	accept_rounds(b, &tls, c, &enrol, &poll, &rate);
	enrol.peak_kb = bench_memory(tls.site.pids[SITE_REGISTRAR], "VmHWM");
	site_close(&tls.site);
	free(tls.body);
	tell(b, &enrol);
	tell(b, &poll);
	tell(b, &rate);
	if (b->calls)
		enrol_calls_list(c, stderr);
}

/* ---- two-bases -------------------------------------------------------------- */

static double
bases_round(struct run *b, const struct site *s)
{
	AUTO(talks) t = devices(b, s, 200, true);
	struct load_sum sum = { 0 };
	double us = registrar_cpu(s, t, TALK_ENROL, AT_ONCE, &sum);

	load_sum_done(&sum);
	return us;
}

static void
bases_row(struct run *b)
{
	struct site_want want = { .threads = 1 };
	struct bench_row row = { .name = "two-bases",
		.what = "registrar's time for an enrolment, 2 bases",
		.unit = "us",
		.against = "1 base",
		.target = 1.15,
		.at_most = true };
	struct site one, two;

	if (!wanted(b, row.name))
		return;
	site_open(&one, &want);
	want.threads = 2;
	site_open(&two, &want);
	site_start(&one, SITE_REGISTRAR);
	site_start(&two, SITE_REGISTRAR);
	for (int i = 0; i < BENCH_ROUNDS; i++) {
		double with_two = bases_round(b, &two);
		double with_one = bases_round(b, &one);

		bench_add(&row,
		    (struct bench_round){ .value = with_two,
			.ceiling = with_one,
			.cpu_us = with_two,
			.ceiling_cpu_us = with_one });
	}
	site_close(&one);
	site_close(&two);
	bench_tell(&row, stdout);
}

/* ---- ra-issue --------------------------------------------------------------- */

static double
ra_cpu(const struct site *s)
{
	return bench_cpu(s->pids[SITE_RA]) + bench_cpu(site_ca_child(s));
}

static void
await_answers(const struct site *s, size_t n)
{
	double until = bench_now() + WAIT_US;

	while (site_entries(s, "answered") < n) {
		if (bench_now() > until)
			bench_fail("ra-issue: %zu of %zu answered",
			    site_entries(s, "answered"), n);
		usleep(20000);
	}
}

/* They queue while the link is down, then it comes up. */
static double
issue_round(struct site *s, struct talks *t, size_t *done)
{
	struct load_sum sum = { 0 };
	double us;

	talks_run(s, t, TALK_ENROL, AT_ONCE, &sum);
	load_sum_done(&sum);
	*done += talks_n(t);
	us = ra_cpu(s);
	site_start(s, SITE_FORWARDER);
	await_answers(s, *done);
	us = ra_cpu(s) - us;
	site_stop(s, SITE_FORWARDER);
	return us / (double)talks_n(t);
}

static void
issue_row(struct run *b)
{
	struct site_want want = { .threads = 1 };
	struct bench_row row = { .name = "ra-issue",
		.what = "RA and CA child: a case judged and issued; 1 s of a "
			"core",
		.unit = "1/s",
		.against = "its sign and verify calls",
		.target = 0.80 };
	AUTO(enrol_calls) c = NULL;
	struct site s;
	size_t done = 0;

	if (!wanted(b, row.name))
		return;
	site_open(&s, &want);
	site_start(&s, SITE_RA);
	site_start(&s, SITE_REGISTRAR);
	c = enrol_calls_new(&s);
	for (int i = 0; i < BENCH_ROUNDS; i++) {
		AUTO(talks) t = devices(b, &s, 300, false);
		double us = issue_round(&s, t, &done);

		add_rates(&row, us, calls_cpu(c, t, enrol_calls_issue));
	}
	row.peak_kb = bench_memory(s.pids[SITE_RA], "VmHWM");
	site_close(&s);
	bench_tell(&row, stdout);
	if (b->calls)
		enrol_calls_list(c, stderr);
}

/* ---- latency ---------------------------------------------------------------- */

static const struct level {
	unsigned at_once, n;
	const char *p50, *p99, *what50, *what99;
} levels[LEVELS] = {
#define LEVEL(k, devices) \
	{ \
		k, devices, "enrol-" #k "-p50", "enrol-" #k "-p99", \
		    "connect to waiting, " #k " at once: p50", \
		    "connect to waiting, " #k " at once: p99" \
	}
	LEVEL(1, 60),
	LEVEL(4, 100),
	LEVEL(16, 160),
	LEVEL(64, 200),
	LEVEL(256, 256),
};

static void
latency_level(struct run *b, struct site *s, const struct level *l)
{
	struct bench_row p50 = {
		.name = l->p50, .what = l->what50, .unit = "us"
	};
	struct bench_row p99 = {
		.name = l->p99, .what = l->what99, .unit = "us"
	};

	for (int i = 0; i < BENCH_ROUNDS; i++) {
		AUTO(talks) t = devices(b, s, l->n, false);
		struct load_sum sum = { 0 };
		double us = registrar_cpu(s, t, TALK_ENROL, l->at_once, &sum);

		add_figure(
		    &p50, bench_percentile(sum.fresh_us, sum.n_fresh, 50), us);
		add_figure(
		    &p99, bench_percentile(sum.fresh_us, sum.n_fresh, 99), us);
		load_sum_done(&sum);
	}
	p99.peak_kb = bench_memory(s->pids[SITE_REGISTRAR], "VmHWM");
	tell(b, &p50);
	tell(b, &p99);
}

static void
latency_rows(struct run *b)
{
	struct site_want want = { .threads = 2 };
	bool any = false;
	struct site s;

	for (size_t i = 0; i < LEVELS; i++)
		any =
		    any || wanted(b, levels[i].p50) || wanted(b, levels[i].p99);
	if (!any)
		return;
	site_open(&s, &want);
	site_start(&s, SITE_REGISTRAR);
	for (size_t i = 0; i < LEVELS; i++)
		if (wanted(b, levels[i].p50) || wanted(b, levels[i].p99))
			latency_level(b, &s, &levels[i]);
	site_close(&s);
}

int
main(int argc, char **argv)
{
	struct run b = {
		.argc = argc, .argv = argv, .quick = bench_quick(argc, argv)
	};

	for (int i = 1; i < argc; i++)
		b.calls = b.calls || strcmp(argv[i], "--calls") == 0;
	load_descriptors();
	accept_rows(&b);
	bases_row(&b);
	issue_row(&b);
	latency_rows(&b);
	return 0;
}
