#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "common/base/clock.h"

static void
the_environment_may_say_the_quality(void **state)
{
	static const struct {
		const char *name;
		enum clock_quality want;
	} cases[] = {
		{ "none", CLOCK_NONE },
		{ "floor", CLOCK_FLOOR },
		{ "rtc", CLOCK_RTC },
		{ "sync", CLOCK_SYNC },
	};
	size_t i;

	(void)state;
	assert_int_equal(NELEMS(cases), CLOCK__MAX);
	for (i = 0; i < NELEMS(cases); i++) {
		setenv("WAYBILL_CLOCK", cases[i].name, 1);
		assert_int_equal(clock_now().quality, cases[i].want);
		assert_string_equal(
		    clock_quality_name(cases[i].want), cases[i].name);
	}
	unsetenv("WAYBILL_CLOCK");
	assert_string_equal(clock_quality_name(CLOCK__MAX), "unknown");
}

static void
now_is_now(void **state)
{
	uint64_t before = (uint64_t)time(NULL), mono = clock_mono_ms();
	struct stamp now = clock_now();

	(void)state;
	/* time() may lag behind clock_gettime() by a tick. */
	assert_in_range(now.time, before, before + 5);
	assert_int_equal(now.age, 0);
	assert_in_range(clock_mono_ms(), mono, mono + 5000);
	/* 2026-11-01: no clock of a build machine may be earlier. */
	assert_true(clock_floor() >= UINT64_C(1793491200));
	assert_true(now.quality == CLOCK_RTC || now.quality == CLOCK_SYNC);
}

/* Last, since the floor is never lowered. */
static void
below_the_floor_nothing_is_believed(void **state)
{
	uint64_t floor = (uint64_t)time(NULL) + 3600;

	(void)state;
	setenv("WAYBILL_CLOCK", "nonsense", 1);
	assert_int_not_equal(clock_now().quality, CLOCK_NONE);
	clock_confirm(floor + 86400);
	assert_int_equal(clock_floor(), floor);
	assert_int_equal(clock_now().quality, CLOCK_NONE);
	clock_confirm(floor + 86400 - 10);
	assert_int_equal(clock_floor(), floor);
	setenv("WAYBILL_CLOCK", "sync", 1);
	assert_int_equal(clock_now().quality, CLOCK_SYNC);
	unsetenv("WAYBILL_CLOCK");
}

/* ---- how far a clock is believed --------------------------------------- */

#define T0   UINT64_C(1800000000)
#define HOUR UINT64_C(3600)
#define DAY  (24 * HOUR)
#define BOOT UINT64_C(5000)

static struct clock_watch
watching(void)
{
	struct clock_watch w = { .floor = T0 - DAY };

	assert_int_equal(clock_judge(&w, T0, BOOT, false), CLOCK_RTC);
	return w;
}

static void
a_clock_that_runs_on_stays_believed(void **state)
{
	struct clock_watch w = watching();

	(void)state;
	assert_int_equal(
	    clock_judge(&w, T0 + 90 * DAY, BOOT + 90 * DAY, false), CLOCK_RTC);
	/* Steps of an hour are not worth a doubt: a time zone set wrong. */
	assert_int_equal(
	    clock_judge(&w, T0 + 90 * DAY - HOUR, BOOT + 90 * DAY, false),
	    CLOCK_RTC);
	assert_int_equal(
	    clock_judge(&w, T0 + 91 * DAY, BOOT + 91 * DAY, true), CLOCK_SYNC);
}

static void
a_step_is_doubted_until_it_is_confirmed(void **state)
{
	struct clock_watch w = watching();
	uint64_t ahead = T0 + 3650 * DAY;

	(void)state;
	assert_int_equal(clock_judge(&w, ahead, BOOT + 1, true), CLOCK_FLOOR);
	assert_int_equal(
	    clock_judge(&w, ahead + 60, BOOT + 61, true), CLOCK_FLOOR);
	/* Another date than ours raises the floor and proves nothing. */
	clock_judge_confirm(&w, ahead + 60, T0 + 2 * DAY);
	assert_int_equal(w.floor, T0 + DAY);
	assert_int_equal(
	    clock_judge(&w, ahead + 70, BOOT + 71, true), CLOCK_FLOOR);
	clock_judge_confirm(&w, ahead + 70, ahead);
	assert_int_equal(
	    clock_judge(&w, ahead + 80, BOOT + 81, false), CLOCK_RTC);
}

