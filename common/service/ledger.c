#include "common/service/ledger_int.h"

#include <assert.h>
#include <string.h>
#include "common/base/str.h"

#define SEAL_LABEL "waybill-store/1"

static const char *const databases[DB__MAX + 1] = {
	[DB_CASE] = "case",
	[DB_OCTETS] = "octets",
	[DB_INDEX] = "index",
	[DB_BATCH] = "batch",
	[DB_SITE] = "site",
	[DB_AUDIT] = "audit",
	[DB__MAX] = NULL,
};
_Static_assert(DB__MAX <= STORE_DB_MAX, "a store has fewer databases");

static const char *const state_names[LEDGER_STATE__MAX] = {
	[LEDGER_OPEN] = "open",
	[LEDGER_INTENT] = "intent",
	[LEDGER_DONE] = "done",
};

static const char *const confirm_names[LEDGER_CONFIRM__MAX] = {
	[LEDGER_UNCONFIRMED] = "unconfirmed",
	[LEDGER_CONFIRMED] = "confirmed",
	[LEDGER_REJECTED] = "rejected",
};

const char *
ledger_state_name(enum ledger_state s)
{
	return (unsigned)s < LEDGER_STATE__MAX && state_names[s] != NULL
	    ? state_names[s]
	    : "unknown";
}

const char *
ledger_confirm_name(enum ledger_confirm c)
{
	return (unsigned)c < LEDGER_CONFIRM__MAX ? confirm_names[c] : "unknown";
}

void
ledger_batch_done(struct ledger_batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		buf_done(&b->answers[i]);
	free(b->answers);
	buf_done(&b->batch);
	buf_done(&b->sig);
	*b = (struct ledger_batch){ .n = 0 };
}

/* ---- its life ---------------------------------------------------------- */

static int
read_epoch(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger *l = arg;

	(void)e;
	memcpy(l->epoch, store_epoch(t), sizeof(l->epoch));
	return 0;
}

int
ledger_open(const struct ledger_conf *c, struct ledger **ret, struct err *e)
{
	struct buf secret AUTO_SECRET = { 0 };
	struct store_conf sc = { .dir = c->directory,
		.databases = databases,
		.map_size = c->map_size };
	AUTO(ledger) l = xcalloc(1, sizeof(*l));
	int rc;

	if (store_seal_secret(c->seal, false, &secret, e) == -1)
		return -1;
	digest_hkdf(buf_bytes(&secret), SEAL_LABEL, sc.key, sizeof(sc.key));
	str_copy(l->service, sizeof(l->service), c->service);
	l->signer = c->signer;
	rc = store_open(&sc, &l->store, e);
	OPENSSL_cleanse(sc.key, sizeof(sc.key));
	if (rc == -1 || store_read(l->store, read_epoch, l, e) == -1)
		return -1;
	*ret = STEAL(l);
	return 0;
}

void
ledger_close(struct ledger *l)
{
	if (l == NULL)
		return;
	store_close(l->store);
	free(l);
}

const uint8_t *
ledger_epoch(const struct ledger *l)
{
	return l->epoch;
}

unsigned
ledger_used_percent(struct ledger *l)
{
	return store_used_percent(l->store);
}

/* ---- inside a transaction ---------------------------------------------- */

int
case_get(
    struct store_txn *t, uint64_t id, struct ledger_case *ret, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_case(id);
	int rc = store_get(t, DB_CASE, row_key(&k), &row, e);

	if (rc == 1 && case_decode(buf_bytes(&row), ret, e) == -1)
		return -1;
	return rc;
}

int
part_get(struct store_txn *t, uint64_t id, enum ledger_part part,
    struct buf *ret, struct err *e)
{
	struct row_key k = key_part(id, part);

	return store_get(t, DB_OCTETS, row_key(&k), ret, e);
}

int
index_get(
    struct store_txn *t, const struct row_key *k, uint64_t *ret, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	int rc = store_get(t, DB_INDEX, row_key(k), &row, e);

	if (rc == 1)
		*ret = store_key_to_id(buf_bytes(&row));
	return rc;
}

int
reach_get(struct store_txn *t, const char *site, const uint8_t *epoch,
    struct reach *ret, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_reach(site, epoch);
	int rc = store_get(t, DB_SITE, row_key(&k), &row, e);

	if (rc == 1 && reach_decode(buf_bytes(&row), ret, e) == -1)
		return -1;
	return rc;
}

