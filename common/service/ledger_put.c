/* What all writing of the ledger does: rows, the audit trail, batches. */
#include "common/service/ledger_int.h"

#include <stdio.h>
#include <string.h>
#include "common/base/str.h"

/* ---- rows -------------------------------------------------------------- */

int
case_put(struct store_txn *t, const struct ledger_case *c, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_case(c->id);

	case_encode(c, &row);
	return store_put(t, DB_CASE, row_key(&k), buf_bytes(&row), e);
}

/* An id of ours comes from the ledger: its absence is damage. */
int
case_must(
    struct store_txn *t, uint64_t id, struct ledger_case *ret, struct err *e)
{
	int rc = case_get(t, id, ret, e);

	if (rc == 0)
		return err_set(e, ERR_DAMAGE, "ledger: case %llu: missing",
		    (unsigned long long)id);
	return rc == -1 ? -1 : 0;
}

int
part_put(struct store_txn *t, uint64_t id, enum ledger_part part,
    struct bytes octets, struct err *e)
{
	struct row_key k = key_part(id, part);

	if (octets.len == 0)
		return 0;
	return store_put(t, DB_OCTETS, row_key(&k), octets, e);
}

int
facts_put(
    struct store_txn *t, uint64_t id, const struct facts *f, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };

	if (f == NULL)
		return 0;
	facts_encode(f, &row);
	return part_put(t, id, LEDGER_FACTS, buf_bytes(&row), e);
}

int
index_put(
    struct store_txn *t, const struct row_key *k, uint64_t id, struct err *e)
{
	uint8_t value[STORE_KEY_ID_LEN];

	return store_put(t, DB_INDEX, row_key(k), store_key_id(value, id), e);
}

int
index_del(struct store_txn *t, const struct row_key *k, struct err *e)
{
	return store_del(t, DB_INDEX, row_key(k), e);
}

int
site_row_put(struct store_txn *t, const char *site, const struct site_row *s,
    struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_site(site);

	site_row_encode(s, &row);
	return store_put(t, DB_SITE, row_key(&k), buf_bytes(&row), e);
}

int
reach_put(struct store_txn *t, const char *site, const uint8_t *epoch,
    const struct reach *r, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_reach(site, epoch);

	reach_encode(r, &row);
	return store_put(t, DB_SITE, row_key(&k), buf_bytes(&row), e);
}

int
note(struct store_txn *t, uint64_t id, const char *event, const char *who,
    const char *detail, struct err *e)
{
	struct audit_record r = { .id = id };

	str_copy(r.event, sizeof(r.event), event);
	str_copy(r.who, sizeof(r.who), who);
	str_copy(r.detail, sizeof(r.detail), detail);
	return audit_append(t, DB_AUDIT, &r, e);
}

int
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

void
news_add(struct news *w, uint64_t site_id, enum batch_code code,
    const struct digest *digest, const char *reason)
{
	struct batch_item *i = &w->items[w->n++];

	i->id = site_id;
	i->code = code;
	i->digest = *digest;
	entry_text(i->reason, sizeof(i->reason), reason);
}

void
news_answer(struct news *w, const struct ledger_case *c, struct bytes answer)
{
	struct batch_item *i = &w->items[w->n];

	news_add(w, c->site_id, c->code, &c->digest, c->reason);
	if (answer.len == 0)
		return;
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

/* A site that is not sound counts on from another batch. */
static int
tell_later(struct store_txn *t, const struct news *w, struct err *e)
{
	for (size_t i = 0; i < w->n; i++) {
		struct row_key k = key_of_id(INDEX_LATER, w->answers[i]);

		if (w->answers[i] != 0 &&
		    index_put(t, &k, w->answers[i], e) == -1)
			return -1;
	}
	return 0;
}

int
tell(struct store_txn *t, struct ledger *l, const char *site,
    const uint8_t *epoch, const struct entry_header *h, struct news *w,
    struct ledger_batch *ret, struct err *e)
{
	struct ledger_batch b = { .n = 0 };
	struct reach r = { .seq = 0 };
	int rc = site_sound(t, site, e);

	if (rc == -1)
		return -1;
	if (rc == 0 && ret == NULL)
		return tell_later(t, w, e);
	rc = -1;
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

int
tell_case(struct store_txn *t, struct ledger *l, const struct ledger_case *c,
    struct err *e)
{
	struct buf answer AUTO_BUF = { 0 };
	struct news w = { .n = 0 };

	if (part_get(t, c->id, LEDGER_ANSWER, &answer, e) == -1)
		return -1;
	news_answer(&w, c, buf_bytes(&answer));
	return tell(t, l, c->site, c->epoch, NULL, &w, NULL, e);
}
