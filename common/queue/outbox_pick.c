#include <stddef.h>
#include <string.h>

#include "common/queue/outbox_int.h"

/* ---- what may leave --------------------------------------------------- */

static const struct {
	unsigned class, kind;
} lanes[LANE__MAX] = {
	[LANE_LAST_CMP] = { 0, ENTRY_CMP },
	[LANE_LAST_VOUCHER] = { 0, ENTRY_VOUCHER },
	[LANE_RENEWAL] = { 1, ENTRY_CMP },
	[LANE_VOUCHER] = { 2, ENTRY_VOUCHER },
	[LANE_ENROL] = { 3, ENTRY_CMP },
	[LANE_TELEMETRY] = { 4, ENTRY_TELEMETRY },
	[LANE_AUDIT] = { 4, ENTRY_AUDIT },
};

/* A class's sets, as a mask. */
static unsigned
class_sets(unsigned class, unsigned kinds_mask, bool inflight_too)
{
	unsigned sets = 0;
	enum lane l;

	for (l = 0; l < LANE__MAX; l++) {
		if (lanes[l].class != class ||
		    (kinds_mask & 1u << lanes[l].kind) == 0)
			continue;
		sets |= 1u << SET_FRESH(l);
		if (inflight_too)
			sets |= 1u << SET_AGAIN(l);
	}
	return sets;
}

static unsigned
set_class(unsigned set)
{
	return lanes[set / 2].class;
}

