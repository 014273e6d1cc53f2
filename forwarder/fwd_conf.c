#include "forwarder/forwarder.h"

#include <string.h>

#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/sign.h"
#include "common/pki/trust.h"

#define OFF(m)	  offsetof(struct fwd_conf, m)
#define DAY_MS	  86400000
#define OWN_UID	  "4294967295"
#define SUN_MAX	  107 /* sun_path without its NUL */
#define NAMES_MAX 16

static int
check_url(const char *value, struct err *e)
{
	if (str_starts(value, "tls+tcp://") || str_starts(value, "ipc://"))
		return 0;
	return err_set(
	    e, ERR_CONF, "neither tls+tcp://HOST:PORT nor ipc://PATH");
}

static const struct conf_item link_table[] = {
	{ .key = "key",
	    .type = CONF_STR,
	    .off = OFF(link.key) - OFF(link),
	    .help = "private key of the link, PEM" },
	{ .key = "certificate",
	    .type = CONF_STR,
	    .off = OFF(link.certificate) - OFF(link),
	    .help = "its certificate, then the chain, PEM" },
	{ .key = "ca",
	    .type = CONF_STR,
	    .off = OFF(link.ca) - OFF(link),
	    .help = "the link CA that services are believed by, PEM" },
	{ .key = NULL },
};

static const struct conf_item service_table[] = {
	{ .key = "name",
	    .type = CONF_STR,
	    .off = offsetof(struct fwd_service, name),
	    .check = conf_check_name,
	    .help = "name in its certificate" },
	{ .key = "url",
	    .type = CONF_STR,
	    .off = offsetof(struct fwd_service, url),
	    .check = check_url,
	    .help = "tls+tcp://HOST:PORT or ipc://PATH" },
	{ .key = "ipc-uid",
	    .type = CONF_INT,
	    .off = offsetof(struct fwd_service, ipc_uid),
	    .def = OWN_UID,
	    .max = UINT32_MAX,
	    .help = "uid of a service on ipc://; default our own" },
	{ .key = NULL },
};

static const struct conf_item reconnect_table[] = {
	{ .key = "min",
	    .type = CONF_DUR,
	    .off = OFF(reconnect.min) - OFF(reconnect),
	    .def = "250ms",
	    .min = 10,
	    .max = DAY_MS,
	    .help = "first pause before a service is dialled again" },
	{ .key = "max",
	    .type = CONF_DUR,
	    .off = OFF(reconnect.max) - OFF(reconnect),
	    .def = "30s",
	    .min = 10,
	    .max = DAY_MS,
	    .help = "longest pause" },
	{ .key = NULL },
};

const struct conf_item fwd_conf_table[] = {
	{ .key = "site",
	    .type = CONF_STR,
	    .off = OFF(site),
	    .check = conf_check_name,
	    .help = "name of this site; must be in the link certificate" },
	{ .key = "carry",
	    .type = CONF_STR,
	    .off = OFF(carry),
	    .min = 1,
	    .max = SUN_MAX,
	    .help = "Unix socket of the registrar" },
	{ .key = "carry-uid",
	    .type = CONF_INT,
	    .off = OFF(carry_uid),
	    .def = OWN_UID,
	    .max = UINT32_MAX,
	    .help = "uid of the registrar; default our own" },
	{ .key = "link",
	    .type = CONF_MAP,
	    .off = OFF(link),
	    .sub = link_table,
	    .help = "who we are to services" },
	{ .key = "services",
	    .type = CONF_LIST,
	    .off = OFF(services),
	    .min = 1,
	    .max = NAMES_MAX,
	    .sub = service_table,
	    .size = sizeof(struct fwd_service),
	    .help = "where entries are carried to" },
	{ .key = "reconnect",
	    .type = CONF_MAP,
	    .off = OFF(reconnect),
	    .def = "",
	    .sub = reconnect_table,
	    .help = "pauses between attempts, with jitter" },
	{ .key = "window",
	    .type = CONF_INT,
	    .off = OFF(window),
	    .def = "32",
	    .min = 2,
	    .max = 64,
	    .help = "requests to one service at the same time" },
	{ .key = "watchdog",
	    .type = CONF_DUR,
	    .off = OFF(watchdog),
	    .def = "5m",
	    .min = 100,
	    .max = DAY_MS,
	    .help = "entries sent, link up, no reply: dial again" },
	{ .key = NULL },
};

static int
check_pauses(const struct fwd_conf *c, struct err *e)
{
	if (c->reconnect.min <= c->reconnect.max)
		return 0;
	return err_set(e, ERR_CONF, "reconnect: min is above max");
}

static int
check_names(const struct fwd_conf *c, struct err *e)
{
	const struct fwd_service *v = c->services.v;
	size_t i, k;

	if (c->services.n == 0)
		return err_set(e, ERR_CONF, "services: none");
	for (i = 0; i < c->services.n; i++)
		for (k = 0; k < i; k++)
			if (strcmp(v[i].name, v[k].name) == 0)
				return err_set(e, ERR_CONF,
				    "services: %s stands there twice",
				    v[i].name);
	return 0;
}

int
forwarder_configure(struct forwarder *f, const char *path, struct err *e)
{
	if (conf_load(path, fwd_conf_table, &f->conf, e) == -1)
		return -1;
	if (check_pauses(&f->conf, e) == -1 || check_names(&f->conf, e) == -1)
		return err_prefix(e, "%s", path);
	return 0;
}

/* Services would refuse us later and tell nobody here why. */
int
forwarder_identify(const struct forwarder *f, struct err *e)
{
	const struct fwd_conf *c = &f->conf;
	AUTO(trust) t = trust_new();
	AUTO(signer) s = NULL;
	char site[CERT_TEXT_MAX];
	const char *anchor;

	if ((s = signer_load(c->link.key, c->link.certificate, e)) == NULL ||
	    trust_add_file(t, "link", c->link.ca, e) == -1 ||
	    cert_site(s->cert, site, e) == -1 ||
	    trust_check(t, s->cert, s->chain, 0, &anchor, NULL, e) == -1)
		return err_prefix(e, "link");
	if (strcmp(site, c->site) != 0)
		return err_set(e, ERR_CONF,
		    "link: certificate is of site %s, not %s", site, c->site);
	return 0;
}

/* It has read its keys, stores nothing, and dials both ways for ever. */
const struct sandbox fwd_sandbox = {
	.may = SANDBOX_SERVE | SANDBOX_THREADS | SANDBOX_DIAL | SANDBOX_RESOLVE,
};
