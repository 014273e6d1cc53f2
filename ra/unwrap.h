/* What the RA asks of an entry before it is stored: that its octets are a CMP
 * message in its registrar's wrapper. */
#ifndef WAYBILL_RA_UNWRAP_H
#define WAYBILL_RA_UNWRAP_H

#include "common/pki/cmp.h"
#include "common/queue/batch.h"
#include "common/queue/entry.h"

/*
 * service_trade.unwrap, DECISIONS 1: one nested message by the registrar's
 * certificate around one inner message, whose digest the header tells; the
 * inner message is appended.
 */
int unwrap_cmp(const struct entry_header *h, X509 *registrar,
    struct bytes octets, struct buf *ret, enum batch_code *ret_code,
    struct err *e) WARN_UNUSED;

/* The device's message out of octets that were unwrapped before. */
int unwrap_stored(
    struct bytes octets, struct cmp_msg **ret, struct err *e) WARN_UNUSED;

#endif
