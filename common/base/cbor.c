#include "common/base/cbor.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <cbor.h>

#include "common/base/str.h"

#define HEAD_MAX 9

/* Major types (RFC 8949 3.1) and the simple values that we know. */
enum {
	UINT,
	NEGINT,
	BYTES,
	TEXT,
	ARRAY,
};
#define FALSE_OCTET 0xf4
#define TRUE_OCTET  0xf5
#define NULL_OCTET  0xf6

/*
 * RFC 8949 4.2.1: the shortest head.  libcbor takes the width from the name
 * of the call, and knows a width for integers only: the other major types
 * differ from them in the three upper bits alone.
 */
static void
write_head(struct buf *out, unsigned major, uint64_t v)
{
	unsigned char head[HEAD_MAX];
	size_t n;

	if (v <= UINT8_MAX)
		n = cbor_encode_uint8((uint8_t)v, head, sizeof(head));
	else if (v <= UINT16_MAX)
		n = cbor_encode_uint16((uint16_t)v, head, sizeof(head));
	else if (v <= UINT32_MAX)
		n = cbor_encode_uint32((uint32_t)v, head, sizeof(head));
	else
		n = cbor_encode_uint64(v, head, sizeof(head));
	assert(n > 0);
	head[0] |= (unsigned char)(major << 5);
	buf_add(out, head, n);
}

void
cbor_write_uint(struct buf *out, uint64_t v)
{
	write_head(out, UINT, v);
}

void
cbor_write_int(struct buf *out, int64_t v)
{
	if (v >= 0)
		write_head(out, UINT, (uint64_t)v);
	else
		write_head(out, NEGINT, (uint64_t)(-1 - v));
}

void
cbor_write_bytes(struct buf *out, const void *p, size_t n)
{
	write_head(out, BYTES, n);
	buf_add(out, p, n);
}

void
cbor_write_text(struct buf *out, const char *s)
{
	size_t n = strlen(s);

	write_head(out, TEXT, n);
	buf_add(out, s, n);
}

void
cbor_write_array(struct buf *out, size_t n)
{
	write_head(out, ARRAY, n);
}

void
cbor_write_bool(struct buf *out, bool v)
{
	unsigned char head[HEAD_MAX];

	buf_add(out, head, cbor_encode_bool(v, head, sizeof(head)));
}

void
cbor_write_null(struct buf *out)
{
	unsigned char head[HEAD_MAX];

	buf_add(out, head, cbor_encode_null(head, sizeof(head)));
}

void
cbor_write_bytes_or_null(struct buf *out, const void *p, size_t n)
{
	if (p == NULL)
		cbor_write_null(out);
	else
		cbor_write_bytes(out, p, n);
}

void
cbor_read_init(struct cbor_in *in, struct bytes b, const char *what)
{
	static const uint8_t nothing[1];

	*in = (struct cbor_in){ .what = what };
	in->start = in->p = b.p != NULL ? b.p : nothing;
	in->end = in->p + b.len;
}

void
cbor_read_bad(struct cbor_in *in, const char *why)
{
	if (in->bad == NULL)
		in->bad = why;
}

/* Leaves the arrays of which all items were read. */
static void
leave_arrays(struct cbor_in *in)
{
	while (in->depth > 0 && in->left[in->depth - 1] == 0)
		in->depth--;
}

/* Moves behind an item, or behind the head of an array. */
static void
advance(struct cbor_in *in, const uint8_t *to)
{
	leave_arrays(in);
	if (in->depth > 0)
		in->left[in->depth - 1]--;
	in->p = to;
}

/* The argument behind the initial octet, RFC 8949 3: its additional
 * information says how many octets follow. */
static const uint8_t *
read_argument(struct cbor_in *in, uint64_t *ret)
{
	static const uint64_t least[] = { 24, UINT64_C(1) << 8,
		UINT64_C(1) << 16, UINT64_C(1) << 32 };
	unsigned info = in->p[0] & 31, i;
	const uint8_t *p = in->p + 1;
	uint64_t v = 0;

	if (info < 24) {
		*ret = info;
		return p;
	}
	if (info > 27) {
		cbor_read_bad(
		    in, info == 31 ? "indefinite length" : "reserved head");
		return NULL;
	}
	if (in->end - p < 1 << (info - 24)) {
		cbor_read_bad(in, "ends within a head");
		return NULL;
	}
	for (i = 0; i < 1u << (info - 24); i++)
		v = v << 8 | *p++;
	if (v < least[info - 24]) {
		cbor_read_bad(in, "longer than shortest form");
		return NULL;
	}
	*ret = v;
	return p;
}

/* The next head, of the major type wanted, without moving; returns where it
 * ends, NULL if the input is bad. */
static const uint8_t *
read_head(struct cbor_in *in, unsigned major, uint64_t *ret)
{
	static const char *const wanted[] = {
		[UINT] = "expected an unsigned integer",
		[NEGINT] = "expected an integer",
		[BYTES] = "expected an octet string",
		[TEXT] = "expected text",
		[ARRAY] = "expected an array",
	};

	if (in->bad != NULL)
		return NULL;
	if (in->p == in->end) {
		cbor_read_bad(in, "ends too early");
		return NULL;
	}
	if (in->p[0] >> 5 != major) {
		cbor_read_bad(in, wanted[major]);
		return NULL;
	}
	return read_argument(in, ret);
}

