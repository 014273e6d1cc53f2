#include "masa-client/masa_conf.h"

#include "common/pki/issue.h"
#include "common/pki/revocation.h"
#include "masa-client/target.h"

#define OFF(m)	  offsetof(struct masa_conf, m)
#define VENDOR(m) offsetof(struct masa_vendor, m)

static int
check_url(const char *value, struct err *e)
{
	struct target t;

	return target_parse(value, &t, e);
}

static int
check_host(const char *value, struct err *e)
{
	return issue_host_valid(value)
	    ? 0
	    : err_set(e, ERR_CONF, "no host name or address");
}

static const struct conf_item vendor_table[] = {
	{ .key = "name",
	    .type = CONF_STR,
	    .off = VENDOR(name),
	    .check = conf_check_name,
	    .help = "name of the vendor in facts and logs" },
	{ .key = "anchor",
	    .type = CONF_STR,
	    .off = VENDOR(anchor),
	    .help = "PEM file of its root certificates" },
	{ .key = "sub-ca",
	    .type = CONF_STR,
	    .off = VENDOR(sub_ca),
	    .def = "",
	    .help = "PEM file of its authorities below the roots: may sign "
		    "crl" },
	{ .key = "crl",
	    .type = CONF_STRS,
	    .off = VENDOR(crl),
	    .def = "",
	    .max = 16,
	    .help = "files of its lists of revoked certificates, PEM or DER" },
	{ .key = "crl-unknown",
	    .type = CONF_ENUM,
	    .off = VENDOR(crl_unknown),
	    .def = "wait",
	    .names = revocation_unknowns,
	    .help = "a device of which crl does not tell, since it is stale" },
	{ .key = "tls-anchor",
	    .type = CONF_STR,
	    .off = VENDOR(tls_anchor),
	    .def = "",
	    .help = "PEM file of what its MASA's TLS certificate must chain "
		    "to; default what the system believes" },
	{ .key = "url",
	    .type = CONF_STR,
	    .off = VENDOR(url),
	    .def = "",
	    .check = check_url,
	    .help = "its MASA, in place of what its devices say" },
	{ .key = "hosts",
	    .type = CONF_STRS,
	    .off = VENDOR(hosts),
	    .def = "",
	    .max = 16,
	    .check = check_host,
	    .help = "hosts its MASA may be on; default any" },
	{ .key = "allow-private",
	    .type = CONF_BOOL,
	    .off = VENDOR(allow_private),
	    .def = "false",
	    .help = "its MASA may have a private or local address" },
	{ .key = NULL },
};

static const struct conf_item masa_table[] = {
	{ .key = "key",
	    .type = CONF_STR,
	    .off = OFF(masa.key) - OFF(masa),
	    .help = "private key shown to MASAs" },
	{ .key = "certificate",
	    .type = CONF_STR,
	    .off = OFF(masa.certificate) - OFF(masa),
	    .help = "its certificate, then its chain" },
	{ .key = "timeout",
	    .type = CONF_DUR,
	    .off = OFF(masa.timeout) - OFF(masa),
	    .def = "20s",
	    .min = 100,
	    .max = 300000,
	    .help = "for one question and its answer" },
	{ .key = "retry-min",
	    .type = CONF_DUR,
	    .off = OFF(masa.retry_min) - OFF(masa),
	    .def = "2s",
	    .min = 10,
	    .max = 3600000,
	    .help = "until a MASA out of reach is asked again; then doubling" },
	{ .key = "retry-max",
	    .type = CONF_DUR,
	    .off = OFF(masa.retry_max) - OFF(masa),
	    .def = "300s",
	    .min = 10,
	    .max = 86400000,
	    .help = "the longest such wait" },
	{ .key = "log-tries",
	    .type = CONF_INT,
	    .off = OFF(masa.log_tries) - OFF(masa),
	    .def = "3",
	    .max = 100,
	    .help = "how often an audit log is asked for before the voucher "
		    "goes without" },
	{ .key = NULL },
};

const struct conf_item masa_conf_table[] = {
	SERVICE_CONF_ITEMS(OFF(service), "masa"),
	{ .key = "vendors",
	    .type = CONF_LIST,
	    .off = OFF(vendors),
	    .def = "",
	    .sub = vendor_table,
	    .size = sizeof(struct masa_vendor),
	    .help = "makers whose devices get vouchers" },
	{ .key = "masa",
	    .type = CONF_MAP,
	    .off = OFF(masa),
	    .sub = masa_table,
	    .help = "towards MASAs" },
	{ .key = NULL },
};

/* libcurl reads what the system believes when it connects. */
static void
allow_anchors(const struct masa_conf *c, struct sandbox *s)
{
	static const char *const folders[] = { "/etc/ssl/certs",
		"/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates" };
	const struct masa_vendor *v = c->vendors.v;
	bool system = false;

	for (size_t i = 0; i < c->vendors.n; i++)
		system |= v[i].tls_anchor == NULL;
	for (size_t i = 0; system && i < NELEMS(folders); i++)
		sandbox_allow(s, SANDBOX_READ, folders[i]);
}

void
masa_conf_sandbox(const struct masa_conf *c, struct sandbox *ret)
{
	service_conf_sandbox(&c->service, ret);
	ret->may |= SANDBOX_DIAL | SANDBOX_RESOLVE;
	allow_anchors(c, ret);
}
