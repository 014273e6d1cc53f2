/* ra.yaml: what it may say, and as what it is read. */
#ifndef WAYBILL_RA_RA_CONF_H
#define WAYBILL_RA_RA_CONF_H

#include "common/service/service_conf.h"
#include "ra/profile.h"
#include "ra/upstream.h"

struct ra_vendor {
	char *name, *anchor;
	char *sub_ca; /* NULL: none */
	struct conf_strs crl;
	int crl_unknown; /* enum revocation_unknown */
};

enum ra_ca { RA_CA_LOCAL, RA_CA_CMP };

struct ra_conf {
	struct service_conf service;
	char *deny_list;
	bool publish_deny;
	struct conf_list vendors;  /* struct ra_vendor */
	struct conf_list profiles; /* struct profile */
	uint64_t same_key;	   /* milliseconds */
	struct {
		int kind; /* enum ra_ca */
		struct upstream_conf upstream;
		char *key, *certificate, *organization;
		char *new_root, *new_with_old, *old_with_new;
		uint64_t lifetime, crl_lifetime; /* milliseconds */
	} ca;
};

extern const struct conf_item ra_conf_table[];

/* What the table alone cannot tell.  ERR_CONF. */
int ra_conf_check(const struct ra_conf *c, struct err *e) WARN_UNUSED;

/* What the RA needs once it is open; the paths are c's. */
void ra_conf_sandbox(const struct ra_conf *c, struct sandbox *ret);

#endif
