#include <assert.h>
#include <string.h>

#include "common/queue/outbox_int.h"

#define BUCKETS_FIRST 64

/* What a job changed, to be undone, or told after the commit. */
struct change {
	struct outbox_index *x;
	size_t at;
	bool added;
	struct slot old, now;
};

/* What a watcher is told on its own thread. */
struct notice {
	outbox_watch_fn fn;
	void *arg;
	uint64_t id;
	struct digest row;
	enum entry_state state;
};

static void
buckets_clear(struct outbox_index *x)
{
	memset(x->buckets, 0xff, x->n_buckets * sizeof(*x->buckets));
}

void
outbox_index_init(struct outbox_index *x)
{
	memset(x, 0, sizeof(*x));
	pthread_mutex_init(&x->lock, NULL);
	x->n_buckets = BUCKETS_FIRST;
	x->buckets = xmalloc(x->n_buckets * sizeof(*x->buckets));
	buckets_clear(x);
}

void
outbox_index_done(struct outbox_index *x)
{
	pthread_mutex_destroy(&x->lock);
	free(x->buckets);
	free(x->v);
}

void
outbox_index_reset(struct outbox_index *x)
{
	pthread_mutex_lock(&x->lock);
	x->n = x->low = 0;
	memset(&x->counts, 0, sizeof(x->counts));
	buckets_clear(x);
	pthread_mutex_unlock(&x->lock);
}

/* ---- by device ------------------------------------------------------- */

/* The device is a SHA-256 already. */
static uint32_t *
bucket_of(struct outbox_index *x, unsigned kind, const struct digest *device)
{
	uint64_t h;

	memcpy(&h, device->b, sizeof(h));
	return &x->buckets[(h + kind) & (x->n_buckets - 1)];
}

static void
bucket_add(struct outbox_index *x, size_t at)
{
	struct slot *s = &x->v[at];
	uint32_t *head = bucket_of(x, s->kind, &s->device);

	s->older = *head;
	*head = (uint32_t)at;
}

/* Ascending, so that each bucket starts with its newest. */
static void
buckets_grow(struct outbox_index *x)
{
	size_t i;

	x->n_buckets *= 2;
	x->buckets = xrealloc(x->buckets, x->n_buckets * sizeof(*x->buckets));
	buckets_clear(x);
	for (i = 0; i < x->n; i++)
		if (x->v[i].initial)
			bucket_add(x, i);
}

static const struct slot *
next_of(const struct outbox_index *x, uint32_t at, enum entry_kind k,
    const struct digest *device)
{
	const struct slot *s;

	for (; at != SLOT_NONE; at = s->older) {
		s = &x->v[at];
		if (s->kind == k && digest_eq(&s->device, device))
			return s;
	}
	return NULL;
}

const struct slot *
outbox_index_newest(
    struct outbox_index *x, enum entry_kind k, const struct digest *device)
{
	return next_of(x, *bucket_of(x, k, device), k, device);
}

uint64_t
outbox_index_before(struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t before)
{
	const struct slot *s;
	uint64_t id;

	pthread_mutex_lock(&x->lock);
	s = outbox_index_newest(x, k, device);
	while (s != NULL && s->id >= before)
		s = next_of(x, s->older, k, device);
	id = s != NULL ? s->id : 0;
	pthread_mutex_unlock(&x->lock);
	return id;
}

/* A clock that was set back leaves times ahead of now: those do not count, or
 * the device would have to wait for them to come. */
unsigned
outbox_index_recent(struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t now, unsigned max)
{
	const struct slot *s = outbox_index_newest(x, k, device);
	unsigned n = 0;

	for (; s != NULL && n < max; s = next_of(x, s->older, k, device)) {
		if (s->received + RECENT_WINDOW <= now)
			break;
		if (s->received < now + RECENT_WINDOW)
			n++;
	}
	return n;
}

/* ---- slots ----------------------------------------------------------- */

static struct slot
slot_of(const struct outbox_entry *en)
{
	return (struct slot){ .id = en->id,
		.parent = en->parent,
		.received = en->received.time,
		.row = en->row,
		.device = en->device,
		.older = SLOT_NONE,
		.state = (uint8_t)en->state,
		.kind = (uint8_t)en->kind,
		.step = (uint8_t)en->step,
		.held = en->held,
		.initial = en->initial,
		.late = en->late };
}

