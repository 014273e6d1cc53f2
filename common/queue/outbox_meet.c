/* A service with another ledger than the one that we knew. */
#include <string.h>

#include "common/base/str.h"
#include "common/queue/outbox_int.h"

struct meet_job {
	struct outbox *o;
	struct outbox_meet *m;
	void (*done)(struct outbox_meet *m, const struct err *e);
};

static int
meet_run(struct store_txn *t, void *arg, struct err *e)
{
	struct meet_job *j = arg;
	struct outbox_words w;
	struct outbox_peer *v;
	char who[ENTRY_NAME_MAX + 8];

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	if ((v = outbox_words_peer(&w, j->m->service)) == NULL)
		return err_set(e, ERR_LOCAL,
		    "service %s: more than %d services", j->m->service,
		    PEERS_MAX);
	if (memcmp(v->epoch, j->m->epoch, sizeof(v->epoch)) == 0)
		return 0;
	memcpy(v->epoch, j->m->epoch, sizeof(v->epoch));
	v->seq = 0;
	outbox_words_write(t, &w);
	snprintf(who, sizeof(who), "service %s", j->m->service);
	return outbox_audit(
	    j->o, t, 0, ENTRY_CMP, "met", who, "with another ledger", e);
}

static void
meet_over(void *arg, const struct err *e)
{
	struct meet_job *j = arg;

	j->done(j->m, e);
	free(j);
}

void
outbox_meet(struct outbox *o, struct outbox_meet *m,
    void (*done)(struct outbox_meet *m, const struct err *e), struct post to)
{
	struct meet_job *j = xcalloc(1, sizeof(*j));

	j->o = o;
	j->m = m;
	j->done = done;
	store_submit(o->store, meet_run, meet_over, j, to);
}
