/* One MASA's lab for each test, and a request that holds. */
#ifndef WAYBILL_TESTS_MASA_CASE_H
#define WAYBILL_TESTS_MASA_CASE_H

#include "masa_lab.h"

static struct lab *lab;

static inline int
setup(void **state)
{
	(void)state;
	lab = lab_new();
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	lab_free(lab);
	return 0;
}

static inline void
no_change(struct lab_request *q)
{
	(void)q;
}

static inline void
nonceless(struct lab_request *q)
{
	q->device = NULL;
	q->rvr.nonce[0] = '\0';
	q->peer = lab->home.member->cert;
}

static inline int
judge(const struct lab_request *q, struct bytes body, struct masa_request *ret,
    struct err *e)
{
	struct masa_vendor v = { lab->devices, lab->sub->cert, q->registrars };
	struct masa_asked a = { .body = body,
		.peer = q->peer,
		.peer_chain = q->peer_chain,
		.again = q->again,
		.now = q->now };

	return masa_judge(&v, &a, ret, e);
}

/* A request of this case that holds; masa_request_done it. */
static inline struct masa_request
judged(void (*change)(struct lab_request *q))
{
	struct lab_request q = lab_request(lab);
	struct buf body AUTO_BUF = { 0 };
	struct masa_request req = { 0 };
	struct err e = ERR_INIT;

	change(&q);
	lab_make(&q, &body);
	if (judge(&q, buf_bytes(&body), &req, &e) != 0)
		fail_msg("%s", e.msg);
	return req;
}

#endif
