#include "common/service/ledger_int.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/base/str.h"

#define FLOOR_STEP 3600 /* seconds */

static const char *const databases[DB__MAX + 1] = {
	[DB_CASE] = "case",
	[DB_OCTETS] = "octets",
	[DB_INDEX] = "index",
	[DB_BATCH] = "batch",
	[DB_SITE] = "site",
	[DB_AUDIT] = "audit",
	[DB_REFERENCE] = "reference",
	[DB__MAX] = NULL,
};
_Static_assert(DB__MAX <= STORE_DB_MAX, "a store has fewer databases");

static const char *const state_names[LEDGER_STATE__MAX] = {
	[LEDGER_OPEN] = "open",
	[LEDGER_INTENT] = "intent",
	[LEDGER_DONE] = "done",
	[LEDGER_UNKNOWN] = "unknown",
};

static const char *const confirm_names[LEDGER_CONFIRM__MAX] = {
	[LEDGER_UNCONFIRMED] = "unconfirmed",
	[LEDGER_CONFIRMED] = "confirmed",
	[LEDGER_REJECTED] = "rejected",
};

static const char *const standing_names[LEDGER_STANDING__MAX] = {
	[LEDGER_SOUND] = "sound",
	[LEDGER_SUSPENDED] = "suspended",
	[LEDGER_RECOVERING] = "recovering",
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

const char *
ledger_standing_name(enum ledger_standing s)
{
	return (unsigned)s < LEDGER_STANDING__MAX && standing_names[s] != NULL
	    ? standing_names[s]
	    : "unknown";
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

#define WORDS_ITEMS 1 /* the time floor */

static void
words_encode(uint64_t floor, struct buf *out)
{
	cbor_write_array(out, WORDS_ITEMS);
	cbor_write_uint(out, floor);
}

static int
words_decode(struct bytes words, uint64_t *ret_floor, struct err *e)
{
	struct cbor_in in;
	uint64_t floor;

	*ret_floor = 0;
	if (words.len == 0)
		return 0;
	cbor_read_init(&in, words, "ledger: words of the head");
	cbor_read_array(&in, WORDS_ITEMS);
	floor = cbor_read_uint(&in, UINT64_MAX);
	if (cbor_read_end(&in, e) == -1) {
		e->kind = ERR_DAMAGE;
		return -1;
	}
	*ret_floor = floor;
	return 0;
}

static int
read_head(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger *l = arg;

	uint64_t floor;

	memcpy(l->epoch, store_epoch(t), sizeof(l->epoch));
	if (words_decode(store_user(t), &floor, e) == -1)
		return -1;
	atomic_init(&l->floor, floor);
	return 0;
}

void
ledger_store_conf(struct store_conf *ret)
{
	ret->databases = databases;
	ret->version = LEDGER_VERSION;
	ret->upgrades = ledger_upgrades;
}

static int
index_visit(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	(void)key, (void)value, (void)e;
	*(size_t *)arg += damaged;
	return 0;
}

/* A key that is not what it was is not missed when it is looked for: a request
 * that was seen before would be taken for new. */
static int
index_check(struct store_txn *t, void *arg, struct err *e)
{
	struct bytes all = { NULL, 0 };
	size_t n = 0;

	(void)arg;
	if (store_walk(t, DB_INDEX, all, index_visit, &n, e) == -1)
		return -1;
	if (n > 0)
		return err_set(e, ERR_DAMAGE,
		    "ledger: %zu rows of its index are damaged: what was seen "
		    "before might be taken for new; bring a copy back",
		    n);
	return 0;
}

int
ledger_open(const struct ledger_conf *c, struct ledger **ret, struct err *e)
{
	struct store_conf sc = {
		.dir = c->directory, .seal = c->seal, .map_size = c->map_size
	};
	AUTO(ledger) l = xcalloc(1, sizeof(*l));

	ledger_store_conf(&sc);
	str_copy(l->service, sizeof(l->service), c->service);
	l->signer = c->signer;
	if (store_open(&sc, &l->store, e) == -1 ||
	    store_read(l->store, read_head, l, e) == -1 ||
	    store_read(l->store, index_check, NULL, e) == -1 ||
	    serials_open(l, e) == -1)
		return -1;
	if (atomic_load(&l->floor) != 0)
		clock_confirm(atomic_load(&l->floor));
	*ret = STEAL(l);
	return 0;
}

void
ledger_flush(struct ledger *l)
{
	store_flush(l->store);
}

void
ledger_close(struct ledger *l)
{
	if (l == NULL)
		return;
	store_close(l->store);
	free(l->pruning);
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

bool
ledger_read_only(const struct ledger *l)
{
	return store_read_only(l->store);
}

void
ledger_backup(struct ledger *l, struct store_backup *b,
    void (*done)(struct store_backup *b, const struct err *e), struct post to)
{
	store_backup(l->store, b, done, to);
}

/* ---- the time floor ---------------------------------------------------- */

static int
job_floor(struct store_txn *t, void *arg, struct err *e)
{
	struct buf words AUTO_BUF = { 0 };
	struct ledger *l = arg;

	(void)e;
	words_encode(atomic_load(&l->floor), &words);
	store_set_user(t, buf_bytes(&words));
	return 0;
}

/* If it fails, whoever comes in an hour tries again. */
void
ledger_floor(struct ledger *l, uint64_t seconds)
{
	if (seconds < atomic_load(&l->floor) + FLOOR_STEP)
		return;
	atomic_store(&l->floor, seconds);
	store_submit(l->store, job_floor, NULL, l, (struct post){ NULL, NULL });
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
site_row_get(
    struct store_txn *t, const char *site, struct site_row *ret, struct err *e)
{
	struct site_row s = { .standing = LEDGER_SOUND };
	struct buf row AUTO_BUF = { 0 };
	struct row_key k = key_site(site);
	int rc = store_get(t, DB_SITE, row_key(&k), &row, e);

	if (rc == -1 ||
	    (rc == 1 && site_row_decode(buf_bytes(&row), &s, e) == -1))
		return -1;
	*ret = s;
	return rc;
}

int
site_sound(struct store_txn *t, const char *site, struct err *e)
{
	struct site_row s;

	if (site_row_get(t, site, &s, e) == -1)
		return -1;
	return s.standing == LEDGER_SOUND;
}

int
site_get(struct store_txn *t, const char *site, struct ledger_site *ret,
    struct err *e)
{
	struct ledger_site s = { .seq = 0 };
	struct reach r = { .seq = 0 };
	struct site_row row;
	int rc = site_row_get(t, site, &row, e);

	if (rc != 1)
		return rc;
	if (reach_get(t, site, row.epoch, &r, e) == -1)
		return -1;
	str_copy(s.name, sizeof(s.name), site);
	memcpy(s.epoch, row.epoch, sizeof(s.epoch));
	s.seq = r.seq;
	s.got = r.got;
	s.highest = r.highest;
	s.audit_seq = r.check_seq;
	s.audit_id = r.check_id;
	s.standing = row.standing;
	str_copy(s.why, sizeof(s.why), row.why);
	s.since = row.since;
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
ledger_find_same(
    struct ledger *l, const struct digest *same, uint64_t *ret, struct err *e)
{
	struct row_key k = key_index(INDEX_SAME, same);
	struct question q = { .index = &k, .ret = ret };

	return ask(l, ask_index, &q, e);
}

int
ledger_find_entry(struct ledger *l, const char *site,
    const uint8_t epoch[ENTRY_EPOCH_LEN], uint64_t site_id, uint64_t *ret,
    struct err *e)
{
	struct row_key k = key_entry(INDEX_ENTRY, site, epoch, site_id);
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
