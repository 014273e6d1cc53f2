#include "ra/ra_conf.h"

#include <string.h>

#define OFF(m) offsetof(struct ra_conf, m)

static const char *const ca_kinds[] = { "local", NULL };

static const struct conf_item vendor_table[] = {
	{ .key = "name",
	    .type = CONF_STR,
	    .off = offsetof(struct ra_vendor, name),
	    .check = conf_check_name,
	    .help = "name of the vendor in facts and logs" },
	{ .key = "anchor",
	    .type = CONF_STR,
	    .off = offsetof(struct ra_vendor, anchor),
	    .help = "PEM file of its root certificates" },
	{ .key = NULL },
};

static const struct conf_item ca_table[] = {
	{ .key = "kind",
	    .type = CONF_ENUM,
	    .off = OFF(ca.kind) - OFF(ca),
	    .def = "local",
	    .names = ca_kinds,
	    .help = "who issues" },
	{ .key = "key",
	    .type = CONF_STR,
	    .off = OFF(ca.key) - OFF(ca),
	    .help = "the issuing CA's key; read by the CA child alone" },
	{ .key = "certificate",
	    .type = CONF_STR,
	    .off = OFF(ca.certificate) - OFF(ca),
	    .help = "the issuing CA, then those above it without the root" },
	{ .key = "lifetime",
	    .type = CONF_DUR,
	    .off = OFF(ca.lifetime) - OFF(ca),
	    .def = "365d",
	    .min = 3600000,
	    .max = 36500ULL * 86400000,
	    .help = "of the certificates issued" },
	{ .key = "organization",
	    .type = CONF_STR,
	    .off = OFF(ca.organization) - OFF(ca),
	    .def = "",
	    .max = 64,
	    .help = "O of their subjects" },
	{ .key = "new-root",
	    .type = CONF_STR,
	    .off = OFF(ca.new_root) - OFF(ca),
	    .def = "",
	    .help = "the domain's next root, which devices are told of" },
	{ .key = "new-with-old",
	    .type = CONF_STR,
	    .off = OFF(ca.new_with_old) - OFF(ca),
	    .def = "",
	    .help = "the same, signed by the present root" },
	{ .key = "old-with-new",
	    .type = CONF_STR,
	    .off = OFF(ca.old_with_new) - OFF(ca),
	    .def = "",
	    .help = "the present root, signed by the next" },
	{ .key = NULL },
};

const struct conf_item ra_conf_table[] = {
	SERVICE_CONF_ITEMS(OFF(service), "ra"),
	{ .key = "vendors",
	    .type = CONF_LIST,
	    .off = OFF(vendors),
	    .def = "",
	    .sub = vendor_table,
	    .size = sizeof(struct ra_vendor),
	    .help = "makers whose devices get certificates" },
	{ .key = "profiles",
	    .type = CONF_LIST,
	    .off = OFF(profiles),
	    .def = "",
	    .max = 64,
	    .sub = profile_table,
	    .size = sizeof(struct profile),
	    .help = "of certificates, by the name that requests give" },
	{ .key = "deny-list",
	    .type = CONF_STR,
	    .off = OFF(deny_list),
	    .def = "",
	    .help = "devices that are refused" },
	{ .key = "same-key-window",
	    .type = CONF_DUR,
	    .off = OFF(same_key),
	    .def = "30d",
	    .max = 36500ULL * 86400000,
	    .help = "how long a device that asks for the same again is given "
		    "the certificate that it has; 0s: never" },
	{ .key = "ca",
	    .type = CONF_MAP,
	    .off = OFF(ca),
	    .sub = ca_table,
	    .help = "the certification authority" },
	{ .key = NULL },
};

/* A key lies in the folder of this file, or below. */
static bool
is_near(const char *file, const char *key)
{
	const char *end = strrchr(file, '/');

	return end == NULL || strncmp(file, key, (size_t)(end - file) + 1) == 0;
}

/* The deny list is read again, and editors replace files: so its folder is
 * opened, but never one with keys.  There the file as it is must do. */
static enum sandbox_access
deny_list_access(const struct ra_conf *c)
{
	const char *const keys[] = { c->ca.key, c->service.key,
		c->service.link.key, c->service.store.seal };

	for (size_t i = 0; i < NELEMS(keys); i++)
		if (is_near(c->deny_list, keys[i]))
			return SANDBOX_READ;
	return SANDBOX_REREAD;
}

void
ra_conf_sandbox(const struct ra_conf *c, struct sandbox *ret)
{
	service_conf_sandbox(&c->service, ret);
	if (c->deny_list != NULL)
		sandbox_allow(ret, deny_list_access(c), c->deny_list);
}
