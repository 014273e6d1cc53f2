#include <string.h>

#include "common/base/log.h"
#include "common/queue/outbox_int.h"

/* What the walk found, and what is done about it. */
enum trouble_kind {
	ROW,	/* the entry's row is lost: a dead one takes its place */
	OCTETS, /* its octets are: it dies */
	ANSWER, /* its answer's are: it dies */
	TX,	/* its row digest stands in its row alone: mended */
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

/* A bit for each id from the watermark on. */
struct ids {
	uint64_t *words;
	uint64_t first, end;
};

/*
 * Of a million entries none may cost much while it is walked past: rows go into
 * the index, all else is a bit.
 */
struct survey {
	struct outbox *o;
	uint64_t next;	/* the id that should come */
	uint64_t entry; /* the last one with a row; 0: none */
	bool octets;	/* its octets are there, or need not be */
	struct trouble *bad;
	size_t n_bad, cap_bad;
	struct ids wanted, there; /* answers: pointed to, found */
	struct ids tx;		  /* entries that "tx" knows */
};

static void
survey_done(struct survey *s)
{
	free(s->bad);
	free(s->wanted.words);
	free(s->there.words);
	free(s->tx.words);
}

static void
ids_init(struct ids *x, uint64_t first, uint64_t end)
{
	free(x->words);
	*x = (struct ids){ .first = first, .end = end };
	x->words = xcalloc((size_t)((end - first) / 64 + 1), sizeof(uint64_t));
}

static bool
ids_holds(const struct ids *x, uint64_t id)
{
	return id >= x->first && id < x->end;
}

static void
ids_add(struct ids *x, uint64_t id)
{
	if (ids_holds(x, id))
		x->words[(id - x->first) / 64] |= UINT64_C(1)
		    << (id - x->first) % 64;
}

static bool
ids_has(const struct ids *x, uint64_t id)
{
	return ids_holds(x, id) &&
	    (x->words[(id - x->first) / 64] >> (id - x->first) % 64 & 1) != 0;
}

static void
add_trouble(struct survey *s, enum trouble_kind kind, uint64_t id)
{
	if (s->n_bad == s->cap_bad) {
		s->cap_bad = s->cap_bad == 0 ? 64 : 2 * s->cap_bad;
		s->bad = xrealloc(s->bad, s->cap_bad * sizeof(*s->bad));
	}
	s->bad[s->n_bad++] = (struct trouble){ .kind = kind, .id = id };
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
	/* What was buried without its octets, or pruned, is at rest. */
	s->octets = en.state == ENTRY_DEAD || en.pruned;
	ids_add(&s->wanted, en.answer_value);
	ids_add(&s->wanted, en.late_value);
	if (!s->octets)
		return;
	/* Nobody misses it; its id was no entry's all the same. */
	ids_add(&s->there, en.answer_value);
	ids_add(&s->there, en.late_value);
}

static bool
any(struct bytes key, void *arg)
{
	(void)key, (void)arg;
	return true;
}

static bool
is_entry(struct bytes key, void *arg)
{
	(void)arg;
	return key.len == STORE_KEY_ID_LEN;
}

/* Octets and answers are there, or not: they are opened when they are needed,
 * and who cannot open them lets the entry die. */
static int
see_row(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	uint64_t id = store_key_to_id(key);
	struct survey *s = arg;

	(void)e;
	if (key.len != STORE_KEY_ID_LEN && key.len != OUTBOX_KEY_LEN)
		return 0;
	/* No id of ours: a key that was damaged. */
	if (!ids_holds(&s->wanted, id))
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
		s->octets |= s->entry == id;
	else
		ids_add(&s->there, id);
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
	struct bytes row;
	uint64_t id;

	(void)e;
	/* Before version 3 it was the other way round. */
	if (key.len == DIGEST_LEN) {
		id = store_key_to_id(value);
		row = key;
	} else {
		id = store_key_to_id(key);
		row = value;
	}
	if (damaged || row.len != DIGEST_LEN)
		return 0;
	ids_add(&s->tx, id);
	if (s->n_bad > 0 && (bad = find_trouble(s, ROW, id)) != NULL)
		memcpy(bad->row.b, row.p, DIGEST_LEN);
	return 0;
}

static void
check_tx(struct survey *s)
{
	const struct outbox_index *x = &s->o->index;
	const struct slot *v;
	uint32_t pos;
	uint64_t id;

	for (pos = outbox_index_from(x, 0); pos != POS_NONE;
	     pos = outbox_index_skip(x, pos + 1)) {
		v = outbox_index_at(x, pos);
		id = outbox_index_id(x, pos);
		if (!v->nameless && !v->pruned && !ids_has(&s->tx, id))
			add_trouble(s, TX, id);
	}
}

/* ---- answers --------------------------------------------------------- */

/* An id that is missing and that an entry points to was its answer, not an
 * entry. */
static void
forget_answers(struct survey *s)
{
	size_t i, n = 0;

	for (i = 0; i < s->n_bad; i++)
		if (s->bad[i].kind != ROW || !ids_has(&s->wanted, s->bad[i].id))
			s->bad[n++] = s->bad[i];
	s->n_bad = n;
}

static bool
answers_missing(const struct survey *s)
{
	size_t n = (size_t)((s->wanted.end - s->wanted.first) / 64 + 1), i;

	for (i = 0; i < n; i++)
		if ((s->wanted.words[i] & ~s->there.words[i]) != 0)
			return true;
	return false;
}

static bool
is_missing(const struct survey *s, uint64_t answer)
{
	return ids_has(&s->wanted, answer) && !ids_has(&s->there, answer);
}

/* Whose they are stands in the rows alone. */
static int
see_owner(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct survey *s = arg;
	struct outbox_entry en;
	uint64_t id = store_key_to_id(key);

	(void)e;
	if (key.len != STORE_KEY_ID_LEN || damaged ||
	    outbox_entry_decode(id, value, &en, NULL) == -1)
		return 0;
	if (en.state != ENTRY_DEAD && !en.pruned &&
	    (is_missing(s, en.answer_value) || is_missing(s, en.late_value)))
		add_trouble(s, ANSWER, id);
	return 0;
}

static int
survey_job(struct store_txn *t, void *arg, struct err *e)
{
	struct survey *s = arg;
	struct outbox_words w;

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	s->next = w.watermark;
	ids_init(&s->wanted, s->next, store_peek_id(t));
	ids_init(&s->there, s->next, store_peek_id(t));
	ids_init(&s->tx, s->next, store_peek_id(t));
	if (store_scan(t, DB_ROW, is_entry, see_row, s, e) == -1)
		return -1;
	pass(s, store_peek_id(t));
	forget_answers(s);
	if (answers_missing(s) &&
	    store_scan(t, DB_ROW, is_entry, see_owner, s, e) == -1)
		return -1;
	if (store_scan(t, DB_TX, any, see_tx, s, e) == -1)
		return -1;
	check_tx(s);
	return 0;
}

/* ---- mending --------------------------------------------------------- */

/* No index yet: the walk is repeated after all is mended. */
static int
put(struct survey *s, struct store_txn *t, const struct outbox_entry *en,
    struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];

