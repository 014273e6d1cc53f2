#include <assert.h>
#include <string.h>

#include "common/base/log.h"
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
outbox_audit(struct outbox *o, struct store_txn *t, uint64_t id,
    enum entry_kind kind, const char *event, const char *who,
    const char *detail, struct err *e)
{
	struct audit_record r = { .id = id };

	str_copy(r.event, sizeof(r.event), event);
	entry_text(r.who, sizeof(r.who), who != NULL ? who : "registrar");
	entry_text(r.detail, sizeof(r.detail), detail != NULL ? detail : "");
	if (audit_append(t, DB_AUDIT, &r, e) == -1)
		return -1;
	outbox_trail_add(o, &r);
	/* Checkpoints would give reason for checkpoints for ever. */
	if (kind != ENTRY_AUDIT)
		o->telling = r.seq;
	return 0;
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
#ifdef MUTANT_DELETE_BEFORE_RECEIPT
	uint8_t key[OUTBOX_KEY_LEN];

	if (ev == ENTRY_EV_HANDOUT &&
	    store_del(t, DB_ROW, outbox_key(key, en->id, PART_OCTETS), e) == -1)
		return -1;
#endif
	if (!changed)
		return 0;
	return outbox_audit(
	    o, t, en->id, en->kind, events[ev].name, who, detail, e);
}

int
outbox_own_answer(struct store_txn *t, struct outbox_entry *en,
    struct bytes answer, struct err *e)
{
	if (answer.len == 0)
		return 0;
	if (en->answer_value != 0) {
		en->late = true;
		en->late_value = en->answer_value;
	}
	en->answer_code = BATCH_REFUSED;
	return outbox_answer_put(t, answer, &en->answer_value, e);
}

int
outbox_bury(struct outbox *o, struct store_txn *t, uint64_t id,
    const struct digest *row, const char *why, struct outbox_entry *ret,
    struct err *e)
{
	outbox_buried(t, id, row, why, ret);
	if (outbox_row_put(o, t, ret, e) == -1)
		return -1;
	return outbox_audit(o, t, id, ret->kind, "dead", NULL, ret->reason, e);
}

void
outbox_alarm(const struct outbox *o, uint64_t id, const char *why)
{
	char text[ENTRY_ID_TEXT];

	log_event(LOG_ALARM, "outbox.damaged", "id", "%s",
	    outbox_id(o, text, id), "reason", "%s", why, NULL);
}

struct move_job {
	struct outbox *o;
	struct outbox_move *m;
	void (*done)(struct outbox_move *m, const struct err *e);
	struct outbox_words words; /* at HANDOUT */
	const char *alarm[NELEMS(((struct outbox_move *)NULL)->ids)];
};

/* What the table cannot know. */
static bool
may_move(const struct outbox_entry *en, enum entry_event ev)
{
	if (entry_next(en->state, ev) == ENTRY_NONE)
		return false;
	if (en->held && (ev == ENTRY_EV_HANDOUT || ev == ENTRY_EV_EXPIRE))
		return false;
	if (ev == ENTRY_EV_EXPIRE && clock_now().quality < CLOCK_RTC)
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

/* One that cannot leave as it must would stand at the head of its class for
 * ever. */
static int
die(struct move_job *j, struct store_txn *t, struct outbox_entry *en, size_t i,
    struct err *e)
{
	j->alarm[i] = "its octets do not open";
	entry_text(en->reason, sizeof(en->reason), j->alarm[i]);
	return outbox_apply(j->o, t, en, ENTRY_EV_DIE, NULL, en->reason, e);
}

/* 1 it may go on, 0 it died, -1. */
static int
prepare(struct move_job *j, struct store_txn *t, struct outbox_entry *en,
    size_t i, struct err *e)
{
	struct outbox_move *m = j->m;

	if (m->event == ENTRY_EV_DIE)
		j->alarm[i] = m->reason != NULL ? m->reason : "given up";
	if (m->event != ENTRY_EV_HANDOUT) {
		if (m->answers == NULL || m->event == ENTRY_EV_DELIVER ||
		    m->event == ENTRY_EV_CONFIRM)
			return 1;
		return outbox_own_answer(t, en, m->answers[i], e) == 0 ? 1 : -1;
	}
	if (!en->resend)
		return 1;
	if (outbox_sign_anew(j->o, t, en, &j->words, e) == 0) {
		en->unsure = en->state == ENTRY_CUSTODY;
		return 1;
	}
	return e->kind == ERR_DAMAGE && die(j, t, en, i, e) == 0 ? 0 : -1;
}

/* Its row is lost; so it is dead, whatever was asked. */
static int
bury(struct move_job *j, struct store_txn *t, size_t i, struct err *e)
{
	struct outbox_entry en;

	j->alarm[i] = "its row does not open";
	if (outbox_bury(j->o, t, j->m->ids[i], NULL, j->alarm[i], &en, e) == -1)
		return -1;
	return j->m->event == ENTRY_EV_DIE;
}

/* 1 moved, 0 refused, -1. */
static int
move_one(struct move_job *j, struct store_txn *t, size_t i, struct err *e)
{
	struct outbox_move *m = j->m;
	struct outbox_entry en;
	const char *detail;
	int rc;

	rc = outbox_row_get(j->o, t, m->ids[i], &en, e);
	if (rc == -1)
		return e->kind == ERR_DAMAGE ? bury(j, t, i, e) : -1;
	if (rc == 0 || !may_move(&en, m->event))
		return 0;
	if (is_repeat(&en, m))
		return 1;
	if ((rc = prepare(j, t, &en, i, e)) != 1)
		return rc;
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
	memset(j->alarm, 0, sizeof(j->alarm));
	if (m->event == ENTRY_EV_HANDOUT &&
	    outbox_words_read(t, &j->words, e) == -1)
		return -1;
	for (i = 0; i < m->n; i++) {
		if ((rc = move_one(j, t, i, e)) == -1)
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
	size_t i;

	for (i = 0; i < j->m->n && e == NULL; i++)
		if (j->alarm[i] != NULL)
			outbox_alarm(j->o, j->m->ids[i], j->alarm[i]);
	if (j->done != NULL)
		j->done(j->m, e);
	free(j);
}

void
outbox_move(struct outbox *o, struct outbox_move *m,
    void (*done)(struct outbox_move *m, const struct err *e), struct post to)
{
	struct move_job *j = xcalloc(1, sizeof(*j));

	assert((unsigned)m->event < ENTRY_EV__MAX && events[m->event].move);
	assert(m->n <= NELEMS(m->ids));
	j->o = o;
	j->m = m;
	j->done = done;
	store_submit(o->store, move_run, move_over, j, to);
}
