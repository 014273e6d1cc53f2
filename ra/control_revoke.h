/* POST /v1/revoke: somebody's word that a certificate shall no longer hold. */
#ifndef WAYBILL_RA_CONTROL_REVOKE_H
#define WAYBILL_RA_CONTROL_REVOKE_H

#include "common/service/service.h"

void control_revoke(struct service *s, struct https_req *q, const char *rest);

/* CRLReason of a name (RFC 5280 5.3.1), but certificateHold and removeFromCRL:
 * what is revoked stays so; -1: none. */
int revoke_reason(const char *name);

#endif
