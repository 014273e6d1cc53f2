/* Thirty operations on an outbox. */
#include <stdio.h>
#include <string.h>

#include "common/queue/outbox_int.h"
#include "tests/fault/short_run.h"

#define ENTRIES	  8
#define CERT_CONF 8		/* entry n's certConf is entry n + 8 */
#define ALL	  (2 * ENTRIES) /* and the number of one more request */
#define SERVICE	  "ra"
#define DAY	  86400

struct told {
	uint32_t possible[ALL]; /* bits: states it may be found in; 0: unused */
	uint32_t acked;		/* bits: entries that were acknowledged */
	uint64_t seq;		/* of the last batch that was */
};

enum what {
	ACCEPT,
	REPLAY,
	HAND_OUT,
	RECEIPT,
	ANSWER,
	REFUSE,
	DELIVER,
	CONFIRM, /* by a certConf */
	WITHDRAW,
	REOPEN
};

static const struct op {
	enum what what;
	unsigned who, n; /* entries who to who + n - 1 */
} script[] = {
	{ ACCEPT, 0, 1 },
	{ ACCEPT, 1, 1 },
	{ ACCEPT, 2, 1 },
	{ ACCEPT, 3, 1 },
	{ HAND_OUT, 0, 2 },
	{ RECEIPT, 0, 1 },
	{ ANSWER, 0, 2 },
	{ DELIVER, 0, 1 },
	{ REOPEN, 0, 0 },
	{ HAND_OUT, 2, 1 },
	{ REFUSE, 2, 1 },
	{ WITHDRAW, 3, 1 },
	{ ACCEPT, 4, 1 },
	{ CONFIRM, 0, 1 },
	{ REPLAY, 4, 1 },
	{ ACCEPT, 5, 1 },
	{ HAND_OUT, 4, 2 },
	{ RECEIPT, 4, 2 },
	{ REOPEN, 0, 0 },
	{ ACCEPT, 6, 1 },
	{ ANSWER, 4, 2 },
	{ DELIVER, 1, 1 },
	{ CONFIRM, 1, 1 },
	{ HAND_OUT, 6, 1 },
	{ HAND_OUT, 8, 2 },
	{ RECEIPT, 8, 2 },
	{ ANSWER, 6, 1 },
	{ DELIVER, 4, 2 },
	{ ACCEPT, 7, 1 },
	{ REPLAY, 0, 1 },
};

static const enum entry_event events[] = {
	[HAND_OUT] = ENTRY_EV_HANDOUT,
	[RECEIPT] = ENTRY_EV_RECEIPT,
	[ANSWER] = ENTRY_EV_ANSWER,
	[REFUSE] = ENTRY_EV_REFUSE,
	[DELIVER] = ENTRY_EV_DELIVER,
	[WITHDRAW] = ENTRY_EV_WITHDRAW,
};

struct box {
	const struct lab *l;
	struct told *told;
	struct outbox *o;
};

/* ---- what an entry is made of ----------------------------------------- */

/* Some fit a page with others, some need pages of their own. */
static struct buf
octets(const char *what, unsigned who)
{
	struct buf b = { 0 };

	for (unsigned i = 0; i < 1 + 90 * (who % 4); i++)
		buf_printf(&b, "%s of entry %u, part %u. ", what, who, i);
	return b;
}

static struct digest
row_of(unsigned who)
{
	return digest_of(&who, sizeof(who));
}

/* What these states may become. */
static uint32_t
after(uint32_t states, enum entry_event ev)
{
	uint32_t ret = 0;

	for (unsigned s = 1; s < ENTRY_STATE__MAX; s++)
		if ((states >> s & 1) != 0)
			ret |= 1u << entry_next((enum entry_state)s, ev);
	return ret & ~1u; /* ENTRY_NONE: not allowed */
}

/* Those of them in which this event changes nothing. */
static uint32_t
deaf(uint32_t states, enum entry_event ev)
{
	uint32_t ret = 0;

	for (unsigned s = 1; s < ENTRY_STATE__MAX; s++)
		if (entry_next((enum entry_state)s, ev) == ENTRY_NONE)
			ret |= 1u << s;
	return ret & states;
}

