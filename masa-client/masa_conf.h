/* masa-client.yaml: what it may say, and as what it is read. */
#ifndef WAYBILL_MASA_CLIENT_MASA_CONF_H
#define WAYBILL_MASA_CLIENT_MASA_CONF_H

#include "common/service/service_conf.h"

struct masa_vendor {
	char *name, *anchor;
	char *sub_ca; /* NULL: none */
	struct conf_strs crl;
	int crl_unknown;  /* enum revocation_unknown */
	char *tls_anchor; /* NULL: what the system believes */
	char *url;	  /* NULL: the IDevID's */
	struct conf_strs hosts;
	bool allow_private;
};

struct masa_conf {
	struct service_conf service;
	struct conf_list vendors; /* struct masa_vendor */
	struct {
		char *key, *certificate;
		uint64_t timeout, retry_min, retry_max; /* milliseconds */
		uint64_t log_tries;
	} masa;
};

extern const struct conf_item masa_conf_table[];

/* What the MASA client needs once it is open; the paths are c's. */
void masa_conf_sandbox(const struct masa_conf *c, struct sandbox *ret);

#endif