	outbox_entry_encode(en, &row);
	if (store_put(t, DB_ROW, outbox_key(key, en->id, PART_ENTRY),
		buf_bytes(&row), e) == -1)
		return -1;
	return outbox_audit(
	    s->o, t, en->id, en->kind, "dead", NULL, en->reason, e);
}

static int
bury(struct survey *s, struct store_txn *t, const struct trouble *bad,
    struct err *e)
{
	struct outbox_entry en;

	outbox_buried(t, bad->id, &bad->row, troubles[bad->kind], &en);
	return put(s, t, &en, e);
}

/* What ended before keeps its end. */
static int
kill_entry(struct survey *s, struct store_txn *t, const struct trouble *bad,
    struct err *e)
{
	struct outbox_entry en;
	int rc;

	if ((rc = outbox_row_get(s->o, t, bad->id, &en, e)) != 1)
		return rc;
	en.state = entry_next(en.state, ENTRY_EV_DIE);
	if (en.state == ENTRY_NONE)
		return 0;
	en.changed = clock_now().time;
	entry_text(en.reason, sizeof(en.reason), troubles[bad->kind]);
	return put(s, t, &en, e);
}

static int
mend_tx(struct survey *s, struct store_txn *t, const struct trouble *bad,
    struct err *e)
{
	struct outbox_entry en;
	int rc;

	if ((rc = outbox_row_get(s->o, t, bad->id, &en, e)) != 1)
		return rc;
	return outbox_tx_put(t, &en, e);
}

static int
mend_job(struct store_txn *t, void *arg, struct err *e)
{
	static int (*const how[TROUBLE__MAX])(struct survey * s,
	    struct store_txn * t, const struct trouble *bad, struct err *e) = {
		[ROW] = bury,
		[OCTETS] = kill_entry,
		[ANSWER] = kill_entry,
		[TX] = mend_tx,
	};
	struct survey *s = arg;
	size_t i;

	for (i = 0; i < s->n_bad; i++)
		if (how[s->bad[i].kind](s, t, &s->bad[i], e) == -1)
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
	if (store_read_only(o->store))
		return 0;
	outbox_index_reset(&o->index);
	if (store_submit_wait(o->store, mend_job, &s, e) == -1)
		return -1;
	return store_read(o->store, survey_job, &again, e);
}
