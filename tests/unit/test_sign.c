#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/base/file.h"
#include "common/pki/cmp.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"

#define NOW 1800000000

AUTO_DEFINE(BIGNUM, BIGNUM, BN_free);
AUTO_DEFINE(EVP_PKEY_CTX, EVP_PKEY_CTX, EVP_PKEY_CTX_free);
AUTO_DEFINE(OSSL_PARAM, OSSL_PARAM, OSSL_PARAM_free);
AUTO_DEFINE(OSSL_PARAM_BLD, OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);

static char dir[64];

static char *
at(const char *name)
{
	return path_join(dir, name);
}

static int
make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/waybill-sign-XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
remove_dir(void **state)
{
	static const char *const names[] = { "key", "pem", "none" };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(names); i++) {
		AUTO(char) path = at(names[i]);

		unlink(path);
	}
	return rmdir(dir);
}

static EVP_PKEY *
new_key(const char *type, const char *curve)
{
	AUTO(EVP_PKEY_CTX) ctx = NULL;
	EVP_PKEY *k = NULL;

	if (curve != NULL)
		return EVP_EC_gen(curve);
	ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	/* Refused for its kind before its size: the smaller is the faster. */
	if (strcmp(type, "RSA-PSS") == 0)
		assert_int_equal(
		    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 1024), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &k), 1);
	return k;
}

/* A certificate for key by issuer (NULL: itself). */
static X509 *
new_cert(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	AUTO(X509_NAME) name = issue_name(cn, NULL, NULL);
	struct issue_spec spec = { .subject = name,
		.pubkey = key,
		.not_before = NOW,
		.not_after = ISSUE_FOREVER,
		.ca = true,
		.pathlen = -1 };
	struct err e = ERR_INIT;
	X509 *x = issue_cert(&spec, issuer, issuer_key, &e);

	if (x == NULL)
		fail_msg("%s", e.msg);
	return x;
}

static const struct {
	const char *type, *curve;
} good_keys[] = {
	{ "EC", "P-256" },
	{ "EC", "P-384" },
	{ "EC", "P-521" },
	{ "RSA", NULL },
	{ "ED25519", NULL },
	{ "ED448", NULL },
};

static void
signature_holds_for_each_kind_of_key(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(good_keys); i++) {
		AUTO(EVP_PKEY) key =
		    new_key(good_keys[i].type, good_keys[i].curve);
		AUTO(X509) cert = new_cert("a", key, NULL, key);
		AUTO(signer) s = signer_new(key, cert, NULL);
		struct buf sig AUTO_BUF = { 0 };
		struct bytes data = bytes_of("data", 4);
		struct err e = ERR_INIT;

		buf_add(&sig, "x", 1);
		assert_int_equal(sign_data(s, "l/1", data, &sig, &e), 0);
		assert_int_equal(sig.data[0], 'x');
		buf_drop(&sig, 1);
		assert_int_equal(
		    sign_check(cert, "l/1", data, buf_bytes(&sig), &e), 0);
		assert_int_equal(key_check(key, &e), 0);
	}
}

static void
signature_covers_label_and_data(void **state)
{
	static const struct {
		const char *label, *data;
	} others[] = {
		{ "l/1", "datA" },
		{ "l/1", "data\n" },
		{ "l/1", "dat" },
		{ "l/2", "data" },
		{ "l/1d", "ata" },
		{ "", "l/1data" },
	};
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) cert = new_cert("a", key, NULL, key);
	AUTO(signer) s = signer_new(key, cert, NULL);
	struct buf sig AUTO_BUF = { 0 };
	struct bytes data = bytes_of("data", 4);
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	assert_int_equal(sign_data(s, "l/1", data, &sig, &e), 0);
	for (i = 0; i < NELEMS(others); i++) {
		e.kind = ERR_NONE;
		assert_int_equal(
		    sign_check(cert, others[i].label,
			bytes_of(others[i].data, strlen(others[i].data)),
			buf_bytes(&sig), &e),
		    -1);
		assert_int_equal(e.kind, ERR_TRUST);
	}
	buf_add(&sig, "", 1);
	assert_int_equal(
	    sign_check(cert, "l/1", data, buf_bytes(&sig), &e), -1);
	assert_int_equal(
	    sign_check(cert, "l/1", data, bytes_of(NULL, 0), &e), -1);
	sig.len--;
	assert_int_equal(sign_check(cert, "l/1", data, buf_bytes(&sig), &e), 0);
	sig.data[sig.len - 1] ^= 1;
	assert_int_equal(
	    sign_check(cert, "l/1", data, buf_bytes(&sig), &e), -1);
}

