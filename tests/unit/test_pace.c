#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/str.h"
#include "forwarder/pace.h"

static void
entries_double_each_round(void **state)
{
	static const unsigned want[] = { 2, 4, 8, 10, 10 };
	struct pace_request r[10];
	struct pace p;
	uint64_t now = 1000;

	(void)state;
	pace_init(&p, 10);
	for (size_t round = 0; round < NELEMS(want); round++) {
		unsigned n = 0;

		while (pace_room(&p, FRAME_PUT))
			pace_sent(&p, &r[n++], FRAME_PUT, 100, now);
		assert_int_equal(n, want[round]);
		assert_int_equal(p.octets, 100 * n);
		now += 600;
		while (n > 0)
			pace_end(&p, &r[--n], true, now);
		assert_int_equal(p.octets, 0);
	}
}

static void
only_entries_are_held_back(void **state)
{
	struct pace_request r[3];
	struct pace p;

	(void)state;
	pace_init(&p, 2);
	pace_sent(&p, &r[0], FRAME_EVIDENCE, 1, 0);
	pace_sent(&p, &r[1], FRAME_PUT, 1, 0);
	assert_false(pace_room(&p, FRAME_PUT));
	assert_false(pace_room(&p, FRAME_EVIDENCE));
	assert_true(pace_room(&p, FRAME_PULL));
	assert_true(pace_room(&p, FRAME_GOT));
	assert_true(pace_room(&p, FRAME_HELLO));
	assert_true(pace_room(&p, FRAME_ASK));
}

static void
slow_link_gets_less(void **state)
{
	struct pace_request r;
	struct pace p;

	(void)state;
	pace_init(&p, 10);
	pace_sent(&p, &r, FRAME_PUT, 4000, 0);
	pace_end(&p, &r, true, PACE_QUICK_MS + 1);
	assert_int_equal(p.allowed, 2);
	for (int i = 0; i < 3; i++) {
		pace_sent(&p, &r, FRAME_PUT, 4000, 0);
		pace_end(&p, &r, true, PACE_SILENCE_MS + 1);
	}
	assert_int_equal(p.allowed, 1); /* never none */
	pace_sent(&p, &r, FRAME_PUT, 4000, 0);
	pace_end(&p, &r, false, 10); /* a failure teaches nothing */
	assert_int_equal(p.allowed, 1);
	pace_up(&p, 0);
	assert_int_equal(p.allowed, PACE_START);
}

static void
silence_needs_something_owed(void **state)
{
	struct pace_request r;
	struct pace p;

	(void)state;
	pace_init(&p, 10);
	pace_up(&p, 0);
	assert_false(pace_silent(&p, 0, 10 * PACE_SILENCE_MS));
	/* A PULL may be kept open 20 s. */
	pace_sent(&p, &r, FRAME_PULL, 0, 100000);
	assert_false(pace_silent(&p, 0, 120000 + PACE_SILENCE_MS));
	assert_true(pace_silent(&p, 0, 120001 + PACE_SILENCE_MS));
	pace_end(&p, &r, true, 130000);
	assert_false(pace_silent(&p, 0, 200000));
}

/* Octets on their way are life, and so is a reply; what is out takes time. */
static void
link_that_moves_is_not_silent(void **state)
{
	struct pace_request r[2];
	struct pace p;

	(void)state;
	pace_init(&p, 10);
	pace_up(&p, 0);
	pace_sent(&p, &r[0], FRAME_PUT, 0, 0);
	assert_false(pace_silent(&p, 7, 14000));
	assert_false(pace_silent(&p, 7, 14000 + PACE_SILENCE_MS));
	assert_true(pace_silent(&p, 7, 14001 + PACE_SILENCE_MS));
	assert_false(pace_silent(&p, 8, 14001 + PACE_SILENCE_MS));
	pace_sent(&p, &r[1], FRAME_PUT, 4000, 40000); /* 16 s of 2 kbit/s */
	assert_false(pace_silent(&p, 8, 29001 + 16000 + PACE_SILENCE_MS));
	assert_true(pace_silent(&p, 8, 29002 + 16000 + PACE_SILENCE_MS));
	pace_end(&p, &r[0], true, 60000);
	assert_false(pace_silent(&p, 8, 60000 + 16000 + PACE_SILENCE_MS));
	pace_end(&p, &r[1], false, 70000);
	assert_false(pace_silent(&p, 8, 900000));
}

/* What is out on a link that was quick is not waited for as on a slow one. */
static void
quick_link_is_given_up_sooner(void **state)
{
	struct pace_request r[2];
	struct pace p;

	(void)state;
	pace_init(&p, 10);
	pace_up(&p, 0);
	pace_sent(&p, &r[0], FRAME_PUT, 4000, 0);
	pace_end(&p, &r[0], true, 999);
	pace_sent(&p, &r[0], FRAME_PUT, 250000, 1000); /* 1000 s of 2 kbit/s */
	assert_false(pace_silent(&p, 0, 1000 + PACE_SILENCE_MS + 4000));
	assert_true(pace_silent(&p, 0, 1001 + PACE_SILENCE_MS + 4000));
	/* An early answer to a PULL is no measure. */
	pace_sent(&p, &r[1], FRAME_PULL, 0, 1000);
	pace_end(&p, &r[1], true, 1000);
	assert_int_equal(p.took, 1000);
	pace_up(&p, 2000);
	assert_false(pace_silent(&p, 0, 900000));
	pace_end(&p, &r[0], false, 900000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_double_each_round),
		cmocka_unit_test(only_entries_are_held_back),
		cmocka_unit_test(slow_link_gets_less),
		cmocka_unit_test(silence_needs_something_owed),
		cmocka_unit_test(link_that_moves_is_not_silent),
		cmocka_unit_test(quick_link_is_given_up_sooner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
