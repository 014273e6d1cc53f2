#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"

/* From "82 01 f6" to octets; the result is as long as its text says, so that
 * the sanitizers see a read beyond it. */
static struct buf
octets(const char *hex)
{
	struct buf b = { 0 };
	char pair[3] = "";
	uint8_t v;

	for (; *hex != '\0'; hex += hex[2] == ' ' ? 3 : 2) {
		memcpy(pair, hex, 2);
		assert_int_equal(hex_parse(pair, &v, 1, NULL), 0);
		buf_add(&b, &v, 1);
	}
	if (b.len > 0)
		b.data = xrealloc(b.data, b.cap = b.len);
	return b;
}

/* RFC 8949 appendix A. */
static void
integers_take_the_shortest_form(void **state)
{
	static const struct {
		int64_t v;
		const char *want;
	} cases[] = {
		{ 0, "00" },
		{ 23, "17" },
		{ 24, "18 18" },
		{ 255, "18 ff" },
		{ 256, "19 01 00" },
		{ 65535, "19 ff ff" },
		{ 65536, "1a 00 01 00 00" },
		{ INT64_C(4294967295), "1a ff ff ff ff" },
		{ INT64_C(4294967296), "1b 00 00 00 01 00 00 00 00" },
		{ INT64_MAX, "1b 7f ff ff ff ff ff ff ff" },
		{ -1, "20" },
		{ -24, "37" },
		{ -25, "38 18" },
		{ -256, "38 ff" },
		{ -257, "39 01 00" },
		{ INT64_C(-4294967297), "3b 00 00 00 01 00 00 00 00" },
		{ INT64_MIN, "3b 7f ff ff ff ff ff ff ff" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf want AUTO_BUF = octets(cases[i].want);
		struct buf got AUTO_BUF = { 0 };
		struct cbor_in in;

		print_message("%s\n", cases[i].want);
		cbor_write_int(&got, cases[i].v);
		assert_true(bytes_eq(buf_bytes(&got), buf_bytes(&want)));
		cbor_read_init(&in, buf_bytes(&want), "integer");
		assert_true(
		    cbor_read_int(&in, INT64_MIN, INT64_MAX) == cases[i].v);
		assert_int_equal(cbor_read_end(&in, NULL), 0);
		if (cases[i].v < 0)
			continue;
		buf_reset(&got);
		cbor_write_uint(&got, (uint64_t)cases[i].v);
		assert_true(bytes_eq(buf_bytes(&got), buf_bytes(&want)));
		cbor_read_init(&in, buf_bytes(&want), "integer");
		assert_true(
		    cbor_read_uint(&in, UINT64_MAX) == (uint64_t)cases[i].v);
		assert_int_equal(cbor_read_end(&in, NULL), 0);
	}
}

static void
long_strings_have_long_heads(void **state)
{
	static const struct {
		size_t n;
		const char *head;
	} cases[] = {
		{ 0, "40" },
		{ 23, "57" },
		{ 24, "58 18" },
		{ 255, "58 ff" },
		{ 256, "59 01 00" },
		{ 65536, "5a 00 01 00 00" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf head AUTO_BUF = octets(cases[i].head);
		struct buf got AUTO_BUF = { 0 }, text AUTO_BUF = { 0 };
		struct cbor_in in;
		struct bytes b;

		memset(buf_grow(&text, cases[i].n), 'x', cases[i].n);
		cbor_write_bytes(&got, text.data, text.len);
		assert_int_equal(got.len, head.len + text.len);
		assert_memory_equal(got.data, head.data, head.len);
		cbor_read_init(&in, buf_bytes(&got), "string");
		b = cbor_read_bytes(&in, cases[i].n);
		assert_int_equal(cbor_read_end(&in, NULL), 0);
		assert_true(bytes_eq(b, buf_bytes(&text)));
		buf_reset(&got);
		cbor_write_text(&got, buf_cstr(&text));
		assert_int_equal(got.len, head.len + text.len);
		assert_int_equal(got.data[0], head.data[0] + 0x20);
		buf_reset(&got);
		cbor_write_array(&got, cases[i].n);
		assert_int_equal(got.len, head.len);
		assert_int_equal(got.data[0], head.data[0] + 0x40);
	}
}

static void
a_record_comes_back(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	uint8_t fixed[3];
	struct bytes got;
	struct cbor_in in;
	char text[8];

	(void)state;
	cbor_write_array(&b, 8);
	cbor_write_uint(&b, 7);
	cbor_write_array(&b, 2);
	cbor_write_bool(&b, true);
	cbor_write_bool(&b, false);
	cbor_write_bytes_or_null(&b, NULL, 0);
	cbor_write_bytes_or_null(&b, "", 0);
	cbor_write_bytes_or_null(&b, "x", 1);
	cbor_write_bytes(&b, "abc", 3);
	cbor_write_text(&b, "caf\xc3\xa9");
	cbor_write_null(&b);
	cbor_read_init(&in, buf_bytes(&b), "record");
	cbor_read_array(&in, 8);
	assert_int_equal(cbor_read_uint(&in, 7), 7);
	assert_int_equal(cbor_read_array_upto(&in, 0, 2), 2);
	assert_true(cbor_read_bool(&in));
	assert_false(cbor_read_bool(&in));
	assert_false(cbor_read_bytes_or_null(&in, 9, &got));
	assert_null(got.p);
	assert_true(cbor_read_bytes_or_null(&in, 9, &got));
	assert_int_equal(got.len, 0);
	assert_true(cbor_read_bytes_or_null(&in, 9, &got));
	assert_true(bytes_eq(got, bytes_of("x", 1)));
	cbor_read_fixed(&in, fixed, 3);
	assert_memory_equal(fixed, "abc", 3);
	cbor_read_text(&in, text, sizeof(text));
	assert_string_equal(text, "caf\xc3\xa9");
	assert_false(cbor_read_bytes_or_null(&in, 9, &got));
	assert_int_equal(cbor_read_end(&in, NULL), 0);
}

/* One reader of each kind; on failure each must leave a zero. */
enum item { UINT, INT, BYTES, OR_NULL, FIXED, TEXT, BOOL, ARRAY };

static void
read_item(struct cbor_in *in, enum item item)
{
	uint8_t fixed[2] = { 0xaa, 0xaa };
	struct bytes b = { (const uint8_t *)"old", 3 };
	char text[4] = "old";
	uint64_t zero = 0;

	switch (item) {
	case UINT:
		zero = cbor_read_uint(in, 1000);
		break;
	case INT:
		zero = (uint64_t)cbor_read_int(in, -10, 10);
		break;
	case BYTES:
		zero = cbor_read_bytes(in, 4).len;
		break;
	case OR_NULL:
		zero = cbor_read_bytes_or_null(in, 4, &b);
		assert_true(in->bad == NULL || (b.p == NULL && b.len == 0));
		break;
	case FIXED:
		cbor_read_fixed(in, fixed, 2);
		zero = fixed[0] | fixed[1];
		break;
	case TEXT:
		cbor_read_text(in, text, sizeof(text));
		zero = (uint64_t)(text[0] | text[1] | text[2]);
		break;
	case BOOL:
		zero = cbor_read_bool(in);
		break;
	case ARRAY:
		zero = cbor_read_array_upto(in, 1, 3);
		break;
	}
	if (in->bad != NULL)
		assert_true(zero == 0);
}

static void
hostile_input_is_refused(void **state)
{
	static const struct {
		const char *what;
		enum item item;
		const char *in, *msg;
	} cases[] = {
		{ "nothing", UINT, "", "octet 0: ends too early" },
		{ "24 in two", UINT, "18 17", "octet 0: longer than shortest" },
		{ "in four", UINT, "19 00 ff", "longer than shortest form" },
		{ "in eight", UINT, "1a 00 00 ff ff", "longer than shortest" },
		{ "in 16", UINT, "1b 00 00 00 00 ff ff ff ff",
		    "longer than shortest" },
		{ "head cut", UINT, "19 01", "ends within a head" },
		{ "head cut at once", UINT, "1b", "ends within a head" },
		{ "reserved", UINT, "1c", "reserved head" },
		{ "over max", UINT, "19 03 e9", "integer out of range" },
		{ "signed", UINT, "20", "expected an unsigned integer" },
		{ "tagged", UINT, "c1 01", "expected an unsigned integer" },
		{ "float", UINT, "f9 3c 00", "expected an unsigned integer" },
		{ "trailing", UINT, "01 02", "octet 1: octets trail" },
		{ "over", INT, "0b", "integer out of range" },
		{ "under", INT, "2a", "integer out of range" },
		{ "over INT64_MAX", INT, "1b 80 00 00 00 00 00 00 00",
		    "integer out of range" },
		{ "under INT64_MIN", INT, "3b ff ff ff ff ff ff ff ff",
		    "integer out of range" },
		{ "text", INT, "61 61", "expected an integer" },
		{ "text for octets", BYTES, "61 61", "expected an octet" },
		{ "indefinite", BYTES, "5f 41 61 ff", "indefinite length" },
		{ "too long", BYTES, "45 01 02 03 04 05", "over its limit" },
		{ "beyond the end", BYTES, "44 01 02 03", "beyond the end" },
		{ "2^64-1 octets", BYTES, "5b ff ff ff ff ff ff ff ff 00",
		    "beyond the end" },
		{ "undefined", OR_NULL, "f7", "expected an octet string" },
		{ "false", OR_NULL, "f4", "expected an octet string" },
		{ "one less", FIXED, "41 01",
		    "octet 0: octet string of wrong length" },
		{ "one more", FIXED, "43 01 02 03", "over its limit" },
		{ "null", FIXED, "f6", "expected an octet string" },
		{ "octets for text", TEXT, "41 61", "expected text" },
		{ "too long", TEXT, "64 61 61 61 61", "over its limit" },
		{ "NUL", TEXT, "63 61 00 61",
		    "octet 0: text is not UTF-8 or has a" },
		{ "Latin 1", TEXT, "61 e9", "text is not UTF-8 or has a NUL" },
		{ "surrogate", TEXT, "63 ed a0 80", "text is not UTF-8" },
		{ "in chunks", TEXT, "7f 61 61 ff", "indefinite length" },
		{ "null", BOOL, "f6", "expected true or false" },
		{ "one", BOOL, "01", "expected true or false" },
		{ "false in two", BOOL, "f8 14", "expected true or false" },
		{ "nothing", BOOL, "", "expected true or false" },
		{ "map", ARRAY, "a1 01 02", "expected an array" },
		{ "indefinite", ARRAY, "9f 01 ff", "indefinite length" },
		{ "empty", ARRAY, "80", "array of wrong length" },
		{ "too many", ARRAY, "84 01 01 01 01", "of wrong length" },
		{ "more than there is", ARRAY, "83 01 01", "beyond the end" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf b AUTO_BUF = octets(cases[i].in);
		struct err e = ERR_INIT;
		struct cbor_in in;

		print_message("%s: %s\n", cases[i].what, cases[i].in);
		cbor_read_init(&in, buf_bytes(&b), "thing");
		read_item(&in, cases[i].item);
		assert_int_equal(cbor_read_end(&in, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_memory_equal(e.msg, "thing: octet ", 13);
		if (strstr(e.msg, cases[i].msg) == NULL)
			fail_msg("got: %s", e.msg);
	}
}

static void
the_first_error_sticks(void **state)
{
	struct buf b AUTO_BUF = octets("82 01 02");
	struct err e = ERR_INIT;
	struct cbor_in in;
	int item;

	(void)state;
	cbor_read_init(&in, buf_bytes(&b), "thing");
	cbor_read_array(&in, 2);
	cbor_read_uint(&in, 1);
	cbor_read_bad(&in, "not to our taste");
	cbor_read_bad(&in, "later");
	for (item = UINT; item <= ARRAY; item++)
		read_item(&in, (enum item)item);
	assert_int_equal(cbor_read_end(&in, &e), -1);
	assert_string_equal(e.msg, "thing: octet 2: not to our taste");
}

static void
arrays_are_read_to_their_end(void **state)
{
	static const struct {
		const char *what, *in;
		int items, rc;
	} cases[] = {
		{ "whole", "82 01 02", 2, 0 },
		{ "one left", "82 01 02", 1, -1 },
		{ "taken from behind", "81 01 02", 2, 0 },
	};
	struct err e = ERR_INIT;
	struct cbor_in in;
	size_t i;
	int k;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf b AUTO_BUF = octets(cases[i].in);

		print_message("%s\n", cases[i].what);
		cbor_read_init(&in, buf_bytes(&b), "array");
		cbor_read_array_upto(&in, 1, 2);
		for (k = 0; k < cases[i].items; k++)
			cbor_read_uint(&in, 9);
		assert_int_equal(cbor_read_end(&in, NULL), cases[i].rc);
	}
	/* An inner array that promises an item that belongs to nobody. */
	cbor_read_init(&in, bytes_of("\x82\x82\x01\x01", 4), "array");
	cbor_read_array(&in, 2);
	cbor_read_array(&in, 2);
	cbor_read_uint(&in, 9);
	cbor_read_uint(&in, 9);
	assert_int_equal(cbor_read_end(&in, &e), -1);
	assert_string_equal(e.msg, "array: octet 4: array not read to its end");
}

static void
depth_is_bounded(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cbor_in in;
	int i;

	(void)state;
	for (i = 0; i < CBOR_DEPTH; i++)
		cbor_write_array(&b, 1);
	cbor_write_array(&b, 0);
	cbor_read_init(&in, buf_bytes(&b), "nest");
	for (i = 0; i < CBOR_DEPTH; i++)
		cbor_read_array(&in, 1);
	assert_null(in.bad);
	cbor_read_array_upto(&in, 0, 1);
	assert_int_equal(cbor_read_end(&in, &e), -1);
	assert_string_equal(e.msg, "nest: octet 8: nested too deep");

	/* What is closed no longer counts: a sequence may go on. */
	buf_reset(&b);
	for (i = 0; i < 5 * CBOR_DEPTH; i++) {
		cbor_write_array(&b, 1);
		cbor_write_uint(&b, 1);
	}
	cbor_read_init(&in, buf_bytes(&b), "sequence");
	for (i = 0; i < 5 * CBOR_DEPTH; i++) {
		cbor_read_array(&in, 1);
		assert_int_equal(cbor_read_uint(&in, 1), 1);
	}
	assert_int_equal(cbor_read_end(&in, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_take_the_shortest_form),
		cmocka_unit_test(long_strings_have_long_heads),
		cmocka_unit_test(a_record_comes_back),
		cmocka_unit_test(hostile_input_is_refused),
		cmocka_unit_test(the_first_error_sticks),
		cmocka_unit_test(arrays_are_read_to_their_end),
		cmocka_unit_test(depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
