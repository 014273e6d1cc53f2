/* The off-site side: a domain's CA, its services' keys and configuration. */
#include <string.h>

#include "cli/init.h"
#include "cli/init_masa.h"
#include "cli/issuer.h"
#include "cli/pairing.h"
#include "cli/yaml.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"

#define TLS	       "tls+tcp://"
#define LISTEN_DEFAULT TLS "0.0.0.0:5740"

/* ---- keys and certificates ------------------------------------------- */

/* PEM of a certificate, and of its issuer if its file goes on with it. */
static int
chain_pem(const struct folder *f, const struct profile *p, X509 *x,
    struct buf *out, struct err *e)
{
	AUTO(X509) issuer = NULL;

	ossl_cert_pem(x, out);
	if (!p->chain)
		return 0;
	if ((issuer = folder_cert(f, p->issuer, e)) == NULL)
		return -1;
	ossl_cert_pem(issuer, out);
	return 0;
}

/* Kinds of the domain's own keys. */
static const struct {
	const char *option, *kind; /* kind: ossl_new_key's */
} ca_keys[] = {
	{ "p256", "p256" },
	{ "p384", "p384" },
	{ "rsa3072", "rsa" },
};

/* NULL: there is no such option. */
static const char *
ca_key_kind(const char *option)
{
	for (size_t i = 0; i < NELEMS(ca_keys); i++)
		if (strcmp(ca_keys[i].option, option) == 0)
			return ca_keys[i].kind;
	return NULL;
}

/* The root as well: a chain is as strong as what it hangs on. */
static const char *
key_kind(const struct profile *p, const struct ra_options *o)
{
	return strcmp(p->name, "domain-root") == 0 ||
		strcmp(p->name, "domain-ca") == 0
	    ? ca_key_kind(o->ca_key)
	    : NULL;
}

/* who: name of the service that the certificate is for. */
static int
make_cert(const struct folder *f, const struct profile *p, const char *who,
    const struct ra_options *o, struct err *e)
{
	struct buf san AUTO_BUF = { 0 }, pem AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = NULL;
	AUTO(X509) x = NULL;

	if (p->ca && folder_has(f, p->name, ".crt") &&
	    !folder_has(f, p->name, ".key")) {
		folder_say(f, "%s.crt: kept, its key is elsewhere", p->name);
		return 0;
	}
	if ((key = folder_key(f, p->name, key_kind(p, o), e)) == NULL)
		return -1;
	if (folder_has(f, p->name, ".crt")) {
		folder_say(f, "%s.crt: there already, kept", p->name);
		return 0;
	}
	if (!p->ca &&
	    profile_san(&san, "service", who, o->hosts.v,
		p->hosts ? o->hosts.n : 0, e) == -1)
		return -1;
	x = issuer_issue(
	    f, p, who, p->ca ? NULL : (char *)san.data, key, key, e);
	if (x == NULL || chain_pem(f, p, x, &pem, e) == -1)
		return -1;
	return folder_put(f, p->name, ".crt", 0644, buf_bytes(&pem), e);
}

static int
make_certs(const struct folder *f, const struct profile *p, const char *who,
    const struct ra_options *o, struct err *e)
{
	for (; p->name != NULL; p++)
		if (make_cert(f, p, who, o, e) == -1)
			return -1;
	return 0;
}

/* ---- configuration --------------------------------------------------- */

/* "tls+tcp://HOST:PORT" of the port listened on and the first host, or else
 * the host that sites dial for the RA; NULL if neither is known. */
static char *
guess_address(const struct ra_options *o, const char *url)
{
	char of_ra[64], port[6];
	const char *host = o->hosts.n > 0 ? o->hosts.v[0] : NULL;
	struct buf b = { 0 };
	bool v6;

	if (!str_starts(url, TLS))
		return xstrdup(url);
	if (host == NULL && o->address != NULL && str_starts(o->address, TLS) &&
	    hostport_parse(o->address + strlen(TLS), of_ra, port, NULL) == 0)
		host = of_ra;
	if (host == NULL)
		return NULL;
	v6 = strchr(host, ':') != NULL;
	buf_printf(&b, TLS "%s%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "",
	    strrchr(url, ':'));
	buf_cstr(&b);
	return (char *)b.data;
}

