/*
 * Frames of sites in, replies out: what must hold before the ledger learns of
 * anything.  Each frame speaks for the site of its pipe; a header is believed
 * under a certificate that this site has; what else an entry must hold is the
 * trade's to say.
 */
#ifndef WAYBILL_SERVICE_INTAKE_H
#define WAYBILL_SERVICE_INTAKE_H

#include "common/service/service.h"

/* wire_listen's function; arg is the struct service. */
void intake_request(struct wire_req *req, void *arg);

#endif
