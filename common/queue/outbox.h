/*
 * The site's one store of entries.  What the registrar commits, reads and is
 * told; knows entries by kind, no protocol.
 *
 * All outbox_submit-like calls are asynchronous: the job runs in the store's
 * committer, `done` is posted to the caller's thread after the commit; it may
 * be NULL where that is said.  Reads are synchronous, short, and see only what
 * is committed.
 *
 * Databases: "row" (id: the entry's changing part; id | 1: its octets; the id
 * of a value | 2: an answer), "tx" (id: the row digest again), "audit".  What
 * is not an entry's stands in the head's user words (schemas/entry.cddl).
 *
 * Open is what awaits its answer: received, queued, in flight, custody.
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
	/* Octets that an open entry will still take, for its answer, what
	 * confirms it and the records of both: counted as used at admission.
	 * 0: none. */
	uint64_t open_room;
	/* Quotas; 0: none.  per_device_hour counts initial requests of one
	 * device and kind; the others what is open, without later steps and
	 * without what we ask on our own account (withdraw, audit): of a
	 * device, all kinds together, of a vendor, and in all. */
	unsigned per_device_hour, per_device_open, per_vendor_open, open;
};
/* What the store of any outbox has: databases, version, upgrades.  For who
 * looks at one, or copies it, without opening the outbox. */
void outbox_store_conf(struct store_conf *ret);

/*
 * Opens, walks all ids (memory indexes are rebuilt; a missing or damaged row
 * becomes a dead entry with an alarm, and so does an entry whose octets or
 * answer are missing; octets and answers themselves are not opened).  Takes
 * about a second for 100 000 entries.  Raises the clock's floor to the store's.
 */
int outbox_open(const struct outbox_conf *c, struct outbox **ret,
    struct err *e) WARN_UNUSED;
void outbox_close(struct outbox *o);
/* Returns when all that was submitted before is committed and posted: for an
 * orderly end, never on a loop that runs. */
void outbox_flush(struct outbox *o);
/* ENTRY_EPOCH_LEN octets, valid until close; after outbox_renew another. */
const uint8_t *outbox_epoch(const struct outbox *o);
/* OUTBOX_NONCE_KEY octets for stateless nonces, random, made at the first open
 * and the same ever after, whatever seals the store. */
#define OUTBOX_NONCE_KEY 32
const uint8_t *outbox_nonce_key(const struct outbox *o);
/* The newest time that a service's signature vouched for, in steps of an hour;
 * 0: none yet. */
uint64_t outbox_floor(const struct outbox *o);

/* ---- reading --------------------------------------------------------- */

