/* What is done to the outbox as a whole, with nothing else under way. */
#include <stdlib.h>
#include <string.h>

#include "tests/fault/crash_box.h"

bool
box_reopen(struct box *b)
{
	script_begin(b->s);
	outbox_close(b->o);
	box_open(b);
	b->s->waiting--;
	return true;
}

/* ---- checkpoints ----------------------------------------------------------- */

/* One that never left is withdrawn by the next. */
static void
end_older(struct call *c)
{
	struct item *i;

	for (size_t k = 0; k < c->b->n; k++) {
		i = &c->b->v[k];
		if (i->is.kind != ENTRY_AUDIT || i->is.state != ENTRY_QUEUED)
			continue;
		item_advance(i, ENTRY_EV_WITHDRAW);
		item_mark(c, i);
	}
}

static void
pointed(struct outbox_checkpoint *x, const struct err *e)
{
	struct call *c = x->user;

	script_done(c->b->s, e);
	if (x->id != 0) {
		end_older(c);
		item_add_ours(c, ENTRY_AUDIT, x->id, 0);
	}
	call_free(c);
}

bool
box_checkpoint(struct box *b)
{
	struct call *c = call_new(b, NULL);

	c->checkpoint.user = c;
	call_begin(c);
	outbox_checkpoint(b->o, &c->checkpoint, pointed, b->s->here);
	return true;
}

/* ---- pruning ----------------------------------------------------------------- */

static void
pruned(struct outbox_prune *p, const struct err *e)
{
	struct call *c = p->user;
	const struct mark m = { .what = MARK_PRUNED, .op = c->op };

	script_done(c->b->s, e);
	script_mark(&m);
	call_free(c);
}

bool
box_prune(struct box *b)
{
	struct call *c = call_new(b, NULL);

	c->prune = (struct outbox_prune){ .before = clock_now().time + BOX_DAY,
		.max = 1 + script_random(b->s, 5),
		.user = c };
	b->pruned = true;
	call_begin(c);
	outbox_prune(b->o, &c->prune, pruned, b->s->here);
	return true;
}

/* ---- beginning again --------------------------------------------------------- */

static void
suspended(void *user, const struct err *e)
{
	struct call *c = user;
	const struct mark m = {
		.what = MARK_SUSPENDED, .op = c->op, .state = 1
	};

	script_done(c->b->s, e);
	script_mark(&m);
	call_free(c);
}

/* Another epoch, and nothing was heard in it. */
static void
renewed(void *user, const struct err *e)
{
	struct call *c = user;
	struct mark m = { .what = MARK_SUSPENDED, .op = c->op };

	script_done(c->b->s, e);
	script_mark(&m);
	m.what = MARK_PEER;
	script_mark(&m);
	m.what = MARK_OPEN;
	memcpy(m.hash.b, outbox_epoch(c->b->o), ENTRY_EPOCH_LEN);
	script_mark(&m);
	c->b->seq = 0;
	call_free(c);
}

bool
box_renew(struct box *b)
{
	struct call *c = call_new(b, NULL);

	call_begin(c);
	outbox_suspend(
	    b->o, "an older copy, says the script", suspended, c, b->s->here);
	script_wait(b->s);
	c = call_new(b, NULL);
	call_begin(c);
	outbox_renew(b->o, "uid 1000", renewed, c, b->s->here);
	return true;
}
