#include "common/queue/store_int.h"

#include <assert.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/queue/ends.h"

#define RESERVE_PAGES 64
#define LMDB_KEY_MAX  511
#define EXIT_DAMAGED  9

struct after {
	void (*fn)(void *arg, bool committed);
	void *arg;
};

/* ---- begin and end --------------------------------------------------- */

int
store_txn_begin(struct store *s, bool writes, struct store_txn *t)
{
	*t = (struct store_txn){ .store = s, .writes = writes };
	return mdb_txn_begin(s->env, NULL, writes ? 0 : MDB_RDONLY, &t->txn);
}

static void
txn_done(struct store_txn *t)
{
	buf_done(&t->scratch);
	free(t->afters);
}

void
store_txn_held(struct store_txn *t)
{
	for (size_t i = 0; i < t->n_afters; i++)
		t->afters[i].fn(t->afters[i].arg, true);
	txn_done(t);
}

static void
txn_given_up(struct store_txn *t)
{
	while (t->n_afters > 0) {
		const struct after *a = &t->afters[--t->n_afters];

		a->fn(a->arg, false);
	}
	txn_done(t);
}

void
store_txn_abort(struct store_txn *t)
{
	mdb_txn_abort(t->txn);
	txn_given_up(t);
}

_Noreturn void
store_commit_died(const struct store *s, int rc)
{
	log_event(LOG_ALARM, "store.commit-failed", "store", "%s", s->dir,
	    "error", "%s", mdb_strerror(rc), NULL);
	ends_note(s->ends, clock_now().time);
	_exit(EXIT_DAMAGED);
}

/* Pages that hold something: those of the free list's own tree count, those
 * that it lists do not. */
size_t
store_pages_used(const struct store_txn *t)
{
	const struct store *s = t->store;
	size_t n = 2; /* meta pages */
	MDB_stat st;

	/* 0 and 1 are LMDB's own: free list and unnamed database. */
	for (unsigned i = 0; i < s->n_dbs + 2; i++)
		if ((i < 2 || s->dbi[i - 2] != STORE_NO_DBI) &&
		    mdb_stat(t->txn, i < 2 ? i : s->dbi[i - 2], &st) == 0)
			n += st.ms_branch_pages + st.ms_leaf_pages +
			    st.ms_overflow_pages;
	return n;
}

static unsigned
percent_used(const struct store_txn *t)
{
	return (unsigned)(store_pages_used(t) * 100 / t->store->pages);
}

int
store_txn_commit(struct store_txn *t, struct err *e)
{
	struct store *s = t->store;
	unsigned used = percent_used(t);
	int rc = mdb_txn_commit(t->txn);

	/* No page left for the free list: LMDB has not written anything yet. */
	if (rc == MDB_MAP_FULL) {
		txn_given_up(t);
		return store_err(e, s, rc, "commit");
	}
	if (rc != 0)
		store_commit_died(s, rc);
	s->head = t->head;
	atomic_store(&s->used_percent, used);
	store_txn_held(t);
	return 0;
}

void
store_after(
    struct store_txn *t, void (*fn)(void *arg, bool committed), void *arg)
{
	assert(t->writes);
	if (t->n_afters == t->cap_afters) {
		t->cap_afters = t->cap_afters == 0 ? 16 : 2 * t->cap_afters;
		t->afters =
		    xrealloc(t->afters, t->cap_afters * sizeof(*t->afters));
	}
	t->afters[t->n_afters++] = (struct after){ fn, arg };
}

/* ---- inside a transaction -------------------------------------------- */

static void
check_place(const struct store_txn *t, unsigned db, struct bytes key)
{
	assert(db < t->store->n_dbs);
	assert(
	    key.len > 0 && key.len <= STORE_KEY_MAX && !store_is_head(db, key));
	(void)t, (void)db, (void)key;
}

/* A write that failed: the transaction cannot be committed any more. */
static int
fault(struct store_txn *t, int rc, const char *what, unsigned db, struct err *e)
{
	err_set(&t->fault, store_err_kind(rc), "store %s: %s in \"%s\": %s",
	    t->store->dir, what, t->store->names[db], mdb_strerror(rc));
	if (e != NULL)
		*e = t->fault;
	return -1;
}

