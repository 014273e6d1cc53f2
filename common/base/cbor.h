/*
 * Deterministic CBOR (RFC 8949 4.2): libcbor writes, a bounded reader of our
 * own reads.  Only what the schemas use: unsigned and negative integers,
 * octet strings, UTF-8 text, arrays of definite length, true, false, null.
 * The reader refuses longer than shortest integers, indefinite lengths, tags,
 * floats, maps, depth over CBOR_DEPTH, and lengths beyond the input.
 *
 * libcbor owns cbor_get_*, cbor_encode_*, cbor_is_* and more of the prefix;
 * cbor_read_* and cbor_write_* are ours alone.  Only cbor.c includes <cbor.h>.
 */
#ifndef WAYBILL_BASE_CBOR_H
#define WAYBILL_BASE_CBOR_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/limits.h"

#define CBOR_DEPTH LIMIT_CBOR_DEPTH

void cbor_write_uint(struct buf *out, uint64_t v);
void cbor_write_int(struct buf *out, int64_t v);
void cbor_write_bytes(struct buf *out, const void *p, size_t n);
/* s must be UTF-8 (utf8_valid): the reader refuses what is not. */
void cbor_write_text(struct buf *out, const char *s);
void cbor_write_array(struct buf *out, size_t n);
void cbor_write_bool(struct buf *out, bool v);
void cbor_write_null(struct buf *out);
/* An octet string, or null if p is NULL. */
void cbor_write_bytes_or_null(struct buf *out, const void *p, size_t n);

/*
 * The reader sticks at its first error: read all fields, then ask once with
 * cbor_read_end().  After an error every read leaves its output zeroed
 * and stays where it was.
 */
struct cbor_in {
	const uint8_t *start, *p, *end;
	const char *what; /* for messages: "entry header" */
	const char *bad;  /* NULL, or what was wrong */
	unsigned depth;
	uint64_t left[CBOR_DEPTH]; /* items still to come, by depth */
};

void cbor_read_init(struct cbor_in *in, struct bytes b, const char *what);
uint64_t cbor_read_uint(struct cbor_in *in, uint64_t max);
int64_t cbor_read_int(struct cbor_in *in, int64_t min, int64_t max);
/* Borrowed from the input. */
struct bytes cbor_read_bytes(struct cbor_in *in, size_t max);
/* False and zeroed at null. */
bool cbor_read_bytes_or_null(struct cbor_in *in, size_t max, struct bytes *ret);
/* Exactly n octets, copied. */
void cbor_read_fixed(struct cbor_in *in, void *dst, size_t n);
/* UTF-8 text of less than size octets, no NUL inside, copied, terminated. */
void cbor_read_text(struct cbor_in *in, char *dst, size_t size);
bool cbor_read_bool(struct cbor_in *in);
/* An array of exactly n items. */
void cbor_read_array(struct cbor_in *in, size_t n);
/* An array of min to max items; returns how many. */
size_t cbor_read_array_upto(struct cbor_in *in, size_t min, size_t max);
/* Marks the input as bad for a reason of the caller's (borrowed). */
void cbor_read_bad(struct cbor_in *in, const char *why);
/* 0 if all was read without error, every array was read to its end and nothing
 * trails; else ERR_INPUT. */
int cbor_read_end(struct cbor_in *in, struct err *e) WARN_UNUSED;

#endif