/* The changing part of an entry. */
struct outbox_entry {
	uint64_t id;
	enum entry_kind kind;
	unsigned step;
	enum entry_state state;
	bool initial; /* counts and supersedes by device */
	struct digest row, device, digest;
	char label[80]; /* for people: the device's serial number */
	char vendor[ENTRY_NAME_MAX]; /* "": not known */
	uint64_t parent; /* step > 0, or withdraw: the entry it is about */
	enum entry_kind route; /* goes to the services of this kind */
	uint64_t replaces;     /* older entry of the same device, or 0 */
	uint64_t replaced_by;  /* newer one, or 0 */
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
	bool late; /* withdrawn, and there is an answer of a service */
	uint64_t late_value; /* under which that stands: never delivered */
	bool resend;	     /* open when the outbox was renewed, and not
				handed out since: its header is of an older
				epoch */
	bool unsure;	     /* custody of an older epoch, handed out in this
				one, no receipt since: offered after HELLO */
	unsigned renewal;    /* outbox_renew's before its header was signed */
	bool pruned;	     /* its octets, answers and row name are gone */
	char reason[200];    /* of an end: "superseded", ... */
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
/* A service's answer to what had been withdrawn, likewise: for people. */
int outbox_late(struct outbox *o, const struct outbox_entry *en,
    struct buf *ret, struct err *e) WARN_UNUSED;

/* Entries in id order from first, at most max. */
typedef void (*outbox_visit)(const struct outbox_entry *en, void *arg);
int outbox_list(struct outbox *o, uint64_t first, size_t max, outbox_visit fn,
    void *arg, struct err *e) WARN_UNUSED;
/* Those that match all that is set; the rows of others are not read. */
struct outbox_filter {
	unsigned states;       /* 1u << enum entry_state; 0: all */
	unsigned kinds;	       /* 1u << enum entry_kind; 0: all */
	uint64_t older;	       /* received before this time; 0: whenever */
	const char *label;     /* exactly this one; NULL: any */
	bool held, late, left; /* only those; left: sent, also in the past */
};
/* outbox_list of those.  ret_next (may be NULL): from where the next page
 * goes on, 0: there is none. */
int outbox_select(struct outbox *o, const struct outbox_filter *f,
    uint64_t first, size_t max, outbox_visit fn, void *arg, uint64_t *ret_next,
    struct err *e) WARN_UNUSED;
/* Not held, not left, deadline before now (seconds): their ids, at most max.
 * From memory. */
size_t outbox_due(struct outbox *o, uint64_t now, uint64_t *ret, size_t max);
int outbox_history(struct outbox *o, uint64_t id, size_t max, audit_visit fn,
    void *arg, struct err *e) WARN_UNUSED;
struct outbox_counts {
	uint64_t by_state[ENTRY_STATE__MAX];
	uint64_t held, late, resend;
	uint64_t open;	  /* as the quota counts */
	uint64_t next_id; /* the id that the next entry would get */
	unsigned used_percent;
};
void outbox_count(struct outbox *o, struct outbox_counts *ret);
/* The audit chain's head as committed. */
int outbox_audit_head(
    struct outbox *o, struct store_audit *ret, struct err *e) WARN_UNUSED;

/* audit_page of its trail, at most 1000; the visits come when its transaction has ended. */
int outbox_audit_page(struct outbox *o, uint64_t first, size_t max,
    audit_visit fn, void *arg, struct err *e) WARN_UNUSED;

/* store_read_only and store_backup of its store. */
bool outbox_read_only(const struct outbox *o);
void outbox_backup(struct outbox *o, struct store_backup *b,
    void (*done)(struct store_backup *b, const struct err *e), struct post to);

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
	const char *vendor; /* for the quota and for people; may be NULL */
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
 * over a quota, which the message names: ERR_RETRY (systemUnavail); a later
 * step passes, since finishing comes before starting, and what it supersedes
 * makes room for a request.  While suspended nothing new is accepted:
 * ERR_RETRY.  A row that does not open becomes dead here and now.  A later step whose parent cannot be
 * confirmed: ERR_POLICY with failInfo badRequest; a parent that was answered
 * is delivered and confirmed at once (certConf implies delivery).
 */
void outbox_accept(struct outbox *o, struct outbox_accept *a,
    void (*done)(struct outbox_accept *a, const struct err *e), struct post to);

/* ---- moving ---------------------------------------------------------- */

/*
 * One event on some entries.  An entry for which the table refuses the event
 * is left as it is and does not fail the others: refused counts them.  So are
 * HANDOUT and EXPIRE of a held entry, EXPIRE while the clock's quality is below
 * CLOCK_RTC, and REFUSE of one that has been queued: only a service's word ends
 * it then.  DELIVER of a delivered one counts as moved, and writes nothing
 * unless its carrier is another.  HANDOUT of one to be resent signs its header
 * anew and clears that mark.
 *
 * An entry whose row does not open (for HANDOUT that signs: whose octets) dies
 * of any event, with an alarm, and is counted as refused; but for DIE, which
 * it is counted as moved by.
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
	/* NULL or n of them, borrowed until done: with EXPIRE, REFUSE, WITHDRAW
	 * and DIE what is not empty is stored as the answer, in the same
	 * transaction, answer_code BATCH_REFUSED.  A service's that was there
	 * is kept as late. */
	const struct bytes *answers;
	/* out */
	size_t refused;
	bool moved[64];
	void *user;
};
void outbox_move(struct outbox *o, struct outbox_move *m,
    void (*done)(struct outbox_move *m, const struct err *e), struct post to);