int
store_shut(struct store_txn *t, struct err *e)
{
	/* Peers are told this. */
	err_set(&t->fault, ERR_RETRY, "the store is read-only");
	if (e != NULL)
		*e = t->fault;
	return -1;
}

int
store_row_open(const struct store_txn *t, unsigned db, struct bytes key,
    MDB_val v, struct buf *ret, struct err *e)
{
	const struct store *s = t->store;

	/* LMDB gives the length as it stands on the page, right or wrong. */
	if (v.mv_size > STORE_VALUE_MAX + AEAD_OVERHEAD)
		return err_set(e, ERR_DAMAGE, "row of %zu octets", v.mv_size);
	return seal_open(&s->seal, s->names[db], key,
	    bytes_of(v.mv_data, v.mv_size), ret, e);
}

int
store_get(struct store_txn *t, unsigned db, struct bytes key, struct buf *ret,
    struct err *e)
{
	const struct store *s = t->store;
	MDB_val k = store_val(key), v;
	int rc;

	check_place(t, db, key);
	rc = mdb_get(t->txn, s->dbi[db], &k, &v);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return store_err(e, s, rc, s->names[db]);
	if (ret == NULL) {
		buf_reset(&t->scratch);
		ret = &t->scratch;
	}
	if (store_row_open(t, db, key, v, ret, e) == -1)
		return err_prefix(e, "store %s: \"%s\"", s->dir, s->names[db]);
	return 1;
}

/* A delete needs pages too: those it changes are copied first.  So new rows
 * leave some. */
static bool
has_room(const struct store_txn *t, size_t len)
{
	const struct store *s = t->store;
	size_t spare = s->pages / 8;

	if (spare > RESERVE_PAGES)
		spare = RESERVE_PAGES;
	return store_pages_used(t) + len / s->page_size + 1 + spare <= s->pages;
}

/* Whether it comes behind all that is there: then LMDB need not split a page in
 * two halves for it, which would stay half empty. */
static bool
is_last(const struct store_txn *t, unsigned db, const MDB_val *key)
{
	MDB_dbi dbi = t->store->dbi[db];
	AUTO(MDB_cursor) cur = NULL;
	MDB_val last;

	return mdb_cursor_open(t->txn, dbi, &cur) == 0 &&
	    mdb_cursor_get(cur, &last, NULL, MDB_LAST) == 0 &&
	    mdb_cmp(t->txn, dbi, key, &last) > 0;
}

int
store_put(struct store_txn *t, unsigned db, struct bytes key,
    struct bytes value, struct err *e)
{
	const struct store *s = t->store;
	MDB_val k = store_val(key), v;
	bool added;
	int rc;

	check_place(t, db, key);
	assert(t->writes && value.len <= STORE_VALUE_MAX);
	if (s->read_only)
		return store_shut(t, e);
	rc = mdb_get(t->txn, s->dbi[db], &k, &v);
	added = rc == MDB_NOTFOUND;
	if (rc != 0 && !added)
		return fault(t, rc, "put", db, e);
	if (added && !has_room(t, value.len + AEAD_OVERHEAD))
		return fault(t, MDB_MAP_FULL, "put", db, e);
	buf_reset(&t->scratch);
	seal_value(&s->seal, s->names[db], key, value, &t->scratch);
	v = store_val(buf_bytes(&t->scratch));
	t->dirty = true;
	rc = mdb_put(t->txn, s->dbi[db], &k, &v,
	    added && is_last(t, db, &k) ? MDB_APPEND : 0);
	if (rc != 0)
		return fault(t, rc, "put", db, e);
	t->head.rows[db] += added;
	return 0;
}

