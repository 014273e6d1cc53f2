#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/queue/outbox_int.h"

#define FLOOR_STEP 3600 /* seconds: each would be a commit else */

struct batch_job {
	struct outbox *o;
	struct outbox_batch *b;
	void (*done)(struct outbox_batch *b, const struct err *e);
	char who[ENTRY_NAME_MAX + 8];
	uint64_t floor, watermark;
	bool forked;			    /* what it saw is no head of ours */
	const char *alarm[BATCH_ITEMS_MAX]; /* NULL: none for this item */
};

/* ---- what is remembered of a service ---------------------------------- */

/* A gap leaves the mark where it is: the service sends from there again. */
static bool
advance(struct outbox_peer *p, const struct batch *b, uint64_t *ret_high)
{
	bool ours = memcmp(p->epoch, b->service_epoch, sizeof(p->epoch)) == 0;
	uint64_t high = ours ? p->seq : 0;
	bool next = b->seq == high + 1;

	if (next) {
		memcpy(p->epoch, b->service_epoch, sizeof(p->epoch));
		p->seq = high = b->seq;
	}
	*ret_high = high;
	return next;
}

/* A head of ours that it has seen, and signs for. */
static bool
countersign(struct batch_job *j, struct store_txn *t, struct outbox_peer *p)
{
	static const struct digest none;
	const struct digest *seen = &j->b->batch->audit_seen;
	uint64_t seq = 0;
	int rc;

	if (digest_eq(seen, &none) || digest_eq(seen, &p->seen.hash))
		return false;
	rc = outbox_trail_find(j->o, t, seen, p->seen.seq, &seq);
	j->forked = rc == 0;
	if (rc != 1 || seq <= p->seen.seq)
		return false;
	p->seen = (struct store_audit){ seq, *seen };
	return true;
}

static bool
raise_floor(struct batch_job *j, struct outbox_words *w)
{
	uint64_t time = j->b->batch->time;

	if (time < w->floor + FLOOR_STEP)
		return false;
	w->floor = time;
	return true;
}

static int
remember(struct batch_job *j, struct store_txn *t, struct err *e)
{
	const struct batch *b = j->b->batch;
	struct outbox_words w;
	struct outbox_peer *p;
	bool news;

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	if ((p = outbox_words_peer(&w, b->service)) == NULL)
		return err_set(e, ERR_LOCAL,
		    "service %s: more than %d services", b->service, PEERS_MAX);
	news = advance(p, b, &j->b->seq_high);
	news |= countersign(j, t, p);
	news |= raise_floor(j, &w);
	if (news)
		outbox_words_write(t, &w);
	j->floor = w.floor;
	return 0;
}

/* ---- items ----------------------------------------------------------- */

/* What became of an item. */
enum fate { IGNORED, MOVED, ALARM, FAILED };

struct item {
	struct batch_job *j;
	struct store_txn *t;
	const struct batch_item *i;
	struct bytes answer;
	const char **alarm;
	struct outbox_entry en;
};

static enum fate
alarm_of(struct item *x, const char *why)
{
	*x->alarm = why;
	return ALARM;
}

static enum fate
apply(struct item *x, enum entry_event ev, const char *detail, struct err *e)
{
	return outbox_apply(x->j->o, x->t, &x->en, ev, x->j->who, detail, e) ==
		-1
	    ? FAILED
	    : MOVED;
}

/* Somebody has it, so a copy left, whatever we remember. */
static void
had_left(struct outbox_entry *en)
{
	if (en->handouts == 0)
		en->handouts = 1;
	en->unsure = false;
}

/* A receipt that comes after the answer, or again, says nothing new. */
static enum fate
take_receipt(struct item *x, struct err *e)
{
	enum entry_state to = entry_next(x->en.state, ENTRY_EV_RECEIPT);
	bool unsure = x->en.unsure;

	if (to == ENTRY_NONE || (to == x->en.state && !unsure))
		return IGNORED;
	had_left(&x->en);
	return apply(x, ENTRY_EV_RECEIPT, batch_code_name(x->i->code), e);
}

/* The service decided twice, or somebody has its key. */
static enum fate
compare_answer(struct item *x, uint64_t value, struct err *e)
{
	struct buf old AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];
	int rc;

	rc = store_get(
	    x->t, DB_ROW, outbox_key(key, value, PART_ANSWER), &old, e);
	if (rc == -1 && e->kind != ERR_DAMAGE)
		return FAILED;
	if (rc != 1)
		return alarm_of(x, "stored answer is damaged");
	if (bytes_eq(buf_bytes(&old), x->answer))
		return IGNORED;
	return alarm_of(x, "another answer; the first is kept");
}

/* Withdrawn stays withdrawn: no state changes, but it is told, and kept as long
 * as if it had ended now. */
