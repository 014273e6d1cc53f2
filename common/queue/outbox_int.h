/*
 * Inside of the outbox, for outbox*.c and their tests alone.
 *
 *  outbox.c          open, close, and what readers ask for
 *  outbox_row.c      rows, and how they are written
 *  outbox_words.c    the user's words in the store's head
 *  outbox_upgrade.c  stores of older releases
 *  outbox_survey.c   the walk at open: finds what is missing or damaged
 *  outbox_accept.c   a new entry
 *  outbox_move.c     events, and the one way a row changes
 *  outbox_hold.c     holds and releases; a header signed anew
 *  outbox_own.c      entries on our own account: withdraw, audit
 *  outbox_batch.c    a service's word
 *  outbox_prune.c    what ended long ago
 *  outbox_reference.c  what services want known while the link is down
 *  outbox_renew.c    suspension, and a new beginning
 *  outbox_trail.c    the last audit records' hashes
 *  outbox_index.c    what is kept in memory: slots, and how they change
 *  outbox_change.c   the same: what a job changes, and how it is undone or told
 *  outbox_device.c   the same: devices and vendors
 *  outbox_name.c     the same: by row digest
 *  outbox_pick.c     the same: what may leave, is due, matches
 */
#ifndef WAYBILL_QUEUE_OUTBOX_INT_H
#define WAYBILL_QUEUE_OUTBOX_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include "common/queue/outbox.h"

enum outbox_db { DB_ROW, DB_TX, DB_AUDIT, DB_REFERENCE };

#define OUTBOX_VERSION 3 /* of rows and words; older: outbox_upgrade.c */
#define WATCHERS_MAX   16
#define PEERS_MAX      8
#define RECENT_WINDOW  3600 /* seconds: "an hour" of per_device_hour */

/* ---- memory: devices and vendors (outbox_device.c) -------------------- */

#define DEVICE_NONE   0
#define DEVICE_CHAINS 2

/*
 * One device in memory.  Of its digest 64 bits stand for the whole: who acts
 * on a match reads the row.  24 octets, in blocks, for there may be a million.
 */
struct device {
	uint32_t hash[2];
	uint32_t newest[DEVICE_CHAINS]; /* positions of initial slots */
	uint32_t next;			/* in its bucket */
	uint32_t open;
};

struct devices {
	struct device **blocks;
	size_t n_blocks;
	uint32_t n; /* numbers are 1 to n */
	uint32_t *buckets;
	size_t n_buckets; /* a power of two */
};

void devices_init(struct devices *d);
void devices_done(struct devices *d);
struct device *devices_at(const struct devices *d, uint32_t number);
/* Its number, or DEVICE_NONE. */
uint32_t devices_find(const struct devices *d, const struct digest *device);
/* The same, added if it is new. */
uint32_t devices_get(struct devices *d, const struct digest *device);
/* Which of its chains has entries of this kind. */
unsigned device_chain(enum entry_kind k);

#define VENDORS_MAX 4095 /* 0: none, or one too many */

struct vendor {
	char name[ENTRY_NAME_MAX];
	uint32_t open;
};

struct vendors {
	struct vendor *v; /* v[0] is none */
	size_t n;
};

/* The vendor's number; 0 for "". */
unsigned vendors_get(struct vendors *v, const char *name);
/* The same, without adding it. */
unsigned vendors_find(const struct vendors *v, const char *name);

/* ---- memory: slots (outbox_index.c) ----------------------------------- */

/* One entry: 44 octets, for there may be a million.  Times are cut at 2106. */
struct slot {
	uint32_t id;	   /* over its chunk's base */
	uint32_t parent;   /* how much older its id is; 0: none */
	uint32_t received; /* seconds */
	uint32_t deadline; /* 0: none */
	uint32_t changed;
	uint32_t device;
	uint32_t older; /* position of the device's next older initial one */
	uint32_t label; /* a hash */
	uint32_t name;	/* of its row digest, the first octets */
	uint32_t next;	/* position of another of its bucket of names */
	unsigned state : 4, kind : 3, route : 3;
	bool step : 1, initial : 1, held : 1, late : 1, left : 1;
	bool resend : 1, unsure : 1, pruned : 1;
	bool nameless : 1; /* no row digest */
	bool pending : 1;  /* changed in the transaction that is open */
	unsigned vendor : 12;
};
_Static_assert(sizeof(struct slot) <= 44, "memory a waiting entry costs");

/*
 * What may leave stands in one set of its lane: a class and a kind.  fresh
 * ones leave once, again ones after each HELLO.
 */
