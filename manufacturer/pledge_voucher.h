/*
 * The device's side of a voucher, without I/O: the request that asks for one,
 * and the judgement of what came (RFC 8995 5.2, 5.6.1).
 */
#ifndef WAYBILL_MANUFACTURER_PLEDGE_VOUCHER_H
#define WAYBILL_MANUFACTURER_PLEDGE_VOUCHER_H

#include "common/pki/trust.h"
#include "common/pki/voucher.h"

/* RFC 8995 5.2: nonce of 16 random octets, proximity to the server whose TLS
 * certificate is `registrar`, signed by the IDevID.  now: seconds; 0: the
 * clock is not to be believed, no created-on.  Appends DER. */
int pledge_voucher_request(const struct signer *idevid, X509 *registrar,
    uint64_t now, struct buf *ret, struct err *e) WARN_UNUSED;

/* The server that a request of ours names; owned by the caller. */
X509 *pledge_voucher_registrar(struct bytes request, struct err *e) WARN_UNUSED;

struct pledge_voucher {
	X509 *idevid;
	const struct trust *vendor; /* who may sign vouchers */
	struct bytes request;	    /* ours, as it was sent */
	uint64_t now;		    /* seconds; 0: dates are not judged */
};

/*
 * RFC 8995 5.6.1: signed under the vendor's anchor, for this serial number,
 * with the request's nonce, not expired, with an assertion and a
 * pinned-domain-cert.  A voucher without a nonce is taken as that section
 * says, if it says when it ends (RFC 8366 5.3).  *ret_pin is owned by the
 * caller.  Whatever is wrong with it is ERR_TRUST.
 */
int pledge_voucher_judge(const struct pledge_voucher *v, struct bytes voucher,
    X509 **ret_pin, struct err *e) WARN_UNUSED;

/* RFC 8995 5.7, 5.9.4: the JSON of a status; reason NULL: all went well. */
void pledge_voucher_status(const char *reason, struct buf *out);

#endif
