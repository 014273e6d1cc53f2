/* One question to the upstream of upstream_lab.h, and what is told of it. */
#ifndef WAYBILL_TESTS_UPSTREAM_ASK_H
#define WAYBILL_TESTS_UPSTREAM_ASK_H

#include "tests/unit/upstream_lab.h"

#include <signal.h>

#include "ra/upstream_int.h"

static struct lab *lab;
static struct upstream_lab *up;

static inline int
setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* of the server that is left alone */
	log_set_level(LOG_ALARM);
	lab = lab_new();
	up = up_new(lab);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	up_free(up);
	lab_free(lab);
	return 0;
}

/* ---- one question ------------------------------------------------------ */

struct want {
	bool raw, relay, idempotent;
};

struct run {
	struct loop *loop;
	struct timer *limit;
	bool ended, waited;
	enum upstream_end is;
	bool has_cert, implicit, modified, in_body;
	uint32_t fail;
	char why[300];
	uint8_t nonce[16];
	struct upstream_ask *ask;
	struct buf progress; /* what was told last */
	unsigned kept;
};

static inline void
on_end(void *arg, const struct upstream_answer *a)
{
	struct run *r = arg;

	r->ended = true;
	r->is = a->is;
	r->has_cert = a->cert != NULL;
	r->implicit = a->implicit;
	r->modified = a->modified;
	r->in_body = a->in_body;
	if (a->sender_nonce.len == sizeof(r->nonce))
		memcpy(r->nonce, a->sender_nonce.p, sizeof(r->nonce));
	if (a->why != NULL) {
		r->fail = a->why->fail;
		str_copy(r->why, sizeof(r->why), a->why->msg);
	}
	loop_stop(r->loop);
}

static inline void
on_waits(void *arg)
{
	struct run *r = arg;

	assert_false(r->waited);
	r->waited = true;
}

static const struct upstream_told told = { on_end, on_waits, NULL };

static inline void
on_limit(void *arg)
{
	struct run *r = arg;

	loop_stop(r->loop);
}

static inline struct upstream_conf
conf_of(const struct want *w, const char *scheme, char url[64])
{
	snprintf(url, 64, "%s://127.0.0.1:%u/pkix/", scheme, up->port);
	return (struct upstream_conf){
		.url = url,
		.key = (char *)(uintptr_t)lab_path(lab, "upstream-us.key"),
		.certificate =
		    (char *)(uintptr_t)lab_path(lab, "upstream-us.crt"),
		.anchor = (char *)(uintptr_t)lab_path(lab, "root.crt"),
		.forward = w->raw ? UPSTREAM_RAW : UPSTREAM_NESTED,
		.confirm = w->relay ? UPSTREAM_RELAY : UPSTREAM_OWN,
		.idempotent = w->idempotent,
		.timeout = 400,
		.retry_min = 20,
		.retry_max = 80,
		.poll_max = 200,
	};
}

/* Asks until the end, or for so long; from the beginning, or from here. */
static inline void
ask_from(const struct upstream_conf *c, const struct cmp_msg *m, uint64_t ms,
    const struct upstream_told *whom, const struct buf *progress, struct run *r)
{
	STACK_OF(X509) *issuers = sk_X509_new_null();
	struct buf octets AUTO_BUF = { 0 };
	struct upstream_question q = { .name = "7F3K-1", .request = m };
	struct upstream_ask *a = NULL;
	struct upstream *u = NULL;
	struct err e = ERR_INIT;

	if (progress != NULL)
		q.progress = buf_bytes(progress);

	sk_X509_push(issuers, lab->ca.cert);
	r->loop = loop_new(&e);
	r->limit = timer_new(r->loop, on_limit, r);
	if (upstream_open(r->loop, c, issuers, &u, &e) == -1 ||
	    upstream_wrap(u, m, &octets, &e) == -1)
		fail_msg("%s", e.msg);
	q.octets = buf_bytes(&octets);
	if (upstream_ask(u, &q, whom, r, &a, &e) == -1)
		fail_msg("%s", e.msg);
	r->ask = a;
	timer_set(r->limit, ms);
	loop_run(r->loop);
	upstream_free(u);
	timer_free(r->limit);
	loop_free(r->loop);
	sk_X509_free(issuers);
}

static inline void
ask_for(const struct upstream_conf *c, const struct cmp_msg *m, uint64_t ms,
    struct run *r)
{
	ask_from(c, m, ms, &told, NULL, r);
}

static inline void
ask(const struct want *w, const struct line *script, const struct cmp_msg *m,
    struct run *r)
{
	struct upstream_conf c;
	char url[64];

	*r = (struct run){ .ended = false };
	up_listen(up);
	up_start(up, script);
	c = conf_of(w, "http", url);
	ask_for(&c, m, 5000, r);
	up_stop(up);
}

static inline struct cmp_msg *
request_of(enum cmp_body type)
{
	struct lab_ask a = { .type = type, .cn = "device" };
	struct buf der AUTO_BUF = { 0 };

	lab_request(lab, &a, &der);
	return lab_parse(buf_bytes(&der));
}

#endif
