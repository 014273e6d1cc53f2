/* Keys of all kinds, as they are read once few decoders are left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "common/base/str.h"
#include "common/pki/ossl_decoders.h"
#include "common/pki/sign.h"

static const struct {
	const char *what, *type, *curve;
	size_t bits; /* of RSA */
	bool read;
} kinds[] = {
	{ "P-256", "EC", "P-256", 0, true },
	{ "P-384", "EC", "P-384", 0, true },
	{ "P-521", "EC", "P-521", 0, true },
	{ "RSA", "RSA", NULL, 2048, true },
	{ "Ed25519", "ED25519", NULL, 0, true },
	{ "Ed448", "ED448", NULL, 0, true },
	{ "X25519", "X25519", NULL, 0, false },
	{ "X448", "X448", NULL, 0, false },
	{ "SM2", "SM2", NULL, 0, false },
};

static EVP_PKEY *
made(size_t i)
{
	EVP_PKEY *key;

	if (kinds[i].curve != NULL)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kinds[i].curve);
	else if (kinds[i].bits > 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", kinds[i].bits);
	else
		key = EVP_PKEY_Q_keygen(NULL, NULL, kinds[i].type);
	if (key == NULL)
		fail_msg("%s: cannot be made", kinds[i].what);
	return key;
}

static void
expect(size_t i, const char *how, EVP_PKEY *key, EVP_PKEY *read)
{
	AUTO(EVP_PKEY) got = read;

	if ((got != NULL) != kinds[i].read)
		fail_msg("%s, %s: %s", kinds[i].what, how,
		    got != NULL ? "was read" : "was not read");
	if (got != NULL && EVP_PKEY_eq(got, key) != 1)
		fail_msg("%s, %s: another key", kinds[i].what, how);
}

static void
public_keys_are_read_of_the_kinds_that_are_spoken(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		AUTO(EVP_PKEY) key = made(i);
		unsigned char *der = NULL;
		int len = i2d_PUBKEY(key, &der);
		const unsigned char *p = der;

		assert_true(len > 0);
		expect(
		    i, "SubjectPublicKeyInfo", key, d2i_PUBKEY(NULL, &p, len));
		OPENSSL_free(der);
	}
}

/* kind 0: PKCS #8; 1: the same under a password; 2: as it was before that. */
static void
private_key_again(size_t i, int kind, EVP_PKEY *key)
{
	static const char *const hows[] = { "PKCS #8", "with a password",
		"traditional" };
	static char password[] = "secret";
	BIO *mem = BIO_new(BIO_s_mem());
	int rc;

	if (kind == 2)
		rc = PEM_write_bio_PrivateKey_traditional(
		    mem, key, NULL, NULL, 0, NULL, NULL);
	else
		rc = PEM_write_bio_PKCS8PrivateKey(mem, key,
		    kind == 1 ? EVP_aes_256_cbc() : NULL,
		    kind == 1 ? password : NULL,
		    kind == 1 ? (int)strlen(password) : 0, NULL, NULL);
	assert_int_equal(rc, 1);
	expect(i, hows[kind], key,
	    PEM_read_bio_PrivateKey(mem, NULL, NULL, password));
	BIO_free(mem);
}

static void
private_keys_are_read_in_all_formats(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		AUTO(EVP_PKEY) key = made(i);
		bool old = kinds[i].curve != NULL || kinds[i].bits > 0;

		if (!kinds[i].read)
			continue;
		for (int kind = 0; kind < (old ? 3 : 2); kind++)
			private_key_again(i, kind, key);
	}
}

static void
what_is_read_signs_and_verifies(void **state)
{
	static const uint8_t text[] = "text";

	(void)state;
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		AUTO(EVP_PKEY) key = made(i);
		struct buf sig AUTO_BUF = { 0 };
		struct err e = ERR_INIT;
		EVP_MD_CTX *c;

		if (!kinds[i].read)
			continue;
		assert_int_equal(key_check(key, &e), 0);
		if (sign_octets(key, bytes_of(text, sizeof(text)),
			kinds[i].what, &sig, &e) == -1)
			fail_msg("%s", e.msg);
		c = EVP_MD_CTX_new();
		assert_int_equal(
		    EVP_DigestVerifyInit(c, NULL, sign_md(key), NULL, key), 1);
		assert_int_equal(
		    EVP_DigestVerify(c, sig.data, sig.len, text, sizeof(text)),
		    1);
		sig.data[sig.len / 2] ^= 1;
		assert_int_not_equal(
		    EVP_DigestVerify(c, sig.data, sig.len, text, sizeof(text)),
		    1);
		EVP_MD_CTX_free(c);
	}
}

static int
count(const OSSL_PARAM params[], void *arg)
{
	(void)params;
	++*(unsigned *)arg;
	return 1;
}

static void
groups_of_tls_are_told(void **state)
{
	OSSL_PROVIDER *ours = OSSL_PROVIDER_load(NULL, "waybill");
	unsigned n = 0;

	(void)state;
	assert_non_null(ours);
	assert_int_equal(
	    OSSL_PROVIDER_get_capabilities(ours, "TLS-GROUP", count, &n), 1);
	assert_true(n > 0);
	OSSL_PROVIDER_unload(ours);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    public_keys_are_read_of_the_kinds_that_are_spoken),
		cmocka_unit_test(private_keys_are_read_in_all_formats),
		cmocka_unit_test(what_is_read_signs_and_verifies),
		cmocka_unit_test(groups_of_tls_are_told),
	};

	ossl_decoders_few();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
