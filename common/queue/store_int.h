/*
 * Inside of the store, for store*.c alone.
 *
 *  store.c         open, close, the seal secret
 *  store_head.c    the head and the plain row; what is there against them
 *  store_txn.c     a transaction, and what a job does in it
 *  store_commit.c  the committer and its batches; jobs and reads
 */
#ifndef WAYBILL_QUEUE_STORE_INT_H
#define WAYBILL_QUEUE_STORE_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <lmdb.h>
#include "common/queue/seal.h"
#include "common/queue/store.h"

/* The one plain row, in LMDB's unnamed database: store id | format. */
#define STORE_PLAIN_KEY "waybill-store"

struct job;   /* store_commit.c */
struct after; /* store_txn.c */

struct head {
	uint8_t epoch[STORE_EPOCH_LEN];
	uint64_t next;
	uint64_t rows[STORE_DB_MAX]; /* without the head itself */
	struct store_audit audit;
	size_t user_len;
	uint8_t user[STORE_USER_MAX];
};

struct store {
	char *dir;
	int owner; /* the locked file */
	MDB_env *env;
	MDB_dbi plain, dbi[STORE_DB_MAX];
	char names[STORE_DB_MAX][SEAL_DB_MAX + 1];
	unsigned n_dbs;
	size_t pages, page_size;
	bool tolerant;
	struct seal seal;
	struct head head; /* as committed; the committer's alone */
	atomic_uint used_percent;

	pthread_t committer;
	bool started;
	uint64_t readers_due; /* the committer's alone */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work, waited;
	struct job *first, **last;
	bool stop;
};

struct store_txn {
	struct store *store;
	MDB_txn *txn;
	bool writes, dirty;
	struct head head; /* of this transaction; a commit adopts it */
	struct err fault; /* of a write that failed: nothing may be committed */
	struct buf scratch;
	struct after *afters;
	size_t n_afters, cap_afters;
};

AUTO_DEFINE(MDB_cursor, MDB_cursor, mdb_cursor_close);

/* What LMDB's word means to who called. */
enum err_kind store_err_kind(int rc);

static inline int
store_err(struct err *e, const struct store *s, int rc, const char *what)
{
	return err_set(e, store_err_kind(rc), "store %s: %s: %s", s->dir, what,
	    mdb_strerror(rc));
}

static inline MDB_val
store_val(struct bytes b)
{
	return (MDB_val){ b.len, (void *)b.p };
}

/* ---- store_head.c ---------------------------------------------------- */

bool store_is_head(unsigned db, struct bytes key);
/* Between the row and t->head. */
int store_head_read(struct store_txn *t, struct err *e) WARN_UNUSED;
int store_head_write(struct store_txn *t, struct err *e) WARN_UNUSED;
/* At open: makes the rows of a new environment, else reads and checks them. */
int store_contents_open(struct store *s, struct err *e) WARN_UNUSED;

/* ---- store_txn.c ----------------------------------------------------- */

/* 0 or LMDB's word. */
int store_txn_begin(
    struct store *s, bool writes, struct store_txn *t) WARN_UNUSED;
void store_txn_abort(struct store_txn *t);
/* LMDB's part is over, and what was done holds: tells store_after's. */
void store_txn_held(struct store_txn *t);
/* t is over, whatever it returns.  -1: no room, nothing of it holds; any other
 * failure ends the process. */
int store_txn_commit(struct store_txn *t, struct err *e) WARN_UNUSED;
/* What the last commit left on the disk is not known: only the next start can
 * find out, so nobody may be told anything any more. */
_Noreturn void store_commit_died(const struct store *s, int rc);

/* ---- store_commit.c -------------------------------------------------- */

int store_committer_start(struct store *s, struct err *e) WARN_UNUSED;
/* After the jobs that wait; nothing if it was not started. */
void store_committer_stop(struct store *s);

#endif
