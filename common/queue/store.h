/*
 * One sealed LMDB environment with one writer.  The only user of <lmdb.h>.
 *
 * A committer thread takes all queued jobs as one transaction (group commit,
 * default sync: commit returned 0 means the octets are on disk) and posts
 * each result to the thread that submitted.  A job that fails aborts the
 * transaction and every job of it is tried again alone; a commit that fails
 * ends the process.  Readers run on their own thread in short read
 * transactions and see only what is committed.
 *
 * A job is not alone in its transaction: one that refuses without having
 * written anything does better to return 0 and tell the refusal in *arg, which
 * spares the others their second try.
 *
 * Every value is sealed by AES-256-GCM, AAD = store id | database | key |
 * format, so a moved, swapped or damaged row is ERR_DAMAGE.  A sealed head
 * (epoch, next id, rows per database, audit head, the user's own words) is
 * rewritten in every commit; store_open compares it with what is there.  The
 * key of id 0 in database 0, where older stores have it, belongs to the store:
 * nobody else reads, writes or is given it.
 *
 * In its folder: data.mdb and lock.mdb (LMDB's), owner (the lock), ends (when
 * the store's own trouble ended its process), next and next.mdb (what is being
 * made, and takes its place when it is whole; else removed at the next open),
 * backup-NAME.mdb, before-NAME.mdb (what a restore replaced).
 */
#ifndef WAYBILL_QUEUE_STORE_H
#define WAYBILL_QUEUE_STORE_H

#include <stdbool.h>
#include "common/base/aead.h"
#include "common/base/digest.h"
#include "common/base/post.h"

#define STORE_DB_MAX	  8
#define STORE_KEY_MAX	  64
#define STORE_VALUE_MAX	  (1024 * 1024)
#define STORE_EPOCH_LEN	  16
#define STORE_USER_MAX	  2048
#define STORE_VERSION_MAX 255

struct store;
struct store_txn;

/*
 * How rows of version `from` become those of from + 1.  Keys stay.  Made by
 * copy: the old file is what it was until the new one is whole.
 */
struct store_upgrade {
	unsigned from; /* 0 ends the table */
	/* Appends the new value to ret: 1; 0: the row is dropped; -1. */
	int (*row)(unsigned db, struct bytes key, struct bytes value,
	    struct buf *ret, struct err *e);
	/* Likewise the user's words; NULL: they stay. */
	int (*words)(struct bytes words, struct buf *ret, struct err *e);
};

struct store_conf {
	const char *dir;	      /* made with mode 0700 if absent */
	const char *const *databases; /* names, NULL-terminated, at most
					  STORE_DB_MAX; index = db below; new
					  ones are added at the end only */
	uint64_t map_size;	      /* may be another than last time */
	bool tolerant; /* a wrong number of rows is an alarm and taken over with
			  the next commit, not ERR_DAMAGE, and copies may lack
			  what does not open: for who finds and buries the
			  missing ones itself */
	/* The file of the seal secret, from which the sealing key is derived by
	 * HKDF with the label "waybill-store/1": then `key` is not looked at,
	 * and a rekey that was interrupted is finished.  NULL: the key. */
	const char *seal;
	uint8_t key[AEAD_KEY_LEN];
	/* Of the user's rows, 1 to STORE_VERSION_MAX; 0 means 1.  An older store
	 * is brought up to it at open by `upgrades`, oldest first, one for each
	 * version since; NULL: there is none. */
	unsigned version;
	const struct store_upgrade *upgrades;
	/* Nothing is written, whatever is asked for: a job that would is
	 * ERR_RETRY.  So opens a store of itself after STORE_ENDS_MAX ends of
	 * its process within STORE_ENDS_SECONDS that were its own trouble. */
	bool read_only;
};

#define STORE_ENDS_MAX	   3
#define STORE_ENDS_SECONDS 600

/*
 * Opens or makes the store: mdb_reader_check, posix_fallocate of the map file
 * after the open (every time), file and folder fsynced before return, rows per
 * database compared with the head.  NORDAHEAD; never WRITEMAP or NOSYNC.
 * ERR_DAMAGE if the head does not open (damage, or another key), rows vanished
 * or appeared (the message says how many of which), or a newer release made
 * the store (the message has its version), ERR_LOCAL else.
 * Starts the committer.
 *
 * DIR/owner is locked (flock) as long as the store is open: a second opener,
 * in this process or another, is refused with ERR_LOCAL.  Never fork while a
 * store is open: the child would hold the lock, and an environment of LMDB's
 * does not survive it.
 */
