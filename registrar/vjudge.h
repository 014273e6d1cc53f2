/*
 * The registrar's judgement of what a MASA answered (RFC 8995 5.6, 5.8.3):
 * whose voucher it is, whom it pins, and what the audit log tells of earlier
 * owners.  No I/O.
 */
#ifndef WAYBILL_REGISTRAR_VJUDGE_H
#define WAYBILL_REGISTRAR_VJUDGE_H

#include "common/pki/voucher.h"
#include "registrar/registrar.h"

struct vjudge {
	/* out */
	struct bytes voucher; /* to be passed on unchanged; borrowed */
	bool withhold;	      /* the pledge must not have it */
	bool log_known;	      /* an audit log was there and could be read */
	bool nonceless, truncated; /* facts of the log */
	char reason[256];	   /* of withholding, or "" */
};

/*
 * request: the pledge's, or ours if it was a prefetch (then nonce is empty);
 * idevid may be NULL then.  vendor: name of the anchor that the device chains
 * to.  Verified as configured (brski.verify-voucher).  0 with the verdict in
 * ret; -1 if the answer itself cannot be read.
 */
int vjudge_answer(const struct registrar *r, struct bytes answer,
    const struct vch_request *request, X509 *idevid, const char *vendor,
    struct vjudge *ret, struct err *e) WARN_UNUSED;

/* The same for a voucher alone. */
int vjudge_voucher(const struct registrar *r, struct bytes voucher,
    const struct vch_request *request, X509 *idevid, const char *vendor,
    struct err *e) WARN_UNUSED;

#endif
