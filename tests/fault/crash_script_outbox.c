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
#include "tests/fault/crash_box.h"

#define DEVICES 12
#define BURST	4

struct call *
call_new(struct box *b, struct item *i)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->b = b;
	if ((c->i = i) != NULL)
		i->busy = true;
	return c;
}

void
call_free(struct call *c)
{
	buf_done(&c->answer);
	free(c);
}

void
call_begin(struct call *c)
{
	c->op = script_begin(c->b->s);
}

void
item_mark(struct call *c, struct item *i)
{
	i->is.what = MARK_ENTRY;
	i->is.op = c->op;
	script_mark(&i->is);
}

void
item_advance(struct item *i, enum entry_event ev)
{
	i->is.state = entry_next((enum entry_state)i->is.state, ev);
	if (i->is.state == ENTRY_NONE)
		script_fail("entry %llu: no %s", (unsigned long long)i->is.id,
		    entry_event_name(ev));
}

struct item *
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

struct item *
item_in(struct box *b, unsigned kinds, unsigned states)
{
	size_t at = script_random(b->s, BOX_ENTRIES);
	struct item *i;

	for (size_t k = 0; k < b->n; k++) {
		i = &b->v[(at + k) % b->n];
		if ((states >> i->is.state & 1) != 0 &&
		    (kinds >> i->is.kind & 1) != 0 && i->is.id != 0 &&
		    !device_busy(b, i->device))
			return i;
	}
	return NULL;
}

struct item *
item_add(struct box *b)
{
	return b->n == BOX_ENTRIES ? NULL : &b->v[b->n++];
}

void
item_add_ours(
    struct call *c, enum entry_kind kind, uint64_t id, uint64_t parent)
{
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;
	struct item *i = item_add(c->b);

	/* A mutant tells us before it has committed. */
	outbox_flush(c->b->o);
	if (i == NULL || outbox_octets(c->b->o, id, &x, &e) == -1)
		script_fail("entry %llu: %s", (unsigned long long)id, e.msg);
	i->is.id = id;
	i->is.kind = kind;
	i->is.state = ENTRY_QUEUED;
	i->is.parent = parent;
	i->is.has = MARK_IS_OURS;
	i->is.octets = digest_of(x.bytes.data, x.bytes.len);
	item_mark(c, i);
	outbox_octets_done(&x);
}

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
	item_mark(c, c->i);
	if (a->superseded != 0) {
		old = item_by_id(c->b, a->superseded);
		item_advance(old, ENTRY_EV_WITHDRAW);
		item_mark(c, old);
	}
	if (a->parent != 0) {
		old = item_by_id(c->b, a->parent);
		old->is.state = ENTRY_CONFIRMED;
		item_mark(c, old);
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
		.deadline = clock_now().time + BOX_DAY,
		.parent = i->is.parent,
		.user = c };
	call_begin(c);
	outbox_accept(c->b->o, &c->accept, accepted, c->b->s->here);
}

static struct item *
item_new(struct box *b, enum entry_kind kind, const char *device)
{
	struct item *i = item_add(b);

	if (i == NULL)
		return NULL;
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
	struct item *parent = item_in(
			b, 1u << ENTRY_CMP, IN(ANSWERED) | IN(DELIVERED)),
		    *i;

	if (parent == NULL || parent->is.step != 0)
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
	/* What has ended may be pruned. */
	struct item *i = item_in(b, OF_DEVICES,
	    ~(IN(CONFIRMED) | IN(REFUSED) | IN(EXPIRED) | IN(WITHDRAWN)));
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
	call_begin(c);
	outbox_accept(b->o, &c->accept, replayed, b->s->here);
	return true;
}

/* ---- the run ------------------------------------------------------------ */

static const struct {
	unsigned weight;
	box_start start;
	bool alone;
} calls[] = {
	{ 24, do_request },
	{ 20, box_hand_out },
	{ 16, box_receipt },
	{ 16, box_answer },
	{ 4, box_refusal },
	{ 4, box_plain_refusal },
	{ 12, box_deliver },
	{ 4, box_confirm },
	{ 8, do_cert_conf },
	{ 3, box_withdraw },
	{ 2, box_expire },
	{ 3, box_hold },
	{ 3, box_release },
	{ 4, box_give_up },
	{ 4, box_late_answer },
	{ 4, box_receipt_of_ours },
	{ 4, do_replay },
	{ 4, box_reopen, .alone = true },
	{ 2, box_checkpoint, .alone = true },
	{ 2, box_prune, .alone = true },
	{ 1, box_renew, .alone = true },
};

/* Nothing else may be under way. */
static void
burst_over(struct box *b)
{
	script_wait(b->s);
	for (size_t i = 0; i < b->n; i++)
		b->v[i].busy = false;
}

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
	if (calls[i].alone)
		burst_over(b);
	calls[i].start(b);
	if (calls[i].alone)
		burst_over(b);
}

static void
burst(struct box *b)
{
	uint64_t n = 1 + script_random(b->s, BURST);

	for (; n > 0 && b->s->op < b->s->ops; n--)
		start_one(b);
	burst_over(b);
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

		if (outbox_get(b->o, b->v[i].is.id, &en, &e) != 1 &&
		    !entry_terminal(want))
			script_fail("entry %llu is gone: %s",
			    (unsigned long long)b->v[i].is.id, e.msg);
		else if (e.kind != ERR_NONE || en.id != b->v[i].is.id)
			continue;
		if (en.state != want)
			script_fail("entry %llu is %s, not %s",
			    (unsigned long long)en.id,
			    entry_state_name(en.state), entry_state_name(want));
	}
}

void
box_open(struct box *b)
{
	struct outbox_conf conf = { .store = { .dir = b->s->store,
					.map_size = CRASH_MAP },
		.site = CRASH_SITE,
		.signer = b->s->signer,
		.full_percent = 85 };
	struct err e = ERR_INIT;

	if (outbox_open(&conf, &b->o, &e) == -1)
		script_fail("%s", e.msg);
}

void
script_outbox(struct script *s)
{
	struct mark opened = { .what = MARK_OPEN };
	struct box *b = xcalloc(1, sizeof(*b));

	b->s = s;
	box_open(b);
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
