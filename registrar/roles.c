#include "registrar/roles.h"

#include <unistd.h>
#include "common/base/str.h"

const char *
role_name(enum role r)
{
	static const char *const names[] = { "none", "viewer", "field",
		"admin" };

	return names[r];
}

static int
list_check(const struct conf_strs *uids, const char *what, struct err *e)
{
	uint64_t v;

	for (size_t i = 0; i < uids->n; i++)
		if (number_parse(uids->v[i], 0, UINT32_MAX - 1, &v, e) == -1) {
			e->kind = ERR_CONF;
			return err_prefix(e, "control.%s", what);
		}
	return 0;
}

int
roles_check(const struct reg_conf *c, struct err *e)
{
	if (list_check(&c->control.viewers, "viewers", e) == -1 ||
	    list_check(&c->control.field, "field", e) == -1)
		return -1;
	return list_check(&c->control.admins, "admins", e);
}

static bool
list_has(const struct conf_strs *uids, uid_t uid)
{
	uint64_t v;

	for (size_t i = 0; i < uids->n; i++)
		if (number_parse(uids->v[i], 0, UINT32_MAX - 1, &v, NULL) ==
			0 &&
		    v == uid)
			return true;
	return false;
}

enum role
role_of(const struct reg_conf *c, uid_t uid)
{
	if (uid == getuid() || uid == 0 || list_has(&c->control.admins, uid))
		return ROLE_ADMIN;
	if (list_has(&c->control.field, uid))
		return ROLE_FIELD;
	return list_has(&c->control.viewers, uid) ? ROLE_VIEWER : ROLE_NONE;
}

bool
roles_any(const struct reg_conf *c)
{
	return c->control.viewers.n + c->control.field.n + c->control.admins.n >
	    0;
}
