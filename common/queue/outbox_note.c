#include <string.h>

#include "common/queue/outbox_int.h"

/* ---- notes ------------------------------------------------------------ */

struct note_job {
	struct outbox_note *n;
	void (*done)(struct outbox_note *n, const struct err *e);
};

static int
note_run(struct store_txn *t, void *arg, struct err *e)
{
	const struct outbox_note *n = ((struct note_job *)arg)->n;

	return outbox_audit(t, n->id, n->event, n->who, n->detail, e);
}

static void
note_over(void *arg, const struct err *e)
{
	struct note_job *j = arg;

	if (j->done != NULL)
		j->done(j->n, e);
	free(j);
}

void
outbox_note(struct outbox *o, struct outbox_note *n,
    void (*done)(struct outbox_note *n, const struct err *e), struct post to)
{
	struct note_job *j = xmalloc(sizeof(*j));

	*j = (struct note_job){ n, done };
	store_submit(o->store, note_run, note_over, j, to);
}

/* ---- answers proven by themselves ------------------------------------- */

struct settle_job {
	struct outbox *o;
	struct outbox_settle *s;
	void (*done)(struct outbox_settle *s, const struct err *e);
	struct err refusal;
};

static int
settle_write(struct settle_job *j, struct store_txn *t,
    struct outbox_entry *en, struct err *e)
{
	const struct outbox_settle *s = j->s;
	uint8_t key[OUTBOX_KEY_LEN];

	en->answer_value = store_take_id(t);
	en->answer_code = BATCH_ANSWERED;
	if (store_put(t, DB_ROW, outbox_key(key, en->answer_value, PART_ANSWER),
		s->answer, e) == -1)
		return -1;
	return outbox_apply(
	    j->o, t, en, ENTRY_EV_ANSWER, s->who, s->detail, e);
}

static int
settle_run(struct store_txn *t, void *arg, struct err *e)
{
	struct settle_job *j = arg;
	struct outbox_entry en;
	int rc = outbox_row_get(t, j->s->id, &en, e);

	j->refusal = (struct err)ERR_INIT;
	if (rc == -1)
		return -1;
	if (rc == 1 && en.state == ENTRY_QUEUED && en.handouts == 0)
		return settle_write(j, t, &en, e);
	err_set(&j->refusal, ERR_POLICY, "entry %llu: %s, not to be settled",
	    (unsigned long long)j->s->id,
	    rc == 1 ? entry_state_name(en.state) : "unknown");
	return 0;
}

static void
settle_over(void *arg, const struct err *e)
{
	struct settle_job *j = arg;

	if (e == NULL && j->refusal.kind != ERR_NONE)
		e = &j->refusal;
	j->done(j->s, e);
	free(j);
}

void
outbox_settle(struct outbox *o, struct outbox_settle *s,
    void (*done)(struct outbox_settle *s, const struct err *e), struct post to)
{
	struct settle_job *j = xcalloc(1, sizeof(*j));

	j->o = o;
	j->s = s;
	j->done = done;
	store_submit(o->store, settle_run, settle_over, j, to);
}
