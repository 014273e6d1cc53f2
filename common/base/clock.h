/* Time is a fact with a quality (store-and-forward needs to know how far a
 * date can be believed). */
#ifndef WAYBILL_BASE_CLOCK_H
#define WAYBILL_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/err.h"

enum clock_quality {
	CLOCK_NONE,  /* below the floor: unset */
	CLOCK_FLOOR, /* not before the floor, else not to be believed */
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
 * Now, age 0.  Dates are judged, and things expire, at rtc and better only.
 * For tests, WAYBILL_CLOCK in the environment (none, floor, rtc or sync) is
 * believed instead of what clock_judge says.
 */
struct stamp clock_now(void);
/* now.time at rtc and better, else 0: no date can be judged. */
uint64_t clock_judge_time(void);

/* Never lowered; starts as the time of the release. */
uint64_t clock_floor(void);
/* A peer's signed word for the time, perhaps an old one: the floor rises to a
 * day before it, and a clock within a day of it is believed. */
void clock_confirm(uint64_t seconds);

/*
 * How far a clock is believed, from what it showed so far.  clock_now keeps one
 * of these for the process.
 *
 * A step of more than an hour against the time since boot is not believed,
 * unless the clock had been unset before, until a peer confirms it or the
 * kernel has been disciplined for an hour since.  Nor is a free running clock
 * that stands more than 400 days after the floor.
 */
struct clock_watch {
	uint64_t floor;	  /* seconds since 1970 */
	bool looked;	  /* the rest means something */
	bool unset;	  /* it was below the floor */
	bool doubted;	  /* it stepped */
	bool confirmed;	  /* by a peer, since its last step */
	int64_t offset;	  /* wall less boot, at the last look */
	uint64_t stepped; /* boot time of the last step */
};
/* wall: seconds since 1970; boot: seconds since the machine started. */
enum clock_quality clock_judge(
    struct clock_watch *w, uint64_t wall, uint64_t boot, bool disciplined);
void clock_judge_confirm(
    struct clock_watch *w, uint64_t wall, uint64_t confirmed);

/* Monotonic milliseconds. */
uint64_t clock_mono_ms(void);
const char *clock_quality_name(enum clock_quality q);
/* RFC 3339 UTC into buf of 21; returns buf.  Stops at the end of 9999. */
char *clock_format(char buf[21], uint64_t seconds);

#endif
