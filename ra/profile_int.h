/* What the profile_* files share. */
#ifndef WAYBILL_RA_PROFILE_INT_H
#define WAYBILL_RA_PROFILE_INT_H

#include "ra/profile.h"

/* Bits of keyUsage (KU_*) by the names that OpenSSL knows, commas between; 0 if
 * one of them is no usage of a device's key. */
uint32_t profile_usage_bits(const char *text);
/* profile_ext.c: what the profile grants of the extensions asked for. */
int profile_extensions(const struct profile *p, const struct cmp_request *r,
    struct profile_grant *g, struct err *e) WARN_UNUSED;

#endif
