/*
 * A service's own store, behind one interface of functions, so that another back
 * end can take its place: which entries came, what was intended for them, how
 * they were answered, and what each site was told.  An entry that was stored
 * here is a `case`, numbered by the ledger.
 *
 * Writing is asynchronous: the call fills the struct's last part, then
 * done(x, e) is posted, e NULL after the commit.  The struct and what it
 * points to must live until then.  What a call refuses is told in the struct;
 * e is our own trouble.  Reading is synchronous and sees what is committed.
 *
 * A batch is made, numbered and signed in the commit that holds its news, so
 * there is no number without a batch and no news without one (DECISIONS 3).
 */
#ifndef WAYBILL_SERVICE_LEDGER_H
#define WAYBILL_SERVICE_LEDGER_H

#include "common/base/post.h"
#include "common/pki/certfacts.h"
#include "common/queue/audit.h"
#include "common/queue/batch.h"
#include "common/queue/entry.h"

struct ledger;

struct ledger_conf {
	const char *directory, *seal; /* seal: file of the sealing secret */
	uint64_t map_size;
	const char *service;	     /* our name in batches */
	const struct signer *signer; /* of batches; outlives the ledger */
};

/* What the store of any ledger has: databases, version, upgrades.  For who
 * looks at one, or copies it, without opening the ledger. */
void ledger_store_conf(struct store_conf *ret);
/*
 * An older copy of a ledger, before it takes the other's place: a new epoch, and
 * each site that it knows is suspended, since nobody can tell what it forgot.
 * c: the store's, as for store_open.  Audited ("renewed").
 */
int ledger_renew(
    const struct store_conf *c, const char *who, struct err *e) WARN_UNUSED;
int ledger_open(const struct ledger_conf *c, struct ledger **ret,
    struct err *e) WARN_UNUSED;
/* Returns when what was submitted before is committed, and its done posted. */
void ledger_flush(struct ledger *l);
void ledger_close(struct ledger *l); /* after the last done was posted */
AUTO_DEFINE(ledger, struct ledger, ledger_close);
const uint8_t *ledger_epoch(const struct ledger *l);
unsigned ledger_used_percent(struct ledger *l);

/* ---- reading ----------------------------------------------------------- */

enum ledger_state {
	LEDGER_OPEN = 1, /* stored, nothing decided */
	LEDGER_INTENT,	 /* a certificate is meant to exist: no way back */
	LEDGER_DONE,	 /* answered */
	LEDGER_UNKNOWN, /* it had left its site, and we forgot what became of it:
			    neither judged nor issued until somebody who knows
			    says so */
	LEDGER_STATE__MAX
};
const char *ledger_state_name(enum ledger_state s);

enum ledger_confirm {
	LEDGER_UNCONFIRMED,
	LEDGER_CONFIRMED,
	LEDGER_REJECTED,
	LEDGER_CONFIRM__MAX
};
const char *ledger_confirm_name(enum ledger_confirm c);

#define LEDGER_REASON_MAX 160
#define LEDGER_SERIAL_MAX 64

struct ledger_case {
	uint64_t id;
	/* Who is told: the site's name for it, the latest if it came twice. */
	char site[ENTRY_NAME_MAX];
	uint8_t epoch[ENTRY_EPOCH_LEN];
	uint64_t site_id;
	enum entry_kind kind;
	unsigned step;
	struct digest once, digest;
	uint64_t stored, changed; /* seconds since 1970 */
	enum ledger_state state;
	enum batch_code code; /* BATCH_ANSWERED or BATCH_REFUSED; 0: open */
	char reason[LEDGER_REASON_MAX];
	char device[CERT_TEXT_MAX];	/* IDevID's serialNumber; "": unknown */
	char serial[LEDGER_SERIAL_MAX]; /* of the certificate, hex; "": none */
	uint64_t parent;		/* the case it confirms; 0: none */
	enum ledger_confirm confirm;
	char confirm_reason[LEDGER_REASON_MAX];
	bool withdrawn; /* its site gave it up */
	bool pruned;	/* its octets and its answer are no longer kept */
	uint64_t same;	/* the case whose certificate it was given; 0: none */
};

/* 1 found, 0 absent, -1. */
int ledger_get(struct ledger *l, uint64_t id, struct ledger_case *ret,
    struct err *e) WARN_UNUSED;
/* Cases in id order from first, at most max, until fn returns non-zero;
 * ledger_list_open: only those open or intended; ledger_list_unknown: only
 * those.  fn reads nothing. */
