/*
 * What a MASA asks of a registrar voucher-request (RFC 8995 5.5), and what it
 * has learned from one that holds.  Judges octets and time alone: who owns a
 * device is masa_state.h's.
 */
#ifndef WAYBILL_MASA_JUDGE_H
#define WAYBILL_MASA_JUDGE_H

#include "common/base/clock.h"
#include "common/pki/trust.h"
#include "common/pki/voucher.h"

#define MASA_SERIAL_MAX 64 /* RFC 5280 A.1, ub-serial-number */
/* A request may have waited for a link; what is older is stale. */
#define MASA_AGE_MAX	((uint64_t)30 * 86400)
#define MASA_AHEAD_MAX	600 /* of our clock */

/* Whom this MASA knows.  Borrowed. */
struct masa_vendor {
	const struct trust *devices; /* the vendor's root and its sub-CA */
	X509 *sub;		     /* certifies devices */
	/* Registrars known to the vendor by their TLS certificates; NULL: any
	 * whose certificate is of the domain that asks. */
	const struct trust *registrars;
};

/* A request as it came.  Borrowed. */
struct masa_asked {
	struct bytes body;
	X509 *peer; /* TLS client certificate, or NULL */
	const STACK_OF(X509) * peer_chain;
	struct stamp now; /* of quality none: no date is judged */
	bool again;	  /* for the audit log: age is not judged */
};

struct masa_request {
	struct digest digest; /* of its octets */
	char serial[MASA_SERIAL_MAX + 1];
	char nonce[VCH_NONCE_MAX + 1]; /* "": nonceless */
	struct buf idevid_issuer;      /* for the voucher; empty if unknown */
	X509 *pin;		       /* pinned-domain-cert, owned */
	struct buf domain;	       /* its domainID */
	enum vch_assertion assertion;
};
void masa_request_done(struct masa_request *r);

/* 0, or the HTTP status of RFC 8995 5.6 with the reason in e; then ret is
 * untouched. */
int masa_judge(const struct masa_vendor *v, const struct masa_asked *a,
    struct masa_request *ret, struct err *e) WARN_UNUSED;

#endif