int
store_del(struct store_txn *t, unsigned db, struct bytes key, struct err *e)
{
	MDB_val k = store_val(key);
	int rc;

	check_place(t, db, key);
	assert(t->writes);
	if (t->store->read_only)
		return store_shut(t, e);
	rc = mdb_del(t->txn, t->store->dbi[db], &k, NULL);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return fault(t, rc, "delete", db, e);
	t->dirty = true;
	t->head.rows[db]--;
	return 0;
}

static int
walk_row(struct store_txn *t, unsigned db, struct bytes key, MDB_val v,
    store_visit fn, void *arg, struct err *e)
{
	struct buf value AUTO_BUF = { 0 };
	bool damaged;

	if (store_is_head(db, key))
		return 0;
	damaged = store_row_open(t, db, key, v, &value, NULL) == -1;
	return fn(key, buf_bytes(&value), damaged, arg, e);
}

int
store_walk(struct store_txn *t, unsigned db, struct bytes from, store_visit fn,
    void *arg, struct err *e)
{
	AUTO(MDB_cursor) cur = NULL;
	/* No key is empty, so one zero octet is the least there is. */
	uint8_t key[LMDB_KEY_MAX + 1] = { 0 };
	size_t len = from.len > 0 ? from.len : 1;
	MDB_cursor_op op = MDB_SET_RANGE;
	MDB_val k, v;
	int rc;

	assert(db < t->store->n_dbs && from.len <= STORE_KEY_MAX);
	if (t->store->dbi[db] == STORE_NO_DBI)
		return 0;
	if (from.len > 0)
		memcpy(key, from.p, from.len);
	if ((rc = mdb_cursor_open(t->txn, t->store->dbi[db], &cur)) != 0)
		return store_err(e, t->store, rc, "cursor");
	for (;;) {
		k = store_val(bytes_of(key, len));
		if ((rc = mdb_cursor_get(cur, &k, &v, op)) == MDB_NOTFOUND)
			return 0;
		if (rc == 0 && k.mv_size > LMDB_KEY_MAX)
			rc = MDB_CORRUPTED;
		if (rc != 0)
			return store_err(e, t->store, rc, "walk");
		len = k.mv_size;
		memcpy(key, k.mv_data, len);
		rc = walk_row(t, db, bytes_of(key, len), v, fn, arg, e);
		if (rc != 0)
			return rc == 1 ? 0 : -1;
		/* On to the next possible key by its name, for fn may have
		 * deleted this row; a key as long as keys get has none. */
		key[len] = 0;
		op = len++ < LMDB_KEY_MAX ? MDB_SET_RANGE : MDB_NEXT;
	}
}

uint64_t
store_take_id(struct store_txn *t)
{
	assert(t->writes);
	t->dirty = true;
	return t->head.next++;
}

uint64_t
store_peek_id(struct store_txn *t)
{
	return t->head.next;
}

const uint8_t *
store_epoch(const struct store_txn *t)
{
	return t->head.epoch;
}

void
store_new_epoch(struct store_txn *t)
{
	assert(t->writes);
	t->dirty = true;
	random_bytes(t->head.epoch, sizeof(t->head.epoch));
}

struct bytes
store_user(const struct store_txn *t)
{
	return bytes_of(t->head.user, t->head.user_len);
}

void
store_set_user(struct store_txn *t, struct bytes words)
{
	assert(t->writes && words.len <= STORE_USER_MAX);
	t->dirty = true;
	if ((t->head.user_len = words.len) > 0)
		memmove(t->head.user, words.p, words.len);
}

struct store_audit *
store_audit_head(struct store_txn *t)
{
	return &t->head.audit;
}

struct bytes
store_key_id(uint8_t key[STORE_KEY_ID_LEN], uint64_t id)
{
	for (int i = STORE_KEY_ID_LEN - 1; i >= 0; i--, id >>= 8)
		key[i] = (uint8_t)id;
	return bytes_of(key, STORE_KEY_ID_LEN);
}

uint64_t
store_key_to_id(struct bytes key)
{
	uint64_t id = 0;

	if (key.len < STORE_KEY_ID_LEN)
		return 0;
	for (size_t i = 0; i < STORE_KEY_ID_LEN; i++)
		id = id << 8 | key.p[i];
	return id;
}
