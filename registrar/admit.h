/*
 * The one admission function: every protocol asks it before anything of a
 * device's is stored.  The answer rests on the verified signer of the
 * self-contained object (RFC 9733 4.1), never on the connection alone.
 */
#ifndef WAYBILL_REGISTRAR_ADMIT_H
#define WAYBILL_REGISTRAR_ADMIT_H

#include "common/pki/revocation.h"
#include "common/queue/entry.h"
#include "registrar/registrar.h"

/* Whose signature is asked for (RFC 9483 4.1, DESIGN section 9). */
enum admit_as {
	ADMIT_IDEVID, /* of a maker that is configured */
	ADMIT_LDEVID, /* of our domain: a device that has enrolled */
	ADMIT_EITHER
};

struct admit {
	/* in */
	enum entry_kind kind;
	enum admit_as as; /* EITHER and LDEVID: kind cmp */
	bool through;	  /* the peer is a configured LRA */
	bool travels;	  /* who judges it again has no handshake to look at */
	X509 *signer;	  /* its signature on the object held */
	const STACK_OF(X509) * sent;	 /* what came with it; may be NULL */
	const STACK_OF(X509) * tls_sent; /* and in the handshake; may be NULL */
	X509 *tls_client;		 /* NULL: none was shown */
	const char *profile;
	/* out */
	bool ldevid;	    /* the signer is of our domain */
	const char *vendor; /* name of the anchor, borrowed; "": ldevid */
	char serial[128];   /* the signer's subject serialNumber */
	enum revocation_word revocation; /* of the signer */
	struct facts facts;
};

/*
 * Chains to a trusted vendor, or to the domain as a device's, as `as` says; is
 * on no deny list; names its device; for CMP by an IDevID, no voucher was
 * refused to it.  It is the TLS client, or the other certificate of that device
 * is: IDevID and LDevID of one serialNumber, and the IDevID asked here before;
 * or the peer is an LRA.  ERR_TRUST (signerNotTrusted) or ERR_POLICY
 * (notAuthorized) with the reason; fills ldevid, vendor, serial and facts on
 * success.
 */
int admit_check(
    const struct registrar *r, struct admit *a, struct err *e) WARN_UNUSED;

/*
 * Once admit_check was content, before anything new is stored or told: no
 * LDevID that signs, or is the TLS client, stands on the domain's list of
 * revoked certificates (reference data `crl`; there may be none).  What was
 * asked for before is still answered.  ERR_TRUST (certRevoked), or
 * signerNotTrusted if the list does not tell and conf says to refuse then;
 * completes the facts on success.
 */
int admit_new(
    const struct registrar *r, struct admit *a, struct err *e) WARN_UNUSED;
/* The same of one LDevID. */
int admit_ldevid(const struct registrar *r, X509 *x, enum revocation_word *ret,
    struct err *e) WARN_UNUSED;

#endif
