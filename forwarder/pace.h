/*
 * How many entries may be out on a link that just came up (slow start), and
 * when a link that tells nothing any more is to be given up (silence).  Knows
 * neither clock nor socket: whoever uses it tells the time, monotonic ms.
 *
 * A silent link is one by which not an octet came, though a reply is owed, for
 * PACE_SILENCE_MS and as long as all that is out takes at PACE_RATE, or four
 * times what replies took lately if that is less.  So no link is too slow for
 * its frames, and none that swallows everything is believed for long: TCP
 * itself would wait for a quarter of an hour.
 */
#ifndef WAYBILL_FORWARDER_PACE_H
#define WAYBILL_FORWARDER_PACE_H

#include <sys/queue.h>
#include "common/link/frame.h"

#define PACE_START	2 /* entries on a link that just came up */
#define PACE_QUICK_MS	5000
#define PACE_SILENCE_MS 15000
#define PACE_RATE	250 /* octets a second: the slowest link, 2 kbit/s */

/* One request that is out; embedded in its owner's. */
struct pace_request {
	LIST_ENTRY(pace_request) next;
	enum frame_type type;
	size_t len; /* of the frame */
	uint64_t sent_at, owed_at;
};

struct pace {
	unsigned window;  /* entries at most */
	unsigned allowed; /* of them now */
	unsigned entries; /* out: PUT, EVIDENCE */
	size_t octets;	  /* of all frames that are out */
	uint64_t heard_at, received;
	uint64_t took; /* ms, longest of late; 0: no reply yet */
	LIST_HEAD(, pace_request) out;
};

void pace_init(struct pace *p, unsigned window);
/* The link came up; what was out on the one before is still to be ended. */
void pace_up(struct pace *p, uint64_t now);
/* Whether a frame of this type may be sent now. */
bool pace_room(const struct pace *p, enum frame_type type);
/* r must stay where it is until pace_end. */
void pace_sent(struct pace *p, struct pace_request *r, enum frame_type type,
    size_t len, uint64_t now);
/* Replied to, or given up. */
void pace_end(
    struct pace *p, struct pace_request *r, bool replied, uint64_t now);
/* received: octets that came by this link so far, counts up.  True: give it
 * up. */
bool pace_silent(struct pace *p, uint64_t received, uint64_t now);

#endif
