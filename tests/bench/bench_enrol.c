/* Rows: what an enrolment costs the registrar, and what a poll. */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "common/base/buf.h"
#include "tests/bench/bench.h"
#include "tests/bench/load.h"
#include "tests/bench/site.h"

#define VOUCHER_PATH "/.well-known/brski/requestvoucher"
#define VOUCHER_TYPE "application/voucher-cms+json"
#define CMP_PATH     "/.well-known/cmp"
#define CMP_TYPE     "application/pkixcmp"

#define RUN_SECONDS 60
#define AT_ONCE	    64

/* ---- devices, and how far each has come ---------------------------------- */

/* What a device will send, prepared; what it was told. */
struct talk {
	struct signer *device;
	struct buf voucher, ir, poll; /* whole requests of HTTP */
	uint8_t transaction[CMP_TID_LEN];
	struct buf waiting; /* the last answer to ir */
	unsigned step;
};

struct talks {
	size_t n;
	struct signer **devices;
	struct talk *all;
	struct load_client *clients;
};

static struct cmp_msg *
parsed(const struct buf *der)
{
	struct err e = ERR_INIT;
	struct cmp_msg *m;

	if (cmp_parse(buf_bytes(der), &m, &e) == -1)
		bench_fail("a message of ours: %s", e.msg);
	return m;
}

static void
prepare(const struct site *s, struct talk *t)
{
	struct buf voucher AUTO_BUF = { 0 }, ir AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;

	site_ask_voucher(s, t->device, &voucher);
	load_request(&t->voucher, "POST", VOUCHER_PATH, VOUCHER_TYPE,
	    buf_bytes(&voucher), false);
	site_ask_cert(t->device, &ir);
	load_request(&t->ir, "POST", CMP_PATH, CMP_TYPE, buf_bytes(&ir), false);
	m = parsed(&ir);
	memcpy(t->transaction, cmp_transaction_id(m).p, CMP_TID_LEN);
}

static struct bytes
talk_id(const struct talk *t)
{
	return bytes_of(t->transaction, sizeof(t->transaction));
}

/* A voucher request, then an ir on the same connection. */
static enum load_next
enrol_next(void *arg, int status, struct bytes body, struct buf *request)
{
	struct talk *t = arg;

	switch (t->step++) {
	case 0:
		buf_add(request, t->voucher.data, t->voucher.len);
		return LOAD_SEND;
	case 1:
		if (status != 202)
			return LOAD_WRONG;
		buf_add(request, t->ir.data, t->ir.len);
		return LOAD_SEND;
	default:
		if (status != 200 || !site_is_waiting(body, talk_id(t)))
			return LOAD_WRONG;
		buf_reset(&t->waiting);
		buf_add(&t->waiting, body.p, body.len);
		return LOAD_END;
	}
}

/* One pollReq on a fresh connection. */
static enum load_next
poll_next(void *arg, int status, struct bytes body, struct buf *request)
{
	struct talk *t = arg;

	if (t->step++ == 0) {
		buf_add(request, t->poll.data, t->poll.len);
		return LOAD_SEND;
	}
	return status == 200 && site_is_pollrep(body, talk_id(t)) ? LOAD_END
								  : LOAD_WRONG;
}

static struct talks *
talks_new(const struct site *s, const char *prefix, size_t n)
{
	struct talks *t = xcalloc(1, sizeof(*t));

	t->n = n;
	t->devices = site_devices(s, prefix, n);
	t->all = xcalloc(n, sizeof(struct talk));
	t->clients = xcalloc(n, sizeof(struct load_client));
	for (size_t i = 0; i < n; i++) {
		t->all[i].device = t->devices[i];
		prepare(s, &t->all[i]);
	}
	return t;
}

static void
talks_free(struct talks *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		buf_done(&t->all[i].voucher);
		buf_done(&t->all[i].ir);
		buf_done(&t->all[i].poll);
		buf_done(&t->all[i].waiting);
	}
	site_devices_free(t->devices, t->n);
	free(t->clients);
	free(t->all);
	free(t);
}
AUTO_DEFINE(talks, struct talks, talks_free);

/* What each polls with: after the last answer that it was given. */
static void
prepare_polls(struct talks *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct buf poll AUTO_BUF = { 0 };
		AUTO(cmp_msg) last = parsed(&t->all[i].waiting);

		site_ask_poll(last, t->all[i].device, &poll);
		buf_reset(&t->all[i].poll);
		load_request(&t->all[i].poll, "POST", CMP_PATH, CMP_TYPE,
		    buf_bytes(&poll), false);
	}
}

typedef enum load_next next_fn(
    void *arg, int status, struct bytes body, struct buf *request);

/* All of them, `at_once` at a time; returns the registrar's microseconds of
 * processor time for each. */
static double
talks_run(const struct site *s, struct talks *t, next_fn *next,
    unsigned at_once, struct load_sum *ret)
{
	struct load_pace pace = { .at_once = at_once, .seconds = RUN_SECONDS };
	AUTO(load) l = load_new(s->port);
	double before = bench_cpu(s->pids[SITE_REGISTRAR]);

	for (size_t i = 0; i < t->n; i++) {
		t->all[i].step = 0;
		t->clients[i] = (struct load_client){
			.signer = t->devices[i], .next = next, .arg = &t->all[i]
		};
	}
	load_run(l, t->clients, t->n, &pace, ret);
	load_sum_sound(ret, "enrolments");
	return (bench_cpu(s->pids[SITE_REGISTRAR]) - before) / (double)t->n;
}

int
main(int argc, char **argv)
{
	struct site s;
	struct site_want w = { .threads = 1 };
	size_t n = bench_quick(argc, argv) ? 50 : 500;

	site_open(&s, &w);
	site_start(&s, SITE_REGISTRAR);
	for (int i = 0; i < 5; i++) {
		char prefix[16];
		struct load_sum sum, polls;
		AUTO(talks) t = NULL;
		double us, pus;

		snprintf(prefix, sizeof(prefix), "R%d", i);
		t = talks_new(&s, prefix, n);
		us = talks_run(&s, t, enrol_next, AT_ONCE, &sum);
		prepare_polls(t);
		pus = talks_run(&s, t, poll_next, AT_ONCE, &polls);
		printf("enrol %.0f us cpu, wall %.0f us; poll %.0f wall %.0f\n",
		    us, sum.us / (double)n, pus, polls.us / (double)n);
		load_sum_done(&sum);
		load_sum_done(&polls);
	}
	site_close(&s);
	return 0;
}
