/* What is told of the domain (RFC 9483 4.3): values of genp, which are the
 * pieces of reference data as well. */
#ifndef WAYBILL_RA_INFO_H
#define WAYBILL_RA_INFO_H

#include "ra/ra.h"

/*
 * To a genm of this type, with this certProfile ("": none): the value,
 * appended; nothing if there is none, or none newer than what the asker has.
 * ERR_INPUT or ERR_POLICY, badRequest, if it cannot be told.
 */
int info_answer(const struct ra *r, const struct cmp_info *asked,
    const char *profile, struct buf *ret, struct err *e) WARN_UNUSED;

/* Values of their own, appended; nothing if there is none. */
void info_ca_certs(const struct ra *r, struct buf *ret);
void info_root_update(const struct ra *r, struct buf *ret);
void info_template(const struct profile *p, struct buf *ret);

#endif
