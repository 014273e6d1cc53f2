#include "common/link/wire_int.h"

#include <nng/protocol/reqrep0/req.h>
#include "common/base/clock.h"

/* The call is free again before its end is told: done may send the next. */
static void
call_end(struct wire_call *c, nng_msg *reply, const struct err *e)
{
	void (*done)(void *arg, struct bytes r, const struct err *err);

	done = STEAL(c->done);
	c->busy = false;
	c->w->busy--;
	done(c->arg, wire_msg_bytes(reply), e);
}

/* On the loop. */
static void
call_done(void *arg)
{
	struct wire_call *c = arg;
	struct wire_client *w = c->w;
	nng_msg *reply = nng_aio_get_msg(c->aio);
	struct err e = ERR_INIT;

	nng_aio_set_msg(c->aio, NULL);
	if (!c->receiving || c->rv != 0) { /* then it is the request, or none */
		nng_msg_free(reply);
		reply = NULL;
	}
	if (c->done != NULL && c->rv == 0) {
		w->replies++;
		call_end(c, reply, NULL);
	} else if (c->done != NULL) {
		wire_fail(&e, c->rv == NNG_ETIMEDOUT ? ERR_RETRY : ERR_PEER,
		    w->service, c->rv);
		call_end(c, NULL, &e);
	}
	nng_msg_free(reply);
	wire_client_unref(w);
}

/* On nng's threads: sent, or received, or neither. */
static void
call_step(void *arg)
{
	struct wire_call *c = arg;
	uint64_t now = clock_mono_ms();

	c->rv = nng_aio_result(c->aio);
	if (c->rv != 0 || c->receiving) {
		wire_client_post(c->w, call_done, c);
		return;
	}
	c->receiving = true;
	nng_aio_set_msg(c->aio, NULL);
	nng_aio_set_timeout(
	    c->aio, now < c->deadline ? (nng_duration)(c->deadline - now) : 1);
	nng_ctx_recv(c->ctx, c->aio);
}

static struct wire_call *
call_free(struct wire_client *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		if (!w->calls[i].busy)
			return &w->calls[i];
	return NULL;
}

unsigned
wire_room(const struct wire_client *w)
{
	return w->told != 0 ? w->n - w->busy : 0;
}

int
wire_send(struct wire_client *w, struct bytes request, unsigned timeout_ms,
    void (*done)(void *arg, struct bytes reply, const struct err *e), void *arg,
    struct err *e)
{
	struct wire_call *c = call_free(w);
	nng_msg *m;

	if (request.len > FRAME_MAX)
		return err_set(e, ERR_INPUT, "link %s: %zu octets, limit %d",
		    w->service, request.len, FRAME_MAX);
	if (w->told == 0)
		return err_set(e, ERR_RETRY, "link %s: down", w->service);
	if (c == NULL)
		return err_set(e, ERR_RETRY, "link %s: %u requests are out",
		    w->service, w->n);
	if ((m = wire_msg_of(request)) == NULL)
		return wire_fail(e, ERR_RETRY, w->service, NNG_ENOMEM);
	c->busy = true;
	w->busy++;
	c->receiving = false;
	c->deadline = clock_mono_ms() + timeout_ms;
	c->done = done;
	c->arg = arg;
	nng_aio_set_msg(c->aio, m);
	nng_aio_set_timeout(c->aio, (nng_duration)timeout_ms);
	nng_ctx_send(c->ctx, c->aio);
	return 0;
}

void
wire_calls_drop_unsent(struct wire_client *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		if (w->calls[i].busy && !atomic_load(&w->calls[i].receiving))
			nng_aio_abort(w->calls[i].aio, NNG_ECONNRESET);
}

void
wire_calls_end(struct wire_client *w)
{
	struct err e = ERR_INIT;
	unsigned i;

	err_set(&e, ERR_PEER, "link %s: hung up", w->service);
	for (i = 0; i < w->n; i++)
		if (w->calls[i].done != NULL)
			call_end(&w->calls[i], NULL, &e);
}

int
wire_calls_open(struct wire_client *w, struct err *e)
{
	struct wire_call *c;
	int rv;

	for (c = w->calls; c < w->calls + w->n; c++) {
		c->w = w;
		if ((rv = nng_ctx_open(&c->ctx, w->sock)) != 0 ||
		    (rv = nng_ctx_set_ms(c->ctx, NNG_OPT_REQ_RESENDTIME,
			 NNG_DURATION_INFINITE)) != 0 ||
		    (rv = nng_aio_alloc(&c->aio, call_step, c)) != 0)
			return wire_fail(e, ERR_LOCAL, w->service, rv);
	}
	return 0;
}
