#include "common/queue/store_int.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include "common/base/file.h"
#include "common/base/log.h"

/* A transaction holds what it changed in memory. */
#define ROWS_A_COMMIT 4096

struct copy {
	const struct store_conf *conf;
	const struct store *from;
	struct store *to;
	struct store_txn t; /* of `to` */
	size_t waiting;	    /* rows in t */
	unsigned db;
	uint64_t lost;
};

/* ---- from version to version ----------------------------------------- */

static const struct store_upgrade *
upgrade_from(const struct store_conf *c, unsigned version)
{
	const struct store_upgrade *u = c->upgrades;

	while (u != NULL && u->from != 0 && u->from != version)
		u++;
	return u != NULL && u->from != 0 ? u : NULL;
}

static int
check_way(const struct copy *c, struct err *e)
{
	for (unsigned v = c->from->seal.version; v < c->to->version; v++)
		if (upgrade_from(c->conf, v) == NULL)
			return err_set(e, ERR_DAMAGE,
			    "store %s: version %u is too old for this release",
			    c->from->dir, v);
	return 0;
}

static int
step(const struct store_upgrade *u, const struct bytes *key, unsigned db,
    struct buf *value, struct err *e)
{
	struct buf next AUTO_BUF = { 0 }, old;
	int rc = 1;

	if (key != NULL)
		rc = u->row(db, *key, buf_bytes(value), &next, e);
	else if (u->words == NULL)
		return 1;
	else if (u->words(buf_bytes(value), &next, e) == -1)
		return -1;
	old = *value;
	*value = next;
	next = old;
	return rc;
}

/* As u->row; key NULL: the user's words. */
static int
steps(const struct copy *c, const struct bytes *key, struct buf *value,
    struct err *e)
{
	int rc = 1;

	for (unsigned v = c->from->seal.version; rc == 1 && v < c->to->version;
	     v++)
		rc = step(upgrade_from(c->conf, v), key, c->db, value, e);
	return rc;
}

/* ---- row by row ------------------------------------------------------ */

/* Nobody sees this file yet: that a commit fails is no more than that. */
static int
copy_commit(struct copy *c, bool again, struct err *e)
{
	int rc = mdb_txn_commit(c->t.txn);

	c->t.txn = NULL;
	c->waiting = 0;
	if (rc == 0 && again)
		rc = mdb_txn_begin(c->to->env, NULL, 0, &c->t.txn);
	return rc == 0 ? 0 : store_err(e, c->to, rc, "commit");
}

static int
copy_put(struct copy *c, struct bytes key, struct bytes value, struct err *e)
{
	struct store *to = c->to;
	MDB_val k = store_val(key), v;
	int rc;

	buf_reset(&c->t.scratch);
	seal_value(&to->seal, to->names[c->db], key, value, &c->t.scratch);
	v = store_val(buf_bytes(&c->t.scratch));
	rc = mdb_put(c->t.txn, to->dbi[c->db], &k, &v, MDB_APPEND);
	if (rc != 0)
		return store_err(e, to, rc, to->names[c->db]);
	c->t.head.rows[c->db]++;
	return ++c->waiting < ROWS_A_COMMIT ? 0 : copy_commit(c, true, e);
}

static int
copy_row(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct copy *c = arg;
	struct buf v AUTO_BUF = { 0 };
	int rc;

	if (damaged && !c->conf->tolerant)
		return err_set(e, ERR_DAMAGE,
		    "store %s: \"%s\": the row of %" PRIu64 " does not open",
		    c->from->dir, c->from->names[c->db], store_key_to_id(key));
	if (damaged) {
		c->lost++;
		return 0;
	}
	if (c->from->seal.version == c->to->version)
		return copy_put(c, key, value, e);
	v = bytes_dup(value);
	if ((rc = steps(c, &key, &v, e)) == -1)
		return err_prefix(e, "\"%s\": row of %" PRIu64,
		    c->from->names[c->db], store_key_to_id(key));
	return rc == 0 ? 0 : copy_put(c, key, buf_bytes(&v), e);
}

static int
copy_words(struct copy *c, const struct head *from, struct err *e)
{
	struct buf v AUTO_BUF = { 0 };

	buf_add(&v, from->user, from->user_len);
	if (steps(c, NULL, &v, e) == -1)
		return -1;
	assert(v.len <= STORE_USER_MAX);
	if ((c->t.head.user_len = v.len) > 0)
		memcpy(c->t.head.user, v.data, v.len);
	return 0;
}

/* The head comes last: without it the file is nobody's store. */
static int
copy_all(struct store_txn *t, void *arg, struct err *e)
{
	struct copy *c = arg;

	c->t.head = t->head;
	memset(c->t.head.rows, 0, sizeof(c->t.head.rows));
	for (c->db = 0; c->db < c->to->n_dbs; c->db++)
		if (store_walk(t, c->db, bytes_of(NULL, 0), copy_row, c, e) ==
		    -1)
			return -1;
	if (copy_words(c, &t->head, e) == -1 ||
	    store_head_write(&c->t, e) == -1)
		return -1;
	return copy_commit(c, false, e);
}

