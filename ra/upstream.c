#include "ra/upstream_int.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "common/base/log.h"
#include "common/base/str.h"

#define CMP_TYPE	"application/pkixcmp"
#define NAME_MAX_OCTETS 96
#define WHY_MAX		200

enum ask_step { ASK_REQUEST, ASK_POLL, ASK_CONFIRM };

struct upstream_ask {
	LIST_ENTRY(upstream_ask) others;
	struct upstream *upstream;
	char name[NAME_MAX_OCTETS];
	const struct cmp_msg *request;
	struct cmp_request wanted; /* of ir, cr, kur, p10cr */
	struct bytes octets;	   /* the request's, as they are sent */
	enum ask_step step;
	struct cmp_msg *own; /* pollReq or certConf that is being sent */
	struct upstream_heard
	    heard;	       /* the certificate, while it is confirmed */
	struct cmp_msg *final; /* the message that had it */
	uint64_t delay;	       /* milliseconds before it is sent */
	/* An attempt of this step may have been received. */
	bool doubtful;
	bool waited;
	unsigned tries; /* that came to nothing, in a row */
	char why[WHY_MAX];
	struct fetch *fetch;
	struct timer *timer;
	const struct upstream_told *told;
	void *arg;
};

static void ask_send(struct upstream_ask *a);

/* ---- the end ----------------------------------------------------------- */

void
upstream_cancel(struct upstream_ask *a)
{
	if (a == NULL)
		return;
	LIST_REMOVE(a, others);
	if (a->fetch != NULL)
		fetch_cancel(a->fetch);
	timer_free(a->timer);
	cmp_request_done(&a->wanted);
	upstream_heard_done(&a->heard);
	cmp_free(a->own);
	cmp_free(a->final);
	free(a);
}

static void
ask_end(struct upstream_ask *a, struct upstream_answer *x)
{
	a->told->end(a->arg, x);
	upstream_cancel(a);
}

static void
ask_done(struct upstream_ask *a)
{
	struct upstream_answer x = { .is = UPSTREAM_DONE };

	x.cert = a->heard.cert;
	x.modified = a->heard.modified;
	if (a->final != NULL) {
		x.implicit = cmp_implicit_confirm(a->final);
		x.sender_nonce = cmp_sender_nonce(a->final);
	}
	ask_end(a, &x);
}

static void
ask_unknown(struct upstream_ask *a, const struct err *why)
{
	struct upstream_answer x = { .is = UPSTREAM_UNKNOWN, .why = why };

	ask_end(a, &x);
}

/* ---- not yet ----------------------------------------------------------- */

/* Doubling, and a quarter more or less, so that an upstream that comes back is
 * not asked by all at once. */
static uint64_t
delay_ms(const struct upstream_ask *a)
{
	const struct upstream_conf *c = a->upstream->conf;
	uint64_t ms = c->retry_min;
	uint8_t dice;

	for (unsigned i = 1; i < a->tries && ms < c->retry_max; i++)
		ms *= 2;
	if (ms > c->retry_max)
		ms = c->retry_max;
	random_bytes(&dice, sizeof(dice));
	return ms - ms / 4 + ms * dice / 512;
}

static void
ask_later(struct upstream_ask *a, const char *why)
{
	uint64_t ms;

	a->tries++;
	ms = delay_ms(a);
	/* Said when it is news. */
	log_event(strcmp(why, a->why) != 0 ? LOG_WARN : LOG_DEBUG,
	    "upstream.later", "id", "%s", a->name, "reason", "%s", why,
	    "retry-ms", "%llu", (unsigned long long)ms, NULL);
	str_copy(a->why, sizeof(a->why), why);
	timer_set(a->timer, ms);
}

/* Polls and confirmations do not: they can be said again. */
static bool
asks_anew(const struct upstream_ask *a)
{
	return a->step == ASK_REQUEST && cmp_body(a->request) != CMP_CERTCONF;
}

/* It may have been received: a request is said again only if that has no second
 * effect. */
static void
ask_doubt(struct upstream_ask *a, const char *why)
{
	struct err e = ERR_INIT;

	a->doubtful = true;
	if (!asks_anew(a) || a->upstream->conf->idempotent) {
		ask_later(a, why);
		return;
	}
	err_set(&e, ERR_RETRY, "upstream: %s", why);
	ask_unknown(a, &e);
}

/* ---- messages of our own ----------------------------------------------- */

/* The next message of the transaction, to what `m` said. */
static int
ask_build(struct upstream_ask *a, const struct cmp_msg *m, struct bytes body,
    struct err *e)
{
	struct buf octets AUTO_BUF = { 0 };
	struct cmp_head h;

	cmp_head_reply(m, &h);
	if (cmp_build(&h, body, a->upstream->signer, NULL, &octets, e) == -1)
		return -1;
	cmp_free(STEAL(a->own));
	return cmp_parse(buf_bytes(&octets), &a->own, e);
}

