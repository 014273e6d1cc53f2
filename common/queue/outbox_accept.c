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
	struct outbox_words words;
	struct outbox_entry parent, older;
	bool left;	     /* a copy of the older one left */
	struct digest audit; /* the head before this entry */
	uint64_t buried;     /* one whose row did not open; 0: none */
};

/* ---- may it come in? ------------------------------------------------- */

/* 1 these octets were accepted before, 0 the row is free, -1.  A refusal is
 * told in j.  What does not open is told as dead, from now on. */
static int
check_known(struct accept_job *j, struct store_txn *t, struct err *e)
{
	static const struct digest unknown; /* of one that was buried */
	struct outbox_entry *en = &j->a->entry;
	struct err why = ERR_INIT;
	char text[ENTRY_ID_TEXT];
	uint64_t id;
	int rc = outbox_row_find(j->o, t, &j->a->row, &id, en, &why);

	if (rc == 0)
		return 0;
	if (rc == -1 && why.kind != ERR_DAMAGE) {
		if (e != NULL)
			*e = why;
		return -1;
	}
	if (rc == -1) {
		j->buried = id;
		if (outbox_bury(j->o, t, id, &j->a->row,
			"its row does not open", en, e) == -1)
			return -1;
	}
	if (digest_eq(&en->digest, &j->digest) ||
	    digest_eq(&en->digest, &unknown))
		return 1;
	err_fail(&j->refusal, ERR_POLICY, FAIL_TRANSACTION_ID_IN_USE,
	    "entry %s: RFC 9483 3.5: the same transactionID with "
	    "other octets",
	    outbox_id(j->o, text, id));
	return 1;
}

/* ---- quotas ----------------------------------------------------------- */

static int
over(struct err *e, const char *whose, const char *name, uint64_t n,
    uint64_t limit)
{
	return err_set(e, ERR_RETRY, "%s%s%s: %llu requests open, limit %llu",
	    whose, name[0] != '\0' ? " " : "", name, (unsigned long long)n,
	    (unsigned long long)limit);
}

static const char *
or_dash(const char *s)
{
	return s != NULL && s[0] != '\0' ? s : "-";
}

/* What it supersedes makes room for it. */
static const struct slot *
superseded_slot(const struct accept_job *j)
{
	const struct outbox_index *x = &j->o->index;
	const struct slot *s;

	if (!j->a->initial)
		return NULL;
	s = outbox_index_at(
	    x, outbox_index_newest(x, j->a->kind, &j->a->device, UINT64_MAX));
	return s != NULL && slot_open(s) ? s : NULL;
}

static int
check_open(struct accept_job *j, struct err *e)
{
	const struct outbox_index *x = &j->o->index;
	const struct outbox_accept *a = j->a;
	const struct slot *old = superseded_slot(j);
	uint32_t device = devices_find(&x->devices, &a->device);
	unsigned vendor =
	    vendors_find(&x->vendors, a->vendor != NULL ? a->vendor : "");
	uint64_t n;

	n = x->open - (old != NULL);
	if (j->o->open != 0 && n >= j->o->open)
		return over(e, "queue", "", n, j->o->open);
	n = vendor != 0 ? x->vendors.v[vendor].open : 0;
	n -= old != NULL && vendor != 0 && old->vendor == vendor;
	if (j->o->per_vendor_open != 0 && n >= j->o->per_vendor_open)
		return over(e, "vendor", a->vendor != NULL ? a->vendor : "", n,
		    j->o->per_vendor_open);
	n = device != DEVICE_NONE ? devices_at(&x->devices, device)->open : 0;
	n -= old != NULL && n > 0;
	if (j->o->per_device_open != 0 && n >= j->o->per_device_open)
		return over(
		    e, "device", or_dash(a->label), n, j->o->per_device_open);
	return 0;
}

static int
check_hour(struct accept_job *j, struct err *e)
{
	const struct outbox_accept *a = j->a;
	unsigned limit = j->o->per_device_hour, recent;

	if (!a->initial || limit == 0)
		return 0;
	recent = outbox_index_recent(
	    &j->o->index, a->kind, &a->device, a->received.time, limit);
	if (recent < limit)
		return 0;
	return err_set(e, ERR_RETRY,
	    "device %s: %u requests within an hour, limit %u",
	    or_dash(a->label), recent, limit);
}

