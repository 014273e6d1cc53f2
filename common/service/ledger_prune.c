/* Retention: looked for in read transactions, a few rows at a time; dropped in
 * jobs of their own, and only if something is due. */
#include "common/service/ledger_int.h"

#include <stdio.h>
#include <string.h>
#include "common/pki/certfacts.h"

#define DUE_MAX 64

/* One look, and the job that follows from it. */
struct pruning {
	struct ledger_prune *x;
	ledger_done done;
	struct store_txn *t; /* while looking */
	uint64_t now;
	size_t left; /* rows to look at */
	uint64_t case_at;
	struct row_key batch_at;
	size_t n_cases, n_batches;
	uint64_t cases[DUE_MAX];
	struct row_key batches[DUE_MAX];
};

/* ---- cases ------------------------------------------------------------- */

/* When the certificate ends that the case was answered with; 0: none was. */
static int
certificate_end(struct store_txn *t, const struct ledger_case *c, uint64_t *ret,
    struct err *e)
{
	struct buf der AUTO_BUF = { 0 };
	AUTO(X509) x = NULL;
	uint64_t from;
	int rc =
	    part_get(t, c->same != 0 ? c->same : c->id, LEDGER_CERT, &der, e);

	*ret = 0;
	if (rc != 1)
		return rc;
	if ((x = ossl_cert_parse(buf_bytes(&der), e)) == NULL)
		return -1;
	return cert_validity(x, &from, ret, e);
}

/* 1: its time has come. */
static int
case_due(struct store_txn *t, const struct ledger_keep *k,
    const struct ledger_case *c, uint64_t now, struct err *e)
{
	uint64_t end;

	if (c->state != LEDGER_DONE || c->pruned ||
	    now < c->changed + k->after_certificate)
		return 0;
	if (certificate_end(t, c, &end, e) == -1)
		return -1;
	return end != 0 ? now > end + k->after_certificate
			: now >= c->changed + k->others;
}

static int
look_at_case(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct pruning *p = arg;
	struct ledger_case c;
	int due = 0;

	p->case_at = store_key_to_id(key);
	/* Who reads it will say that it is damaged. */
	if (!damaged && case_decode(value, &c, e) == 0)
		due = case_due(p->t, &p->x->keep, &c, p->now, e);
	if (due == 1)
		p->cases[p->n_cases++] = p->case_at;
	return p->n_cases == DUE_MAX || --p->left == 0;
}

static int
prune_case(struct store_txn *t, uint64_t id, struct err *e)
{
	struct ledger_case c;

	if (case_must(t, id, &c, e) == -1)
		return -1;
	for (int part = 0; part < LEDGER_PART__MAX; part++) {
		struct row_key k = key_part(id, (enum ledger_part)part);

		if (part != LEDGER_CERT && part != LEDGER_REVOCATION &&
		    part != LEDGER_HOLDER &&
		    store_del(t, DB_OCTETS, row_key(&k), e) == -1)
			return -1;
	}
	c.pruned = true;
	return case_put(t, &c, e);
}

/* ---- batches ----------------------------------------------------------- */

/* site 0 epoch seq; false if it is no such key. */
static bool
batch_site(struct bytes key, char site[ENTRY_NAME_MAX], uint8_t *epoch)
{
	size_t n = strnlen((const char *)key.p, key.len);

	if (n >= ENTRY_NAME_MAX ||
	    key.len != n + 1 + ENTRY_EPOCH_LEN + STORE_KEY_ID_LEN)
		return false;
	memcpy(site, key.p, n + 1);
	memcpy(epoch, key.p + n + 1, ENTRY_EPOCH_LEN);
	return true;
}

/* The site has it, or its epoch is over. */
static int
batch_needless(struct store_txn *t, struct bytes key, struct err *e)
{
	uint8_t epoch[ENTRY_EPOCH_LEN];
	char site[ENTRY_NAME_MAX];
	struct site_row s;
	struct reach r = { .got = 0 };

	if (!batch_site(key, site, epoch))
		return 0;
	if (site_row_get(t, site, &s, e) == -1 ||
	    reach_get(t, site, epoch, &r, e) == -1)
		return -1;
	return key_batch_seq(key) <= r.got ||
	    memcmp(s.epoch, epoch, sizeof(epoch)) != 0;
}

