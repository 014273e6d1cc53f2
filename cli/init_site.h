/* What the two runs of `init site` share. */
#ifndef WAYBILL_CLI_INIT_SITE_H
#define WAYBILL_CLI_INIT_SITE_H

#include "cli/init.h"
#include "cli/pairing.h"

#define VOUCHER_SUFFIX ".voucher.pem" /* of a vendor: who signs vouchers */

/* A folder has one site for ever.  ERR_USAGE. */
int site_check_same(
    const struct folder *f, const char *name, struct err *e) WARN_UNUSED;
/* registrar.yaml, forwarder.yaml and proxy.yaml, unless they are there. */
int site_make_confs(
    const struct folder *f, const struct pairing *p, struct err *e) WARN_UNUSED;

#endif
