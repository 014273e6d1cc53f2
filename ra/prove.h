/* What the RA issued once, by what others kept of it: answers that its own key
 * signed, certificates that its CA signed. */
#ifndef WAYBILL_RA_PROVE_H
#define WAYBILL_RA_PROVE_H

#include "common/service/service.h"

/* service_trade.prove: the protection of an answer to this very request holds
 * under our present key. */
void prove_answer(struct service *s, const struct entry_header *h,
    struct bytes device, struct bytes answer, struct service_proof *ret);
/* service_trade.resolve.  Issued: our CA's signature, the key that was asked
 * for, the device's serialNumber.  Revoked: the signer's certificate, which is
 * in the ledger, is revoked for the reason that the rr gives. */
int prove_outcome(struct service *s, const struct ledger_case *c,
    enum service_outcome is, const char *certificate, struct service_proof *ret,
    struct err *e) WARN_UNUSED;

#endif
