/* Damage behind the outbox's back, and what is logged of it. */
#ifndef WAYBILL_TESTS_OUTBOX_DAMAGE_H
#define WAYBILL_TESTS_OUTBOX_DAMAGE_H

#include <fcntl.h>
#include <lmdb.h>
#include "outbox_lab.h"

/* Behind the outbox's back: other octets, or none, under a key. */
static inline void
spoil(const char *db, struct bytes key, bool remove)
{
	MDB_val k = { key.len, (void *)(uintptr_t)key.p }, v;
	uint8_t junk[64];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	memset(junk, 0x5a, sizeof(junk));
	v = (MDB_val){ sizeof(junk), junk };
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 6);
	assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, db, 0, &dbi), 0);
	if (remove)
		assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0);
	else
		assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static inline void
spoil_part(uint64_t id, enum outbox_part part, bool remove)
{
	uint8_t key[OUTBOX_KEY_LEN];

	spoil("row", outbox_key(key, id, part), remove);
}

/* Its row digest as it stands a second time. */
static inline void
spoil_tx(uint64_t id, bool remove)
{
	uint8_t key[STORE_KEY_ID_LEN];

	spoil("tx", store_key_id(key, id), remove);
}

/* What is logged from here to there. */
static int listen_old = -1, listen_fd = -1;

static inline void
listen_start(void)
{
	AUTO(char) path = path_join(dir, "log");

	listen_old = dup(2);
	listen_fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
	dup2(listen_fd, 2);
}

static inline void
listen_end(struct buf *log)
{
	AUTO(char) path = path_join(dir, "log");
	struct err e = ERR_INIT;

	dup2(listen_old, 2);
	close(listen_old);
	close(listen_fd);
	buf_done(log);
	assert_int_equal(file_read(path, 65536, log, &e), 0);
	buf_cstr(log);
}

static inline void
open_listening(struct buf *log)
{
	listen_start();
	open_box();
	listen_end(log);
}

static inline unsigned
alarms(const struct buf *log)
{
	const char *p = (const char *)log->data;
	unsigned n = 0;

	while ((p = p != NULL ? strstr(p, "event=outbox.damaged") : NULL) !=
	    NULL) {
		n++;
		p++;
	}
	return n;
}

static inline int
junk_job(struct store_txn *t, void *arg, struct err *e)
{
	uint8_t key[OUTBOX_KEY_LEN];

	return store_put(t, DB_ROW,
	    outbox_key(key, *(uint64_t *)arg, PART_ENTRY), text("junk"), e);
}

static inline int
junk_octets_job(struct store_txn *t, void *arg, struct err *e)
{
	uint8_t key[OUTBOX_KEY_LEN];

	return store_put(t, DB_ROW,
	    outbox_key(key, *(uint64_t *)arg, PART_OCTETS), text("junk"), e);
}

#endif
