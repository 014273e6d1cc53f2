/*
 * The forwarder: for each service one connection to the registrar (carry.c)
 * and one to the service (common/link/wire), joined in lane.c.  It relays
 * frames it does not understand, decides nothing and stores nothing.
 */
#ifndef WAYBILL_FORWARDER_FORWARDER_H
#define WAYBILL_FORWARDER_FORWARDER_H

#include "common/link/wire.h"
#include "common/sys/conf.h"
#include "common/sys/sandbox.h"

#define FWD_UID_OWN UINT32_MAX /* no uid was configured: our own */

struct fwd_service {
	char *name, *url;
	uint64_t ipc_uid;
};

struct fwd_conf {
	char *site;
	char *carry;
	uint64_t carry_uid;
	struct {
		char *key, *certificate, *ca;
	} link;
	struct conf_list services; /* struct fwd_service */
	struct {
		uint64_t min, max; /* milliseconds */
	} reconnect;
	uint64_t window;
	uint64_t watchdog; /* milliseconds */
};

extern const struct conf_item fwd_conf_table[];

/* What the forwarder needs once it is open. */
extern const struct sandbox fwd_sandbox;

struct lane;

struct forwarder {
	struct fwd_conf conf;
	struct loop *loop;
	size_t n;
	struct lane **lanes; /* one a service */
};

/* Reads the configuration, and nothing else. */
int forwarder_configure(
    struct forwarder *f, const char *path, struct err *e) WARN_UNUSED;
/* The link's key fits its certificate, which names the site and chains to the
 * link CA. */
int forwarder_identify(const struct forwarder *f, struct err *e) WARN_UNUSED;
/* Dials services and registrar; neither needs to be there yet. */
int forwarder_open(struct forwarder *f, struct err *e) WARN_UNUSED;
/* Returns when the loop was stopped. */
int forwarder_run(struct forwarder *f, struct err *e) WARN_UNUSED;
/* Also what configure alone has made; what was never opened is fine. */
void forwarder_close(struct forwarder *f);

#endif
