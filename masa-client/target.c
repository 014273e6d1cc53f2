#include "masa-client/target.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "common/base/str.h"
#include "common/pki/issue.h"

#define SCHEME	   "https://"
#define WELL_KNOWN "/.well-known/brski"
#define PATH_CHARS \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" \
	"._~-"

static int
bad(struct err *e, const char *why)
{
	return err_set(e, ERR_INPUT, "MASA URL: RFC 8995 2.3.2: %s", why);
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static int
parse_authority(const char *text, struct target *t, char port[6], struct err *e)
{
	const char *colon = strrchr(text, ':'), *end = strrchr(text, ']');
	bool has_port = colon != NULL && (end == NULL || colon > end);
	char full[TARGET_URL_MAX + 8], host[64];

	/* hostport_parse wants a port; that of https is 443. */
	snprintf(full, sizeof(full), "%s%s", text, has_port ? "" : ":443");
	if (hostport_parse(full, host, port, e) == -1)
		return bad(e, "no host and port");
	if (!issue_host_valid(host))
		return bad(e, "no host name or address");
	if (strcmp(port, "0") == 0)
		return bad(e, "port 0");
	str_copy(t->host, sizeof(t->host), host);
	return 0;
}

/* A segment that no client and no server resolves. */
static bool
is_plain(const char *s, size_t n)
{
	return n > 0 && strspn(s, PATH_CHARS) >= n &&
	    strncmp(s, "..", n < 2 ? 1 : n) != 0;
}

/* Its length without a slash at the end. */
static int
parse_path(const char *path, size_t *ret_len, struct err *e)
{
	const char *p = path;

	while (p[0] == '/' && p[1] != '\0') {
		size_t n = strcspn(p + 1, "/");

		if (!is_plain(p + 1, n))
			return bad(e, "its path is not plain");
		p += 1 + n;
	}
	*ret_len = (size_t)(p - path);
	return 0;
}

int
target_parse(const char *text, struct target *ret, struct err *e)
{
	struct target t = { .host = "" };
	char authority[TARGET_URL_MAX], port[6];
	const char *path;
	size_t n = 0;

	if (strlen(text) >= TARGET_URL_MAX)
		return bad(e, "too long");
	if (strchr(text, '/') != NULL) {
		if (strncasecmp(text, SCHEME, strlen(SCHEME)) != 0)
			return bad(e, "not https");
		text += strlen(SCHEME);
	}
	path = text + strcspn(text, "/");
	str_copy(authority, sizeof(authority), text);
	authority[path - text] = '\0';
	if (parse_authority(authority, &t, port, e) == -1 ||
	    parse_path(path, &n, e) == -1)
		return -1;
	if (n == 0) {
		path = WELL_KNOWN;
		n = strlen(path);
	}
	snprintf(t.base, sizeof(t.base),
	    strchr(t.host, ':') != NULL ? SCHEME "[%s]:%s%.*s"
					: SCHEME "%s:%s%.*s",
	    t.host, port, (int)n, path);
	*ret = t;
	return 0;
}

static bool
host_allowed(const struct masa_vendor *v, const char *host)
{
	for (size_t i = 0; i < v->hosts.n; i++)
		if (strcasecmp(v->hosts.v[i], host) == 0)
			return true;
	return v->hosts.n == 0;
}

int
target_find(const struct masa_vendor *v, const char *masa_url,
    struct target *ret, struct err *e)
{
	const char *url = v->url != NULL ? v->url : masa_url;
	struct target t;

	if (url[0] == '\0')
		return bad(e, "neither the IDevID nor we know its MASA");
	if (target_parse(url, &t, e) == -1)
		return -1;
	if (!host_allowed(v, t.host))
		return err_set(e, ERR_POLICY,
		    "MASA URL: %s is no host of vendor %s", t.host, v->name);
	*ret = t;
	return 0;
}
