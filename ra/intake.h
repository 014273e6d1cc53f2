/* Frames of sites in, replies out: what must hold before the ledger learns of
 * anything. */
#ifndef WAYBILL_RA_INTAKE_H
#define WAYBILL_RA_INTAKE_H

#include "ra/ra.h"

/* wire_listen's function; arg is the struct ra. */
void intake_request(struct wire_req *req, void *arg);

/*
 * Octets of an authentic CMP entry (DECISIONS 1): one nested message by the
 * registrar's certificate around one inner message, whose digest the header
 * tells.  0 with the inner message's octets, borrowed, in ret; else -1 with the
 * reason and in ret_code what the site is told for good.
 */
int intake_unwrap(const struct entry_header *h, X509 *registrar,
    struct bytes octets, struct cmp_msg **ret_outer, struct bytes *ret,
    enum batch_code *ret_code, struct err *e) WARN_UNUSED;

#endif