/* ---- calls ------------------------------------------------------------ */

static int
box_open(struct box *b, struct err *e)
{
	struct outbox_conf c = { .store = { .seal = b->l->seal,
				     .dir = b->l->store,
				     .map_size = SHORT_MAP },
		.site = "berlin",
		.signer = b->l->signer,
		.full_percent = 85 };

	return outbox_open(&c, &b->o, e);
}

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	lab_wait_over(a->user, e);
}

static void
moved(struct outbox_move *m, const struct err *e)
{
	lab_wait_over(m->user, e);
}

static void
heard(struct outbox_batch *x, const struct err *e)
{
	lab_wait_over(x->user, e);
}

static bool
take(struct box *b, unsigned who, uint64_t parent)
{
	struct buf bytes AUTO_BUF = octets("request", who);
	struct facts facts = { .n = 0 };
	char label[16];
	struct outbox_accept a = { .kind = ENTRY_CMP,
		.step = who >= CERT_CONF && who < ALL,
		.parent = parent,
		.row = row_of(who),
		.device = row_of(who),
		.initial = who < CERT_CONF || who == ALL,
		.bytes = buf_bytes(&bytes),
		.facts = &facts,
		.label = label,
		.received = clock_now(),
		.deadline = clock_now().time + DAY,
		.user = lab_wait_new() };

	snprintf(label, sizeof(label), "WB-%u", who);
	outbox_accept(b->o, &a, accepted, lab_here);
	return lab_wait_for(a.user).kind == ERR_NONE;
}

/* 0: it is not there. */
static uint64_t
id_of(struct box *b, unsigned who)
{
	struct digest row = row_of(who);
	struct outbox_entry en = { .id = 0 };

	return outbox_find(b->o, &row, &en, NULL) == 1 ? en.id : 0;
}

/* What is said of an entry that was not found, for whatever reason. */
static const struct err nobody = { .kind = ERR_INPUT };

static bool
move(struct box *b, const struct op *op)
{
	struct outbox_move m = { .event = events[op->what],
		.carrier = "link ra",
		.user = lab_wait_new() };

	if (op->what != HAND_OUT && op->what != DELIVER)
		m.reason = "the script";
	for (m.n = 0; m.n < op->n; m.n++)
		if ((m.ids[m.n] = id_of(b, op->who + (unsigned)m.n)) == 0)
			break;
	if (m.n < op->n)
		lab_wait_over(m.user, &nobody);
	else
		outbox_move(b->o, &m, moved, lab_here);
	return lab_wait_for(m.user).kind == ERR_NONE;
}

static bool
hear(struct box *b, const struct op *op)
{
	static const enum batch_code codes[] = { [RECEIPT] = BATCH_STORED,
		[ANSWER] = BATCH_ANSWERED,
		[REFUSE] = BATCH_REFUSED };
	struct batch_item items[2] = { { .id = 0 } };
	struct batch says = { .service = SERVICE,
		.seq = b->told->seq + 1,
		.time = clock_now().time,
		.items = items,
		.n = op->n };
	struct buf answers[2] = { { 0 } };
	struct bytes borrowed[2];
	struct outbox_batch x = {
		.batch = &says, .answers = borrowed, .user = lab_wait_new()
	};
	bool ok;

	memcpy(says.site_epoch, outbox_epoch(b->o), ENTRY_EPOCH_LEN);
	for (unsigned i = 0; i < op->n; i++) {
		struct buf bytes AUTO_BUF = octets("request", op->who + i);

		if (op->what == ANSWER)
			answers[i] = octets("answer", op->who + i);
		borrowed[i] = buf_bytes(&answers[i]);
		items[i] = (struct batch_item){ .id = id_of(b, op->who + i),
			.code = codes[op->what],
			.digest = digest_of(bytes.data, bytes.len),
			.has_answer = op->what == ANSWER,
			.answer = digest_of(answers[i].data, answers[i].len) };
	}
	/* No batch that was parsed has an item about id 0. */
	if (items[0].id == 0 || items[op->n - 1].id == 0)
		lab_wait_over(x.user, &nobody);
	else
		outbox_batch(b->o, &x, heard, lab_here);
	ok = lab_wait_for(x.user).kind == ERR_NONE;
	if (ok)
		b->told->seq = says.seq;
	buf_done(&answers[0]);
	buf_done(&answers[1]);
	return ok;
}

