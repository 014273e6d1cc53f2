/* What the intake_*.c share. */
#ifndef WAYBILL_SERVICE_INTAKE_INT_H
#define WAYBILL_SERVICE_INTAKE_INT_H

#include "common/base/log.h"
#include "common/link/frame.h"
#include "common/service/service.h"

/* What cannot be told by a signed batch: nobody authentic asked, or not now. */
void intake_nack(struct wire_req *req, uint64_t tag, const char *event,
    enum log_level level, const struct err *e);
void intake_ping(struct wire_req *req, uint64_t tag);

/* Every frame speaks for the site of its pipe, or for nobody. */
int intake_check_site(
    const struct wire_req *req, const char *site, struct err *e) WARN_UNUSED;
/* Whose word the header is; borrowed as by sites_find. */
X509 *intake_authentic(struct service *s, const struct wire_req *req,
    struct bytes header, struct bytes sig, struct entry_header *ret,
    struct err *e) WARN_UNUSED;
/* DECISIONS 1: what the device signed, out of what its registrar sent: appended
 * to ret.  -1 as service_trade.unwrap. */
int intake_unwrap(const struct service *s, const struct entry_header *h,
    X509 *cert, struct bytes octets, struct buf *ret, enum batch_code *ret_code,
    struct err *e) WARN_UNUSED;
/* The once-key of these octets of a device, or of the site itself. */
struct digest intake_once(const struct entry_header *h, struct bytes device);

/* Frames in files of their own: intake_hello.c, intake_evidence.c. */
void intake_hello(
    struct service *s, struct wire_req *req, const struct frame *f);
void intake_evidence(
    struct service *s, struct wire_req *req, const struct frame *f);

#endif
