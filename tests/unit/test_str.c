#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/str.h"

static void
copies_are_bounded(void **state)
{
	static const struct {
		size_t size;
		const char *in, *want;
	} cases[] = {
		{ 8, "", "" },
		{ 8, "seven77", "seven77" },
		{ 8, "eight888", "eight88" },
		{ 1, "x", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		char dst[10] = "#########";

		assert_int_equal(str_copy(dst, cases[i].size, cases[i].in),
		    strlen(cases[i].in));
		assert_string_equal(dst, cases[i].want);
		assert_int_equal(dst[8], '#');
	}
	assert_true(str_starts("waybill-ra", "waybill"));
	assert_true(str_starts("x", ""));
	assert_false(str_starts("way", "waybill"));
}

static void
hex_is_exact(void **state)
{
	static const struct {
		const char *what, *in;
		int rc;
	} cases[] = {
		{ "lower", "00ff7a", 0 },
		{ "upper", "00FF7A", 0 },
		{ "short", "00ff7", -1 },
		{ "long", "00ff7a0", -1 },
		{ "empty", "", -1 },
		{ "space", "00ff7 ", -1 },
		{ "prefix", "0x00ff", -1 },
		{ "last digit wrong", "00ff7g", -1 },
	};
	static const uint8_t want[] = { 0x00, 0xff, 0x7a };
	static const uint8_t before[] = { 0x11, 0x22, 0x33 };
	char text[7];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		uint8_t got[3] = { 0x11, 0x22, 0x33 };
		struct err e = ERR_INIT;

		print_message("%s\n", cases[i].what);
		assert_int_equal(
		    hex_parse(cases[i].in, got, 3, &e), cases[i].rc);
		assert_memory_equal(got, cases[i].rc == 0 ? want : before, 3);
		assert_int_equal(
		    e.kind, cases[i].rc == 0 ? ERR_NONE : ERR_INPUT);
	}
	assert_string_equal(hex_format(text, want, 3), "00ff7a");
}

/* RFC 4648 section 10. */
static void
base64_as_in_the_rfc(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xfb\xff\xfe", "+//+" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf b AUTO_BUF = { 0 };

		buf_add_str(&b, ">");
		base64_format(&b, cases[i].in, strlen(cases[i].in));
		assert_string_equal(buf_cstr(&b) + 1, cases[i].want);
	}
}

static void
base64_is_read_with_either_alphabet(void **state)
{
	static const struct {
		const char *in;
		int rc;
		const char *want;
	} cases[] = {
		{ "", 0, "" }, { "Zg==", 0, "f" }, { "Zg", 0, "f" },
		{ "Zm8=", 0, "fo" }, { "Zm9vYmE", 0, "fooba" },
		{ "+//+", 0, "\xfb\xff\xfe" }, { "-__-", 0, "\xfb\xff\xfe" },
		{ "Z", -1, NULL }, { "Zg=", -1, NULL }, { "Zg===", -1, NULL },
		{ "Zm 9v", -1, NULL }, { "Zm9v\n", -1, NULL },
		{ "=", -1, NULL },
		{ "Zm9vYmFyZm9v", -1, NULL }, /* nine octets */
	};
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf b AUTO_BUF = { 0 };

		assert_int_equal(
		    base64_decode(cases[i].in, 8, &b, &e), cases[i].rc);
		assert_string_equal(
		    buf_cstr(&b), cases[i].rc == 0 ? cases[i].want : "");
	}
}

typedef int parse_fn(const char *, uint64_t *, struct err *);