typedef int (*ledger_visit)(const struct ledger_case *c, void *arg);
int ledger_list(struct ledger *l, uint64_t first, size_t max, ledger_visit fn,
    void *arg, struct err *e) WARN_UNUSED;
int ledger_list_open(struct ledger *l, uint64_t first, size_t max,
    ledger_visit fn, void *arg, struct err *e) WARN_UNUSED;
int ledger_list_unknown(struct ledger *l, uint64_t first, size_t max,
    ledger_visit fn, void *arg, struct err *e) WARN_UNUSED;

/* A case's octets.  What it has not is empty. */
enum ledger_part {
	LEDGER_HEADER, /* the entry's header as it came */
	LEDGER_SIGNATURE,
	LEDGER_OCTETS,	 /* what travelled (CMP: nested) */
	LEDGER_FACTS,	 /* of the decision, CBOR */
	LEDGER_TBS,	 /* of the intent; or what is sent to an upstream */
	LEDGER_UNSIGNED, /* the certificate around it, without a signature; or
			    the upstream's URL */
	LEDGER_CERT,
	LEDGER_ANSWER,
	LEDGER_REVOCATION, /* ledger_certs.h */
	LEDGER_HOLDER,	   /* of the intent: 32 octets */
	LEDGER_PROGRESS,   /* of the intent: ledger_progress.h */
	LEDGER_PART__MAX
};
/* Appends; 1 found, 0 absent, -1. */
int ledger_part(struct ledger *l, uint64_t id, enum ledger_part part,
    struct buf *ret, struct err *e) WARN_UNUSED;
/* The case that a transaction belongs to: 1 found, 0 absent, -1. */
int ledger_find_tx(struct ledger *l, const struct digest *tx, uint64_t *ret,
    struct err *e) WARN_UNUSED;
/* The case that a site calls by this id in this epoch: the same. */
int ledger_find_entry(struct ledger *l, const char *site,
    const uint8_t epoch[ENTRY_EPOCH_LEN], uint64_t site_id, uint64_t *ret,
    struct err *e) WARN_UNUSED;

/* The newest case that was meant to get, or has, a certificate for the same
 * thing asked (ledger_intend.same): the same. */
int ledger_find_same(struct ledger *l, const struct digest *same, uint64_t *ret,
    struct err *e) WARN_UNUSED;

/* DESIGN 7, rollback. */
enum ledger_standing {
	LEDGER_SOUND = 1,
	LEDGER_SUSPENDED,  /* it knows more of us than we do: nothing of it is
			     taken or decided */
	LEDGER_RECOVERING, /* the same, but it is asked what it knows */
	LEDGER_STANDING__MAX
};
const char *ledger_standing_name(enum ledger_standing s);

/* What is known of a site: 1, 0 if it never said HELLO, -1. */
struct ledger_site {
	char name[ENTRY_NAME_MAX];
	uint8_t epoch[ENTRY_EPOCH_LEN]; /* of its last HELLO */
	uint64_t seq;	    /* last batch made for it in this epoch */
	uint64_t got;	    /* highest it acknowledged */
	uint64_t highest;   /* highest id of its entries seen */
	uint64_t audit_seq; /* of its last checkpoint, 0: none */
	uint64_t audit_id;  /* the site's id of it, 0: none */
	enum ledger_standing standing;
	char why[LEDGER_REASON_MAX]; /* unless sound */
	uint64_t since;		     /* seconds since 1970 */
};
int ledger_site(struct ledger *l, const char *site, struct ledger_site *ret,
    struct err *e) WARN_UNUSED;
/* By name, until fn returns non-zero; fn reads nothing. */
int ledger_list_sites(struct ledger *l,
    int (*fn)(const struct ledger_site *s, void *arg), void *arg,
    struct err *e) WARN_UNUSED;

/* A stored batch, octet for octet, with the answers of its items. */
struct ledger_batch {
	uint64_t seq;
	struct buf batch, sig;
	size_t n;	     /* items */
	struct buf *answers; /* n of them; empty: none */
};
void ledger_batch_done(struct ledger_batch *b);

/* Batches after `since` in order, at most max, while they fit into `octets` of
 * a frame; the first one always.  ret is an array of the caller's. */
int ledger_batches(struct ledger *l, const char *site,
    const uint8_t epoch[ENTRY_EPOCH_LEN], uint64_t since, size_t octets,
    struct ledger_batch *ret, size_t max, size_t *ret_n,
    struct err *e) WARN_UNUSED;

