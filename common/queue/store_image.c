#include "common/queue/store_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/audit.h"
#include "common/queue/store_pages.h"

static int
open_dbis(struct store *s, struct err *e)
{
	MDB_txn *txn;
	int rc;

	if ((rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn)) != 0)
		return store_err(e, s, rc, "transaction");
	if (store_dbis_open(s, txn, e) == -1) {
		mdb_txn_abort(txn);
		return -1;
	}
	/* Committed, so that they stay open. */
	rc = mdb_txn_commit(txn);
	return rc == 0 ? 0 : store_err(e, s, rc, "transaction");
}

int
store_image_open(const struct store_conf *c, const char *file,
    struct store **ret, struct err *e)
{
	struct store_conf as = *c;
	AUTO(store) s = NULL;

	as.dir = file;
	as.read_only = true;
	if ((s = store_new(&as, e)) == NULL ||
	    store_pages_check(file, e) == -1 ||
	    store_env_open(
		s, file, MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK, 0, e) == -1)
		return -1;
	if (store_is_fresh(s))
		return err_set(
		    e, ERR_DAMAGE, "store %s: nothing was ever stored", file);
	if (store_plain_read(s, e) == -1 || open_dbis(s, e) == -1)
		return -1;
	*ret = STEAL(s);
	return 0;
}

/* ---- all that stands in it ------------------------------------------- */

struct reading {
	const struct store *store;
	struct store_report *r;
	unsigned db;
};

PRINTF(2, 3)
static void
trouble(struct store_report *r, const char *fmt, ...)
{
	va_list ap;

	if (r->trouble[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(r->trouble, sizeof(r->trouble), fmt, ap);
	va_end(ap);
}

static int
read_row(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct reading *x = arg;

	(void)value, (void)e;
	x->r->db[x->db].rows++;
	if (!damaged)
		return 0;
	x->r->db[x->db].damaged++;
	trouble(x->r, "\"%s\": the row of %" PRIu64 " does not open",
	    x->store->names[x->db], store_key_to_id(key));
	return 0;
}

static int
read_database(struct store_txn *t, struct reading *x, struct err *e)
{
	struct store_report *r = x->r;
	const char *name = x->store->names[x->db];

	str_copy(r->db[x->db].name, sizeof(r->db[x->db].name), name);
	r->db[x->db].expected = t->head.rows[x->db];
	if (store_walk(t, x->db, bytes_of(NULL, 0), read_row, x, e) == -1)
		return err_prefix(e, "\"%s\"", name);
	if (r->db[x->db].rows < r->db[x->db].expected)
		trouble(r, "\"%s\": %" PRIu64 " rows vanished", name,
		    r->db[x->db].expected - r->db[x->db].rows);
	if (r->db[x->db].rows > r->db[x->db].expected)
		trouble(r, "\"%s\": %" PRIu64 " rows appeared", name,
		    r->db[x->db].rows - r->db[x->db].expected);
	return 0;
}

static void
read_audit(struct store_txn *t, struct reading *x)
{
	struct err e = ERR_INIT;

	for (unsigned i = 0; i < x->store->n_dbs; i++)
		if (strcmp(x->store->names[i], "audit") == 0 &&
		    audit_verify(t, i, &x->r->records, &e) == -1)
			trouble(x->r, "%s", e.msg);
}

static int
read_all(struct store_txn *t, void *arg, struct err *e)
{
	const struct store *s = t->store;
	struct store_report *r = arg;
	struct reading x = { .store = s, .r = r };

	*r = (struct store_report){ .version = s->seal.version,
		.next_id = t->head.next,
		.n_dbs = s->n_dbs,
		.audit = t->head.audit,
		.octets = store_pages_used(t) * s->page_size };
	memcpy(r->epoch, t->head.epoch, sizeof(r->epoch));
	for (x.db = 0; x.db < s->n_dbs; x.db++)
		if (read_database(t, &x, e) == -1)
			return -1;
	read_audit(t, &x);
	return 0;
}

int
store_image_report(struct store *s, struct store_report *ret, struct err *e)
{
	return store_read(s, read_all, ret, e);
}

int
store_look(const struct store_conf *c, const char *file, store_job fn,
    void *arg, struct err *e)
{
	AUTO(char) own = path_join(c->dir, STORE_FILE);
	AUTO(store) s = NULL;
	AUTO_FD lock = -1;

	if (file == NULL && store_own(c->dir, &lock, e) == -1)
		return -1;
	if (store_image_open(c, file != NULL ? file : own, &s, e) == -1)
		return -1;
	return store_read(s, fn, arg, e);
}

int
store_check(const struct store_conf *c, const char *file,
    struct store_report *ret, struct err *e)
{
	struct store_report r = { 0 };
	int rc = store_look(c, file, read_all, &r, e);

	*ret = r;
	if (rc == -1 || r.trouble[0] == '\0')
		return rc;
	return err_set(e, ERR_DAMAGE, "store %s: %s",
	    file != NULL ? file : c->dir, r.trouble);
}
