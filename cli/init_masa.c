#include "cli/init_masa.h"

#include <string.h>

#include "cli/pairing.h"
#include "cli/yaml.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/issue.h"

#define TLS	   "tls+tcp://"
#define HTTPS	   "https://"
#define TLS_SUFFIX ".tls.pem"
#define URL_MAX	   255

/* ---- options --------------------------------------------------------- */

int
masa_listen_default(const char *ra_listen, struct buf *ret, struct err *e)
{
	const char *colon = strrchr(ra_listen, ':');
	uint64_t port;

	if (address_check(ra_listen, e) == -1)
		return err_prefix(e, "--listen");
	if (!str_starts(ra_listen, TLS)) {
		buf_printf(ret, "%s-%s", ra_listen, MASA_NAME);
		return 0;
	}
	if (number_parse(colon + 1, 1, UINT16_MAX - 1, &port, NULL) == -1)
		return err_set(e, ERR_USAGE,
		    "%s has no next port: --masa-listen is needed", ra_listen);
	buf_add(ret, ra_listen, (size_t)(colon - ra_listen));
	buf_printf(ret, ":%u", (unsigned)port + 1);
	return 0;
}

static int
check_url(const char *url, struct err *e)
{
	const char *p;

	for (p = url; *p > ' ' && *p < 0x7f; p++)
		continue;
	if (*p != '\0' || !str_starts(url, HTTPS) || url[strlen(HTTPS)] == '\0')
		return err_set(e, ERR_USAGE, "'%s': https://... expected", url);
	if (p - url > URL_MAX)
		return err_set(e, ERR_USAGE, "over %d octets", URL_MAX);
	return 0;
}

static int
check_host(const char *host, struct err *e)
{
	if (issue_host_valid(host))
		return 0;
	return err_set(
	    e, ERR_USAGE, "'%s': neither a DNS name nor an IP address", host);
}

static int
check_nothing(const char *value, struct err *e)
{
	(void)value;
	(void)e;
	return 0;
}

/* Is there a --vendor of that name, now or from an earlier run? */
static bool
is_vendor(const struct folder *f, const struct ra_options *o, const char *name)
{
	AUTO(char) file = path_join("vendors", name);
	size_t i, n = strlen(name);

	for (i = 0; i < o->vendors.n; i++)
		if (strncmp(o->vendors.v[i], name, n) == 0 &&
		    o->vendors.v[i][n] == '=')
			return true;
	return folder_has(f, file, ".pem");
}

/* One option of a vendor, or with check NULL one that has no value. */
static int
check_vendor(const struct folder *f, const struct ra_options *o,
    const char *option, const char *text,
    int (*check)(const char *value, struct err *e), struct err *e)
{
	AUTO(char) name = xstrdup(text);
	const char *value;

	if (check != NULL && vendor_split(option, name, &value, e) == -1)
		return -1;
	if (!is_vendor(f, o, name))
		return err_set(e, ERR_USAGE, "%s %s: there is no --vendor %s",
		    option, text, name);
	if (check != NULL && check(value, e) == -1)
		return err_prefix(e, "%s %s", option, name);
	return 0;
}

int
masa_check_options(
    const struct folder *f, const struct ra_options *o, struct err *e)
{
	const struct {
		const char *option;
		const struct words *words;
		int (*check)(const char *value, struct err *e);
	} of[] = {
		{ "--vendor-tls", &o->vendor_tls, check_nothing },
		{ "--vendor-url", &o->vendor_urls, check_url },
		{ "--vendor-host", &o->vendor_hosts, check_host },
		{ "--vendor-private", &o->vendor_private, NULL },
	};
	uint64_t pause;
	size_t i, k;

	for (i = 0; i < NELEMS(of); i++)
		for (k = 0; k < of[i].words->n; k++)
			if (check_vendor(f, o, of[i].option, of[i].words->v[k],
				of[i].check, e) == -1)
				return -1;
	for (i = 0; i < o->masa_listens.n; i++)
		if (address_check(o->masa_listens.v[i], e) == -1)
			return err_prefix(e, "--masa-listen");
	if (o->masa_address != NULL && address_check(o->masa_address, e) == -1)
		return err_prefix(e, "--masa-address");
	if (duration_parse(o->masa_retry_max, &pause, e) == -1)
		return err_prefix(e, "--masa-retry-max");
	return folder_check_socket(f, "masa-control.sock", e);
}

