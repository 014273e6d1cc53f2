/*
 * The one admission function: every protocol asks it before anything of a
 * device's is stored.  The answer rests on the verified signer of the
 * self-contained object (RFC 9733 4.1), never on the connection alone.
 */
#ifndef WAYBILL_REGISTRAR_ADMIT_H
#define WAYBILL_REGISTRAR_ADMIT_H

#include "common/queue/entry.h"
#include "registrar/registrar.h"

struct admit {
	/* in */
	enum entry_kind kind;
	X509 *signer;			 /* its signature on the object held */
	const STACK_OF(X509) * sent;	 /* what came with it; may be NULL */
	const STACK_OF(X509) * tls_sent; /* and in the handshake; may be NULL */
	X509 *tls_client;		 /* NULL: none was shown */
	const char *profile;
	/* out */
	const char *vendor; /* name of the anchor, borrowed */
	char serial[128];   /* the IDevID's subject serialNumber */
	struct facts facts;
};

/*
 * Chains to a trusted vendor, is the TLS client, is on no deny list, names its
 * device; for CMP, no voucher was refused to it.  ERR_TRUST (signerNotTrusted) or ERR_POLICY (notAuthorized) with the
 * reason; fills vendor, serial and facts on success.
 */
int admit_check(
    const struct registrar *r, struct admit *a, struct err *e) WARN_UNUSED;

#endif
