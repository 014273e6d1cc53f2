/*
 * The site's one store of entries.  What the registrar commits, reads and is
 * told; knows entries by kind, no protocol.
 *
 * All outbox_submit-like calls are asynchronous: the job runs in the store's
 * committer, `done` is posted to the caller's thread after the commit.  Reads
 * are synchronous, short, and see only what is committed.
 *
 * Databases: "row" (id: the entry's changing part; id | 1: its octets; the id
 * of a late value | 2: an answer), "tx" (row digest -> id), "audit".
 */
#ifndef WAYBILL_QUEUE_OUTBOX_H
#define WAYBILL_QUEUE_OUTBOX_H

#include "common/queue/audit.h"
#include "common/queue/batch.h"
#include "common/queue/entry.h"
#include "common/queue/store.h"

struct outbox;

struct outbox_conf {
	struct store_conf store; /* databases are filled in by outbox_open */
	const char *site;
	/* Signs entry headers; outlives the outbox. */
	const struct signer *signer;
	unsigned full_percent; /* admission stops here: 85 */
	/* Initial requests of one device and kind: 16; 0: no limit. */
	unsigned per_device_hour;
};

/* Opens, walks all ids (memory indexes are rebuilt; a missing or damaged id
 * becomes dead with an alarm). */
int outbox_open(const struct outbox_conf *c, struct outbox **ret,
    struct err *e) WARN_UNUSED;
void outbox_close(struct outbox *o);
/* Returns when all that was submitted before is committed and posted: for an
 * orderly end, never on a loop that runs. */
void outbox_flush(struct outbox *o);
const uint8_t *outbox_epoch(const struct outbox *o);

/* ---- reading --------------------------------------------------------- */

/* The changing part of an entry. */
struct outbox_entry {
	uint64_t id;
	enum entry_kind kind;
	unsigned step;
	enum entry_state state;
	bool initial; /* counts and supersedes by device */
	struct digest row, device, digest;
	char label[80];	      /* for people: the device's serial number */
	uint64_t parent;      /* step > 0: the entry it belongs to */
	uint64_t replaces;    /* older entry of the same device, or 0 */
	uint64_t replaced_by; /* newer one, or 0 */
	bool held;
	char held_who[64], held_why[160];
	uint64_t held_since;
	struct stamp received;
	uint64_t deadline;     /* 0: none */
	uint64_t changed;      /* time of the last state change */
	unsigned handouts;     /* copies that left */
	char carrier[40];      /* of the last one: "link ra" */
	uint64_t answer_value; /* id under which the answer stands, 0: none */
	enum batch_code answer_code; /* 0: none; or made here (see reason) */
	bool late;		     /* withdrawn, then answered */
	char reason[200];	     /* of an end: "superseded", ... */
};

/* 1 found, 0 absent, -1. */
int outbox_find(struct outbox *o, const struct digest *row,
    struct outbox_entry *ret, struct err *e) WARN_UNUSED;
int outbox_get(struct outbox *o, uint64_t id, struct outbox_entry *ret,
    struct err *e) WARN_UNUSED;

/* The newest initial entry of this device and kind: 1 found, 0 none, -1. */
int outbox_newest(struct outbox *o, enum entry_kind kind,
    const struct digest *device, struct outbox_entry *ret,
    struct err *e) WARN_UNUSED;
/* The same device's next older one of that kind, likewise; ret may be than. */
int outbox_older(struct outbox *o, const struct outbox_entry *than,
    struct outbox_entry *ret, struct err *e) WARN_UNUSED;

/* An entry's octets.  All owned; any may be empty. */
struct outbox_octets {
	struct buf bytes;   /* the device's, as received */
	struct buf wrapped; /* what travels (CMP: nested); empty: bytes do */
	struct buf header, sig;
	struct facts facts;
};
void outbox_octets_done(struct outbox_octets *x);
int outbox_octets(struct outbox *o, uint64_t id, struct outbox_octets *ret,
    struct err *e) WARN_UNUSED;
/* The stored answer, appended to ret; ERR_WAITING if there is none. */
int outbox_answer(struct outbox *o, const struct outbox_entry *en,
    struct buf *ret, struct err *e) WARN_UNUSED;

/* Entries in id order from first, at most max. */
typedef void (*outbox_visit)(const struct outbox_entry *en, void *arg);
int outbox_list(struct outbox *o, uint64_t first, size_t max, outbox_visit fn,
    void *arg, struct err *e) WARN_UNUSED;
int outbox_history(struct outbox *o, uint64_t id, size_t max, audit_visit fn,
    void *arg, struct err *e) WARN_UNUSED;
struct outbox_counts {
	uint64_t by_state[ENTRY_STATE__MAX];
	uint64_t held, late;
	uint64_t next_id; /* the id that the next entry would get */
	unsigned used_percent;
};
void outbox_count(struct outbox *o, struct outbox_counts *ret);

/* ---- accepting ------------------------------------------------------- */

