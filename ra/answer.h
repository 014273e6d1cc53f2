/* The RA's CMP responses (RFC 9483 4.1, 3.6). */
#ifndef WAYBILL_RA_ANSWER_H
#define WAYBILL_RA_ANSWER_H

#include "common/pki/cmp.h"

struct answerer {
	const struct signer *signer;
	STACK_OF(X509) * more; /* the issuing CA's chain, as far as the
				  signer's own does not hold it */
};

/* ip or cp with this certificate; implicit confirmation granted if asked. */
int answer_issued(const struct answerer *a, const struct cmp_msg *request,
    X509 *cert, struct buf *out, struct err *e) WARN_UNUSED;
/* A fault of the body in ip or cp(rejection), any other in `error`. */
int answer_refused(const struct answerer *a, const struct cmp_msg *request,
    bool in_body, const struct err *why, struct buf *out,
    struct err *e) WARN_UNUSED;
int answer_pkiconf(const struct answerer *a, const struct cmp_msg *request,
    struct buf *out, struct err *e) WARN_UNUSED;

#endif
