#include "common/service/ledger_progress.h"

#include "common/service/ledger_int.h"

static int
job_progress(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_progress *x = arg;
	struct ledger_case c;

	if (case_must(t, x->id, &c, e) == -1)
		return -1;
	x->changed = c.state == LEDGER_INTENT;
	return x->changed ? part_put(t, x->id, LEDGER_PROGRESS, x->octets, e)
			  : 0;
}

void
ledger_progress(struct ledger *l, struct ledger_progress *x, ledger_done done,
    struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_progress, done, x, to);
}

int
ledger_progress_wait(struct ledger *l, struct ledger_progress *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_progress, x, e);
}