/* ---- the script ------------------------------------------------------- */

/* The sets that this call leads to; of whom it does not touch: the same. */
static void
expect(const struct box *b, const struct op *op, uint32_t ret[ALL])
{
	memcpy(ret, b->told->possible, sizeof(b->told->possible));
	for (unsigned i = op->who; i < op->who + op->n; i++)
		switch (op->what) {
		case ACCEPT:
			ret[i] = 1u << ENTRY_QUEUED;
			break;
		case CONFIRM:
			ret[i + CERT_CONF] = 1u << ENTRY_QUEUED;
			ret[i] = after(after(ret[i], ENTRY_EV_DELIVER) | ret[i],
			    ENTRY_EV_CONFIRM);
			break;
		case HAND_OUT:
		case RECEIPT:
		case ANSWER:
		case REFUSE:
		case DELIVER:
		case WITHDRAW:
			ret[i] = after(ret[i], events[op->what]) |
			    deaf(ret[i], events[op->what]);
			break;
		case REPLAY:
		case REOPEN:
			break;
		}
}

static bool
perform(struct box *b, const struct op *op)
{
	uint64_t parent;

	switch (op->what) {
	case ACCEPT:
	case REPLAY:
		return take(b, op->who, 0);
	case CONFIRM:
		parent = id_of(b, op->who);
		return parent != 0 && take(b, op->who + CERT_CONF, parent);
	case RECEIPT:
	case ANSWER:
	case REFUSE:
		return hear(b, op);
	case HAND_OUT:
	case DELIVER:
	case WITHDRAW:
		return move(b, op);
	case REOPEN:
		break;
	}
	return true;
}

/* Before a call both sets are possible; then, if it was acknowledged, those
 * states that it leads to alone, where it leads to any. */
static void
step(struct box *b, const struct op *op)
{
	uint32_t will[ALL];
	unsigned i;

	expect(b, op, will);
	for (i = 0; i < ALL; i++)
		b->told->possible[i] |= will[i];
	if (!perform(b, op))
		return;
	for (i = 0; i < ALL; i++)
		if (will[i] != 0)
			b->told->possible[i] = will[i];
	if (op->what == ACCEPT || op->what == REPLAY)
		b->told->acked |= 1u << op->who;
	if (op->what == CONFIRM)
		b->told->acked |= 1u << (op->who + CERT_CONF);
}

static int
run(const struct lab *l, void *told, struct err *e)
{
	struct box b = { .l = l, .told = told };

	if (box_open(&b, e) == -1)
		return -1;
	for (size_t i = 0; i < NELEMS(script); i++) {
		if (script[i].what != REOPEN) {
			step(&b, &script[i]);
			continue;
		}
		outbox_close(b.o);
		if (box_open(&b, e) == -1)
			return -1;
	}
	outbox_close(b.o);
	return 0;
}

/* ---- afterwards ------------------------------------------------------- */

static int
same(unsigned who, const char *what, const struct buf *got, struct err *e)
{
	struct buf want AUTO_BUF = octets(what, who);

	if (bytes_eq(buf_bytes(got), buf_bytes(&want)))
		return 0;
	return err_set(e, ERR_LOCAL, "entry %u: another %s", who, what);
}

/* I1, I3: its octets, and its answer where it has one. */
static int
check_octets(
    struct box *b, unsigned who, const struct outbox_entry *en, struct err *e)
{
	struct buf answer AUTO_BUF = { 0 };
	struct outbox_octets x;
	int rc;

