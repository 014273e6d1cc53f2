#include "tests/fault/good_store.h"

#include <stdio.h>
#include <string.h>

#include "common/queue/outbox.h"

#define DAY 86400

/* How far entry n has come: 0 queued, 1 in flight, 2 custody, 3 answered,
 * 4 delivered. */
#define STAGES 5
static const enum entry_state stages[STAGES] = { ENTRY_QUEUED, ENTRY_INFLIGHT,
	ENTRY_CUSTODY, ENTRY_ANSWERED, ENTRY_DELIVERED };

static struct outbox *box;
static uint64_t seq;

/* ---- making it --------------------------------------------------------- */

static int
box_open(const struct lab *l, struct err *e)
{
	struct outbox_conf c = { .store = { .seal = l->seal,
				     .dir = l->store,
				     .map_size = GOOD_MAP },
		.site = "berlin",
		.signer = l->signer,
		.full_percent = 95 };

	return outbox_open(&c, &box, e);
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
fine(void *w)
{
	struct err e = lab_wait_for(w);

	if (e.kind != ERR_NONE)
		fprintf(stderr, "%s\n", e.msg);
	return e.kind == ERR_NONE;
}

static struct digest
row_of(unsigned n)
{
	return digest_of(&n, sizeof(n));
}

static bool
take(unsigned n)
{
	struct buf bytes AUTO_BUF = good_octets("request", n);
	struct facts facts = { .n = 0 };
	struct outbox_accept a = { .kind = ENTRY_CMP,
		.row = row_of(n),
		.device = row_of(n),
		.initial = true,
		.bytes = buf_bytes(&bytes),
		.facts = &facts,
		.label = "WB",
		.received = clock_now(),
		.deadline = clock_now().time + DAY,
		.user = lab_wait_new() };

	outbox_accept(box, &a, accepted, lab_here);
	return fine(a.user);
}

static bool
move(uint64_t id, enum entry_event ev)
{
	struct outbox_move m = { .event = ev,
		.ids = { id },
		.n = 1,
		.carrier = "link ra",
		.user = lab_wait_new() };

	outbox_move(box, &m, moved, lab_here);
	return fine(m.user);
}

static bool
hear(unsigned n, enum batch_code code)
{
	struct buf bytes AUTO_BUF = good_octets("request", n);
	struct buf answer AUTO_BUF = { 0 };
	struct bytes borrowed;
	struct batch_item item = { .code = code,
		.digest = digest_of(bytes.data, bytes.len),
		.has_answer = code == BATCH_ANSWERED };
	struct batch says = { .service = "ra",
		.seq = seq + 1,
		.time = clock_now().time,
		.items = &item,
		.n = 1 };
	struct outbox_batch x = {
		.batch = &says, .answers = &borrowed, .user = lab_wait_new()
	};
	struct digest row = row_of(n);
	struct outbox_entry en = { .id = 1 };

	if (outbox_find(box, &row, &en, NULL) != 1)
		err_die("an entry is not there");
	seq++;
	item.id = en.id;
	if (item.has_answer)
		answer = good_octets("answer", n);
	item.answer = digest_of(answer.data, answer.len);
	borrowed = buf_bytes(&answer);
	memcpy(says.site_epoch, outbox_epoch(box), ENTRY_EPOCH_LEN);
	outbox_batch(box, &x, heard, lab_here);
	return fine(x.user);
}

/* One step on for entry n, which is at this stage. */
static bool
advance(unsigned n, unsigned stage)
{
	struct digest row = row_of(n);
	struct outbox_entry en = { .id = 0 };

	if (stage == 1)
		return hear(n, BATCH_STORED);
	if (stage == 2)
		return hear(n, BATCH_ANSWERED);
	return outbox_find(box, &row, &en, NULL) == 1 &&
	    move(en.id, stage == 0 ? ENTRY_EV_HANDOUT : ENTRY_EV_DELIVER);
}

static void
make(const struct lab *l, void (*half)(const struct lab *l))
{
	struct err e = ERR_INIT;
	bool ok = true;
	unsigned n;

	if (box_open(l, &e) == -1)
		err_die(e.msg);
	for (n = 0; n < GOOD_ENTRIES; n++) {
		if (n == GOOD_ENTRIES / 2) {
			outbox_close(box);
			half(l);
			if (box_open(l, &e) == -1)
				err_die(e.msg);
		}
		ok = ok && take(n);
		/* Those of before go on, so that pages are used again. */
		for (unsigned s = 0; s < STAGES - 1; s++)
			if (n >= 20 * (s + 1) &&
			    (n - 20 * (s + 1)) % STAGES > s)
				ok = ok && advance(n - 20 * (s + 1), s);
	}
	outbox_close(box);
	if (!ok)
		err_die("a good outbox cannot be made");
}

/* The stage that it was left at. */
static unsigned
stage_of(unsigned n)
{
	unsigned s = 0;

	while (
	    s < STAGES - 1 && n + 20 * (s + 1) < GOOD_ENTRIES && n % STAGES > s)
		s++;
	return s;
}

/* ---- looking at it ----------------------------------------------------- */

static bool
entry_octets(unsigned n, const struct outbox_entry *en, struct seen *ret)
{
	struct buf answer AUTO_BUF = { 0 };
	struct outbox_octets x;
	bool same;

	if (outbox_octets(box, en->id, &x, NULL) == -1) {
		ret->damaged++;
		return false;
	}
	same = good_same(ret, &x.bytes, "request", n);
	outbox_octets_done(&x);
	if (!same || en->answer_value == 0)
		return same;
	if (outbox_answer(box, en, &answer, NULL) == -1) {
		ret->damaged++;
		return false;
	}
	return good_same(ret, &answer, "answer", n);
}

static bool
known_state(unsigned n, enum entry_state s)
{
	for (unsigned i = 0; i <= stage_of(n); i++)
		if (s == stages[i])
			return true;
	return false;
}

static void
entry_look(unsigned n, struct seen *ret)
{
	struct digest row = row_of(n);
	struct outbox_entry en = { .id = 0 };
	struct err e = ERR_INIT;
	int rc = outbox_find(box, &row, &en, &e);

	if (rc == -1 || (rc == 1 && en.state == ENTRY_DEAD))
		ret->damaged++;
	else if (rc == 0)
		ret->absent++;
	else if (entry_octets(n, &en, ret)) {
		ret->fine++;
		ret->older += en.state != stages[stage_of(n)];
		/* A state that it never had. */
		ret->wrong += !known_state(n, en.state);
	}
}

/* One that is buried and does not know any more by which row it came. */
static void
count_nameless(const struct outbox_entry *en, void *arg)
{
	static const struct digest none;

	if (en->state == ENTRY_DEAD && digest_eq(&en->row, &none))
		++*(unsigned *)arg;
}

static int
look(const struct lab *l, struct seen *ret, struct err *e)
{
	struct outbox_peer peer = { .seq = 0 };
	struct outbox_counts c;
	unsigned nameless = 0;
	bool done;

	if (box_open(l, e) == -1)
		return -1;
	for (unsigned n = 0; n < GOOD_ENTRIES; n++)
		entry_look(n, ret);
	(void)!outbox_list(box, 1, SIZE_MAX, count_nameless, &nameless, NULL);
	nameless = nameless < ret->absent ? nameless : ret->absent;
	ret->absent -= nameless;
	ret->damaged += nameless;
	outbox_count(box, &c);
	done = outbox_peer(box, "ra", &peer, NULL) == 0;
	ret->behind = c.next_id <= GOOD_ENTRIES || (done && peer.seq < seq);
	/* Whatever these are told: they must come back. */
	take(GOOD_ENTRIES);
	move(1, ENTRY_EV_HANDOUT);
	move(c.next_id - 1, ENTRY_EV_DELIVER);
	outbox_close(box);
	return 0;
}

const struct good_store good_outbox = { "outbox", make, look };
