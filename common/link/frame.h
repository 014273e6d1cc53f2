/*
 * Frames of the link and of the carry socket (schemas/link.cddl), version 1:
 * a CBOR array [version, type, tag, ...].  The asker chooses the tag, the
 * answer repeats it.  The forwarder reads no further than the tag.  HELLO,
 * WELCOME and NACK are of version 1 for ever: they are how peers find the
 * version that the rest is of.
 *
 *  HELLO    registrar -> service   who asks, how far both memories reach
 *  WELCOME  service -> registrar   the mirror image, signed
 *  PUT      registrar -> service   [header, octets, signature]
 *  STORED   service -> registrar   one signed batch of receipts
 *  PULL     registrar -> service   batches after seq, wait up to so long
 *  ANSWERS  service -> registrar   signed batches with their octets
 *  GOT      registrar -> service   all batches up to seq are committed
 *  PING     either                 nothing
 *  NACK     service -> registrar   a temporary refusal; believed as such only
 *  EVIDENCE registrar -> service   in recovery: an entry that had left, and what
 *                                  became of it; PING or NACK comes back
 *  ASK      registrar -> service   reference data newer than what we have
 *  DATA     service -> registrar   its signed manifest and one part of it
 *  LINK     forwarder -> registrar this service is up or down (hop only)
 *  SENT     forwarder -> registrar the frame with this tag has left (hop only)
 */
#ifndef WAYBILL_LINK_FRAME_H
#define WAYBILL_LINK_FRAME_H

#include "common/base/limits.h"
#include "common/queue/batch.h"
#include "common/queue/entry.h"

#define FRAME_VERSION	   1
/* What this build speaks. */
#define FRAME_VERSION_LOW  1
#define FRAME_VERSION_HIGH 1
#define FRAME_MAX	   LIMIT_FRAME
#define FRAME_SIGNED_MAX   LIMIT_FRAME_SIGNED  /* hello, manifest, signature */
#define FRAME_BATCHES	   LIMIT_FRAME_BATCHES /* in one ANSWERS */
#define FRAME_PART	   LIMIT_FRAME_PART /* octets of reference data a DATA */
#define FRAME_DATA_MAX	   LIMIT_FRAME_DATA /* octets of it in all */
#define FRAME_PARTS_MAX	   (FRAME_DATA_MAX / FRAME_PART)
#define FRAME_DATA_NAME	   65 /* of a name of reference data, with its NUL */

enum frame_type {
	FRAME_HELLO = 1,
	FRAME_WELCOME,
	FRAME_PUT,
	FRAME_STORED,
	FRAME_PULL,
	FRAME_ANSWERS,
	FRAME_GOT,
	FRAME_PING,
	FRAME_NACK,
	FRAME_LINK,
	FRAME_SENT,
	FRAME_EVIDENCE,
	FRAME_ASK,
	FRAME_DATA,
	FRAME_TYPE__MAX
};
const char *frame_type_name(enum frame_type t);

/* HELLO and WELCOME: signed with FRAME_HELLO_LABEL over the bstr `body`;
 * WELCOME's body repeats the asker's nonce. */
#define FRAME_HELLO_LABEL "waybill-hello/1"
#define FRAME_NONCE_LEN	  16
struct frame_hello {
	char site[ENTRY_NAME_MAX];
	char service[ENTRY_NAME_MAX];
	uint8_t site_epoch[ENTRY_EPOCH_LEN];
	uint64_t site_next_id; /* HELLO: ours; WELCOME: highest id seen + 1 */
	uint8_t service_epoch[ENTRY_EPOCH_LEN]; /* zeros: not known yet */
	uint64_t
	    service_seq; /* HELLO: highest gapless seen; WELCOME: last made */
	uint8_t nonce[FRAME_NONCE_LEN];
	uint64_t time;	 /* seconds */
	unsigned credit; /* WELCOME: how many PUTs may be outstanding */
	/* HELLO: all we speak; WELCOME: the chosen one, twice. */
	unsigned version_low, version_high;
	bool recover;	     /* WELCOME: send EVIDENCE; HELLO: false */
	struct digest audit; /* HELLO: the site's audit head; WELCOME: zeros */
	struct digest signer;
};
#define FRAME_SIGNED_MAX LIMIT_FRAME_SIGNED

/*
 * DATA's manifest, signed with FRAME_DATA_LABEL: the service's word on one
 * piece of reference data.  Every part but the last has FRAME_PART octets.
 */
#define FRAME_DATA_LABEL "waybill-data/1"
struct frame_manifest {
	char service[ENTRY_NAME_MAX];
	char name[FRAME_DATA_NAME];
	uint64_t version;     /* from 1; the higher one holds */
	uint64_t made, until; /* seconds; until 0: no end */
	unsigned parts;	      /* as many as size takes */
	size_t size;	      /* octets of all parts, 1 to FRAME_DATA_MAX */
	struct digest digest; /* of all parts */
	struct digest signer;
};

/* What a site knows of an entry that had left.  Octets are those that
 * travelled, as in PUT. */
struct frame_evidence {
	struct bytes header, octets, sig;
	enum entry_state state; /* frame_evidence_state() */
	struct bytes answer;	/* empty: none */
};
/* In flight to refused, and withdrawn. */
bool frame_evidence_state(enum entry_state s);

