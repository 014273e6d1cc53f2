/*
 * One TLS connection at a time to one registrar, by libevent's client;
 * blocking.  It is opened when it is needed, kept as long as the server keeps
 * it, and opened anew after that.
 *
 * Provisional (RFC 8995 5.1): as long as there are no anchors, the server's
 * certificate is not judged at all.  That OpenSSL found nothing wrong then
 * says nothing; pledge_http_judge is the one way out, and its result is to be
 * looked at.  All that is promised before: every connection shows the same
 * certificate, and the server has its key.
 */
#ifndef WAYBILL_MANUFACTURER_PLEDGE_HTTP_H
#define WAYBILL_MANUFACTURER_PLEDGE_HTTP_H

#include "common/pki/sign.h"
#include "common/pki/trust.h"

struct pledge_http;

/* host_port, client (whose certificate is shown) and anchors are borrowed;
 * anchors NULL: provisional.  The server's certificate must chain to an
 * anchor; its name is not looked at. */
struct pledge_http *pledge_http_new(const char *host_port,
    const struct signer *client, const struct trust *anchors);
void pledge_http_free(struct pledge_http *h);
AUTO_DEFINE(pledge_http, struct pledge_http, pledge_http_free);

/* Provisional, before the first request: another certificate than this is
 * refused (RFC 8995 5: the same on every connection).  Takes a reference. */
void pledge_http_expect(struct pledge_http *h, X509 *server);
/* The server's certificate, of an answered request or expected; borrowed;
 * NULL: none yet. */
X509 *pledge_http_peer(const struct pledge_http *h);

/*
 * Ends the provisional time: judges the certificate of the open connection
 * with the chain that came with it; connections to come are judged when they
 * open.  anchors are borrowed.  ERR_TRUST: it does not hold, and the time
 * goes on: for telling why, for nothing else.
 */
int pledge_http_judge(struct pledge_http *h, const struct trust *anchors,
    struct err *e) WARN_UNUSED;

struct pledge_http_ask {
	const char *path;
	const char *type;   /* of the body; NULL: GET, without one */
	const char *accept; /* NULL: not said */
	struct bytes body;
	unsigned timeout_s; /* of silence */
};

struct pledge_http_answer {
	int status;
	unsigned retry_after; /* seconds; 0: not said, or as a date */
	struct buf body;      /* at most 256 KiB */
};
void pledge_http_answer_done(struct pledge_http_answer *a);

/* Any answer is 0.  ERR_PEER: no connection, no answer, or silence too long;
 * ERR_TRUST: the server is not to be believed, nothing was sent.  ret must be
 * empty. */
int pledge_http_send(struct pledge_http *h, const struct pledge_http_ask *q,
    struct pledge_http_answer *ret, struct err *e) WARN_UNUSED;

/* The first line of what it says, printable; for messages. */
const char *pledge_http_line(struct pledge_http_answer *a);

/* Seconds at which certificates are judged; 0 while the clock knows nothing
 * (dates are not judged then). */
uint64_t pledge_http_now(void);

#endif
