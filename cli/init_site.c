/* A site's side: its keys, the request that goes off-site, and what comes
 * back. */
#include <string.h>

#include "cli/init.h"
#include "cli/pairing.h"
#include "cli/profile.h"
#include "cli/yaml.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/issue.h"

#define LISTEN_DEFAULT	     "0.0.0.0:8443"
#define PROXY_LISTEN_DEFAULT "0.0.0.0:8444"

/* ---- keys and request ------------------------------------------------ */

static X509_REQ *
make_csr(const struct folder *f, const struct site_options *o,
    const char *key_name, struct err *e)
{
	AUTO(EVP_PKEY) key = folder_key(f, key_name, e);
	AUTO(X509_NAME) subject = issue_name(o->name, NULL, NULL);
	const struct profile *p = profile_find(profiles_site, key_name);
	struct buf san AUTO_BUF = { 0 };

	if (key == NULL)
		return NULL;
	if (profile_san(&san, "site", o->name, o->hosts.v,
		p->hosts ? o->hosts.n : 0, e) == -1)
		return NULL;
	return issue_request(key, subject, (char *)san.data, e);
}

static void
tell_request(const struct folder *f, const char *name, struct bytes text)
{
	char fp[FINGERPRINT_LEN];

	if (f->quiet)
		return;
	printf("Request (read this out), SHA-256:\n  %s\n",
	    fingerprint_format(fp, text));
	printf("Carry %s.request to the RA: waybill init ra DIR --pair "
	       "%s.request\n",
	    name, name);
}

/* A request that was made stands: its fingerprint may have been read out. */
static int
tell_old(const struct folder *f, const char *name, struct err *e)
{
	AUTO(char) path = folder_path(f, name, ".request");
	struct buf text AUTO_BUF = { 0 };

	if (file_read(path, PAIRING_FILE_MAX, &text, e) == -1)
		return -1;
	folder_say(f, "%s.request: there already, kept", name);
	tell_request(f, name, buf_bytes(&text));
	return 0;
}

static int
make_request(
    const struct folder *f, const struct site_options *o, struct err *e)
{
	struct request r AUTO_REQUEST = { 0 };
	struct buf text AUTO_BUF = { 0 };
	size_t i;

	str_copy(r.site, sizeof(r.site), o->name);
	for (i = 0; i < SITE_KEY__MAX; i++)
		if ((r.csr[i] = make_csr(f, o, site_key_names[i], e)) == NULL)
			return -1;
	if (folder_has(f, o->name, ".request"))
		return tell_old(f, o->name, e);
	request_format(&text, &r);
	if (folder_put(f, o->name, ".request", 0644, buf_bytes(&text), e) == -1)
		return -1;
	tell_request(f, o->name, buf_bytes(&text));
	return 0;
}

/* ---- settings -------------------------------------------------------- */

static json_t *
array_of(const struct words *w, const char *otherwise)
{
	json_t *j = json_array();
	size_t i;

	if (w->n == 0)
		json_array_append_new(j, json_string(otherwise));
	for (i = 0; i < w->n; i++)
		json_array_append_new(j, json_string(w->v[i]));
	return j;
}

static int
remember(const struct folder *f, const struct site_options *o, struct err *e)
{
	AUTO(json_t) j = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s}",
	    "role", "site", "name", o->name, "listen",
	    array_of(&o->listens, LISTEN_DEFAULT), "proxy-listen",
	    array_of(&o->proxy_listens, PROXY_LISTEN_DEFAULT), "map-size",
	    o->map_size, "hold", o->hold, "check-after", o->check_after,
	    "reconnect-max", o->reconnect_max);

	if (j == NULL)
		return err_set(e, ERR_USAGE, "an option is not UTF-8");
	return folder_remember(f, j, e);
}

/* A folder has one site for ever: its outbox and keys are that site's. */
static int
check_same(const struct folder *f, const char *name, struct err *e)
{
	AUTO(json_t) j = NULL;
	const char *there;

	if (!folder_has(f, "init", ".json"))
		return 0;
	if ((j = folder_recall(f, e)) == NULL)
		return -1;
	there = json_string_value(json_object_get(j, "name"));
	if (there == NULL || strcmp(there, name) != 0)
		return err_set(e, ERR_USAGE, "%s holds '%s', not '%s'", f->dir,
		    there != NULL ? there : "?", name);
	return 0;
}

static int
check_addresses(const struct words *w, const char *option, struct err *e)
{
	char host[64], port[6];
	size_t i;

	for (i = 0; i < w->n; i++)
		if (hostport_parse(w->v[i], host, port, e) == -1)
			return err_prefix(e, "%s", option);
	return 0;
}

