/*
 * BRSKI's own paths (RFC 8995 5, RFC 9733 4.2.2 and 4.3): voucher requests,
 * and what pledges report.
 */
#ifndef WAYBILL_REGISTRAR_BRSKI_H
#define WAYBILL_REGISTRAR_BRSKI_H

#include "registrar/front.h"

#define BRSKI_PATH "/.well-known/brski"

/* Takes over q if its path is one of BRSKI's; false: it is not. */
bool brski_request(struct front *f, struct https_req *q);

#endif
