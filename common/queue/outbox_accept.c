#include <assert.h>
#include <string.h>

#include "common/base/str.h"
#include "common/queue/outbox_int.h"

/* RFC 9810 5.2.3. */
#define FAIL_BAD_REQUEST	   (1u << 2)
#define FAIL_TRANSACTION_ID_IN_USE (1u << 21)

struct accept_job {
	struct outbox *o;
	struct outbox_accept *a;
	void (*done)(struct outbox_accept *a, const struct err *e);
	struct digest digest;
	struct err refusal; /* nothing was written: the others go on */
	struct outbox_entry parent, older;
	bool left;	     /* a copy of the older one left */
	struct digest audit; /* the head before this entry */
};

/* ---- may it come in? ------------------------------------------------- */

/* 1 these octets were accepted before, 0 the row is free, -1. */
static int
check_known(struct accept_job *j, struct store_txn *t, struct err *e)
{
	char text[ENTRY_ID_TEXT];
	uint64_t id;
	int rc;

	if ((rc = outbox_tx_get(t, &j->a->row, &id, e)) != 1)
		return rc;
	rc = outbox_row_get(t, id, &j->a->entry, e);
	if (rc == 0)
		return err_set(e, ERR_DAMAGE, "entry %s: its row has vanished",
		    outbox_id(j->o, text, id));
	if (rc == 1 && !digest_eq(&j->a->entry.digest, &j->digest))
		return err_fail(e, ERR_POLICY, FAIL_TRANSACTION_ID_IN_USE,
		    "entry %s: RFC 9483 3.5: the same transactionID with "
		    "other octets",
		    outbox_id(j->o, text, id));
	return rc;
}

static int
check_room(struct accept_job *j, struct err *e)
{
	struct outbox_accept *a = j->a;
	struct outbox *o = j->o;
	unsigned used = store_used_percent(o->store), recent;

	if (a->step > 0)
		return 0;
	if (used >= o->full_percent)
		return err_set(e, ERR_RETRY,
		    "store: %u %% used, nothing is accepted from %u %% on",
		    used, o->full_percent);
	if (!a->initial || o->per_device_hour == 0)
		return 0;
	recent = outbox_index_recent(&o->index, a->kind, &a->device,
	    a->received.time, o->per_device_hour);
	if (recent >= o->per_device_hour)
		return err_set(e, ERR_RETRY,
		    "device %s: %u requests within an hour, limit %u",
		    a->label != NULL ? a->label : "-", recent,
		    o->per_device_hour);
	return 0;
}

static int
check_parent(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_accept *a = j->a;
	char text[ENTRY_ID_TEXT];
	int rc;

	if (a->parent == 0)
		return 0;
	if ((rc = outbox_row_get(t, a->parent, &j->parent, e)) == -1)
		return -1;
	if (rc == 1 &&
	    (j->parent.state == ENTRY_ANSWERED ||
		entry_next(j->parent.state, ENTRY_EV_CONFIRM) != ENTRY_NONE))
		return 0;
	return err_fail(e, ERR_POLICY, FAIL_BAD_REQUEST,
	    "entry %s: RFC 9483 4.1: confirmed by its device while %s",
	    outbox_id(j->o, text, a->parent),
	    rc == 1 ? entry_state_name(j->parent.state) : "unknown here");
}

/* ---- writing it ------------------------------------------------------ */

/* certConf implies that the answer arrived (DECISIONS 15). */
static int
confirm_parent(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_entry *p = &j->parent;
	const char *reason = j->a->parent_reason;

	if (j->a->parent == 0)
		return 0;
	if (p->state == ENTRY_ANSWERED &&
	    outbox_apply(j->o, t, p, ENTRY_EV_DELIVER, NULL,
		"its device confirms", e) == -1)
		return -1;
	if (reason != NULL)
		entry_text(p->reason, sizeof(p->reason), reason);
	return outbox_apply(j->o, t, p, ENTRY_EV_CONFIRM, NULL, reason, e);
}

static bool
has_left(enum entry_state s)
{
	return s == ENTRY_INFLIGHT || s == ENTRY_CUSTODY;
}

static bool
is_open(enum entry_state s)
{
	return s == ENTRY_RECEIVED || s == ENTRY_QUEUED || has_left(s);
}

/*
 * DECISIONS 6.  An older one that left is named in the new header, which is
 * how the service learns of it; of one that did not leave it knows nothing.
 */