/* Of the map, in percent: what the open ones will still take for their answers,
 * what confirms those, and the records of it all.  Without it the answers of a
 * queue that filled up while the link was down would find no room, so nothing
 * would ever end and no room come back. */
static unsigned
kept_percent(const struct outbox *o)
{
	return (unsigned)(o->index.open * o->open_room * 100 / o->map_size);
}

static int
check_room(struct accept_job *j, struct err *e)
{
	struct outbox *o = j->o;
	unsigned used = store_used_percent(o->store), kept = kept_percent(o);

	if (j->words.suspended[0] != '\0')
		return err_set(e, ERR_RETRY,
		    "restored from an older copy (%s): waybill queue restore "
		    "--confirm",
		    j->words.suspended);
	if (j->a->step > 0)
		return 0;
	if (used + kept >= o->full_percent)
		return err_set(e, ERR_RETRY,
		    "store: %u %% used, %u %% kept for answers, nothing is "
		    "accepted from %u %% on",
		    used, kept, o->full_percent);
	if (check_hour(j, e) == -1)
		return -1;
	return check_open(j, e);
}

static int
check_parent(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_accept *a = j->a;
	char text[ENTRY_ID_TEXT];
	int rc;

	if (a->parent == 0)
		return 0;
	rc = outbox_row_get(j->o, t, a->parent, &j->parent, e);
	if (rc == -1)
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

/*
 * DECISIONS 6.  An older one that left is named in the new header, which is
 * how the service learns of it; of one that did not leave it knows nothing.
 */
static int
supersede(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_entry *en = &j->a->entry, *old = &j->older;
	const struct slot *s = superseded_slot(j);
	struct outbox_index *x = &j->o->index;
	char text[ENTRY_ID_TEXT];
	int rc;

	if (s == NULL)
		return 0;
	rc = outbox_row_get(j->o, t,
	    outbox_index_id(x,
		outbox_index_newest(x, j->a->kind, &j->a->device, UINT64_MAX)),
	    old, e);
	if (rc == -1 && e->kind != ERR_DAMAGE)
		return -1;
	/* A damaged one is buried by who meets it next; its device goes on.
	 * Another's is none of ours. */
	if (rc != 1 || !digest_eq(&old->device, &j->a->device))
		return 0;
	j->left = outbox_left(old);
	j->a->superseded = en->replaces = old->id;
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
		.route = a->kind,
		.received = a->received,
		.deadline = a->deadline,
		.renewal = j->words.renewal };
	entry_text(
	    en->label, sizeof(en->label), a->label != NULL ? a->label : "");
	entry_text(
	    en->vendor, sizeof(en->vendor), a->vendor != NULL ? a->vendor : "");
}

/* The id and the audit head before it are known here only: so the header is
 * signed in the committer. */
static int
put_octets(struct accept_job *j, struct store_txn *t, struct err *e)
{
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

	if (a->facts != NULL)
		h.facts = *a->facts;
	return outbox_octets_put(j->o, t, &h, a->bytes, a->wrapped, e);
}

/* It came with its answer: there is nothing left to be asked. */
static int
put_answer(struct accept_job *j, struct store_txn *t, struct err *e)
{
	struct outbox_entry *en = &j->a->entry;

	if (j->a->answer.len == 0)
		return 0;
	if (outbox_answer_put(t, j->a->answer, &en->answer_value, e) == -1)
		return -1;
	en->answer_code = BATCH_ANSWERED;
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
	j->buried = 0;
	if (outbox_words_read(t, &j->words, e) == -1 ||
	    (known = check_known(j, t, e)) == -1)
		return -1;
	if (known == 1) {
		a->replay = j->refusal.kind == ERR_NONE;
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

	if (e == NULL && j->buried != 0)
		outbox_alarm(j->o, j->buried, j->a->entry.reason);
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