int
site_get(struct store_txn *t, const char *site, struct ledger_site *ret,
    struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_site(site);
	struct ledger_site s = { .seq = 0 };
	struct reach r = { .seq = 0 };
	int rc = store_get(t, DB_SITE, row_key(&k), &row, e);

	if (rc != 1)
		return rc;
	if (row.len != sizeof(s.epoch))
		return err_set(e, ERR_DAMAGE,
		    "ledger: site %s: epoch of %zu octets", site, row.len);
	memcpy(s.epoch, row.data, sizeof(s.epoch));
	if (reach_get(t, site, s.epoch, &r, e) == -1)
		return -1;
	s.seq = r.seq;
	s.got = r.got;
	s.highest = r.highest;
	*ret = s;
	return 1;
}

/* ---- reading ----------------------------------------------------------- */

/* One question, asked in a read transaction of its own. */
struct question {
	uint64_t id;
	enum ledger_part part;
	const struct row_key *index;
	const char *site;
	void *ret;
	int found;
};

static int
ask_case(struct store_txn *t, void *arg, struct err *e)
{
	struct question *q = arg;

	return (q->found = case_get(t, q->id, q->ret, e)) == -1 ? -1 : 0;
}

static int
ask_part(struct store_txn *t, void *arg, struct err *e)
{
	struct question *q = arg;

	q->found = part_get(t, q->id, q->part, q->ret, e);
	return q->found == -1 ? -1 : 0;
}

static int
ask_index(struct store_txn *t, void *arg, struct err *e)
{
	struct question *q = arg;

	return (q->found = index_get(t, q->index, q->ret, e)) == -1 ? -1 : 0;
}

static int
ask_site(struct store_txn *t, void *arg, struct err *e)
{
	struct question *q = arg;

	return (q->found = site_get(t, q->site, q->ret, e)) == -1 ? -1 : 0;
}

static int
ask(struct ledger *l, store_job fn, struct question *q, struct err *e)
{
	return store_read(l->store, fn, q, e) == -1 ? -1 : q->found;
}

int
ledger_get(
    struct ledger *l, uint64_t id, struct ledger_case *ret, struct err *e)
{
	struct question q = { .id = id, .ret = ret };

	return ask(l, ask_case, &q, e);
}

int
ledger_part(struct ledger *l, uint64_t id, enum ledger_part part,
    struct buf *ret, struct err *e)
{
	struct question q = { .id = id, .part = part, .ret = ret };

	return ask(l, ask_part, &q, e);
}

int
ledger_find_tx(
    struct ledger *l, const struct digest *tx, uint64_t *ret, struct err *e)
{
	struct row_key k = key_index(INDEX_TX, tx);
	struct question q = { .index = &k, .ret = ret };

	return ask(l, ask_index, &q, e);
}

int
ledger_find_entry(struct ledger *l, const char *site,
    const uint8_t epoch[ENTRY_EPOCH_LEN], uint64_t site_id, uint64_t *ret,
    struct err *e)
{
	struct row_key k = key_entry(site, epoch, site_id);
	struct question q = { .index = &k, .ret = ret };

	return ask(l, ask_index, &q, e);
}

int
ledger_site(
    struct ledger *l, const char *site, struct ledger_site *ret, struct err *e)
{
	struct question q = { .site = site, .ret = ret };

	return ask(l, ask_site, &q, e);
}

/* ---- lists ------------------------------------------------------------- */

struct listing {
	struct store_txn *t;
	uint64_t first;
	size_t left;
	ledger_visit fn;
	void *arg;
};

static int
visit_case(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct listing *v = arg;
	struct ledger_case c;

	if (damaged)
		return err_set(e, ERR_DAMAGE, "ledger: case %llu: damaged",
		    (unsigned long long)store_key_to_id(key));
	if (case_decode(value, &c, e) == -1)
		return -1;
	return v->fn(&c, v->arg) != 0 || --v->left == 0;
}

static int
list_cases(struct store_txn *t, void *arg, struct err *e)
{
	struct listing *v = arg;
	struct row_key k = key_case(v->first);

	return store_walk(t, DB_CASE, row_key(&k), visit_case, v, e);
}

int
ledger_list(struct ledger *l, uint64_t first, size_t max, ledger_visit fn,
    void *arg, struct err *e)
{
	struct listing v = { NULL, first > 0 ? first : 1, max, fn, arg };

	return max == 0 ? 0 : store_read(l->store, list_cases, &v, e);
}

static int
visit_open(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct listing *v = arg;
	struct ledger_case c;
	uint64_t id = store_key_to_id(value);
	int rc;

	if (key.len == 0 || key.p[0] != INDEX_OPEN)
		return 1;
	if (damaged || (rc = case_get(v->t, id, &c, e)) == 0)
		return err_set(e, ERR_DAMAGE,
		    "ledger: an open case is missing, or its row damaged");
	if (rc == -1)
		return -1;
	return v->fn(&c, v->arg) != 0 || --v->left == 0;
}