static void
a_step_back_is_doubted_too(void **state)
{
	struct clock_watch w = watching();

	(void)state;
	assert_int_equal(
	    clock_judge(&w, T0 - 2 * HOUR, BOOT + 1, false), CLOCK_FLOOR);
	/* ... and below the floor it is unset. */
	assert_int_equal(
	    clock_judge(&w, T0 - 2 * DAY, BOOT + 2, false), CLOCK_NONE);
}

static void
an_hour_of_discipline_ends_the_doubt(void **state)
{
	struct clock_watch w = watching();
	uint64_t ahead = T0 + 30 * DAY;

	(void)state;
	assert_int_equal(clock_judge(&w, ahead, BOOT, true), CLOCK_FLOOR);
	assert_int_equal(
	    clock_judge(&w, ahead + HOUR, BOOT + HOUR, false), CLOCK_FLOOR);
	assert_int_equal(
	    clock_judge(&w, ahead + HOUR, BOOT + HOUR, true), CLOCK_SYNC);
}

static void
an_unset_clock_may_be_set(void **state)
{
	struct clock_watch w = { .floor = T0 };

	(void)state;
	assert_int_equal(clock_judge(&w, 12, BOOT, false), CLOCK_NONE);
	assert_int_equal(clock_judge(&w, T0 + DAY, BOOT + 1, false), CLOCK_RTC);
}

static void
a_free_running_clock_far_ahead_is_doubted(void **state)
{
	struct clock_watch w = { .floor = T0 };
	uint64_t ahead = T0 + 3650 * DAY;

	(void)state;
	assert_int_equal(clock_judge(&w, ahead, BOOT, false), CLOCK_FLOOR);
	assert_int_equal(clock_judge(&w, ahead, BOOT, true), CLOCK_SYNC);
	clock_judge_confirm(&w, ahead, ahead + 5);
	assert_int_equal(clock_judge(&w, ahead, BOOT, false), CLOCK_RTC);
	assert_int_equal(w.floor, ahead + 5 - DAY);
}

/* A peer that is a little ahead must not unset our clock. */
static void
a_confirmation_leaves_room(void **state)
{
	struct clock_watch w = watching();

	(void)state;
	clock_judge_confirm(&w, T0, T0 + HOUR);
	assert_int_equal(clock_judge(&w, T0, BOOT, false), CLOCK_RTC);
}

static void
dates_are_rfc_3339(void **state)
{
	static const struct {
		uint64_t in;
		const char *want;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ 951782400, "2000-02-29T00:00:00Z" },
		{ 1795327200, "2026-11-22T06:00:00Z" },
		{ UINT64_C(4294967296), "2106-02-07T06:28:16Z" },
		{ UINT64_C(253402300799), "9999-12-31T23:59:59Z" },
		{ UINT64_MAX, "9999-12-31T23:59:59Z" },
	};
	char buf[21];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++)
		assert_string_equal(
		    clock_format(buf, cases[i].in), cases[i].want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_environment_may_say_the_quality),
		cmocka_unit_test(now_is_now),
		cmocka_unit_test(a_clock_that_runs_on_stays_believed),
		cmocka_unit_test(a_step_is_doubted_until_it_is_confirmed),
		cmocka_unit_test(a_step_back_is_doubted_too),
		cmocka_unit_test(an_hour_of_discipline_ends_the_doubt),
		cmocka_unit_test(an_unset_clock_may_be_set),
		cmocka_unit_test(a_free_running_clock_far_ahead_is_doubted),
		cmocka_unit_test(a_confirmation_leaves_room),
		cmocka_unit_test(dates_are_rfc_3339),
		cmocka_unit_test(below_the_floor_nothing_is_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