/*
 * Puts on hold what has not left (received, queued), or releases it: the flag,
 * who, why and since.  Others are counted as refused.  What is held already, or
 * not held, counts as moved, and nothing is written.  Audited ("held",
 * "released").  At its release an entry's deadline moves on by the time it was
 * held, and its header is signed anew; if the clock was not known at one end
 * (quality none), its whole term begins again.  done may be NULL.
 */
struct outbox_hold {
	uint64_t ids[64];
	size_t n;
	bool hold;
	const char *who, *why; /* borrowed until done */
	/* out */
	size_t refused;
	bool moved[64];
	void *user;
};
void outbox_hold(struct outbox *o, struct outbox_hold *h,
    void (*done)(struct outbox_hold *h, const struct err *e), struct post to);

/*
 * Gives up an entry.  What has not left is withdrawn, and that is all.  What
 * has left, or was answered, is withdrawn, and in the same transaction an
 * entry of kind withdraw is queued for the services of its kind: parent is the
 * id, the octets are CBOR ["waybill-withdraw/1", epoch of that entry's header,
 * id, digest of its octets, reason].  ERR_RETRY for this while suspended.  For
 * which the table has no such edge: withdrawn is false, and nothing happens.
 */
struct outbox_withdraw {
	/* in; borrowed until done */
	uint64_t id;
	const char *who, *why;
	struct bytes answer; /* stored as the entry's, as in outbox_move */
	/* out */
	bool withdrawn;
	uint64_t entry; /* id of the withdraw entry, 0: it had not left */
	void *user;
};
void outbox_withdraw(struct outbox *o, struct outbox_withdraw *w,
    void (*done)(struct outbox_withdraw *w, const struct err *e),
    struct post to);

/*
 * Queues an entry of kind audit whose octets are CBOR ["waybill-checkpoint/1",
 * seq, hash, time] of the audit head, unless nothing was recorded since the
 * last one that is under way or countersigned but records of such entries
 * themselves, or the outbox is suspended.  An older one that never left is
 * withdrawn.  done may be NULL.
 */
struct outbox_checkpoint {
	uint64_t id; /* out; 0: there was nothing to tell */
	void *user;
};
void outbox_checkpoint(struct outbox *o, struct outbox_checkpoint *c,
    void (*done)(struct outbox_checkpoint *c, const struct err *e),
    struct post to);

/*
 * Of entries that ended (confirmed, refused, expired, withdrawn, dead) before
 * that time, at most max and 1000: octets, answers and row name are dropped; the row
 * too, once no older id has one.  For a late answer the time is when it came.
 * Nothing while the clock's quality is below CLOCK_RTC.  done may be NULL.
 */
struct outbox_prune {
	uint64_t before; /* seconds since 1970 */
	size_t max;
	size_t n; /* out: entries pruned */
	void *user;
};
void outbox_prune(struct outbox *o, struct outbox_prune *p,
    void (*done)(struct outbox_prune *p, const struct err *e), struct post to);

/*
 * From now on outbox_accept of anything new is ERR_RETRY and nothing is
 * sendable, until outbox_renew; also after a restart.  Audited ("suspended").
 * The first reason stays.  done(user, e) may be NULL.
 */
#define OUTBOX_WHY_MAX 160
void outbox_suspend(struct outbox *o, const char *why,
    void (*done)(void *user, const struct err *e), void *user, struct post to);
bool outbox_suspended(struct outbox *o, char why[OUTBOX_WHY_MAX]);
/*
 * The outbox begins again: a new epoch; every open entry is to be resent, its
 * header signed anew with the next HANDOUT; what was heard of services is
 * forgotten, but for their names; a suspension is lifted.  Audited ("renewed").
 * who is borrowed until done, which may be NULL.
 */
void outbox_renew(struct outbox *o, const char *who,
    void (*done)(void *user, const struct err *e), void *user, struct post to);

