/* Private to trust.c: what was verified a moment ago. */
#ifndef WAYBILL_PKI_TRUST_MEMO_H
#define WAYBILL_PKI_TRUST_MEMO_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/digest.h"

struct trust_memo;

struct trust_memo *trust_memo_new(void);
void trust_memo_free(struct trust_memo *m);

/* `asked` stands for all that was handed in.  Whether it was kept lately, at a
 * time not after `at` (seconds; 0: no dates were judged, and none are to be);
 * *ret_anchor is what was kept with it. */
bool trust_memo_find(struct trust_memo *m, const struct digest *asked,
    uint64_t at, int *ret_anchor);
void trust_memo_keep(
    struct trust_memo *m, const struct digest *asked, uint64_t at, int anchor);

#endif
