#include <assert.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/queue/outbox_int.h"

struct batch_job {
	struct outbox *o;
	struct outbox_batch *b;
	void (*done)(struct outbox_batch *b, const struct err *e);
	char who[ENTRY_NAME_MAX + 8];
	uint8_t epoch[ENTRY_EPOCH_LEN];
	const char *alarm[BATCH_ITEMS_MAX]; /* NULL: none for this item */
};

/* ---- high-water marks, in the head's words --------------------------- */

struct peers {
	size_t n;
	struct outbox_peer v[PEERS_MAX];
};

static int
peers_read(struct store_txn *t, struct peers *ret, struct err *e)
{
	struct bytes words = store_user(t);
	struct outbox_peer *v;
	struct cbor_in in;
	size_t i, n;

	memset(ret, 0, sizeof(*ret));
	if (words.len == 0)
		return 0;
	cbor_read_init(&in, words, "marks of services");
	n = cbor_read_array_upto(&in, 0, PEERS_MAX);
	for (i = 0; i < n; i++) {
		v = &ret->v[i];
		cbor_read_array(&in, 3);
		cbor_read_text(&in, v->service, sizeof(v->service));
		cbor_read_fixed(&in, v->epoch, sizeof(v->epoch));
		v->seq = cbor_read_uint(&in, UINT64_MAX);
	}
	ret->n = n;
	if (cbor_read_end(&in, e) == 0)
		return 0;
	if (e != NULL)
		e->kind = ERR_DAMAGE;
	return -1;
}

static void
peers_write(struct store_txn *t, const struct peers *p)
{
	struct buf words AUTO_BUF = { 0 };
	size_t i;

	cbor_write_array(&words, p->n);
	for (i = 0; i < p->n; i++) {
		cbor_write_array(&words, 3);
		cbor_write_text(&words, p->v[i].service);
		cbor_write_bytes(&words, p->v[i].epoch, sizeof(p->v[i].epoch));
		cbor_write_uint(&words, p->v[i].seq);
	}
	assert(words.len <= STORE_USER_MAX);
	store_set_user(t, buf_bytes(&words));
}

static struct outbox_peer *
peers_find(struct peers *p, const char *service)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		if (strcmp(p->v[i].service, service) == 0)
			return &p->v[i];
	return NULL;
}

/* The service's mark; a new one, if there is room. */
static struct outbox_peer *
peers_get(struct peers *p, const char *service)
{
	struct outbox_peer *v = peers_find(p, service);

	if (v != NULL || p->n == PEERS_MAX)
		return v;
	v = &p->v[p->n++];
	str_copy(v->service, sizeof(v->service), service);
	return v;
}

/* A gap leaves the mark where it is: the service sends from there again. */
static int
advance(struct batch_job *j, struct store_txn *t, struct err *e)
{
	const struct batch *b = j->b->batch;
	struct outbox_peer *v;
	struct peers p;
	uint64_t high;

	if (peers_read(t, &p, e) == -1)
		return -1;
	if ((v = peers_get(&p, b->service)) == NULL)
		return err_set(e, ERR_LOCAL,
		    "service %s: more than %d services", b->service, PEERS_MAX);
	high = memcmp(v->epoch, b->service_epoch, sizeof(v->epoch)) == 0
	    ? v->seq
	    : 0;
	if (b->seq == high + 1) {
		memcpy(v->epoch, b->service_epoch, sizeof(v->epoch));
		v->seq = high = b->seq;
		peers_write(t, &p);
	}
	j->b->seq_high = high;
	return 0;
}

struct peer_job {
	const char *service;
	struct outbox_peer *ret;
};

static int
peer_run(struct store_txn *t, void *arg, struct err *e)
{
	struct peer_job *j = arg;
	struct outbox_peer *v;
	struct peers p;

	if (peers_read(t, &p, e) == -1)
		return -1;
	v = peers_find(&p, j->service);
	*j->ret = v != NULL ? *v : (struct outbox_peer){ 0 };
	return 0;
}

int
outbox_peer(struct outbox *o, const char *service, struct outbox_peer *ret,
    struct err *e)
{
	struct outbox_peer found;
	struct peer_job j = { service, &found };