static int
batch_due(
    struct pruning *p, struct bytes key, struct bytes value, struct err *e)
{
	struct batch_row row;
	struct batch b AUTO_BATCH = { 0 };

	if (batch_row_decode(value, &row, e) == -1 ||
	    batch_parse(row.batch, &b, e) == -1)
		return -1;
	if (p->now <= b.time + p->x->keep.batches)
		return 0;
	return batch_needless(p->t, key, e);
}

static int
look_at_batch(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct pruning *p = arg;

	if (key.len > sizeof(p->batch_at.b))
		return 0;
	memcpy(p->batch_at.b, key.p, key.len);
	p->batch_at.len = key.len;
	if (!damaged && batch_due(p, key, value, e) == 1)
		p->batches[p->n_batches++] = p->batch_at;
	return p->n_batches == DUE_MAX || --p->left == 0;
}

/* ---- one look ---------------------------------------------------------- */

static int
look(struct store_txn *t, void *arg, struct err *e)
{
	struct pruning *p = arg;
	struct ledger *l = p->x->ledger;
	struct row_key from = key_case(l->prune_case + 1);

	p->t = t;
	p->left = p->x->rows;
	if (store_walk(t, DB_CASE, row_key(&from), look_at_case, p, e) == -1)
		return -1;
	/* At the end: from the start next time. */
	l->prune_case = p->left == 0 || p->n_cases == DUE_MAX ? p->case_at : 0;
	p->left = p->x->rows;
	if (store_walk(t, DB_BATCH, row_key(&l->prune_batch), look_at_batch, p,
		e) == -1)
		return -1;
	if (p->left == 0 || p->n_batches == DUE_MAX)
		l->prune_batch = p->batch_at;
	else
		l->prune_batch.len = 0;
	return 0;
}

static int
job_prune(struct store_txn *t, void *arg, struct err *e)
{
	struct pruning *p = arg;
	char text[80];

	for (size_t i = 0; i < p->n_cases; i++)
		if (prune_case(t, p->cases[i], e) == -1)
			return -1;
	for (size_t i = 0; i < p->n_batches; i++)
		if (store_del(t, DB_BATCH, row_key(&p->batches[i]), e) == -1)
			return -1;
	snprintf(text, sizeof(text), "%zu answers, %zu batches", p->n_cases,
	    p->n_batches);
	return note(t, 0, "pruned", p->x->ledger->service, text, e);
}

/* What is to be done, or NULL: nothing is due. */
static struct pruning *
prune_look(struct ledger *l, struct ledger_prune *x)
{
	struct stamp now = clock_now();
	struct pruning *p;
	struct err e = ERR_INIT;

	x->ledger = l;
	x->cases = x->batches = 0;
	if (x->now == 0 && now.quality < CLOCK_RTC)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->x = x;
	p->now = x->now != 0 ? x->now : now.time;
	if (store_read(l->store, look, p, &e) == -1 ||
	    p->n_cases + p->n_batches == 0) {
		free(p);
		return NULL;
	}
	return p;
}

static void
pruned(void *arg, const struct err *e)
{
	struct pruning *p = arg;
	struct ledger_prune *x = p->x;
	ledger_done done = p->done;

	if (e == NULL) {
		x->cases = p->n_cases;
		x->batches = p->n_batches;
	}
	x->ledger->pruning = NULL;
	free(p);
	done(x, e);
}

bool
ledger_prune(
    struct ledger *l, struct ledger_prune *x, ledger_done done, struct post to)
{
	struct pruning *p;

	if (l->pruning != NULL || (p = prune_look(l, x)) == NULL)
		return false;
	p->done = done;
	l->pruning = p;
	store_submit(l->store, job_prune, pruned, p, to);
	return true;
}

int
ledger_prune_wait(struct ledger *l, struct ledger_prune *x, struct err *e)
{
	struct pruning *p = prune_look(l, x);
	int rc;

	if (p == NULL)
		return 0;
	rc = store_submit_wait(l->store, job_prune, p, e);
	if (rc == 0) {
		x->cases = p->n_cases;
		x->batches = p->n_batches;
	}
	free(p);
	return rc;
}
