/*
 * When a service was last heard and how long its link is usually away: from
 * this devices are told when to come again.  The first loop tells, any thread
 * may ask.  Nothing of it is stored: after a start it is not known.
 *
 * Times are clock_mono_ms's, and the caller's, so that tests have their own.
 */
#ifndef WAYBILL_REGISTRAR_CONTACT_H
#define WAYBILL_REGISTRAR_CONTACT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Milliseconds: of what is told while no link is up. */
#define CONTACT_LEAST 30000
#define CONTACT_MOST  3600000

struct contact {
	atomic_bool up;
	atomic_bool known;   /* it was up since the start */
	atomic_ullong since; /* the link is up, or away, since then */
	atomic_ullong gap;   /* moving average; 0: not known */
};

void contact_init(struct contact *c, uint64_t now);
/* The link came up or went; said again, nothing changes.  Gaps below a second
 * are no gaps: a link that is said anew. */
void contact_link(struct contact *c, bool up, uint64_t now);
/* Milliseconds since its link was up, 0 while it is; false, and nothing is
 * told, if it was not since the start. */
bool contact_last(const struct contact *c, uint64_t now, uint64_t *ret);

/*
 * Milliseconds until the link is likely to be up again; 0 while it is.  The
 * usual gap less what has passed of it; beyond it, or if it is not known, as
 * long again as it is late.  Within CONTACT_LEAST and CONTACT_MOST.
 */
uint64_t contact_estimate(const struct contact *c, uint64_t now);
/*
 * Whole seconds, at least 1, that a device is told to stay away: `soon` while
 * the link is up, else the estimate, but at least soon and at most `late`
 * (milliseconds; late below soon counts as soon); a quarter more or less by
 * chance, so that those who came together do not come together again.
 */
unsigned contact_wait(
    const struct contact *c, uint64_t now, uint64_t soon, uint64_t late);
/* The same chance for a time of the caller's. */
unsigned contact_spread(uint64_t ms);

#endif
