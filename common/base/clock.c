#include "common/base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

/* A date that lies behind us for certain, moved on at each release.  It is a
 * constant, so that the same source builds to the same bytes. */
#define RELEASED UINT64_C(1793491200) /* 2026-11-01 */

#define END_OF_9999 UINT64_C(253402300799)

#define HOUR INT64_C(3600)
#define DAY  (24 * HOUR)
#define FAR  UINT64_C(34560000) /* 400 days */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct clock_watch watch = { .floor = RELEASED };

static const char *const names[CLOCK__MAX] = {
	[CLOCK_NONE] = "none",
	[CLOCK_FLOOR] = "floor",
	[CLOCK_RTC] = "rtc",
	[CLOCK_SYNC] = "sync",
};

/* ---- how far a clock is believed --------------------------------------- */

static uint64_t
distance(int64_t a, int64_t b)
{
	return a > b ? (uint64_t)(a - b) : (uint64_t)(b - a);
}

/* One that had been unset was set: that is how a clock without a battery
 * comes by its time. */
static void
judge_step(struct clock_watch *w, int64_t offset, uint64_t boot)
{
	if (w->looked && distance(offset, w->offset) > (uint64_t)HOUR) {
		w->doubted = !w->unset;
		w->confirmed = false;
		w->stepped = boot;
	}
	w->looked = true;
	w->offset = offset;
}

enum clock_quality
clock_judge(
    struct clock_watch *w, uint64_t wall, uint64_t boot, bool disciplined)
{
	judge_step(w, (int64_t)wall - (int64_t)boot, boot);
	w->unset = wall < w->floor;
	if (w->unset)
		return CLOCK_NONE;
	if (disciplined && boot - w->stepped >= (uint64_t)HOUR)
		w->doubted = false;
	if (w->doubted)
		return CLOCK_FLOOR;
	if (disciplined)
		return CLOCK_SYNC;
	if (!w->confirmed && wall - w->floor > FAR)
		return CLOCK_FLOOR;
	return CLOCK_RTC;
}

void
clock_judge_confirm(struct clock_watch *w, uint64_t wall, uint64_t confirmed)
{
	/* Peers' clocks are not ours to the second. */
	if (confirmed > (uint64_t)DAY && confirmed - DAY > w->floor)
		w->floor = confirmed - DAY;
	if (distance((int64_t)wall, (int64_t)confirmed) > (uint64_t)DAY)
		return;
	w->confirmed = true;
	w->doubted = false;
}

/* ---- this process ------------------------------------------------------ */

static uint64_t
seconds(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec > 0 ? (uint64_t)ts.tv_sec : 0;
}

/* A sandbox may forbid the question; then it is not known. */
static bool
kernel_is_disciplined(void)
{
	struct timex tx = { .modes = 0 };

	return adjtimex(&tx) != -1 && (tx.status & STA_UNSYNC) == 0;
}

static enum clock_quality
quality_of(uint64_t now)
{
	const char *forced = getenv("WAYBILL_CLOCK");
	bool disciplined;
	enum clock_quality q;

	for (int i = 0; forced != NULL && i < CLOCK__MAX; i++)
		if (strcmp(forced, names[i]) == 0)
			return (enum clock_quality)i;
	disciplined = kernel_is_disciplined();
	pthread_mutex_lock(&lock);
	q = clock_judge(&watch, now, seconds(CLOCK_BOOTTIME), disciplined);
	pthread_mutex_unlock(&lock);
	return q;
}

struct stamp
clock_now(void)
{
	struct stamp now = { .time = seconds(CLOCK_REALTIME) };

	now.quality = quality_of(now.time);
	return now;
}

uint64_t
clock_judge_time(void)
{
	struct stamp now = clock_now();

	return now.quality < CLOCK_RTC ? 0 : now.time;
}

uint64_t
clock_floor(void)
{
	uint64_t floor;

	pthread_mutex_lock(&lock);
	floor = watch.floor;
	pthread_mutex_unlock(&lock);
	return floor;
}

void
clock_confirm(uint64_t confirmed)
{
	pthread_mutex_lock(&lock);
	clock_judge_confirm(&watch, seconds(CLOCK_REALTIME), confirmed);
	pthread_mutex_unlock(&lock);
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
