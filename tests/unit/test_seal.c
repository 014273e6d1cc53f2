/* Sealed values open in their own place, and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/queue/seal.h"

static const struct seal mine = { { 1 }, { 2 }, 1 };
static const struct seal other_key = { { 1, 1 }, { 2 }, 1 };
static const struct seal other_version = { { 1 }, { 2 }, 2 };
static const struct seal other_store = { { 1 }, { 2, 2 }, 1 };

static struct bytes
text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static void
test_value_opens_in_its_place_only(void **state)
{
	static const struct {
		const char *what;
		const struct seal *seal;
		const char *db, *key;
		int rc;
	} cases[] = {
		{ "its place", &mine, "row", "key", 0 },
		{ "another key of the seal", &other_key, "row", "key", -1 },
		{ "another store", &other_store, "row", "key", -1 },
		{ "another version", &other_version, "row", "key", -1 },
		{ "another database", &mine, "tx", "key", -1 },
		{ "another of the same length", &mine, "raw", "key", -1 },
		{ "another row", &mine, "row", "kez", -1 },
		{ "a longer key", &mine, "row", "keyy", -1 },
		{ "a boundary moved left", &mine, "ro", "wkey", -1 },
		{ "a boundary moved right", &mine, "rowk", "ey", -1 },
		{ "no key", &mine, "row", "", -1 },
	};
	struct buf sealed AUTO_BUF = { 0 };

	(void)state;
	seal_value(&mine, "row", text("key"), text("a value"), &sealed);
	assert_int_equal(sealed.len, 7 + AEAD_OVERHEAD);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf out AUTO_BUF = { 0 };
		struct err e = ERR_INIT;
		int rc;

		buf_add_str(&out, "<");
		rc = seal_open(cases[i].seal, cases[i].db, text(cases[i].key),
		    buf_bytes(&sealed), &out, &e);
		if (rc != cases[i].rc)
			fail_msg("%s: %d", cases[i].what, rc);
		assert_string_equal(buf_cstr(&out), rc == 0 ? "<a value" : "<");
		assert_int_equal(e.kind, rc == 0 ? ERR_NONE : ERR_DAMAGE);
	}
}

/* "a" with 49 octets and "a1" with 48 must not read the same. */
static void
test_places_do_not_run_together(void **state)
{
	static const char longer[] = "0"
				     "123456789012345678901234"
				     "123456789012345678901234";
	struct buf sealed AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };

	(void)state;
	assert_int_equal(strlen(longer), '1');
	assert_int_equal(strlen(longer + 1), '0');
	seal_value(&mine, "a", text(longer), text("a value"), &sealed);
	assert_int_equal(seal_open(&mine, "a1", text(longer + 1),
			     buf_bytes(&sealed), &out, NULL),
	    -1);
}

static void
test_every_bit_counts(void **state)
{
	struct buf sealed AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };

	(void)state;
	seal_value(&mine, "row", text("key"), text("a value"), &sealed);
	for (size_t bit = 0; bit < sealed.len * 8; bit++) {
		sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(seal_open(&mine, "row", text("key"),
				     buf_bytes(&sealed), &out, NULL),
		    -1);
		sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 0; len < sealed.len; len++)
		assert_int_equal(seal_open(&mine, "row", text("key"),
				     bytes_of(sealed.data, len), &out, NULL),
		    -1);
	assert_int_equal(out.len, 0);
}

static void
test_largest_key_and_name_fit(void **state)
{
	struct buf sealed AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	char db[SEAL_DB_MAX + 1] = { 0 };
	uint8_t key[SEAL_KEY_MAX + 1] = { 0 };

	(void)state;
	memset(db, 'd', SEAL_DB_MAX);
	seal_value(&mine, db, bytes_of(key, SEAL_KEY_MAX), text(""), &sealed);
	assert_int_equal(seal_open(&mine, db, bytes_of(key, SEAL_KEY_MAX),
			     buf_bytes(&sealed), &out, NULL),
	    0);
	assert_int_equal(seal_open(&mine, db, bytes_of(key, SEAL_KEY_MAX + 1),
			     buf_bytes(&sealed), &out, NULL),
	    -1);
}

static void
test_same_value_is_sealed_anew(void **state)
{
	struct buf a AUTO_BUF = { 0 }, b AUTO_BUF = { 0 };

	(void)state;
	seal_value(&mine, "row", text("key"), text("a value"), &a);
	seal_value(&mine, "row", text("key"), text("a value"), &b);
	assert_int_equal(a.len, b.len);
	assert_memory_not_equal(a.data, b.data, a.len);
}

static void
test_done_leaves_no_key(void **state)
{
	static const struct seal none;
	struct seal s = mine;

	(void)state;
	seal_done(&s);
	assert_memory_equal(&s, &none, sizeof(s));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value_opens_in_its_place_only),
		cmocka_unit_test(test_places_do_not_run_together),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_largest_key_and_name_fit),
		cmocka_unit_test(test_same_value_is_sealed_anew),
		cmocka_unit_test(test_done_leaves_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
