/* A store in a folder of its own, jobs that put and look, and the file's rows
 * beside the store's back: what the tests of the store share. */
#ifndef WAYBILL_TESTS_STORE_LAB_H
#define WAYBILL_TESTS_STORE_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>

#include <lmdb.h>

#include "common/base/file.h"
#include "common/queue/store.h"

#define MAP (4u << 20)

static const char *const databases[] = { "row", "tx", "audit", NULL };
static char dir[64];
static struct store_conf conf;

static inline int
setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_store.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	conf = (struct store_conf){
		.dir = dir, .databases = databases, .map_size = MAP
	};
	memset(conf.key, 7, sizeof(conf.key));
	return 0;
}

static inline int
teardown(void **state)
{
	DIR *d = opendir(dir);
	struct dirent *f;

	(void)state;
	while ((f = readdir(d)) != NULL)
		unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
	return rmdir(dir);
}

static inline struct store *
open_store(void)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;

	if (store_open(&conf, &s, &e) == -1)
		fail_msg("%s", e.msg);
	return s;
}

static inline void
refuses_to_open(enum err_kind kind, const char *words)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(store_open(&conf, &s, &e), -1);
	assert_null(s);
	assert_int_equal(e.kind, kind);
	if (strstr(e.msg, words) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", e.msg, words);
}

/* ---- small jobs ------------------------------------------------------ */

struct op {
	unsigned db;
	uint64_t id;
	const char *value; /* to put; NULL: to delete */
	size_t len;	   /* 0: strlen */
	struct err fail;   /* after the change, if there is a kind */
	unsigned runs;
	uint64_t took;
	bool over, failed;
	struct err e;
};

static inline int
op_run(struct store_txn *t, void *arg, struct err *e)
{
	struct op *op = arg;
	uint8_t k[STORE_KEY_ID_LEN];
	struct bytes key;
	size_t len = op->len;

	op->runs++;
	if (op->id == 0)
		op->took = store_take_id(t);
	key = store_key_id(k, op->id != 0 ? op->id : op->took);
	if (op->value != NULL && len == 0)
		len = strlen(op->value);
	if ((op->value != NULL
		    ? store_put(t, op->db, key, bytes_of(op->value, len), e)
		    : store_del(t, op->db, key, e)) == -1)
		return -1;
	if (op->fail.kind == ERR_NONE)
		return 0;
	store_set_user(t, bytes_of("wrong", 5));
	store_audit_head(t)->seq = 99;
	*e = op->fail;
	return -1;
}

static inline void
op_done(void *arg, const struct err *e)
{
	struct op *op = arg;

	assert_false(op->over);
	op->over = true;
	if ((op->failed = e != NULL))
		op->e = *e;
}

static inline void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static const struct post here = { post_here };