static void
signature_of_another_key_is_refused(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(EVP_PKEY) other = ossl_new_key_p256();
	AUTO(X509) cert = new_cert("a", key, NULL, key);
	AUTO(X509) twin = new_cert("a", other, NULL, other);
	AUTO(signer) s = signer_new(key, cert, NULL);
	struct buf sig AUTO_BUF = { 0 };
	struct bytes data = bytes_of("data", 4);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(sign_data(s, "l/1", data, &sig, &e), 0);
	assert_int_equal(
	    sign_check(twin, "l/1", data, buf_bytes(&sig), &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_non_null(strstr(e.msg, "l/1: signature"));
}

static EVP_PKEY *
from_params(const char *type, OSSL_PARAM *params)
{
	AUTO(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *k = NULL;

	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(
	    EVP_PKEY_fromdata(ctx, &k, EVP_PKEY_PUBLIC_KEY, params), 1);
	return k;
}

/* Only its size and exponent are looked at: no primes needed. */
static EVP_PKEY *
rsa_of(int bits, const char *exponent_hex)
{
	AUTO(OSSL_PARAM_BLD) bld = OSSL_PARAM_BLD_new();
	AUTO(OSSL_PARAM) params = NULL;
	AUTO(BIGNUM) n = BN_new();
	AUTO(BIGNUM) exponent = NULL;

	assert_int_equal(
	    BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
	assert_true(BN_hex2bn(&exponent, exponent_hex) > 0);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, exponent);
	params = OSSL_PARAM_BLD_to_param(bld);
	return from_params("RSA", params);
}

static void
rsa_keys_have_limits(void **state)
{
	static const struct {
		int bits;
		const char *exponent;
		int rc;
	} cases[] = {
		{ 1024, "010001", -1 },
		{ 2047, "010001", -1 },
		{ 2048, "010001", 0 },
		{ 2048, "03", 0 },
		{ 2048, "01", -1 },
		{ 2048, "010000", -1 },
		{ 2048, "ffffffffffffffff", 0 },
		{ 2048, "010000000000000001", -1 },
		{ 4096, "010001", 0 },
		{ 4097, "010001", -1 },
		{ 16384, "010001", -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(EVP_PKEY) k = rsa_of(cases[i].bits, cases[i].exponent);
		struct err e = ERR_INIT;

		assert_int_equal(key_check(k, &e), cases[i].rc);
		if (cases[i].rc == -1) {
			assert_int_equal(e.kind, ERR_INPUT);
			assert_int_equal(e.fail, CMP_BAD_ALG);
		}
	}
}

static void
other_kinds_of_keys_are_refused(void **state)
{
	static const struct {
		const char *type, *curve;
	} cases[] = {
		{ "EC", "secp256k1" },
		{ "EC", "P-224" },
		{ "EC", "brainpoolP256r1" },
		{ "RSA-PSS", NULL },
		{ "X25519", NULL },
	};
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	assert_int_equal(key_check(NULL, &e), -1);
	assert_int_equal(e.fail, CMP_BAD_ALG);
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(EVP_PKEY) k = new_key(cases[i].type, cases[i].curve);

		e = (struct err)ERR_INIT;
		assert_int_equal(key_check(k, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_int_equal(e.fail, CMP_BAD_ALG);
		assert_null(strstr(e.msg, "bits"));
	}
}

/* RFC 5480 2.1.1: P-256 spelled out is not P-256. */
static void
explicit_curve_is_refused(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(EVP_PKEY) again = NULL;
	unsigned char *der = NULL;
	const unsigned char *p;
	struct err e = ERR_INIT;
	int len;

	(void)state;
	assert_int_equal(EVP_PKEY_set_utf8_string_param(
			     key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"),
	    1);
	len = i2d_PUBKEY(key, &der);
	assert_true(len > 200);
	p = der;
	again = d2i_PUBKEY(NULL, &p, len);
	OPENSSL_free(der);
	assert_non_null(again);
	assert_int_equal(key_check(again, &e), -1);
	assert_int_equal(e.fail, CMP_BAD_ALG);
	assert_non_null(strstr(e.msg, "RFC 5480"));
}

static void
check_names_the_weak_signer(void **state)
{
	AUTO(EVP_PKEY) key = EVP_EC_gen("secp256k1");
	AUTO(X509) cert = new_cert("a", key, NULL, key);
	AUTO(signer) s = signer_new(key, cert, NULL);
	struct buf sig AUTO_BUF = { 0 };
	struct bytes data = bytes_of("data", 4);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(sign_data(s, "l/1", data, &sig, &e), 0);
	assert_int_equal(
	    sign_check(cert, "l/1", data, buf_bytes(&sig), &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_int_equal(e.fail, CMP_BAD_ALG);
}

static void
write_text(const char *name, mode_t mode, const struct buf *text)
{
	AUTO(char) path = at(name);
	struct err e = ERR_INIT;

	if (file_write(path, mode, buf_bytes(text), &e) == -1)
		fail_msg("%s", e.msg);
}

static void
signer_comes_with_its_chain_but_not_the_root(void **state)
{
	AUTO(EVP_PKEY) root_key = ossl_new_key_p256();
	AUTO(EVP_PKEY) sub_key = ossl_new_key_p256();
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) root = new_cert("root", root_key, NULL, root_key);
	AUTO(X509) sub = new_cert("sub", sub_key, root, root_key);
	AUTO(X509) leaf = new_cert("leaf", key, sub, sub_key);
	struct buf pem AUTO_BUF = { 0 }, secret AUTO_SECRET = { 0 };
	AUTO(char) key_path = at("key");
	AUTO(char) pem_path = at("pem");
	AUTO(signer) s = NULL;
	struct digest want = cert_digest(leaf);
	struct err e = ERR_INIT;

	(void)state;
	ossl_cert_pem(leaf, &pem);
	ossl_cert_pem(sub, &pem);
	ossl_cert_pem(root, &pem);
	ossl_key_pem(key, &secret);
	write_text("pem", 0644, &pem);
	write_text("key", 0600, &secret);
	s = signer_load(key_path, pem_path, &e);
	if (s == NULL)
		fail_msg("%s", e.msg);
	assert_int_equal(X509_cmp(s->cert, leaf), 0);
	assert_int_equal(sk_X509_num(s->chain), 1);
	assert_int_equal(X509_cmp(sk_X509_value(s->chain, 0), sub), 0);
	assert_true(digest_eq(&s->id, &want));

	/* The sub-CA's key is not the leaf's. */
	buf_wipe(&secret);
	ossl_key_pem(sub_key, &secret);
	write_text("key", 0600, &secret);
	assert_null(signer_load(key_path, pem_path, &e));
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(strstr(e.msg, "not the key of"));
}

static void
key_that_others_may_read_is_refused(void **state)
{
	static const mode_t modes[] = { 0604, 0640, 0660, 0601 };
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	struct buf pem AUTO_SECRET = { 0 };
	AUTO(char) path = at("key");
	struct err e = ERR_INIT;
	EVP_PKEY *again;
	size_t i;

	(void)state;
	ossl_key_pem(key, &pem);
	for (i = 0; i < NELEMS(modes); i++) {
		write_text("key", modes[i], &pem);
		assert_null(ossl_load_key(path, &e));
		assert_int_equal(e.kind, ERR_PERM);
	}
	assert_int_equal(chmod(path, 0400), 0);
	again = ossl_load_key(path, &e);
	assert_non_null(again);
	assert_int_equal(EVP_PKEY_eq(key, again), 1);
	EVP_PKEY_free(again);
}

static void
key_with_a_password_is_refused_unasked(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(BIO) mem = BIO_new(BIO_s_mem());
	AUTO(char) path = at("key");
	struct buf pem AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	char *text;
	long len;

	(void)state;
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(mem, key,
			     EVP_aes_128_cbc(), "secret", 6, NULL, NULL),
	    1);
	len = BIO_get_mem_data(mem, &text);
	buf_add(&pem, text, (size_t)len);
	write_text("key", 0600, &pem);
	assert_null(ossl_load_key(path, &e));
	assert_int_equal(e.kind, ERR_CONF);
	buf_reset(&pem);
	buf_add_str(&pem, "no key at all\n");
	write_text("key", 0600, &pem);
	assert_null(ossl_load_key(path, &e));
	assert_int_equal(e.kind, ERR_CONF);
}

static void
certificate_files_have_limits(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) cert = new_cert("a", key, NULL, key);
	struct buf pem AUTO_BUF = { 0 };
	AUTO(char) path = at("pem");
	AUTO(char) none = at("none");
	AUTO(X509S) certs = NULL;
	struct err e = ERR_INIT;
	int i;

	(void)state;
	assert_null(ossl_load_certs(none, &e));
	assert_non_null(strstr(e.msg, none));
	buf_add_str(&pem, "only words\n");
	write_text("pem", 0644, &pem);
	assert_null(ossl_load_certs(path, &e));
	assert_int_equal(e.kind, ERR_CONF);
	for (i = 0; i < 64; i++)
		ossl_cert_pem(cert, &pem);
	write_text("pem", 0644, &pem);
	certs = ossl_load_certs(path, &e);
	assert_int_equal(sk_X509_num(certs), 64);
	ossl_cert_pem(cert, &pem);
	write_text("pem", 0644, &pem);
	assert_null(ossl_load_certs(path, &e));
	assert_int_equal(e.kind, ERR_CONF);
	assert_non_null(strstr(e.msg, "more than 64"));
}

static void
broken_certificate_files_are_refused(void **state)
{
	static const char *const texts[] = {
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END "
		"CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\n!!!!\n-----END "
		"CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nMIIB\n",
		"",
	};
	AUTO(char) path = at("pem");
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(texts); i++) {
		struct buf pem AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		buf_add_str(&pem, texts[i]);
		write_text("pem", 0644, &pem);
		assert_null(ossl_load_certs(path, &e));
		assert_int_equal(e.kind, ERR_CONF);
		assert_non_null(strstr(e.msg, path));
	}
}

static void
certificate_is_der_and_nothing_behind(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) cert = new_cert("a", key, NULL, key);
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	AUTO(X509) again = NULL;

	(void)state;
	ossl_cert_der(cert, &der);
	again = ossl_cert_parse(buf_bytes(&der), &e);
	assert_non_null(again);
	assert_int_equal(X509_cmp(cert, again), 0);
	assert_null(ossl_cert_parse(bytes_of(der.data, der.len - 1), &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_null(ossl_cert_parse(bytes_of(NULL, 0), &e));
	buf_add(&der, "", 1);
	assert_null(ossl_cert_parse(buf_bytes(&der), &e));
	assert_int_equal(e.kind, ERR_INPUT);
	assert_non_null(strstr(e.msg, "1 trailing"));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(signature_holds_for_each_kind_of_key),
		cmocka_unit_test(signature_covers_label_and_data),
		cmocka_unit_test(signature_of_another_key_is_refused),
		cmocka_unit_test(rsa_keys_have_limits),
		cmocka_unit_test(other_kinds_of_keys_are_refused),
		cmocka_unit_test(explicit_curve_is_refused),
		cmocka_unit_test(check_names_the_weak_signer),
		cmocka_unit_test(signer_comes_with_its_chain_but_not_the_root),
		cmocka_unit_test(key_that_others_may_read_is_refused),
		cmocka_unit_test(key_with_a_password_is_refused_unasked),
		cmocka_unit_test(certificate_files_have_limits),
		cmocka_unit_test(broken_certificate_files_are_refused),
		cmocka_unit_test(certificate_is_der_and_nothing_behind),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