static void
quantities_have_units(void **state)
{
	static const struct {
		parse_fn *parse;
		const char *in;
		int rc;
		uint64_t want;
	} cases[] = {
		{ duration_parse, "250ms", 0, 250 },
		{ duration_parse, "30s", 0, 30000 },
		{ duration_parse, "5m", 0, 300000 },
		{ duration_parse, "12h", 0, 43200000 },
		{ duration_parse, "30d", 0, UINT64_C(2592000000) },
		{ duration_parse, "0s", 0, 0 },
		{ duration_parse, "30", -1 },
		{ duration_parse, "s", -1 },
		{ duration_parse, "", -1 },
		{ duration_parse, "-1s", -1 },
		{ duration_parse, " 1s", -1 },
		{ duration_parse, "1 s", -1 },
		{ duration_parse, "1sx", -1 },
		{ duration_parse, "1h30m", -1 },
		{ duration_parse, "1.5h", -1 },
		{ duration_parse, "1S", -1 },
		{ duration_parse, "213503982334602d", -1 },
		{ duration_parse, "18446744073709551615ms", 0, UINT64_MAX },
		{ duration_parse, "18446744073709551616ms", -1 },
		{ size_parse, "512", 0, 512 },
		{ size_parse, "64KiB", 0, 65536 },
		{ size_parse, "16MiB", 0, 16777216 },
		{ size_parse, "1GiB", 0, 1073741824 },
		{ size_parse, "2TiB", 0, UINT64_C(2199023255552) },
		{ size_parse, "64kB", -1 },
		{ size_parse, "64K", -1 },
		{ size_parse, "KiB", -1 },
		{ size_parse, "0x40", -1 },
		{ size_parse, "16777216TiB", -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		uint64_t got = 7777;
		struct err e = ERR_INIT;

		print_message("%s\n", cases[i].in);
		assert_int_equal(
		    cases[i].parse(cases[i].in, &got, &e), cases[i].rc);
		assert_true(got == (cases[i].rc == 0 ? cases[i].want : 7777));
	}
}

static void
numbers_reach_to_the_last_character(void **state)
{
	static const struct {
		const char *in;
		uint64_t min, max;
		int rc;
		uint64_t want;
	} cases[] = {
		{ "0", 0, 9, 0, 0 },
		{ "9", 0, 9, 0, 9 },
		{ "10", 0, 9, -1 },
		{ "4", 5, 9, -1 },
		{ "00012", 0, 99, 0, 12 },
		{ "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", 0, UINT64_MAX, -1 },
		{ "18446744073709551620", 0, UINT64_MAX, -1 },
		{ "", 0, 9, -1 },
		{ "84a3", 0, 9999, -1 },
		{ "+1", 0, 9, -1 },
		{ "-1", 0, UINT64_MAX, -1 },
		{ " 1", 0, 9, -1 },
		{ "1 ", 0, 9, -1 },
		{ "0x1", 0, 9, -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		uint64_t got = 7777;
		struct err e = ERR_INIT;

		print_message("%s\n", cases[i].in);
		assert_int_equal(number_parse(cases[i].in, cases[i].min,
				     cases[i].max, &got, &e),
		    cases[i].rc);
		assert_true(got == (cases[i].rc == 0 ? cases[i].want : 7777));
	}
}

static void
durations_are_short(void **state)
{
	static const struct {
		uint64_t in;
		const char *want;
	} cases[] = {
		{ 0, "0s" },
		{ 45, "45s" },
		{ 60, "1m" },
		{ 61, "1m1s" },
		{ 3600, "1h" },
		{ 3659, "1h" },
		{ 8040, "2h14m" },
		{ 86399, "23h59m" },
		{ 273600, "3d4h" },
		{ UINT64_C(99999) * 86400 + 82800, "99999d23h" },
		{ UINT64_MAX, ">99999d" },
	};
	char buf[16];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++)
		assert_string_equal(
		    duration_format(buf, cases[i].in), cases[i].want);
}

static void
escaped_text_stays_a_line(void **state)
{
	struct buf b AUTO_BUF = { 0 };

	(void)state;
	str_escape(&b, "a b='c'\n\"\\\0\x7f\xc3\xa9~", 14);
	assert_string_equal(
	    buf_cstr(&b), "a b='c'\\x0a\\x22\\x5c\\x00\\x7f\\xc3\\xa9");
}

/* RFC 3629 section 4 and what RFC 3629 section 10 warns of. */
static void
utf8_is_checked(void **state)
{
	static const struct {
		const char *what, *in;
		bool want;
	} cases[] = {
		{ "empty", "", true },
		{ "ASCII", "abc\x7f", true },
		{ "two", "\xc2\x80\xdf\xbf", true },
		{ "three", "\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf", true },
		{ "four", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true },
		{ "overlong two", "\xc0\xaf", false },
		{ "overlong three", "\xe0\x9f\xbf", false },
		{ "overlong four", "\xf0\x8f\xbf\xbf", false },
		{ "surrogate", "\xed\xa0\x80", false },
		{ "over the end", "\xf4\x90\x80\x80", false },
		{ "five", "\xf8\x88\x80\x80\x80", false },
		{ "continuation alone", "a\x80", false },
		{ "cut at two", "\xc3", false },
		{ "cut at three", "\xe2\x82", false },
		{ "cut at four", "\xf0\x9f\x98", false },
		{ "third wrong",
		    "\xe2\x82"
		    "a",
		    false },
		{ "fourth wrong", "\xf0\x9f\x98\xc0", false },
		{ "Latin 1",
		    "G\xe9"
		    "ant",
		    false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		size_t n = strlen(cases[i].in);
		/* To the octet, for the sanitizers. */
		AUTO(char) in = xmalloc(n);

		memcpy(in, cases[i].in, n);
		print_message("%s\n", cases[i].what);
		assert_int_equal(utf8_valid(in, n), cases[i].want);
	}
}

static void
names_are_plain(void **state)
{
	static const struct {
		const char *in;
		bool want;
	} cases[] = {
		{ "a", true },
		{ "substation-7", true },
		{ "abcdefghijklmnopqrstuvwxyz012345", true },
		{ "abcdefghijklmnopqrstuvwxyz0123456", false },
		{ "", false },
		{ "7substation", false },
		{ "-a", false },
		{ "Site", false },
		{ "a_b", false },
		{ "a/../b", false },
		{ "a ", false },
		{ "a\n", false },
		{ "\xc3\xa9", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++)
		assert_int_equal(name_valid(cases[i].in), cases[i].want);
}

#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void
addresses_have_host_and_port(void **state)
{
	static const struct {
		const char *in, *host, *port;
	} cases[] = {
		{ "localhost:8443", "localhost", "8443" },
		{ "127.0.0.1:0", "127.0.0.1", "0" },
		{ "ra.example.net:65535", "ra.example.net", "65535" },
		{ "[::1]:443", "::1", "443" },
		{ "[fe80::1%eth0]:00443", "fe80::1%eth0", "443" },
		{ A63 ":1", A63, "1" },
		{ A63 "a:1" },
		{ "" },
		{ "host" },
		{ "host:" },
		{ ":443" },
		{ "host:65536" },
		{ "host:443x" },
		{ "host:-1" },
		{ "host:443:1" },
		{ "::1:443" },
		{ "[::1]" },
		{ "[::1]443" },
		{ "[::1:443" },
		{ "[]:443" },
		{ "[host]:443" },
		{ "[fe80::1%]:443" },
		{ "[fe80::1%a b]:443" },
		{ "[fe80::1%a23456789012345]:1", "fe80::1%a23456789012345",
		    "1" },
		{ "[fe80::1%a234567890123456]:1" },
		{ "[::1]]:443" },
		{ "ho st:443" },
		{ "user@host:443" },
		{ "ho\nst:443" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		bool ok = cases[i].host != NULL;
		char host[64] = "before", port[6] = "66666";
		struct err e = ERR_INIT;

		print_message("%s\n", cases[i].in);
		assert_int_equal(
		    hostport_parse(cases[i].in, host, port, &e), ok ? 0 : -1);
		assert_string_equal(host, ok ? cases[i].host : "before");
		assert_string_equal(port, ok ? cases[i].port : "66666");
		assert_int_equal(e.kind, ok ? ERR_NONE : ERR_INPUT);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_bounded),
		cmocka_unit_test(hex_is_exact),
		cmocka_unit_test(base64_as_in_the_rfc),
		cmocka_unit_test(base64_is_read_with_either_alphabet),
		cmocka_unit_test(quantities_have_units),
		cmocka_unit_test(numbers_reach_to_the_last_character),
		cmocka_unit_test(durations_are_short),
		cmocka_unit_test(escaped_text_stays_a_line),
		cmocka_unit_test(utf8_is_checked),
		cmocka_unit_test(names_are_plain),
		cmocka_unit_test(addresses_have_host_and_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
