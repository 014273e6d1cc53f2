/* What ledger.c (reading) and ledger_write.c share. */
#ifndef WAYBILL_SERVICE_LEDGER_INT_H
#define WAYBILL_SERVICE_LEDGER_INT_H

#include "common/service/ledger_rows.h"

struct ledger {
	struct store *store;
	uint8_t epoch[ENTRY_EPOCH_LEN];
	char service[ENTRY_NAME_MAX];
	const struct signer *signer;
};

/* Inside a transaction.  1 found, 0 absent, -1. */
int case_get(struct store_txn *t, uint64_t id, struct ledger_case *ret,
    struct err *e) WARN_UNUSED;
int part_get(struct store_txn *t, uint64_t id, enum ledger_part part,
    struct buf *ret, struct err *e) WARN_UNUSED;
int index_get(struct store_txn *t, const struct row_key *k, uint64_t *ret,
    struct err *e) WARN_UNUSED;
int reach_get(struct store_txn *t, const char *site, const uint8_t *epoch,
    struct reach *ret, struct err *e) WARN_UNUSED;
int site_get(struct store_txn *t, const char *site, struct ledger_site *ret,
    struct err *e) WARN_UNUSED;

#endif
