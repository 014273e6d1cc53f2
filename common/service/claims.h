/* What a registrar says in an entry's header, and how far it is believed. */
#ifndef WAYBILL_SERVICE_CLAIMS_H
#define WAYBILL_SERVICE_CLAIMS_H

#include "common/queue/entry.h"

/* DESIGN 9: a device's chain is judged at the time its registrar attests, if
 * that clock was being disciplined; all else is judged now. */
uint64_t claims_chain_time(
    const struct entry_header *h, const struct stamp *now);
/* Its facts, of which none is more than the registrar's word whatever it
 * claims, and time.quality; room for `ours` more is left. */
void claims_facts(const struct entry_header *h, size_t ours, struct facts *f);
/* DESIGN 7: past the deadline of its header an entry is refused.  ERR_POLICY
 * "expired". */
int claims_deadline(const struct entry_header *h, const struct stamp *now,
    struct err *e) WARN_UNUSED;

#endif