struct frame_batch {
	struct bytes batch, sig;
	size_t n;	       /* as many as the batch has items */
	struct bytes *answers; /* array owned; octets borrowed; empty: none */
};

/* One parsed frame; all octets borrowed from its input. */
struct frame {
	enum frame_type type;
	uint64_t tag;
	union {
		struct {
			struct bytes body, sig;
		} hello; /* HELLO, WELCOME: body parsed by frame_hello_parse */
		struct {
			struct bytes header, octets, sig;
		} put;
		struct {
			size_t n;
			struct frame_batch *v; /* owned */
		} answers; /* STORED has exactly one; ANSWERS 0 to FRAME_BATCHES */
		struct {
			char site[ENTRY_NAME_MAX];
			uint64_t since;
			unsigned wait; /* seconds, at most 20 */
		} pull;
		struct {
			char site[ENTRY_NAME_MAX];
			uint64_t upto;
		} got;
		struct {
			unsigned retry_after; /* seconds */
			char reason[160];
		} nack;
		struct frame_evidence evidence;
		struct {
			char site[ENTRY_NAME_MAX];
			char name[FRAME_DATA_NAME];
			uint64_t have; /* version that we hold, 0: none */
			unsigned part; /* from 0 */
		} ask;
		struct {
			struct bytes manifest, sig; /* empty: nothing newer */
			unsigned part;
			struct bytes octets;
		} data;
		struct {
			bool up;
			char service[ENTRY_NAME_MAX];
		} link;
	} u;
};

/* At most FRAME_MAX octets, nothing trailing; ERR_INPUT. */
int frame_parse(struct bytes in, struct frame *ret, struct err *e) WARN_UNUSED;
void frame_done(struct frame *f);
#define AUTO_FRAME __attribute__((cleanup(frame_done)))
/* Type and tag alone (the forwarder); accepts what frame_parse would. */
int frame_peek(struct bytes in, enum frame_type *ret_type, uint64_t *ret_tag,
    struct err *e) WARN_UNUSED;

int frame_hello_parse(
    struct bytes body, struct frame_hello *ret, struct err *e) WARN_UNUSED;
/* The version to speak with whoever said this HELLO, or chose it in this
 * WELCOME: the highest in common; ERR_RETRY "no version in common: ...". */
int frame_version(
    const struct frame_hello *h, unsigned *ret, struct err *e) WARN_UNUSED;
/* type is HELLO or WELCOME; fills h->signer, and versions that are 0 with
 * those of this build; signs, appends the frame. */
int frame_hello(enum frame_type type, uint64_t tag, struct frame_hello *h,
    const struct signer *s, struct buf *out, struct err *e) WARN_UNUSED;
void frame_put(uint64_t tag, struct bytes header, struct bytes octets,
    struct bytes sig, struct buf *out);
/* How many octets an ANSWERS frame grows by with this batch. */
size_t frame_batch_size(const struct frame_batch *b);
/* type is STORED (n 1) or ANSWERS. */
void frame_answers(enum frame_type type, uint64_t tag,
    const struct frame_batch *v, size_t n, struct buf *out);
void frame_pull(uint64_t tag, const char *site, uint64_t since, unsigned wait,
    struct buf *out);
void frame_got(uint64_t tag, const char *site, uint64_t upto, struct buf *out);
void frame_ping(uint64_t tag, struct buf *out);
void frame_nack(
    uint64_t tag, unsigned retry_after, const char *reason, struct buf *out);
/* Never above FRAME_MAX: what a PUT and a batch may hold fits together. */
void frame_evidence(
    uint64_t tag, const struct frame_evidence *x, struct buf *out);
void frame_ask(uint64_t tag, const char *site, const char *name, uint64_t have,
    unsigned part, struct buf *out);
/* manifest and sig as frame_manifest_sign made them; all three empty: nothing
 * newer. */
void frame_data(uint64_t tag, struct bytes manifest, struct bytes sig,
    unsigned part, struct bytes octets, struct buf *out);
/* "ca-certs", "template/default": a name as sites have it, and perhaps '/' and
 * letters, digits, '.', '_' or '-' that begin with no dot. */
bool frame_data_name(const char *s);
/* Parts of so many octets; 0 if they are none or too many. */
unsigned frame_parts(size_t size);
/* Signed or not: that is sign_check's.  ERR_INPUT. */
int frame_manifest_parse(
    struct bytes text, struct frame_manifest *ret, struct err *e) WARN_UNUSED;
/* Fills m->parts and m->signer; appends text and signature. */
int frame_manifest_sign(struct frame_manifest *m, const struct signer *s,
    struct buf *out, struct buf *sig, struct err *e) WARN_UNUSED;
void frame_link(bool up, const char *service, struct buf *out);
void frame_sent(uint64_t tag, struct buf *out);

/*
 * The carry socket's framing: 4 octets of big-endian length, then the frame.
 * Appends the framed form; frame_next takes one whole frame off the front of
 * `in` (1 and *ret borrowed until in changes, then drop 4 + ret->len), 0 if
 * more octets are needed, -1 if the length is 0 or above FRAME_MAX.
 */
void frame_wrap(struct bytes frame, struct buf *out);
int frame_next(
    const struct buf *in, struct bytes *ret, struct err *e) WARN_UNUSED;

#endif
