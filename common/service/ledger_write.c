/*
 * What the ledger writes.  Each job may run again if its transaction was given
 * up, so each starts by emptying what it tells.
 */
#include "common/service/ledger_int.h"

#include <stdio.h>
#include <string.h>
#include "common/base/str.h"

/* ---- rows -------------------------------------------------------------- */

static int
case_put(struct store_txn *t, const struct ledger_case *c, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_case(c->id);

	case_encode(c, &row);
	return store_put(t, DB_CASE, row_key(&k), buf_bytes(&row), e);
}

/* An id of ours comes from the ledger: its absence is damage. */
static int
case_must(
    struct store_txn *t, uint64_t id, struct ledger_case *ret, struct err *e)
{
	int rc = case_get(t, id, ret, e);

	if (rc == 0)
		return err_set(e, ERR_DAMAGE, "ledger: case %llu: missing",
		    (unsigned long long)id);
	return rc == -1 ? -1 : 0;
}

static int
part_put(struct store_txn *t, uint64_t id, enum ledger_part part,
    struct bytes octets, struct err *e)
{
	struct row_key k = key_part(id, part);

	if (octets.len == 0)
		return 0;
	return store_put(t, DB_OCTETS, row_key(&k), octets, e);
}

static int
facts_put(
    struct store_txn *t, uint64_t id, const struct facts *f, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };

	if (f == NULL)
		return 0;
	facts_encode(f, &row);
	return part_put(t, id, LEDGER_FACTS, buf_bytes(&row), e);
}

static int
index_put(
    struct store_txn *t, const struct row_key *k, uint64_t id, struct err *e)
{
	uint8_t value[STORE_KEY_ID_LEN];

	return store_put(t, DB_INDEX, row_key(k), store_key_id(value, id), e);
}

static int
reach_put(struct store_txn *t, const char *site, const uint8_t *epoch,
    const struct reach *r, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_reach(site, epoch);

	reach_encode(r, &row);
	return store_put(t, DB_SITE, row_key(&k), buf_bytes(&row), e);
}

static int
note(struct store_txn *t, uint64_t id, const char *event, const char *who,
    const char *detail, struct err *e)
{
	struct audit_record r = { .id = id };

	str_copy(r.event, sizeof(r.event), event);
	str_copy(r.who, sizeof(r.who), who);
	str_copy(r.detail, sizeof(r.detail), detail);
	return audit_append(t, DB_AUDIT, &r, e);
}

static int
note_site(struct store_txn *t, uint64_t id, const char *event,
    const struct entry_header *h, const char *detail, struct err *e)
{
	char who[64], entry[ENTRY_ID_TEXT], text[200];

	snprintf(who, sizeof(who), "site %s", h->site);
	snprintf(text, sizeof(text), "%s%s%s",
	    entry_id_format(entry, h->epoch, h->id),
	    detail[0] != '\0' ? ": " : "", detail);
	return note(t, id, event, who, text, e);
}

/* ---- telling a site ---------------------------------------------------- */

#define NEWS_MAX 2

/* What one batch says: at most a receipt and an answer. */
struct news {
	size_t n;
	struct batch_item items[NEWS_MAX];
	uint64_t answers[NEWS_MAX]; /* case whose answer goes along; 0: none */
};

static void
news_add(struct news *w, uint64_t site_id, enum batch_code code,
    const struct digest *digest, const char *reason)
{
	struct batch_item *i = &w->items[w->n++];

	i->id = site_id;
	i->code = code;
	i->digest = *digest;
	entry_text(i->reason, sizeof(i->reason), reason);
}

static void
news_answer(struct news *w, const struct ledger_case *c, struct bytes answer)
{
	struct batch_item *i = &w->items[w->n];

	news_add(w, c->site_id, c->code, &c->digest, c->reason);
	i->has_answer = true;
	i->answer = digest_of(answer.p, answer.len);
	w->answers[w->n - 1] = c->id;
}

static int
batch_make(struct ledger *l, const char *site, const uint8_t *epoch,
    const struct reach *r, struct news *w, struct ledger_batch *ret,
    struct err *e)
{
	struct batch b = { .seq = r->seq,
		.audit_seen = r->audit,
		.time = clock_now().time,
		.n = w->n,
		.items = w->items };

	str_copy(b.service, sizeof(b.service), l->service);
	memcpy(b.service_epoch, l->epoch, sizeof(b.service_epoch));
	str_copy(b.site, sizeof(b.site), site);
	memcpy(b.site_epoch, epoch, sizeof(b.site_epoch));
	ret->seq = b.seq;
	return batch_sign(&b, l->signer, &ret->batch, &ret->sig, e);
}