/* Written down before it is sent, so that who comes after us says the same. */
static void
ask_keep(struct upstream_ask *a)
{
	struct upstream_progress p = {
		.due = clock_now().time + a->delay / 1000,
		.message = cmp_der(a->own),
		.final = a->step == ASK_CONFIRM ? cmp_der(a->final)
						: bytes_of(NULL, 0),
	};
	struct buf out AUTO_BUF = { 0 };

	if (a->told->progress == NULL) {
		upstream_go_on(a);
		return;
	}
	upstream_progress_encode(&p, &out);
	a->told->progress(a->arg, buf_bytes(&out));
}

void
upstream_go_on(struct upstream_ask *a)
{
	if (a->delay > 0)
		timer_set(a->timer, a->delay);
	else
		ask_send(a);
}

static void
ask_next(struct upstream_ask *a, enum ask_step step, uint64_t ms)
{
	a->step = step;
	a->delay = ms;
	a->doubtful = false;
	a->tries = 0;
	a->why[0] = '\0';
}

static void
ask_poll(struct upstream_ask *a, const struct cmp_msg *m, long id, uint64_t ms)
{
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	cmp_body_pollreq(id, &body);
	if (ask_build(a, m, buf_bytes(&body), &e) == -1) {
		err_prefix(&e, "upstream");
		ask_unknown(a, &e);
		return;
	}
	ask_next(a, ASK_POLL, ms);
	if (!a->waited) {
		a->waited = true;
		log_event(
		    LOG_INFO, "upstream.waiting", "id", "%s", a->name, NULL);
		a->told->waits(a->arg);
	}
	ask_keep(a);
}

static void
ask_confirm(struct upstream_ask *a)
{
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	cmp_body_certconf(a->heard.id, a->heard.cert, true, NULL, &body);
	if (ask_build(a, a->final, buf_bytes(&body), &e) == -1) {
		err_prefix(&e, "upstream");
		ask_unknown(a, &e);
		return;
	}
	ask_next(a, ASK_CONFIRM, 0);
	ask_keep(a);
}

/* ---- answers ----------------------------------------------------------- */

/* Within bounds: the upstream's wish is no reason to ask at once or never. */
static uint64_t
poll_ms(const struct upstream *u, uint32_t secs)
{
	uint64_t ms = (uint64_t)secs * 1000;

	if (ms < u->conf->retry_min)
		ms = u->conf->retry_min;
	return ms < u->conf->poll_max ? ms : u->conf->poll_max;
}

static void
take_certificate(
    struct upstream_ask *a, struct upstream_heard *h, struct cmp_msg **m)
{
	a->heard = *h;
	*h = (struct upstream_heard){ .is = HEARD_DONE };
	a->final = STEAL(*m);
	if (cmp_implicit_confirm(a->final) ||
	    upstream_relays_confirm(a->upstream))
		ask_done(a);
	else
		ask_confirm(a);
}

/* A refusal of what was sent before may be of this copy alone. */
static void
take_refusal(struct upstream_ask *a, const struct upstream_heard *h)
{
	struct upstream_answer x = { .is = UPSTREAM_REFUSED };
	bool in_use = (h->why.fail & CMP_TRANSACTION_ID_IN_USE) != 0;
	struct err e = ERR_INIT;

	if (a->step == ASK_CONFIRM ||
	    (a->doubtful && (a->step == ASK_POLL || in_use))) {
		err_set(&e, ERR_RETRY, "%s", h->why.msg);
		ask_unknown(a, &e);
		return;
	}
	x.in_body = h->in_body;
	x.why = &h->why;
	ask_end(a, &x);
}

static void
ask_heard(struct upstream_ask *a, struct upstream_heard *h, struct cmp_msg **m)
{
	switch (h->is) {
	case HEARD_DONE:
		if (h->cert != NULL)
			take_certificate(a, h, m);
		else
			ask_done(a);
		return;
	case HEARD_WAITING:
		/* A second one is no answer to a pollReq, but a clear word. */
		ask_poll(
		    a, *m, h->id, a->waited ? a->upstream->conf->retry_min : 0);
		return;
	case HEARD_NOT_YET:
		ask_poll(a, *m, h->id, poll_ms(a->upstream, h->secs));
		return;
	case HEARD_REFUSED:
		take_refusal(a, h);
		return;
	}
}

static void
ask_wants(const struct upstream_ask *a, struct upstream_wants *ret)
{
	*ret = (struct upstream_wants){
		.request = a->step == ASK_CONFIRM ? a->own : a->request,
		.polled = a->step == ASK_POLL,
		.id = a->wanted.id,
		.key = a->wanted.pubkey,
	};
	if (a->step == ASK_POLL)
		ret->nonce = cmp_sender_nonce(a->own);
}

/* Some say with 400 or 500 what stands in the message. */
static bool
is_cmp(const struct fetch_answer *f)
{
	size_t n = strlen(CMP_TYPE);

	return strncasecmp(f->type, CMP_TYPE, n) == 0 &&
	    strchr("; \t", f->type[n]) != NULL;
}

