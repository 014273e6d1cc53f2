/* What `waybill init` does, for the command and for the demo. */
#ifndef WAYBILL_CLI_INIT_H
#define WAYBILL_CLI_INIT_H

#include "cli/folder.h"

struct ra_options {
	const char *dir;
	const char *name;     /* of the service */
	const char *address;  /* where sites dial; NULL: first host and port */
	const char *map_size; /* of its store */
	const char *organization; /* in certificates issued; NULL: none */
	const char *ca_key;	  /* "p256", "p384", "rsa3072": root and CA */
	struct words hosts, listens, vendors;
	bool no_masa;		     /* no masa-client beside the RA */
	const char *masa_address;    /* as address, of the masa-client */
	const char *masa_retry_max;  /* its longest pause before a MASA */
	struct words masa_listens;   /* none: the RA's, next port */
	struct words vendor_tls;     /* NAME=FILE */
	struct words vendor_urls;    /* NAME=URL */
	struct words vendor_hosts;   /* NAME=HOST */
	struct words vendor_private; /* NAME */
	bool again;		     /* pairing: certificates anew */
	bool quiet;
};

struct site_options {
	const char *dir;
	const char *name;
	const char *map_size;
	const char *hold, *check_after, *retry_after, *reconnect_max;
	const char *wait_max; /* NULL: the registrar's defaults */
	struct words hosts, listens, proxy_listens, vendors, voucher_anchors;
	bool quiet;
};

#define RA_OPTIONS_INIT \
	{ \
		.name = "ra", .map_size = "1GiB", .masa_retry_max = "300s", \
		.ca_key = "p256" \
	}
#define SITE_OPTIONS_INIT \
	{ \
		.map_size = "1GiB", .hold = "10s", .check_after = "5s", \
		.retry_after = "5s", .reconnect_max = "30s" \
	}

/* Makes what is missing; keeps what is there. */
int init_ra(const struct ra_options *o, struct err *e) WARN_UNUSED;
/* Reads a site's request, certifies it, writes the pairing to out (NULL:
 * beside the request) and the registrar's certificate to sites/. */
int init_ra_pair(const struct ra_options *o, const char *request,
    const char *out, struct err *e) WARN_UNUSED;

int init_site(const struct site_options *o, struct err *e) WARN_UNUSED;
/* Installs a pairing: certificates and configuration. */
int init_site_pair(const char *dir, const char *pairing, bool quiet,
    struct err *e) WARN_UNUSED;

/* Runs waybill-DAEMON --config DIR/DAEMON.yaml --check for each and shows what
 * they say.  One that is optional and has no such file is passed over. */
struct init_daemon {
	const char *name;
	bool optional;
};
int init_check(const char *dir, const struct init_daemon *daemons, size_t n,
    struct err *e) WARN_UNUSED;

#endif
