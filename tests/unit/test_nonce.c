#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "registrar/nonce.h"

static const uint8_t key[32] = "a key of thirty-two octets, ours";
static const struct digest row = { "a row: one transaction of one d" };

static void
a_nonce_proves_its_row(void **state)
{
	uint8_t nonce[NONCE_LEN];
	int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		nonce_make(key, &row, nonce);
		assert_true(nonce_check(key, &row, bytes_of(nonce, NONCE_LEN)));
	}
}

/* Each message has its own: a pledge may compare them. */
static void
no_two_are_alike(void **state)
{
	uint8_t one[NONCE_LEN], two[NONCE_LEN];

	(void)state;
	nonce_make(key, &row, one);
	nonce_make(key, &row, two);
	assert_memory_not_equal(one, two, 16);
	assert_memory_not_equal(one + 16, two + 16, 16);
}

static void
one_bit_anywhere_spoils_it(void **state)
{
	uint8_t nonce[NONCE_LEN];
	size_t i;

	(void)state;
	nonce_make(key, &row, nonce);
	for (i = 0; i < 8 * NONCE_LEN; i++) {
		nonce[i / 8] ^= 1 << i % 8;
		if (nonce_check(key, &row, bytes_of(nonce, NONCE_LEN)))
			fail_msg("bit %zu does not matter", i);
		nonce[i / 8] ^= 1 << i % 8;
	}
	assert_true(nonce_check(key, &row, bytes_of(nonce, NONCE_LEN)));
}

static void
another_row_and_another_key_are_not_proven(void **state)
{
	uint8_t nonce[NONCE_LEN], other_key[32];
	struct digest other_row = row;
	size_t i;

	(void)state;
	nonce_make(key, &row, nonce);
	for (i = 0; i < DIGEST_LEN; i++) {
		other_row.b[i] ^= 1;
		assert_false(
		    nonce_check(key, &other_row, bytes_of(nonce, NONCE_LEN)));
		other_row.b[i] ^= 1;
	}
	memcpy(other_key, key, sizeof(key));
	for (i = 0; i < sizeof(key); i++) {
		other_key[i] ^= 0x80;
		assert_false(
		    nonce_check(other_key, &row, bytes_of(nonce, NONCE_LEN)));
		other_key[i] ^= 0x80;
	}
}

static void
only_the_whole_length_counts(void **state)
{
	uint8_t longer[NONCE_LEN + 32];
	size_t n;

	(void)state;
	memset(longer, 0, sizeof(longer));
	nonce_make(key, &row, longer);
	for (n = 0; n <= sizeof(longer); n++)
		if (nonce_check(key, &row, bytes_of(longer, n)) !=
		    (n == NONCE_LEN))
			fail_msg("%zu octets", n);
	assert_false(nonce_check(key, &row, bytes_of(NULL, 0)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_nonce_proves_its_row),
		cmocka_unit_test(no_two_are_alike),
		cmocka_unit_test(one_bit_anywhere_spoils_it),
		cmocka_unit_test(another_row_and_another_key_are_not_proven),
		cmocka_unit_test(only_the_whole_length_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
