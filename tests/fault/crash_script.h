/*
 * The scripted run that crash_images cuts the power of: what it was told, put
 * into the record as marks, and what its two modes share.
 *
 * A mark is written in the `done` of a call, so whatever it says was
 * acknowledged.  States are computed from the one transition table, octets are
 * the script's own: what the store says of itself is believed nowhere.
 */
#ifndef WAYBILL_TESTS_CRASH_SCRIPT_H
#define WAYBILL_TESTS_CRASH_SCRIPT_H

#include "common/base/post.h"
#include "common/pki/sign.h"
#include "common/queue/entry.h"

#define CRASH_MAP     (4u << 20)
#define CRASH_SITE    "berlin"
#define CRASH_SERVICE "ra"
/* Names in the folder of one exploration. */
#define CRASH_ROOT    "disk"	   /* what is recorded */
#define CRASH_STORE   "store"	   /* in it */
#define CRASH_RECORD  "record"	   /* written by write_record.so */
#define CRASH_KEY     "signer.key" /* of headers and batches */
#define CRASH_CERT    "signer.crt"
#define CRASH_SEAL    "seal"

enum mark_what {
	MARK_OPEN = 1,	/* the store is open; hash: its epoch, here and again
			  when it is another */
	MARK_BEGIN,	/* op was submitted */
	MARK_ENTRY,	/* op was done, and this is an entry since */
	MARK_PEER,	/* ... the mark of the service stands at seq */
	MARK_PRUNED,	/* ... what had ended may be gone */
	MARK_SUSPENDED, /* ... nothing new is accepted (state 1), or is (0) */
	MARK_CASE,	/* ... this is a case of the ledger */
	MARK_BATCH,	/* ... batch seq of site `kind` has this hash */
	MARK_STANDING, /* ... how the ledger stands to a site (id - 1): state */
	MARK_SIGNED,   /* ... so the CA was asked: a certificate exists */
	MARK_ROW /* ... both databases have this row: hash is its value's */
};

/* What there is of it; what is not there must not be there. */
enum mark_has {
	MARK_HAS_ANSWER = 1,
	MARK_HAS_TBS = 2,
	MARK_HAS_CERT = 4,
	MARK_HAS_LATE = 8, /* an answer after its end; hash */
	MARK_IS_HELD = 16,
	MARK_IS_OURS = 32 /* made by the outbox: row and wrapping are its own */
};

struct mark {
	uint32_t what, op;
	uint64_t id;	 /* of the entry, or the case */
	uint64_t seq;	 /* of a batch; of a case: the site's id */
	uint64_t parent; /* 0: none */
	uint32_t state, kind, step, has;
	struct digest row;     /* of a case: once */
	struct digest octets;  /* what the device sent */
	struct digest wrapped; /* what travels; of a case: the certificate */
	struct digest answer;
	struct digest hash; /* of a case: what is to be signed; its tx is this
			       digest's digest */
};

struct script {
	const char *store, *seal;
	struct signer *signer;
	unsigned ops; /* how many calls are to be made */
	unsigned op;  /* how many were */
	uint64_t random;
	unsigned waiting; /* calls not done yet */
	struct post here;
};

/* 0 to n - 1, the same in every run with the same seed. */
uint64_t script_random(struct script *s, uint64_t n);
/* Octets for message `what` of this run: from least to most of them. */
struct buf script_octets(
    struct script *s, const char *what, size_t least, size_t most);
/* Notes that the next call is on its way; returns its number. */
unsigned script_begin(struct script *s);
/* First line of every done: e must be NULL. */
void script_done(struct script *s, const struct err *e);
void script_mark(const struct mark *m);
/* Until all that began is done. */
void script_wait(struct script *s);
_Noreturn void script_fail(const char *fmt, ...) PRINTF(1, 2);

void script_outbox(struct script *s);
void script_ledger(struct script *s);
void script_store(struct script *s);

/* The bare store of script_store, in its folder, as its newest release opens
 * it: rows of an older one are brought up to it. */
struct store_conf;
void script_store_conf(
    const char *dir, const char *seal, struct store_conf *ret);

#endif
