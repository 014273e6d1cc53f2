#include <assert.h>
#include <string.h>

#include "common/queue/outbox_int.h"

/* What a job changed, to be undone, or told after the commit. */
struct change {
	struct outbox_index *x;
	uint32_t at;
	bool added;
	struct slot old, now;
	uint64_t id;
	struct digest row;
};

/* What a watcher is told on its own thread. */
struct notice {
	outbox_watch_fn fn;
	void *arg;
	uint64_t id;
	struct digest row;
	enum entry_state state;
};

/* Last change first, so an added slot is the last one. */
static void
undo(const struct change *c)
{
	if (c->added)
		outbox_slot_remove(c->x, c->at);
	else
		outbox_slot_replace(c->x, c->at, &c->old);
}

static void
tell(void *arg)
{
	struct notice *n = arg;

	n->fn(n->arg, n->id, &n->row, n->state);
	free(n);
}

static void
tell_watchers(const struct watcher *w, size_t n, const struct change *c)
{
	struct notice *m;
	size_t i;

	for (i = 0; i < n; i++) {
		m = xmalloc(sizeof(*m));
		*m = (struct notice){ w[i].fn, w[i].arg, c->id, c->row,
			(enum entry_state)c->now.state };
		w[i].to.post(w[i].to.to, tell, m);
	}
}

/* It is there for all from now on. */
static void
settle(const struct change *c)
{
	struct outbox_index *x = c->x;
	const struct slot *s = outbox_index_at(x, c->at);
	struct slot now;

	if (!c->added)
		outbox_slot_count(&x->counts, &c->old, -1);
	outbox_slot_count(&x->counts, &c->now, 1);
	if (s == NULL || !s->pending)
		return;
	now = *s;
	now.pending = false;
	outbox_slot_replace(x, c->at, &now);
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
		settle(c);
		/* Released, it may leave. */
		if (c->added || c->old.state != c->now.state ||
		    (c->old.held && !c->now.held))
			n = x->n_watchers;
		memcpy(w, x->watchers, n * sizeof(*w));
	}
	pthread_mutex_unlock(&x->lock);
	tell_watchers(w, n, c);
	free(c);
}

void
outbox_index_set(
    struct outbox_index *x, struct store_txn *t, const struct outbox_entry *en)
{
	struct change *c = xcalloc(1, sizeof(*c));

	c->x = x;
	c->id = en->id;
	c->row = en->row;
	pthread_mutex_lock(&x->lock);
	c->now = outbox_slot_of(x, en);
	c->now.pending = true;
	c->at = outbox_index_pos(x, en->id);
	if (c->at == POS_NONE) {
		c->added = true;
		c->at = outbox_slot_add(x, en, &c->now);
	} else {
		c->old = *outbox_index_at(x, c->at);
		/* Its place and its device stay, whatever became of its row. */
		c->now.id = c->old.id;
		c->now.device = c->old.device;
		c->now.older = c->old.older;
		outbox_slot_replace(x, c->at, &c->now);
	}
	pthread_mutex_unlock(&x->lock);
	store_after(t, change_over, c);
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
