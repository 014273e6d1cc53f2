#include "common/service/service_conf.h"

#define OFF(m) offsetof(struct service_conf, m)

const struct conf_item service_link_table[] = {
	{ .key = "key",
	    .type = CONF_STR,
	    .off = OFF(link.key) - OFF(link),
	    .help = "private key of the link" },
	{ .key = "certificate",
	    .type = CONF_STR,
	    .off = OFF(link.certificate) - OFF(link),
	    .help = "its certificate, by the link CA" },
	{ .key = "ca",
	    .type = CONF_STR,
	    .off = OFF(link.ca) - OFF(link),
	    .help = "the link CA, which no other purpose shares" },
	{ .key = NULL },
};

const struct conf_item service_ipc_table[] = {
	{ .key = "site",
	    .type = CONF_STR,
	    .off = OFF(ipc.site) - OFF(ipc),
	    .def = "",
	    .check = conf_check_name,
	    .help = "the site that speaks over ipc://" },
	{ .key = "uid",
	    .type = CONF_INT,
	    .off = OFF(ipc.uid) - OFF(ipc),
	    .def = "4294967295",
	    .max = UINT32_MAX,
	    .help = "uid of its forwarder; default our own" },
	{ .key = NULL },
};

const struct conf_item service_store_table[] = {
	{ .key = "directory",
	    .type = CONF_STR,
	    .off = OFF(store.directory) - OFF(store),
	    .help = "folder of the ledger" },
	{ .key = "map-size",
	    .type = CONF_SIZE,
	    .off = OFF(store.map_size) - OFF(store),
	    .def = "1GiB",
	    .min = 4 << 20,
	    .max = 1ULL << 40,
	    .help = "size of its file, all of it reserved at start" },
	{ .key = "seal",
	    .type = CONF_STR,
	    .off = OFF(store.seal) - OFF(store),
	    .help = "file of the secret that seals it" },
	{ .key = NULL },
};

const struct conf_item service_control_table[] = {
	{ .key = "socket",
	    .type = CONF_STR,
	    .off = OFF(control.socket) - OFF(control),
	    .help = "Unix socket for commands" },
	{ .key = NULL },
};
