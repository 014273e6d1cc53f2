/* Calls of the outbox that are waited for, and the outbox that they are for. */
#ifndef WAYBILL_TESTS_OUTBOX_LOOP_H
#define WAYBILL_TESTS_OUTBOX_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include "common/queue/outbox_int.h"

static struct outbox *box;

/* ---- a loop, as far as a test needs one ------------------------------ */

struct message {
	void (*fn)(void *arg);
	void *arg;
	struct message *next;
};

struct inbox {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct message *first, **last;
};

static inline void
inbox_init(struct inbox *b)
{
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->some, NULL);
	b->first = NULL;
	b->last = &b->first;
}

static inline void
inbox_post(void *to, void (*fn)(void *arg), void *arg)
{
	struct message *m = xcalloc(1, sizeof(*m));
	struct inbox *b = to;

	m->fn = fn;
	m->arg = arg;
	pthread_mutex_lock(&b->lock);
	*b->last = m;
	b->last = &m->next;
	pthread_cond_signal(&b->some);
	pthread_mutex_unlock(&b->lock);
}

/* Waits for one message and runs it. */
static inline void
inbox_run(struct inbox *b)
{
	struct message *m;

	pthread_mutex_lock(&b->lock);
	while ((m = b->first) == NULL)
		pthread_cond_wait(&b->some, &b->lock);
	if ((b->first = m->next) == NULL)
		b->last = &b->first;
	pthread_mutex_unlock(&b->lock);
	m->fn(m->arg);
	free(m);
}

static inline void
inbox_done(struct inbox *b)
{
	assert_null(b->first);
	pthread_cond_destroy(&b->some);
	pthread_mutex_destroy(&b->lock);
}

/* What a call ended with. */
struct result {
	bool over;
	struct err e;
};

static inline void
result_set(struct result *r, const struct err *e)
{
	r->over = true;
	r->e = e != NULL ? *e : (struct err)ERR_INIT;
}

static inline void
accepted(struct outbox_accept *a, const struct err *e)
{
	result_set(a->user, e);
}

static inline void
moved(struct outbox_move *m, const struct err *e)
{
	result_set(m->user, e);
}

static inline void
told(struct outbox_batch *b, const struct err *e)
{
	result_set(b->user, e);
}

static inline void
held(struct outbox_hold *h, const struct err *e)
{
	result_set(h->user, e);
}

static inline void
withdrawn(struct outbox_withdraw *w, const struct err *e)
{
	result_set(w->user, e);
}

static inline void
checked(struct outbox_checkpoint *c, const struct err *e)
{
	result_set(c->user, e);
}

static inline void
pruned(struct outbox_prune *p, const struct err *e)
{
	result_set(p->user, e);
}

static inline void
turned(void *user, const struct err *e)
{
	result_set(user, e);
}

/* x.user = &r; call(box, &x, done, to), and its end. */
#define WAIT_FOR(call, x, done) \
	__extension__({ \
		struct result r_ = { 0 }; \
		struct inbox in_; \
		inbox_init(&in_); \
		(x)->user = &r_; \
		call(box, x, done, (struct post){ inbox_post, &in_ }); \
		while (!r_.over) \
			inbox_run(&in_); \
		inbox_done(&in_); \
		r_.e; \
	})

/* The same of suspend and renew. */
#define TURN(call, text) \
	do { \
		struct result r_ = { 0 }; \
		struct inbox in_; \
		inbox_init(&in_); \
		call(box, text, turned, &r_, \
		    (struct post){ inbox_post, &in_ }); \
		while (!r_.over) \
			inbox_run(&in_); \
		inbox_done(&in_); \
		assert_int_equal(r_.e.kind, ERR_NONE); \
	} while (0)

static inline struct err
accept_wait(struct outbox_accept *a)
{
	return WAIT_FOR(outbox_accept, a, accepted);
}

static inline struct err
move_wait(struct outbox_move *m)
{
	return WAIT_FOR(outbox_move, m, moved);
}

static inline struct err
batch_wait(struct outbox_batch *b)
{
	return WAIT_FOR(outbox_batch, b, told);
}

#endif