static enum fate
take_late(struct item *x, struct err *e)
{
	struct outbox_entry *en = &x->en;

	if (en->late_value != 0)
		return compare_answer(x, en->late_value, e);
	if (en->pruned)
		return alarm_of(x, "answer to what was withdrawn and pruned");
	if (outbox_answer_put(x->t, x->answer, &en->late_value, e) == -1)
		return FAILED;
	had_left(en);
	en->late = true;
	en->changed = clock_now().time;
	if (outbox_audit(x->j->o, x->t, en->id, en->kind, "late", x->j->who,
		batch_code_name(x->i->code), e) == -1)
		return FAILED;
	return apply(x, ENTRY_EV_ANSWER, batch_code_name(x->i->code), e);
}

/* Nothing follows the answer to a later step: it ends with it, whether or not
 * the device still hears of it. */
static enum fate
end_step(struct item *x, struct err *e)
{
	return apply(x, ENTRY_EV_DELIVER, NULL, e) == FAILED
	    ? FAILED
	    : apply(x, ENTRY_EV_CONFIRM, NULL, e);
}

static enum fate
take_answer(struct item *x, struct err *e)
{
	struct digest d = digest_of(x->answer.p, x->answer.len);
	struct outbox_entry *en = &x->en;
	enum fate fate;

	if (!digest_eq(&d, &x->i->answer))
		return alarm_of(x, "answer's octets are not the signed ones");
	/* Long ago, and it is gone here. */
	if (en->pruned && (en->late || en->state != ENTRY_WITHDRAWN))
		return IGNORED;
	if (en->state == ENTRY_WITHDRAWN)
		return take_late(x, e);
	if (en->answer_value != 0)
		return compare_answer(x, en->answer_value, e);
	if (entry_next(en->state, ENTRY_EV_ANSWER) == ENTRY_NONE)
		return alarm_of(x, "answer to what had ended");
	if (outbox_answer_put(x->t, x->answer, &en->answer_value, e) == -1)
		return FAILED;
	had_left(en);
	en->answer_code = x->i->code;
	entry_text(en->reason, sizeof(en->reason), x->i->reason);
	fate = apply(x, ENTRY_EV_ANSWER, batch_code_name(x->i->code), e);
	return en->step > 0 && fate == MOVED ? end_step(x, e) : fate;
}

/* An end without octets: the reason is what the device will be told. */
static enum fate
take_end(struct item *x, struct err *e)
{
	const char *name = batch_code_name(x->i->code);
	struct outbox_entry *en = &x->en;
	char reason[sizeof(en->reason)];

	if (en->state == ENTRY_REFUSED && en->answer_code == x->i->code)
		return IGNORED;
	if (entry_next(en->state, ENTRY_EV_REFUSE) == ENTRY_NONE)
		return en->state == ENTRY_WITHDRAWN
		    ? IGNORED
		    : alarm_of(x, "refused against its state");
	if (x->i->reason[0] != '\0')
		snprintf(reason, sizeof(reason), "%s: %s", name, x->i->reason);
	else
		str_copy(reason, sizeof(reason), name);
	entry_text(en->reason, sizeof(en->reason), reason);
	en->answer_code = x->i->code;
	had_left(en);
	return apply(x, ENTRY_EV_REFUSE, en->reason, e);
}

/* ---- entries of our own ------------------------------------------------ */

/* ["waybill-done/1", text]; "" if it is not that. */
static void
done_text(struct bytes answer, char *ret, size_t size)
{
	char label[32], text[160];
	struct cbor_in in;

	cbor_read_init(&in, answer, "answer of a service");
	cbor_read_array(&in, 2);
	cbor_read_text(&in, label, sizeof(label));
	cbor_read_text(&in, text, sizeof(text));
	if (cbor_read_end(&in, NULL) == -1 ||
	    strcmp(label, "waybill-done/1") != 0)
		text[0] = '\0';
	entry_text(ret, size, text);
}

/* All that is left to come, at once: nobody fetches what was said of it. */
static enum fate
settle_own(struct item *x, struct err *e)
{
	static const enum entry_event way[] = { ENTRY_EV_RECEIPT,
		ENTRY_EV_ANSWER, ENTRY_EV_DELIVER, ENTRY_EV_CONFIRM };
	struct outbox_entry *en = &x->en;
	enum entry_state to;
	size_t i;

	for (i = 0; i < NELEMS(way); i++)
		if ((to = entry_next(en->state, way[i])) != ENTRY_NONE)
			en->state = to;
	had_left(en);
	en->changed = clock_now().time;
	if (outbox_row_put(x->j->o, x->t, en, e) == -1 ||
	    outbox_audit(x->j->o, x->t, en->id, en->kind, "confirmed",
		x->j->who,
		en->reason[0] != '\0' ? en->reason
				      : batch_code_name(x->i->code),
		e) == -1)
		return FAILED;
	return MOVED;
}

/* What it did may follow its receipt. */
static enum fate
note_own(struct item *x, const char *text, struct err *e)
{
	struct outbox_entry *en = &x->en;

	if (text[0] == '\0' || strcmp(text, en->reason) == 0)
		return IGNORED;
	str_copy(en->reason, sizeof(en->reason), text);
	if (outbox_row_put(x->j->o, x->t, en, e) == -1 ||
	    outbox_audit(x->j->o, x->t, en->id, en->kind, "answered", x->j->who,
		text, e) == -1)
		return FAILED;
	return MOVED;
}

