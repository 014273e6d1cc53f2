#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/aead.h"
#include "common/base/str.h"

static const uint8_t key[AEAD_KEY_LEN] = { 1, 2, 3 };
static const uint8_t other_key[AEAD_KEY_LEN] = { 1, 2, 4 };

static void
what_is_sealed_opens(void **state)
{
	static const struct {
		size_t aad, plain;
	} cases[] = { { 0, 0 }, { 0, 1 }, { 5, 0 }, { 5, 16 }, { 70, 70000 } };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf sealed AUTO_BUF = { 0 }, plain AUTO_BUF = { 0 };
		struct buf aad AUTO_BUF = { 0 }, got AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		memset(buf_grow(&plain, cases[i].plain), 'p', cases[i].plain);
		memset(buf_grow(&aad, cases[i].aad), 'a', cases[i].aad);
		buf_add_str(&sealed, "##");
		buf_add_str(&got, "##");
		aead_seal(key, buf_bytes(&aad), buf_bytes(&plain), &sealed);
		assert_int_equal(sealed.len, 2 + plain.len + AEAD_OVERHEAD);
		assert_memory_equal(sealed.data, "##", 2);
		buf_drop(&sealed, 2);
		assert_int_equal(aead_open(key, buf_bytes(&aad),
				     buf_bytes(&sealed), &got, &e),
		    0);
		assert_memory_equal(got.data, "##", 2);
		buf_drop(&got, 2);
		assert_true(bytes_eq(buf_bytes(&got), buf_bytes(&plain)));
	}
}

static void
nothing_sealed_twice_looks_the_same(void **state)
{
	struct buf a AUTO_BUF = { 0 }, b AUTO_BUF = { 0 };
	struct bytes aad = bytes_of("aad", 3), plain = bytes_of("plain", 5);

	(void)state;
	aead_seal(key, aad, plain, &a);
	aead_seal(key, aad, plain, &b);
	assert_memory_not_equal(a.data, b.data, 12);
	assert_memory_not_equal(a.data + 12, b.data + 12, 5);
}

/* McGrew and Viega, "The Galois/Counter Mode", test case 16. */
static void
another_makers_text_opens(void **state)
{
	static const char plain[] =
	    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
	uint8_t k[32], aad[20], sealed[12 + 60 + 16];
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	char text[2 * 60 + 1];

	(void)state;
	assert_int_equal(hex_parse("feffe9928665731c6d6a8f9467308308"
				   "feffe9928665731c6d6a8f9467308308",
			     k, 32, &e),
	    0);
	assert_int_equal(
	    hex_parse("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad, 20, &e),
	    0);
	assert_int_equal(hex_parse("cafebabefacedbaddecaf888"
				   "522dc1f099567d07f47f37a32a84427d"
				   "643a8cdcbfe5c0c97598a2bd2555d1aa"
				   "8cb08e48590dbb3da7b08b1056828838"
				   "c5f61e6393ba7a0abcc9f662"
				   "76fc6ece0f4e1768cddf8853bb2d551b",
			     sealed, sizeof(sealed), &e),
	    0);
	assert_int_equal(aead_open(k, bytes_of(aad, sizeof(aad)),
			     bytes_of(sealed, sizeof(sealed)), &got, &e),
	    0);
	assert_int_equal(got.len, 60);
	assert_string_equal(hex_format(text, got.data, 60), plain);
}

static void
expect_damage(const uint8_t *k, struct bytes aad, struct bytes sealed)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	memset(buf_grow(&got, 64), 0, 64);
	buf_reset(&got);
	buf_add_str(&got, "before");
	assert_int_equal(aead_open(k, aad, sealed, &got, &e), -1);
	assert_int_equal(e.kind, ERR_DAMAGE);
	assert_int_equal(got.len, 6);
	assert_memory_equal(got.data, "before", 6);
	/* Nor may the text linger behind the end. */
	assert_memory_not_equal(got.data + 6, "plain", 5);
}

static void
each_bit_counts(void **state)
{
	struct bytes aad = bytes_of("aad", 3), plain = bytes_of("plain", 5);
	struct buf sealed AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	aead_seal(key, aad, plain, &sealed);
	for (i = 0; i < sealed.len * 8; i++) {
		sealed.data[i / 8] ^= (uint8_t)(1 << i % 8);
		expect_damage(key, aad, buf_bytes(&sealed));
		sealed.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	expect_damage(other_key, aad, buf_bytes(&sealed));
	expect_damage(key, bytes_of("aae", 3), buf_bytes(&sealed));
	expect_damage(key, bytes_of(NULL, 0), buf_bytes(&sealed));
	for (i = 0; i < sealed.len; i++)
		expect_damage(key, aad, bytes_of(sealed.data, i));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens),
		cmocka_unit_test(nothing_sealed_twice_looks_the_same),
		cmocka_unit_test(another_makers_text_opens),
		cmocka_unit_test(each_bit_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
