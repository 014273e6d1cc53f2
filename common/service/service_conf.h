/* What the configuration of every service says alike. */
#ifndef WAYBILL_SERVICE_SERVICE_CONF_H
#define WAYBILL_SERVICE_SERVICE_CONF_H

#include "common/sys/conf.h"
#include "common/sys/sandbox.h"

struct service_conf {
	char *name;
	struct conf_strs listen;
	char *key, *certificate, *domain_ca, *sites;
	struct {
		char *key, *certificate, *ca;
	} link;
	struct {
		char *site;   /* NULL: no local peer */
		uint64_t uid; /* UINT32_MAX: our own */
	} ipc;
	struct {
		char *directory, *seal;
		uint64_t map_size;
	} store;
	struct {
		char *socket;
	} control;
	struct {
		uint64_t certificates, others, batches; /* milliseconds */
	} retention;
};

/* What every service needs once it is open; programs add to it.  The paths are
 * c's. */
void service_conf_sandbox(const struct service_conf *c, struct sandbox *ret);

extern const struct conf_item service_link_table[];
extern const struct conf_item service_ipc_table[];
extern const struct conf_item service_store_table[];
extern const struct conf_item service_control_table[];
extern const struct conf_item service_retention_table[];

/* clang-format off: rows of a table, as in the tables themselves. */
/* The items of a service_conf that stands at `at` in the program's struct. */
#define SERVICE_CONF_ITEMS(at, default_name) \
	{ .key = "name", \
		.type = CONF_STR, \
		.off = (at) + offsetof(struct service_conf, name), \
		.def = (default_name), \
		.check = conf_check_name, \
		.help = "name of this service; must be in our certificates" }, \
	    { .key = "listen", \
		    .type = CONF_STRS, \
		    .off = (at) + offsetof(struct service_conf, listen), \
		    .min = 1, \
		    .max = 8, \
		    .help = "tls+tcp://HOST:PORT or ipc:///PATH, for " \
			    "forwarders" }, \
	    { .key = "key", \
		    .type = CONF_STR, \
		    .off = (at) + offsetof(struct service_conf, key), \
		    .help = "our private key: signs receipts and answers" }, \
	    { .key = "certificate", \
		    .type = CONF_STR, \
		    .off = (at) + offsetof(struct service_conf, certificate), \
		    .help = "our certificate, then its chain" }, \
	    { .key = "domain-ca", \
		    .type = CONF_STR, \
		    .off = (at) + offsetof(struct service_conf, domain_ca), \
		    .help = "root of the domain" }, \
	    { .key = "link", \
		    .type = CONF_MAP, \
		    .off = (at) + offsetof(struct service_conf, link), \
		    .sub = service_link_table, \
		    .help = "TLS towards forwarders" }, \
	    { .key = "ipc", \
		    .type = CONF_MAP, \
		    .off = (at) + offsetof(struct service_conf, ipc), \
		    .def = "", \
		    .sub = service_ipc_table, \
		    .help = "the forwarder of a site on this machine" }, \
	    { .key = "sites", \
		    .type = CONF_STR, \
		    .off = (at) + offsetof(struct service_conf, sites), \
		    .help = "folder of the sites' registrar certificates, " \
			    "NAME.pem" }, \
	    { .key = "store", \
		    .type = CONF_MAP, \
		    .off = (at) + offsetof(struct service_conf, store), \
		    .sub = service_store_table, \
		    .help = "the ledger" }, \
	    { .key = "retention", \
		    .type = CONF_MAP, \
		    .off = (at) + offsetof(struct service_conf, retention), \
		    .def = "", \
		    .sub = service_retention_table, \
		    .help = "how long answers are kept" }, \
	{ \
		.key = "control", .type = CONF_MAP, \
		.off = (at) + offsetof(struct service_conf, control), \
		.sub = service_control_table, .help = "towards commands" \
	}
/* clang-format on */

#endif
