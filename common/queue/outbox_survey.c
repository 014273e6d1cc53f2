#include <string.h>

#include "common/base/log.h"
#include "common/queue/outbox_int.h"

/* What the walk found, and what is done about it. */
enum trouble_kind {
	ROW,	/* the entry's row is lost: a dead one takes its place */
	OCTETS, /* its octets are: it dies */
	ANSWER, /* its answer's are: it dies */
	TX,	/* nothing leads from its row digest to it: mended */
	TROUBLE__MAX
};

static const char *const troubles[TROUBLE__MAX] = {
	[ROW] = "damaged: its row is lost",
	[OCTETS] = "damaged: its octets are lost",
	[ANSWER] = "damaged: its answer is lost",
	[TX] = "damaged: its transaction was lost, and is mended",
};

struct trouble {
	enum trouble_kind kind;
	uint64_t id;
	struct digest row; /* of ROW, as far as "tx" knows it */
};

/* An answer and the entry that points to it and would die without it (0: the
 * entry is dead already), or one that is there. */
struct link {
	uint64_t answer, entry;
};

struct survey {
	struct outbox *o;
	uint64_t next;	/* the id that should come */
	uint64_t entry; /* the last one with a row; 0: none */
	bool octets;	/* its octets are fine */
	struct trouble *bad;
	size_t n_bad, cap_bad;
	struct link *wanted, *there;
	size_t n_wanted, n_there, cap_wanted, cap_there;
	bool *tx; /* slot by slot: "tx" leads to it */
};

static void
survey_done(struct survey *s)
{
	free(s->bad);
	free(s->wanted);
	free(s->there);
	free(s->tx);
}

static void *
grow(void *v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap == 0 ? 64 : 2 * *cap;
	return xrealloc(v, *cap * size);
}

static void
add_trouble(struct survey *s, enum trouble_kind kind, uint64_t id)
{
	s->bad = grow(s->bad, s->n_bad, &s->cap_bad, sizeof(*s->bad));
	s->bad[s->n_bad++] = (struct trouble){ .kind = kind, .id = id };
}

static void
add_wanted(struct survey *s, uint64_t answer, uint64_t entry)
{
	s->wanted =
	    grow(s->wanted, s->n_wanted, &s->cap_wanted, sizeof(*s->wanted));
	s->wanted[s->n_wanted++] = (struct link){ answer, entry };
}

static void
add_there(struct survey *s, uint64_t answer)
{
	s->there = grow(s->there, s->n_there, &s->cap_there, sizeof(*s->there));
	s->there[s->n_there++] = (struct link){ answer, 0 };
}

/* ---- the walk over "row" --------------------------------------------- */

/* All ids below this one are through. */
static void
pass(struct survey *s, uint64_t id)
{
	if (s->entry != 0 && !s->octets)
		add_trouble(s, OCTETS, s->entry);
	s->entry = 0;
	for (; s->next < id; s->next++)
		add_trouble(s, ROW, s->next);
	if (s->next == id)
		s->next++;
}

static void
see_entry(struct survey *s, uint64_t id, struct bytes value, bool damaged)
{
	struct outbox_entry en;

	if (damaged || outbox_entry_decode(id, value, &en, NULL) == -1) {
		add_trouble(s, ROW, id);
		return;
	}
	outbox_index_load(&s->o->index, &en);
	s->entry = id;
	/* What was buried without its octets is at rest. */
	s->octets = en.state == ENTRY_DEAD;
	if (en.answer_value != 0)
		add_wanted(s, en.answer_value, en.state == ENTRY_DEAD ? 0 : id);
}

static void
see_octets(struct survey *s, uint64_t id, struct bytes value, bool damaged)
{
	struct outbox_octets x;

	if (s->entry != id || damaged ||
	    outbox_octets_decode(id, value, &x, NULL, NULL) == -1)
		return;
	outbox_octets_done(&x);
	s->octets = true;
}

