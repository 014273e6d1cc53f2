/*
 * The outbox under the script: requests that come, leave, are received,
 * answered, fetched, confirmed, superseded and given up, one to four at a time.
 * The calls of one burst touch different entries, so each mark says exactly
 * what its call has done.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/outbox.h"
#include "tests/fault/crash_script.h"

#define ENTRIES_MAX 1024
#define DEVICES	    12
#define BURST	    4
#define DAY	    86400

/* An entry, as the script knows it. */
struct item {
	struct mark is;
	char device[16];
	struct buf octets, wrapped;
	bool initial;
	bool busy; /* a call of this burst is about it */
};

struct box {
	struct script *s;
	struct outbox *o;
	struct item v[ENTRIES_MAX];
	size_t n;
	uint64_t seq; /* of the service's batches */
};

/* One call under way, with all that it borrows. */
struct call {
	struct box *b;
	unsigned op;
	struct item *i;	     /* what it is about */
	enum entry_event ev; /* what becomes of it */
	struct buf answer;
	struct outbox_accept accept;
	struct outbox_move move;
	struct outbox_batch batch;
	struct batch says;
	struct batch_item item;
	struct bytes answers;
	struct facts facts;
};

static struct call *
call_new(struct box *b, struct item *i)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->b = b;
	c->i = i;
	i->busy = true;
	return c;
}

static void
call_free(struct call *c)
{
	buf_done(&c->answer);
	free(c);
}

/* This is what the entry is since this call. */
static void
mark_item(struct call *c, struct item *i)
{
	i->is.what = MARK_ENTRY;
	i->is.op = c->op;
	script_mark(&i->is);
}

static void
advance(struct item *i, enum entry_event ev)
{
	i->is.state = entry_next((enum entry_state)i->is.state, ev);
	if (i->is.state == ENTRY_NONE)
		script_fail("entry %llu: no %s", (unsigned long long)i->is.id,
		    entry_event_name(ev));
}

static struct item *
item_by_id(struct box *b, uint64_t id)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].is.id == id)
			return &b->v[i];
	script_fail("entry %llu is none of ours", (unsigned long long)id);
}

/* A new request of a device may end its older ones. */
static bool
device_busy(const struct box *b, const char *device)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->v[i].busy && strcmp(b->v[i].device, device) == 0)
			return true;
	return false;
}

/* One of those in these states, at random; NULL: there is none. */
static struct item *
item_in(struct box *b, unsigned states)
{
	size_t at = script_random(b->s, ENTRIES_MAX);
	struct item *i;

	for (size_t k = 0; k < b->n; k++) {
		i = &b->v[(at + k) % b->n];
		if ((states >> i->is.state & 1) != 0 && i->is.id != 0 &&
		    !device_busy(b, i->device))
			return i;
	}
	return NULL;
}

#define IN(state) (1u << ENTRY_##state)

/* ---- accepting --------------------------------------------------------- */

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	struct call *c = a->user;
	struct item *old;

	script_done(c->b->s, e);
	if (a->replay || a->entry.state != ENTRY_QUEUED)
		script_fail("accepted as %s", entry_state_name(a->entry.state));
	c->i->is.id = a->entry.id;
	c->i->is.state = ENTRY_QUEUED;
	mark_item(c, c->i);
	if (a->superseded != 0) {
		old = item_by_id(c->b, a->superseded);
		advance(old, ENTRY_EV_WITHDRAW);
		mark_item(c, old);
	}
	if (a->parent != 0) {
		old = item_by_id(c->b, a->parent);
		old->is.state = ENTRY_CONFIRMED;
		mark_item(c, old);
	}
	call_free(c);
}

/* What the fields of an item do not say. */
static void
accept_submit(struct call *c)
{
	struct item *i = c->i;

	facts_set(&c->facts, "vendor", FACT_END_TO_END, "acme");
	c->accept = (struct outbox_accept){ .kind = (enum entry_kind)i->is.kind,
		.step = i->is.step,
		.row = i->is.row,
		.device = digest_of(i->device, strlen(i->device)),
		.initial = i->initial,
		.bytes = buf_bytes(&i->octets),
		.wrapped = buf_bytes(&i->wrapped),
		.facts = &c->facts,
		.label = i->device,
		.received = clock_now(),
		.deadline = clock_now().time + DAY,
		.parent = i->is.parent,
		.user = c };
	c->op = script_begin(c->b->s);
	outbox_accept(c->b->o, &c->accept, accepted, c->b->s->here);
}

