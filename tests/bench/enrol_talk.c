#include "tests/bench/enrol_talk.h"

#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"

#define VOUCHER_PATH "/.well-known/brski/requestvoucher"
#define VOUCHER_TYPE "application/voucher-cms+json"
#define CMP_PATH     "/.well-known/cmp"
#define CMP_TYPE     "application/pkixcmp"
#define RUN_SECONDS  60

struct device {
	struct buf voucher, ir, poll; /* CMS, DER, DER */
	uint8_t transaction[CMP_TID_LEN];
	struct buf waiting; /* what it was told to its ir */
	enum { ASKS_VOUCHER, ASKS_CERT, WAITS } step;
};

struct talks {
	size_t n;
	struct signer **signers;
	struct device *all;
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
prepare(const struct site *s, const struct signer *signer, bool voucher,
    struct device *d)
{
	AUTO(cmp_msg) m = NULL;

	if (voucher)
		site_ask_voucher(s, signer, &d->voucher);
	site_ask_cert(signer, &d->ir);
	m = parsed(&d->ir);
	memcpy(d->transaction, cmp_transaction_id(m).p, CMP_TID_LEN);
}

struct talks *
talks_new(const struct site *s, const char *prefix, size_t n, bool voucher)
{
	struct talks *t = xcalloc(1, sizeof(*t));

	t->n = n;
	t->signers = site_devices(s, prefix, n);
	t->all = xcalloc(n, sizeof(struct device));
	t->clients = xcalloc(n, sizeof(struct load_client));
	for (size_t i = 0; i < n; i++)
		prepare(s, t->signers[i], voucher, &t->all[i]);
	return t;
}

void
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
	site_devices_free(t->signers, t->n);
	free(t->clients);
	free(t->all);
	free(t);
}

size_t
talks_n(const struct talks *t)
{
	return t->n;
}

struct signer **
talks_signers(const struct talks *t)
{
	return t->signers;
}

void
talks_prepare_polls(struct talks *t)
{
	for (size_t i = 0; i < t->n; i++) {
		AUTO(cmp_msg) last = parsed(&t->all[i].waiting);

		buf_reset(&t->all[i].poll);
		site_ask_poll(last, t->signers[i], &t->all[i].poll);
	}
}

struct enrol_input
talks_input(const struct talks *t, size_t i)
{
	return (struct enrol_input){ .device = t->signers[i],
		.voucher = buf_bytes(&t->all[i].voucher),
		.ir = buf_bytes(&t->all[i].ir) };
}

/* ---- conversations --------------------------------------------------------- */

static struct bytes
transaction(const struct device *d)
{
	return bytes_of(d->transaction, sizeof(d->transaction));
}

static enum load_next
ask_cert(struct device *d, struct buf *request)
{
	d->step = ASKS_CERT;
	load_request(
	    request, "POST", CMP_PATH, CMP_TYPE, buf_bytes(&d->ir), false);
	return LOAD_SEND;
}

/* RFC 8995 5.6: 202; then ip with waiting. */
static enum load_next
enrol_next(void *arg, int status, struct bytes body, struct buf *request)
{
	struct device *d = arg;

	if (status == 0 && d->voucher.len == 0)
		return ask_cert(d, request);
	if (status == 0) {
		d->step = ASKS_VOUCHER;
		load_request(request, "POST", VOUCHER_PATH, VOUCHER_TYPE,
		    buf_bytes(&d->voucher), false);
		return LOAD_SEND;
	}
	if (d->step == ASKS_VOUCHER)
		return status == 202 ? ask_cert(d, request) : LOAD_WRONG;
	if (status != 200 || !site_is_waiting(body, transaction(d)))
		return LOAD_WRONG;
	d->step = WAITS;
	buf_reset(&d->waiting);
	buf_add(&d->waiting, body.p, body.len);
	return LOAD_END;
}

static enum load_next
poll_next(void *arg, int status, struct bytes body, struct buf *request)
{
	struct device *d = arg;

	if (status != 0)
		return status == 200 && site_is_pollrep(body, transaction(d))
		    ? LOAD_END
		    : LOAD_WRONG;
	load_request(
	    request, "POST", CMP_PATH, CMP_TYPE, buf_bytes(&d->poll), false);
	return LOAD_SEND;
}

void
talks_run(const struct site *s, struct talks *t, enum talk what,
    unsigned at_once, struct load_sum *ret)
{
	struct load_pace pace = { .at_once = at_once, .seconds = RUN_SECONDS };
	AUTO(load) l = load_new(s->port);

	for (size_t i = 0; i < t->n; i++)
		t->clients[i] = (struct load_client){ .signer = t->signers[i],
			.next = what == TALK_ENROL ? enrol_next : poll_next,
			.arg = &t->all[i] };
	load_run(l, t->clients, t->n, &pace, ret);
	load_sum_sound(ret, what == TALK_ENROL ? "enrolments" : "polls");
}
