#include "common/base/digest.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "common/base/err.h"

/* Fetched once: in OpenSSL 3.0 a look-up by name costs more than the digest
 * of a short text. */
static EVP_MD *sha256;
static EVP_KDF *hkdf;

static void
fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (sha256 == NULL || hkdf == NULL)
		err_die("libcrypto: no SHA-256 or no HKDF");
}

static void
fetch_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fetch);
}

struct digest
digest_of(const void *p, size_t n)
{
	struct digest ret;

	fetch_once();
	if (EVP_Digest(p, n, ret.b, NULL, sha256, NULL) != 1)
		err_die("libcrypto: SHA-256 failed");
	return ret;
}

struct digest
digest_hmac(struct bytes key, struct bytes data)
{
	static const uint8_t nothing[1];
	struct digest ret;

	fetch_once();
	/* libcrypto takes a NULL for a missing key or missing data. */
	if (key.len > INT_MAX ||
	    HMAC(sha256, key.len > 0 ? key.p : nothing, (int)key.len,
		data.len > 0 ? data.p : nothing, data.len, ret.b, NULL) == NULL)
		err_die("libcrypto: HMAC-SHA-256 failed");
	return ret;
}

void
digest_hkdf(struct bytes secret, const char *label, uint8_t *ret, size_t n)
{
	char md[] = "SHA256";
	EVP_KDF_CTX *ctx;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, md, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
		    (void *)(uintptr_t)secret.p, secret.len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
		    (void *)(uintptr_t)label, strlen(label)),
		OSSL_PARAM_END,
	};

	fetch_once();
	if ((ctx = EVP_KDF_CTX_new(hkdf)) == NULL ||
	    EVP_KDF_derive(ctx, ret, n, params) != 1)
		err_die("libcrypto: HKDF-SHA-256 failed");
	EVP_KDF_CTX_free(ctx);
}

bool
digest_eq(const struct digest *a, const struct digest *b)
{
	return CRYPTO_memcmp(a->b, b->b, DIGEST_LEN) == 0;
}

void
random_bytes(void *p, size_t n)
{
	if (n > INT_MAX || RAND_bytes(p, (int)n) != 1)
		err_die("libcrypto: no random octets");
}
