/*
 * How far whoever was asked to do what an intent says has come, so that a
 * restart goes on from there.  It stands beside the intent, as
 * LEDGER_PROGRESS, each word in place of the last, and goes with it.
 */
#ifndef WAYBILL_SERVICE_LEDGER_PROGRESS_H
#define WAYBILL_SERVICE_LEDGER_PROGRESS_H

#include "common/service/ledger.h"

/* Not audited: a poll an hour is no decision. */
struct ledger_progress {
	uint64_t id;	     /* of the case */
	struct bytes octets; /* at least one */
	/* out */
	bool changed; /* false: it has no intent (any more) */
	struct ledger *ledger;
	void *user;
};
void ledger_progress(struct ledger *l, struct ledger_progress *x,
    ledger_done done, struct post to);
int ledger_progress_wait(
    struct ledger *l, struct ledger_progress *x, struct err *e) WARN_UNUSED;

#endif
