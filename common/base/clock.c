#include "common/base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

/* A date that lies behind us for certain, moved on at each release.  It is a
 * constant, so that the same source builds to the same bytes. */
#define RELEASED UINT64_C(1793491200) /* 2026-11-01 */

#define END_OF_9999 UINT64_C(253402300799)

static _Atomic uint64_t lowest = RELEASED;

static const char *const names[CLOCK__MAX] = {
	[CLOCK_NONE] = "none",
	[CLOCK_FLOOR] = "floor",
	[CLOCK_RTC] = "rtc",
	[CLOCK_SYNC] = "sync",
};

static enum clock_quality
quality_of(uint64_t now)
{
	const char *forced = getenv("WAYBILL_CLOCK");
	struct timex tx = { .modes = 0 };
	int q;

	for (q = 0; forced != NULL && q < CLOCK__MAX; q++)
		if (strcmp(forced, names[q]) == 0)
			return (enum clock_quality)q;
	if (now < clock_floor())
		return CLOCK_NONE;
	/* A sandbox may forbid the question; then it is not known. */
	if (adjtimex(&tx) == -1 || (tx.status & STA_UNSYNC) != 0)
		return CLOCK_RTC;
	return CLOCK_SYNC;
}

struct stamp
clock_now(void)
{
	struct timespec ts;
	struct stamp now = { 0 };

	clock_gettime(CLOCK_REALTIME, &ts);
	now.time = ts.tv_sec > 0 ? (uint64_t)ts.tv_sec : 0;
	now.quality = quality_of(now.time);
	return now;
}

void
clock_raise_floor(uint64_t seconds)
{
	uint64_t old = atomic_load(&lowest);

	while (seconds > old &&
	    !atomic_compare_exchange_weak(&lowest, &old, seconds))
		;
}

uint64_t
clock_floor(void)
{
	return atomic_load(&lowest);
}

uint64_t
clock_mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const char *
clock_quality_name(enum clock_quality q)
{
	return (unsigned)q < CLOCK__MAX ? names[q] : "unknown";
}

char *
clock_format(char buf[21], uint64_t seconds)
{
	time_t t = (time_t)(seconds < END_OF_9999 ? seconds : END_OF_9999);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(buf, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}
