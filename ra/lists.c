#include "ra/lists.h"

#include <string.h>
#include "common/base/file.h"
#include "common/service/reference.h"

#define DENY_NAME  "deny"
/* A piece has octets. */
#define DENY_EMPTY "# nobody\n"

static size_t
count_files(const struct ra_vendor *v)
{
	return v->crl.n == 0 ? 0 : v->crl.n + 1 + (v->sub_ca != NULL);
}

int
lists_check(const struct ra_conf *c, struct err *e)
{
	const struct ra_vendor *v = c->vendors.v;
	size_t n = 0;

	for (size_t i = 0; i < c->vendors.n; i++)
		n += count_files(&v[i]);
	if (n > LISTS_FILES_MAX)
		return err_set(e, ERR_CONF,
		    "vendors: %zu files of lists and their issuers, at most %d",
		    n, LISTS_FILES_MAX);
	return 0;
}

static int
load_denied(const struct ra_conf *c, struct lists *l, struct err *e)
{
	if (c->deny_list == NULL)
		return 0;
	if (file_read(c->deny_list, LIMIT_DENY_FILE, &l->text, e) == -1)
		return -1;
	l->denied = denylist_parse(buf_bytes(&l->text), c->deny_list, e);
	return l->denied != NULL ? 0 : -1;
}

static int
load_revoked(const struct ra_conf *c, struct lists *l, struct err *e)
{
	const struct ra_vendor *v = c->vendors.v;

	l->revoked = revocation_new();
	for (size_t i = 0; i < c->vendors.n; i++) {
		const struct revocation_vendor is = { .name = v[i].name,
			.anchor = v[i].anchor,
			.sub_ca = v[i].sub_ca,
			.lists = (const char *const *)v[i].crl.v,
			.n = v[i].crl.n,
			.unknown = (enum revocation_unknown)v[i].crl_unknown };

		if (revocation_add(l->revoked, &is, e) == -1)
			return -1;
	}
	return 0;
}

int
lists_load(const struct ra_conf *c, struct lists *ret, struct err *e)
{
	struct lists l = { .denied = NULL };

	if (load_denied(c, &l, e) == -1 || load_revoked(c, &l, e) == -1) {
		lists_done(&l);
		return -1;
	}
	*ret = l;
	return 0;
}

void
lists_done(struct lists *l)
{
	denylist_free(l->denied);
	revocation_free(l->revoked);
	buf_done(&l->text);
	*l = (struct lists){ .denied = NULL };
}

/* ---- what is read again ------------------------------------------------ */

/* A key lies in the folder of this file, or below. */
static bool
is_near(const char *file, const char *key)
{
	const char *end = strrchr(file, '/');

	return end == NULL || strncmp(file, key, (size_t)(end - file) + 1) == 0;
}

/* Editors and those who fetch lists replace files: so the folder is opened, but
 * never one with keys.  There the file as it is must do. */
static void
allow(const struct ra_conf *c, const char *path, struct sandbox *ret)
{
	const char *const keys[] = { c->ca.key, c->service.key,
		c->service.link.key, c->service.store.seal };
	enum sandbox_access access = SANDBOX_REREAD;

	if (path == NULL)
		return;
	for (size_t i = 0; i < NELEMS(keys); i++)
		if (keys[i] != NULL && is_near(path, keys[i]))
			access = SANDBOX_READ;
	sandbox_allow(ret, access, path);
}

void
lists_sandbox(const struct ra_conf *c, struct sandbox *ret)
{
	const struct ra_vendor *v = c->vendors.v;

	allow(c, c->deny_list, ret);
	for (size_t i = 0; i < c->vendors.n; i++) {
		if (v[i].crl.n == 0)
			continue;
		sandbox_allow(ret, SANDBOX_READ, v[i].anchor);
		sandbox_allow(ret, SANDBOX_READ, v[i].sub_ca);
		for (size_t k = 0; k < v[i].crl.n; k++)
			allow(c, v[i].crl.v[k], ret);
	}
}

/* ---- sites ------------------------------------------------------------- */

int
lists_publish(const struct lists *l, const struct ra_conf *c, struct service *s,
    struct err *e)
{
	static const struct bytes empty = { (const uint8_t *)DENY_EMPTY,
		sizeof(DENY_EMPTY) - 1 };

	if (!c->publish_deny || l->denied == NULL) {
		reference_withdraw(s, DENY_NAME);
		return 0;
	}
	return reference_publish(
	    s, DENY_NAME, l->text.len > 0 ? buf_bytes(&l->text) : empty, 0, e);
}