static int
list_open(struct store_txn *t, void *arg, struct err *e)
{
	struct listing *v = arg;
	struct row_key k = key_open(v->first);

	v->t = t;
	return store_walk(t, DB_INDEX, row_key(&k), visit_open, v, e);
}

int
ledger_list_open(struct ledger *l, uint64_t first, size_t max, ledger_visit fn,
    void *arg, struct err *e)
{
	struct listing v = { NULL, first, max, fn, arg };

	return max == 0 ? 0 : store_read(l->store, list_open, &v, e);
}

/* ---- batches ----------------------------------------------------------- */

struct gathering {
	struct store_txn *t;
	struct row_key from;
	size_t octets; /* left */
	struct ledger_batch *v;
	size_t n, max;
};

/* The frame's share: heads of three arrays and strings, and one an answer. */
static size_t
batch_size(const struct ledger_batch *b)
{
	size_t i, n = 64 + b->batch.len + b->sig.len;

	for (i = 0; i < b->n; i++)
		n += 16 + b->answers[i].len;
	return n;
}

static int
gather_answers(struct store_txn *t, const struct batch_row *row,
    struct ledger_batch *b, struct err *e)
{
	size_t i;

	b->answers = xcalloc(row->n, sizeof(*b->answers));
	b->n = row->n;
	for (i = 0; i < row->n; i++) {
		int rc = row->answers[i] == 0
		    ? 1
		    : part_get(
			  t, row->answers[i], LEDGER_ANSWER, &b->answers[i], e);

		if (rc == -1)
			return -1;
		if (rc == 0)
			return err_set(e, ERR_DAMAGE,
			    "ledger: case %llu: its answer is missing",
			    (unsigned long long)row->answers[i]);
	}
	return 0;
}

static int
gather_one(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct gathering *g = arg;
	struct ledger_batch *b = &g->v[g->n];
	struct batch_row row;

	if (!key_same_site(key, &g->from))
		return 1;
	if (damaged || batch_row_decode(value, &row, e) == -1)
		return err_set(e, ERR_DAMAGE, "ledger: batch %llu: damaged",
		    (unsigned long long)key_batch_seq(key));
	*b = (struct ledger_batch){ .seq = key_batch_seq(key) };
	if (gather_answers(g->t, &row, b, e) == -1) {
		ledger_batch_done(b);
		return -1;
	}
	b->batch = bytes_dup(row.batch);
	b->sig = bytes_dup(row.sig);
	/* The first one always goes, or nothing ever would. */
	if (batch_size(b) > g->octets && g->n > 0) {
		ledger_batch_done(b);
		return 1;
	}
	g->octets -= batch_size(b) < g->octets ? batch_size(b) : g->octets;
	return ++g->n == g->max;
}

static int
gather(struct store_txn *t, void *arg, struct err *e)
{
	struct gathering *g = arg;

	g->t = t;
	return store_walk(t, DB_BATCH, row_key(&g->from), gather_one, g, e);
}

int
ledger_batches(struct ledger *l, const char *site,
    const uint8_t epoch[ENTRY_EPOCH_LEN], uint64_t since, size_t octets,
    struct ledger_batch *ret, size_t max, size_t *ret_n, struct err *e)
{
	struct gathering g = { .octets = octets, .v = ret, .max = max };
	size_t i;

	*ret_n = 0;
	if (since == UINT64_MAX || max == 0)
		return 0;
	g.from = key_batch(site, epoch, since + 1);
	if (store_read(l->store, gather, &g, e) == -1) {
		for (i = 0; i < g.n; i++)
			ledger_batch_done(&ret[i]);
		return -1;
	}
	*ret_n = g.n;
	return 0;
}

/* ---- audit ------------------------------------------------------------- */

struct trail {
	uint64_t id, *ret;
	size_t max;
	audit_visit fn;
	void *arg;
};

static int
list_trail(struct store_txn *t, void *arg, struct err *e)
{
	struct trail *a = arg;

	return audit_list(t, DB_AUDIT, a->id, a->max, a->fn, a->arg, e);
}

int
ledger_audit(struct ledger *l, uint64_t id, size_t max, audit_visit fn,
    void *arg, struct err *e)
{
	struct trail a = { .id = id, .max = max, .fn = fn, .arg = arg };

	return store_read(l->store, list_trail, &a, e);
}

static int
verify_trail(struct store_txn *t, void *arg, struct err *e)
{
	struct trail *a = arg;

	return audit_verify(t, DB_AUDIT, a->ret, e);
}

int
ledger_audit_verify(struct ledger *l, uint64_t *ret_records, struct err *e)
{
	struct trail a = { .ret = ret_records };

	return store_read(l->store, verify_trail, &a, e);
}
