#include "registrar/nonce.h"

#include <string.h>
#include <openssl/crypto.h>

static struct digest
nonce_mac(
    const uint8_t key[32], const struct digest *row, const uint8_t random[16])
{
	uint8_t text[DIGEST_LEN + 16];

	memcpy(text, row->b, DIGEST_LEN);
	memcpy(text + DIGEST_LEN, random, 16);
	return digest_hmac(bytes_of(key, 32), bytes_of(text, sizeof(text)));
}

void
nonce_make(
    const uint8_t key[32], const struct digest *row, uint8_t ret[NONCE_LEN])
{
	struct digest mac;

	random_bytes(ret, 16);
	mac = nonce_mac(key, row, ret);
	memcpy(ret + 16, mac.b, 16);
}

bool
nonce_check(const uint8_t key[32], const struct digest *row, struct bytes nonce)
{
	struct digest mac;

	if (nonce.len != NONCE_LEN)
		return false;
	mac = nonce_mac(key, row, nonce.p);
	return CRYPTO_memcmp(mac.b, nonce.p + 16, 16) == 0;
}
