/* When devices are told to come again, on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "registrar/contact.h"

#define S 1000ULL
#define H (3600 * S)

/* The link goes at `from` and is back after `gap`. */
static uint64_t
away(struct contact *c, uint64_t from, uint64_t gap)
{
	contact_link(c, false, from);
	contact_link(c, true, from + gap);
	return from + gap;
}

/* ---- the estimate ------------------------------------------------------ */

static void
nothing_is_known_at_first(void **state)
{
	static const struct {
		uint64_t passed, want;
	} cases[] = {
		/* As long again as it has been silent, within the limits. */
		{ 0, 30 * S },
		{ 29 * S, 30 * S },
		{ 31 * S, 31 * S },
		{ 600 * S, 600 * S },
		{ 2 * H, H },
	};
	struct contact c;

	(void)state;
	contact_init(&c, 5 * S);
	for (size_t i = 0; i < NELEMS(cases); i++)
		assert_int_equal(contact_estimate(&c, 5 * S + cases[i].passed),
		    cases[i].want);
	/* A clock that reads earlier than the start is no long silence. */
	assert_int_equal(contact_estimate(&c, 0), 30 * S);
}

static void
the_usual_gap_is_waited_for(void **state)
{
	static const struct {
		uint64_t passed, want;
	} cases[] = {
		{ 0, 600 * S },
		{ 100 * S, 500 * S },
		{ 590 * S, 30 * S },
		/* Late: as long again as it is late. */
		{ 600 * S, 30 * S },
		{ 700 * S, 100 * S },
		{ 600 * S + 2 * H, H },
	};
	struct contact c;
	uint64_t now;

	(void)state;
	contact_init(&c, 0);
	contact_link(&c, true, 7 * S);
	assert_int_equal(contact_estimate(&c, 8 * S), 0);
	now = away(&c, 20 * S, 600 * S);
	assert_int_equal(contact_estimate(&c, now + H), 0);
	contact_link(&c, false, now + 60 * S);
	for (size_t i = 0; i < NELEMS(cases); i++)
		assert_int_equal(
		    contact_estimate(&c, now + 60 * S + cases[i].passed),
		    cases[i].want);
}

static void
gaps_are_averaged(void **state)
{
	struct contact c;
	uint64_t now;

	(void)state;
	contact_init(&c, 0);
	/* Before the first contact there is no gap. */
	contact_link(&c, true, 900 * S);
	assert_int_equal(c.gap, 0);
	now = away(&c, 1000 * S, 400 * S);
	assert_int_equal(c.gap, 400 * S);
	now = away(&c, now, 800 * S);
	assert_int_equal(c.gap, 500 * S);
	/* Links said anew are no gaps. */
	for (int i = 0; i < 100; i++)
		now = away(&c, now, 5);
	assert_int_equal(c.gap, 500 * S);
	/* Said twice, nothing happens. */
	contact_link(&c, false, now);
	contact_link(&c, false, now + 300 * S);
	contact_link(&c, true, now + 500 * S);
	assert_int_equal(c.gap, 500 * S);
}

static void
the_last_contact_is_known(void **state)
{
	struct contact c;
	uint64_t ms = 77;

	(void)state;
	contact_init(&c, 0);
	assert_false(contact_last(&c, 10 * S, &ms));
	assert_int_equal(ms, 77);
	contact_link(&c, true, 10 * S);
	assert_true(contact_last(&c, 50 * S, &ms));
	assert_int_equal(ms, 0);
	contact_link(&c, false, 70 * S);
	assert_true(contact_last(&c, 75 * S, &ms));
	assert_int_equal(ms, 5 * S);
}

/* ---- what devices are told --------------------------------------------- */

static void
expect_between(const struct contact *c, uint64_t now, uint64_t soon,
    uint64_t late, unsigned least, unsigned most)
{
	unsigned low = UINT32_MAX, high = 0;

	for (int i = 0; i < 400; i++) {
		unsigned s = contact_wait(c, now, soon, late);

		low = s < low ? s : low;
		high = s > high ? s : high;
	}
	if (low < least || high > most)
		fail_msg("%u to %u, not %u to %u", low, high, least, most);
	/* Spread over that range, or they all come at once. */
	if (high - low < (most - least) / 2)
		fail_msg("only %u to %u", low, high);
}

static void
what_is_told_is_spread(void **state)
{
	struct contact c;
	uint64_t now;

	(void)state;
	contact_init(&c, 0);
	expect_between(&c, 0, 5 * S, H, 22, 38);
	expect_between(&c, 10 * H, 5 * S, H, 2700, 4500);
	/* At most what is configured, and never less than the short one. */
	expect_between(&c, 10 * H, 5 * S, 100 * S, 75, 125);
	expect_between(&c, 10 * H, 8 * S, 2 * S, 6, 10);
	contact_link(&c, true, S);
	expect_between(&c, 2 * S, 40 * S, H, 30, 50);
	now = away(&c, 10 * S, 400 * S);
	contact_link(&c, false, now);
	expect_between(&c, now, 5 * S, H, 300, 500);
	/* Never "at once". */
	contact_link(&c, true, now);
	expect_between(&c, now, 0, 0, 1, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_at_first),
		cmocka_unit_test(the_usual_gap_is_waited_for),
		cmocka_unit_test(gaps_are_averaged),
		cmocka_unit_test(the_last_contact_is_known),
		cmocka_unit_test(what_is_told_is_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
