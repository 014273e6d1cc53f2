#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/buf.h"

static void
what_is_added_stands_in_order(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	int i;

	(void)state;
	buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 0);
	buf_add_str(&b, "one ");
	buf_printf(&b, "%s %d ", "two", 3);
	buf_add(&b, "\0four", 5);
	assert_int_equal(b.len, 15);
	assert_memory_equal(b.data, "one two 3 \0four", 15);
	for (i = 0; i < 10000; i++)
		buf_add(&b, "x", 1);
	assert_int_equal(b.len, 10015);
	assert_true(b.cap >= b.len);
	assert_memory_equal(b.data, "one two 3 \0fourxx", 17);
	assert_int_equal(b.data[10014], 'x');
}

static void
printf_takes_any_length(void **state)
{
	struct buf b AUTO_BUF = { 0 };

	(void)state;
	buf_printf(&b, "%0500d|", 7);
	assert_int_equal(b.len, 501);
	assert_int_equal(b.data[499], '7');
	assert_int_equal(b.data[500], '|');
}

static void
dropping_keeps_the_rest(void **state)
{
	static const struct {
		size_t n;
		const char *want;
	} cases[] = { { 0, "abcdef" }, { 1, "bcdef" }, { 5, "f" }, { 6, "" } };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf b AUTO_BUF = { 0 };

		buf_add_str(&b, "abcdef");
		buf_drop(&b, cases[i].n);
		assert_int_equal(b.len, strlen(cases[i].want));
		assert_string_equal(buf_cstr(&b), cases[i].want);
		assert_int_equal(b.len, strlen(cases[i].want));
	}
}

static void
cstr_fits_where_the_buffer_is_full(void **state)
{
	struct buf b AUTO_BUF = { 0 };

	(void)state;
	assert_string_equal(buf_cstr(&b), "");
	memset(buf_grow(&b, 1), 'a', 1);
	while (b.len < b.cap)
		buf_add(&b, "a", 1);
	assert_int_equal(strlen(buf_cstr(&b)), b.len);
}

static void
reset_keeps_and_done_frees(void **state)
{
	struct buf b = { 0 };
	size_t cap;

	(void)state;
	buf_add_str(&b, "secret");
	cap = b.cap;
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, cap);
	buf_wipe(&b);
	assert_null(b.data);
	assert_int_equal(b.cap, 0);
	buf_wipe(&b);
	buf_done(&b);
	assert_null(b.data);
}

static void
bytes_compare_by_content(void **state)
{
	static const struct {
		const char *a, *b;
		bool want;
	} cases[] = {
		{ "", "", true },
		{ "a", "a", true },
		{ "a", "b", false },
		{ "a", "ab", false },
		{ "ab", "a", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct bytes a = bytes_of(cases[i].a, strlen(cases[i].a));
		struct bytes b = bytes_of(cases[i].b, strlen(cases[i].b));
		struct buf dup AUTO_BUF = bytes_dup(a);

		assert_int_equal(bytes_eq(a, b), cases[i].want);
		assert_true(bytes_eq(a, buf_bytes(&dup)));
	}
	assert_true(bytes_eq(bytes_of(NULL, 0), bytes_of("", 0)));
}

static void
nothing_can_be_allocated(void **state)
{
	void *p = xmalloc(0), *q = xcalloc(0, 8), *r = xrealloc(NULL, 0);
	char *s = xstrdup("copy");

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	assert_non_null(r);
	assert_string_equal(s, "copy");
	free(p);
	free(q);
	free(r);
	free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_added_stands_in_order),
		cmocka_unit_test(printf_takes_any_length),
		cmocka_unit_test(dropping_keeps_the_rest),
		cmocka_unit_test(cstr_fits_where_the_buffer_is_full),
		cmocka_unit_test(reset_keeps_and_done_frees),
		cmocka_unit_test(bytes_compare_by_content),
		cmocka_unit_test(nothing_can_be_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