enum lane {
	LANE_LAST_CMP,	   /* class 0 */
	LANE_LAST_VOUCHER, /* class 0 */
	LANE_RENEWAL,	   /* class 1 */
	LANE_VOUCHER,	   /* class 2 */
	LANE_ENROL,	   /* class 3 */
	LANE_TELEMETRY,	   /* class 4 */
	LANE_AUDIT,	   /* class 4 */
	LANE__MAX
};
#define CLASSES	     5
#define SET_FRESH(l) ((unsigned)(l)*2)
#define SET_AGAIN(l) ((unsigned)(l)*2 + 1)
#define SETS	     (LANE__MAX * 2)
#define SET_NONE     SETS

/* Slots come and go by chunks; a position is chunk and place in it, and stays
 * what it is. */
#define CHUNK_BITS  12
#define CHUNK_SLOTS (1u << CHUNK_BITS)
#define POS_NONE    UINT32_MAX

struct chunk {
	uint64_t base;	     /* id of its first slot */
	uint32_t first, n;   /* those below first are gone */
	uint32_t due, ended; /* no deadline, and no end, is before that */
	uint16_t in_state[ENTRY_STATE__MAX];
	uint16_t in_set[SETS];
	uint64_t set[SETS][CHUNK_SLOTS / 64];
	struct slot v[CHUNK_SLOTS];
};

/* Slots by their row digest, but for the nameless and the pruned. */
struct names {
	uint32_t *buckets; /* positions */
	size_t n, n_buckets;
};

struct watcher {
	outbox_watch_fn fn;
	void *arg;
	struct post to;
};

/*
 * Written by the committer alone, under the lock (which is why it reads
 * without); read by other threads under the lock.  Slots are in id order.
 * Jobs change slots as they go, so that the next job of the same transaction
 * sees them, quotas too; sets, counts and watchers follow after the commit.
 */
struct outbox_index {
	pthread_mutex_t lock;
	struct chunk **chunks;
	size_t n_chunks, cap_chunks;
	uint32_t gone; /* chunks that went before them */
	struct devices devices;
	struct vendors vendors;
	struct names names;
	uint64_t open; /* with what is not committed */
	struct outbox_counts counts;
	struct watcher watchers[WATCHERS_MAX];
	size_t n_watchers;
	_Atomic unsigned renewal; /* rows of an older one are to be resent */
	bool suspended;
};

void outbox_index_init(struct outbox_index *x);
void outbox_index_done(struct outbox_index *x);
/* Forgets the entries, keeps the watchers. */
void outbox_index_reset(struct outbox_index *x);
/* At open, ids ascending. */
void outbox_index_load(struct outbox_index *x, const struct outbox_entry *en);
/* Outside of transactions. */
void outbox_index_drop(struct outbox_index *x, uint64_t below);
void outbox_index_renew(struct outbox_index *x, uint64_t below);

/* The position of the first slot with an id >= this, or POS_NONE. */
uint32_t outbox_index_from(const struct outbox_index *x, uint64_t id);
/* The position of this very id, or POS_NONE. */
uint32_t outbox_index_pos(const struct outbox_index *x, uint64_t id);
/* The next position there is, from this one on. */
uint32_t outbox_index_skip(const struct outbox_index *x, uint32_t pos);
/* NULL if that is not, or no longer, there. */
const struct slot *outbox_index_at(const struct outbox_index *x, uint32_t pos);
const struct slot *outbox_index_get(const struct outbox_index *x, uint64_t id);
uint64_t outbox_index_id(const struct outbox_index *x, uint32_t pos);
static inline struct chunk *
outbox_chunk(const struct outbox_index *x, uint32_t pos)
{
	return x->chunks[(pos >> CHUNK_BITS) - x->gone];
}

/* For outbox_change.c, under the lock: */
struct slot outbox_slot_of(
    struct outbox_index *x, const struct outbox_entry *en);
/* Behind all others; device and place in it are found here.  Its position. */
uint32_t outbox_slot_add(struct outbox_index *x, const struct outbox_entry *en,
    const struct slot *like);
void outbox_slot_replace(
    struct outbox_index *x, uint32_t pos, const struct slot *s);
/* The last one. */
void outbox_slot_remove(struct outbox_index *x, uint32_t pos);
void outbox_slot_count(struct outbox_counts *c, const struct slot *s, int by);

/* Which set it belongs to; SET_NONE. */
unsigned slot_set(const struct slot *s);
/* It awaits its answer. */
bool slot_open(const struct slot *s);
uint32_t label_hash(const char *label);

/* The device's newest initial entry of this kind below that id: its position,
 * or POS_NONE.  Another device's, once in 2^64: the row tells. */
uint32_t outbox_index_newest(const struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t below);
/* The same from any thread: its id, or 0. */
uint64_t outbox_index_before(struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t below);
/* How many of these came less than an hour before or after `now`, at most
 * max. */
unsigned outbox_index_recent(const struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t now, unsigned max);

/* ---- outbox_name.c ---------------------------------------------------- */