static int
batch_store(struct store_txn *t, const char *site, const uint8_t *epoch,
    const struct news *w, const struct ledger_batch *b, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_batch(site, epoch, b->seq);
	struct batch_row r = { buf_bytes(&b->batch), buf_bytes(&b->sig), w->n,
		{ 0 } };

	memcpy(r.answers, w->answers, w->n * sizeof(w->answers[0]));
	batch_row_encode(&r, &row);
	return store_put(t, DB_BATCH, row_key(&k), buf_bytes(&row), e);
}

static int
batch_fill(struct store_txn *t, const struct news *w, struct ledger_batch *b,
    struct err *e)
{
	b->answers = xcalloc(w->n, sizeof(*b->answers));
	b->n = w->n;
	for (size_t i = 0; i < w->n; i++)
		if (w->answers[i] != 0 &&
		    part_get(t, w->answers[i], LEDGER_ANSWER, &b->answers[i],
			e) == -1)
			return -1;
	return 0;
}

/*
 * The next batch of this site and epoch, stored; h, if there is one, moves
 * what was seen of the site.  ret may be NULL: then nobody waits for it.
 */
static int
tell(struct store_txn *t, struct ledger *l, const char *site,
    const uint8_t *epoch, const struct entry_header *h, struct news *w,
    struct ledger_batch *ret, struct err *e)
{
	struct ledger_batch b = { .n = 0 };
	struct reach r = { .seq = 0 };
	int rc = -1;

	if (reach_get(t, site, epoch, &r, e) == -1)
		return -1;
	r.seq++;
	if (h != NULL && h->id > r.highest) {
		r.highest = h->id;
		r.audit = h->audit;
	}
	if (batch_make(l, site, epoch, &r, w, &b, e) == 0 &&
	    batch_store(t, site, epoch, w, &b, e) == 0 &&
	    reach_put(t, site, epoch, &r, e) == 0 &&
	    (ret == NULL || batch_fill(t, w, &b, e) == 0))
		rc = 0;
	if (rc == 0 && ret != NULL)
		*ret = b;
	else
		ledger_batch_done(&b);
	return rc;
}

/* ---- HELLO, GOT -------------------------------------------------------- */

static int
job_hello(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_hello *x = arg;
	struct row_key k = key_site(x->site);
	int rc = site_get(t, x->site, &x->known, e);

	if (rc == -1)
		return -1;
	if (rc == 1 && memcmp(x->known.epoch, x->epoch, ENTRY_EPOCH_LEN) == 0)
		return 0;
	if (store_put(t, DB_SITE, row_key(&k),
		bytes_of(x->epoch, ENTRY_EPOCH_LEN), e) == -1)
		return -1;
	return site_get(t, x->site, &x->known, e) == -1 ? -1 : 0;
}

static int
job_got(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_got *x = arg;
	struct ledger_site s;
	struct reach r;
	int rc = site_get(t, x->site, &s, e);

	if (rc == 1)
		rc = reach_get(t, x->site, s.epoch, &r, e);
	if (rc == -1)
		return -1;
	/* What was never made cannot have been got; alarms are the caller's. */
	if (rc == 0 || x->upto <= r.got || x->upto > r.seq)
		return 0;
	r.got = x->upto;
	return reach_put(t, x->site, s.epoch, &r, e);
}

/* ---- receiving --------------------------------------------------------- */

static int
receive_new(struct store_txn *t, struct ledger_receive *x, struct err *e)
{
	const struct entry_header *h = x->h;
	struct ledger_case c = { .id = store_take_id(t),
		.site_id = h->id,
		.kind = h->kind,
		.step = h->step,
		.once = x->once,
		.digest = h->digest,
		.stored = clock_now().time,
		.state = LEDGER_OPEN };
	struct row_key once = key_index(INDEX_ONCE, &x->once);
	struct row_key open = key_open(c.id);
	struct row_key entry = key_entry(h->site, h->epoch, h->id);
	struct news w = { .n = 0 };

	str_copy(c.site, sizeof(c.site), h->site);
	memcpy(c.epoch, h->epoch, sizeof(c.epoch));
	c.changed = c.stored;
	news_add(&w, h->id, BATCH_STORED, &h->digest, "");
	x->met = LEDGER_NEW;
	x->id = c.id;
	if (case_put(t, &c, e) == -1 ||
	    part_put(t, c.id, LEDGER_HEADER, x->header, e) == -1 ||
	    part_put(t, c.id, LEDGER_SIGNATURE, x->sig, e) == -1 ||
	    part_put(t, c.id, LEDGER_OCTETS, x->octets, e) == -1 ||
	    index_put(t, &once, c.id, e) == -1 ||
	    index_put(t, &open, c.id, e) == -1 ||
	    index_put(t, &entry, c.id, e) == -1 ||
	    note_site(t, c.id, "seen", h, "", e) == -1)
		return -1;
	return tell(t, x->ledger, h->site, h->epoch, h, &w, &x->told, e);
}

