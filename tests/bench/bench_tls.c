/*
 * The bench's rows about connections: handshakes, answers on a kept one, memory
 * of those that idle, slow ones beside good ones, many at once.
 *
 *   bench_tls [--quick] [ROW...]
 */
#include "tests/bench/bench_tls.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/str.h"

#define DEVICES	  1000
#define GROUP_MAX 10

#define LATENCY(n) \
	{ .name = "latency-" #n "-p50", \
		.what = "handshake and answer, " #n " clients at once, p50", \
		.unit = "ms" }, \
	{ \
		.name = "latency-" #n "-p99", .what = "the same, p99", \
		.unit = "ms" \
	}

/* Rows that are measured together. */
static struct group {
	void (*measure)(struct tls_bench *t, struct bench_row *rows);
	struct bench_row rows[GROUP_MAX];
} groups[] = {
	{ tls_handshake,
	    { { .name = "tls-handshake",
		.what = "mutual TLS 1.3 handshake and the smallest answer, "
			"a core",
		.unit = "1/s",
		.against = "bare epoll and OpenSSL",
		.target = 0.90 } } },
	{ tls_kept_answer,
	    { { .name = "kept-answer",
		.what = "an answer on a kept connection, a core",
		.unit = "1/s",
		.against = "an empty evhttp over TLS",
		.target = 0.70 } } },
	{ tls_genm,
	    { { .name = "kept-genm",
		.what = "a genm verified, told and signed, a core",
		.unit = "1/s" } } },
	{ tls_idle_resident,
	    { { .name = "idle-resident",
		  .what = "registrar just started, resident",
		  .unit = "kB",
		  .target = 12288,
		  .at_most = true },
		{ .name = "idle-anonymous",
		    .what = "of it its own",
		    .unit = "kB" },
		{ .name = "idle-file",
		    .what = "of it files",
		    .unit = "kB" } } },
	{ tls_idle_connection,
	    { { .name = "idle-connection",
		  .what = "memory of an idle mutual TLS connection",
		  .unit = "kB",
		  .target = 26,
		  .at_most = true },
		{ .name = "idle-connection-bare",
		    .what = "the same of bare epoll and OpenSSL",
		    .unit = "kB" } } },
	{ tls_slow_beside,
	    { { .name = "slow-beside",
		.what = "p99 of a good device beside 1000 slow ones",
		.unit = "us",
		.against = "alone",
		.target = 2,
		.at_most = true } } },
	{ tls_latency,
	    { LATENCY(1), LATENCY(4), LATENCY(16), LATENCY(64),
		LATENCY(256) } },
	{ tls_herd,
	    { { .name = "herd-last",
		  .what = "1000 devices poll at once, until the last is told",
		  .unit = "ms" },
		{ .name = "herd-p99",
		    .what = "the same, p99",
		    .unit = "ms" } } },
};

/* ---- what all rows ask ----------------------------------------------------- */

static enum load_next
learn(void *arg, int status, struct bytes body, struct buf *request)
{
	struct tls_bench *t = arg;

	if (status == 0) {
		load_request(
		    request, "GET", TLS_PATH, NULL, bytes_of(NULL, 0), true);
		return LOAD_SEND;
	}
	if (status != 200 || body.len == 0)
		return LOAD_WRONG;
	t->body = xcalloc(1, body.len + 1);
	memcpy(t->body, body.p, body.len);
	return LOAD_END;
}

static void
tls_open(struct tls_bench *t)
{
	/* An RA that has just begun may publish after it was asked: again. */
	struct site_want want = { .threads = 1, .more = "reference: 1s\n" };
	struct load_client c = { NULL, learn, t };
	struct load_pace pace = { .seconds = TLS_SECONDS };
	struct load_sum sum;
	struct load *l;

	site_open(&t->site, &want);
	t->n_devices = tls_many(t, DEVICES);
	t->devices = site_devices(&t->site, "WB", t->n_devices);
	l = load_new(tls_registrar_start(t).port);
	load_run(l, &c, 1, &pace, &sum);
	load_sum_sound(&sum, TLS_PATH);
	load_sum_done(&sum);
	load_free(l);
	tls_registrar_stop(t);
}

static void
tls_close(struct tls_bench *t)
{
	site_devices_free(t->devices, t->n_devices);
	site_close(&t->site);
	free(t->body);
}

/* ---- rows ------------------------------------------------------------------ */

static bool
group_wanted(const struct group *g, int argc, char **argv)
{
	for (size_t i = 0; i < GROUP_MAX && g->rows[i].name != NULL; i++)
		if (bench_wanted(argc, argv, g->rows[i].name))
			return true;
	return false;
}

static void
group_run(struct tls_bench *t, struct group *g, int argc, char **argv)
{
	if (!group_wanted(g, argc, argv))
		return;
	g->measure(t, g->rows);
	for (size_t i = 0; i < GROUP_MAX && g->rows[i].name != NULL; i++)
		if (bench_wanted(argc, argv, g->rows[i].name))
			bench_tell(&g->rows[i], stdout);
}

int
main(int argc, char **argv)
{
	struct tls_bench t = { .quick = bench_quick(argc, argv),
		.type = "application/link-format" };

	signal(SIGPIPE, SIG_IGN);
	load_descriptors();
	tls_open(&t);
	for (size_t i = 0; i < NELEMS(groups); i++)
		group_run(&t, &groups[i], argc, argv);
	tls_close(&t);
	return 0;
}
