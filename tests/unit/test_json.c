#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/json.h"

#define X8(a)  a a a a a a a a
#define X32(a) X8(a) X8(a) X8(a) X8(a)

static void
text_is_checked(void **state)
{
	static const struct {
		const char *what, *in, *want;
	} cases[] = {
		{ "sorted and compact", "{ \"b\": [1, 2.5],\n \"a\": null }",
		    "{\"a\":null,\"b\":[1,2.5]}\n" },
		{ "white space behind", "[true] \n", "[true]\n" },
		{ "UTF-8", "[\"caf\xc3\xa9\"]", "[\"caf\xc3\xa9\"]\n" },
		{ "depth 32", X32("[") X32("]"), X32("[") X32("]") "\n" },
		{ "brackets in text", "[\"\\\"" X32("[[{") "\"]",
		    "[\"\\\"" X32("[[{") "\"]\n" },
		{ "brackets side by side", "[[" X32("[],{},") "0]]",
		    "[[" X32("[],{},") "0]]\n" },
		{ "escape", "[\"\\u000a\\\\\"]", "[\"\\n\\\\\"]\n" },
		{ "depth 33", "[" X32("[") X32("]") "]" },
		{ "depth 33 by objects", X32("{\"a\":") "{}" X32("}") },
		{ "depth 33 unclosed", "[" X32("[") },
		{ "nothing", "" },
		{ "space", " " },
		{ "scalar", "1" },
		{ "duplicate", "{\"a\":1,\"a\":2}" },
		{ "duplicate by escape", "{\"a\":1,\"\\u0061\":2}" },
		{ "trailing text", "[1] x" },
		{ "second value", "[1][2]" },
		{ "unclosed", "[1" },
		{ "comma", "[1,]" },
		{ "single quotes", "['a']" },
		{ "NUL by escape", "[\"\\u0000\"]" },
		{ "not UTF-8", "[\"\xe9\"]" },
		{ "integer over 64 bits", "[18446744073709551616]" },
		{ "ends in an escape", "[\"\\" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct bytes in = bytes_of(cases[i].in, strlen(cases[i].in));
		/* Without a NUL behind it, for the sanitizers. */
		struct buf copy AUTO_BUF = bytes_dup(in), got AUTO_BUF = { 0 };
		struct err e = ERR_INIT;
		AUTO(json_t) j = json_parse(buf_bytes(&copy), 65536, &e);

		print_message("%s\n", cases[i].what);
		if (cases[i].want == NULL) {
			assert_null(j);
			assert_int_equal(e.kind, ERR_INPUT);
			assert_memory_equal(e.msg, "json: ", 6);
			continue;
		}
		if (j == NULL)
			fail_msg("%s", e.msg);
		json_format(&got, j);
		assert_string_equal(buf_cstr(&got), cases[i].want);
	}
}

static void
size_is_limited(void **state)
{
	AUTO(json_t) at = NULL;
	struct err e = ERR_INIT;

	(void)state;
	at = json_parse(bytes_of("[1]", 3), 3, &e);
	assert_non_null(at);
	assert_null(json_parse(bytes_of("[1]", 3), 2, &e));
	assert_string_equal(e.msg, "json: 3 octets, limit 2");
	assert_null(json_parse(bytes_of(NULL, 0), 2, &e));
	assert_null(json_parse(bytes_of("[1]\0", 4), 9, &e));
}

static void
format_appends(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	AUTO(json_t) j = json_string("a\"\n");

	(void)state;
	buf_add_str(&b, ">");
	json_format(&b, j);
	assert_string_equal(buf_cstr(&b), ">\"a\\\"\\n\"\n");
}

/* Of what peers said, or was cut, everything can be told. */
static void
any_text_is_told(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ NULL, "null\n" },
		{ "", "null\n" },
		{ "a\nb", "\"a\\nb\"\n" },
		{ "\xc3\xa4", "\"\xc3\xa4\"\n" },
		{ "\xc3", "\"?\"\n" },
		{ "a\xff\xc3\xa4 b", "\"a??? b\"\n" },
		{ "\xed\xa0\x80", "\"???\"\n" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		AUTO(json_t) j = json_text(cases[i].text);
		struct buf got AUTO_BUF = { 0 };

		assert_non_null(j);
		json_format(&got, j);
		assert_string_equal(buf_cstr(&got), cases[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_checked),
		cmocka_unit_test(size_is_limited),
		cmocka_unit_test(format_appends),
		cmocka_unit_test(any_text_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
