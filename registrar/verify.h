/* What comes back from a service is believed only after this: rule 10. */
#ifndef WAYBILL_REGISTRAR_VERIFY_H
#define WAYBILL_REGISTRAR_VERIFY_H

#include "registrar/registrar.h"

/*
 * A CMP answer to this request: protected by the service (its certificate
 * chains to the domain, names the service, carries cmcRA), transactionID and
 * recipNonce those of the request.  ip, cp, kup: certReqId and public key those
 * asked for, the certificate chains to the domain, caPubs are domain anchors.
 * rp: not waiting.  genp: of the type that answers the one asked for.  pkiConf
 * for certConf.  Rejections and errors that are rejections pass with the
 * protection and header checks alone.  ERR_TRUST or ERR_INPUT with the reason.
 */
int verify_cmp_answer(const struct registrar *r, const struct service *s,
    struct bytes request, struct bytes answer, struct err *e) WARN_UNUSED;
/*
 * The answer to an entry of kind withdraw or audit: ["waybill-done/1", text]
 * (schemas/entry.cddl).  Nobody but people reads the text.  ERR_INPUT.
 */
int verify_done(struct bytes answer, struct err *e) WARN_UNUSED;

#endif
