#include <assert.h>
#include <string.h>

#include "common/base/str.h"
#include "common/queue/outbox_int.h"

/* How an event stands in the audit trail, and whether outbox_move may ask for
 * it: receipts and answers come in signed batches only. */
static const struct {
	const char *name;
	bool move;
} events[ENTRY_EV__MAX] = {
	[ENTRY_EV_ADMIT] = { "accepted", false },
	[ENTRY_EV_HANDOUT] = { "handed-out", true },
	[ENTRY_EV_RECEIPT] = { "custody", false },
	[ENTRY_EV_ANSWER] = { "answered", false },
	[ENTRY_EV_DELIVER] = { "delivered", true },
	[ENTRY_EV_CONFIRM] = { "confirmed", true },
	[ENTRY_EV_REFUSE] = { "refused", true },
	[ENTRY_EV_WITHDRAW] = { "withdrawn", true },
	[ENTRY_EV_EXPIRE] = { "expired", true },
	[ENTRY_EV_DIE] = { "dead", true },
};

int
outbox_audit(struct store_txn *t, uint64_t id, const char *event,
    const char *who, const char *detail, struct err *e)
{
	struct audit_record r = { .id = id };

	str_copy(r.event, sizeof(r.event), event);
	entry_text(r.who, sizeof(r.who), who != NULL ? who : "registrar");
	entry_text(r.detail, sizeof(r.detail), detail != NULL ? detail : "");
	return audit_append(t, DB_AUDIT, &r, e);
}

int
outbox_apply(struct outbox *o, struct store_txn *t, struct outbox_entry *en,
    enum entry_event ev, const char *who, const char *detail, struct err *e)
{
	enum entry_state to = entry_next(en->state, ev);
	bool changed = to != en->state;

	assert(to != ENTRY_NONE);
	en->state = to;
	if (changed)
		en->changed = clock_now().time;
	if (outbox_row_put(o, t, en, e) == -1)
		return -1;
	if (!changed)
		return 0;
	return outbox_audit(t, en->id, events[ev].name, who, detail, e);
}

struct move_job {
	struct outbox *o;
	struct outbox_move *m;
	void (*done)(struct outbox_move *m, const struct err *e);
};

/* What the table cannot know. */
static bool
may_move(const struct outbox_entry *en, enum entry_event ev)
{
	if (entry_next(en->state, ev) == ENTRY_NONE)
		return false;
	if (en->held && (ev == ENTRY_EV_HANDOUT || ev == ENTRY_EV_EXPIRE))
		return false;
	if (ev == ENTRY_EV_EXPIRE && clock_now().quality == CLOCK_NONE)
		return false;
	return ev != ENTRY_EV_REFUSE || en->state == ENTRY_RECEIVED;
}

/* An answer is fetched again and again: that must not wear the store. */
static bool
is_repeat(const struct outbox_entry *en, const struct outbox_move *m)
{
	return m->event == ENTRY_EV_DELIVER && en->state == ENTRY_DELIVERED &&
	    (m->carrier == NULL || strcmp(m->carrier, en->carrier) == 0);
}

/* What the event leaves on the entry; returns the audit record's detail. */
static const char *
mark(struct outbox_entry *en, const struct outbox_move *m)
{
	if (m->event == ENTRY_EV_HANDOUT || m->event == ENTRY_EV_DELIVER) {
		en->handouts += m->event == ENTRY_EV_HANDOUT;
		if (m->carrier != NULL)
			entry_text(
			    en->carrier, sizeof(en->carrier), m->carrier);
		return m->carrier;
	}
	if (m->reason != NULL)
		entry_text(en->reason, sizeof(en->reason), m->reason);
	return m->reason;
}

/* 1 moved, 0 refused, -1. */
static int
move_one(struct move_job *j, struct store_txn *t, uint64_t id, struct err *e)
{
	struct outbox_move *m = j->m;
	struct outbox_entry en;
	const char *detail;
	int rc;

	rc = outbox_row_get(t, id, &en, e);
	if (rc == -1)
		return e->kind == ERR_DAMAGE ? 0 : -1;
	if (rc == 0 || !may_move(&en, m->event))
		return 0;
	if (is_repeat(&en, m))
		return 1;
	detail = mark(&en, m);
	if (outbox_apply(j->o, t, &en, m->event, m->who, detail, e) == -1)
		return -1;
	return 1;
}

static int
move_run(struct store_txn *t, void *arg, struct err *e)
{
	struct move_job *j = arg;
	struct outbox_move *m = j->m;
	size_t i;
	int rc;

	m->refused = 0;
	for (i = 0; i < m->n; i++) {
		if ((rc = move_one(j, t, m->ids[i], e)) == -1)
			return -1;
		m->moved[i] = rc == 1;
		m->refused += rc == 0;
	}
	return 0;
}

static void
move_over(void *arg, const struct err *e)
{
	struct move_job *j = arg;

	if (j->done != NULL)
		j->done(j->m, e);
	free(j);
}

void
outbox_move(struct outbox *o, struct outbox_move *m,
    void (*done)(struct outbox_move *m, const struct err *e), struct post to)
{
	struct move_job *j = xmalloc(sizeof(*j));

	assert((unsigned)m->event < ENTRY_EV__MAX && events[m->event].move);
	assert(m->n <= NELEMS(m->ids));
	*j = (struct move_job){ o, m, done };
	store_submit(o->store, move_run, move_over, j, to);
}
