#include "common/queue/store_int.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/base/log.h"

#define HEAD_MAX 4096

/* ---- the head -------------------------------------------------------- */

/*
 * It stands in the unnamed database, on the page that each commit rewrites
 * anyway, since the roots of the others are on it.  The first stores had it in
 * database 0, where it took a leaf of its own and the way there.
 */
static const uint8_t old_key[STORE_KEY_ID_LEN];

static struct bytes
head_key(void)
{
	return bytes_of(STORE_HEAD_KEY, strlen(STORE_HEAD_KEY));
}

bool
store_is_head(unsigned db, struct bytes key)
{
	return db == 0 && bytes_eq(key, bytes_of(old_key, sizeof(old_key)));
}

static void
head_format(const struct head *h, unsigned n_dbs, struct buf *out)
{
	cbor_write_array(out, 6);
	cbor_write_bytes(out, h->epoch, sizeof(h->epoch));
	cbor_write_uint(out, h->next);
	cbor_write_array(out, n_dbs);
	for (unsigned i = 0; i < n_dbs; i++)
		cbor_write_uint(out, h->rows[i]);
	cbor_write_uint(out, h->audit.seq);
	cbor_write_bytes(out, h->audit.hash.b, DIGEST_LEN);
	cbor_write_bytes(out, h->user, h->user_len);
}

static int
head_parse(struct bytes text, unsigned n_dbs, struct head *ret, struct err *e)
{
	struct head h = { 0 };
	struct bytes user;
	struct cbor_in in;
	size_t n;

	cbor_read_init(&in, text, "store head");
	cbor_read_array(&in, 6);
	cbor_read_fixed(&in, h.epoch, sizeof(h.epoch));
	h.next = cbor_read_uint(&in, UINT64_MAX);
	/* Databases that were added since have no rows yet. */
	n = cbor_read_array_upto(&in, 1, n_dbs);
	for (size_t i = 0; i < n; i++)
		h.rows[i] = cbor_read_uint(&in, UINT64_MAX);
	h.audit.seq = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, h.audit.hash.b, DIGEST_LEN);
	user = cbor_read_bytes(&in, STORE_USER_MAX);
	if (cbor_read_end(&in, e) == -1)
		return -1;
	if ((h.user_len = user.len) > 0)
		memcpy(h.user, user.p, user.len);
	*ret = h;
	return 0;
}

/* 0 or LMDB's word. */
static int
head_get(struct store_txn *t, MDB_val *ret, struct bytes *ret_key)
{
	const struct store *s = t->store;
	MDB_val k = store_val(head_key());
	int rc = mdb_get(t->txn, s->plain, &k, ret);

	*ret_key = head_key();
	if (rc != MDB_NOTFOUND)
		return rc;
	*ret_key = bytes_of(old_key, sizeof(old_key));
	k = store_val(*ret_key);
	return mdb_get(t->txn, s->dbi[0], &k, ret);
}

int
store_head_read(struct store_txn *t, struct err *e)
{
	const struct store *s = t->store;
	struct bytes key;
	MDB_val v;
	int rc;

	if ((rc = head_get(t, &v, &key)) != 0) {
		store_err(e, s, rc, "head row");
		return rc == MDB_NOTFOUND
		    ? err_set(e, ERR_DAMAGE, "store %s: the head row vanished",
			  s->dir)
		    : -1;
	}
	buf_reset(&t->scratch);
	if (v.mv_size > HEAD_MAX ||
	    seal_open(&s->seal, s->names[0], key,
		bytes_of(v.mv_data, v.mv_size), &t->scratch, NULL) == -1)
		return err_set(e, ERR_DAMAGE,
		    "store %s: the head row does not "
		    "open: it is damaged, or sealed with another key",
		    s->dir);
	if (head_parse(buf_bytes(&t->scratch), s->n_dbs, &t->head, e) == 0)
		return 0;
	if (e != NULL)
		e->kind = ERR_DAMAGE;
	return err_prefix(e, "store %s", s->dir);
}

int
store_head_write(struct store_txn *t, struct err *e)
{
	const struct store *s = t->store;
	struct buf text AUTO_BUF = { 0 };
	MDB_val k = store_val(head_key()), v;
	int rc;

	head_format(&t->head, s->n_dbs, &text);
	buf_reset(&t->scratch);
	seal_value(
	    &s->seal, s->names[0], head_key(), buf_bytes(&text), &t->scratch);
	v = store_val(buf_bytes(&t->scratch));
	if ((rc = mdb_put(t->txn, s->plain, &k, &v, 0)) != 0)
		return store_err(e, s, rc, "head row");
	k = store_val(bytes_of(old_key, sizeof(old_key)));
	if (s->old_head && (rc = mdb_del(t->txn, s->dbi[0], &k, NULL)) != 0 &&
	    rc != MDB_NOTFOUND)
		return store_err(e, s, rc, "old head row");
	return 0;
}

