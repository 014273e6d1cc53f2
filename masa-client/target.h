/* Where a maker's MASA is asked (RFC 8995 2.3.2, 5.4). */
#ifndef WAYBILL_MASA_CLIENT_TARGET_H
#define WAYBILL_MASA_CLIENT_TARGET_H

#include "common/base/limits.h"
#include "masa-client/masa_conf.h"

#define TARGET_HOST_MAX 256
#define TARGET_URL_MAX \
	LIMIT_MASA_URL /* of what an IDevID or configuration says */

struct target {
	char host[TARGET_HOST_MAX]; /* without brackets */
	char base[TARGET_URL_MAX +
	    32]; /* "https://HOST:PORT/.well-known/brski" */
};

/*
 * A URL of https with nothing but host, port and path, or, if there is no '/'
 * in it, an authority alone; without a path it is /.well-known/brski.
 * ERR_INPUT.
 */
int target_parse(
    const char *text, struct target *ret, struct err *e) WARN_UNUSED;
/* The vendor's own URL, else the IDevID's, on a host that is allowed; ERR_POLICY
 * if it is not, ERR_INPUT as target_parse and without any URL. */
int target_find(const struct masa_vendor *v, const char *masa_url,
    struct target *ret, struct err *e) WARN_UNUSED;

#endif
