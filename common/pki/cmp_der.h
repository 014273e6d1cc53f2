/*
 * The little of DER that CMP and CMS need, private to this folder: elements
 * read in place, nothing copied, and elements written at the end of a buffer.
 * Tags are one octet, lengths definite and in their shortest form.
 */
#ifndef WAYBILL_PKI_CMP_DER_H
#define WAYBILL_PKI_CMP_DER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"

#define DER_INTEGER 0x02
#define DER_BITS    0x03
#define DER_OCTETS  0x04
#define DER_NULL    0x05
#define DER_OID	    0x06
#define DER_UTF8    0x0c
#define DER_TIME    0x18 /* GeneralizedTime */
#define DER_SEQ	    0x30
#define DER_SET	    0x31
#define DER_CTX(n)  (0xa0 | (n)) /* [n], constructed */

/* Elements not read yet.  The first failure sticks: later reads give nothing,
 * so that a caller reads all it expects and asks der_end once. */
struct der {
	struct bytes rest;
	bool bad;
};

struct der der_open(struct bytes in);
/* The next element's tag octet; 0 at the end and after a failure. */
uint8_t der_peek(const struct der *d);
/* The next element, which must have this tag: its contents, the whole of it,
 * or a reader of its contents.  Empty (and `bad`) otherwise. */
struct bytes der_value(struct der *d, uint8_t tag);
struct bytes der_whole(struct der *d, uint8_t tag);
struct der der_enter(struct der *d, uint8_t tag);
/* An INTEGER of at most 32 bits, signed. */
long der_long(struct der *d);
/* Whether nothing failed and nothing is left. */
bool der_end(const struct der *d);
/* Elements left; 0 too if one of them is malformed. */
size_t der_count(struct der d);
/* Whether all of `in` is elements, down to the leaves, at most 32 deep. */
bool der_strict(struct bytes in);

/* Turns what was written since `at` into the contents of one element. */
void der_close(struct buf *out, size_t at, uint8_t tag);
void der_add(struct buf *out, uint8_t tag, struct bytes value);
void der_add_long(struct buf *out, long v);

#endif
