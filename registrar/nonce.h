/*
 * Stateless senderNonces: 16 random octets, then the first 16 of
 * HMAC-SHA-256(key, row | random).  A pollReq proves by its recipNonce that it
 * answers a message of ours in this transaction, also after a restart, and
 * nothing was written for it.
 */
#ifndef WAYBILL_REGISTRAR_NONCE_H
#define WAYBILL_REGISTRAR_NONCE_H

#include "common/base/digest.h"

#define NONCE_LEN 32

void nonce_make(
    const uint8_t key[32], const struct digest *row, uint8_t ret[NONCE_LEN]);
bool nonce_check(
    const uint8_t key[32], const struct digest *row, struct bytes nonce);

#endif