static int
see_row(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	uint64_t id = store_key_to_id(key);
	struct survey *s = arg;

	(void)e;
	if (key.len != STORE_KEY_ID_LEN && key.len != OUTBOX_KEY_LEN)
		return 0;
	if (id >= s->next) {
		pass(s, id);
		/* Octets without a row before them. */
		if (key.len == OUTBOX_KEY_LEN &&
		    key.p[STORE_KEY_ID_LEN] == PART_OCTETS)
			add_trouble(s, ROW, id);
	}
	if (key.len == STORE_KEY_ID_LEN)
		see_entry(s, id, value, damaged);
	else if (key.p[STORE_KEY_ID_LEN] == PART_OCTETS)
		see_octets(s, id, value, damaged);
	else if (!damaged)
		add_there(s, id);
	return 0;
}

/* ---- the walk over "tx" ---------------------------------------------- */

static struct trouble *
find_trouble(struct survey *s, enum trouble_kind kind, uint64_t id)
{
	size_t i;

	for (i = 0; i < s->n_bad; i++)
		if (s->bad[i].kind == kind && s->bad[i].id == id)
			return &s->bad[i];
	return NULL;
}

static int
see_tx(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct survey *s = arg;
	struct trouble *bad;
	struct slot *slot;
	uint64_t id;

	(void)e;
	if (damaged || key.len != DIGEST_LEN)
		return 0;
	id = store_key_to_id(value);
	slot = outbox_index_get(&s->o->index, id);
	if (slot != NULL && memcmp(slot->row.b, key.p, DIGEST_LEN) == 0)
		s->tx[slot - s->o->index.v] = true;
	if (slot == NULL && (bad = find_trouble(s, ROW, id)) != NULL)
		memcpy(bad->row.b, key.p, DIGEST_LEN);
	return 0;
}

static const struct digest no_row;

static void
check_tx(struct survey *s)
{
	const struct outbox_index *x = &s->o->index;
	size_t i;

	for (i = 0; i < x->n; i++)
		if (!s->tx[i] && !digest_eq(&x->v[i].row, &no_row))
			add_trouble(s, TX, x->v[i].id);
}

/* ---- answers --------------------------------------------------------- */

static int
link_order(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	return x->answer < y->answer ? -1 : x->answer > y->answer;
}

static bool
link_has(const struct link *v, size_t n, uint64_t answer)
{
	const struct link want = { answer, 0 };

	return n > 0 && bsearch(&want, v, n, sizeof(*v), link_order) != NULL;
}

/* An id that is missing and that an entry points to was its answer, not an
 * entry. */
static void
check_answers(struct survey *s)
{
	size_t i, n = 0;

	if (s->n_wanted > 0)
		qsort(s->wanted, s->n_wanted, sizeof(*s->wanted), link_order);
	for (i = 0; i < s->n_bad; i++)
		if (s->bad[i].kind != ROW ||
		    !link_has(s->wanted, s->n_wanted, s->bad[i].id))
			s->bad[n++] = s->bad[i];
	s->n_bad = n;
	for (i = 0; i < s->n_wanted; i++)
		if (s->wanted[i].entry != 0 &&
		    !link_has(s->there, s->n_there, s->wanted[i].answer))
			add_trouble(s, ANSWER, s->wanted[i].entry);
}

static int
survey_job(struct store_txn *t, void *arg, struct err *e)
{
	struct survey *s = arg;
	struct bytes all = { NULL, 0 };

	s->next = 1;
	if (store_walk(t, DB_ROW, all, see_row, s, e) == -1)
		return -1;
	pass(s, store_peek_id(t));
	check_answers(s);
	s->tx = xcalloc(s->o->index.n + 1, sizeof(*s->tx));
	if (store_walk(t, DB_TX, all, see_tx, s, e) == -1)
		return -1;
	check_tx(s);
	return 0;
}

/* ---- mending --------------------------------------------------------- */