/* The first slot with an id >= this. */
static size_t
lower_bound(const struct outbox_index *x, uint64_t id)
{
	size_t lo = 0, hi = x->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (x->v[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct slot *
outbox_index_get(struct outbox_index *x, uint64_t id)
{
	size_t at = lower_bound(x, id);

	return at < x->n && x->v[at].id == id ? &x->v[at] : NULL;
}

static void
slot_add(struct outbox_index *x, const struct slot *s)
{
	assert(x->n == 0 || x->v[x->n - 1].id < s->id);
	assert(x->n < SLOT_NONE);
	if (x->n == x->cap) {
		x->cap = x->cap == 0 ? 256 : x->cap + x->cap / 2;
		x->v = xrealloc(x->v, x->cap * sizeof(*x->v));
	}
	x->v[x->n++] = *s;
	if (x->n > x->n_buckets)
		buckets_grow(x);
	else if (s->initial)
		bucket_add(x, x->n - 1);
}

static void
count(struct outbox_counts *c, const struct slot *s, int by)
{
	c->by_state[s->state] += (uint64_t)by;
	c->held += s->held ? (uint64_t)by : 0;
	c->late += s->late ? (uint64_t)by : 0;
}

void
outbox_index_load(struct outbox_index *x, const struct outbox_entry *en)
{
	struct slot s = slot_of(en);

	pthread_mutex_lock(&x->lock);
	slot_add(x, &s);
	count(&x->counts, &s, 1);
	pthread_mutex_unlock(&x->lock);
}

/* ---- changes of a transaction ---------------------------------------- */

/* Last change first, so an added slot is the last one and heads its bucket. */
static void
undo(const struct change *c)
{
	struct outbox_index *x = c->x;
	struct slot *s = &x->v[c->at];
	uint32_t older = s->older;

	if (!c->added) {
		*s = c->old;
		s->older = older;
		return;
	}
	assert(c->at == x->n - 1);
	if (s->initial)
		*bucket_of(x, s->kind, &s->device) = older;
	x->n--;
}

static void
tell(void *arg)
{
	struct notice *n = arg;

	n->fn(n->arg, n->id, &n->row, n->state);
	free(n);
}

static void
tell_watchers(const struct watcher *w, size_t n, const struct slot *s)
{
	struct notice *m;
	size_t i;

	for (i = 0; i < n; i++) {
		m = xmalloc(sizeof(*m));
		*m = (struct notice){ w[i].fn, w[i].arg, s->id, s->row,
			(enum entry_state)s->state };
		w[i].to.post(w[i].to.to, tell, m);
	}
}

static void
change_over(void *arg, bool committed)
{
	struct change *c = arg;
	struct outbox_index *x = c->x;
	struct watcher w[WATCHERS_MAX];
	size_t n = 0;

	pthread_mutex_lock(&x->lock);
	if (!committed) {
		undo(c);
	} else {
		x->v[c->at].pending = false;
		if (!c->added)
			count(&x->counts, &c->old, -1);
		count(&x->counts, &c->now, 1);
		if (c->added || c->old.state != c->now.state)
			n = x->n_watchers;
		memcpy(w, x->watchers, n * sizeof(*w));
	}
	pthread_mutex_unlock(&x->lock);
	tell_watchers(w, n, &c->now);
	free(c);
}

void
outbox_index_set(
    struct outbox_index *x, struct store_txn *t, const struct outbox_entry *en)
{
	struct change *c = xcalloc(1, sizeof(*c));
	struct slot *s;

	c->x = x;
	c->now = slot_of(en);
	c->now.pending = true;
	pthread_mutex_lock(&x->lock);
	if ((s = outbox_index_get(x, en->id)) == NULL) {
		c->added = true;
		slot_add(x, &c->now);
		s = &x->v[x->n - 1];
	} else {
		c->old = *s;
		c->now.older = s->older;
		*s = c->now;
	}
	c->at = (size_t)(s - x->v);
	pthread_mutex_unlock(&x->lock);
	store_after(t, change_over, c);
}

/* ---- what other threads ask ------------------------------------------ */

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
	uint64_t newest;

	pthread_mutex_lock(&o->index.lock);
	*ret = x->counts;
	newest = x->n > 0 ? x->v[x->n - 1].id : 0;
	pthread_mutex_unlock(&o->index.lock);
	/* Answers take ids as well.  If the head cannot be read now, the
	 * newest entry's is the best that is known. */
	if (store_read(o->store, peek_id, &ret->next_id, &e) == -1)
		ret->next_id = newest + 1;
	ret->used_percent = store_used_percent(o->store);
}

/* A slot that is pending was there before, unless it was added just now: then
 * the read that follows does not find it. */
size_t
outbox_index_ids(
    struct outbox_index *x, uint64_t first, uint64_t *ret, size_t max)
{
	size_t i, n = 0;

	pthread_mutex_lock(&x->lock);
	for (i = lower_bound(x, first); i < x->n && n < max; i++)
		ret[n++] = x->v[i].id;
	pthread_mutex_unlock(&x->lock);
	return n;
}

static bool
has_answer(enum entry_state s)
{
	return s == ENTRY_ANSWERED || s == ENTRY_DELIVERED ||
	    s == ENTRY_CONFIRMED;
}

static bool
may_leave(struct outbox_index *x, const struct slot *s, unsigned kinds_mask,
    bool inflight_too)
{
	const struct slot *parent;

	if (s->pending || s->held || (kinds_mask & 1u << s->kind) == 0)
		return false;
	if (s->state != ENTRY_QUEUED &&
	    (s->state != ENTRY_INFLIGHT || !inflight_too))
		return false;
	if (s->step == 0)
		return true;
	parent = outbox_index_get(x, s->parent);
	return parent != NULL && !parent->pending &&
	    has_answer((enum entry_state)parent->state);
}

/* No edge leads back, so what went past in-flight stays out of sight; only a
 * change that is not committed may still be undone. */
static void
raise_low(struct outbox_index *x)
{
	while (x->low < x->n && x->v[x->low].state > ENTRY_INFLIGHT &&
	    !x->v[x->low].pending)
		x->low++;
}

size_t
outbox_sendable(struct outbox *o, unsigned kinds_mask, uint64_t after,
    bool inflight_too, uint64_t *ret, size_t max)
{
	struct outbox_index *x = &o->index;
	size_t i, n = 0;

	if (after == UINT64_MAX)
		return 0;
	pthread_mutex_lock(&x->lock);
	raise_low(x);
	i = lower_bound(x, after + 1);
	for (i = i > x->low ? i : x->low; i < x->n && n < max; i++)
		if (may_leave(x, &x->v[i], kinds_mask, inflight_too))
			ret[n++] = x->v[i].id;
	pthread_mutex_unlock(&x->lock);
	return n;
}

void
outbox_watch(struct outbox *o, outbox_watch_fn fn, void *arg, struct post to)
{
	struct outbox_index *x = &o->index;

	pthread_mutex_lock(&x->lock);
	assert(x->n_watchers < WATCHERS_MAX);
	x->watchers[x->n_watchers++] = (struct watcher){ fn, arg, to };
	pthread_mutex_unlock(&x->lock);
}
