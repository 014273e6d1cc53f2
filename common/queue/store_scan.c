#include <assert.h>

#include "common/queue/store_int.h"

/* Like store_walk, but with a cursor that goes on by itself, for nothing
 * changes, and without a look at the pages of values that nobody asks for. */
int
store_scan(struct store_txn *t, unsigned db,
    bool (*wants)(struct bytes key, void *arg), store_visit fn, void *arg,
    struct err *e)
{
	const struct store *s = t->store;
	struct buf value AUTO_BUF = { 0 };
	AUTO(MDB_cursor) cur = NULL;
	struct bytes key;
	MDB_val k, v;
	bool damaged;
	int rc;

	assert(!t->writes && db < s->n_dbs);
	if ((rc = mdb_cursor_open(t->txn, s->dbi[db], &cur)) != 0)
		return store_err(e, s, rc, "cursor");
	while ((rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0) {
		key = bytes_of(k.mv_data, k.mv_size);
		if (store_is_head(db, key))
			continue;
		buf_reset(&value);
		damaged = wants(key, arg) &&
		    store_row_open(t, db, key, v, &value, NULL) == -1;
		if ((rc = fn(key, buf_bytes(&value), damaged, arg, e)) != 0)
			return rc == 1 ? 0 : -1;
	}
	if (rc != MDB_NOTFOUND)
		return store_err(e, s, rc, s->names[db]);
	return 0;
}