/* What the octets still tell of an entry without a row. */
static void
recover(struct store_txn *t, struct outbox_entry *en)
{
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];
	struct entry_header h;
	struct outbox_octets x;

	if (store_get(t, DB_ROW, outbox_key(key, en->id, PART_OCTETS), &row,
		NULL) != 1 ||
	    outbox_octets_decode(en->id, buf_bytes(&row), &x, &h, NULL) == -1)
		return;
	outbox_octets_done(&x);
	en->kind = h.kind;
	en->step = h.step;
	en->digest = h.digest;
	en->received = h.received;
	en->deadline = h.deadline;
	en->parent = h.parent;
	en->replaces = h.replaces;
}

/* No index yet: the walk is repeated after all is mended. */
static int
put(struct store_txn *t, const struct outbox_entry *en, const char *reason,
    struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];

	outbox_entry_encode(en, &row);
	if (store_put(t, DB_ROW, outbox_key(key, en->id, PART_ENTRY),
		buf_bytes(&row), e) == -1)
		return -1;
	return outbox_audit(t, en->id, "dead", NULL, reason, e);
}

static int
bury(struct store_txn *t, const struct trouble *bad, struct err *e)
{
	struct outbox_entry en = { .id = bad->id,
		.state = ENTRY_DEAD,
		.row = bad->row,
		.changed = clock_now().time };

	recover(t, &en);
	entry_text(en.reason, sizeof(en.reason), troubles[bad->kind]);
	return put(t, &en, en.reason, e);
}

/* What ended before keeps its end. */
static int
kill_entry(struct store_txn *t, const struct trouble *bad, struct err *e)
{
	struct outbox_entry en;
	int rc;

	if ((rc = outbox_row_get(t, bad->id, &en, e)) != 1)
		return rc;
	en.state = entry_next(en.state, ENTRY_EV_DIE);
	if (en.state == ENTRY_NONE)
		return 0;
	en.changed = clock_now().time;
	entry_text(en.reason, sizeof(en.reason), troubles[bad->kind]);
	return put(t, &en, en.reason, e);
}

static int
mend_tx(struct store_txn *t, const struct trouble *bad, struct err *e)
{
	struct outbox_entry en;
	int rc;

	if ((rc = outbox_row_get(t, bad->id, &en, e)) != 1)
		return rc;
	return outbox_tx_put(t, &en, e);
}

static int
mend_job(struct store_txn *t, void *arg, struct err *e)
{
	static int (*const how[TROUBLE__MAX])(
	    struct store_txn * t, const struct trouble *bad, struct err *e) = {
		[ROW] = bury,
		[OCTETS] = kill_entry,
		[ANSWER] = kill_entry,
		[TX] = mend_tx,
	};
	const struct survey *s = arg;
	size_t i;

	for (i = 0; i < s->n_bad; i++)
		if (how[s->bad[i].kind](t, &s->bad[i], e) == -1)
			return -1;
	return 0;
}

static void
alarm_all(const struct survey *s)
{
	char id[ENTRY_ID_TEXT];
	size_t i;

	for (i = 0; i < s->n_bad; i++)
		log_event(LOG_ALARM, "outbox.damaged", "id", "%s",
		    outbox_id(s->o, id, s->bad[i].id), "reason", "%s",
		    troubles[s->bad[i].kind], NULL);
}

/* Each trouble is mended once, so the second walk is the last. */
int
outbox_survey(struct outbox *o, struct err *e)
{
	__attribute__((cleanup(survey_done))) struct survey s = { .o = o };
	__attribute__((cleanup(survey_done))) struct survey again = { .o = o };

	if (store_read(o->store, survey_job, &s, e) == -1)
		return -1;
	if (s.n_bad == 0)
		return 0;
	alarm_all(&s);
	outbox_index_reset(&o->index);
	if (store_submit_wait(o->store, mend_job, &s, e) == -1)
		return -1;
	return store_read(o->store, survey_job, &again, e);
}
