/* Keys and values of the ledger's rows; private to the ledger_* files. */
#ifndef WAYBILL_SERVICE_LEDGER_ROWS_H
#define WAYBILL_SERVICE_LEDGER_ROWS_H

#include "common/queue/store.h"
#include "common/service/ledger.h"

enum ledger_db {
	DB_CASE,   /* id: the changing part */
	DB_OCTETS, /* id | part: what never changes once written */
	DB_INDEX,  /* word | digest or id: id */
	DB_BATCH,  /* site 0 epoch seq: batch, signature, cases answered */
	DB_SITE,   /* site: epoch; site 0 epoch: how far */
	DB_AUDIT,
	DB__MAX
};

enum index_word {
	INDEX_ENTRY = 'e', /* site, epoch and the site's id */
	INDEX_ONCE = 'o',  /* once-key: every case there ever was */
	INDEX_OPEN = 'p',  /* id: without an answer */
	INDEX_TX = 't'	   /* transaction and signer: with an intent */
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
struct row_key key_open(uint64_t id);
struct row_key key_entry(const char *site, const uint8_t *epoch, uint64_t id);
struct row_key key_site(const char *site);
struct row_key key_reach(const char *site, const uint8_t *epoch);
struct row_key key_batch(const char *site, const uint8_t *epoch, uint64_t seq);
/* Whether `key` is a batch of the same site and epoch as `of`. */
bool key_same_site(struct bytes key, const struct row_key *of);
uint64_t key_batch_seq(struct bytes key);

void case_encode(const struct ledger_case *c, struct buf *out);
int case_decode(
    struct bytes row, struct ledger_case *ret, struct err *e) WARN_UNUSED;

/* ledger_site without its epoch, and the site's audit head last seen. */
struct reach {
	uint64_t seq, got, highest;
	struct digest audit;
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