/* The first place from off on that is in one of these sets. */
static uint32_t
chunk_next(const struct chunk *c, unsigned sets, uint32_t off)
{
	uint64_t word;
	uint32_t w;
	unsigned i;

	for (w = off / 64; w < CHUNK_SLOTS / 64; w++, off = w * 64) {
		word = 0;
		for (i = 0; i < SETS; i++)
			if ((sets & 1u << i) != 0)
				word |= c->set[i][w];
		word &= UINT64_MAX << off % 64;
		if (word != 0)
			return w * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return CHUNK_SLOTS;
}

static bool
chunk_has(const struct chunk *c, unsigned sets)
{
	unsigned i;

	for (i = 0; i < SETS; i++)
		if ((sets & 1u << i) != 0 && c->in_set[i] > 0)
			return true;
	return false;
}

/* The first position from pos on that is in one of these sets. */
static uint32_t
next_in(const struct outbox_index *x, unsigned sets, uint32_t pos)
{
	uint32_t off;

	for (pos = outbox_index_skip(x, pos); pos != POS_NONE;
	     pos = outbox_index_skip(
		 x, (pos & ~(CHUNK_SLOTS - 1)) + CHUNK_SLOTS)) {
		const struct chunk *c = outbox_chunk(x, pos);

		if (!chunk_has(c, sets))
			continue;
		off = chunk_next(c, sets, pos & (CHUNK_SLOTS - 1));
		if (off < CHUNK_SLOTS)
			return (pos & ~(CHUNK_SLOTS - 1)) | off;
	}
	return POS_NONE;
}

/* What belongs to a parent waits for it; one that was pruned had ended. */
static bool
parent_ready(const struct outbox_index *x, uint32_t pos)
{
	const struct slot *s = outbox_index_at(x, pos), *parent;

	if (!s->step)
		return true;
	parent = outbox_index_get(x, outbox_index_id(x, pos) - s->parent);
	return parent == NULL ||
	    (!parent->pending &&
		(parent->state == ENTRY_ANSWERED ||
		    parent->state == ENTRY_DELIVERED ||
		    parent->state == ENTRY_CONFIRMED));
}

/* Where to go on behind this entry: its class, and the place after it. */
static uint32_t
behind(const struct outbox_index *x, uint64_t after, unsigned *class)
{
	uint32_t start = x->gone << CHUNK_BITS;
	uint32_t pos = after != 0 ? outbox_index_pos(x, after) : POS_NONE;
	struct slot s;

	*class = 0;
	if (pos == POS_NONE)
		return start;
	/* In which set it stood, or would, if it were to leave now. */
	s = *outbox_index_at(x, pos);
	s.pending = s.held = false;
	s.state = ENTRY_QUEUED;
	if (slot_set(&s) == SET_NONE)
		return start;
	*class = set_class(slot_set(&s));
	return pos + 1;
}

size_t
outbox_sendable(struct outbox *o, unsigned kinds_mask, uint64_t after,
    bool inflight_too, uint64_t *ret, size_t max)
{
	struct outbox_index *x = &o->index;
	unsigned class, sets;
	size_t n = 0;
	uint32_t pos;

	pthread_mutex_lock(&x->lock);
	pos = behind(x, after, &class);
	for (; class < CLASSES && n < max && !x->suspended; class ++) {
		sets = class_sets(class, kinds_mask, inflight_too);
		while (n < max && (pos = next_in(x, sets, pos)) != POS_NONE) {
			if (parent_ready(x, pos))
				ret[n++] = outbox_index_id(x, pos);
			pos++;
		}
		pos = x->gone << CHUNK_BITS;
	}
	pthread_mutex_unlock(&x->lock);
	return n;
}

uint64_t
outbox_index_first(struct outbox_index *x, enum lane l)
{
	uint32_t pos = next_in(x, 1u << SET_FRESH(l), x->gone << CHUNK_BITS);

	return pos == POS_NONE ? 0 : outbox_index_id(x, pos);
}

/* ---- what is due, what ended ------------------------------------------ */

static bool
is_due(const struct slot *s)
{
	return !s->pending && !s->held && s->deadline != 0 &&
	    (s->state == ENTRY_RECEIVED || s->state == ENTRY_QUEUED);
}

static bool
has_ended(const struct slot *s)
{
	return !s->pending && !s->pruned &&
	    entry_terminal((enum entry_state)s->state);
}

/* Adds those of a chunk before that time.  The least of all their times is the
 * chunk's new bound; whoever changes later lowers it again. */
static size_t
chunk_before(const struct chunk *c, bool (*is)(const struct slot *s),
    size_t time, uint64_t before, uint32_t *bound, uint64_t *ret, size_t max)
{
	uint32_t least = UINT32_MAX, off, at;
	size_t n = 0;

	for (off = c->first; off < c->n; off++) {
		const struct slot *s = &c->v[off];

		if (!is(s))
			continue;
		memcpy(&at, (const char *)s + time, sizeof(at));
		if (at < least)
			least = at;
		if (at < before && n < max)
			ret[n++] = c->base + s->id;
	}
	*bound = least;
	return n;
}

size_t
outbox_due(struct outbox *o, uint64_t now, uint64_t *ret, size_t max)
{
	struct outbox_index *x = &o->index;
	size_t i, n = 0;

	pthread_mutex_lock(&x->lock);
	for (i = 0; i < x->n_chunks && n < max; i++)
		if (x->chunks[i]->due < now)
			n += chunk_before(x->chunks[i], is_due,
			    offsetof(struct slot, deadline), now,
			    &x->chunks[i]->due, ret + n, max - n);
	pthread_mutex_unlock(&x->lock);
	return n;
}

size_t
outbox_index_ended(
    struct outbox_index *x, uint64_t before, uint64_t *ret, size_t max)
{
	size_t i, n = 0;

	pthread_mutex_lock(&x->lock);
	for (i = 0; i < x->n_chunks && n < max; i++)
		if (x->chunks[i]->ended < before)
			n += chunk_before(x->chunks[i], has_ended,
			    offsetof(struct slot, changed), before,
			    &x->chunks[i]->ended, ret + n, max - n);
	pthread_mutex_unlock(&x->lock);
	return n;
}

/* ---- what matches ----------------------------------------------------- */

struct match {
	const struct outbox_filter *f;
	uint32_t label;
};

static bool
slot_matches(const struct slot *s, const struct match *m)
{
	const struct outbox_filter *f = m->f;

	return (f->states == 0 || (f->states & 1u << s->state) != 0) &&
	    (f->kinds == 0 || (f->kinds & 1u << s->kind) != 0) &&
	    (f->older == 0 || s->received < f->older) &&
	    (f->label == NULL || s->label == m->label) &&
	    (!f->held || s->held) && (!f->late || s->late) &&
	    (!f->left || s->left);
}

static bool
chunk_matches(const struct chunk *c, const struct outbox_filter *f)
{
	unsigned s;

	for (s = 0; s < ENTRY_STATE__MAX; s++)
		if (c->in_state[s] > 0 && (f->states & 1u << s) != 0)
			return true;
	return f->states == 0;
}

/* One chunk under one lock: nobody waits for a search of all. */
static size_t
match_chunk(struct outbox_index *x, const struct match *m, uint64_t *first,
    uint64_t *ret, size_t max)
{
	uint32_t pos = outbox_index_from(x, *first), off;
	const struct chunk *c;
	size_t n = 0;

	*first = 0;
	if (pos == POS_NONE)
		return 0;
	c = outbox_chunk(x, pos);
	off = pos & (CHUNK_SLOTS - 1);
	if (!chunk_matches(c, m->f))
		off = c->n;
	for (; off < c->n && n < max; off++)
		if (slot_matches(&c->v[off], m))
			ret[n++] = c->base + c->v[off].id;
	pos = outbox_index_skip(x, (pos & ~(CHUNK_SLOTS - 1)) + off);
	if (pos != POS_NONE)
		*first = outbox_index_id(x, pos);
	return n;
}

/* A slot that is pending was there before, unless it was added just now: then
 * the read that follows does not find it. */
size_t
outbox_index_match(struct outbox_index *x, const struct outbox_filter *f,
    uint64_t *first, uint64_t *ret, size_t max)
{
	struct match m = { f, f->label != NULL ? label_hash(f->label) : 0 };
	size_t n;

	pthread_mutex_lock(&x->lock);
	n = match_chunk(x, &m, first, ret, max);
	pthread_mutex_unlock(&x->lock);
	return n;
}

/* ---- how many --------------------------------------------------------- */

static int
peek_id(struct store_txn *t, void *arg, struct err *e)
{
	(void)e;
	*(uint64_t *)arg = store_peek_id(t);
	return 0;
}

void
outbox_count(struct outbox *o, struct outbox_counts *ret)
{
	const struct outbox_index *x = &o->index;
	struct err e = ERR_INIT;
	uint64_t newest = 0;
	const struct chunk *c;

	pthread_mutex_lock(&o->index.lock);
	*ret = x->counts;
	c = x->n_chunks > 0 ? x->chunks[x->n_chunks - 1] : NULL;
	if (c != NULL && c->n > 0)
		newest = c->base + c->v[c->n - 1].id;
	pthread_mutex_unlock(&o->index.lock);
	/* Answers take ids as well.  If the head cannot be read now, the
	 * newest entry's is the best that is known. */
	if (store_read(o->store, peek_id, &ret->next_id, &e) == -1)
		ret->next_id = newest + 1;
	ret->used_percent = store_used_percent(o->store);
}
