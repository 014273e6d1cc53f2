/*
 * What a registrar voucher request asks for, and of which maker: judged from
 * the device's own signature before anything of its certificate is followed.
 * No I/O, no state.
 */
#ifndef WAYBILL_MASA_CLIENT_JUDGE_H
#define WAYBILL_MASA_CLIENT_JUDGE_H

#include "common/pki/certfacts.h"
#include "common/pki/revocation.h"
#include "common/pki/trust.h"
#include "common/pki/voucher.h"
#include "common/queue/batch.h"
#include "common/queue/entry.h"
#include "masa-client/target.h"

/*
 * service_trade.unwrap: octets are a registrar voucher request signed by the
 * certificate that the header is signed by, which is among its certificates.
 * Appended: the pledge's request in it, whose digest the header tells; of a
 * prefetch, which has none in it, the whole.
 */
int judge_unwrap(const struct entry_header *h, X509 *registrar,
    struct bytes octets, struct buf *ret, enum batch_code *ret_code,
    struct err *e) WARN_UNUSED;

struct request {
	char
	    vendor[ENTRY_NAME_MAX]; /* of the anchor, or the registrar's word */
	bool prefetch;		    /* nonceless, for a device not seen yet */
	bool held; /* its maker's lists do not tell, and nobody may decide */
	char serial[CERT_TEXT_MAX]; /* the device's serialNumber */
	char url[TARGET_URL_MAX];   /* its IDevID's; "" if it says none */
	struct digest device; /* a newer request of the same ends an older */
	struct facts facts;   /* as far as judging came */
};

/*
 * Of octets that judge_unwrap took: signer and chain of the pledge's request
 * (RFC 8995 5.5.5), serial numbers and nonces alike; 0, else -1 with why it is
 * refused.  now may not be of quality none.  Of a device that its maker
 * revoked nothing is asked; of a prefetch there is no certificate to look up.
 */
int judge_request(const struct trust *vendors, const struct revocation *revoked,
    const struct entry_header *h, struct bytes octets, const struct stamp *now,
    struct request *ret, struct err *e) WARN_UNUSED;

#endif