/*
 * A service's batch whose signature, service, site and epoch the caller has
 * verified, with the octets of its answers verified too (empty where it has
 * none).  Each item moves its entry if the digest agrees; else an alarm is
 * logged and counted, and nothing changes.  A withdrawn entry keeps the octets
 * as late.  Advances the high-water mark of that service when seq is the next.
 *
 * Nobody fetches what was said about an entry of kind withdraw or audit: its
 * receipt, or its answer, moves it to confirmed at once.  The text of an answer
 * ["waybill-done/1", text] becomes its reason.
 *
 * batch->audit_seen becomes the service's countersigned head if it is one of
 * our chain's that is younger than the last; zeros are ignored; one that is not
 * in our chain is an alarm ("the audit trail was changed, or somebody has our
 * key").  The chain is searched from that service's last one on and through the
 * last 16 384 records; in a longer one what is not found stays undecided.
 * batch->time raises the clock's floor, stored in steps of an hour.
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

/* The highest gapless (epoch, seq) seen of a service; zeros if none.  At most
 * 8 services are remembered. */
struct outbox_peer {
	char service[ENTRY_NAME_MAX];
	uint8_t epoch[ENTRY_EPOCH_LEN];
	uint64_t seq;
	struct store_audit seen; /* our audit head that it countersigned */
};
int outbox_peer(struct outbox *o, const char *service, struct outbox_peer *ret,
    struct err *e) WARN_UNUSED;

/*
 * At the end of its recovery: from now on the service is known by the ledger
 * of this epoch, and batches are counted from its first one.  If it is known
 * by it already, nothing changes.  Audited ("met").  outbox_meet.c.
 */
struct outbox_meet {
	const char *service; /* borrowed until done */
	uint8_t epoch[ENTRY_EPOCH_LEN];
	void *user;
};
void outbox_meet(struct outbox *o, struct outbox_meet *m,
    void (*done)(struct outbox_meet *m, const struct err *e), struct post to);

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

/*
 * Ids that may leave, at most max: queued and to be resent; with inflight_too
 * also in flight (offered again after each HELLO) and unsure; not held; a step
 * > 0 only when its parent has an answer; of the kinds in the mask (1u <<
 * kind), a withdraw entry under its route.  None while suspended.
 *
 * By class: 0 withdrawals and later steps, 1 renewals (cmp, not initial),
 * 2 vouchers, 3 new enrolments, 4 telemetry and audit; in a class oldest
 * first.  after: only what comes behind this id in that order (0, or an id
 * that is not there: all).  From memory; does not grow with what has left.
 */
size_t outbox_sendable(struct outbox *o, unsigned kinds_mask, uint64_t after,
    bool inflight_too, uint64_t *ret, size_t max);

/* fn(arg, id, row, state) is posted to `to` after every commit that changed an
 * entry's state, or released what was held.  At most 16 watchers. */
typedef void (*outbox_watch_fn)(
    void *arg, uint64_t id, const struct digest *row, enum entry_state state);
void outbox_watch(
    struct outbox *o, outbox_watch_fn fn, void *arg, struct post to);

/*
 * A piece of reference data of a service, verified by the caller, in place of
 * what there is under this name; all of it in one commit.  No octets: it is
 * given up.  Borrowed until done.
 */
#define OUTBOX_REFERENCE_NAME 65 /* octets of its name, with the NUL */
struct outbox_reference {
	const char *service, *name;
	struct bytes manifest, sig; /* at most 1024 octets each */
	struct bytes octets;	    /* at most 16 MiB */
	void *user;
};
void outbox_reference(struct outbox *o, struct outbox_reference *x,
    void (*done)(struct outbox_reference *x, const struct err *e),
    struct post to);
/* All that is there, at start; borrowed by fn.  Rows that are damaged are
 * missing in it: who uses it verifies it anew. */
int outbox_references(struct outbox *o,
    void (*fn)(const struct outbox_reference *x, void *arg), void *arg,
    struct err *e) WARN_UNUSED;

#endif
