#include "ra/upstream.h"

#include <string.h>

#define OFF(m) offsetof(struct upstream_conf, m)

static const char *const forwards[] = { "nested", "raw", NULL };
static const char *const confirms[] = { "own", "relay", NULL };

static int
check_url(const char *value, struct err *e)
{
	const char *host = strncmp(value, "https://", 8) == 0 ? value + 8
	    : strncmp(value, "http://", 7) == 0		      ? value + 7
							      : NULL;

	if (host == NULL || *host == '\0' || *host == '/')
		return err_set(
		    e, ERR_CONF, "wanted: https://HOST/PATH or http://...");
	if (host[strcspn(host, "@ \t?#")] != '\0')
		return err_set(e, ERR_CONF, "no user, query or blank in it");
	return 0;
}

const struct conf_item upstream_conf_table[] = {
	{ .key = "url",
	    .type = CONF_STR,
	    .off = OFF(url),
	    .check = check_url,
	    .help = "where it takes CMP over HTTP" },
	{ .key = "key",
	    .type = CONF_STR,
	    .off = OFF(key),
	    .help = "our private key towards it" },
	{ .key = "certificate",
	    .type = CONF_STR,
	    .off = OFF(certificate),
	    .help = "its certificate, then its chain; shown in TLS if asked "
		    "for" },
	{ .key = "anchor",
	    .type = CONF_STR,
	    .off = OFF(anchor),
	    .help = "PEM file of what the signer of its messages must chain "
		    "to" },
	{ .key = "tls-anchor",
	    .type = CONF_STR,
	    .off = OFF(tls_anchor),
	    .def = "",
	    .help = "the same of its TLS certificate; needed for https" },
	{ .key = "server-name",
	    .type = CONF_STR,
	    .off = OFF(server_name),
	    .def = "",
	    .max = 253,
	    .help = "name in its TLS certificate; default the URL's host" },
	{ .key = "forward",
	    .type = CONF_ENUM,
	    .off = OFF(forward),
	    .def = "nested",
	    .names = forwards,
	    .help = "how it is sent what a device asks: in a message of ours, "
		    "or as it is" },
	{ .key = "confirm",
	    .type = CONF_ENUM,
	    .off = OFF(confirm),
	    .def = "own",
	    .names = confirms,
	    .help = "whose certConf it gets: ours at once, or the device's" },
	{ .key = "idempotent",
	    .type = CONF_BOOL,
	    .off = OFF(idempotent),
	    .def = "false",
	    .help = "the same transaction sent twice has one effect there" },
	{ .key = "timeout",
	    .type = CONF_DUR,
	    .off = OFF(timeout),
	    .def = "30s",
	    .min = 100,
	    .max = 600000,
	    .help = "for one message and its answer" },
	{ .key = "retry-min",
	    .type = CONF_DUR,
	    .off = OFF(retry_min),
	    .def = "2s",
	    .min = 10,
	    .max = 3600000,
	    .help = "until it is asked again if out of reach, then doubling; "
		    "the shortest time between two polls" },
	{ .key = "retry-max",
	    .type = CONF_DUR,
	    .off = OFF(retry_max),
	    .def = "300s",
	    .min = 10,
	    .max = 86400000,
	    .help = "the longest such wait" },
	{ .key = "poll-max",
	    .type = CONF_DUR,
	    .off = OFF(poll_max),
	    .def = "3600s",
	    .min = 10,
	    .max = 7 * 86400000ULL,
	    .help = "the longest time between two polls, whatever it wishes" },
	{ .key = NULL },
};