static int
check_options(
    const struct folder *f, const struct site_options *o, struct err *e)
{
	const struct {
		const char *option, *value;
	} durations[] = { { "--hold", o->hold },
		{ "--check-after", o->check_after },
		{ "--reconnect-max", o->reconnect_max } };
	struct buf san AUTO_BUF = { 0 };
	uint64_t n;
	size_t i;

	/* All before the first file: what is made is kept by later runs. */
	if (!name_valid(o->name))
		return err_set(e, ERR_USAGE,
		    "--name %s: a name is a-z, 0-9 and '-'", o->name);
	if (profile_san(&san, "site", o->name, o->hosts.v, o->hosts.n, e) == -1)
		return -1;
	for (i = 0; i < NELEMS(durations); i++)
		if (duration_parse(durations[i].value, &n, e) == -1)
			return err_prefix(e, "%s", durations[i].option);
	if (size_parse(o->map_size, &n, e) == -1)
		return err_prefix(e, "--map-size");
	if (check_addresses(&o->listens, "--listen", e) == -1 ||
	    check_addresses(&o->proxy_listens, "--proxy-listen", e) == -1)
		return -1;
	return folder_check_socket(f, "control.sock", e);
}

static int
fill(const struct folder *f, const struct site_options *o, struct err *e)
{
	AUTO(char) outbox = folder_path(f, "outbox", "");
	size_t i;

	if (check_options(f, o, e) == -1 || check_same(f, o->name, e) == -1 ||
	    folder_seal(f, e) == -1 || file_mkdirs(outbox, 0700, e) == -1)
		return -1;
	for (i = 0; i < o->vendors.n; i++)
		if (folder_vendor(f, o->vendors.v[i], e) == -1)
			return -1;
	if (remember(f, o, e) == -1)
		return -1;
	return make_request(f, o, e);
}

int
init_site(const struct site_options *o, struct err *e)
{
	struct folder f = { 0 };
	int rc;

	if (folder_open(&f, o->dir, o->quiet, e) == -1)
		return -1;
	rc = fill(&f, o, e);
	folder_close(&f);
	return rc;
}

/* ---- configuration --------------------------------------------------- */

static const char *
setting(const json_t *settings, const char *key)
{
	const char *s = json_string_value(json_object_get(settings, key));

	return s != NULL ? s : "";
}

static int
registrar_yaml(struct buf *out, const struct folder *f, const json_t *settings,
    const struct pairing *p, struct err *e)
{
	AUTO(char) service = folder_path(f, "service-", p->service);
	struct buf crt AUTO_BUF = { 0 };

	buf_printf(&crt, "%s.crt", service);
	buf_printf(out,
	    "# waybill-registrar: made by waybill init site\nsite: %s\n",
	    p->site);
	yaml_list(out, "listen", json_object_get(settings, "listen"));
	yaml_file(out, 0, "key", f, "registrar.key");
	yaml_file(out, 0, "certificate", f, "registrar.crt");
	yaml_file(out, 0, "domain-ca", f, "domain-root.crt");
	buf_add_str(out, "\n# makers whose devices may join\n");
	if (yaml_vendors(out, f, e) == -1)
		return -1;
	buf_add_str(out, "\nstore:\n");
	yaml_file(out, 1, "directory", f, "outbox");
	buf_printf(out, "  map-size: %s\n", setting(settings, "map-size"));
	yaml_file(out, 1, "seal", f, "seal.key");
	buf_add_str(out, "\ncarry:\n");
	yaml_file(out, 1, "socket", f, "carry.sock");
	buf_add_str(out, "\ncontrol:\n");
	yaml_file(out, 1, "socket", f, "control.sock");
	buf_printf(out, "\nservices:\n  - name: %s\n", p->service);
	yaml_text(out, 2, "certificate", buf_cstr(&crt));
	buf_printf(out,
	    "    kinds: [cmp]\n\ncmp:\n  hold: %s\n  check-after: %s\n",
	    setting(settings, "hold"), setting(settings, "check-after"));
	return 0;
}

static int
forwarder_yaml(struct buf *out, const struct folder *f, const json_t *settings,
    const struct pairing *p, struct err *e)
{
	(void)e;
	buf_printf(out,
	    "# waybill-forwarder: made by waybill init site\nsite: %s\n",
	    p->site);
	yaml_file(out, 0, "carry", f, "carry.sock");
	buf_add_str(out, "\nlink:\n");
	yaml_file(out, 1, "key", f, "link.key");
	yaml_file(out, 1, "certificate", f, "link.crt");
	yaml_file(out, 1, "ca", f, "link-ca.crt");
	buf_printf(out, "\nservices:\n  - name: %s\n", p->service);
	yaml_text(out, 2, "url", p->address);
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
	yaml_list(out, "listen", json_object_get(settings, "proxy-listen"));
	yaml_text(out, 0, "registrar", buf_cstr(&registrar));
	return 0;
}