static int
set_address(json_t *j, const char *key, const struct ra_options *o,
    const char *given, const struct words *listens)
{
	AUTO(char) guess =
	    listens->n > 0 ? guess_address(o, listens->v[0]) : NULL;
	const char *address = given != NULL ? given : guess;

	return json_object_set_new(
	    j, key, json_string(address != NULL ? address : ""));
}

static int
remember(const struct folder *f, const struct ra_options *o, struct err *e)
{
	AUTO(json_t) j = json_pack("{s:s, s:s}", "role", "ra", "name", o->name);

	if (set_address(j, "address", o, o->address, &o->listens) == -1 ||
	    set_address(
		j, "masa-address", o, o->masa_address, &o->masa_listens) == -1)
		return err_set(e, ERR_USAGE, "an address is not UTF-8");
	return folder_remember(f, j, e);
}

static void
listen_yaml(struct buf *out, const struct ra_options *o)
{
	AUTO(json_t) j = json_array();
	size_t i;

	for (i = 0; i < o->listens.n; i++)
		json_array_append_new(j, json_string(o->listens.v[i]));
	yaml_list(out, 0, "listen", j);
}

static void
ca_yaml(struct buf *out, const struct folder *f, const struct ra_options *o)
{
	buf_add_str(out, "\nca:\n  kind: local\n");
	yaml_file(out, 1, "key", f, "domain-ca.key");
	yaml_file(out, 1, "certificate", f, "domain-ca.crt");
	buf_add_str(out, "  lifetime: 365d\n");
	if (o->organization != NULL)
		yaml_text(out, 1, "organization", o->organization);
}

static int
ra_yaml(struct buf *out, const struct folder *f, const struct ra_options *o,
    struct err *e)
{
	buf_printf(
	    out, "# waybill-ra: made by waybill init ra\nname: %s\n", o->name);
	listen_yaml(out, o);
	yaml_file(out, 0, "key", f, "service.key");
	yaml_file(out, 0, "certificate", f, "service.crt");
	yaml_file(out, 0, "domain-ca", f, "domain-root.crt");
	yaml_file(out, 0, "sites", f, "sites");
	buf_add_str(out, "\nlink:\n");
	yaml_file(out, 1, "key", f, "link.key");
	yaml_file(out, 1, "certificate", f, "link.crt");
	yaml_file(out, 1, "ca", f, "link-ca.crt");
	buf_add_str(out, "\n# makers whose devices may join\n");
	if (yaml_vendors(out, f, NULL, NULL, e) == -1)
		return -1;
	buf_add_str(out, "\nstore:\n");
	yaml_file(out, 1, "directory", f, "store");
	buf_printf(out, "  map-size: %s\n", o->map_size);
	yaml_file(out, 1, "seal", f, "seal.key");
	ca_yaml(out, f, o);
	buf_add_str(out, "\ncontrol:\n");
	yaml_file(out, 1, "socket", f, "control.sock");
	return 0;
}

static int
make_conf(const struct folder *f, const struct ra_options *o, struct err *e)
{
	struct buf text AUTO_BUF = { 0 };

	if (ra_yaml(&text, f, o, e) == -1)
		return -1;
	return folder_put_new(f, "ra", ".yaml", 0600, buf_bytes(&text), e);
}

/* ---- init ------------------------------------------------------------ */

