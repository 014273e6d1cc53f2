/* Whose certificate it is that signed: judge_known by the ledger. */
#ifndef WAYBILL_RA_KNOWN_H
#define WAYBILL_RA_KNOWN_H

#include "common/service/ledger.h"
#include "ra/judge.h"

/* arg: struct ledger.  Only what the ledger holds octet for octet is ours,
 * whoever else may bear the serial number. */
int known_by_ledger(
    void *arg, X509 *x, struct known *ret, struct err *e) WARN_UNUSED;

/* judge_issued; arg: struct ledger. */
int known_issued(
    void *arg, const struct cmp_cert_id *id, struct err *e) WARN_UNUSED;

/* The facts of a case, as they were when it was decided: 0, also if there are
 * none; -1. */
int known_facts(struct ledger *l, uint64_t id, struct facts *ret,
    struct err *e) WARN_UNUSED;

#endif