int store_open(
    const struct store_conf *c, struct store **ret, struct err *e) WARN_UNUSED;
/* Runs what is queued (every `done` is posted), then stops.  Nobody may submit
 * or read any more.  NULL is fine. */
void store_close(struct store *s);
AUTO_DEFINE(store, struct store, store_close);

/* Asked for, or by too many ends. */
bool store_read_only(const struct store *s);
/* How often the store of this folder ended its process in the last
 * STORE_ENDS_SECONDS, without opening it: read-only from STORE_ENDS_MAX on. */
unsigned store_ends(const char *dir);
/* For --check: ERR_DAMAGE if it would start read-only. */
int store_check_ends(const char *dir, struct err *e) WARN_UNUSED;

/* A secret file of at least 32 octets (made with random ones if absent and
 * create is set), mode 0600.  One that is shorter, or that others may read, is
 * ERR_CONF.  Fill an AUTO_SECRET buffer. */
int store_seal_secret(
    const char *path, bool create, struct buf *ret, struct err *e) WARN_UNUSED;

typedef int (*store_job)(struct store_txn *t, void *arg, struct err *e);
typedef void (*store_done)(void *arg, const struct err *e); /* e NULL: done */

/*
 * Queues fn to run in the committer.  fn may run more than once (a batch that
 * failed is tried again): it changes nothing but the store and *arg's results.
 * done(arg, ...) is posted to `to` after the commit.  done may be NULL.  Jobs
 * run in the order of their submission.  A commit for which there is no room
 * is ERR_RETRY, as a put; any other that fails ends the process (exit 9).
 */
void store_submit(
    struct store *s, store_job fn, store_done done, void *arg, struct post to);
/* The same, waiting; for start-up and tests, never on a loop. */
int store_submit_wait(
    struct store *s, store_job fn, void *arg, struct err *e) WARN_UNUSED;
/* Returns when what was submitted before is committed, and its done posted. */
void store_flush(struct store *s);
/* fn in a read transaction on this thread; it must not block. */
int store_read(
    struct store *s, store_job fn, void *arg, struct err *e) WARN_UNUSED;

/* ---- inside a transaction -------------------------------------------- */

/* 1: found, the plain value appended to ret (ret may be NULL); 0: absent; -1. */
int store_get(struct store_txn *t, unsigned db, struct bytes key,
    struct buf *ret, struct err *e) WARN_UNUSED;
/* Adds or replaces. ERR_RETRY if the map is full: new rows stop a few pages
 * before, so that what is there can still be changed and deleted.  After a put
 * or a del that failed the transaction is lost: fn returns -1. */
int store_put(struct store_txn *t, unsigned db, struct bytes key,
    struct bytes value, struct err *e) WARN_UNUSED;
/* A row that is absent is fine. */
int store_del(struct store_txn *t, unsigned db, struct bytes key,
    struct err *e) WARN_UNUSED;
/* Calls fn for each row from the first key >= from, until it returns non-zero
 * (1: enough, -1: error).  A row that does not open is given with
 * damaged = true and an empty value.  0 at the end and at "enough".  fn may
 * change the database, if the transaction writes. */
typedef int (*store_visit)(struct bytes key, struct bytes value, bool damaged,
    void *arg, struct err *e);
int store_walk(struct store_txn *t, unsigned db, struct bytes from,
    store_visit fn, void *arg, struct err *e) WARN_UNUSED;
/* The same over all rows of a database in a read transaction, fast: only rows
 * that wants() asks for are opened, others are given with an empty value. */
int store_scan(struct store_txn *t, unsigned db,
    bool (*wants)(struct bytes key, void *arg), store_visit fn, void *arg,
    struct err *e) WARN_UNUSED;
/* The next id of this store: 1, 2, ... never reused once committed. */
uint64_t store_take_id(struct store_txn *t);
uint64_t store_peek_id(struct store_txn *t);
const uint8_t *store_epoch(const struct store_txn *t);
/* The user's words in the head: replaced whole, at most STORE_USER_MAX. */
struct bytes store_user(const struct store_txn *t);
void store_set_user(struct store_txn *t, struct bytes words);

/* fn(arg, true) in the committer after the commit, before any `done`, first
 * registered first; or fn(arg, false), last registered first, if the
 * transaction was given up: for memory indexes that jobs change as they go.
 * Never in a read transaction. */
