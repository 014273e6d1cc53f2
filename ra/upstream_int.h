/* Private to the upstream*.c. */
#ifndef WAYBILL_RA_UPSTREAM_INT_H
#define WAYBILL_RA_UPSTREAM_INT_H

#include <sys/queue.h>
#include "common/pki/trust.h"
#include "common/sys/fetch.h"
#include "ra/upstream.h"

struct upstream {
	const struct upstream_conf *conf;
	struct loop *loop;
	struct signer *signer;
	struct trust *trust; /* believed of its messages */
	const STACK_OF(X509) * issuers;
	struct fetcher *fetcher;
	LIST_HEAD(, upstream_ask) asked;
};

/* What an answer must be to be believed.  Borrowed. */
struct upstream_wants {
	const struct cmp_msg *request;
	/* Of the message that it answers; empty: of the request alone. */
	struct bytes nonce;
	bool polled;   /* that was a pollReq */
	long id;       /* certReqId */
	EVP_PKEY *key; /* asked for; NULL: no certificate is */
};

struct upstream_heard {
	enum {
		HEARD_DONE,
		HEARD_WAITING, /* poll for it */
		HEARD_NOT_YET, /* pollRep: poll again */
		HEARD_REFUSED
	} is;
	long id;       /* of waiting, pollRep, and the certificate */
	uint32_t secs; /* pollRep: checkAfter */
	X509 *cert;    /* owned; NULL: none */
	bool modified; /* grantedWithMods */
	bool in_body;
	struct err why; /* refused */
};
void upstream_heard_done(struct upstream_heard *h);

/* 0 with what the upstream said; -1: nobody knows who said what, ERR_TRUST or
 * ERR_INPUT. */
int upstream_judge(const struct upstream *u, const struct upstream_wants *x,
    const struct cmp_msg *m, struct upstream_heard *ret,
    struct err *e) WARN_UNUSED;

/* The next message of ours, which is sent octet for octet as it may have been
 * sent before we ended, not before `due` (seconds since 1970): a pollReq; or a
 * certConf, if there is the message with the certificate.  Borrowed. */
struct upstream_progress {
	uint64_t due;
	struct bytes message, final;
};
void upstream_progress_encode(
    const struct upstream_progress *p, struct buf *out);
int upstream_progress_decode(
    struct bytes in, struct upstream_progress *ret, struct err *e) WARN_UNUSED;

#endif
