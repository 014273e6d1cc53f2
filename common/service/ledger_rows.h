/* Keys and values of the ledger's rows; private to the ledger_* files. */
#ifndef WAYBILL_SERVICE_LEDGER_ROWS_H
#define WAYBILL_SERVICE_LEDGER_ROWS_H

#include "common/queue/store.h"
#include "common/service/ledger.h"

#define LEDGER_VERSION 2 /* of the rows */
extern const struct store_upgrade ledger_upgrades[];

enum ledger_db {
	DB_CASE,   /* id: the changing part */
	DB_OCTETS, /* id | part: what, but for LEDGER_PROGRESS, never changes
		      once written */
	DB_INDEX,  /* word | digest or id: id */
	DB_BATCH,  /* site 0 epoch seq: batch, signature, cases answered */
	DB_SITE,   /* site: epoch; site 0 epoch: how far */
	DB_AUDIT,
	DB_REFERENCE, /* name: version, digest */
	DB__MAX
};

enum index_word {
	INDEX_ENTRY = 'e',   /* site, epoch and the site's id */
	INDEX_ONCE = 'o',    /* once-key: every case there ever was */
	INDEX_GIVEN = 'g',   /* as INDEX_ENTRY: withdrawn before it came */
	INDEX_HOLDER = 'h',  /* who, id: what was meant for it */
	INDEX_LATER = 'l',   /* id: answered, to be told after recovery */
	INDEX_NUMBER = 'n',  /* a name: a number that grows, not an id */
	INDEX_OPEN = 'p',    /* id: open or intended */
	INDEX_REVOKED = 'r', /* id: its certificate is revoked */
	INDEX_SERIAL = 'c',  /* a certificate's serial number */
	INDEX_SAME = 's',    /* what is asked: the newest with an intent */
	INDEX_TX = 't',	     /* transaction and signer: with an intent */
	INDEX_UNKNOWN = 'u'  /* id: nobody knows */
};

struct row_key {
	uint8_t b[STORE_KEY_MAX];
	size_t len;
};

static inline struct bytes
row_key(const struct row_key *k)
{
	return bytes_of(k->b, k->len);
}

struct row_key key_case(uint64_t id);
struct row_key key_part(uint64_t id, enum ledger_part part);
struct row_key key_index(enum index_word w, const struct digest *d);
/* INDEX_LATER, INDEX_OPEN, INDEX_REVOKED, INDEX_UNKNOWN. */
struct row_key key_of_id(enum index_word w, uint64_t id);
/* INDEX_ENTRY, INDEX_GIVEN. */
struct row_key key_entry(
    enum index_word w, const char *site, const uint8_t *epoch, uint64_t id);
struct row_key key_site(const char *site);
struct row_key key_reach(const char *site, const uint8_t *epoch);
struct row_key key_batch(const char *site, const uint8_t *epoch, uint64_t seq);
/* Whether `key` is a batch of the same site and epoch as `of`. */
bool key_same_site(struct bytes key, const struct row_key *of);
uint64_t key_batch_seq(struct bytes key);

void case_encode(const struct ledger_case *c, struct buf *out);
int case_decode(
    struct bytes row, struct ledger_case *ret, struct err *e) WARN_UNUSED;

/* A site, as it is whatever its epoch. */
struct site_row {
	uint8_t epoch[ENTRY_EPOCH_LEN];
	enum ledger_standing standing;
	char why[LEDGER_REASON_MAX];
	uint64_t since;
	/* The epoch of ours by which it knew us when it was suspended: until it
	 * has heard of the present one, it may say so again. */
	uint8_t knew[ENTRY_EPOCH_LEN];
};
void site_row_encode(const struct site_row *s, struct buf *out);
int site_row_decode(
    struct bytes row, struct site_row *ret, struct err *e) WARN_UNUSED;

/* How far a site's epoch has come, its audit head last seen, and its last
 * checkpoint: the entry's id, and what it said. */
struct reach {
	uint64_t seq, got, highest;
	struct digest audit;
	uint64_t check_id, check_seq;
	struct digest check_hash;
};
void reach_encode(const struct reach *r, struct buf *out);
int reach_decode(
    struct bytes row, struct reach *ret, struct err *e) WARN_UNUSED;

/* A batch row: its octets, and by item the case whose answer goes along. */
struct batch_row {
	struct bytes batch, sig; /* borrowed from the row */
	size_t n;
	uint64_t answers[BATCH_ITEMS_MAX]; /* case ids; 0: none */
};
void batch_row_encode(const struct batch_row *b, struct buf *out);
int batch_row_decode(
    struct bytes row, struct batch_row *ret, struct err *e) WARN_UNUSED;

#endif