void store_after(
    struct store_txn *t, void (*fn)(void *arg, bool committed), void *arg);

/* The audit chain's head in the head row; audit.c is its only user. */
struct store_audit {
	uint64_t seq;
	struct digest hash;
};
struct store_audit *store_audit_head(struct store_txn *t);

/* The head's epoch becomes a new random one.  Ids go on. */
void store_new_epoch(struct store_txn *t);

/* Pages in use of pages there are, in percent, as of the last commit: without
 * those that are free to be used again.  Any thread. */
unsigned store_used_percent(struct store *s);

/* ---- copies ---------------------------------------------------------- */

/* What stands in a store, all of it read and unsealed. */
struct store_report {
	unsigned version;
	uint8_t epoch[STORE_EPOCH_LEN];
	uint64_t next_id;
	struct {
		char name[33];
		uint64_t rows, expected; /* there; by the head */
		uint64_t damaged;	 /* of rows: do not open */
	} db[STORE_DB_MAX];
	unsigned n_dbs;
	struct store_audit audit; /* the head */
	uint64_t records;	  /* of the audit chain; 0: it does not hold */
	uint64_t octets;	  /* of the pages in use */
	char trouble[200];	  /* the first one; "": sound */
};

/*
 * A live copy, backup-NAME.mdb in the store's folder, then opened, every value
 * unsealed and the audit chain verified.  Returns at once: a thread of the
 * store's own works, while others read and write; the pages that the copy holds
 * are not reused meanwhile.  One at a time, else ERR_RETRY; so is a disk without
 * room.  ERR_INPUT for a name that is taken, or not 1 to 40 of a-z, A-Z, 0-9
 * and '-'.  A copy that does not open is removed (ERR_DAMAGE); one with
 * trouble in it, which the store then has too, is kept: see the report.
 * The secret that seals it is not in it.
 */
struct store_backup {
	const char *name; /* borrowed until done */
	/* out */
	char *path; /* malloc'd, for the caller to free; NULL: none was made */
	struct store_report report;
	void *user;
};
void store_backup(struct store *s, struct store_backup *b,
    void (*done)(struct store_backup *b, const struct err *e), struct post to);

/*
 * What follows is for commands, and needs the whole store for itself: ERR_LOCAL
 * while it is open.  All take long with a large store.
 *
 * fn in a read transaction of the file (NULL: the store's own), which is not
 * changed and may be of an older version.  Another file than the store's own
 * may be looked at while the store is open.
 */
int store_look(const struct store_conf *c, const char *file, store_job fn,
    void *arg, struct err *e) WARN_UNUSED;
/*
 * Reads all of it.  0 and a report without trouble: sound.  ERR_DAMAGE with the
 * first trouble in its words; of the report what was read until then.
 */
int store_check(const struct store_conf *c, const char *file,
    struct store_report *ret, struct err *e) WARN_UNUSED;
/*
 * A copy takes the place of the store: it is made in DIR/next, checked as
 * store_check does, given to prepare (which may open and change the store in
 * that folder, and closes it again) and put in place by one rename.  What was
 * there is kept as before-NAME.mdb, NAME as that of a backup.  If anything
 * fails, c->dir is as it was.
 */
typedef int (*store_prepare)(const char *dir, void *arg, struct err *e);
int store_restore(const struct store_conf *c, const char *file,
    const char *name, store_prepare prepare, void *arg,
    struct store_report *ret, struct err *e) WARN_UNUSED;
/* Copied without what is empty, and put in place.  Rows that do not open stay
 * behind if the store is tolerant, and ret counts them; else ERR_DAMAGE. */
int store_compact(
    const struct store_conf *c, uint64_t *ret_lost, struct err *e) WARN_UNUSED;
/*
 * The same under a new secret, which takes the place of c->seal.  In this order:
 * SEAL.next, the copy, its rename, the rename of SEAL.next; store_open finishes
 * what was interrupted.
 */
int store_rekey(
    const struct store_conf *c, uint64_t *ret_lost, struct err *e) WARN_UNUSED;

#define STORE_KEY_ID_LEN 8
/* id as 8 octets big-endian. */
struct bytes store_key_id(uint8_t key[STORE_KEY_ID_LEN], uint64_t id);
/* Of the first 8 octets; 0 if there are fewer. */
uint64_t store_key_to_id(struct bytes key);

#endif