static int
check_options(const struct folder *f, const struct ra_options *o, struct err *e)
{
	struct buf san AUTO_BUF = { 0 };
	uint64_t size;
	size_t i;

	/* All before the first file: what is made is kept by later runs. */
	if (!name_valid(o->name))
		return err_set(e, ERR_USAGE,
		    "--name %s: a name is a-z, 0-9 and '-'", o->name);
	if (profile_san(&san, "service", o->name, o->hosts.v, o->hosts.n, e) ==
	    -1)
		return -1;
	if (ca_key_kind(o->ca_key) == NULL)
		return err_set(e, ERR_USAGE,
		    "--ca-key %s: wanted p256, p384 or rsa3072", o->ca_key);
	if (size_parse(o->map_size, &size, e) == -1)
		return err_prefix(e, "--map-size");
	for (i = 0; i < o->listens.n; i++)
		if (address_check(o->listens.v[i], e) == -1)
			return err_prefix(e, "--listen");
	if (o->address != NULL && address_check(o->address, e) == -1)
		return err_prefix(e, "--address");
	if (!o->no_masa && strcmp(o->name, MASA_NAME) == 0)
		return err_set(e, ERR_USAGE,
		    "--name %s: that is the masa-client's (--no-masa)",
		    o->name);
	if (!o->no_masa && masa_check_options(f, o, e) == -1)
		return -1;
	return folder_check_socket(f, "control.sock", e);
}

/* A second run under another name would mix two services in one folder. */
static int
check_same(const struct folder *f, const struct ra_options *o, struct err *e)
{
	AUTO(X509) x = NULL;
	char name[33];

	if (!folder_has(f, "service", ".crt"))
		return 0;
	if ((x = folder_cert(f, "service", e)) == NULL ||
	    cert_service(x, name, e) == -1)
		return -1;
	if (strcmp(name, o->name) != 0)
		return err_set(e, ERR_USAGE,
		    "%s holds the service '%s', not '%s'", f->dir, name,
		    o->name);
	return 0;
}

static int
tell_root(const struct folder *f, struct err *e)
{
	AUTO(X509) root = folder_cert(f, "domain-root", e);
	char fp[FINGERPRINT_LEN];

	if (root == NULL)
		return -1;
	if (f->quiet)
		return 0;
	printf("Domain root, SHA-256:\n  %s\n", fingerprint_cert(fp, root));
	printf("Take domain-root.key and link-ca.key off this machine when all "
	       "sites are paired.\n");
	return 0;
}

static int
fill(const struct folder *f, const struct ra_options *o, struct err *e)
{
	AUTO(char) sites = folder_path(f, "sites", "");
	AUTO(char) store = folder_path(f, "store", "");
	size_t i;

	if (check_options(f, o, e) == -1 || check_same(f, o, e) == -1 ||
	    make_certs(f, profiles_ra, o->name, o, e) == -1 ||
	    folder_seal(f, "seal", e) == -1 ||
	    file_mkdirs(sites, 0700, e) == -1 ||
	    file_mkdirs(store, 0700, e) == -1)
		return -1;
	for (i = 0; i < o->vendors.n; i++)
		if (folder_vendor(f, "--vendor", o->vendors.v[i], ".pem", e) ==
		    -1)
			return -1;
	if (remember(f, o, e) == -1 || make_conf(f, o, e) == -1)
		return -1;
	if (!o->no_masa &&
	    (make_certs(f, profiles_masa, MASA_NAME, o, e) == -1 ||
		masa_fill(f, o, e) == -1))
		return -1;
	return tell_root(f, e);
}

int
init_ra(const struct ra_options *given, struct err *e)
{
	struct ra_options o = *given;
	struct buf masa AUTO_BUF = { 0 };
	struct folder f = { 0 };
	int rc;

	if (o.listens.n == 0)
		words_add(&o.listens, LISTEN_DEFAULT);
	if (!o.no_masa && o.masa_listens.n == 0) {
		if (masa_listen_default(o.listens.v[0], &masa, e) == -1)
			return -1;
		words_add(&o.masa_listens, buf_cstr(&masa));
	}
	if (folder_open(&f, o.dir, o.quiet, e) == -1)
		return -1;
	rc = fill(&f, &o, e);
	folder_close(&f);
	return rc;
}
