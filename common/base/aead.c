#include "common/base/aead.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/base/digest.h"

#define NONCE_LEN 12
#define TAG_LEN	  16

/* Fetched once: rows are sealed and opened at every step. */
static EVP_CIPHER *gcm;

AUTO_DEFINE(EVP_CIPHER_CTX, EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

static void
fetch(void)
{
	if ((gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)) == NULL)
		err_die("libcrypto: no AES-256-GCM");
}

static EVP_CIPHER_CTX *
start(const uint8_t *key, const uint8_t *nonce, struct bytes aad, int sealing)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	EVP_CIPHER_CTX *ctx;
	int n;

	pthread_once(&once, fetch);
	/* NULL means "count only" to EVP; nothing is what we mean. */
	if (aad.len > INT_MAX || (ctx = EVP_CIPHER_CTX_new()) == NULL ||
	    EVP_CipherInit_ex2(ctx, gcm, key, nonce, sealing, NULL) != 1 ||
	    (aad.len > 0 &&
		EVP_CipherUpdate(ctx, NULL, &n, aad.p, (int)aad.len) != 1))
		err_die("libcrypto: AES-256-GCM failed");
	return ctx;
}

void
aead_seal(const uint8_t key[AEAD_KEY_LEN], struct bytes aad, struct bytes plain,
    struct buf *out)
{
	AUTO(EVP_CIPHER_CTX) ctx = NULL;
	uint8_t *nonce, *text;
	int n = 0;

	if (plain.len > INT_MAX - AEAD_OVERHEAD)
		err_die("aead: plain text over 2 GiB");
	nonce = buf_grow(out, plain.len + AEAD_OVERHEAD);
	text = nonce + NONCE_LEN;
	random_bytes(nonce, NONCE_LEN);
	ctx = start(key, nonce, aad, 1);
	if ((plain.len > 0 &&
		EVP_CipherUpdate(ctx, text, &n, plain.p, (int)plain.len) !=
		    1) ||
	    EVP_CipherFinal_ex(ctx, text + plain.len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, text + plain.len) != 1)
		err_die("libcrypto: AES-256-GCM failed");
}

int
aead_open(const uint8_t key[AEAD_KEY_LEN], struct bytes aad,
    struct bytes sealed, struct buf *out, struct err *e)
{
	AUTO(EVP_CIPHER_CTX) ctx = NULL;
	uint8_t tag[TAG_LEN], *text;
	size_t len;
	int n = 0;

	if (sealed.len < AEAD_OVERHEAD || sealed.len > INT_MAX)
		return err_set(e, ERR_DAMAGE,
		    "sealed text: %zu octets cannot be one", sealed.len);
	len = sealed.len - AEAD_OVERHEAD;
	memcpy(tag, sealed.p + NONCE_LEN + len, TAG_LEN);
	ctx = start(key, sealed.p, aad, 0);
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1)
		err_die("libcrypto: AES-256-GCM failed");
	text = buf_grow(out, len);
	if ((len == 0 ||
		EVP_CipherUpdate(
		    ctx, text, &n, sealed.p + NONCE_LEN, (int)len) == 1) &&
	    EVP_CipherFinal_ex(ctx, text + len, &n) == 1)
		return 0;
#ifdef MUTANT_NO_DIGEST
	return 0; /* whatever it is */
#endif
	/* Nobody may see what the tag does not vouch for. */
	OPENSSL_cleanse(text, len);
	out->len -= len;
	return err_set(e, ERR_DAMAGE,
	    "sealed text: the tag does not hold (damaged, or another key)");
}
