/* Time is a fact with a quality (store-and-forward needs to know how far a
 * date can be believed). */
#ifndef WAYBILL_BASE_CLOCK_H
#define WAYBILL_BASE_CLOCK_H

#include <stdint.h>
#include "common/base/err.h"

enum clock_quality {
	CLOCK_NONE,  /* below the floor: nothing expires */
	CLOCK_FLOOR, /* not before the floor, else unknown */
	CLOCK_RTC,   /* set once, free running */
	CLOCK_SYNC,  /* the kernel says that somebody disciplines it */
	CLOCK__MAX
};

struct stamp {
	uint64_t time; /* seconds since 1970 */
	enum clock_quality quality;
	uint64_t age; /* seconds the thing had been known when stamped */
};

/*
 * Now, age 0.  Quality: none if the clock reads earlier than the floor, sync
 * if the kernel is being disciplined, else rtc.  For tests, WAYBILL_CLOCK in
 * the environment (none, floor, rtc or sync) is believed instead.
 */
struct stamp clock_now(void);
/* Raises the floor (never lowers it); starts as the time of the build. */
void clock_raise_floor(uint64_t seconds);
uint64_t clock_floor(void);
/* Monotonic milliseconds. */
uint64_t clock_mono_ms(void);
const char *clock_quality_name(enum clock_quality q);
/* RFC 3339 UTC into buf of 21; returns buf.  Stops at the end of 9999. */
char *clock_format(char buf[21], uint64_t seconds);

#endif
