/* Entries on our own account: what was given up, and what the trail says. */
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/queue/outbox_int.h"

int
outbox_own_put(struct outbox *o, struct store_txn *t, struct outbox_entry *en,
    struct bytes octets, const struct outbox_words *w, struct err *e)
{
	struct entry_header h = { .audit = store_audit_head(t)->hash };

	en->id = store_take_id(t);
	en->state = ENTRY_RECEIVED;
	en->received = clock_now();
	en->digest = digest_of(octets.p, octets.len);
	en->renewal = w->renewal;
	h.id = en->id;
	h.kind = en->kind;
	h.digest = en->digest;
	h.received = en->received;
	h.parent = en->parent;
	if (outbox_apply(o, t, en, ENTRY_EV_ADMIT, NULL,
		entry_kind_name(en->kind), e) == -1 ||
	    outbox_octets_put(o, t, &h, octets, bytes_of(NULL, 0), e) == -1)
		return -1;
	return outbox_tx_put(t, en, e);
}

/* ---- withdraw --------------------------------------------------------- */

struct withdraw_job {
	struct outbox *o;
	struct outbox_withdraw *w;
	void (*done)(struct outbox_withdraw *w, const struct err *e);
	struct err refusal;
	bool buried;
};

/* The epoch under which services know it: that of the header that left. */
static void
left_under(struct store_txn *t, uint64_t id, uint8_t ret[ENTRY_EPOCH_LEN])
{
	struct outbox_octets x;
	struct entry_header h;

	memcpy(ret, store_epoch(t), ENTRY_EPOCH_LEN);
	if (outbox_octets_get(t, id, &x, &h, NULL) != 1)
		return;
	memcpy(ret, h.epoch, ENTRY_EPOCH_LEN);
	outbox_octets_done(&x);
}

static int
withdraw_put(struct withdraw_job *j, struct store_txn *t,
    const struct outbox_entry *of, const struct outbox_words *w, struct err *e)
{
	struct outbox_entry en = {
		.kind = ENTRY_WITHDRAW, .parent = of->id, .route = of->kind
	};
	struct buf b AUTO_BUF = { 0 };
	uint8_t epoch[ENTRY_EPOCH_LEN];
	char why[160];

	left_under(t, of->id, epoch);
	entry_text(why, sizeof(why), j->w->why != NULL ? j->w->why : "");
	cbor_write_array(&b, 5);
	cbor_write_text(&b, "waybill-withdraw/1");
	cbor_write_bytes(&b, epoch, sizeof(epoch));
	cbor_write_uint(&b, of->id);
	cbor_write_bytes(&b, of->digest.b, DIGEST_LEN);
	cbor_write_text(&b, why);
	str_copy(en.label, sizeof(en.label), of->label);
	en.row = entry_row(ENTRY_WITHDRAW, &of->row, buf_bytes(&b), 0);
	if (outbox_own_put(j->o, t, &en, buf_bytes(&b), w, e) == -1)
		return -1;
	j->w->entry = en.id;
	return 0;
}

static int
withdraw_one(struct withdraw_job *j, struct store_txn *t,
    struct outbox_entry *en, struct err *e)
{
	struct outbox_withdraw *x = j->w;
	bool left = outbox_left(en);
	struct outbox_words w;

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	if (left && w.suspended[0] != '\0') {
		err_set(&j->refusal, ERR_RETRY,
		    "restored from an older copy (%s): waybill queue restore "
		    "--confirm",
		    w.suspended);
		return 0;
	}
	entry_text(
	    en->reason, sizeof(en->reason), x->why != NULL ? x->why : "");
	if (outbox_own_answer(t, en, x->answer, e) == -1 ||
	    outbox_apply(j->o, t, en, ENTRY_EV_WITHDRAW, x->who, x->why, e) ==
		-1)
		return -1;
	x->withdrawn = true;
	return left ? withdraw_put(j, t, en, &w, e) : 0;
}

static int
withdraw_run(struct store_txn *t, void *arg, struct err *e)
{
	struct withdraw_job *j = arg;
	struct outbox_entry en;
	int rc;

	j->w->withdrawn = j->buried = false;
	j->w->entry = 0;
	j->refusal = (struct err)ERR_INIT;
	rc = outbox_row_get(j->o, t, j->w->id, &en, e);
	if (rc == -1 && e->kind == ERR_DAMAGE) {
		j->buried = true;
		return outbox_bury(
		    j->o, t, j->w->id, NULL, "its row does not open", &en, e);
	}
	if (rc == -1)
		return -1;
	/* Nobody gives up what was asked to give something up. */
	if (rc == 0 || en.kind == ENTRY_WITHDRAW || en.kind == ENTRY_AUDIT ||
	    entry_next(en.state, ENTRY_EV_WITHDRAW) == ENTRY_NONE)
		return 0;
	return withdraw_one(j, t, &en, e);
}

