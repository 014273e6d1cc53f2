/* What the judge_* files share. */
#ifndef WAYBILL_RA_JUDGE_INT_H
#define WAYBILL_RA_JUDGE_INT_H

#include "ra/judge.h"

/* Facts set here and by the clerk, which must always find room. */
#define JUDGE_FACTS 10

/* Header, signer, chain, protection; v->initial says whose.  Of an LDevID what
 * is known of it. */
int judge_signer(const struct judge *j, const struct entry_header *h,
    const struct cmp_msg *m, const struct stamp *now, struct verdict *v,
    struct known *ret_known, struct err *e) WARN_UNUSED;
void facts_of_signer(struct verdict *v, const char *profile);

#endif
