/*
 * The entry: kinds, states and the one transition table, ids that people can
 * read out over a radio, the keys of identity, facts, and the signed header.
 * Knows no protocol and no I/O.
 */
#ifndef WAYBILL_QUEUE_ENTRY_H
#define WAYBILL_QUEUE_ENTRY_H

#include <stdbool.h>
#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/pki/sign.h"

enum entry_kind {
	ENTRY_CMP = 1,
	ENTRY_VOUCHER,
	ENTRY_WITHDRAW,
	ENTRY_AUDIT,
	ENTRY_TELEMETRY,
	ENTRY_KIND__MAX
};

enum entry_state {
	ENTRY_NONE, /* 0: "not allowed" in the table */
	ENTRY_RECEIVED,
	ENTRY_QUEUED,
	ENTRY_INFLIGHT,
	ENTRY_CUSTODY,
	ENTRY_ANSWERED,
	ENTRY_DELIVERED,
	ENTRY_CONFIRMED,
	ENTRY_REFUSED,
	ENTRY_EXPIRED,
	ENTRY_WITHDRAWN,
	ENTRY_DEAD,
	ENTRY_STATE__MAX
};

enum entry_event {
	ENTRY_EV_ADMIT,
	ENTRY_EV_HANDOUT,
	ENTRY_EV_RECEIPT,
	ENTRY_EV_ANSWER,
	ENTRY_EV_DELIVER,
	ENTRY_EV_CONFIRM,
	ENTRY_EV_REFUSE,
	ENTRY_EV_WITHDRAW,
	ENTRY_EV_EXPIRE,
	ENTRY_EV_DIE,
	ENTRY_EV__MAX
};

/* DECISIONS 5.  ENTRY_NONE: refused. */
enum entry_state entry_next(enum entry_state s, enum entry_event ev);
bool entry_terminal(enum entry_state s);
const char *entry_kind_name(enum entry_kind k);
const char *entry_state_name(enum entry_state s);
const char *entry_event_name(enum entry_event ev);
/* The whole table as text, for the golden file. */
void entry_table(struct buf *out);

/*
 * Ids: a 64-bit number of a store, never reused, shown as "7F3K-00012": three
 * base-32 characters (Crockford) from the epoch, a check character over those
 * and the number, a dash, the number in at least five decimal digits.
 */
#define ENTRY_EPOCH_LEN 16
#define ENTRY_ID_TEXT	32
char *entry_id_format(
    char ret[ENTRY_ID_TEXT], const uint8_t epoch[ENTRY_EPOCH_LEN], uint64_t id);
/* Case, and I L O for 1 1 0, are forgiven; a bare number is accepted; a wrong
 * check character or another epoch is ERR_INPUT and says which. */
int entry_id_parse(const char *text, const uint8_t epoch[ENTRY_EPOCH_LEN],
    uint64_t *ret, struct err *e) WARN_UNUSED;

/*
 * Keys (DECISIONS 7): SHA-256 over the CBOR array of the parts, label first.
 *  row:  ["waybill-tx/1", kind, SHA-256(signer's SPKI), transactionID, step]
 *  once: ["waybill-once/1", kind, device's octets]
 */
struct digest entry_row(enum entry_kind k, const struct digest *spki,
    struct bytes transaction_id, unsigned step);
struct digest entry_once(enum entry_kind k, struct bytes device_bytes);

/* Facts (DECISIONS 18): name, proof level, value as text. */
enum fact_level { FACT_CLAIMED, FACT_REGISTRAR, FACT_END_TO_END, FACT__MAX };
#define FACTS_MAX      LIMIT_ENTRY_FACTS
#define FACT_NAME_MAX  32
#define FACT_VALUE_MAX 160

struct fact {
	char name[FACT_NAME_MAX];
	enum fact_level level;
	char value[FACT_VALUE_MAX];
};
struct facts {
	size_t n;
	struct fact v[FACTS_MAX];
};
/* Replaces one of the same name; values pass through entry_text; a full table
 * or a name too long is an error of ours (assert). */
void facts_set(struct facts *f, const char *name, enum fact_level level,
    const char *value);
const struct fact *facts_get(const struct facts *f, const char *name);
void facts_encode(const struct facts *f, struct buf *out); /* CBOR array */
struct cbor_in;
void facts_read(struct cbor_in *in, struct facts *ret);

/* A peer's text made fit to be signed and stored: cut at a whole character to
 * less than size octets, control characters and what is not UTF-8 as '?'. */
void entry_text(char *dst, size_t size, const char *src);
/* [time, quality, age] */
void entry_stamp_encode(const struct stamp *s, struct buf *out);
void entry_stamp_read(struct cbor_in *in, struct stamp *ret);

/* The header that travels (schemas/entry.cddl). */
#define ENTRY_NAME_MAX 33
#define ENTRY_STEP_MAX 1 /* 0 the request, 1 certConf (DECISIONS 7) */
struct entry_header {
	char site[ENTRY_NAME_MAX];
	uint8_t epoch[ENTRY_EPOCH_LEN];
	uint64_t id;
	enum entry_kind kind;
	unsigned step;
	struct digest digest; /* SHA-256 of the device's octets */
	struct stamp received;
	uint64_t deadline; /* seconds since 1970; 0: none (clock unknown) */
	struct facts facts;
	struct digest audit;  /* the site's audit head before this entry */
	uint64_t replaces;    /* older id of the same device, 0: none */
	uint64_t parent;      /* the entry that a step > 0 belongs to, or that a
			    withdrawal is about; 0: none */
	struct digest signer; /* SHA-256 of the registrar's certificate */
};
#define ENTRY_HEADER_MAX LIMIT_ENTRY_HEADER
#define ENTRY_LABEL	 "waybill-entry/1"

/* Fills h->signer, appends the CBOR header and its signature. */
int entry_header_sign(struct entry_header *h, const struct signer *s,
    struct buf *header, struct buf *sig, struct err *e) WARN_UNUSED;
/* Parses without believing: the caller finds the certificate by site and
 * signer, then calls sign_check(cert, ENTRY_LABEL, header, sig). */
int entry_header_parse(
    struct bytes header, struct entry_header *ret, struct err *e) WARN_UNUSED;

#endif