	if (outbox_octets(b->o, en->id, &x, e) == -1)
		return -1;
	rc = same(who, "request", &x.bytes, e);
	if (rc == 0)
		rc = sign_check(b->l->signer->cert, ENTRY_LABEL,
		    buf_bytes(&x.header), buf_bytes(&x.sig), e);
	outbox_octets_done(&x);
	if (rc == -1 || en->answer_value == 0)
		return rc;
	if (outbox_answer(b->o, en, &answer, e) == -1)
		return -1;
	return same(who, "answer", &answer, e);
}

/* I1, I5: it is there if it was acknowledged, in a state that may be. */
static int
check_entry(struct box *b, unsigned who, size_t *found, struct err *e)
{
	struct digest row = row_of(who);
	struct outbox_entry en;
	int rc = outbox_find(b->o, &row, &en, e);

	if (rc == -1)
		return -1;
	if (rc == 0 && (b->told->acked >> who & 1) != 0)
		return err_set(
		    e, ERR_LOCAL, "entry %u: acknowledged, yet absent", who);
	if (rc == 0)
		return 0;
	++*found;
	if ((b->told->possible[who] >> en.state & 1) == 0)
		return err_set(e, ERR_LOCAL, "entry %u: %s, not of %#x", who,
		    entry_state_name(en.state), b->told->possible[who]);
	if (en.answer_value == 0 &&
	    (en.state == ENTRY_ANSWERED || en.state == ENTRY_DELIVERED ||
		(en.state == ENTRY_CONFIRMED && en.step == 0)))
		return err_set(e, ERR_LOCAL, "entry %u: no answer", who);
	return check_octets(b, who, &en, e);
}

/* I4: a certConf is there only with its request confirmed. */
static int
check_order(struct box *b, struct err *e)
{
	struct outbox_entry step, parent;
	struct digest row;

	for (unsigned who = CERT_CONF; who < ALL; who++) {
		row = row_of(who);
		if (outbox_find(b->o, &row, &step, NULL) != 1)
			continue;
		row = row_of(who - CERT_CONF);
		if (outbox_find(b->o, &row, &parent, NULL) != 1 ||
		    parent.id != step.parent || parent.state != ENTRY_CONFIRMED)
			return err_set(e, ERR_LOCAL,
			    "entry %u: its request is not confirmed", who);
	}
	return 0;
}

static int
verify(struct store_txn *t, void *arg, struct err *e)
{
	return audit_verify(t, DB_AUDIT, arg, e);
}

static int
check_all(struct box *b, struct err *e)
{
	struct outbox_peer peer = { .seq = 0 };
	uint64_t records, all = 0;
	struct outbox_counts c;
	size_t found = 0;

	for (unsigned who = 0; who < ALL; who++)
		if (check_entry(b, who, &found, e) == -1)
			return -1;
	outbox_count(b->o, &c);
	for (int s = 0; s < ENTRY_STATE__MAX; s++)
		all += c.by_state[s];
	if (all != found)
		return err_set(e, ERR_LOCAL, "%llu entries, %zu are known",
		    (unsigned long long)all, found);
	if (outbox_peer(b->o, SERVICE, &peer, e) == -1)
		return -1;
	if (peer.seq < b->told->seq || peer.seq > b->told->seq + 1)
		return err_set(e, ERR_LOCAL, "batch %llu, told %llu",
		    (unsigned long long)peer.seq,
		    (unsigned long long)b->told->seq);
	return check_order(b, e) == -1 ||
		store_read(b->o->store, verify, &records, e) == -1
	    ? -1
	    : 0;
}

static int
check(const struct lab *l, const void *told, struct err *e)
{
	struct told copy = *(const struct told *)told;
	struct box b = { .l = l, .told = &copy };
	int rc;

	if (box_open(&b, e) == -1)
		return -1;
	rc = check_all(&b, e);
	if (rc == 0 && !take(&b, ALL, 0))
		rc = err_set(e, ERR_LOCAL, "takes nothing more");
	outbox_close(b.o);
	return rc;
}

const struct short_run short_outbox = {
	"outbox",
	sizeof(struct told),
	run,
	check,
};