static int
supersede(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_accept *a = j->a;
	struct outbox_entry *en = &a->entry, *old = &j->older;
	const struct slot *s;
	char text[ENTRY_ID_TEXT];
	int rc;

	if (!a->initial)
		return 0;
	s = outbox_index_newest(&j->o->index, a->kind, &a->device);
	if (s == NULL || !is_open((enum entry_state)s->state))
		return 0;
	rc = outbox_row_get(t, s->id, old, e);
	if (rc == -1 && e->kind != ERR_DAMAGE)
		return -1;
	/* A damaged one is buried at the next start; its device goes on. */
	if (rc != 1)
		return 0;
	j->left = has_left(old->state);
	a->superseded = en->replaces = old->id;
	old->replaced_by = en->id;
	snprintf(old->reason, sizeof(old->reason), "superseded by %s",
	    outbox_id(j->o, text, en->id));
	return outbox_apply(
	    j->o, t, old, ENTRY_EV_WITHDRAW, NULL, old->reason, e);
}

static void
fill(struct accept_job *j, uint64_t id)
{
	struct outbox_accept *a = j->a;
	struct outbox_entry *en = &a->entry;

	*en = (struct outbox_entry){ .id = id,
		.kind = a->kind,
		.step = a->step,
		.state = ENTRY_RECEIVED,
		.initial = a->initial,
		.row = a->row,
		.device = a->device,
		.digest = j->digest,
		.parent = a->parent,
		.received = a->received,
		.deadline = a->deadline };
	entry_text(
	    en->label, sizeof(en->label), a->label != NULL ? a->label : "");
}

/* The id and the audit head before it are known here only: so the header is
 * signed in the committer. */
static int
put_octets(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf row AUTO_BUF = { 0 };
	struct outbox_accept *a = j->a;
	struct outbox_entry *en = &a->entry;
	struct entry_header h = { .id = en->id,
		.kind = en->kind,
		.step = en->step,
		.digest = en->digest,
		.received = en->received,
		.deadline = en->deadline,
		.audit = j->audit,
		.replaces = j->left ? en->replaces : 0,
		.parent = en->parent };
	uint8_t key[OUTBOX_KEY_LEN];

	str_copy(h.site, sizeof(h.site), j->o->site);
	memcpy(h.epoch, j->o->epoch, sizeof(h.epoch));
	if (a->facts != NULL)
		h.facts = *a->facts;
	if (entry_header_sign(&h, j->o->signer, &text, &sig, e) == -1)
		return -1;
	outbox_octets_encode(
	    a->bytes, a->wrapped, buf_bytes(&text), buf_bytes(&sig), &row);
	return store_put(t, DB_ROW, outbox_key(key, en->id, PART_OCTETS),
	    buf_bytes(&row), e);
}

/* It came with its answer: there is nothing left to be asked. */
static int
put_answer(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_entry *en = &j->a->entry;
	uint8_t key[OUTBOX_KEY_LEN];

	if (j->a->answer.len == 0)
		return 0;
	en->answer_value = store_take_id(t);
	en->answer_code = BATCH_ANSWERED;
	if (store_put(t, DB_ROW, outbox_key(key, en->answer_value, PART_ANSWER),
		j->a->answer, e) == -1)
		return -1;
	return outbox_apply(
	    j->o, t, en, ENTRY_EV_ANSWER, NULL, "it came with it", e);
}

static int
accept_write(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_entry *en = &j->a->entry;
	char detail[120];

	fill(j, store_take_id(t));
	snprintf(detail, sizeof(detail), "%s %u %s", entry_kind_name(en->kind),
	    en->step, en->label);
	if (supersede(j, t, e) == -1)
		return -1;
	j->audit = store_audit_head(t)->hash;
	if (outbox_apply(j->o, t, en, ENTRY_EV_ADMIT, NULL, detail, e) == -1 ||
	    put_octets(j, t, e) == -1 || outbox_tx_put(t, en, e) == -1)
		return -1;
	if (put_answer(j, t, e) == -1)
		return -1;
	return confirm_parent(j, t, e);
}

static int
accept_run(struct store_txn *t, void *arg, struct err *e)
{
	struct accept_job *j = arg;
	struct outbox_accept *a = j->a;
	int known;

	a->replay = false;
	a->superseded = 0;
	j->refusal = (struct err)ERR_INIT;
	j->left = false;
	if ((known = check_known(j, t, &j->refusal)) == -1)
		return 0;
	if (known == 1) {
		a->replay = true;
		return 0;
	}
	if (check_room(j, &j->refusal) == -1 ||
	    check_parent(j, t, &j->refusal) == -1)
		return 0;
	return accept_write(j, t, e);
}

static void
accept_over(void *arg, const struct err *e)
{
	struct accept_job *j = arg;

	if (e == NULL && j->refusal.kind != ERR_NONE)
		e = &j->refusal;
	j->done(j->a, e);
	free(j);
}

void
outbox_accept(struct outbox *o, struct outbox_accept *a,
    void (*done)(struct outbox_accept *a, const struct err *e), struct post to)
{
	struct accept_job *j = xcalloc(1, sizeof(*j));

	assert((a->step > 0) == (a->parent > 0));
	j->o = o;
	j->a = a;
	j->done = done;
	j->digest = digest_of(a->bytes.p, a->bytes.len);
	store_submit(o->store, accept_run, accept_over, j, to);
}
