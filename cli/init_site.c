/* A site's side: its keys and the request that goes off-site. */
#include <string.h>

#include "cli/exchange.h"
#include "cli/init_site.h"
#include "cli/profile.h"
#include "cli/request.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/issue.h"

#define LISTEN_DEFAULT	     "0.0.0.0:8443"
#define PROXY_LISTEN_DEFAULT "0.0.0.0:8444"

/* ---- keys and request ------------------------------------------------ */

static X509_REQ *
make_csr(const struct folder *f, const struct site_options *o,
    const char *key_name, struct err *e)
{
	AUTO(EVP_PKEY) key = folder_key(f, key_name, NULL, e);
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

	if (file_read(path, EXCHANGE_FILE_MAX, &text, e) == -1)
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
	AUTO(json_t) j = json_pack(
	    "{s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:s}", "role",
	    "site", "name", o->name, "listen",
	    array_of(&o->listens, LISTEN_DEFAULT), "proxy-listen",
	    array_of(&o->proxy_listens, PROXY_LISTEN_DEFAULT), "map-size",
	    o->map_size, "hold", o->hold, "check-after", o->check_after,
	    "retry-after", o->retry_after, "reconnect-max", o->reconnect_max,
	    "wait-max", o->wait_max != NULL ? o->wait_max : "");

	if (j == NULL)
		return err_set(e, ERR_USAGE, "an option is not UTF-8");
	return folder_remember(f, j, e);
}

/* A folder has one site for ever: its outbox and keys are that site's. */
int
site_check_same(const struct folder *f, const char *name, struct err *e)
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
		{ "--retry-after", o->retry_after },
		{ "--wait-max", o->wait_max },
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
		if (durations[i].value != NULL &&
		    duration_parse(durations[i].value, &n, e) == -1)
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

	if (check_options(f, o, e) == -1 ||
	    site_check_same(f, o->name, e) == -1 ||
	    folder_seal(f, "seal", e) == -1 ||
	    file_mkdirs(outbox, 0700, e) == -1)
		return -1;
	for (i = 0; i < o->vendors.n; i++)
		if (folder_vendor(f, "--vendor", o->vendors.v[i], ".pem", e) ==
		    -1)
			return -1;
	for (i = 0; i < o->voucher_anchors.n; i++)
		if (folder_vendor(f, "--voucher-anchor",
			o->voucher_anchors.v[i], VOUCHER_SUFFIX, e) == -1)
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
