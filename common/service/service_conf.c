#include "common/service/service_conf.h"

#include <string.h>
#include "common/base/str.h"

#define IPC	     "ipc://"
#define FILES_WANTED 4096 /* two a site, and what asks */

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

const struct conf_item service_retention_table[] = {
	{ .key = "certificates",
	    .type = CONF_DUR,
	    .off = OFF(retention.certificates) - OFF(retention),
	    .def = "30d",
	    .max = 36500ULL * 86400000,
	    .help = "answers with a certificate, after that has ended" },
	{ .key = "others",
	    .type = CONF_DUR,
	    .off = OFF(retention.others) - OFF(retention),
	    .def = "400d",
	    .min = 86400000ULL,
	    .max = 36500ULL * 86400000,
	    .help = "any other answer, refusals above all" },
	{ .key = "batches",
	    .type = CONF_DUR,
	    .off = OFF(retention.batches) - OFF(retention),
	    .def = "30d",
	    .min = 3600000,
	    .max = 36500ULL * 86400000,
	    .help = "batches that their site has acknowledged" },
	{ .key = NULL },
};

/* Sites are read again, whoever comes; all else was read. */
void
service_conf_sandbox(const struct service_conf *c, struct sandbox *ret)
{
	*ret = (struct sandbox){
		.may = SANDBOX_SERVE | SANDBOX_THREADS | SANDBOX_STORE |
		    SANDBOX_FILES,
		.files = FILES_WANTED,
	};
	sandbox_allow(ret, SANDBOX_READ, c->sites);
	sandbox_allow(ret, SANDBOX_WRITE, c->store.directory);
	sandbox_allow(ret, SANDBOX_REMOVE, c->control.socket);
	for (size_t i = 0; i < c->listen.n; i++)
		if (str_starts(c->listen.v[i], IPC))
			sandbox_allow(
			    ret, SANDBOX_REMOVE, c->listen.v[i] + strlen(IPC));
}
