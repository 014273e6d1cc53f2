/*
 * The domain's list of revoked certificates: made at start, soon after each
 * revocation, and well before the last one is stale.  Signed by the CA child;
 * its number grows in the ledger.  It stands in store.directory/crl.der, in
 * ra->crl and among the reference data.  On the loop.
 */
#ifndef WAYBILL_RA_CRLMAKER_H
#define WAYBILL_RA_CRLMAKER_H

#include "ra/ra.h"

#define CRLMAKER_FILE "crl.der"
/* By this id the CA child's answers are ours. */
#define CRLMAKER_ID   UINT64_MAX

/* After clerk_open; asks for the first list. */
struct crlmaker *crlmaker_new(struct ra *r);
void crlmaker_free(struct crlmaker *c);
/* Something was revoked.  c may be NULL. */
void crlmaker_wake(struct crlmaker *c);
void crlmaker_signed(struct crlmaker *c, struct bytes signature);

/* Seconds until a list that ends at `next` is made anew, of lists that last so
 * many seconds: when a quarter of that is left; at most an hour, so that a clock
 * that is set is noticed. */
uint64_t crlmaker_pause(uint64_t now, uint64_t next, uint64_t lifetime);

#endif
