/* Texts and what a parser says of them: what the tests of vouchers share. */
#ifndef WAYBILL_TESTS_VOUCHER_TEXT_H
#define WAYBILL_TESTS_VOUCHER_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/cmp_fixture.h"

/* One case of a parser: what it must say of a text. */
struct text_case {
	const char *what, *in;
	const char *reason; /* NULL: fine */
};

#define CASES(...) \
	(const struct text_case[]) \
	{ \
		__VA_ARGS__, \
		{ \
			NULL \
		} \
	}

static inline struct bytes
text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static inline void
assert_said(const struct text_case *c, int rc, const struct err *e)
{
	if (c->reason == NULL) {
		if (rc == -1)
			fail_msg("%s: %s", c->what, e->msg);
		return;
	}
	if (rc == 0)
		fail_msg("%s: was taken", c->what);
	assert_int_equal(e->kind, ERR_INPUT);
	if (strstr(e->msg, c->reason) == NULL)
		fail_msg(
		    "%s: \"%s\" is not in \"%s\"", c->what, c->reason, e->msg);
}

/* n times c, quoted or not, in place of a %s. */
static inline void
filled(struct buf *out, const char *before, char c, size_t n, const char *after)
{
	buf_reset(out);
	buf_add_str(out, before);
	memset(buf_grow(out, n), c, n);
	buf_add_str(out, after);
}

#endif