static struct item *
item_new(struct box *b, enum entry_kind kind, const char *device)
{
	struct item *i = &b->v[b->n];

	if (b->n == ENTRIES_MAX)
		return NULL;
	b->n++;
	str_copy(i->device, sizeof(i->device), device);
	i->octets = script_octets(b->s, "request", 40, 6000);
	if (kind == ENTRY_CMP)
		i->wrapped = script_octets(b->s, "nested", 60, 6000);
	i->is.kind = kind;
	i->is.octets = digest_of(i->octets.data, i->octets.len);
	i->is.wrapped = digest_of(i->wrapped.data, i->wrapped.len);
	i->is.row = digest_of(i->is.octets.b, DIGEST_LEN);
	return i;
}

/* A device's first request, or another one of it. */
static bool
do_request(struct box *b)
{
	size_t d = script_random(b->s, DEVICES);
	bool voucher = script_random(b->s, 4) == 0;
	char device[16];
	struct item *i;

	snprintf(device, sizeof(device), "WB-%zu", d);
	if (device_busy(b, device) ||
	    (i = item_new(b, voucher ? ENTRY_VOUCHER : ENTRY_CMP, device)) ==
		NULL)
		return false;
	i->initial = !voucher;
	accept_submit(call_new(b, i));
	return true;
}

/* Confirms an answer, and with it the request. */
static bool
do_cert_conf(struct box *b)
{
	struct item *parent = item_in(b, IN(ANSWERED) | IN(DELIVERED)), *i;

	if (parent == NULL || parent->is.kind != ENTRY_CMP ||
	    parent->is.step != 0)
		return false;
	if ((i = item_new(b, ENTRY_CMP, parent->device)) == NULL)
		return false;
	i->is.step = 1;
	i->is.parent = parent->is.id;
	parent->busy = true;
	accept_submit(call_new(b, i));
	return true;
}

static void
replayed(struct outbox_accept *a, const struct err *e)
{
	struct call *c = a->user;

	script_done(c->b->s, e);
	if (!a->replay || a->entry.id != c->i->is.id)
		script_fail("entry %llu: its octets came again and were taken "
			    "for new",
		    (unsigned long long)c->i->is.id);
	call_free(c);
}

static bool
do_replay(struct box *b)
{
	struct item *i = item_in(b, ~0u);
	struct call *c;

	if (i == NULL)
		return false;
	c = call_new(b, i);
	c->accept = (struct outbox_accept){ .kind = (enum entry_kind)i->is.kind,
		.step = i->is.step,
		.row = i->is.row,
		.bytes = buf_bytes(&i->octets),
		.parent = i->is.parent,
		.received = clock_now(),
		.user = c };
	c->op = script_begin(b->s);
	outbox_accept(b->o, &c->accept, replayed, b->s->here);
	return true;
}

/* ---- moving ------------------------------------------------------------ */

static void
moved(struct outbox_move *m, const struct err *e)
{
	struct call *c = m->user;

	script_done(c->b->s, e);
	if (!m->moved[0])
		script_fail("entry %llu: no %s",
		    (unsigned long long)c->i->is.id,
		    entry_event_name(m->event));
	advance(c->i, m->event);
	mark_item(c, c->i);
	call_free(c);
}

static bool
move_one(struct box *b, unsigned states, enum entry_event ev)
{
	struct item *i = item_in(b, states);
	struct call *c;

	if (i == NULL)
		return false;
	c = call_new(b, i);
	c->move = (struct outbox_move){ .event = ev,
		.ids = { i->is.id },
		.n = 1,
		.carrier = "link ra",
		.reason = ev == ENTRY_EV_WITHDRAW ? "given up" : NULL,
		.user = c };
	c->op = script_begin(b->s);
	outbox_move(b->o, &c->move, moved, b->s->here);
	return true;
}

static bool
do_hand_out(struct box *b)
{
	return move_one(b, IN(QUEUED) | IN(INFLIGHT), ENTRY_EV_HANDOUT);
}

static bool
do_deliver(struct box *b)
{
	return move_one(b, IN(ANSWERED), ENTRY_EV_DELIVER);
}

static bool
do_confirm(struct box *b)
{
	return move_one(b, IN(DELIVERED), ENTRY_EV_CONFIRM);
}

static bool
do_withdraw(struct box *b)
{
	return move_one(b, IN(QUEUED), ENTRY_EV_WITHDRAW);
}

/* ---- what a service says ----------------------------------------------- */

