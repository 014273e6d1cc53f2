/* AES-256-GCM with a fresh random nonce a write: nonce 12 | text | tag 16. */
#ifndef WAYBILL_BASE_AEAD_H
#define WAYBILL_BASE_AEAD_H

#include "common/base/buf.h"
#include "common/base/err.h"

#define AEAD_KEY_LEN  32
#define AEAD_OVERHEAD 28

/* Appends the sealed form of plain to out. */
void aead_seal(const uint8_t key[AEAD_KEY_LEN], struct bytes aad,
    struct bytes plain, struct buf *out);
/* Appends the plain text to out; ERR_DAMAGE if the tag does not hold (out is
 * untouched then). */
int aead_open(const uint8_t key[AEAD_KEY_LEN], struct bytes aad,
    struct bytes sealed, struct buf *out, struct err *e) WARN_UNUSED;

#endif
