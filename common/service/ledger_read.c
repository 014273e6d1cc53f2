/* The ledger's lists: cases, sites, batches, the audit trail. */
#include "common/service/ledger_int.h"

#include <string.h>
#include "common/base/str.h"
#include "common/link/frame.h"

/* ---- lists ------------------------------------------------------------- */

struct listing {
	struct store_txn *t;
	enum index_word word; /* of an index of ids */
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
	struct listing v = { NULL, 0, first > 0 ? first : 1, max, fn, arg };

	return max == 0 ? 0 : store_read(l->store, list_cases, &v, e);
}

static int
visit_indexed(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct listing *v = arg;
	struct ledger_case c;
	uint64_t id = store_key_to_id(value);
	int rc;

	if (key.len == 0 || key.p[0] != v->word)
		return 1;
	if (damaged || (rc = case_get(v->t, id, &c, e)) == 0)
		return err_set(e, ERR_DAMAGE,
		    "ledger: a case without an answer is missing, or "
		    "its row damaged");
	if (rc == -1)
		return -1;
	return v->fn(&c, v->arg) != 0 || --v->left == 0;
}

static int
list_indexed(struct store_txn *t, void *arg, struct err *e)
{
	struct listing *v = arg;
	struct row_key k = key_of_id(v->word, v->first);

	v->t = t;
	return store_walk(t, DB_INDEX, row_key(&k), visit_indexed, v, e);
}

int
ledger_list_open(struct ledger *l, uint64_t first, size_t max, ledger_visit fn,
    void *arg, struct err *e)
{
	struct listing v = { NULL, INDEX_OPEN, first, max, fn, arg };

	return max == 0 ? 0 : store_read(l->store, list_indexed, &v, e);
}

int
ledger_list_unknown(struct ledger *l, uint64_t first, size_t max,
    ledger_visit fn, void *arg, struct err *e)
{
	struct listing v = { NULL, INDEX_UNKNOWN, first, max, fn, arg };

	return max == 0 ? 0 : store_read(l->store, list_indexed, &v, e);
}

/* ---- sites ------------------------------------------------------------- */

struct site_listing {
	struct store_txn *t;
	int (*fn)(const struct ledger_site *s, void *arg);
	void *arg;
};

static int
visit_site(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct site_listing *v = arg;
	char name[ENTRY_NAME_MAX];
	struct ledger_site s;

	(void)value;
	/* A site's epochs stand behind its name, after a NUL. */
	if (memchr(key.p, '\0', key.len) != NULL)
		return 0;
	if (damaged || key.len >= sizeof(name))
		return err_set(e, ERR_DAMAGE, "ledger: a site's row: damaged");
	memcpy(name, key.p, key.len);
	name[key.len] = '\0';
	if (site_get(v->t, name, &s, e) == -1)
		return -1;
	return v->fn(&s, v->arg) != 0;
}

static int
list_sites(struct store_txn *t, void *arg, struct err *e)
{
	struct site_listing *v = arg;

	v->t = t;
	return store_walk(t, DB_SITE, bytes_of("", 0), visit_site, v, e);
}

int
ledger_list_sites(struct ledger *l,
    int (*fn)(const struct ledger_site *s, void *arg), void *arg, struct err *e)
{
	struct site_listing v = { NULL, fn, arg };

	return store_read(l->store, list_sites, &v, e);
}

/* ---- batches ----------------------------------------------------------- */

struct gathering {
	struct store_txn *t;
	struct row_key from;
	size_t octets; /* left */
	struct ledger_batch *v;
	size_t n, max;
};

/* What its frame grows by. */
static size_t
batch_size(const struct ledger_batch *b)
{
	AUTO(void) owner = xcalloc(b->n + 1, sizeof(struct bytes));
	struct frame_batch f = { buf_bytes(&b->batch), buf_bytes(&b->sig), b->n,
		owner };

	for (size_t i = 0; i < b->n; i++)
		f.answers[i] = buf_bytes(&b->answers[i]);
	return frame_batch_size(&f);
}

/* Of a pruned case the batch goes without octets: who asks for it still has
 * long had its answer, or may PUT again to be told that it is gone. */
static int
gather_answers(struct store_txn *t, const struct batch_row *row,
    struct ledger_batch *b, struct err *e)
{
	struct ledger_case c;
	size_t i;

	b->answers = xcalloc(row->n, sizeof(*b->answers));
	b->n = row->n;
	for (i = 0; i < row->n; i++) {
		int rc = row->answers[i] == 0
		    ? 1
		    : part_get(
			  t, row->answers[i], LEDGER_ANSWER, &b->answers[i], e);

		if (rc == 0)
			rc =
			    case_get(t, row->answers[i], &c, e) == 1 && c.pruned
			    ? 1
			    : 0;
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

static int
page_trail(struct store_txn *t, void *arg, struct err *e)
{
	struct trail *a = arg;

	return audit_page(t, DB_AUDIT, a->id, a->max, a->fn, a->arg, e);
}

int
ledger_audit_page(struct ledger *l, uint64_t first, size_t max, audit_visit fn,
    void *arg, struct err *e)
{
	struct trail a = { .id = first, .max = max, .fn = fn, .arg = arg };

	return store_read(l->store, page_trail, &a, e);
}

static int
read_trail_head(struct store_txn *t, void *arg, struct err *e)
{
	(void)e;
	*(struct store_audit *)arg = *store_audit_head(t);
	return 0;
}

int
ledger_audit_head(struct ledger *l, struct store_audit *ret, struct err *e)
{
	return store_read(l->store, read_trail_head, ret, e);
}
