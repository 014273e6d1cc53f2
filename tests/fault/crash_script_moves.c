/* What becomes of entries under the script: by its own hand, and by a service's
 * word. */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "tests/fault/crash_box.h"

/* The outbox's own answer; a service's that was there is late. */
static void
own_answer(struct call *c)
{
	struct mark *is = &c->i->is;

	if (c->answer.len == 0)
		return;
	if ((is->has & MARK_HAS_ANSWER) != 0) {
		is->has |= MARK_HAS_LATE;
		is->hash = is->answer;
	}
	is->has |= MARK_HAS_ANSWER;
	is->answer = digest_of(c->answer.data, c->answer.len);
}

static void
moved(struct outbox_move *m, const struct err *e)
{
	struct call *c = m->user;

	script_done(c->b->s, e);
	if (!m->moved[0])
		script_fail("entry %llu: no %s",
		    (unsigned long long)c->i->is.id,
		    entry_event_name(m->event));
	item_advance(c->i, m->event);
	own_answer(c);
	item_mark(c, c->i);
	call_free(c);
}

static bool
move_one(struct box *b, unsigned kinds, unsigned states, enum entry_event ev,
    bool answer)
{
	struct item *i = item_in(b, kinds, states);
	struct call *c;

	if (i == NULL || (i->is.has & MARK_IS_HELD) != 0)
		return false;
	c = call_new(b, i);
	if (answer)
		c->answer = script_octets(b->s, "own answer", 30, 900);
	c->answers = buf_bytes(&c->answer);
	c->move = (struct outbox_move){ .event = ev,
		.ids = { i->is.id },
		.n = 1,
		.carrier = "link ra",
		.reason = answer ? "the script" : NULL,
		.answers = answer ? &c->answers : NULL,
		.user = c };
	call_begin(c);
	outbox_move(b->o, &c->move, moved, b->s->here);
	return true;
}

bool
box_hand_out(struct box *b)
{
	return move_one(
	    b, ANY_KIND, IN(QUEUED) | IN(INFLIGHT), ENTRY_EV_HANDOUT, false);
}

bool
box_deliver(struct box *b)
{
	return move_one(b, OF_DEVICES, IN(ANSWERED), ENTRY_EV_DELIVER, false);
}

bool
box_confirm(struct box *b)
{
	return move_one(b, OF_DEVICES, IN(DELIVERED), ENTRY_EV_CONFIRM, false);
}

bool
box_withdraw(struct box *b)
{
	return move_one(b, OF_DEVICES, IN(QUEUED), ENTRY_EV_WITHDRAW, true);
}

bool
box_expire(struct box *b)
{
	return move_one(b, OF_DEVICES, IN(QUEUED), ENTRY_EV_EXPIRE, true);
}

/* ---- holding ------------------------------------------------------------- */

static void
held(struct outbox_hold *h, const struct err *e)
{
	struct call *c = h->user;

	script_done(c->b->s, e);
	if (!h->moved[0])
		script_fail("entry %llu: not %s",
		    (unsigned long long)c->i->is.id,
		    h->hold ? "held" : "released");
	c->i->is.has ^= MARK_IS_HELD;
	item_mark(c, c->i);
	call_free(c);
}

static bool
hold_one(struct box *b, bool hold)
{
	struct item *i = item_in(b, OF_DEVICES, IN(QUEUED));
	struct call *c;

	if (i == NULL || ((i->is.has & MARK_IS_HELD) != 0) == hold)
		return false;
	c = call_new(b, i);
	c->hold = (struct outbox_hold){ .ids = { i->is.id },
		.n = 1,
		.hold = hold,
		.who = "uid 1000",
		.why = "the script",
		.user = c };
	call_begin(c);
	outbox_hold(b->o, &c->hold, held, b->s->here);
	return true;
}

bool
box_hold(struct box *b)
{
	return hold_one(b, true);
}

bool
box_release(struct box *b)
{
	return hold_one(b, false);
}

/* ---- giving up ----------------------------------------------------------- */

static void
given_up(struct outbox_withdraw *w, const struct err *e)
{
	struct call *c = w->user;
	bool left = c->i->is.state != ENTRY_QUEUED;

	script_done(c->b->s, e);
	if (!w->withdrawn || (w->entry != 0) != left)
		script_fail("entry %llu: not given up",
		    (unsigned long long)c->i->is.id);
	item_advance(c->i, ENTRY_EV_WITHDRAW);
	own_answer(c);
	item_mark(c, c->i);
	if (left)
		item_add_ours(c, ENTRY_WITHDRAW, w->entry, c->i->is.id);
	call_free(c);
}

