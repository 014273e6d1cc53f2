#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/digest.h"
#include "common/base/str.h"

static void
expect(const uint8_t *got, size_t n, const char *want)
{
	char text[2 * 64 + 1];

	assert_string_equal(hex_format(text, got, n), want);
}

/* FIPS 180-4 examples. */
static void
sha256_as_published(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "",
		    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b"
		    "7852b855" },
		{ "abc",
		    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61"
		    "f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd4"
		    "19db06c1" },
	};
	struct digest d;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		d = digest_of(cases[i].in, strlen(cases[i].in));
		expect(d.b, DIGEST_LEN, cases[i].want);
	}
	d = digest_of(NULL, 0);
	expect(d.b, DIGEST_LEN, cases[0].want);
}

/* RFC 4231 cases 2 and 6, and a key of no octets. */
static void
hmac_as_published(void **state)
{
	uint8_t key[131];
	struct digest d;

	(void)state;
	d = digest_hmac(
	    bytes_of("Jefe", 4), bytes_of("what do ya want for nothing?", 28));
	expect(d.b, DIGEST_LEN,
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	d = digest_hmac(bytes_of(key, sizeof(key)),
	    bytes_of(
		"Test Using Larger Than Block-Size Key - Hash Key First", 54));
	expect(d.b, DIGEST_LEN,
	    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	d = digest_hmac(bytes_of(NULL, 0), bytes_of(NULL, 0));
	expect(d.b, DIGEST_LEN,
	    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 5869 A.3 has no info; the second value was made with openssl kdf. */
static void
hkdf_as_published(void **state)
{
	uint8_t secret[22], got[42];

	(void)state;
	memset(secret, 0x0b, sizeof(secret));
	digest_hkdf(bytes_of(secret, sizeof(secret)), "", got, sizeof(got));
	expect(got, sizeof(got),
	    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
	    "9d201395faa4b61a96c8");
	digest_hkdf(bytes_of(secret, sizeof(secret)), "waybill", got, 32);
	expect(got, 32,
	    "a43ed15b7d7da4e90a89090eacfbf94d06e468e36555769d3fddc8eae0560535");
}

static void
one_bit_makes_another_digest(void **state)
{
	struct digest a = digest_of("a", 1), b = a;

	(void)state;
	assert_true(digest_eq(&a, &b));
	b.b[DIGEST_LEN - 1] ^= 1;
	assert_false(digest_eq(&a, &b));
	b = a;
	b.b[0] ^= 0x80;
	assert_false(digest_eq(&a, &b));
}

static void
random_octets_differ(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	(void)state;
	random_bytes(a, 0);
	assert_memory_equal(a, b, sizeof(a));
	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_as_published),
		cmocka_unit_test(hmac_as_published),
		cmocka_unit_test(hkdf_as_published),
		cmocka_unit_test(one_bit_makes_another_digest),
		cmocka_unit_test(random_octets_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