static enum fate
take_own(struct item *x, struct err *e)
{
	struct digest d = digest_of(x->answer.p, x->answer.len);
	struct outbox_entry *en = &x->en;
	char text[sizeof(en->reason)] = "";

	if (x->i->code == BATCH_ANSWERED) {
		if (!digest_eq(&d, &x->i->answer))
			return alarm_of(
			    x, "answer's octets are not the signed ones");
		done_text(x->answer, text, sizeof(text));
	}
	if (en->state == ENTRY_CONFIRMED)
		return note_own(x, text, e);
	if (en->state == ENTRY_WITHDRAWN)
		return IGNORED; /* a newer checkpoint told more */
	if (!outbox_open_state(en->state))
		return alarm_of(x, "answer to what had ended");
	if (text[0] != '\0')
		str_copy(en->reason, sizeof(en->reason), text);
	return settle_own(x, e);
}

static bool
is_own(enum entry_kind k)
{
	return k == ENTRY_WITHDRAW || k == ENTRY_AUDIT;
}

static enum fate
take_item(struct item *x, struct err *e)
{
	enum batch_code code = x->i->code;
	bool receipt = code == BATCH_STORED || code == BATCH_DUPLICATE;
	int rc = outbox_row_get(x->j->o, x->t, x->i->id, &x->en, e);

	if (rc == -1 && e->kind != ERR_DAMAGE)
		return FAILED;
	if (rc == -1)
		return alarm_of(x, "entry is damaged");
	if (rc == 0 && x->i->id < x->j->watermark)
		return IGNORED; /* pruned */
	if (rc == 0)
		return alarm_of(x, "no such entry");
	if (!digest_eq(&x->en.digest, &x->i->digest))
		return alarm_of(x, "digest differs from the entry's");
	if (is_own(x->en.kind) && (receipt || code == BATCH_ANSWERED))
		return take_own(x, e);
	if (receipt)
		return take_receipt(x, e);
	if (x->i->has_answer)
		return take_answer(x, e);
	return take_end(x, e);
}

/* ---- the batch ------------------------------------------------------- */

static int
batch_run(struct store_txn *t, void *arg, struct err *e)
{
	struct batch_job *j = arg;
	struct outbox_batch *b = j->b;
	size_t n[FAILED + 1] = { 0 }, i;
	struct item x = { .j = j, .t = t };
	struct outbox_words w;

	memset(j->alarm, 0, sizeof(j->alarm));
	j->forked = false;
	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	j->watermark = w.watermark;
	for (i = 0; i < b->batch->n; i++) {
		x.i = &b->batch->items[i];
		x.answer = b->answers[i];
		x.alarm = &j->alarm[i];
		n[b->skip != NULL && b->skip[i] ? IGNORED : take_item(&x, e)]++;
		if (n[FAILED] > 0)
			return -1;
	}
	b->moved = n[MOVED];
	b->ignored = n[IGNORED];
	if (remember(j, t, e) == -1)
		return -1;
	b->alarms = n[ALARM] + j->forked;
	return 0;
}

static void
alarm_all(const struct batch_job *j)
{
	const struct batch *b = j->b->batch;
	char id[ENTRY_ID_TEXT];
	size_t i;

	for (i = 0; i < b->n; i++)
		if (j->alarm[i] != NULL)
			log_event(LOG_ALARM, "outbox.batch", "id", "%s",
			    outbox_id(j->o, id, b->items[i].id), "service",
			    "%s", b->service, "seq", "%llu",
			    (unsigned long long)b->seq, "reason", "%s",
			    j->alarm[i], NULL);
	if (j->forked)
		log_event(LOG_ALARM, "audit.forked", "service", "%s",
		    b->service, "seq", "%llu", (unsigned long long)b->seq,
		    "reason", "%s",
		    "it has seen a head that is not in our audit trail: the "
		    "trail was changed, or somebody has our key",
		    NULL);
}

static void
batch_over(void *arg, const struct err *e)
{
	struct batch_job *j = arg;

	if (e == NULL) {
		alarm_all(j);
		atomic_store(&j->o->floor, j->floor);
		if (j->b->batch->time != 0)
			clock_confirm(j->b->batch->time);
	}
	if (j->done != NULL)
		j->done(j->b, e);
	free(j);
}

void
outbox_batch(struct outbox *o, struct outbox_batch *b,
    void (*done)(struct outbox_batch *b, const struct err *e), struct post to)
{
	struct batch_job *j = xcalloc(1, sizeof(*j));

	assert(b->batch->n <= BATCH_ITEMS_MAX);
	j->o = o;
	j->b = b;
	j->done = done;
	snprintf(j->who, sizeof(j->who), "service %s", b->batch->service);
	store_submit(o->store, batch_run, batch_over, j, to);
}
