/* The audit trail: every decision and state change appends a record whose
 * hash covers the one before it (schemas/entry.cddl). */
#ifndef WAYBILL_QUEUE_AUDIT_H
#define WAYBILL_QUEUE_AUDIT_H

#include "common/base/clock.h"
#include "common/queue/store.h"

struct audit_record {
	uint64_t seq;
	struct stamp when;
	uint64_t id;	  /* the entry, 0: none */
	char event[32];	  /* "accepted", "answered", ... */
	char who[64];	  /* "registrar", "service ra", "uid 1000" */
	char detail[200]; /* printable */
	struct digest previous, hash;
};

/* Appends; db is the store's audit database.  seq, when, previous and hash
 * are filled in; what is not printable in the texts becomes '?'. */
int audit_append(struct store_txn *t, unsigned db, struct audit_record *r,
    struct err *e) WARN_UNUSED;
/* Records of one entry (id 0: all), oldest first, at most max.  One that does
 * not open may be anybody's: it is given with seq and this event.
 * Reads the whole trail: for people, not for loops. */
#define AUDIT_DAMAGED "damaged"
typedef void (*audit_visit)(const struct audit_record *r, void *arg);
int audit_list(struct store_txn *t, unsigned db, uint64_t id, size_t max,
    audit_visit fn, void *arg, struct err *e) WARN_UNUSED;
/* Records from this number on, likewise; reads these alone. */
int audit_page(struct store_txn *t, unsigned db, uint64_t first, size_t max,
    audit_visit fn, void *arg, struct err *e) WARN_UNUSED;
/* Walks the chain; ERR_DAMAGE names the first record that does not hold. */
int audit_verify(struct store_txn *t, unsigned db, uint64_t *ret_records,
    struct err *e) WARN_UNUSED;

/* The same walk in pages, for who must do other things in between: a chain as
 * far as it holds; empty ({0}) at its beginning. */
struct audit_chain {
	uint64_t seq;	    /* of the last record that holds */
	struct digest hash; /* its */
	char trouble[120];  /* names the first that does not; "": none so far */
};
/* The next record; after trouble none is looked at. */
void audit_follow(struct audit_chain *c, const struct audit_record *r);
/* All there is was followed: does it end in the head's record? */
void audit_follow_end(struct audit_chain *c, const struct store_audit *head);

/* Appends the record's CBOR text, whose SHA-256 is its hash: who has the texts
 * can verify the chain without us. */
void audit_text(const struct audit_record *r, struct buf *out);

#endif
