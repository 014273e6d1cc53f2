#include "common/queue/store_int.h"

#include <string.h>

/* Of the first stores, which do not name their key. */
#define PLAIN_SHORT (SEAL_ID_LEN + 1)
#define PLAIN_LEN   (PLAIN_SHORT + STORE_KEY_ID)

static MDB_val
plain_key(void)
{
	return store_val(bytes_of(STORE_PLAIN_KEY, strlen(STORE_PLAIN_KEY)));
}

bool
store_is_fresh(const struct store *s)
{
	MDB_envinfo info;

	/* Only an environment that never saw a commit may be taken for a new
	 * one: another without its rows is damaged. */
	mdb_env_info(s->env, &info);
	return info.me_last_txnid == 0;
}

/* What the row says is only a hint which key it is: the head's seal decides. */
static int
adopt(struct store *s, MDB_val v, struct err *e)
{
	const uint8_t *p = v.mv_data;
	uint8_t name[STORE_KEY_ID];

	if (v.mv_size != PLAIN_LEN && v.mv_size != PLAIN_SHORT)
		return err_set(e, ERR_DAMAGE,
		    "store %s: plain row of %zu octets", s->dir, v.mv_size);
	memcpy(s->seal.store_id, p, SEAL_ID_LEN);
	s->seal.version = p[SEAL_ID_LEN];
	if (s->seal.version > s->version)
		return err_set(e, ERR_DAMAGE,
		    "store %s: version %u, made by a newer release: this one "
		    "knows %u and older",
		    s->dir, s->seal.version, s->version);
	if (v.mv_size == PLAIN_SHORT)
		return 0;
	store_key_name(s->seal.key, name);
	if (memcmp(name, p + PLAIN_SHORT, STORE_KEY_ID) != 0)
		store_try_next(s, p + PLAIN_SHORT);
	return 0;
}

int
store_plain_read(struct store *s, struct err *e)
{
	AUTO(MDB_txn) txn = NULL;
	MDB_val k = plain_key(), v;
	int rc;

	s->seal.version = (uint8_t)s->version;
	if (store_is_fresh(s))
		return 0;
	if ((rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn)) != 0 ||
	    (rc = mdb_dbi_open(txn, NULL, 0, &s->plain)) != 0)
		return store_err(e, s, rc, "plain row");
	if ((rc = mdb_get(txn, s->plain, &k, &v)) == MDB_NOTFOUND)
		return err_set(e, ERR_DAMAGE,
		    "store %s: the plain row is missing", s->dir);
	if (rc != 0)
		return store_err(e, s, rc, "plain row");
	return adopt(s, v, e);
}

int
store_plain_write(struct store *s, MDB_txn *txn, struct err *e)
{
	uint8_t row[PLAIN_LEN];
	MDB_val k = plain_key(), v = store_val(bytes_of(row, sizeof(row)));
	int rc;

	memcpy(row, s->seal.store_id, SEAL_ID_LEN);
	row[SEAL_ID_LEN] = s->seal.version;
	store_key_name(s->seal.key, row + PLAIN_SHORT);
	rc = mdb_put(txn, s->plain, &k, &v, MDB_NOOVERWRITE);
	return rc == 0 ? 0 : store_err(e, s, rc, "plain row");
}