/* ---- configuration --------------------------------------------------- */

/* The values given to a vendor, a list of texts. */
static json_t *
values_of(const struct words *words, const char *name)
{
	json_t *j = json_array();
	size_t i, n = strlen(name);

	for (i = 0; i < words->n; i++)
		if (strncmp(words->v[i], name, n) == 0 && words->v[i][n] == '=')
			json_array_append_new(
			    j, json_string(words->v[i] + n + 1));
	return j;
}

static bool
is_word(const struct words *words, const char *name)
{
	size_t i;

	for (i = 0; i < words->n; i++)
		if (strcmp(words->v[i], name) == 0)
			return true;
	return false;
}

static void
vendor_yaml(
    struct buf *out, const struct folder *f, const char *name, const void *arg)
{
	const struct ra_options *o = arg;
	AUTO(json_t) urls = values_of(&o->vendor_urls, name);
	AUTO(json_t) hosts = values_of(&o->vendor_hosts, name);

	yaml_vendor_file(out, f, "tls-anchor", name, TLS_SUFFIX);
	if (json_array_size(urls) > 0)
		yaml_text(
		    out, 2, "url", json_string_value(json_array_get(urls, 0)));
	if (json_array_size(hosts) > 0)
		yaml_list(out, 2, "hosts", hosts);
	if (is_word(&o->vendor_private, name))
		buf_add_str(out, "    allow-private: true\n");
}

static int
masa_yaml(struct buf *out, const struct folder *f, const struct ra_options *o,
    struct err *e)
{
	AUTO(json_t) listens = json_array();
	size_t i;

	for (i = 0; i < o->masa_listens.n; i++)
		json_array_append_new(
		    listens, json_string(o->masa_listens.v[i]));
	buf_printf(out,
	    "# waybill-masa-client: made by waybill init ra\nname: %s\n",
	    MASA_NAME);
	yaml_list(out, 0, "listen", listens);
	yaml_file(out, 0, "key", f, "masa-service.key");
	yaml_file(out, 0, "certificate", f, "masa-service.crt");
	yaml_file(out, 0, "domain-ca", f, "domain-root.crt");
	yaml_file(out, 0, "sites", f, "sites");
	buf_add_str(out, "\nlink:\n");
	yaml_file(out, 1, "key", f, "masa-link.key");
	yaml_file(out, 1, "certificate", f, "masa-link.crt");
	yaml_file(out, 1, "ca", f, "link-ca.crt");
	buf_add_str(out, "\n# makers whose MASAs may be asked\n");
	if (yaml_vendors(out, f, vendor_yaml, o, e) == -1)
		return -1;
	buf_add_str(out, "\n# who we are to MASAs\nmasa:\n");
	yaml_file(out, 1, "key", f, "masa-tls.key");
	yaml_file(out, 1, "certificate", f, "masa-tls.crt");
	buf_printf(out, "  retry-max: %s\n", o->masa_retry_max);
	buf_add_str(out, "\nstore:\n");
	yaml_file(out, 1, "directory", f, "masa-store");
	buf_printf(out, "  map-size: %s\n", o->map_size);
	yaml_file(out, 1, "seal", f, "masa-seal.key");
	buf_add_str(out, "\ncontrol:\n");
	yaml_file(out, 1, "socket", f, "masa-control.sock");
	return 0;
}

int
masa_fill(const struct folder *f, const struct ra_options *o, struct err *e)
{
	AUTO(char) store = folder_path(f, "masa-store", "");
	struct buf text AUTO_BUF = { 0 };
	size_t i;

	for (i = 0; i < o->vendor_tls.n; i++)
		if (folder_vendor(f, "--vendor-tls", o->vendor_tls.v[i],
			TLS_SUFFIX, e) == -1)
			return -1;
	if (folder_seal(f, "masa-seal", e) == -1 ||
	    file_mkdirs(store, 0700, e) == -1 ||
	    masa_yaml(&text, f, o, e) == -1)
		return -1;
	return folder_put_new(
	    f, "masa-client", ".yaml", 0600, buf_bytes(&text), e);
}