/* ---- what is there, against the head --------------------------------- */

/* By a cursor: LMDB's own count stays right when a damaged page loses rows. */
static int
rows_count(struct store_txn *t, unsigned db, uint64_t *ret, struct err *e)
{
	AUTO(MDB_cursor) cur = NULL;
	uint64_t n = 0;
	MDB_val k;
	int rc;

	if (t->store->dbi[db] == STORE_NO_DBI)
		return 0;
	if ((rc = mdb_cursor_open(t->txn, t->store->dbi[db], &cur)) != 0)
		return store_err(e, t->store, rc, "cursor");
	while ((rc = mdb_cursor_get(cur, &k, NULL, MDB_NEXT)) == 0)
		n += !store_is_head(db, bytes_of(k.mv_data, k.mv_size));
	if (rc != MDB_NOTFOUND)
		return store_err(e, t->store, rc, "counting rows");
	*ret = n;
	return 0;
}

static int
rows_check(struct store_txn *t, unsigned db, struct err *e)
{
	const struct store *s = t->store;
	uint64_t have = 0, want = t->head.rows[db];

	if (rows_count(t, db, &have, e) == -1)
		return -1;
	if (have == want)
		return 0;
	if (!s->tolerant)
		return err_set(e, ERR_DAMAGE,
		    "store %s: %llu rows of \"%s\" %s: the head knows %llu",
		    s->dir,
		    (unsigned long long)(have < want ? want - have
						     : have - want),
		    s->names[db], have < want ? "vanished" : "appeared",
		    (unsigned long long)want);
	log_event(LOG_ALARM, "store.rows-differ", "store", "%s", s->dir,
	    "database", "%s", s->names[db], "rows", "%llu",
	    (unsigned long long)have, "expected", "%llu",
	    (unsigned long long)want, NULL);
	t->head.rows[db] = have;
	return 0;
}

static int
contents_make(struct store_txn *t, struct err *e)
{
	random_bytes(t->head.epoch, sizeof(t->head.epoch));
	t->head.next = 1;
	return store_head_write(t, e);
}

static int
contents_check(struct store_txn *t, struct err *e)
{
	MDB_val k = store_val(bytes_of(old_key, sizeof(old_key))), v;

	if (store_head_read(t, e) == -1)
		return -1;
	t->store->old_head = mdb_get(t->txn, t->store->dbi[0], &k, &v) == 0;
	for (unsigned i = 0; i < t->store->n_dbs; i++)
		if (rows_check(t, i, e) == -1)
			return -1;
	return 0;
}

int
store_dbis_open(struct store *s, MDB_txn *txn, struct err *e)
{
	unsigned flags = 0;
	int rc;

	mdb_env_get_flags(s->env, &flags);
	if ((rc = mdb_dbi_open(txn, NULL, 0, &s->plain)) != 0)
		return store_err(e, s, rc, "unnamed database");
	for (unsigned i = 0; i < s->n_dbs; i++) {
		rc = mdb_dbi_open(txn, s->names[i],
		    (flags & MDB_RDONLY) != 0 ? 0 : MDB_CREATE, &s->dbi[i]);
		if (rc == MDB_NOTFOUND)
			s->dbi[i] = STORE_NO_DBI;
		else if (rc != 0)
			return store_err(e, s, rc, s->names[i]);
	}
	return 0;
}

static int
contents_read(struct store_txn *t, bool fresh, struct err *e)
{
	struct store *s = t->store;

	if (fresh)
		random_bytes(s->seal.store_id, SEAL_ID_LEN);
	if (store_dbis_open(s, t->txn, e) == -1 ||
	    (fresh && store_plain_write(s, t->txn, e) == -1))
		return -1;
	return (fresh ? contents_make : contents_check)(t, e);
}

int
store_contents_open(struct store *s, struct err *e)
{
	bool fresh = store_is_fresh(s);
	struct store_txn t;
	int rc;

	if (fresh && s->read_only)
		return err_set(e, ERR_LOCAL,
		    "store %s: new, and nothing may be written", s->dir);
	if ((rc = store_txn_begin(s, !s->read_only, &t)) != 0)
		return store_err(e, s, rc, "transaction");
	if (contents_read(&t, fresh, e) == -1) {
		store_txn_abort(&t);
		return -1;
	}
	if (!s->read_only)
		return store_txn_commit(&t, e);
	s->head = t.head;
	atomic_store(&s->used_percent,
	    (unsigned)(store_pages_used(&t) * 100 / s->pages));
	/* Committed, so that its databases stay open. */
	if ((rc = mdb_txn_commit(t.txn)) != 0)
		return store_err(e, s, rc, "transaction");
	store_txn_held(&t);
	return 0;
}
