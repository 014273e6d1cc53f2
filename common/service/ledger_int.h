/* What the ledger_*.c share. */
#ifndef WAYBILL_SERVICE_LEDGER_INT_H
#define WAYBILL_SERVICE_LEDGER_INT_H

#include <stdatomic.h>
#include "common/service/ledger_rows.h"

struct ledger {
	struct store *store;
	uint8_t epoch[ENTRY_EPOCH_LEN];
	char service[ENTRY_NAME_MAX];
	const struct signer *signer;
	_Atomic uint64_t floor; /* written down, or about to be */
	/* Of whoever prunes: what is under way, and where it goes on. */
	struct pruning *pruning;
	uint64_t prune_case;
	struct row_key prune_batch;
};

/*
 * Inside a transaction.  A job may run again if its transaction was given up,
 * so each starts by emptying what it tells.
 */

/* ---- reading: 1 found, 0 absent, -1 ------------------------------------ */

int case_get(struct store_txn *t, uint64_t id, struct ledger_case *ret,
    struct err *e) WARN_UNUSED;
int part_get(struct store_txn *t, uint64_t id, enum ledger_part part,
    struct buf *ret, struct err *e) WARN_UNUSED;
int index_get(struct store_txn *t, const struct row_key *k, uint64_t *ret,
    struct err *e) WARN_UNUSED;
int reach_get(struct store_txn *t, const char *site, const uint8_t *epoch,
    struct reach *ret, struct err *e) WARN_UNUSED;
/* Absent: sound, of no epoch. */
int site_row_get(struct store_txn *t, const char *site, struct site_row *ret,
    struct err *e) WARN_UNUSED;
int site_get(struct store_txn *t, const char *site, struct ledger_site *ret,
    struct err *e) WARN_UNUSED;
/* 1 sound, 0 not, -1. */
int site_sound(
    struct store_txn *t, const char *site, struct err *e) WARN_UNUSED;

/* ---- writing: ledger_put.c --------------------------------------------- */

int case_put(struct store_txn *t, const struct ledger_case *c,
    struct err *e) WARN_UNUSED;
/* An id of ours comes from the ledger: its absence is damage. */
int case_must(struct store_txn *t, uint64_t id, struct ledger_case *ret,
    struct err *e) WARN_UNUSED;
/* Nothing, if it is empty. */
int part_put(struct store_txn *t, uint64_t id, enum ledger_part part,
    struct bytes octets, struct err *e) WARN_UNUSED;
int facts_put(struct store_txn *t, uint64_t id, const struct facts *f,
    struct err *e) WARN_UNUSED;
int index_put(struct store_txn *t, const struct row_key *k, uint64_t id,
    struct err *e) WARN_UNUSED;
int index_del(
    struct store_txn *t, const struct row_key *k, struct err *e) WARN_UNUSED;
int reach_put(struct store_txn *t, const char *site, const uint8_t *epoch,
    const struct reach *r, struct err *e) WARN_UNUSED;
int site_row_put(struct store_txn *t, const char *site,
    const struct site_row *s, struct err *e) WARN_UNUSED;

/* Into the audit trail. */
int note(struct store_txn *t, uint64_t id, const char *event, const char *who,
    const char *detail, struct err *e) WARN_UNUSED;
int note_site(struct store_txn *t, uint64_t id, const char *event,
    const struct entry_header *h, const char *detail,
    struct err *e) WARN_UNUSED;

/* What one batch says: at most a receipt and an answer. */
#define NEWS_MAX 2
struct news {
	size_t n;
	struct batch_item items[NEWS_MAX];
	uint64_t answers[NEWS_MAX]; /* case whose answer goes along; 0: none */
};
void news_add(struct news *w, uint64_t site_id, enum batch_code code,
    const struct digest *digest, const char *reason);
/* answer empty, of a refusal: its octets are no longer kept. */
void news_answer(
    struct news *w, const struct ledger_case *c, struct bytes answer);
/*
 * The next batch of this site and epoch, stored; h, if there is one, moves
 * what was seen of the site.  ret may be NULL: then nobody waits for it, and if
 * the site is not sound, answers are noted to be told later.
 */
int tell(struct store_txn *t, struct ledger *l, const char *site,
    const uint8_t *epoch, const struct entry_header *h, struct news *w,
    struct ledger_batch *ret, struct err *e) WARN_UNUSED;
/* The answer that the case has. */
int tell_case(struct store_txn *t, struct ledger *l,
    const struct ledger_case *c, struct err *e) WARN_UNUSED;

/* ---- of one file, used by another -------------------------------------- */

/* ledger_receive.c: a new open case with its octets, once-key and name; *ret is
 * what was written. */
int case_new(struct store_txn *t, const struct entry_header *h,
    struct bytes header, struct bytes sig, struct bytes octets,
    const struct digest *once, struct ledger_case *ret,
    struct err *e) WARN_UNUSED;
/* The case is called by this header's name from now on. */
int case_rename(struct store_txn *t, struct ledger_case *c,
    const struct entry_header *h, struct err *e) WARN_UNUSED;

/* ledger_words.c: what follows from an entry of words_kind; `done` gets what is
 * to be said.  *ret_withdrawn: the case given up, 0: none; *ret_why: why the
 * site is to be suspended, NULL: it is not. */
int words_apply(struct store_txn *t, const struct entry_header *h,
    struct bytes octets, uint64_t id, const char **ret_done,
    uint64_t *ret_withdrawn, const char **ret_why, struct err *e) WARN_UNUSED;

/* ledger_site.c. */
int site_suspend(struct store_txn *t, const char *site, const uint8_t *knew,
    const char *why, struct err *e) WARN_UNUSED;

/* ledger_settle.c: the case ends as the proof says; nothing is told. */
int prove_case(struct store_txn *t, struct ledger_case *c,
    const struct ledger_proof *p, struct err *e) WARN_UNUSED;
/* Into the list of those that nobody knows about. */
int doubt_case(
    struct store_txn *t, struct ledger_case *c, struct err *e) WARN_UNUSED;
/* What is known of the case's certificate. */
int confirm_case(struct store_txn *t, uint64_t id, enum ledger_confirm is,
    const char *who, const char *reason, struct err *e) WARN_UNUSED;
/* ledger_certs.c: 1 if the case's certificate stands (ledger_stands), 0, -1. */
int case_stands(struct store_txn *t, uint64_t id, struct err *e) WARN_UNUSED;
/* 1 revoked now, 0 it was before, -1. */
int revoke_case(struct store_txn *t, uint64_t id, unsigned reason,
    const char *who, const char *why, struct err *e) WARN_UNUSED;
/* Who will hold what is meant for the case; NULL: nothing is written. */
int holder_put(struct store_txn *t, uint64_t id, const struct digest *holder,
    struct err *e) WARN_UNUSED;
/* Revokes as superseded what the holder of this case's certificate has beyond
 * `max` (0: nothing is too much): `first`, then the oldest, never this one.
 * How many, or -1. */
int supersede_held(struct store_txn *t, uint64_t id, uint64_t first, size_t max,
    const char *who, struct err *e) WARN_UNUSED;
/* Nothing, if it is empty. */
int serial_put(struct store_txn *t, const char *serial, uint64_t id,
    struct err *e) WARN_UNUSED;
/* The first start with a ledger from before there was this index. */
int serials_open(struct ledger *l, struct err *e) WARN_UNUSED;

/* Out of the lists of those without an answer; what was under way ends. */
int case_closed(struct store_txn *t, uint64_t id, struct err *e) WARN_UNUSED;

#endif
