/* One service's lane: frames from the registrar become requests on the link,
 * replies go back as they came. */
#ifndef WAYBILL_FORWARDER_LANE_H
#define WAYBILL_FORWARDER_LANE_H

#include "forwarder/forwarder.h"

/* Both ends are dialled; strings are borrowed from the configuration. */
int lane_open(struct loop *l, const struct fwd_conf *c,
    const struct fwd_service *s, struct lane **ret, struct err *e) WARN_UNUSED;
void lane_close(struct lane *n);
AUTO_DEFINE(lane, struct lane, lane_close);

#endif
