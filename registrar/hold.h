/*
 * A request that waits for its entry to move (DECISIONS 10): on its front's
 * base, up to the hold time, until the outbox says so, or until the client
 * goes away.  Embedded in the call that waits.
 */
#ifndef WAYBILL_REGISTRAR_HOLD_H
#define WAYBILL_REGISTRAR_HOLD_H

#include "registrar/front.h"

struct hold {
	struct front *front;
	struct https_req *req;
	struct digest row;
	struct timer *timer;
	void *owner;
	/* It moved, or the time is up: the entry as it is now, or NULL and why
	 * it cannot be read. */
	void (*over)(
	    void *owner, const struct outbox_entry *en, const struct err *e);
	/* Nobody is left to be told; the request was answered into void. */
	void (*gone)(void *owner);
	struct hold *next;
};

/*
 * Fills h (owner, over and gone are set by the caller) and waits; exactly one of the
 * two is called, with h out of the list.  False, and nothing is waited for, if
 * no answer can come before the hold time is over (link down, there already,
 * client gone), or if the device has its share of requests held already.
 */
bool hold_start(struct hold *h, struct front *f, struct https_req *q,
    const struct outbox_entry *en, const struct digest *row);
/* The entry under this row moved. */
void hold_wake(struct front *f, const struct digest *row);

#endif