int ledger_audit(struct ledger *l, uint64_t id, size_t max, audit_visit fn,
    void *arg, struct err *e) WARN_UNUSED;
/* As audit_page, audit_verify; the head. */
int ledger_audit_page(struct ledger *l, uint64_t first, size_t max,
    audit_visit fn, void *arg, struct err *e) WARN_UNUSED;
int ledger_audit_verify(
    struct ledger *l, uint64_t *ret_records, struct err *e) WARN_UNUSED;
int ledger_audit_head(
    struct ledger *l, struct store_audit *ret, struct err *e) WARN_UNUSED;

/* store_read_only and store_backup of its store. */
bool ledger_read_only(const struct ledger *l);
void ledger_backup(struct ledger *l, struct store_backup *b,
    void (*done)(struct store_backup *b, const struct err *e), struct post to);

/* ---- writing ----------------------------------------------------------- */

typedef void (*ledger_done)(void *x, const struct err *e);

/*
 * A verified HELLO.  A site that holds batches which we do not remember to have
 * made, or knows us in an epoch that is not ours, has seen a future of ours
 * that is lost: it is suspended.
 */
struct ledger_hello {
	const char *site;
	uint8_t epoch[ENTRY_EPOCH_LEN];
	/* How it knows us; zeros: not at all. */
	uint8_t service_epoch[ENTRY_EPOCH_LEN];
	uint64_t service_seq;
	struct digest audit; /* its audit head; zeros: not told */
	/* out */
	struct ledger_site known;
	bool suspended; /* by this HELLO */
	struct ledger *ledger;
	void *user;
};
void ledger_hello(
    struct ledger *l, struct ledger_hello *x, ledger_done done, struct post to);

/*
 * An authentic entry with its receipt.  One of kind withdraw or audit is the
 * site's own word (words.h): it is done and answered in the same commit, and
 * its batch holds the answer alone.
 */
enum ledger_met {
	LEDGER_NEW,	  /* stored now */
	LEDGER_AGAIN,	  /* this site sent it before; the answer goes along */
	LEDGER_ELSEWHERE, /* another site did: conflict */
	LEDGER_ID_REUSED, /* the site's id stands for other octets: conflict */
	LEDGER_NOT_NOW	  /* the site is not sound: nothing is kept or told */
};
struct ledger_receive {
	const struct entry_header *h;
	struct bytes header, sig, octets;
	struct digest once;
	/* out */
	enum ledger_met met;
	uint64_t id;			 /* of the case */
	char first_site[ENTRY_NAME_MAX]; /* who sent that case first */
	uint64_t withdrawn; /* the case that a withdrawal gave up; 0: none */
	bool suspended;	    /* its site, by a checkpoint that goes back */
	struct ledger_batch told; /* owned by the caller */
	struct ledger *ledger;
	void *user;
};
void ledger_receive(struct ledger *l, struct ledger_receive *x,
    ledger_done done, struct post to);

/* An authentic header whose octets are refused for good: told, not stored. */
struct ledger_refuse {
	const struct entry_header *h;
	enum batch_code code;
	const char *reason;
	/* out */
	bool not_now;		  /* the site is not sound: nothing is told */
	struct ledger_batch told; /* owned by the caller */
	struct ledger *ledger;
	void *user;
};
void ledger_refuse(struct ledger *l, struct ledger_refuse *x, ledger_done done,
    struct post to);

/* What is to be signed, written down before anybody is asked to sign it. */
struct ledger_intend {
	uint64_t id;
	struct digest tx; /* transaction and signer: found again by certConf */
	struct bytes tbs, unsigned_cert;
	const struct facts *facts;
	const char *device, *serial; /* serial "": another will number it */
	const struct digest *same;   /* names what is asked; NULL: nothing */
	const struct digest *holder; /* names who will hold it; NULL: nobody */
	/* The case of the certificate that signed the request; 0: not ours. */
	uint64_t signer;
	/* out */
	enum ledger_intended {
		LEDGER_INTENDED,
		LEDGER_TX_IN_USE,  /* another case has this transaction */
		LEDGER_NOT_OPEN,   /* has an intent or an answer already */
		LEDGER_GIVEN_UP,   /* withdrawn: it is to be refused */
		LEDGER_UNSOUND,	   /* its site is not sound */
		LEDGER_SIGNER_FELL /* signer stands no longer */
	} is;
	struct ledger *ledger;
	void *user;
};
void ledger_intend(struct ledger *l, struct ledger_intend *x, ledger_done done,
    struct post to);

