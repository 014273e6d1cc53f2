/*
 * What a site says of itself in entries of kind withdraw and audit, and what
 * every service answers to them (schemas/entry.cddl).
 */
#ifndef WAYBILL_SERVICE_WORDS_H
#define WAYBILL_SERVICE_WORDS_H

#include "common/queue/entry.h"

#define WORDS_REASON_MAX 160

/* ["waybill-withdraw/1", epoch, id, digest, reason]: the entry that this site
 * gave up, by the epoch and id of its header. */
struct withdrawal {
	uint8_t epoch[ENTRY_EPOCH_LEN];
	uint64_t id;
	struct digest digest; /* of the device's octets */
	char reason[WORDS_REASON_MAX];
};
/* ERR_INPUT. */
int withdrawal_parse(
    struct bytes text, struct withdrawal *ret, struct err *e) WARN_UNUSED;

/* ["waybill-checkpoint/1", seq, hash, time]: how far its audit trail was. */
struct checkpoint {
	uint64_t seq;
	struct digest hash;
	uint64_t time;
};
int checkpoint_parse(
    struct bytes text, struct checkpoint *ret, struct err *e) WARN_UNUSED;

/* Kinds that every service takes. */
static inline bool
words_kind(enum entry_kind k)
{
	return k == ENTRY_WITHDRAW || k == ENTRY_AUDIT;
}
/* Whether these octets are what the header's kind promises, and its digest's.
 * ERR_INPUT. */
int words_check(const struct entry_header *h, struct bytes octets,
    struct err *e) WARN_UNUSED;
/* Its key: two sites that say the same have each said it. */
struct digest words_once(const struct entry_header *h, struct bytes octets);

/* Appends the answer: ["waybill-done/1", text]. */
void words_done(const char *text, struct buf *out);

#endif
