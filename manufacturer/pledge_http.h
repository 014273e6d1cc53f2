/* One POST on a new TLS connection, by libevent's client; blocking. */
#ifndef WAYBILL_MANUFACTURER_PLEDGE_HTTP_H
#define WAYBILL_MANUFACTURER_PLEDGE_HTTP_H

#include "common/pki/sign.h"
#include "common/pki/trust.h"

struct pledge_http {
	const char *host_port;
	const struct signer *idevid;
	const struct trust *anchors; /* the server's certificate must chain to
					one; its name is not looked at */
};

/* ret: the body of a 200.  ERR_PEER: no connection, or time over; ERR_RETRY:
 * 503; ERR_TRUST: the server is not to be believed; ERR_INPUT: any other. */
int pledge_http_post(const struct pledge_http *h, const char *path,
    struct bytes body, unsigned timeout_s, struct buf *ret,
    struct err *e) WARN_UNUSED;

#endif