/*
 * The one answer of a case, and the batch that tells it; if the site is not
 * sound, it is told when it has recovered.  What was withdrawn is only refused,
 * unless there is an intent: then the certificate counts as rejected.
 */
struct ledger_settle {
	uint64_t id;
	enum batch_code code; /* BATCH_ANSWERED or BATCH_REFUSED */
	struct bytes answer;
	const char *reason; /* "" if none */
	const char *event;  /* for the audit trail: "issued", "superseded" */
	bool unless_intent; /* superseding: not if there is an intent */
	struct bytes cert;  /* empty: none */
	const struct facts *facts; /* NULL: as they stand */
	const char *device;	   /* NULL: as it stands */
	const char *serial; /* the same: of cert, if its intent had none */
	uint64_t parent;    /* certConf: the case it speaks of, or 0 */
	enum ledger_confirm confirm;
	const char *confirm_reason;
	/* The certificate of another case is the answer: that case, and the
	 * transaction, as in ledger_intend. */
	uint64_t same; /* 0: none */
	struct digest tx;
	/* rr: the case whose certificate is revoked, unless it was (then nothing
	 * changes); 0: none. */
	uint64_t revoke;
	unsigned revoke_reason; /* CRLReason */
	/* Of the certificate that is now given, or (parent) confirmed: so many
	 * its holder may have, then `older` and the oldest are revoked. */
	size_t max_live; /* 0: no limit */
	uint64_t older;	 /* the case of the one it replaces; 0: none */
	/* out */
	unsigned revoked;    /* certificates revoked by this */
	bool revoked_before; /* false, since the certificate was revoked */
	bool changed;	     /* false: it was answered, or had an intent */
	bool unsound;	     /* false, since its site is not sound */
	bool withdrawn;	     /* false, since it was withdrawn */
	bool tx_in_use; /* false, since another case has this transaction */
	char site[ENTRY_NAME_MAX];
	struct ledger *ledger;
	void *user;
};
void ledger_settle(struct ledger *l, struct ledger_settle *x, ledger_done done,
    struct post to);

/* Whoever was to do it may have, and cannot be asked again: from open or intent
 * to unknown, until ledger_resolve.  Audited ("unknown"). */
struct ledger_doubt {
	uint64_t id;
	const char *why;
	/* out */
	bool changed; /* false: it is done, or unknown already */
	struct ledger *ledger;
	void *user;
};
void ledger_doubt(
    struct ledger *l, struct ledger_doubt *x, ledger_done done, struct post to);

/* The site has committed all batches up to this one.  From one that is
 * recovering it is its last word: it is sound again, batches go on from there,
 * and what it has no answer to is told anew. */
struct ledger_got {
	const char *site;
	uint64_t upto;
	/* out */
	bool recovered, ignored; /* ignored: it is suspended */
	struct ledger *ledger;
	void *user;
};
void ledger_got(
    struct ledger *l, struct ledger_got *x, ledger_done done, struct post to);

/* From suspended to recovering. */
struct ledger_recover {
	const char *site;
	const char *who; /* for the audit trail */
	/* out */
	bool known;		  /* it said HELLO once */
	enum ledger_standing was; /* only LEDGER_SUSPENDED changes */
	struct ledger *ledger;
	void *user;
};
void ledger_recover(struct ledger *l, struct ledger_recover *x,
    ledger_done done, struct post to);

/* What an answer proves that we signed once.  Borrowed. */
struct ledger_proof {
	enum batch_code code; /* BATCH_ANSWERED, BATCH_REFUSED; 0: nothing */
	struct bytes answer, cert;
	const char *reason, *device, *serial; /* "" if none */
	bool has_names; /* tx and same, as in ledger_intend */
	struct digest tx, same;
	/* What a certConf said of the header's parent. */
	enum ledger_confirm confirm;
	const char *confirm_reason;
	/* An rr: the case whose certificate is revoked, now if it was not
	 * before; 0: none. */
	uint64_t revoke;
	unsigned revoke_reason; /* CRLReason */
};

/*
 * While a site is recovering: an authentic entry that had left it.  Proof ends
 * the case with that answer; without it, it becomes unknown, or open if
 * `repeatable`.  An intent of ours stays: it can make no other certificate.
 */