/* The content of a string of at most max octets. */
static struct bytes
read_string(struct cbor_in *in, unsigned major, size_t max)
{
	struct bytes none = { NULL, 0 };
	const uint8_t *p;
	uint64_t n;

	if ((p = read_head(in, major, &n)) == NULL)
		return none;
	if (n > (uint64_t)(in->end - p)) {
		cbor_read_bad(in, "length beyond the end");
		return none;
	}
	if (n > max) {
		cbor_read_bad(in, "string over its limit");
		return none;
	}
	advance(in, p + n);
	return bytes_of(p, (size_t)n);
}

uint64_t
cbor_read_uint(struct cbor_in *in, uint64_t max)
{
	const uint8_t *p;
	uint64_t v;

	if ((p = read_head(in, UINT, &v)) == NULL)
		return 0;
	if (v > max) {
		cbor_read_bad(in, "integer out of range");
		return 0;
	}
	advance(in, p);
	return v;
}

int64_t
cbor_read_int(struct cbor_in *in, int64_t min, int64_t max)
{
	bool plus = in->p < in->end && in->p[0] >> 5 == UINT;
	const uint8_t *p;
	uint64_t n;
	int64_t v;

	if ((p = read_head(in, plus ? UINT : NEGINT, &n)) == NULL)
		return 0;
	v = plus ? (int64_t)n : -1 - (int64_t)n;
	if (n > INT64_MAX || v < min || v > max) {
		cbor_read_bad(in, "integer out of range");
		return 0;
	}
	advance(in, p);
	return v;
}

struct bytes
cbor_read_bytes(struct cbor_in *in, size_t max)
{
	return read_string(in, BYTES, max);
}

bool
cbor_read_bytes_or_null(struct cbor_in *in, size_t max, struct bytes *ret)
{
	*ret = (struct bytes){ NULL, 0 };
	if (in->bad == NULL && in->p < in->end && in->p[0] == NULL_OCTET) {
		advance(in, in->p + 1);
		return false;
	}
	*ret = read_string(in, BYTES, max);
	return ret->p != NULL;
}

void
cbor_read_fixed(struct cbor_in *in, void *dst, size_t n)
{
	struct cbor_in before = *in;
	struct bytes b = read_string(in, BYTES, n);

	if (b.p != NULL && b.len == n) {
		memcpy(dst, b.p, n);
		return;
	}
	memset(dst, 0, n);
	if (b.p != NULL) {
		*in = before;
		cbor_read_bad(in, "octet string of wrong length");
	}
}

void
cbor_read_text(struct cbor_in *in, char *dst, size_t size)
{
	struct cbor_in before = *in;
	struct bytes b;

	assert(size > 0);
	memset(dst, 0, size);
	b = read_string(in, TEXT, size - 1);
	if (b.p == NULL)
		return;
	if (!utf8_valid(b.p, b.len) || memchr(b.p, 0, b.len) != NULL) {
		*in = before;
		cbor_read_bad(in, "text is not UTF-8 or has a NUL");
		return;
	}
	memcpy(dst, b.p, b.len);
}

bool
cbor_read_bool(struct cbor_in *in)
{
	uint8_t octet = in->p < in->end ? in->p[0] : 0;

	if (in->bad != NULL)
		return false;
	if (octet != FALSE_OCTET && octet != TRUE_OCTET) {
		cbor_read_bad(in, "expected true or false");
		return false;
	}
	advance(in, in->p + 1);
	return octet == TRUE_OCTET;
}

void
cbor_read_array(struct cbor_in *in, size_t n)
{
	cbor_read_array_upto(in, n, n);
}

size_t
cbor_read_array_upto(struct cbor_in *in, size_t min, size_t max)
{
	const uint8_t *p;
	uint64_t n;

	if ((p = read_head(in, ARRAY, &n)) == NULL)
		return 0;
	leave_arrays(in);
	if (n < min || n > max)
		cbor_read_bad(in, "array of wrong length");
	else if (n > (uint64_t)(in->end - p))
		cbor_read_bad(in, "length beyond the end");
	else if (in->depth == CBOR_DEPTH)
		cbor_read_bad(in, "nested too deep");
	if (in->bad != NULL)
		return 0;
	advance(in, p);
	in->left[in->depth++] = n;
	return (size_t)n;
}

int
cbor_read_end(struct cbor_in *in, struct err *e)
{
	leave_arrays(in);
	if (in->p != in->end)
		cbor_read_bad(in, "octets trail");
	else if (in->depth > 0)
		cbor_read_bad(in, "array not read to its end");
	if (in->bad == NULL)
		return 0;
	return err_set(e, ERR_INPUT, "%s: octet %td: %s", in->what,
	    in->p - in->start, in->bad);
}
