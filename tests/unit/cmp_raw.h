/* CMP messages put together by hand, as peers, broken ones and hostile ones,
 * send them. */
#ifndef WAYBILL_TESTS_CMP_RAW_H
#define WAYBILL_TESTS_CMP_RAW_H

#include "cmp_fixture.h"

#include "common/pki/cmp_msg.h"

static const uint8_t many[2 * CMP_NONCE_MAX];

/* Object identifiers' octets. */
#define ECDSA_SHA256 "\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define ECDSA_SHA1   "\x2a\x86\x48\xce\x3d\x04\x01"
#define RSA_PSS	     "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
#define PBM	     "\x2a\x86\x48\x86\xf6\x7d\x07\x42\x0d"
#define DH_MAC	     "\x2a\x86\x48\x86\xf6\x7d\x07\x42\x1e"
#define PBMAC1	     "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0e"
#define KMAC256	     "\x60\x86\x48\x01\x65\x03\x04\x02\x14"

/* ---- crafted headers --------------------------------------------------- */

/* A header by hand; lengths of what is filled with zeros, 0: left out. */
struct raw {
	long pvno;
	size_t tid, nonce, recip_nonce;
	const char *alg;    /* OID octets; NULL: none */
	const char *sender; /* GeneralName in hex; NULL: the NULL-DN */
	const char *more;   /* elements behind the others, in hex */
	const char *body;   /* in hex; NULL: pollReq 0 */
	const char *tail;   /* behind the body, in hex; NULL: a signature */
};

static const struct raw plain = { 2, 16, 16, 0, ECDSA_SHA256 };

static inline void
add_hex(struct buf *out, const char *hex)
{
	size_t n = strlen(hex) / 2;

	if (n > 0)
		assert_int_equal(hex_parse(hex, buf_grow(out, n), n, NULL), 0);
}

static inline void
add_filled(struct buf *out, enum cmp_field f, size_t len)
{
	size_t at = out->len;

	if (len == 0)
		return;
	der_add(out, DER_OCTETS, bytes_of(many, len));
	der_close(out, at, (uint8_t)DER_CTX(f));
}

static inline void
craft(const struct raw *r, struct buf *out)
{
	size_t at;

	der_add_long(out, r->pvno);
	add_hex(out, r->sender != NULL ? r->sender : "a4023000");
	add_hex(out, "a4023000");
	if (r->alg != NULL) {
		at = out->len;
		der_add(out, DER_OID, bytes_of(r->alg, strlen(r->alg)));
		der_close(out, at, DER_SEQ);
		der_close(out, at, DER_CTX(1));
	}
	add_filled(out, CMP_TRANSACTION_ID, r->tid);
	add_filled(out, CMP_SENDER_NONCE, r->nonce);
	add_filled(out, CMP_RECIP_NONCE, r->recip_nonce);
	add_hex(out, r->more != NULL ? r->more : "");
	der_close(out, 0, DER_SEQ);
	add_hex(out, r->body != NULL ? r->body : "b90730053003020100");
	add_hex(out, r->tail != NULL ? r->tail : "a00403020000");
	der_close(out, 0, DER_SEQ);
}

#endif
