/* SHA-256, HMAC-SHA-256, HKDF-SHA-256 and random octets, by EVP.  Failures of
 * these are our own trouble with no way on: they end the process. */
#ifndef WAYBILL_BASE_DIGEST_H
#define WAYBILL_BASE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"

#define DIGEST_LEN 32

struct digest {
	uint8_t b[DIGEST_LEN];
};

struct digest digest_of(const void *p, size_t n);
struct digest digest_hmac(struct bytes key, struct bytes data);
/* RFC 5869; label is the info string. */
void digest_hkdf(
    struct bytes secret, const char *label, uint8_t *ret, size_t n);
bool digest_eq(
    const struct digest *a, const struct digest *b); /* constant time */
void random_bytes(void *p, size_t n);

#endif
