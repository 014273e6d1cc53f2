/* The registrar voucher request (RFC 8995 5.5). */
#ifndef WAYBILL_REGISTRAR_RVR_H
#define WAYBILL_REGISTRAR_RVR_H

#include "common/pki/voucher.h"
#include "registrar/registrar.h"

/*
 * For a pledge's request `prior` (octets as received) that was parsed as
 * `from` and is signed by idevid: nonce copied, serial-number and
 * idevid-issuer from the certificate, chain with the domain's root.
 */
int rvr_make(const struct registrar *r, struct bytes prior,
    const struct vch_request *from, X509 *idevid, const char *serial,
    struct buf *out, struct err *e) WARN_UNUSED;

/* Nonceless, for a device that is not here yet (RFC 8995 5.5.1). */
int rvr_make_nonceless(const struct registrar *r, const char *serial,
    struct buf *out, struct err *e) WARN_UNUSED;

#endif
