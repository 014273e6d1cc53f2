#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "common/pki/cert_memo.h"
#include "common/pki/cms.h"
#include "tests/unit/cmp_fixture.h"

#define MANY 400 /* far above what is remembered */

/* ---- helpers ------------------------------------------------------------- */

static X509 *
parsed(const struct buf *der)
{
	struct err e = ERR_INIT;
	X509 *x = cert_memo_parse(buf_bytes(der), &e);

	if (x == NULL)
		fail_msg("%s", e.msg);
	return x;
}

/* A certificate of nobody's that is unlike all others. */
static void
another(struct buf *ret)
{
	static EVP_PKEY *key;
	AUTO(X509_NAME) name = issue_name("nobody", "Lab", "1");
	AUTO(X509) x = NULL;
	struct err e = ERR_INIT;
	struct issue_spec spec = { .subject = name,
		.not_before = 1000000000,
		.not_after = 2000000000,
		.key_usage = "digitalSignature" };

	if (key == NULL)
		key = ossl_new_key_p256();
	spec.pubkey = key;
	x = issue_cert(&spec, NULL, key, &e);
	assert_non_null(x);
	ossl_cert_der(x, ret);
}

/* ---- tests --------------------------------------------------------------- */

static void
the_same_octets_are_decoded_once(void **state)
{
	const struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };

	AUTO(X509) first = NULL;
	AUTO(X509) second = NULL;

	ossl_cert_der(f->device->cert, &der);
	first = parsed(&der);
	second = parsed(&der);
	assert_ptr_equal(first, second);
	assert_int_equal(X509_cmp(first, f->device->cert), 0);
}

/* The key is that of the octets, not of what they are like. */
static void
other_octets_are_another_certificate(void **state)
{
	const struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	AUTO(X509) first = NULL;
	AUTO(X509) second = NULL;

	ossl_cert_der(f->device->cert, &der);
	first = parsed(&der);
	der.data[der.len - 1] ^= 1; /* of its signature */
	second = parsed(&der);
	assert_ptr_not_equal(first, second);
	assert_int_not_equal(X509_cmp(first, second), 0);
}

static void
what_tls_decoded_is_remembered(void **state)
{
	struct buf der AUTO_BUF = { 0 }, above AUTO_BUF = { 0 };
	STACK_OF(X509) *chain = sk_X509_new_null();
	AUTO(X509) x = NULL;
	AUTO(X509) again = NULL;
	AUTO(X509) top = NULL;

	(void)state;
	another(&der);
	another(&above);
	x = ossl_cert_parse(buf_bytes(&der), NULL);
	assert_non_null(x);
	sk_X509_push(chain, ossl_cert_parse(buf_bytes(&above), NULL));
	cert_memo_keep(x, chain);
	cert_memo_keep(NULL, NULL);
	again = parsed(&der);
	assert_ptr_equal(again, x);
	top = parsed(&above);
	assert_ptr_equal(top, sk_X509_value(chain, 0));
	x509s_free(chain);
}

/* Of two connections' chains, decoded apart, one certificate is left. */
static void
chains_share_what_is_remembered(void **state)
{
	struct buf der AUTO_BUF = { 0 };
	STACK_OF(X509) *one = sk_X509_new_null(), *two = sk_X509_new_null();

	(void)state;
	another(&der);
	sk_X509_push(one, ossl_cert_parse(buf_bytes(&der), NULL));
	sk_X509_push(two, ossl_cert_parse(buf_bytes(&der), NULL));
	assert_ptr_not_equal(sk_X509_value(one, 0), sk_X509_value(two, 0));
	cert_memo_share(one);
	cert_memo_share(two);
	cert_memo_share(NULL);
	assert_ptr_equal(sk_X509_value(one, 0), sk_X509_value(two, 0));
	x509s_free(one);
	assert_int_equal(sk_X509_num(two), 1);
	x509s_free(two);
}

/* What is used stays, however many others come by. */
static void
the_oldest_goes(void **state)
{
	struct buf used AUTO_BUF = { 0 }, left AUTO_BUF = { 0 };
	AUTO(X509) kept = NULL;
	AUTO(X509) gone = NULL;
	AUTO(X509) again = NULL;

	(void)state;
	another(&used);
	another(&left);
	kept = parsed(&used);
	gone = parsed(&left);
	for (int i = 0; i < MANY; i++) {
		struct buf der AUTO_BUF = { 0 };

		another(&der);
		X509_free(parsed(&der));
		again = parsed(&used);
		assert_ptr_equal(again, kept);
		X509_free(STEAL(again));
	}
	again = parsed(&left);
	assert_ptr_not_equal(again, gone);
	assert_int_equal(X509_cmp(again, gone), 0);
}

static void
what_is_no_certificate_is_refused_each_time(void **state)
{
	const struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	AUTO(X509) x = NULL;

	ossl_cert_der(f->device->cert, &der);
	x = parsed(&der);
	buf_add(&der, "", 1);
	for (int i = 0; i < 2; i++) {
		assert_null(cert_memo_parse(buf_bytes(&der), &e));
		assert_non_null(strstr(e.msg, "1 trailing"));
		assert_null(cert_memo_parse(bytes_of(NULL, 0), &e));
		assert_int_equal(e.kind, ERR_INPUT);
	}
}

