/*
 * Seals the values of a store: AES-256-GCM with a fresh nonce a write, bound
 * to the store, the database, the key and the rows' version.  So what was moved,
 * swapped or damaged does not open.  An older value put back under its own key
 * does: only the head's counts and the peers' memory tell.
 */
#ifndef WAYBILL_QUEUE_SEAL_H
#define WAYBILL_QUEUE_SEAL_H

#include "common/base/aead.h"

#define SEAL_ID_LEN  16
#define SEAL_DB_MAX  32 /* octets of a database's name */
#define SEAL_KEY_MAX 64

struct seal {
	uint8_t key[AEAD_KEY_LEN];
	uint8_t store_id[SEAL_ID_LEN];
	uint8_t version; /* of the rows */
};

/* db and key within the limits above; no others may be used. */
void seal_value(const struct seal *s, const char *db, struct bytes key,
    struct bytes plain, struct buf *out);
/* Appends the plain value; ERR_DAMAGE, out untouched, if it does not open or
 * the key is none that seal_value would have taken. */
int seal_open(const struct seal *s, const char *db, struct bytes key,
    struct bytes sealed, struct buf *out, struct err *e) WARN_UNUSED;
/* Cleanses. */
void seal_done(struct seal *s);

#endif
