/* What `init ra` makes for the masa-client that runs beside the RA. */
#ifndef WAYBILL_CLI_INIT_MASA_H
#define WAYBILL_CLI_INIT_MASA_H

#include "cli/init.h"

#define MASA_NAME "masa" /* of the service */

/* Where it listens if no option says so: as the RA does first, at the next
 * port, or at a socket beside.  Appended to ret.  ERR_USAGE. */
int masa_listen_default(
    const char *ra_listen, struct buf *ret, struct err *e) WARN_UNUSED;
/* All before the first file.  listens of o must be filled in. */
int masa_check_options(const struct folder *f, const struct ra_options *o,
    struct err *e) WARN_UNUSED;
/* The vendors' TLS anchors, seal, store and masa-client.yaml; its keys are
 * there. */
int masa_fill(const struct folder *f, const struct ra_options *o,
    struct err *e) WARN_UNUSED;

#endif
