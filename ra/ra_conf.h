/* ra.yaml: what it may say, and as what it is read. */
#ifndef WAYBILL_RA_RA_CONF_H
#define WAYBILL_RA_RA_CONF_H

#include "common/sys/conf.h"

struct ra_vendor {
	char *name, *anchor;
};

struct ra_conf {
	char *name;
	struct conf_strs listen;
	char *key, *certificate, *domain_ca, *deny_list, *sites;
	struct {
		char *key, *certificate, *ca;
	} link;
	struct {
		char *site;   /* NULL: no local peer */
		uint64_t uid; /* UINT32_MAX: our own */
	} ipc;
	struct conf_list vendors; /* struct ra_vendor */
	struct {
		char *directory, *seal;
		uint64_t map_size;
	} store;
	struct {
		int kind;
		char *key, *certificate, *organization;
		uint64_t lifetime; /* milliseconds */
	} ca;
	struct {
		char *socket;
	} control;
};

extern const struct conf_item ra_conf_table[];

#endif