/* A voucher request's certificates are those that TLS showed. */
static void
cms_takes_what_is_remembered(void **state)
{
	const struct fixture *f = *state;
	struct cms_signed c = { 0 };
	struct buf der AUTO_BUF = { 0 }, own AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	AUTO(X509) known = NULL;

	ossl_cert_der(f->device->cert, &own);
	known = parsed(&own);
	if (cms_sign(nid_json_voucher(), bytes_of("{}", 2), f->device, NULL,
		&der, &e) == -1)
		fail_msg("%s", e.msg);
	if (cms_open(buf_bytes(&der), NULL, &c, &e) == -1)
		fail_msg("%s", e.msg);
	assert_ptr_equal(c.signer, known);
	assert_int_equal(
	    sk_X509_num(c.certs), 1 + sk_X509_num(f->device->chain));
	cms_signed_done(&c);
}

static void *
parse_often(void *arg)
{
	const struct buf *ders = arg;

	for (int i = 0; i < 2000; i++) {
		X509 *x = cert_memo_parse(buf_bytes(&ders[i % 4]), NULL);

		if (x == NULL || X509_get0_pubkey(x) == NULL)
			return arg;
		X509_free(x);
	}
	return NULL;
}

static void
threads_share_it(void **state)
{
	struct buf ders[4] = { { 0 } };
	pthread_t threads[3];
	void *wrong;

	(void)state;
	for (size_t i = 0; i < NELEMS(ders); i++)
		another(&ders[i]);
	for (size_t i = 0; i < NELEMS(threads); i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, parse_often, ders), 0);
	for (size_t i = 0; i < NELEMS(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	for (size_t i = 0; i < NELEMS(ders); i++)
		buf_done(&ders[i]);
}

/* ---- keys ---------------------------------------------------------------- */

/* P-256 is read without OpenSSL's decoders; the others with them. */
static void
keys_are_what_openssl_makes_of_them(void **state)
{
	static const char *const kinds[] = { "p256", "p384", "ed25519" };

	(void)state;
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		struct err e = ERR_INIT;
		AUTO(EVP_PKEY) key = ossl_new_key(kinds[i], &e);
		AUTO(EVP_PKEY) read = NULL;
		struct buf der AUTO_BUF = { 0 }, again AUTO_BUF = { 0 };

		ossl_spki_der(key, &der);
		read = ossl_spki_parse(buf_bytes(&der));
		assert_non_null(read);
		assert_int_equal(EVP_PKEY_eq(read, key), 1);
		assert_int_equal(key_check(read, &e), 0);
		ossl_spki_der(read, &again);
		assert_true(bytes_eq(buf_bytes(&again), buf_bytes(&der)));
		buf_add(&der, "", 1);
		assert_null(ossl_spki_parse(buf_bytes(&der)));
	}
}

/* Its SubjectPublicKeyInfo is as long as that of P-256. */
static void
a_key_on_a_like_curve_is_none_on_p256(void **state)
{
	AUTO(EVP_PKEY) key = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	AUTO(EVP_PKEY) read = NULL;
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_non_null(key);
	ossl_spki_der(key, &der);
	assert_int_equal(der.len, 91);
	read = ossl_spki_parse(buf_bytes(&der));
	assert_non_null(read);
	assert_int_equal(EVP_PKEY_eq(read, key), 1);
	assert_int_equal(key_check(read, &e), -1);
}

static void
a_point_off_the_curve_is_refused(void **state)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	struct buf der AUTO_BUF = { 0 };

	(void)state;
	ossl_spki_der(key, &der);
	der.data[der.len - 1] ^= 1;
	assert_null(ossl_spki_parse(buf_bytes(&der)));
	der.data[der.len - 1] ^= 1;
	der.data[der.len - 65] = 2; /* compressed, and too long for that */
	assert_null(ossl_spki_parse(buf_bytes(&der)));
}

static void
a_keys_digest_is_of_what_stands_there(void **state)
{
	const struct fixture *f = *state;
	struct digest of_key = spki_digest(f->device->key);
	struct digest of_cert = cert_spki_digest(f->device->cert);

	assert_true(digest_eq(&of_key, &of_cert));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_octets_are_decoded_once),
		cmocka_unit_test(other_octets_are_another_certificate),
		cmocka_unit_test(what_tls_decoded_is_remembered),
		cmocka_unit_test(chains_share_what_is_remembered),
		cmocka_unit_test(the_oldest_goes),
		cmocka_unit_test(what_is_no_certificate_is_refused_each_time),
		cmocka_unit_test(cms_takes_what_is_remembered),
		cmocka_unit_test(threads_share_it),
		cmocka_unit_test(keys_are_what_openssl_makes_of_them),
		cmocka_unit_test(a_key_on_a_like_curve_is_none_on_p256),
		cmocka_unit_test(a_point_off_the_curve_is_refused),
		cmocka_unit_test(a_keys_digest_is_of_what_stands_there),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
