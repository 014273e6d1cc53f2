/*
 * One CMP request of a pledge, from its octets to the one answer it gets
 * (RFC 9483, RFC 9733 4.2; DESIGN section 9).  Lives on its front's base.
 */
#ifndef WAYBILL_REGISTRAR_CALL_H
#define WAYBILL_REGISTRAR_CALL_H

#include "registrar/front.h"

/* path_profile: the NAME of /.well-known/cmp/p/NAME, or "". Takes over req. */
void call_start(
    struct front *f, struct https_req *req, const char *path_profile);

#endif