static void
withdraw_over(void *arg, const struct err *e)
{
	struct withdraw_job *j = arg;

	if (e == NULL && j->buried)
		outbox_alarm(j->o, j->w->id, "its row does not open");
	if (e == NULL && j->refusal.kind != ERR_NONE)
		e = &j->refusal;
	if (j->done != NULL)
		j->done(j->w, e);
	free(j);
}

void
outbox_withdraw(struct outbox *o, struct outbox_withdraw *w,
    void (*done)(struct outbox_withdraw *w, const struct err *e),
    struct post to)
{
	struct withdraw_job *j = xcalloc(1, sizeof(*j));

	j->o = o;
	j->w = w;
	j->done = done;
	store_submit(o->store, withdraw_run, withdraw_over, j, to);
}

/* ---- checkpoint ------------------------------------------------------- */

struct checkpoint_job {
	struct outbox *o;
	struct outbox_checkpoint *c;
	void (*done)(struct outbox_checkpoint *c, const struct err *e);
};

/* The youngest record that a service has countersigned. */
static uint64_t
countersigned(const struct outbox_words *w)
{
	uint64_t most = 0;
	size_t i;

	for (i = 0; i < w->n_peers; i++)
		if (w->peers[i].seen.seq > most)
			most = w->peers[i].seen.seq;
	return most;
}

/* Of one that never left nobody knows, and the new one tells more. */
static int
drop_older(struct outbox *o, struct store_txn *t, struct err *e)
{
	uint64_t id = outbox_index_first(&o->index, LANE_AUDIT);
	struct outbox_entry en;

	if (id == 0 || outbox_row_get(o, t, id, &en, NULL) != 1 ||
	    en.state != ENTRY_QUEUED)
		return 0;
	str_copy(en.reason, sizeof(en.reason), "a newer one tells more");
	return outbox_apply(o, t, &en, ENTRY_EV_WITHDRAW, NULL, en.reason, e);
}

static int
checkpoint_put(struct checkpoint_job *j, struct store_txn *t,
    const struct outbox_words *w, struct err *e)
{
	struct outbox_entry en = { .kind = ENTRY_AUDIT, .route = ENTRY_AUDIT };
	struct store_audit head = *store_audit_head(t);
	struct buf b AUTO_BUF = { 0 };

	cbor_write_array(&b, 4);
	cbor_write_text(&b, "waybill-checkpoint/1");
	cbor_write_uint(&b, head.seq);
	cbor_write_bytes(&b, head.hash.b, DIGEST_LEN);
	cbor_write_uint(&b, clock_now().time);
	en.row = entry_row(ENTRY_AUDIT, &head.hash, buf_bytes(&b), 0);
	if (outbox_own_put(j->o, t, &en, buf_bytes(&b), w, e) == -1)
		return -1;
	j->c->id = en.id;
	j->o->told = head.seq;
	return 0;
}

static int
checkpoint_run(struct store_txn *t, void *arg, struct err *e)
{
	struct checkpoint_job *j = arg;
	struct outbox *o = j->o;
	struct outbox_words w;

	j->c->id = 0;
	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	if (w.suspended[0] != '\0' || store_audit_head(t)->seq == 0 ||
	    o->telling <= countersigned(&w) || o->telling <= o->told)
		return 0;
	if (drop_older(o, t, e) == -1)
		return -1;
	return checkpoint_put(j, t, &w, e);
}

static void
checkpoint_over(void *arg, const struct err *e)
{
	struct checkpoint_job *j = arg;

	if (j->done != NULL)
		j->done(j->c, e);
	free(j);
}

void
outbox_checkpoint(struct outbox *o, struct outbox_checkpoint *c,
    void (*done)(struct outbox_checkpoint *c, const struct err *e),
    struct post to)
{
	struct checkpoint_job *j = xcalloc(1, sizeof(*j));

	j->o = o;
	j->c = c;
	j->done = done;
	store_submit(o->store, checkpoint_run, checkpoint_over, j, to);
}
