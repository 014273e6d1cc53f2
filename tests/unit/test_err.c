#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "common/base/err.h"

/* What DESIGN section 11 and RFC 9810 5.2.3 say of each kind. */
static const struct {
	enum err_kind kind;
	const char *name;
	int http;
	uint32_t fail;
	int exit;
} kinds[] = {
	{ ERR_NONE, "none", 200, 0, 0 },
	{ ERR_INPUT, "input", 400, 1u << 5, 1 },
	{ ERR_POLICY, "policy", 403, 1u << 23, 4 },
	{ ERR_TRUST, "trust", 403, 1u << 20, 6 },
	{ ERR_RETRY, "retry", 503, 1u << 24, 5 },
	{ ERR_LOCAL, "local", 500, 1u << 25, 1 },
	{ ERR_USAGE, "usage", 400, 1u << 25, 2 },
	{ ERR_WAITING, "waiting", 503, 1u << 25, 3 },
	{ ERR_PEER, "peer", 503, 1u << 25, 5 },
	{ ERR_PERM, "permission", 403, 1u << 25, 7 },
	{ ERR_DAMAGE, "damage", 500, 1u << 25, 9 },
	{ ERR_CONF, "configuration", 500, 1u << 25, 78 },
	{ ERR_PARTLY, "partly", 500, 1u << 25, 8 },
};

static void
each_kind_has_its_row(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(NELEMS(kinds), ERR__MAX);
	for (i = 0; i < NELEMS(kinds); i++) {
		struct err e = { kinds[i].kind, 0, "" };

		assert_int_equal(kinds[i].kind, i);
		assert_string_equal(err_kind_name(e.kind), kinds[i].name);
		assert_int_equal(err_http_status(e.kind), kinds[i].http);
		assert_int_equal(err_exit_code(e.kind), kinds[i].exit);
		assert_int_equal(err_cmp_fail(&e), kinds[i].fail);
		e.fail = 1u << 9;
		assert_int_equal(err_cmp_fail(&e), 1u << 9);
	}
	assert_int_equal(err_http_status(ERR__MAX), 500);
}

static void
messages_are_one_line(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "plain", "plain" },
		{ "two\nlines\r\n", "two?lines??" },
		{ "\x1b[31mred\x7f", "?[31mred?" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "", "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct err e = { ERR_LOCAL, 7, "old" };

		assert_int_equal(err_set(&e, ERR_INPUT, "%s", cases[i].in), -1);
		assert_string_equal(e.msg, cases[i].want);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_int_equal(e.fail, 0);
	}
}

static void
long_messages_are_cut(void **state)
{
	char text[2 * ERR_MSG_MAX];
	struct err e = ERR_INIT;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, ERR_INPUT, "%s", text);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	err_prefix(&e, "voucher %d", 5);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	assert_memory_equal(e.msg, "voucher 5: xxx", 14);
	errno = EIO;
	err_errno(&e, ERR_LOCAL, "%s", text);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
}

static void
fail_bits_and_prefix_stand_together(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
	    err_fail(&e, ERR_TRUST, 1u << 1, "protection: %s", "no"), -1);
	assert_int_equal(err_prefix(&e, "cr %s", "7F3K"), -1);
	assert_string_equal(e.msg, "cr 7F3K: protection: no");
	assert_int_equal(e.kind, ERR_TRUST);
	assert_int_equal(err_cmp_fail(&e), 1u << 1);
}

static void
errno_is_told(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_errno(&e, ERR_LOCAL, "open %s", "/x"), -1);
	assert_string_equal(e.msg, "open /x: No such file or directory");
}

static void
a_message_may_quote_itself(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_INPUT, "inner");
	err_set(&e, ERR_POLICY, "outer (%s)", e.msg);
	assert_string_equal(e.msg, "outer (inner)");
	err_prefix(&e, "%s", e.msg);
	assert_string_equal(e.msg, "outer (inner): outer (inner)");
}

static void
nobody_need_listen(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_INPUT, "x"), -1);
	assert_int_equal(err_fail(NULL, ERR_INPUT, 1, "x"), -1);
	assert_int_equal(err_errno(NULL, ERR_INPUT, "x"), -1);
	assert_int_equal(err_prefix(NULL, "x"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_its_row),
		cmocka_unit_test(messages_are_one_line),
		cmocka_unit_test(long_messages_are_cut),
		cmocka_unit_test(fail_bits_and_prefix_stand_together),
		cmocka_unit_test(errno_is_told),
		cmocka_unit_test(a_message_may_quote_itself),
		cmocka_unit_test(nobody_need_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
