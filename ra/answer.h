/* The RA's CMP responses (RFC 9483 4.1, 3.6). */
#ifndef WAYBILL_RA_ANSWER_H
#define WAYBILL_RA_ANSWER_H

#include "common/pki/cmp.h"

struct answerer {
	const struct signer *signer;
	STACK_OF(X509) * more; /* the issuing CA's chain, as far as the
				  signer's own does not hold it */
	X509 *root;	       /* for caPubs; NULL: none */
};

/* What the profile says of an answer. */
struct answer_terms {
	bool confirm;  /* implicit confirmation is not granted */
	bool modified; /* it is not quite what was asked for */
	bool ca_pubs;  /* the root goes along in ip (RFC 9483 4.1.1) */
	struct bytes sender_nonce; /* empty: a fresh one */
};

/* Whether the certificate has another subject than the one that was asked for,
 * which the NULL-DN is not: grantedWithMods (RFC 9810 5.2.3). */
bool answer_differs(const struct cmp_msg *request, X509 *cert);
/* ip, cp or kup with this certificate; implicit confirmation granted if asked,
 * unless the terms say otherwise. */
int answer_issued(const struct answerer *a, const struct cmp_msg *request,
    X509 *cert, const struct answer_terms *terms, struct buf *out,
    struct err *e) WARN_UNUSED;
/* rp: revoked. */
int answer_revoked(const struct answerer *a, const struct cmp_msg *request,
    struct buf *out, struct err *e) WARN_UNUSED;
/* genp to a genm of this type; value: one element, or empty for none. */
int answer_info(const struct answerer *a, const struct cmp_msg *request,
    enum cmp_info_type asked, struct bytes value, struct buf *out,
    struct err *e) WARN_UNUSED;
/* A fault of the body in ip, cp, kup or rp(rejection), any other in `error`. */
int answer_refused(const struct answerer *a, const struct cmp_msg *request,
    bool in_body, const struct err *why, struct buf *out,
    struct err *e) WARN_UNUSED;
int answer_pkiconf(const struct answerer *a, const struct cmp_msg *request,
    struct buf *out, struct err *e) WARN_UNUSED;

#endif