static int
copy_begin(struct copy *c, const char *dir, struct err *e)
{
	struct store *to = c->to;
	int rc;

	if (check_way(c, e) == -1 ||
	    store_env_open(to, dir, MDB_NOLOCK, c->conf->map_size, e) == -1)
		return -1;
	memcpy(to->seal.store_id, c->from->seal.store_id, SEAL_ID_LEN);
	to->seal.version = (uint8_t)to->version;
	if ((rc = mdb_txn_begin(to->env, NULL, 0, &c->t.txn)) != 0)
		return store_err(e, to, rc, "transaction");
	if (store_dbis_open(to, c->t.txn, e) == -1 ||
	    store_plain_write(to, c->t.txn, e) == -1)
		return -1;
	return copy_commit(c, true, e);
}

/* What was written, read again: all of it, and no more. */
static int
copy_prove(const struct store_conf *as, const char *file,
    const struct head *head, struct err *e)
{
	struct store_report r;
	AUTO(store) s = NULL;

	if (store_image_open(as, file, &s, e) == -1 ||
	    store_image_report(s, &r, e) == -1)
		return -1;
	for (unsigned i = 0; i < r.n_dbs; i++)
		if (r.db[i].damaged > 0 || r.db[i].rows != head->rows[i])
			return err_set(e, ERR_DAMAGE,
			    "store %s: the copy differs: %s", file, r.trouble);
	return 0;
}

/* as: with what the copy is sealed, and which version it has. */
static int
copy_run(struct store *from, const struct store_conf *as, const char *dir,
    uint64_t *ret_lost, struct err *e)
{
	AUTO(char) file = path_join(dir, STORE_FILE);
	struct store_conf conf = *as;
	struct copy c = { .conf = &conf, .from = from };
	AUTO(store) to = NULL;
	int rc;

	conf.dir = dir;
	if (file_mkdirs(dir, 0700, e) == -1 ||
	    (to = store_new(&conf, e)) == NULL)
		return -1;
	c.to = c.t.store = to;
	if ((rc = copy_begin(&c, dir, e)) == 0)
		rc = store_read(from, copy_all, &c, e);
	if (c.t.txn != NULL)
		mdb_txn_abort(c.t.txn);
	buf_done(&c.t.scratch);
	if (rc == -1 || copy_prove(as, file, &c.t.head, e) == -1)
		return -1;
	*ret_lost = c.lost;
	return 0;
}

static int
replace(struct store *from, const struct store_conf *as, uint64_t *ret_lost,
    struct err *e)
{
	AUTO(char) file = path_join(as->dir, STORE_FILE);
	AUTO(char) next = path_join(as->dir, STORE_NEXT);
	AUTO(char) made = path_join(next, STORE_FILE);

	store_sweep(as->dir);
	if (copy_run(from, as, next, ret_lost, e) == -1) {
		store_sweep(as->dir);
		return -1;
	}
	if (rename(made, file) == -1)
		return err_errno(e, ERR_LOCAL, "%s", made);
	store_sweep(as->dir);
	return file_sync_dir(as->dir, e);
}

/* ---- why ------------------------------------------------------------- */

int
store_upgrade(const struct store_conf *c, struct err *e)
{
	AUTO(char) file = path_join(c->dir, STORE_FILE);
	AUTO(store) from = NULL;
	struct store_conf as = *c;
	uint64_t lost = 0;
	int rc;

	if (store_image_open(c, file, &from, e) == -1)
		return -1;
	/* The secret may be the one that has yet to take its place. */
	as.seal = NULL;
	memcpy(as.key, from->seal.key, sizeof(as.key));
	rc = replace(from, &as, &lost, e);
	explicit_bzero(as.key, sizeof(as.key));
	if (rc == -1)
		return err_prefix(
		    e, "upgrade from version %u", from->seal.version);
	log_event(lost > 0 ? LOG_ALARM : LOG_INFO, "store.upgraded", "store",
	    "%s", c->dir, "from", "%u", (unsigned)from->seal.version, "to",
	    "%u", from->version, "lost", "%llu", (unsigned long long)lost,
	    NULL);
	return 0;
}

/* The store's own file to read from, and its secret as it should be. */
static int
take(const struct store_conf *c, int *ret_lock, struct store **ret,
    struct err *e)
{
	AUTO(char) file = path_join(c->dir, STORE_FILE);
	AUTO(store) from = NULL;

	/* The file that the new secret opens is on disk before the secret takes
	 * the old one's place. */
	if (store_own(c->dir, ret_lock, e) == -1 ||
	    store_image_open(c, file, &from, e) == -1 ||
	    file_sync_dir(c->dir, e) == -1 ||
	    store_settle_secret(from, e) == -1)
		return -1;
	*ret = STEAL(from);
	return 0;
}

int
store_compact(const struct store_conf *c, uint64_t *ret_lost, struct err *e)
{
	AUTO(store) from = NULL;
	AUTO_FD lock = -1;

	if (take(c, &lock, &from, e) == -1)
		return -1;
	return replace(from, c, ret_lost, e);
}

int
store_rekey(const struct store_conf *c, uint64_t *ret_lost, struct err *e)
{
	struct store_conf as = *c;
	AUTO(char) next = NULL;
	AUTO(store) from = NULL;
	AUTO_FD lock = -1;
	int rc;

	assert(c->seal != NULL);
	if (take(c, &lock, &from, e) == -1 ||
	    store_secret_next(c->seal, &next, e) == -1)
		return -1;
	as.seal = next;
	if ((rc = replace(from, &as, ret_lost, e)) == 0)
		from->next_key = true;
	return rc == -1 ? -1 : store_settle_secret(from, e);
}