struct outbox_index;
void names_init(struct names *v);
void names_done(struct names *v);
bool slot_named(const struct slot *s);
/* The slot at pos, which is named, is found by its name from now on, or not
 * any more. */
void names_add(struct outbox_index *x, uint32_t pos);
void names_remove(struct outbox_index *x, uint32_t pos);
uint32_t name_hash(const struct digest *row);
/* From any thread: the highest id below this one that may be of this row, or
 * 0.  Of the digest 32 bits are compared: the row tells. */
uint64_t outbox_index_named(
    struct outbox_index *x, const struct digest *row, uint64_t below);

/* ---- outbox_change.c -------------------------------------------------- */

/* In a job: adds (id over all others) or changes; undone with t. */
void outbox_index_set(
    struct outbox_index *x, struct store_txn *t, const struct outbox_entry *en);

/* ---- outbox_pick.c ---------------------------------------------------- */

/* Ids from *first on that match by what the slots tell, at most max; *first
 * becomes where to go on, 0 at the end.  Of the last ones the row may not be
 * committed.  Looks at one chunk at least, so 0 is not the end. */
size_t outbox_index_match(struct outbox_index *x, const struct outbox_filter *f,
    uint64_t *first, uint64_t *ret, size_t max);
/* Ended before that time and not pruned yet; from the front. */
size_t outbox_index_ended(
    struct outbox_index *x, uint64_t before, uint64_t *ret, size_t max);
/* The oldest entry of this lane that did not leave, or 0. */
uint64_t outbox_index_first(struct outbox_index *x, enum lane l);

/* ---- outbox_words.c --------------------------------------------------- */

struct outbox_words {
	size_t n_peers;
	struct outbox_peer peers[PEERS_MAX];
	uint64_t watermark; /* entries below it were pruned, rows and all */
	uint64_t floor;
	unsigned renewal;
	uint8_t nonce_key[OUTBOX_NONCE_KEY];
	char suspended[OUTBOX_WHY_MAX]; /* "": not */
};

/* Zeros with watermark 1 if there are none yet. */
int outbox_words_parse(
    struct bytes text, struct outbox_words *ret, struct err *e) WARN_UNUSED;
void outbox_words_format(const struct outbox_words *w, struct buf *out);
int outbox_words_read(
    struct store_txn *t, struct outbox_words *ret, struct err *e) WARN_UNUSED;
void outbox_words_write(struct store_txn *t, const struct outbox_words *w);
/* The service's mark; a new one, if there is none; NULL if there are too many.
 */
struct outbox_peer *outbox_words_peer(
    struct outbox_words *w, const char *service);

/* ---- the outbox ------------------------------------------------------- */

/* What HELLO told stays readable for who still holds it. */
struct epoch {
	uint8_t b[ENTRY_EPOCH_LEN];
	struct epoch *older;
};

#define TRAIL_RING 16384

struct outbox {
	struct store *store;
	struct outbox_index index;
	const struct signer *signer;
	char site[ENTRY_NAME_MAX];
	_Atomic(struct epoch *) epoch;
	uint8_t nonce_key[OUTBOX_NONCE_KEY];
	_Atomic uint64_t floor;
	unsigned full_percent;
	uint64_t open_room, map_size;
	unsigned per_device_hour, per_device_open, per_vendor_open, open;
	char suspended[OUTBOX_WHY_MAX]; /* under the index's lock */
	/* The committer's alone: */
	struct digest *ring; /* hash of record n at n % TRAIL_RING */
	uint64_t ring_from;  /* the oldest record in it */
	bool ring_holes;     /* some did not open */
	uint64_t telling;    /* the last record that is worth a checkpoint */
	uint64_t told;	     /* by the last checkpoint under way */
};

char *outbox_id(const struct outbox *o, char ret[ENTRY_ID_TEXT], uint64_t id);
void outbox_epoch_set(struct outbox *o, const uint8_t epoch[ENTRY_EPOCH_LEN]);

/* ---- outbox_row.c ----------------------------------------------------- */

/* Keys are an id alone or with one more octet. */
enum outbox_part { PART_ENTRY, PART_OCTETS, PART_ANSWER };
#define OUTBOX_KEY_LEN (STORE_KEY_ID_LEN + 1)
struct bytes outbox_key(
    uint8_t key[OUTBOX_KEY_LEN], uint64_t id, enum outbox_part part);

/* resend is not in it: the index knows. */
void outbox_entry_encode(const struct outbox_entry *en, struct buf *out);
int outbox_entry_decode(uint64_t id, struct bytes in, struct outbox_entry *ret,
    struct err *e) WARN_UNUSED;
void outbox_octets_encode(struct bytes octets, struct bytes wrapped,
    struct bytes header, struct bytes sig, struct buf *out);
int outbox_octets_decode(uint64_t id, struct bytes in,
    struct outbox_octets *ret, struct entry_header *ret_header,
    struct err *e) WARN_UNUSED;

