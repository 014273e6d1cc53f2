#include <assert.h>
#include <string.h>

#include "common/base/str.h"
#include "common/queue/outbox_int.h"

int
outbox_sign_anew(struct outbox *o, struct store_txn *t, struct outbox_entry *en,
    const struct outbox_words *w, struct err *e)
{
	struct outbox_octets x = { 0 };
	struct entry_header h;
	int rc;

	if ((rc = outbox_octets_get(t, en->id, &x, &h, e)) != 1)
		return rc == -1 ? -1
				: err_set(e, ERR_DAMAGE,
				      "entry %llu: its octets have vanished",
				      (unsigned long long)en->id);
	h.deadline = en->deadline;
	rc = outbox_octets_put(
	    o, t, &h, buf_bytes(&x.bytes), buf_bytes(&x.wrapped), e);
	outbox_octets_done(&x);
	if (rc == -1)
		return -1;
	en->renewal = w->renewal;
	en->resend = false;
	return 0;
}

struct hold_job {
	struct outbox *o;
	struct outbox_hold *h;
	void (*done)(struct outbox_hold *h, const struct err *e);
	struct outbox_words words;
	uint64_t died[NELEMS(((struct outbox_hold *)NULL)->ids)];
	size_t n_died;
};

/* The time of a hold does not count; if nobody knows how long that was, all of
 * its term begins again. */
static void
move_deadline(struct outbox_entry *en)
{
	struct stamp now = clock_now();
	uint64_t term = en->deadline - en->received.time;

	if (en->deadline == 0)
		return;
	if (en->held_since != 0 && now.quality != CLOCK_NONE) {
		if (now.time > en->held_since)
			en->deadline += now.time - en->held_since;
	} else if (en->deadline > en->received.time &&
	    now.time + term > en->deadline) {
		en->deadline = now.time + term;
	}
}

static int
hold_put(struct hold_job *j, struct store_txn *t, struct outbox_entry *en,
    struct err *e)
{
	struct outbox_hold *h = j->h;
	struct stamp now = clock_now();

	en->held = true;
	en->held_since = now.quality != CLOCK_NONE ? now.time : 0;
	entry_text(en->held_who, sizeof(en->held_who),
	    h->who != NULL ? h->who : "registrar");
	entry_text(
	    en->held_why, sizeof(en->held_why), h->why != NULL ? h->why : "");
	if (outbox_row_put(j->o, t, en, e) == -1)
		return -1;
	return outbox_audit(
	    j->o, t, en->id, en->kind, "held", h->who, h->why, e);
}

static int
release_put(struct hold_job *j, struct store_txn *t, struct outbox_entry *en,
    struct err *e)
{
	move_deadline(en);
	en->held = false;
	en->held_since = 0;
	en->held_who[0] = en->held_why[0] = '\0';
	if (outbox_sign_anew(j->o, t, en, &j->words, e) == 0) {
		if (outbox_row_put(j->o, t, en, e) == -1)
			return -1;
		return outbox_audit(j->o, t, en->id, en->kind, "released",
		    j->h->who, j->h->why, e);
	}
	if (e->kind != ERR_DAMAGE)
		return -1;
	j->died[j->n_died++] = en->id;
	entry_text(en->reason, sizeof(en->reason), "its octets do not open");
	return outbox_apply(j->o, t, en, ENTRY_EV_DIE, NULL, en->reason, e);
}

/* 1 done, 0 refused, -1. */
static int
hold_one(struct hold_job *j, struct store_txn *t, uint64_t id, struct err *e)
{
	struct outbox_entry en;
	int rc = outbox_row_get(j->o, t, id, &en, e);

	if (rc == -1 && e->kind == ERR_DAMAGE) {
		j->died[j->n_died++] = id;
		return outbox_bury(j->o, t, id, NULL, "its row does not open",
			   &en, e) == -1
		    ? -1
		    : 0;
	}
	if (rc != 1)
		return rc;
	if (en.state != ENTRY_RECEIVED && en.state != ENTRY_QUEUED)
		return 0;
	if (en.held == j->h->hold)
		return 1;
	rc = j->h->hold ? hold_put(j, t, &en, e) : release_put(j, t, &en, e);
	return rc == -1 ? -1 : en.state != ENTRY_DEAD;
}

static int
hold_run(struct store_txn *t, void *arg, struct err *e)
{
	struct hold_job *j = arg;
	struct outbox_hold *h = j->h;
	size_t i;
	int rc;

	h->refused = j->n_died = 0;
	if (outbox_words_read(t, &j->words, e) == -1)
		return -1;
	for (i = 0; i < h->n; i++) {
		if ((rc = hold_one(j, t, h->ids[i], e)) == -1)
			return -1;
		h->moved[i] = rc == 1;
		h->refused += rc == 0;
	}
	return 0;
}

static void
hold_over(void *arg, const struct err *e)
{
	struct hold_job *j = arg;
	size_t i;

	for (i = 0; i < j->n_died && e == NULL; i++)
		outbox_alarm(j->o, j->died[i], "does not open");
	if (j->done != NULL)
		j->done(j->h, e);
	free(j);
}

void
outbox_hold(struct outbox *o, struct outbox_hold *h,
    void (*done)(struct outbox_hold *h, const struct err *e), struct post to)
{
	struct hold_job *j = xcalloc(1, sizeof(*j));

	assert(h->n <= NELEMS(h->ids));
	j->o = o;
	j->h = h;
	j->done = done;
	store_submit(o->store, hold_run, hold_over, j, to);
}
