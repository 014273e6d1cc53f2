/*
 * Inside of the store, for store*.c alone.
 *
 *  store.c         open and close
 *  store_secret.c  the seal secret, and the one that follows it
 *  store_head.c    the head; what is there against it
 *  store_plain.c   the plain row
 *  store_txn.c     a transaction, and what a job does in it
 *  store_scan.c    a walk that opens only what is asked for
 *  store_commit.c  the committer and its batches; jobs and reads
 *  store_image.c   a file that is only read, and all that stands in it
 *  store_copy.c    row by row into a new file: upgrade, compact, rekey
 *  store_backup.c  a live copy, and one put in place
 */
#ifndef WAYBILL_QUEUE_STORE_INT_H
#define WAYBILL_QUEUE_STORE_INT_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <lmdb.h>
#include "common/queue/seal.h"
#include "common/queue/store.h"

/* The one plain row, in LMDB's unnamed database: store id | version | key id.
 * No database of the user's has this name, or the next. */
#define STORE_PLAIN_KEY	 "waybill-store"
#define STORE_KEY_ID	 8
#define STORE_HEAD_KEY	 "waybill-head" /* sealed, beside it */
#define STORE_FILE	 "data.mdb"
#define STORE_NEXT	 "next"	    /* a folder, where a store is made anew */
#define STORE_PART	 "next.mdb" /* a backup before it is whole */
#define STORE_NO_DBI	 UINT_MAX   /* of an image: made by a later release */
#define STORE_SEAL_LABEL "waybill-store/1"

struct job;    /* store_commit.c */
struct after;  /* store_txn.c */
struct backup; /* store_backup.c */

struct head {
	uint8_t epoch[STORE_EPOCH_LEN];
	uint64_t next;
	uint64_t rows[STORE_DB_MAX]; /* without the head itself */
	struct store_audit audit;
	size_t user_len;
	uint8_t user[STORE_USER_MAX];
};

struct store {
	char *dir;	 /* of an image its file, for messages */
	char *seal_path; /* NULL: the key was given */
	int owner;	 /* the locked file */
	int ends;	 /* ends.h */
	bool read_only;
	bool next_key; /* sealed with the secret in SEAL.next */
	bool old_head; /* it stood in database 0 when this was opened */
	unsigned version;
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
	struct backup *backup; /* under lock */
	uint64_t readers_due;  /* the committer's alone */
	pthread_mutex_t lock;  /* of what follows */
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

AUTO_DEFINE(MDB_txn, MDB_txn, mdb_txn_abort);
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

/* ---- store.c --------------------------------------------------------- */

/* With the key of conf; nothing is open yet. */
struct store *store_new(const struct store_conf *c, struct err *e) WARN_UNUSED;
/* The file, or folder, of an environment; map_size 0: as it says itself. */
int store_env_open(struct store *s, const char *path, unsigned flags,
    uint64_t map_size, struct err *e) WARN_UNUSED;
/* DIR/owner locked, for close() to unlock; ERR_LOCAL if it is already. */
int store_own(const char *dir, int *ret_fd, struct err *e) WARN_UNUSED;

/* ---- store_secret.c -------------------------------------------------- */

/* The key of the secret in a file; the caller cleanses it. */
int store_key_read(
    const char *path, uint8_t ret[AEAD_KEY_LEN], struct err *e) WARN_UNUSED;
/* Names a key without telling it. */
void store_key_name(const uint8_t key[AEAD_KEY_LEN], uint8_t ret[STORE_KEY_ID]);
/* A new random secret in SEAL.next, whose malloc'd path is returned. */
int store_secret_next(const char *seal, char **ret, struct err *e) WARN_UNUSED;
/* If the key of SEAL.next has this name: s uses it. */
void store_try_next(struct store *s, const uint8_t name[STORE_KEY_ID]);
/* SEAL.next becomes SEAL if s uses it, else it is removed. */
int store_settle_secret(const struct store *s, struct err *e) WARN_UNUSED;

/* ---- store_plain.c --------------------------------------------------- */

/* Reads it, and sets s->seal by it: id, version, and which key.  Nothing if
 * the environment is new. */
int store_plain_read(struct store *s, struct err *e) WARN_UNUSED;
int store_plain_write(struct store *s, MDB_txn *txn, struct err *e) WARN_UNUSED;
/* No commit was ever seen here. */
bool store_is_fresh(const struct store *s);

/* ---- store_head.c ---------------------------------------------------- */

bool store_is_head(unsigned db, struct bytes key);
/* Between the row and t->head. */
int store_head_read(struct store_txn *t, struct err *e) WARN_UNUSED;
int store_head_write(struct store_txn *t, struct err *e) WARN_UNUSED;
/* Opens the unnamed database and those of the user: of one that is only read
 * those that are there. */
int store_dbis_open(struct store *s, MDB_txn *txn, struct err *e) WARN_UNUSED;
/* At open: makes the rows of a new environment, else reads and checks them. */
int store_contents_open(struct store *s, struct err *e) WARN_UNUSED;

/* ---- store_txn.c ----------------------------------------------------- */

/* 0 or LMDB's word. */
int store_txn_begin(
    struct store *s, bool writes, struct store_txn *t) WARN_UNUSED;
void store_txn_abort(struct store_txn *t);
/* LMDB's part is over, and what was done holds: tells store_after's. */
void store_txn_held(struct store_txn *t);
/* Appends what was sealed in v. */
int store_row_open(const struct store_txn *t, unsigned db, struct bytes key,
    MDB_val v, struct buf *ret, struct err *e) WARN_UNUSED;
/* t is over, whatever it returns.  -1: no room, nothing of it holds; any other
 * failure ends the process. */
int store_txn_commit(struct store_txn *t, struct err *e) WARN_UNUSED;
/* Nothing may be written: t is lost, as if the disk had no room. */
int store_shut(struct store_txn *t, struct err *e);
/* Pages that hold something. */
size_t store_pages_used(const struct store_txn *t);
/* What the last commit left on the disk is not known: only the next start can
 * find out, so nobody may be told anything any more. */
_Noreturn void store_commit_died(const struct store *s, int rc);

/* ---- store_commit.c -------------------------------------------------- */

int store_committer_start(struct store *s, struct err *e) WARN_UNUSED;
/* After the jobs that wait; nothing if it was not started. */
void store_committer_stop(struct store *s);

/* ---- store_image.c --------------------------------------------------- */

/* For store_read alone, and store_close.  It may be of an older version. */
int store_image_open(const struct store_conf *c, const char *file,
    struct store **ret, struct err *e) WARN_UNUSED;
/* All of it; trouble is told in ret. */
int store_image_report(
    struct store *s, struct store_report *ret, struct err *e) WARN_UNUSED;

/* ---- store_copy.c ---------------------------------------------------- */

/* What is in s->dir, which nobody has open, becomes of conf's version. */
int store_upgrade(const struct store_conf *c, struct err *e) WARN_UNUSED;

/* ---- store_backup.c -------------------------------------------------- */

/* Waits for one that runs. */
void store_backup_end(struct store *s);
/* What was being made in this folder's store when a process ended. */
void store_sweep(const char *dir);

#endif
