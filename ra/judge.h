/*
 * Whether a device gets what it asks for, judged from its own octets and what
 * the ledger knows of its certificate: header, signer, chain, protection, deny
 * list, proof of possession, profile.  No state; no I/O but what `known` does.
 */
#ifndef WAYBILL_RA_JUDGE_H
#define WAYBILL_RA_JUDGE_H

#include "common/pki/certfacts.h"
#include "common/pki/cmp.h"
#include "common/pki/revocation.h"
#include "common/pki/trust.h"
#include "common/queue/entry.h"
#include "ra/profile.h"

/* What is known of a certificate that the domain issued. */
struct known {
	uint64_t id;	    /* of its case */
	bool revoked;	    /* or rejected, or given up */
	const char *why;    /* then: in a word or two */
	struct facts facts; /* of its case */
};
/* 1 and *ret filled: this very certificate is one of ours; 0: it is not; -1. */
typedef int (*judge_known)(
    void *arg, X509 *x, struct known *ret, struct err *e);

/* 1 if the domain issued a certificate of this name, 0, -1. */
typedef int (*judge_issued)(
    void *arg, const struct cmp_cert_id *id, struct err *e);

/* What judging rests on; all borrowed. */
struct judge {
	const struct trust *vendors;
	const struct denylist *denied; /* NULL: none */
	const struct profile *plain;   /* of requests that name none */
	/* Nothing judged was received before; seconds since 1970. */
	uint64_t earliest;
	const struct conf_list *profiles; /* struct profile; NULL: none */
	/* Of those who have a certificate of ours; all NULL: nobody has. */
	const struct trust *domain;
	judge_known known;
	void *arg;
	const struct revocation *revoked; /* by makers; NULL: nothing is */
	judge_issued issued;		  /* with the same arg */
};

/* Empty it with {0}; fields are filled as far as judging came. */
struct verdict {
	bool in_body; /* the fault is in the body: RFC 9483 3.6.2 wants it in
			 ip or cp, all others in an error message */
	bool unsure;  /* the signer's certificate ended, perhaps in time */
	bool blind;   /* nobody knows whether its maker revoked it */
	bool initial; /* ir or p10cr: it ends the device's older one */
	X509 *signer; /* borrowed from the message */
	struct digest spki;	    /* of the signer's key */
	struct digest device;	    /* cert_device of the signer */
	char serial[CERT_TEXT_MAX]; /* IDevID's subject serialNumber */
	struct facts facts;
	uint64_t signer_case; /* of an LDevID; 0: it is an IDevID */
	const struct profile *profile;
	struct cmp_request request;
	struct profile_grant grant; /* what may be certified */
	struct digest holder;	    /* the device and the profile */
	unsigned reason;	    /* rr: CRLReason */
	struct cmp_info info;	    /* genm; borrowed from the message */
};
void verdict_done(struct verdict *v);
#define AUTO_VERDICT __attribute__((cleanup(verdict_done)))

/*
 * now may not be of quality none: what needs a date cannot be judged then.
 *
 * 0 if it is to be granted, else -1 with the reason (kind INPUT, TRUST or
 * POLICY, failInfo for the peer); ERR_RETRY: it can be neither granted nor
 * refused; ERR_LOCAL is ours.
 *
 * ir and p10cr are signed by an IDevID, which chains to a vendor; cr, kur, rr
 * and genm by an LDevID, which is in the ledger octet for octet and stands.
 * The device of an LDevID is the one that it was issued to: its serialNumber
 * and the facts of its case.
 *
 * DESIGN 9: the dates of the device's certificates are judged at the time of
 * receipt that the header attests, if that clock was being disciplined and the
 * time lies between j->earliest and now.  Else they must hold from then until
 * now, of a free running clock from a day before what it showed.  A request
 * cannot be older than its certificate, so one that is valid now is good; if it
 * ended within that time, that is ERR_RETRY until the deadline.  Chain, ledger,
 * deny list, makers' lists of revoked certificates and deadline are judged now;
 * what a maker's list does not tell is ERR_RETRY if its vendor's word is to
 * wait.  The request's messageTime is not
 * judged: RFC 9483 3.5 leaves that to policy, and a device fresh from its maker
 * knows no date.
 */
int judge_request(const struct judge *j, const struct entry_header *h,
    const struct cmp_msg *m, const struct stamp *now, struct verdict *ret,
    struct err *e) WARN_UNUSED;

/* A certConf of the transaction that `parent`, a request judged before, began:
 * the same key signed it, and it holds one status.  RFC 9483 4.1.1 lets it come
 * without certificates. */
int judge_confirm(const struct entry_header *h, const struct cmp_msg *m,
    const struct cmp_msg *parent, struct verdict *ret,
    struct cmp_certconf *ret_conf, struct err *e) WARN_UNUSED;
/* Against the answer and the certificate it speaks of: certReqId, recipNonce
 * and, unless it rejects, the hash. */
int judge_confirmed(const struct cmp_msg *m, const struct cmp_certconf *c,
    const struct cmp_msg *answer, X509 *cert, struct err *e) WARN_UNUSED;

/* A name for who holds a certificate of a profile: a device of a vendor. */
struct digest judge_holder(
    const char *vendor, const char *serial, const char *profile);
/* The transaction's name with us: its ID and who signed it. */
struct digest judge_tx(const struct cmp_msg *m, const struct digest *spki);

#endif
