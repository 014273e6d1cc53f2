/* The configuration of a site's three daemons. */
#include <string.h>

#include "cli/init_site.h"
#include "cli/yaml.h"
#include "common/base/str.h"

static const char *
setting(const json_t *settings, const char *key)
{
	const char *s = json_string_value(json_object_get(settings, key));

	return s != NULL ? s : "";
}

/* Nothing for a setting that was not given, or that an earlier version did not
 * know. */
static void
setting_yaml(
    struct buf *out, const char *key, const json_t *settings, const char *name)
{
	const char *value = setting(settings, name);

	if (*value != '\0')
		buf_printf(out, "  %s: %s\n", key, value);
}

static void
brski_yaml(struct buf *out, const json_t *settings)
{
	buf_add_str(out,
	    "\nbrski:\n  verify-voucher: true\n  nonceless: false\n"
	    "  enrol-without-voucher: true\n");
	setting_yaml(out, "retry-after", settings, "retry-after");
	setting_yaml(out, "retry-after-max", settings, "wait-max");
}

static void
vendor_yaml(
    struct buf *out, const struct folder *f, const char *name, const void *arg)
{
	(void)arg;
	yaml_vendor_file(out, f, "voucher-anchor", name, VOUCHER_SUFFIX);
}

static void
services_yaml(struct buf *out, const struct folder *f, const struct pairing *p)
{
	size_t i, kind;

	buf_add_str(out, "\nservices:\n");
	for (i = 0; i < p->n_services; i++) {
		const struct pairing_service *s = &p->services[i];
		struct buf crt AUTO_BUF = { 0 };
		const char *sep = "";

		buf_printf(&crt, "service-%s.crt", s->name);
		buf_printf(out, "  - name: %s\n", s->name);
		yaml_file(out, 2, "certificate", f, buf_cstr(&crt));
		buf_add_str(out, "    kinds: [");
		for (kind = 0; kind < PAIRING_KIND__MAX; kind++) {
			if (!s->kinds[kind])
				continue;
			buf_printf(out, "%s%s", sep, pairing_kind_names[kind]);
			sep = ", ";
		}
		/* Who issues countersigns what we did with it. */
		if (s->kinds[PAIRING_CMP])
			buf_add_str(out, ", audit");
		buf_add_str(out, "]\n");
	}
}

static int
registrar_yaml(struct buf *out, const struct folder *f, const json_t *settings,
    const struct pairing *p, struct err *e)
{
	buf_printf(out,
	    "# waybill-registrar: made by waybill init site\nsite: %s\n",
	    p->site);
	yaml_list(out, 0, "listen", json_object_get(settings, "listen"));
	yaml_file(out, 0, "key", f, "registrar.key");
	yaml_file(out, 0, "certificate", f, "registrar.crt");
	yaml_file(out, 0, "domain-ca", f, "domain-root.crt");
	buf_add_str(out, "\n# makers whose devices may join\n");
	if (yaml_vendors(out, f, vendor_yaml, NULL, e) == -1)
		return -1;
	buf_add_str(out, "\nstore:\n");
	yaml_file(out, 1, "directory", f, "outbox");
	buf_printf(out, "  map-size: %s\n", setting(settings, "map-size"));
	yaml_file(out, 1, "seal", f, "seal.key");
	buf_add_str(out, "\ncarry:\n");
	yaml_file(out, 1, "socket", f, "carry.sock");
	buf_add_str(out, "\ncontrol:\n");
	yaml_file(out, 1, "socket", f, "control.sock");
	services_yaml(out, f, p);
	buf_printf(out, "\ncmp:\n  hold: %s\n  check-after: %s\n",
	    setting(settings, "hold"), setting(settings, "check-after"));
	setting_yaml(out, "check-after-max", settings, "wait-max");
	if (pairing_find(p, PAIRING_VOUCHER) != NULL)
		brski_yaml(out, settings);
	return 0;
}

static int
forwarder_yaml(struct buf *out, const struct folder *f, const json_t *settings,
    const struct pairing *p, struct err *e)
{
	size_t i;

	(void)e;
	buf_printf(out,
	    "# waybill-forwarder: made by waybill init site\nsite: %s\n",
	    p->site);
	yaml_file(out, 0, "carry", f, "carry.sock");
	buf_add_str(out, "\nlink:\n");
	yaml_file(out, 1, "key", f, "link.key");
	yaml_file(out, 1, "certificate", f, "link.crt");
	yaml_file(out, 1, "ca", f, "link-ca.crt");
	buf_add_str(out, "\nservices:\n");
	for (i = 0; i < p->n_services; i++) {
		buf_printf(out, "  - name: %s\n", p->services[i].name);
		yaml_text(out, 2, "url", p->services[i].address);
	}
	buf_printf(out, "\nreconnect:\n  min: 250ms\n  max: %s\n",
	    setting(settings, "reconnect-max"));
	return 0;
}

/* Where the proxy of this machine finds the registrar. */
static void
registrar_address(const json_t *settings, struct buf *out)
{
	const char *listen = json_string_value(
	    json_array_get(json_object_get(settings, "listen"), 0));
	char host[64] = "", port[6] = "";
	bool any6;

	if (listen == NULL || hostport_parse(listen, host, port, NULL) == -1)
		return;
	any6 = strcmp(host, "::") == 0;
	if (strcmp(host, "0.0.0.0") == 0)
		str_copy(host, sizeof(host), "127.0.0.1");
	buf_printf(out, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s",
	    any6 ? "::1" : host, port);
}

static int
proxy_yaml(struct buf *out, const struct folder *f, const json_t *settings,
    const struct pairing *p, struct err *e)
{
	struct buf registrar AUTO_BUF = { 0 };

	(void)f;
	(void)p;
	(void)e;
	registrar_address(settings, &registrar);
	buf_add_str(out, "# waybill-proxy: made by waybill init site\n");
	yaml_list(out, 0, "listen", json_object_get(settings, "proxy-listen"));
	yaml_text(out, 0, "registrar", buf_cstr(&registrar));
	return 0;
}

int
site_make_confs(const struct folder *f, const struct pairing *p, struct err *e)
{
	static const struct {
		const char *name;
		int (*write)(struct buf *out, const struct folder *f,
		    const json_t *settings, const struct pairing *p,
		    struct err *e);
	} confs[] = { { "registrar", registrar_yaml },
		{ "forwarder", forwarder_yaml }, { "proxy", proxy_yaml } };
	AUTO(json_t) settings = folder_recall(f, e);
	size_t i;

	if (settings == NULL)
		return -1;
	for (i = 0; i < NELEMS(confs); i++) {
		struct buf text AUTO_BUF = { 0 };

		if (confs[i].write(&text, f, settings, p, e) == -1 ||
		    folder_put_new(f, confs[i].name, ".yaml", 0600,
			buf_bytes(&text), e) == -1)
			return -1;
	}
	return 0;
}
