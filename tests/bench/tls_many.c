/* Figures of many clients at once: how long they wait; a thousand that have
 * waited for a link and all poll in the same moment. */
#include "tests/bench/bench_tls.h"

#include <stdlib.h>
#include <string.h>
#include "common/base/str.h"

#define LEAST 200  /* connections of a figure */
#define HERD  1000 /* devices */
#define CMP   "/.well-known/cmp"
#define TYPE  "application/pkixcmp"

/* ---- latency --------------------------------------------------------------- */

static const unsigned clients[] = { 1, 4, 16, 64, 256 };

static void
latency_round(const struct tls_bench *t, struct load *l, const struct server *s,
    unsigned at_once, struct bench_row *rows)
{
	size_t n = at_once * 2 > LEAST ? at_once * 2 : LEAST;
	struct load_sum sum;
	struct tls_talk k;
	double cpu;

	tls_talk_new(t, tls_many(t, n), TLS_FRESH, 1, &k);
	cpu = tls_talk_run(&k, l, s->pid, at_once, rows[0].name, &sum);
	for (int i = 0; i < 2; i++)
		bench_add(&rows[i],
		    (struct bench_round){
			.value = bench_percentile(
				     sum.fresh_us, sum.n_fresh, i ? 99 : 50) /
			    1000,
			.cpu_us = cpu,
		    });
	load_sum_done(&sum);
	tls_talk_done(&k);
}

/* Rows: p50 and p99 of each number of clients. */
void
tls_latency(struct tls_bench *t, struct bench_row *rows)
{
	struct server s = tls_registrar_start(t);
	AUTO(load) l = load_new(s.port);

	for (int i = 0; i < BENCH_ROUNDS; i++)
		for (size_t c = 0; c < NELEMS(clients); c++)
			latency_round(t, l, &s, clients[c], &rows[2 * c]);
	for (size_t c = 0; c < NELEMS(clients); c++)
		rows[2 * c].peak_kb = bench_memory(s.pid, "VmHWM");
	tls_registrar_stop(t);
}

/* ---- the herd -------------------------------------------------------------- */

struct member {
	const struct signer *device;
	struct buf ir, poll; /* CMP messages */
	struct buf tid;	     /* of both */
};

struct herd {
	struct member *members;
	struct load_client *clients;
	size_t n;
};

static enum load_next
post(struct bytes message, struct buf *request)
{
	load_request(request, "POST", CMP, TYPE, message, false);
	return LOAD_SEND;
}

static enum load_next
member_enrols(void *arg, int status, struct bytes body, struct buf *request)
{
	struct member *m = arg;
	AUTO(cmp_msg) answer = NULL;
	struct err e = ERR_INIT;

	if (status == 0)
		return post(buf_bytes(&m->ir), request);
	if (status != 200 || !site_is_waiting(body, buf_bytes(&m->tid)) ||
	    cmp_parse(body, &answer, &e) == -1)
		return LOAD_WRONG;
	site_ask_poll(answer, m->device, &m->poll);
	return LOAD_END;
}

static enum load_next
member_polls(void *arg, int status, struct bytes body, struct buf *request)
{
	struct member *m = arg;

	if (status == 0)
		return post(buf_bytes(&m->poll), request);
	return status == 200 && site_is_pollrep(body, buf_bytes(&m->tid))
	    ? LOAD_END
	    : LOAD_WRONG;
}

static void
member_new(struct member *m, const struct signer *device)
{
	AUTO(cmp_msg) ir = NULL;
	struct err e = ERR_INIT;
	struct bytes tid;

	m->device = device;
	site_ask_cert(device, &m->ir);
	if (cmp_parse(buf_bytes(&m->ir), &ir, &e) == -1)
		bench_fail("herd: %s", e.msg);
	tid = cmp_transaction_id(ir);
	buf_add(&m->tid, tid.p, tid.len);
}

static void
herd_run(struct herd *h, struct load *l, unsigned at_once,
    enum load_next (*next)(
	void *arg, int status, struct bytes body, struct buf *request),
    struct load_sum *sum)
{
	struct load_pace pace = { .at_once = at_once, .seconds = TLS_SECONDS };

	for (size_t i = 0; i < h->n; i++)
		h->clients[i] = (struct load_client){ h->members[i].device,
			next, &h->members[i] };
	load_run(l, h->clients, h->n, &pace, sum);
	load_sum_sound(sum, "herd");
}

/* All have asked, and been told to wait. */
static void
herd_new(const struct tls_bench *t, struct load *l, struct herd *h)
{
	struct load_sum sum;

	h->n = tls_many(t, HERD);
	h->members = xcalloc(h->n, sizeof(*h->members));
	h->clients = xcalloc(h->n, sizeof(*h->clients));
	for (size_t i = 0; i < h->n; i++)
		member_new(&h->members[i], t->devices[i]);
	herd_run(h, l, 16, member_enrols, &sum);
	load_sum_done(&sum);
}

static void
herd_done(struct herd *h)
{
	for (size_t i = 0; i < h->n; i++) {
		buf_done(&h->members[i].ir);
		buf_done(&h->members[i].poll);
		buf_done(&h->members[i].tid);
	}
	free(h->members);
	free(h->clients);
}

/* Rows: until the last has its answer; p99 of all. */
void
tls_herd(struct tls_bench *t, struct bench_row *rows)
{
	struct server s = tls_registrar_start(t);
	AUTO(load) l = load_new(s.port);
	struct herd h = { 0 };

	herd_new(t, l, &h);
	for (int i = 0; i < BENCH_ROUNDS; i++) {
		struct load_sum sum;
		double cpu = bench_cpu(s.pid);

		herd_run(&h, l, 0, member_polls, &sum);
		cpu = (bench_cpu(s.pid) - cpu) / (double)h.n;
		bench_add(&rows[0],
		    (struct bench_round){
			.value = sum.us / 1000, .cpu_us = cpu });
		bench_add(&rows[1],
		    (struct bench_round){
			.value =
			    bench_percentile(sum.fresh_us, sum.n_fresh, 99) /
			    1000,
			.cpu_us = cpu });
		load_sum_done(&sum);
	}
	rows[0].peak_kb = bench_memory(s.pid, "VmHWM");
	herd_done(&h);
	tls_registrar_stop(t);
}