struct outbox_accept {
	/* in; octets are borrowed until done */
	enum entry_kind kind;
	unsigned step;
	struct digest row;
	struct digest device; /* with initial set: supersedes the device's older
				 unanswered initial entry of the same kind
				 (DECISIONS 6) */
	bool initial;
	struct bytes bytes, wrapped;
	const struct facts *facts;
	const char *label;
	struct stamp received;
	uint64_t deadline;
	uint64_t parent; /* with step 1: moved by ENTRY_EV_CONFIRM in the same
			    transaction (DECISIONS 15); its reason is set to
			    parent_reason if not NULL */
	const char *parent_reason;
	struct bytes answer; /* empty, or the answer that it comes with, proven
				by its own signature, which the caller has
				verified: it is answered in the same
				transaction and never leaves */
	/* out */
	bool replay; /* these octets were accepted before */
	struct outbox_entry entry;
	uint64_t superseded; /* id that this one replaced, 0: none */
	void *user;	     /* the caller's */
};

/*
 * Stores as queued (received and admitted in one transaction), header signed.
 * Same row and same digest: replay, nothing is written.  Same row, other
 * digest: ERR_POLICY with failInfo transactionIdInUse.  Over full_percent or
 * over per_device_hour: ERR_RETRY (systemUnavail); a later step passes, since
 * finishing comes before starting.  A later step whose parent cannot be
 * confirmed: ERR_POLICY with failInfo badRequest; a parent that was answered
 * is delivered and confirmed at once (certConf implies delivery).
 */
void outbox_accept(struct outbox *o, struct outbox_accept *a,
    void (*done)(struct outbox_accept *a, const struct err *e), struct post to);

/* ---- moving ---------------------------------------------------------- */

/*
 * One event on some entries.  An entry for which the table refuses the event
 * is left as it is and does not fail the others: refused counts them.  So are
 * HANDOUT and EXPIRE of a held entry, EXPIRE while the clock is unknown, and
 * REFUSE of one that has been queued: only a service's word ends it then.
 * DELIVER of a delivered one counts as moved, and writes nothing unless its
 * carrier is another.
 */
struct outbox_move {
	enum entry_event event; /* HANDOUT, DELIVER, CONFIRM, WITHDRAW, EXPIRE,
				   REFUSE, DIE */
	uint64_t ids[64];
	size_t n;
	/* Borrowed until done.  carrier becomes the entry's at HANDOUT and
	 * DELIVER, reason at all others, if not NULL. */
	const char *carrier;
	const char *reason;
	const char *who; /* NULL: the registrar */
	/* out */
	size_t refused;
	bool moved[64];
	void *user;
};
void outbox_move(struct outbox *o, struct outbox_move *m,
    void (*done)(struct outbox_move *m, const struct err *e), struct post to);

/*
 * A service's batch whose signature, service, site and epoch the caller has
 * verified, with the octets of its answers verified too (empty where it has
 * none).  Each item moves its entry if the digest agrees; else an alarm is
 * logged and counted, and nothing changes.  A withdrawn entry keeps the octets
 * as late.  Advances the high-water mark of that service when seq is the next.
 */
struct outbox_batch {
	const struct batch *batch;   /* borrowed until done */
	const struct bytes *answers; /* batch->n of them; borrowed */
	/* Items that failed the caller's check; NULL: none. */
	const bool *skip;
	/* out */
	size_t moved, ignored, alarms;
	uint64_t seq_high;
	void *user;
};
void outbox_batch(struct outbox *o, struct outbox_batch *b,
    void (*done)(struct outbox_batch *b, const struct err *e), struct post to);

/* The highest gapless (epoch, seq) seen of a service; zeros if none. */
struct outbox_peer {
	char service[ENTRY_NAME_MAX];
	uint8_t epoch[ENTRY_EPOCH_LEN];
	uint64_t seq;
};
int outbox_peer(struct outbox *o, const char *service, struct outbox_peer *ret,
    struct err *e) WARN_UNUSED;

/*
 * A line of the audit trail about an entry (0: about none) that changes
 * nothing else: what a device reported, what was judged.  Texts are borrowed
 * until done, which may be NULL.
 */
struct outbox_note {
	uint64_t id;
	const char *event, *who, *detail;
	void *user;
};
void outbox_note(struct outbox *o, struct outbox_note *n,
    void (*done)(struct outbox_note *n, const struct err *e), struct post to);

/* ---- sending --------------------------------------------------------- */

/* The oldest ids > after of this kind that may leave: queued, or in flight
 * (offered again after each HELLO), not held; a step > 0 only when its parent
 * has an answer.  Returns how many of max. From memory. */
size_t outbox_sendable(struct outbox *o, unsigned kinds_mask, uint64_t after,
    bool inflight_too, uint64_t *ret, size_t max);

/* fn(arg, id, row, state) is posted to `to` after every commit that changed an
 * entry's state.  At most 16 watchers. */
typedef void (*outbox_watch_fn)(
    void *arg, uint64_t id, const struct digest *row, enum entry_state state);
void outbox_watch(
    struct outbox *o, outbox_watch_fn fn, void *arg, struct post to);

#endif
