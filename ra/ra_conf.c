#include "ra/ra_conf.h"

#include "common/service/reference.h"
#include "ra/lists.h"

#define OFF(m) offsetof(struct ra_conf, m)

static const char *const ca_kinds[] = { "local", "cmp", NULL };

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
	{ .key = "sub-ca",
	    .type = CONF_STR,
	    .off = offsetof(struct ra_vendor, sub_ca),
	    .def = "",
	    .help = "PEM file of its authorities below the roots: may sign "
		    "crl" },
	{ .key = "crl",
	    .type = CONF_STRS,
	    .off = offsetof(struct ra_vendor, crl),
	    .def = "",
	    .max = 16,
	    .help = "files of its lists of revoked certificates, PEM or DER" },
	{ .key = "crl-unknown",
	    .type = CONF_ENUM,
	    .off = offsetof(struct ra_vendor, crl_unknown),
	    .def = "wait",
	    .names = revocation_unknowns,
	    .help = "a device of which crl does not tell, since it is stale" },
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
	    .def = "",
	    .help = "the issuing CA's key; read by the CA child alone; for "
		    "kind local" },
	{ .key = "certificate",
	    .type = CONF_STR,
	    .off = OFF(ca.certificate) - OFF(ca),
	    .help = "the issuing CA, then those above it without the root" },
	{ .key = "upstream",
	    .type = CONF_MAP,
	    .off = OFF(ca.upstream) - OFF(ca),
	    .def = "",
	    .sub = upstream_conf_table,
	    .help = "the CMP CA or RA that issues; for kind cmp" },
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
	{ .key = "crl-lifetime",
	    .type = CONF_DUR,
	    .off = OFF(ca.crl_lifetime) - OFF(ca),
	    .def = "7d",
	    .min = 3600000,
	    .max = 400ULL * 86400000,
	    .help = "of its lists of revoked certificates" },
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
	    /* Each is published, beside ca-certs, root-update, template,
	     * crl and deny. */
	    .max = REFERENCE_NAMES_MAX - 5,
	    .sub = profile_table,
	    .size = sizeof(struct profile),
	    .help = "of certificates, by the name that requests give" },
	{ .key = "deny-list",
	    .type = CONF_STR,
	    .off = OFF(deny_list),
	    .def = "",
	    .help = "devices that are refused" },
	{ .key = "publish-deny",
	    .type = CONF_BOOL,
	    .off = OFF(publish_deny),
	    .def = "false",
	    .help = "sites are given the deny list, and refuse by it" },
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

int
ra_conf_check(const struct ra_conf *c, struct err *e)
{
	const struct upstream_conf *u = &c->ca.upstream;

	if (c->ca.kind == RA_CA_LOCAL)
		return c->ca.key != NULL
		    ? 0
		    : err_set(e, ERR_CONF, "ca.key: missing");
	if (u->url == NULL)
		return err_set(e, ERR_CONF, "ca.upstream: missing");
	if (u->retry_min > u->retry_max)
		return err_set(e, ERR_CONF,
		    "ca.upstream.retry-min: longer than retry-max");
	if (strncmp(u->url, "https:", 6) == 0 && u->tls_anchor == NULL)
		return err_set(
		    e, ERR_CONF, "ca.upstream.tls-anchor: missing for https");
	return 0;
}

void
ra_conf_sandbox(const struct ra_conf *c, struct sandbox *ret)
{
	service_conf_sandbox(&c->service, ret);
	if (c->ca.kind == RA_CA_CMP)
		ret->may |= SANDBOX_DIAL | SANDBOX_RESOLVE;
	lists_sandbox(c, ret);
}
