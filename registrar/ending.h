/*
 * The answer to a request that came to its end at this site (rule 4): stored
 * with the end in one transaction, delivered as any final answer.
 */
#ifndef WAYBILL_REGISTRAR_ENDING_H
#define WAYBILL_REGISTRAR_ENDING_H

#include "registrar/registrar.h"

/* PKIFailureInfo of an end. */
uint32_t ending_fail(enum entry_state end);

/*
 * Appends what a device is told: "END: REASON".  Of kind cmp a rejection under
 * our protection that answers the request's octets (RFC 9483 4.1.1); of kind
 * voucher an answer as the masa-client's, of status 406 (RFC 8995 5.6).
 * Nothing for what no device waits for.  ERR_DAMAGE and ERR_INPUT if the
 * request cannot be read any more: the end has no answer then.
 */
int ending_answer(const struct registrar *r, const struct outbox_entry *en,
    enum entry_state end, const char *reason, struct buf *out,
    struct err *e) WARN_UNUSED;

/* Of kind voucher: what was said of the device, or 406, which RFC 8995 5.6 has
 * the registrar use when it finds the pledge unacceptable. */
int ending_status(struct bytes answer);
/* Appends an answer without a voucher. */
void ending_voucher(int status, const char *reason, struct buf *out);

#endif