static void
heard(struct outbox_batch *x, const struct err *e)
{
	struct call *c = x->user;
	struct mark m = { .what = MARK_PEER, .op = c->op, .seq = c->says.seq };

	script_done(c->b->s, e);
	if (x->alarms != 0 || x->moved != 1)
		script_fail("batch %llu: %zu moved, %zu alarms",
		    (unsigned long long)c->says.seq, x->moved, x->alarms);
	advance(c->i, c->ev);
	if (c->item.has_answer) {
		c->i->is.has |= MARK_HAS_ANSWER;
		c->i->is.answer = c->item.answer;
	}
	mark_item(c, c->i);
	script_mark(&m);
	call_free(c);
}

static bool
tell_one(struct box *b, unsigned states, enum batch_code code,
    enum entry_event ev, bool answer)
{
	struct item *i = item_in(b, states);
	struct call *c;

	/* One answer is all that a service gives. */
	if (i == NULL || (answer && (i->is.has & MARK_HAS_ANSWER) != 0))
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
	c->op = script_begin(b->s);
	outbox_batch(b->o, &c->batch, heard, b->s->here);
	return true;
}

static bool
do_receipt(struct box *b)
{
	return tell_one(b, IN(INFLIGHT), BATCH_STORED, ENTRY_EV_RECEIPT, false);
}

static bool
do_answer(struct box *b)
{
	return tell_one(b, IN(INFLIGHT) | IN(CUSTODY), BATCH_ANSWERED,
	    ENTRY_EV_ANSWER, true);
}

/* A refusal with octets of its own is an answer. */
static bool
do_refusal(struct box *b)
{
	return tell_one(b, IN(INFLIGHT) | IN(CUSTODY), BATCH_REFUSED,
	    ENTRY_EV_ANSWER, true);
}

static bool
do_plain_refusal(struct box *b)
{
	return tell_one(b, IN(INFLIGHT) | IN(CUSTODY), BATCH_TOO_LARGE,
	    ENTRY_EV_REFUSE, false);
}

static bool
do_late_answer(struct box *b)
{
	return tell_one(
	    b, IN(WITHDRAWN), BATCH_ANSWERED, ENTRY_EV_ANSWER, true);
}

/* ---- the run ------------------------------------------------------------ */

static const struct {
	unsigned weight;
	bool (*start)(struct box *b);
} calls[] = {
	{ 6, do_request },
	{ 5, do_hand_out },
	{ 4, do_receipt },
	{ 4, do_answer },
	{ 1, do_refusal },
	{ 1, do_plain_refusal },
	{ 1, do_late_answer },
	{ 3, do_deliver },
	{ 1, do_confirm },
	{ 2, do_cert_conf },
	{ 1, do_withdraw },
	{ 1, do_replay },
};

static void
start_one(struct box *b)
{
	uint64_t all = 0, pick;
	size_t i;

	for (i = 0; i < NELEMS(calls); i++)
		all += calls[i].weight;
	pick = script_random(b->s, all);
	for (i = 0; pick >= calls[i].weight; i++)
		pick -= calls[i].weight;
	calls[i].start(b);
}

static void
burst(struct box *b)
{
	uint64_t n = 1 + script_random(b->s, BURST);

	for (; n > 0 && b->s->op < b->s->ops; n--)
		start_one(b);
	script_wait(b->s);
	for (size_t i = 0; i < b->n; i++)
		b->v[i].busy = false;
}

/* At the end the outbox and the script agree. */
static void
compare(struct box *b)
{
	struct outbox_entry en;
	struct err e = ERR_INIT;

	outbox_flush(b->o);
	for (size_t i = 0; i < b->n; i++) {
		enum entry_state want = (enum entry_state)b->v[i].is.state;

		if (outbox_get(b->o, b->v[i].is.id, &en, &e) != 1)
			script_fail("%s", e.msg);
		if (en.state != want)
			script_fail("entry %llu is %s, not %s",
			    (unsigned long long)en.id,
			    entry_state_name(en.state), entry_state_name(want));
	}
}

void
script_outbox(struct script *s)
{
	struct outbox_conf conf = { .store = { .dir = s->store,
					.map_size = CRASH_MAP },
		.site = CRASH_SITE,
		.signer = s->signer,
		.full_percent = 85 };
	struct mark opened = { .what = MARK_OPEN };
	struct box *b = xcalloc(1, sizeof(*b));
	struct err e = ERR_INIT;

	b->s = s;
	if (outbox_open(&conf, &b->o, &e) == -1)
		script_fail("%s", e.msg);
	memcpy(opened.hash.b, outbox_epoch(b->o), ENTRY_EPOCH_LEN);
	script_mark(&opened);
	while (s->op < s->ops)
		burst(b);
	compare(b);
	outbox_close(b->o);
	for (size_t i = 0; i < b->n; i++) {
		buf_done(&b->v[i].octets);
		buf_done(&b->v[i].wrapped);
	}
	free(b);
}