struct ledger_evidence {
	const struct entry_header *h;
	struct bytes header, sig, octets;
	struct digest once;
	bool repeatable; /* to decide it twice does no harm */
	bool answered;	 /* the site has an answer */
	struct ledger_proof proof;
	/* out */
	enum ledger_learnt {
		LEDGER_LEARNT,	     /* a case is what it proves */
		LEDGER_KNOWN,	     /* nothing new */
		LEDGER_DOUBTED,	     /* nobody knows: unknown, or open */
		LEDGER_CONTRADICTED, /* we know it otherwise: an alarm */
		LEDGER_NOT_ASKED     /* it is not recovering */
	} is;
	uint64_t id; /* of the case; 0: none */
	struct ledger *ledger;
	void *user;
};
void ledger_evidence(struct ledger *l, struct ledger_evidence *x,
    ledger_done done, struct post to);

/* Somebody knows what became of an unknown case: with a proof it is done, with
 * none it is open again. */
struct ledger_resolve {
	uint64_t id;
	struct ledger_proof proof; /* code 0: it was not issued */
	bool revocation;	   /* it is an rr: the audit trail says so */
	const char *who, *why;
	/* out */
	bool changed; /* false: it is not unknown */
	char site[ENTRY_NAME_MAX];
	struct ledger *ledger;
	void *user;
};
void ledger_resolve(struct ledger *l, struct ledger_resolve *x,
    ledger_done done, struct post to);

/*
 * DESIGN 7, retention.  Dropped are octets and answers of cases whose time has
 * come, and batches that their site has got.  Once-keys, cases and certificates
 * stay for ever.  Looks at `rows` rows from where it stopped last; writes
 * nothing if nothing is due, and nothing at a clock below rtc.
 */
struct ledger_keep {
	uint64_t after_certificate; /* seconds after the certificate's end */
	uint64_t others;	    /* seconds after any other answer */
	uint64_t batches;	    /* seconds after they were made */
};
struct ledger_prune {
	struct ledger_keep keep;
	size_t rows;
	uint64_t now; /* 0: by the clock */
	/* out */
	size_t cases, batches; /* dropped */
	struct ledger *ledger;
	void *user;
};
/* Reads on this thread; false: nothing was due, done will not be called. */
bool ledger_prune(
    struct ledger *l, struct ledger_prune *x, ledger_done done, struct post to);

/* A piece of reference data as it was last published (reference.h). */
struct ledger_reference {
	uint64_t version;
	uint64_t made, until; /* seconds; until as it was asked for */
	struct digest digest;
};
/* 1 found, 0 absent, -1. */
int ledger_reference(struct ledger *l, const char *name,
    struct ledger_reference *ret, struct err *e) WARN_UNUSED;
/* Audited ("published"). */
struct ledger_refer {
	const char *name; /* at most 64 octets */
	struct ledger_reference is;
	struct ledger *ledger;
	void *user;
};
void ledger_refer(
    struct ledger *l, struct ledger_refer *x, ledger_done done, struct post to);

/* Writes down that it is at least this late, for the next start, if that is
 * news of an hour.  Only what a disciplined clock says. */
void ledger_floor(struct ledger *l, uint64_t seconds);

/* The same, waiting; for tests and start-up, never on a loop. */
int ledger_hello_wait(
    struct ledger *l, struct ledger_hello *x, struct err *e) WARN_UNUSED;
int ledger_receive_wait(
    struct ledger *l, struct ledger_receive *x, struct err *e) WARN_UNUSED;
int ledger_intend_wait(
    struct ledger *l, struct ledger_intend *x, struct err *e) WARN_UNUSED;
int ledger_settle_wait(
    struct ledger *l, struct ledger_settle *x, struct err *e) WARN_UNUSED;
int ledger_doubt_wait(
    struct ledger *l, struct ledger_doubt *x, struct err *e) WARN_UNUSED;
int ledger_got_wait(
    struct ledger *l, struct ledger_got *x, struct err *e) WARN_UNUSED;
int ledger_recover_wait(
    struct ledger *l, struct ledger_recover *x, struct err *e) WARN_UNUSED;
int ledger_evidence_wait(
    struct ledger *l, struct ledger_evidence *x, struct err *e) WARN_UNUSED;
int ledger_resolve_wait(
    struct ledger *l, struct ledger_resolve *x, struct err *e) WARN_UNUSED;
int ledger_prune_wait(
    struct ledger *l, struct ledger_prune *x, struct err *e) WARN_UNUSED;

#endif
