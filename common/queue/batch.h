/*
 * Receipts and answers: a service's signed word about a site's entries
 * (DECISIONS 3, schemas/link.cddl).  Counted per site from 1 without gaps,
 * stored signed, resent octet for octet.
 */
#ifndef WAYBILL_QUEUE_BATCH_H
#define WAYBILL_QUEUE_BATCH_H

#include "common/base/limits.h"
#include "common/queue/entry.h"

enum batch_code {
	BATCH_STORED = 1, /* receipt: durably stored here */
	BATCH_DUPLICATE,  /* receipt: was stored before */
	BATCH_ANSWERED,	  /* answer's octets go with it */
	BATCH_REFUSED,	  /* terminal; the answer's octets say why */
	BATCH_CONFLICT,	  /* terminal from here on: */
	BATCH_TOO_LARGE,
	BATCH_BAD_SCHEMA,
	BATCH_NOT_AUTHORISED,
	BATCH_CODE__MAX
};
const char *batch_code_name(enum batch_code c);

struct batch_item {
	uint64_t id; /* the site's */
	enum batch_code code;
	struct digest digest; /* of the entry's (device's) octets */
	bool has_answer;
	struct digest answer; /* SHA-256 of the answer's octets */
	char reason[160];     /* "" if none */
};

#define BATCH_ITEMS_MAX LIMIT_BATCH_ITEMS
#define BATCH_MAX	LIMIT_BATCH
#define BATCH_LABEL	"waybill-batch/1"

struct batch {
	char service[ENTRY_NAME_MAX];
	uint8_t service_epoch[ENTRY_EPOCH_LEN];
	char site[ENTRY_NAME_MAX];
	uint8_t site_epoch[ENTRY_EPOCH_LEN];
	uint64_t seq;
	struct digest audit_seen; /* the site's audit head last seen */
	uint64_t time;
	struct digest signer;
	size_t n;
	struct batch_item *items; /* owned */
};
void batch_done(struct batch *b);
#define AUTO_BATCH __attribute__((cleanup(batch_done)))

/*
 * Fills b->signer, appends the text and its signature.  One to BATCH_ITEMS_MAX
 * items; an answer goes with answered always, with refused if there is one,
 * with no other code.  What batch_parse would refuse is not signed: ERR_LOCAL.
 */
int batch_sign(struct batch *b, const struct signer *s, struct buf *out,
    struct buf *sig, struct err *e) WARN_UNUSED;
/* Parses without believing: the caller finds the certificate by service and
 * signer, then calls sign_check(cert, BATCH_LABEL, text, sig). */
int batch_parse(
    struct bytes text, struct batch *ret, struct err *e) WARN_UNUSED;

#endif
