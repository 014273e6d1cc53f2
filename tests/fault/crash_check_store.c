/* Rows of a bare store that a power cut left, whatever was being done to it. */
#include "tests/fault/crash_truth.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/queue/store.h"

#define ROWS_MAX 64
#define DBS	 2

struct check {
	const struct truth *t;
	struct err *e;
	struct store_conf conf;
	struct digest v[DBS][ROWS_MAX];
	bool there[DBS][ROWS_MAX];
	unsigned db;
};

static bool
is_like(const struct mark *m, const void *arg)
{
	return digest_eq(&m->hash, arg);
}

static int
see_row(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	uint64_t id = store_key_to_id(key);
	struct check *c = arg;

	if (damaged || id == 0 || id >= ROWS_MAX)
		return err_set(e, ERR_DAMAGE, "row %llu does not open",
		    (unsigned long long)id);
	c->there[c->db][id] = true;
	c->v[c->db][id] = digest_of(value.p, value.len);
	if (truth_match(c->t, MARK_ROW, id, is_like, &c->v[c->db][id]) == NULL)
		return err_set(e, ERR_DAMAGE,
		    "row %llu has a value that was not told, or one before "
		    "that",
		    (unsigned long long)id);
	return 0;
}

static int
see_all(struct store_txn *t, void *arg, struct err *e)
{
	struct check *c = arg;

	for (c->db = 0; c->db < DBS; c->db++)
		if (store_walk(t, c->db, bytes_of(NULL, 0), see_row, c, e) ==
		    -1)
			return -1;
	return 0;
}

/* One transaction wrote both. */
static int
check_pairs(struct check *c)
{
	for (size_t id = 0; id < ROWS_MAX; id++)
		if (c->there[0][id] != c->there[1][id] ||
		    (c->there[0][id] && !digest_eq(&c->v[0][id], &c->v[1][id])))
			return err_set(
			    c->e, ERR_DAMAGE, "row %zu is half written", id);
	return 0;
}

static int
check_told(struct check *c)
{
	for (size_t i = 0; i < c->t->n; i++)
		if (c->t->v[i].is.what == MARK_ROW &&
		    truth_acked(c->t, &c->t->v[i]) &&
		    !c->there[0][c->t->v[i].is.id])
			return err_set(c->e, ERR_DAMAGE, "row %llu is lost",
			    (unsigned long long)c->t->v[i].is.id);
	return 0;
}

static int
open_and_look(struct check *c)
{
	AUTO(store) s = NULL;

	memset(c->there, 0, sizeof(c->there));
	if (store_open(&c->conf, &s, c->e) == -1)
		return err_prefix(c->e, "I9: it does not open");
	if (store_read(s, see_all, c, c->e) == -1 || check_pairs(c) == -1 ||
	    check_told(c) == -1)
		return err_prefix(c->e, "I1");
	return 0;
}

/* What was under way is done with, so all of it can be done again. */
static int
go_on(struct check *c)
{
	uint64_t lost = 0;

	if (store_rekey(&c->conf, &lost, c->e) == -1)
		return err_prefix(c->e, "I9: no rekey");
	return open_and_look(c);
}

int
check_store(const struct truth *t, const struct witness *w, struct err *e)
{
	struct check *c = xcalloc(1, sizeof(*c));
	struct buf secret AUTO_SECRET = { 0 };
	AUTO(char) dir = xstrdup(w->store);
	AUTO(char) seal = NULL;
	int rc = 0;

	*strrchr(dir, '/') = '\0';
	seal = path_join(dir, CRASH_SEAL);
	c->t = t;
	c->e = e;
	script_store_conf(w->store, seal, &c->conf);
	/* A first start may have to begin with it. */
	if (store_seal_secret(seal, true, &secret, e) == -1 ||
	    open_and_look(c) == -1 || (w->on && go_on(c) == -1))
		rc = -1;
	free(c);
	return rc;
}