bool
box_give_up(struct box *b)
{
	struct item *i = item_in(b, OF_DEVICES,
	    IN(QUEUED) | IN(INFLIGHT) | IN(CUSTODY) | IN(ANSWERED));
	struct call *c;

	if (i == NULL || (i->is.has & MARK_IS_HELD) != 0 || i->is.step != 0)
		return false;
	c = call_new(b, i);
	c->answer = script_octets(b->s, "own answer", 30, 900);
	c->withdraw = (struct outbox_withdraw){ .id = i->is.id,
		.who = "uid 1000",
		.why = "the script",
		.answer = buf_bytes(&c->answer),
		.user = c };
	call_begin(c);
	outbox_withdraw(b->o, &c->withdraw, given_up, b->s->here);
	return true;
}

/* ---- what a service says ------------------------------------------------- */

static void
heard(struct outbox_batch *x, const struct err *e)
{
	struct call *c = x->user;
	struct mark m = { .what = MARK_PEER, .op = c->op, .seq = c->says.seq };
	struct mark *is = &c->i->is;

	script_done(c->b->s, e);
	if (x->alarms == 0 && x->moved == 0 && c->b->pruned &&
	    is->state == ENTRY_WITHDRAWN) {
		script_mark(&m); /* there is nothing left to keep it at */
		call_free(c);
		return;
	}
	if (x->alarms != 0 || x->moved != 1)
		script_fail("batch %llu: %zu moved, %zu alarms: %s of %s",
		    (unsigned long long)c->says.seq, x->moved, x->alarms,
		    batch_code_name(c->item.code),
		    entry_state_name((enum entry_state)is->state));
	if (c->item.has_answer && is->state == ENTRY_WITHDRAWN) {
		is->has |= MARK_HAS_LATE;
		is->hash = c->item.answer;
	} else if (c->item.has_answer) {
		is->has |= MARK_HAS_ANSWER;
		is->answer = c->item.answer;
	}
	/* Nobody fetches what is said of the outbox's own, and nothing follows
	 * the answer to a certConf. */
	if ((is->has & MARK_IS_OURS) != 0 ||
	    (is->step > 0 && c->item.has_answer))
		is->state = ENTRY_CONFIRMED;
	else
		item_advance(c->i, c->ev);
	item_mark(c, c->i);
	script_mark(&m);
	call_free(c);
}

static bool
tell_of(struct box *b, struct item *i, enum batch_code code,
    enum entry_event ev, bool answer)
{
	struct call *c;

	if (i == NULL)
		return false;
	c = call_new(b, i);
	c->ev = ev;
	c->item = (struct batch_item){ .id = i->is.id,
		.code = code,
		.digest = i->is.octets,
		.has_answer = answer };
	if (answer)
		c->answer = script_octets(b->s, "answer", 30, 9000);
	c->answers = buf_bytes(&c->answer);
	c->item.answer = digest_of(c->answer.data, c->answer.len);
	c->says = (struct batch){ .service = CRASH_SERVICE,
		.service_epoch = "one epoch",
		.site = CRASH_SITE,
		.seq = ++b->seq,
		.time = clock_now().time,
		.n = 1,
		.items = &c->item };
	memcpy(c->says.site_epoch, outbox_epoch(b->o), ENTRY_EPOCH_LEN);
	c->batch = (struct outbox_batch){
		.batch = &c->says, .answers = &c->answers, .user = c
	};
	call_begin(c);
	outbox_batch(b->o, &c->batch, heard, b->s->here);
	return true;
}

bool
box_receipt(struct box *b)
{
	return tell_of(b, item_in(b, OF_DEVICES, IN(INFLIGHT)), BATCH_STORED,
	    ENTRY_EV_RECEIPT, false);
}

bool
box_receipt_of_ours(struct box *b)
{
	return tell_of(b, item_in(b, OF_OURS, IN(INFLIGHT)), BATCH_STORED,
	    ENTRY_EV_RECEIPT, false);
}

bool
box_answer(struct box *b)
{
	return tell_of(b, item_in(b, OF_DEVICES, IN(INFLIGHT) | IN(CUSTODY)),
	    BATCH_ANSWERED, ENTRY_EV_ANSWER, true);
}

/* A refusal with octets of its own is an answer. */
bool
box_refusal(struct box *b)
{
	return tell_of(b, item_in(b, OF_DEVICES, IN(INFLIGHT) | IN(CUSTODY)),
	    BATCH_REFUSED, ENTRY_EV_ANSWER, true);
}

bool
box_plain_refusal(struct box *b)
{
	return tell_of(b, item_in(b, OF_DEVICES, IN(INFLIGHT) | IN(CUSTODY)),
	    BATCH_TOO_LARGE, ENTRY_EV_REFUSE, false);
}

/* One is all that a service gives. */
bool
box_late_answer(struct box *b)
{
	struct item *i = item_in(b, OF_DEVICES, IN(WITHDRAWN));

	if (i == NULL || (i->is.has & MARK_HAS_LATE) != 0)
		return false;
	return tell_of(b, i, BATCH_ANSWERED, ENTRY_EV_ANSWER, true);
}
