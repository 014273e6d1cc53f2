/* Who may ask what on the control socket: the peer's uid decides, which the
 * kernel vouches for.  Our own uid and root are admins. */
#ifndef WAYBILL_REGISTRAR_ROLES_H
#define WAYBILL_REGISTRAR_ROLES_H

#include <sys/types.h>
#include "registrar/reg_conf.h"

enum role {
	ROLE_NONE,
	ROLE_VIEWER, /* looks at queue, audit trail and counters */
	ROLE_FIELD,  /* and carries vouchers in and out, holds and releases */
	ROLE_ADMIN,  /* and gives up entries, backs up, restores */
};

const char *role_name(enum role r);
/* Every uid of control.viewers, field and admins is a number.  ERR_CONF. */
int roles_check(const struct reg_conf *c, struct err *e) WARN_UNUSED;
enum role role_of(const struct reg_conf *c, uid_t uid);
/* Whether others than our own uid are let in at all. */
bool roles_any(const struct reg_conf *c);

#endif