/* The receipt again, and the answer if there is one: what the site has lost it
 * shall have.  From now on it is told under the id it used last. */
static int
receive_again(struct store_txn *t, struct ledger_receive *x,
    struct ledger_case *c, struct err *e)
{
	const struct entry_header *h = x->h;
	struct row_key entry = key_entry(h->site, h->epoch, h->id);
	struct buf answer AUTO_BUF = { 0 };
	struct news w = { .n = 0 };

	x->met = LEDGER_AGAIN;
	if (c->site_id != h->id ||
	    memcmp(c->epoch, h->epoch, sizeof(c->epoch)) != 0) {
		c->site_id = h->id;
		memcpy(c->epoch, h->epoch, sizeof(c->epoch));
		if (case_put(t, c, e) == -1 ||
		    index_put(t, &entry, c->id, e) == -1)
			return -1;
	}
	news_add(&w, h->id, BATCH_DUPLICATE, &h->digest, "");
	if (c->state == LEDGER_DONE) {
		if (part_get(t, c->id, LEDGER_ANSWER, &answer, e) == -1)
			return -1;
		news_answer(&w, c, buf_bytes(&answer));
	}
	if (note_site(t, c->id, "seen-again", h, "", e) == -1)
		return -1;
	return tell(t, x->ledger, h->site, h->epoch, h, &w, &x->told, e);
}

static int
receive_conflict(struct store_txn *t, struct ledger_receive *x,
    enum ledger_met met, const char *reason, struct err *e)
{
	const struct entry_header *h = x->h;
	struct news w = { .n = 0 };

	x->met = met;
	news_add(&w, h->id, BATCH_CONFLICT, &h->digest, reason);
	if (note_site(t, x->id, "conflict", h, reason, e) == -1)
		return -1;
	return tell(t, x->ledger, h->site, h->epoch, h, &w, &x->told, e);
}

/* 1: some case has these octets, or this id of the site's; 0: none. */
static int
receive_find(struct store_txn *t, struct ledger_receive *x,
    struct ledger_case *ret, struct err *e)
{
	struct row_key once = key_index(INDEX_ONCE, &x->once);
	struct row_key entry = key_entry(x->h->site, x->h->epoch, x->h->id);
	int rc = index_get(t, &once, &x->id, e);

	if (rc == 0)
		rc = index_get(t, &entry, &x->id, e);
	if (rc != 1)
		return rc;
	if (case_must(t, x->id, ret, e) == -1)
		return -1;
	str_copy(x->first_site, sizeof(x->first_site), ret->site);
	return 1;
}

static int
job_receive(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_receive *x = arg;
	struct ledger_case c;
	int rc;

	ledger_batch_done(&x->told);
	if ((rc = receive_find(t, x, &c, e)) == -1)
		return -1;
	if (rc == 0)
		return receive_new(t, x, e);
	if (!digest_eq(&c.once, &x->once))
		return receive_conflict(t, x, LEDGER_ID_REUSED,
		    "this id stood for other octets", e);
	if (strcmp(c.site, x->h->site) != 0)
		return receive_conflict(
		    t, x, LEDGER_ELSEWHERE, "handled elsewhere", e);
	return receive_again(t, x, &c, e);
}

static int
job_refuse(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_refuse *x = arg;
	const struct entry_header *h = x->h;
	struct news w = { .n = 0 };

	ledger_batch_done(&x->told);
	news_add(&w, h->id, x->code, &h->digest, x->reason);
	if (note_site(t, 0, batch_code_name(x->code), h, x->reason, e) == -1)
		return -1;
	return tell(t, x->ledger, h->site, h->epoch, h, &w, &x->told, e);
}

/* ---- deciding ---------------------------------------------------------- */

