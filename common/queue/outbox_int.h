/*
 * Inside of the outbox, for outbox*.c and their test alone.
 *
 *  outbox.c         open, close, rows and what readers ask for
 *  outbox_survey.c  the walk at open: finds what is missing or damaged
 *  outbox_accept.c  a new entry
 *  outbox_move.c    events, and the one way a row changes
 *  outbox_batch.c   a service's word
 *  outbox_index.c   what is kept in memory
 */
#ifndef WAYBILL_QUEUE_OUTBOX_INT_H
#define WAYBILL_QUEUE_OUTBOX_INT_H

#include <pthread.h>
#include "common/queue/outbox.h"

enum outbox_db { DB_ROW, DB_TX, DB_AUDIT };

#define SLOT_NONE     UINT32_MAX
#define WATCHERS_MAX  16
#define PEERS_MAX     8
#define RECENT_WINDOW 3600 /* seconds: "an hour" of per_device_hour */

/* One entry in memory. */
struct slot {
	uint64_t id, parent, received;
	struct digest row, device;
	uint32_t older; /* the next in its bucket */
	uint8_t state, kind, step;
	bool held : 1, initial : 1, late : 1;
	bool pending : 1; /* changed in the transaction that is open */
};
_Static_assert(sizeof(struct slot) <= 128, "memory a waiting entry costs");

struct watcher {
	outbox_watch_fn fn;
	void *arg;
	struct post to;
};

/*
 * Written by the committer alone, under the lock (which is why it reads
 * without); read by other threads under the lock.  Slots are in id order.
 * Jobs change slots as they go, so that the next job of the same transaction
 * sees them; counts and watchers follow after the commit.
 */
struct outbox_index {
	pthread_mutex_t lock;
	struct slot *v;
	size_t n, cap;
	size_t low;	   /* no slot below it can leave any more */
	uint32_t *buckets; /* by device and kind: the newest initial slot */
	size_t n_buckets;  /* a power of two */
	struct outbox_counts counts;
	struct watcher watchers[WATCHERS_MAX];
	size_t n_watchers;
};

struct outbox {
	struct store *store;
	struct outbox_index index;
	const struct signer *signer;
	char site[ENTRY_NAME_MAX];
	uint8_t epoch[ENTRY_EPOCH_LEN];
	unsigned full_percent, per_device_hour;
};

/* ---- outbox_index.c -------------------------------------------------- */

void outbox_index_init(struct outbox_index *x);
void outbox_index_done(struct outbox_index *x);
/* Forgets the entries, keeps the watchers. */
void outbox_index_reset(struct outbox_index *x);
/* At open, ids ascending. */
void outbox_index_load(struct outbox_index *x, const struct outbox_entry *en);
/* In a job: adds (id over all others) or changes; undone with t. */
void outbox_index_set(
    struct outbox_index *x, struct store_txn *t, const struct outbox_entry *en);
struct slot *outbox_index_get(struct outbox_index *x, uint64_t id);
/* The device's newest initial entry of this kind, or NULL. */
const struct slot *outbox_index_newest(
    struct outbox_index *x, enum entry_kind k, const struct digest *device);
/* From any thread: the id of the newest one below that id, or 0. */
uint64_t outbox_index_before(struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t before);
/* How many of these came less than an hour before or after `now`, at most
 * max. */
unsigned outbox_index_recent(struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t now, unsigned max);
/* Ids >= first, ascending; of the last ones the row may not be committed. */
size_t outbox_index_ids(
    struct outbox_index *x, uint64_t first, uint64_t *ret, size_t max);

/* ---- outbox.c: rows -------------------------------------------------- */

/* Keys are an id alone or with one more octet. */
enum outbox_part { PART_ENTRY, PART_OCTETS, PART_ANSWER };
#define OUTBOX_KEY_LEN (STORE_KEY_ID_LEN + 1)
struct bytes outbox_key(
    uint8_t key[OUTBOX_KEY_LEN], uint64_t id, enum outbox_part part);
char *outbox_id(const struct outbox *o, char ret[ENTRY_ID_TEXT], uint64_t id);

void outbox_entry_encode(const struct outbox_entry *en, struct buf *out);
int outbox_entry_decode(uint64_t id, struct bytes in, struct outbox_entry *ret,
    struct err *e) WARN_UNUSED;
void outbox_octets_encode(struct bytes octets, struct bytes wrapped,
    struct bytes header, struct bytes sig, struct buf *out);
int outbox_octets_decode(uint64_t id, struct bytes in,
    struct outbox_octets *ret, struct entry_header *ret_header,
    struct err *e) WARN_UNUSED;

/* 1 found, 0 absent, -1. */
int outbox_row_get(struct store_txn *t, uint64_t id, struct outbox_entry *ret,
    struct err *e) WARN_UNUSED;
int outbox_tx_get(struct store_txn *t, const struct digest *row, uint64_t *ret,
    struct err *e) WARN_UNUSED;
/* Row and memory index. */
int outbox_row_put(struct outbox *o, struct store_txn *t,
    const struct outbox_entry *en, struct err *e) WARN_UNUSED;
int outbox_tx_put(struct store_txn *t, const struct outbox_entry *en,
    struct err *e) WARN_UNUSED;

/* ---- outbox_move.c --------------------------------------------------- */

/* One line of the audit trail about this entry. */
int outbox_audit(struct store_txn *t, uint64_t id, const char *event,
    const char *who, const char *detail, struct err *e) WARN_UNUSED;
/* An event that the table allows: state, time, row, index, and an audit record
 * if the state changes. */
int outbox_apply(struct outbox *o, struct store_txn *t, struct outbox_entry *en,
    enum entry_event ev, const char *who, const char *detail,
    struct err *e) WARN_UNUSED;

/* ---- outbox_survey.c ------------------------------------------------- */

/* Fills the index from the store; buries what is missing or damaged. */
int outbox_survey(struct outbox *o, struct err *e) WARN_UNUSED;

#endif