static void
take_message(struct upstream_ask *a, const struct fetch_answer *f)
{
	struct upstream_heard h = { .is = HEARD_DONE };
	AUTO(cmp_msg) m = NULL;
	struct upstream_wants x;
	struct err e = ERR_INIT;

	ask_wants(a, &x);
	if (cmp_parse(f->body, &m, &e) == -1 ||
	    upstream_judge(a->upstream, &x, m, &h, &e) == -1) {
		log_err(LOG_ALARM, "upstream.not-believed", &e, "id", "%s",
		    a->name, "http", "%u", f->status, NULL);
		ask_doubt(a, e.msg);
	} else {
		ask_heard(a, &h, &m);
	}
	upstream_heard_done(&h);
}

/* RFC 9110 15.5: with 4xx the server says that it did nothing; a redirect leads
 * to whom we do not trust. */
static bool
did_nothing(unsigned status)
{
	return status >= 300 && status < 500;
}

static void
on_answer(void *arg, const struct fetch_answer *f)
{
	struct upstream_ask *a = arg;
	char why[WHY_MAX];

	a->fetch = NULL;
	if (f->status == 0)
		str_copy(why, sizeof(why), f->why);
	else
		snprintf(why, sizeof(why), "HTTP %u without a CMP message",
		    f->status);
	if (f->status != 0 && is_cmp(f))
		take_message(a, f);
	else if (f->status == 0 ? !f->sent : did_nothing(f->status))
		ask_later(a, why);
	else
		ask_doubt(a, why);
}

/* ---- asking ------------------------------------------------------------ */

static void
ask_send(struct upstream_ask *a)
{
	struct upstream *u = a->upstream;
	struct fetch_ask f = {
		.url = u->conf->url,
		.accept = CMP_TYPE,
		.type = CMP_TYPE,
		.body = a->step == ASK_REQUEST ? a->octets : cmp_der(a->own),
		.max = CMP_MAX,
		.once = asks_anew(a),
	};

	a->fetch = fetch_start(u->fetcher, &f, on_answer, a);
}

static void
on_time(void *arg)
{
	ask_send(arg);
}

/* What the answer is compared with. */
static int
read_wanted(const struct cmp_msg *m, struct cmp_request *ret, struct err *e)
{
	enum cmp_body is = cmp_body(m);

	if (is == CMP_RR || is == CMP_CERTCONF)
		return 0;
	if (is != CMP_IR && is != CMP_CR && is != CMP_KUR && is != CMP_P10CR)
		return err_set(e, ERR_INPUT, "upstream: %s is not sent there",
		    cmp_body_name(is));
	return cmp_read_request(m, ret, e);
}

/* What was believed before it was written down. */
static int
resume_final(struct upstream_ask *a, struct bytes final, struct err *e)
{
	struct cmp_response r = { 0 };

	if (cmp_parse(final, &a->final, e) == -1 ||
	    cmp_read_response(a->final, &r, e) == -1)
		return -1;
	a->heard.id = r.id;
	a->heard.cert = STEAL(r.cert);
	a->heard.modified = r.status == CMP_GRANTED_WITH_MODS;
	cmp_response_done(&r);
	return a->heard.cert != NULL
	    ? 0
	    : err_set(e, ERR_INPUT, "upstream: progress: no certificate");
}

static int
ask_resume(struct upstream_ask *a, struct bytes progress, struct err *e)
{
	uint64_t now = clock_now().time, ms = 0;
	struct upstream_progress p;

	if (upstream_progress_decode(progress, &p, e) == -1 ||
	    cmp_parse(p.message, &a->own, e) == -1 ||
	    (p.final.len > 0 && resume_final(a, p.final, e) == -1))
		return -1;
	if (p.due > now)
		ms = (p.due - now) * 1000;
	if (ms > a->upstream->conf->poll_max)
		ms = a->upstream->conf->poll_max;
	ask_next(a, p.final.len > 0 ? ASK_CONFIRM : ASK_POLL, ms);
	a->waited = a->doubtful = true;
	return 0;
}

int
upstream_ask(struct upstream *u, const struct upstream_question *q,
    const struct upstream_told *told, void *arg, struct upstream_ask **ret,
    struct err *e)
{
	struct cmp_request wanted = { 0 };
	struct upstream_ask *a;

	if (read_wanted(q->request, &wanted, e) == -1)
		return -1;
	a = xcalloc(1, sizeof(*a));
	a->upstream = u;
	str_copy(a->name, sizeof(a->name), q->name);
	a->request = q->request;
	a->wanted = wanted;
	a->octets = q->octets;
	a->told = told;
	a->arg = arg;
	a->timer = timer_new(u->loop, on_time, a);
	LIST_INSERT_HEAD(&u->asked, a, others);
	if (q->progress.len > 0 && ask_resume(a, q->progress, e) == -1) {
		upstream_cancel(a);
		return -1;
	}
	upstream_go_on(a);
	*ret = a;
	return 0;
}
