/*
 * The MASA client's parts and what they share.  One loop serves sites and
 * commands and asks MASAs; the ledger has a committer of its own.
 */
#ifndef WAYBILL_MASA_CLIENT_MASA_H
#define WAYBILL_MASA_CLIENT_MASA_H

#include "common/pki/revocation.h"
#include "common/pki/trust.h"
#include "common/service/service.h"
#include "masa-client/masa_conf.h"

struct asker;

struct masa {
	struct masa_conf conf;
	struct service service;
	struct signer *client;	    /* shown to MASAs */
	struct trust *vendors;	    /* believed of devices */
	struct revocation *revoked; /* by their makers */
	struct buf *anchors; /* PEM a vendor; empty: what the system believes */
	struct asker *asker;
};

/* main()'s steps, in this order. */
int masa_configure(struct masa *m, const char *path, struct err *e) WARN_UNUSED;
int masa_load(struct masa *m, struct err *e) WARN_UNUSED;
int masa_open(struct masa *m, struct err *e) WARN_UNUSED;
int masa_run(struct masa *m, struct err *e) WARN_UNUSED;
void masa_close(struct masa *m);

#endif