	if (store_read(o->store, peer_run, &j, e) == -1)
		return -1;
	str_copy(found.service, sizeof(found.service), service);
	*ret = found;
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

/* A receipt that comes after the answer, or again, says nothing new. */
static enum fate
take_receipt(struct item *x, struct err *e)
{
	enum entry_state to = entry_next(x->en.state, ENTRY_EV_RECEIPT);

	if (to == ENTRY_NONE || to == x->en.state)
		return IGNORED;
	return apply(x, ENTRY_EV_RECEIPT, batch_code_name(x->i->code), e);
}

/* The service decided twice, or somebody has its key. */
static enum fate
compare_answer(struct item *x, struct err *e)
{
	struct buf old AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];
	int rc;

	rc = store_get(x->t, DB_ROW,
	    outbox_key(key, x->en.answer_value, PART_ANSWER), &old, e);
	if (rc == -1 && e->kind != ERR_DAMAGE)
		return FAILED;
	if (rc != 1)
		return alarm_of(x, "stored answer is damaged");
	if (bytes_eq(buf_bytes(&old), x->answer))
		return IGNORED;
	return alarm_of(x, "another answer; the first is kept");
}

static enum fate
take_answer(struct item *x, struct err *e)
{
	struct digest d = digest_of(x->answer.p, x->answer.len);
	struct outbox_entry *en = &x->en;
	uint8_t key[OUTBOX_KEY_LEN];

	if (!digest_eq(&d, &x->i->answer))
		return alarm_of(x, "answer's octets are not the signed ones");
	if (en->answer_value != 0)
		return compare_answer(x, e);
	if (entry_next(en->state, ENTRY_EV_ANSWER) == ENTRY_NONE)
		return alarm_of(x, "answer to what had ended");
	en->answer_value = store_take_id(x->t);
	en->answer_code = x->i->code;
	en->late = en->state == ENTRY_WITHDRAWN;
	if (!en->late)
		entry_text(en->reason, sizeof(en->reason), x->i->reason);
	if (store_put(x->t, DB_ROW,
		outbox_key(key, en->answer_value, PART_ANSWER), x->answer,
		e) == -1)
		return FAILED;
	/* Withdrawn stays withdrawn: no state changes, but it is told. */
	if (en->late &&
	    outbox_audit(x->t, en->id, "late", x->j->who,
		batch_code_name(x->i->code), e) == -1)
		return FAILED;
	return apply(x, ENTRY_EV_ANSWER, batch_code_name(x->i->code), e);
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
	return apply(x, ENTRY_EV_REFUSE, en->reason, e);
}

static enum fate
take_item(struct item *x, struct err *e)
{
	int rc = outbox_row_get(x->t, x->i->id, &x->en, e);

	if (rc == -1 && e->kind != ERR_DAMAGE)
		return FAILED;
	if (rc == -1)
		return alarm_of(x, "entry is damaged");
	if (rc == 0)
		return alarm_of(x, "no such entry");
	if (!digest_eq(&x->en.digest, &x->i->digest))
		return alarm_of(x, "digest differs from the entry's");
	if (x->i->code == BATCH_STORED || x->i->code == BATCH_DUPLICATE)
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

	memset(j->alarm, 0, sizeof(j->alarm));
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
	b->alarms = n[ALARM];
	return advance(j, t, e);
}

static void
batch_over(void *arg, const struct err *e)
{
	struct batch_job *j = arg;
	const struct batch *b = j->b->batch;
	char id[ENTRY_ID_TEXT];
	size_t i;

	for (i = 0; i < b->n && e == NULL; i++)
		if (j->alarm[i] != NULL)
			log_event(LOG_ALARM, "outbox.batch", "id", "%s",
			    entry_id_format(id, j->epoch, b->items[i].id),
			    "service", "%s", b->service, "seq", "%llu",
			    (unsigned long long)b->seq, "reason", "%s",
			    j->alarm[i], NULL);
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
	memcpy(j->epoch, o->epoch, sizeof(j->epoch));
	store_submit(o->store, batch_run, batch_over, j, to);
}