static inline void
put(struct store *s, unsigned db, uint64_t id, const char *value)
{
	struct op op = { .db = db, .id = id, .value = value };
	struct err e = ERR_INIT;

	if (store_submit_wait(s, op_run, &op, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline int
nothing(struct store_txn *t, void *arg, struct err *e)
{
	(void)t, (void)arg, (void)e;
	return 0;
}

/* All jobs submitted before are over. */
static inline void
drain(struct store *s)
{
	assert_int_equal(store_submit_wait(s, nothing, NULL, NULL), 0);
}

struct look {
	unsigned db;
	uint64_t id;
	struct buf value;
	int rc;
	struct err e;
	uint64_t next;
	uint8_t epoch[STORE_EPOCH_LEN];
	char user[STORE_USER_MAX + 1];
	struct store_audit audit;
};

static inline int
look_run(struct store_txn *t, void *arg, struct err *e)
{
	struct look *l = arg;
	uint8_t k[STORE_KEY_ID_LEN];
	struct bytes user = store_user(t);

	(void)e;
	if (l->id != 0)
		l->rc = store_get(
		    t, l->db, store_key_id(k, l->id), &l->value, &l->e);
	l->next = store_peek_id(t);
	memcpy(l->epoch, store_epoch(t), sizeof(l->epoch));
	memcpy(l->user, user.p, user.len);
	l->user[user.len] = '\0';
	l->audit = *store_audit_head(t);
	return 0;
}

static inline struct look
look(struct store *s, unsigned db, uint64_t id)
{
	struct look l = { .db = db, .id = id };
	struct err e = ERR_INIT;

	if (store_read(s, look_run, &l, &e) == -1)
		fail_msg("%s", e.msg);
	return l;
}

static inline void
holds(struct store *s, unsigned db, uint64_t id, const char *want)
{
	struct look l = look(s, db, id);

	if (l.rc == -1)
		fail_msg("%s", l.e.msg);
	assert_int_equal(l.rc, want != NULL);
	if (want != NULL)
		assert_string_equal(buf_cstr(&l.value), want);
	buf_done(&l.value);
}

/* Holds the committer inside a job until it is let go. */
struct gate {
	sem_t in, go;
	struct op op;
};

static inline int
gate_run(struct store_txn *t, void *arg, struct err *e)
{
	struct gate *g = arg;
	int rc = g->op.value != NULL ? op_run(t, &g->op, e) : 0;

	sem_post(&g->in);
	sem_wait(&g->go);
	return rc;
}

static inline void
gate_close(struct gate *g, struct store *s)
{
	sem_init(&g->in, 0, 0);
	sem_init(&g->go, 0, 0);
	store_submit(s, gate_run, NULL, g, here);
	sem_wait(&g->in);
}

/* ---- behind the store's back ----------------------------------------- */

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi row, tx;
};

static inline void
raw_open(struct raw *r)
{
	assert_int_equal(mdb_env_create(&r->env), 0);
	mdb_env_set_maxdbs(r->env, STORE_DB_MAX);
	assert_int_equal(mdb_env_open(r->env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(r->env, NULL, 0, &r->txn), 0);
	assert_int_equal(mdb_dbi_open(r->txn, "row", 0, &r->row), 0);
	assert_int_equal(mdb_dbi_open(r->txn, "tx", 0, &r->tx), 0);
}

static inline void
raw_close(struct raw *r)
{
	assert_int_equal(mdb_txn_commit(r->txn), 0);
	mdb_env_close(r->env);
}

static inline struct buf
raw_get(struct raw *r, MDB_dbi dbi, uint64_t id)
{
	uint8_t k[STORE_KEY_ID_LEN];
	MDB_val key = { sizeof(k), k }, v;

	store_key_id(k, id);
	assert_int_equal(mdb_get(r->txn, dbi, &key, &v), 0);
	return bytes_dup(bytes_of(v.mv_data, v.mv_size));
}

/* Flips one bit in the middle of a row's octets in the file. */
static inline void
raw_flip(uint64_t id)
{
	struct buf file AUTO_BUF = { 0 };
	AUTO(char) path = path_join(dir, "data.mdb");
	struct buf sealed;
	struct raw r;
	uint8_t *p, octet;
	int fd;

	raw_open(&r);
	sealed = raw_get(&r, r.row, id);
	raw_close(&r);
	assert_int_equal(file_read(path, MAP, &file, NULL), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	for (p = file.data; (p = memmem(p, file.len - (size_t)(p - file.data),
				 sealed.data, sealed.len)) != NULL;
	     p++) {
		octet = p[sealed.len / 2] ^ 0x10;
		assert_int_equal(pwrite(fd, &octet, 1,
				     p - file.data + (off_t)sealed.len / 2),
		    1);
	}
	close(fd);
	buf_done(&sealed);
}

/* ---- damage ---------------------------------------------------------- */

static inline void
three_rows(void)
{
	struct store *s = open_store();

	put(s, 0, 1, "the first row of three");
	put(s, 0, 2, "the second row of three");
	put(s, 0, 3, "the third row of three");
	put(s, 1, 1, "the first row elsewhere");
	store_close(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
