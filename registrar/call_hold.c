#include "registrar/call_int.h"

#include "common/base/log.h"

static void
call_unhold(struct call *c)
{
	struct call **p = &c->f->held;

	while (*p != c)
		p = &(*p)->held_next;
	*p = c->held_next;
	https_on_gone(c->q, NULL, NULL);
	timer_free(c->hold);
	c->hold = NULL;
}

static void
call_hold_over(void *arg)
{
	struct call *c = arg;
	struct err e = ERR_INIT;
	int found;

	call_unhold(c);
	found = outbox_find(c->r->outbox, &c->wait_row, &c->entry, &e);
	if (found == 0)
		err_set(&e, ERR_LOCAL, "the entry is gone");
	if (found != 1)
		call_error(c, &e);
	else
		c->held_done(c);
}

/* Nobody is there to be told: the entry stays, the call ends. */
static void
call_hold_gone(void *arg)
{
	struct call *c = arg;

	call_unhold(c);
	https_reply(c->q, &(struct https_answer){ .status = 503 });
	call_free(c);
}

/* DECISIONS 10: holding makes sense only while an answer can come. */
static bool
call_may_hold(const struct call *c)
{
	const struct service *s = registrar_service(c->r, ENTRY_CMP);

	return c->r->conf.cmp.hold > 0 && s != NULL &&
	    atomic_load(&s->link_up) && c->entry.answer_value == 0 &&
	    !entry_terminal(c->entry.state) && !https_gone(c->q);
}

void
call_hold(
    struct call *c, const struct digest *row, void (*done)(struct call *c))
{
	if (!call_may_hold(c)) {
		done(c);
		return;
	}
	c->wait_row = *row;
	c->held_done = done;
	c->held_next = c->f->held;
	c->f->held = c;
	c->hold = timer_new(c->f->loop, call_hold_over, c);
	timer_set(c->hold, c->r->conf.cmp.hold);
	https_on_gone(c->q, call_hold_gone, c);
}

void
call_wake(struct front *f, const struct digest *row)
{
	struct call *next;

	for (struct call *c = f->held; c != NULL; c = next) {
		next = c->held_next;
		if (digest_eq(&c->wait_row, row))
			call_hold_over(c);
	}
}
