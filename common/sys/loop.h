/*
 * One event base with one thread, and a queue by which other threads hand it
 * work (eventfd).  All calls but loop_post and loop_stop belong to the loop's
 * own thread, or to the time before it runs.
 */
#ifndef WAYBILL_SYS_LOOP_H
#define WAYBILL_SYS_LOOP_H

#include <stdint.h>
#include "common/base/err.h"
#include "common/base/post.h"

struct event_base;
struct loop;
struct timer;

struct loop *loop_new(struct err *e) WARN_UNUSED;
/* Joins a spawned thread; posts that did not run are dropped.  Timers and
 * servers on it must be gone before. */
void loop_free(struct loop *l);
AUTO_DEFINE(loop, struct loop, loop_free);
/* Returns after loop_stop. */
void loop_run(struct loop *l);
/* Any thread, not from a signal handler.  What was posted before still runs;
 * a stop before loop_run counts. */
void loop_stop(struct loop *l);
struct event_base *loop_base(struct loop *l);
/* Any thread; keeps order per caller. */
void loop_post(struct loop *l, void (*fn)(void *arg), void *arg);
struct post loop_poster(struct loop *l);
/* For an orderly end, when the loop no longer runs: runs what was posted, on
 * this thread, and says how much that was. */
size_t loop_drain(struct loop *l);

/* Runs the loop in a thread of its own; loop_join stops and joins it. */
int loop_spawn(struct loop *l, struct err *e) WARN_UNUSED;
void loop_join(struct loop *l);

/* One-shot timers; timer_set replaces what was set. */
struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg);
void timer_set(struct timer *t, uint64_t ms);
void timer_clear(struct timer *t);
void timer_free(struct timer *t);

/* fn runs in the loop when the signal comes. */
int loop_signal(struct loop *l, int signo, void (*fn)(void *arg), void *arg,
    struct err *e) WARN_UNUSED;

#endif