static int
make_confs(const struct folder *f, const struct pairing *p, struct err *e)
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

/* ---- pairing --------------------------------------------------------- */

/* Each certificate must be for the key that is here. */
static int
check_keys(const struct folder *f, const struct pairing *p, struct err *e)
{
	static const enum pairing_cert ours[SITE_KEY__MAX] = {
		[SITE_REGISTRAR] = PAIRING_REGISTRAR,
		[SITE_BOX] = PAIRING_BOX,
		[SITE_LINK] = PAIRING_LINK,
	};
	size_t i;

	for (i = 0; i < SITE_KEY__MAX; i++) {
		AUTO(char) path = folder_path(f, site_key_names[i], ".key");
		AUTO(EVP_PKEY) key = ossl_load_key(path, e);

		if (key == NULL)
			return -1;
		if (EVP_PKEY_eq(X509_get0_pubkey(p->cert[ours[i]]), key) != 1)
			return err_set(e, ERR_TRUST,
			    "pairing of %s: %s is for another key", p->site,
			    site_key_names[i]);
	}
	return 0;
}

/* Another root would be another domain: people decide that, by hand. */
static int
check_root(const struct folder *f, const struct pairing *p, struct err *e)
{
	AUTO(X509) root = NULL;

	if (!folder_has(f, "domain-root", ".crt"))
		return 0;
	if ((root = folder_cert(f, "domain-root", e)) == NULL)
		return -1;
	if (X509_cmp(root, p->cert[PAIRING_ROOT]) != 0)
		return err_set(e, ERR_TRUST,
		    "pairing of %s: another domain root than %s/"
		    "domain-root.crt: move that away to change the domain",
		    p->site, f->dir);
	return 0;
}

static int
put_certs(const struct folder *f, const struct pairing *p, struct err *e)
{
	const struct {
		const char *name, *more;
		enum pairing_cert cert;
		bool chain;
	} files[] = {
		{ "domain-root", "", PAIRING_ROOT, false },
		{ "link-ca", "", PAIRING_LINK_CA, false },
		{ "service-", p->service, PAIRING_SERVICE, true },
		{ "service-box-", p->service, PAIRING_SERVICE_BOX, true },
		{ "link", "", PAIRING_LINK, false },
		{ "box", "", PAIRING_BOX, true },
		{ "registrar", "", PAIRING_REGISTRAR, true },
	};
	size_t i;

	for (i = 0; i < NELEMS(files); i++) {
		struct buf pem AUTO_BUF = { 0 }, name AUTO_BUF = { 0 };

		buf_printf(&name, "%s%s", files[i].name, files[i].more);
		ossl_cert_pem(p->cert[files[i].cert], &pem);
		if (files[i].chain)
			ossl_cert_pem(p->cert[PAIRING_CA], &pem);
		if (folder_put(f, buf_cstr(&name), ".crt", 0644,
			buf_bytes(&pem), e) == -1)
			return -1;
	}
	return 0;
}

static void
tell_pairing(const struct folder *f, struct bytes text, X509 *root)
{
	char fp[FINGERPRINT_LEN];

	if (f->quiet)
		return;
	printf("Pairing (must be what the RA's people read out), SHA-256:\n"
	       "  %s\n",
	    fingerprint_format(fp, text));
	printf("Domain root, SHA-256:\n  %s\n", fingerprint_cert(fp, root));
}

static int
pair(const struct folder *f, const char *path, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };
	struct pairing p AUTO_PAIRING = { 0 };

	if (file_read(path, PAIRING_FILE_MAX, &text, e) == -1)
		return -1;
	if (pairing_parse(buf_bytes(&text), &p, e) == -1)
		return err_prefix(e, "%s", path);
	if (check_same(f, p.site, e) == -1 || check_keys(f, &p, e) == -1 ||
	    check_root(f, &p, e) == -1 || put_certs(f, &p, e) == -1 ||
	    make_confs(f, &p, e) == -1)
		return -1;
	tell_pairing(f, buf_bytes(&text), p.cert[PAIRING_ROOT]);
	return 0;
}

int
init_site_pair(const char *dir, const char *pairing, bool quiet, struct err *e)
{
	struct folder f = { 0 };
	int rc;

	if (folder_open(&f, dir, quiet, e) == -1)
		return -1;
	rc = pair(&f, pairing, e);
	folder_close(&f);
	return rc;
}
