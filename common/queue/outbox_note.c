#include <string.h>

#include "common/queue/outbox_int.h"

struct note_job {
	struct outbox *o;
	struct outbox_note *n;
	void (*done)(struct outbox_note *n, const struct err *e);
};

static int
note_run(struct store_txn *t, void *arg, struct err *e)
{
	const struct note_job *j = arg;
	const struct outbox_note *n = j->n;

	return outbox_audit(
	    j->o, t, n->id, ENTRY_CMP, n->event, n->who, n->detail, e);
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

	*j = (struct note_job){ o, n, done };
	store_submit(o->store, note_run, note_over, j, to);
}