static int
job_intend(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_intend *x = arg;
	struct row_key tx = key_index(INDEX_TX, &x->tx);
	struct ledger_case c;
	uint64_t other;
	int rc;

	if (case_must(t, x->id, &c, e) == -1)
		return -1;
	x->is = LEDGER_NOT_OPEN;
	if (c.state != LEDGER_OPEN)
		return 0;
	if ((rc = index_get(t, &tx, &other, e)) == -1)
		return -1;
	x->is = LEDGER_TX_IN_USE;
	if (rc == 1)
		return 0;
	x->is = LEDGER_INTENDED;
	c.state = LEDGER_INTENT;
	c.changed = clock_now().time;
	entry_text(c.device, sizeof(c.device), x->device);
	str_copy(c.serial, sizeof(c.serial), x->serial);
	if (case_put(t, &c, e) == -1 || index_put(t, &tx, c.id, e) == -1 ||
	    part_put(t, c.id, LEDGER_TBS, x->tbs, e) == -1 ||
	    part_put(t, c.id, LEDGER_UNSIGNED, x->unsigned_cert, e) == -1 ||
	    facts_put(t, c.id, x->facts, e) == -1)
		return -1;
	return note(t, c.id, "intent", x->ledger->service, x->serial, e);
}

/* A certConf's word about the case it belongs to. */
static int
settle_parent(struct store_txn *t, const struct ledger_settle *x, struct err *e)
{
	struct ledger_case p;

	if (x->parent == 0)
		return 0;
	if (case_must(t, x->parent, &p, e) == -1)
		return -1;
	p.confirm = x->confirm;
	entry_text(p.confirm_reason, sizeof(p.confirm_reason),
	    x->confirm_reason != NULL ? x->confirm_reason : "");
	p.changed = clock_now().time;
	if (case_put(t, &p, e) == -1)
		return -1;
	return note(t, p.id, ledger_confirm_name(x->confirm), "device",
	    p.confirm_reason, e);
}

static int
settle_case(struct store_txn *t, const struct ledger_settle *x,
    struct ledger_case *c, struct err *e)
{
	struct row_key open = key_open(c->id);

	c->state = LEDGER_DONE;
	c->code = x->code;
	c->changed = clock_now().time;
	c->parent = x->parent;
	entry_text(c->reason, sizeof(c->reason), x->reason);
	if (x->device != NULL)
		entry_text(c->device, sizeof(c->device), x->device);
	if (case_put(t, c, e) == -1 ||
	    part_put(t, c->id, LEDGER_ANSWER, x->answer, e) == -1 ||
	    part_put(t, c->id, LEDGER_CERT, x->cert, e) == -1 ||
	    facts_put(t, c->id, x->facts, e) == -1 ||
	    store_del(t, DB_INDEX, row_key(&open), e) == -1)
		return -1;
	return note(t, c->id, x->event, x->ledger->service,
	    c->reason[0] != '\0' ? c->reason : c->serial, e);
}

static int
job_settle(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_settle *x = arg;
	struct news w = { .n = 0 };
	struct ledger_case c;

	if (case_must(t, x->id, &c, e) == -1)
		return -1;
	str_copy(x->site, sizeof(x->site), c.site);
	x->changed = c.state == LEDGER_OPEN ||
	    (c.state == LEDGER_INTENT && !x->unless_intent);
	if (!x->changed)
		return 0;
	if (settle_case(t, x, &c, e) == -1 || settle_parent(t, x, e) == -1)
		return -1;
	news_answer(&w, &c, x->answer);
	return tell(t, x->ledger, c.site, c.epoch, NULL, &w, NULL, e);
}

/* ---- what callers call ------------------------------------------------- */

void
ledger_hello(
    struct ledger *l, struct ledger_hello *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_hello, done, x, to);
}

void
ledger_receive(struct ledger *l, struct ledger_receive *x, ledger_done done,
    struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_receive, done, x, to);
}

void
ledger_refuse(
    struct ledger *l, struct ledger_refuse *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_refuse, done, x, to);
}

void
ledger_intend(
    struct ledger *l, struct ledger_intend *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_intend, done, x, to);
}

void
ledger_settle(
    struct ledger *l, struct ledger_settle *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_settle, done, x, to);
}

void
ledger_got(
    struct ledger *l, struct ledger_got *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_got, done, x, to);
}

int
ledger_hello_wait(struct ledger *l, struct ledger_hello *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_hello, x, e);
}

int
ledger_receive_wait(struct ledger *l, struct ledger_receive *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_receive, x, e);
}

int
ledger_intend_wait(struct ledger *l, struct ledger_intend *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_intend, x, e);
}

int
ledger_settle_wait(struct ledger *l, struct ledger_settle *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_settle, x, e);
}
