/*
 * Who is not trusted any more: our deny list and the makers' lists of revoked
 * certificates, read at start and again at SIGHUP, and switched as one.
 */
#ifndef WAYBILL_RA_LISTS_H
#define WAYBILL_RA_LISTS_H

#include "common/pki/revocation.h"
#include "common/pki/trust.h"
#include "ra/ra_conf.h"

struct service;

#define LISTS_FILES_MAX 40 /* files of vendors that are read again */

struct lists {
	struct denylist *denied; /* NULL: none */
	struct buf text;	 /* of it */
	struct revocation *revoked;
};

/* ERR_CONF: too many files. */
int lists_check(const struct ra_conf *c, struct err *e) WARN_UNUSED;
/* Into an empty ret. */
int lists_load(
    const struct ra_conf *c, struct lists *ret, struct err *e) WARN_UNUSED;
void lists_done(struct lists *l);

/* What they are read from again. */
void lists_sandbox(const struct ra_conf *c, struct sandbox *ret);

/* With `publish-deny` sites are given our deny list (reference.h), an empty one
 * too; without it they give up what they have of it. */
int lists_publish(const struct lists *l, const struct ra_conf *c,
    struct service *s, struct err *e) WARN_UNUSED;

#endif
