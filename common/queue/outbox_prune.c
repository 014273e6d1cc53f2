#include <assert.h>
#include <string.h>

#include "common/queue/outbox_int.h"

#define PRUNE_MAX 1000 /* entries in one transaction */

struct prune_job {
	struct outbox *o;
	struct outbox_prune *p;
	void (*done)(struct outbox_prune *p, const struct err *e);
	struct post to;
	size_t most; /* entries of this try */
	size_t n;
	uint64_t ids[PRUNE_MAX];
};

struct drop {
	struct outbox *o;
	uint64_t below;
};

static void
drop_over(void *arg, bool committed)
{
	struct drop *d = arg;

	if (committed)
		outbox_index_drop(&d->o->index, d->below);
	free(d);
}

static int
del(struct store_txn *t, uint64_t id, enum outbox_part part, struct err *e)
{
	uint8_t key[OUTBOX_KEY_LEN];

	if (id == 0)
		return 0;
	return store_del(t, DB_ROW, outbox_key(key, id, part), e);
}

static bool
is_old(const struct outbox_entry *en, uint64_t before)
{
	return entry_terminal(en->state) && !en->pruned && en->changed < before;
}

/* An answer's id is no lost entry's: what is left of it says so to the next
 * start, until the front is behind it. */
static int
empty(struct store_txn *t, uint64_t answer, struct err *e)
{
	uint8_t key[OUTBOX_KEY_LEN];

	if (answer == 0)
		return 0;
	return store_put(t, DB_ROW, outbox_key(key, answer, PART_ANSWER),
	    bytes_of(NULL, 0), e);
}

/* The row stays as a mark that the id was one of ours, until it is at the
 * front. */
static int
prune_one(struct prune_job *j, struct store_txn *t, uint64_t id, struct err *e)
{
	struct outbox_entry en;
	int rc = outbox_row_get(j->o, t, id, &en, e);

	if (rc == -1 && e->kind == ERR_DAMAGE)
		return 0; /* the next start buries it */
	if (rc != 1 || !is_old(&en, j->p->before))
		return rc == -1 ? -1 : 0;
	if (del(t, id, PART_OCTETS, e) == -1 ||
	    empty(t, en.answer_value, e) == -1 ||
	    empty(t, en.late_value, e) == -1 || outbox_tx_del(t, &en, e) == -1)
		return -1;
	en.pruned = true;
	en.answer_value = en.late_value = 0;
	if (outbox_row_put(j->o, t, &en, e) == -1)
		return -1;
	j->p->n++;
	return 0;
}

/* The id of the first entry that is not pruned; rows before it go. */
static int
move_front(
    struct prune_job *j, struct store_txn *t, uint64_t *ret, struct err *e)
{
	const struct outbox_index *x = &j->o->index;
	uint32_t pos = outbox_index_from(x, *ret);
	uint64_t front;
	size_t n;

	for (n = 0; n < j->most && pos != POS_NONE; n++) {
		if (!outbox_index_at(x, pos)->pruned)
			break;
		if (del(t, outbox_index_id(x, pos), PART_ENTRY, e) == -1)
			return -1;
		pos = outbox_index_skip(x, pos + 1);
	}
	front = pos != POS_NONE ? outbox_index_id(x, pos) : store_peek_id(t);
	/* An answer's id is behind its entry's: none of these is wanted. */
	for (uint64_t id = *ret; id < front; id++)
		if (del(t, id, PART_ANSWER, e) == -1)
			return -1;
	*ret = front;
	return 0;
}

static int
prune_front(struct prune_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_words w;
	struct drop *d;
	uint64_t front;

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	front = w.watermark;
	if (move_front(j, t, &front, e) == -1)
		return -1;
	if (front == w.watermark)
		return 0;
	w.watermark = front;
	outbox_words_write(t, &w);
	d = xmalloc(sizeof(*d));
	*d = (struct drop){ j->o, front };
	store_after(t, drop_over, d);
	return 0;
}

static int
prune_run(struct store_txn *t, void *arg, struct err *e)
{
	struct prune_job *j = arg;
	size_t i;

	j->p->n = 0;
	if (clock_now().quality < CLOCK_RTC)
		return 0;
	j->n = outbox_index_ended(&j->o->index, j->p->before, j->ids, j->most);
	for (i = 0; i < j->n; i++)
		if (prune_one(j, t, j->ids[i], e) == -1)
			return -1;
	return prune_front(j, t, e);
}

/* What deletes needs pages too, and in a full map there are few: then fewer
 * entries at once, or no room would ever come back. */
static void
prune_over(void *arg, const struct err *e)
{
	struct prune_job *j = arg;

	if (e != NULL && e->kind == ERR_RETRY && j->most > 1) {
		j->most /= 4;
		j->most += j->most == 0;
		store_submit(j->o->store, prune_run, prune_over, j, j->to);
		return;
	}
	if (j->done != NULL)
		j->done(j->p, e);
	free(j);
}

void
outbox_prune(struct outbox *o, struct outbox_prune *p,
    void (*done)(struct outbox_prune *p, const struct err *e), struct post to)
{
	struct prune_job *j = xcalloc(1, sizeof(*j));

	j->o = o;
	j->p = p;
	j->done = done;
	j->to = to;
	j->most = p->max < PRUNE_MAX ? p->max : PRUNE_MAX;
	store_submit(o->store, prune_run, prune_over, j, to);
}