bool outbox_open_state(enum entry_state s);
/* It went out, or a service has it. */
bool outbox_left(const struct outbox_entry *en);

/* 1 found, 0 absent, -1. */
int outbox_row_get(struct outbox *o, struct store_txn *t, uint64_t id,
    struct outbox_entry *ret, struct err *e) WARN_UNUSED;
/* By its row digest.  ERR_DAMAGE: it is *ret_id, and its row does not open, or
 * has vanished. */
int outbox_row_find(struct outbox *o, struct store_txn *t,
    const struct digest *row, uint64_t *ret_id, struct outbox_entry *ret,
    struct err *e) WARN_UNUSED;
int outbox_octets_get(struct store_txn *t, uint64_t id,
    struct outbox_octets *ret, struct entry_header *ret_header,
    struct err *e) WARN_UNUSED;
/* Row and memory index. */
int outbox_row_put(struct outbox *o, struct store_txn *t,
    const struct outbox_entry *en, struct err *e) WARN_UNUSED;
/* Its row digest once more, on another page than its row: who loses that is
 * still known to its device. */
int outbox_tx_put(struct store_txn *t, const struct outbox_entry *en,
    struct err *e) WARN_UNUSED;
int outbox_tx_del(struct store_txn *t, const struct outbox_entry *en,
    struct err *e) WARN_UNUSED;
/* Under a new id of the store's. */
int outbox_answer_put(struct store_txn *t, struct bytes answer, uint64_t *ret,
    struct err *e) WARN_UNUSED;
/* Fills site and epoch; signs header and writes it beside the octets. */
int outbox_octets_put(struct outbox *o, struct store_txn *t,
    struct entry_header *h, struct bytes bytes, struct bytes wrapped,
    struct err *e) WARN_UNUSED;
/* What is still known of an entry whose row is lost: a dead one of that id.
 * row: its row digest; NULL: as "tx" knows it. */
void outbox_buried(struct store_txn *t, uint64_t id, const struct digest *row,
    const char *reason, struct outbox_entry *ret);

/* ---- outbox_move.c ---------------------------------------------------- */

/* One line of the audit trail about this entry; kind: whether it is worth a
 * checkpoint. */
int outbox_audit(struct outbox *o, struct store_txn *t, uint64_t id,
    enum entry_kind kind, const char *event, const char *who,
    const char *detail, struct err *e) WARN_UNUSED;
/* An event that the table allows: state, time, row, index, and an audit record
 * if the state changes. */
int outbox_apply(struct outbox *o, struct store_txn *t, struct outbox_entry *en,
    enum entry_event ev, const char *who, const char *detail,
    struct err *e) WARN_UNUSED;
/* In the row only: outbox_apply follows. */
int outbox_own_answer(struct store_txn *t, struct outbox_entry *en,
    struct bytes answer, struct err *e) WARN_UNUSED;
/* A row that does not open becomes a dead entry, here and now. */
int outbox_bury(struct outbox *o, struct store_txn *t, uint64_t id,
    const struct digest *row, const char *why, struct outbox_entry *ret,
    struct err *e) WARN_UNUSED;
/* The alarm of it, after the commit. */
void outbox_alarm(const struct outbox *o, uint64_t id, const char *why);

/* ---- outbox_hold.c ---------------------------------------------------- */

/* Its header with today's epoch and en's deadline, signed anew. */
int outbox_sign_anew(struct outbox *o, struct store_txn *t,
    struct outbox_entry *en, const struct outbox_words *w,
    struct err *e) WARN_UNUSED;

/* ---- outbox_own.c ----------------------------------------------------- */

/* An entry of ours: kind, step 0, row and octets; id, state and header follow.
 * en->id is taken here. */
int outbox_own_put(struct outbox *o, struct store_txn *t,
    struct outbox_entry *en, struct bytes octets, const struct outbox_words *w,
    struct err *e) WARN_UNUSED;

/* ---- outbox_trail.c --------------------------------------------------- */

/* At open: the last records. */
int outbox_trail_open(
    struct outbox *o, struct store_txn *t, struct err *e) WARN_UNUSED;
void outbox_trail_add(struct outbox *o, const struct audit_record *r);
/* The number of the record with this hash, looked for after `after` and among
 * the last: 1 found, 0 there is none, -1 undecided. */
int outbox_trail_find(struct outbox *o, struct store_txn *t,
    const struct digest *hash, uint64_t after, uint64_t *ret);

/* ---- outbox_survey.c -------------------------------------------------- */

/* Fills the index from the store; buries what is missing or damaged, unless
 * the store is read-only. */
int outbox_survey(struct outbox *o, struct err *e) WARN_UNUSED;

/* ---- outbox_upgrade.c ------------------------------------------------- */

extern const struct store_upgrade outbox_upgrades[];

#endif
