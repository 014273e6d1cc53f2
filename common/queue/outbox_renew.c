#include <string.h>

#include "common/base/str.h"
#include "common/queue/outbox_int.h"

struct renew_job {
	struct outbox *o;
	const char *who;
	char why[OUTBOX_WHY_MAX];
	void (*done)(void *user, const struct err *e);
	void *user;
};

/* The committer has committed, or given up. */
struct turn {
	struct outbox *o;
	struct outbox_words w;
	uint64_t below;
	uint8_t epoch[ENTRY_EPOCH_LEN];
	bool renewed;
};

static void
turn_over(void *arg, bool committed)
{
	struct turn *n = arg;
	struct outbox_index *x = &n->o->index;

	if (committed) {
		pthread_mutex_lock(&x->lock);
		x->suspended = n->w.suspended[0] != '\0';
		str_copy(
		    n->o->suspended, sizeof(n->o->suspended), n->w.suspended);
		pthread_mutex_unlock(&x->lock);
	}
	if (committed && n->renewed) {
		outbox_epoch_set(n->o, n->epoch);
		atomic_store(&x->renewal, n->w.renewal);
		outbox_index_renew(x, n->below);
	}
	free(n);
}

static void
turn_after(struct outbox *o, struct store_txn *t, const struct outbox_words *w,
    bool renewed)
{
	struct turn *n = xcalloc(1, sizeof(*n));

	n->o = o;
	n->w = *w;
	memset(n->w.nonce_key, 0, sizeof(n->w.nonce_key));
	n->below = store_peek_id(t);
	memcpy(n->epoch, store_epoch(t), sizeof(n->epoch));
	n->renewed = renewed;
	store_after(t, turn_over, n);
}

static void
renew_over(void *arg, const struct err *e)
{
	struct renew_job *j = arg;

	if (j->done != NULL)
		j->done(j->user, e);
	free(j);
}

static struct renew_job *
renew_new(
    struct outbox *o, void (*done)(void *user, const struct err *e), void *user)
{
	struct renew_job *j = xcalloc(1, sizeof(*j));

	j->o = o;
	j->done = done;
	j->user = user;
	return j;
}

/* ---- suspension ------------------------------------------------------- */

static int
suspend_run(struct store_txn *t, void *arg, struct err *e)
{
	struct renew_job *j = arg;
	struct outbox_words w;

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	if (w.suspended[0] != '\0')
		return 0;
	str_copy(w.suspended, sizeof(w.suspended), j->why);
	outbox_words_write(t, &w);
	turn_after(j->o, t, &w, false);
	return outbox_audit(
	    j->o, t, 0, ENTRY_CMP, "suspended", NULL, j->why, e);
}

void
outbox_suspend(struct outbox *o, const char *why,
    void (*done)(void *user, const struct err *e), void *user, struct post to)
{
	struct renew_job *j = renew_new(o, done, user);

	entry_text(j->why, sizeof(j->why), why[0] != '\0' ? why : "suspended");
	store_submit(o->store, suspend_run, renew_over, j, to);
}

bool
outbox_suspended(struct outbox *o, char why[OUTBOX_WHY_MAX])
{
	bool is;

	pthread_mutex_lock(&o->index.lock);
	is = o->index.suspended;
	str_copy(why, OUTBOX_WHY_MAX, o->suspended);
	pthread_mutex_unlock(&o->index.lock);
	return is;
}

/* ---- a new beginning --------------------------------------------------- */

/* No row is touched: each has the number of the renewal before its header was
 * signed, and the words have today's. */
static int
renew_run(struct store_txn *t, void *arg, struct err *e)
{
	struct renew_job *j = arg;
	struct outbox_words w;
	size_t i;

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	for (i = 0; i < w.n_peers; i++) {
		w.peers[i].seq = 0;
		memset(w.peers[i].epoch, 0, sizeof(w.peers[i].epoch));
		w.peers[i].seen = (struct store_audit){ 0 };
	}
	w.renewal++;
	w.suspended[0] = '\0';
	store_new_epoch(t);
	outbox_words_write(t, &w);
	turn_after(j->o, t, &w, true);
	return outbox_audit(
	    j->o, t, 0, ENTRY_CMP, "renewed", j->who, "a new epoch", e);
}

void
outbox_renew(struct outbox *o, const char *who,
    void (*done)(void *user, const struct err *e), void *user, struct post to)
{
	struct renew_job *j = renew_new(o, done, user);

	j->who = who;
	store_submit(o->store, renew_run, renew_over, j, to);
}
