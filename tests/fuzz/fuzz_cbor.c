/* The reader of CBOR alone: a program of reads, and what they are done on. */
#include <stdlib.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 32

/* What was read is written again. */
static void
step(struct cbor_in *in, uint8_t op, struct buf *out)
{
	char text[TEXT_MAX], fixed[16];
	struct bytes b;
	size_t n;

	switch (op & 15) {
	case 0:
	case 1:
		cbor_write_uint(out, cbor_read_uint(in, UINT64_MAX));
		break;
	case 2:
		cbor_write_int(out, cbor_read_int(in, INT64_MIN, INT64_MAX));
		break;
	case 3:
	case 4:
		b = cbor_read_bytes(in, SIZE_MAX);
		cbor_write_bytes(out, b.p, b.len);
		break;
	case 5:
		if (cbor_read_bytes_or_null(in, op, &b))
			cbor_write_bytes(out, b.p, b.len);
		else
			cbor_write_null(out);
		break;
	case 6:
		cbor_read_fixed(in, fixed, sizeof(fixed));
		cbor_write_bytes(out, fixed, sizeof(fixed));
		break;
	case 7:
	case 8:
		cbor_read_text(in, text, sizeof(text));
		if (!utf8_valid(text, strlen(text)))
			abort();
		cbor_write_text(out, text);
		break;
	case 9:
		cbor_write_bool(out, cbor_read_bool(in));
		break;
	case 10:
	case 11:
	case 12:
		cbor_read_array(in, op >> 4);
		cbor_write_array(out, op >> 4);
		break;
	case 13:
		if ((n = cbor_read_array_upto(in, 1, 64)) > 64)
			abort();
		cbor_write_array(out, n);
		break;
	case 14:
		cbor_write_uint(out, cbor_read_uint(in, op));
		break;
	default:
		if (op == 255)
			cbor_read_bad(in, "for a reason");
		cbor_write_int(out, cbor_read_int(in, -op, op));
	}
	if (in->p < in->start || in->p > in->end || in->depth > CBOR_DEPTH)
		abort();
}

/* First octet: how many of reads follow; then what they read.  There is one
 * encoding of everything: what was read without error is what was there. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cbor_in in;
	struct bytes text;
	size_t n;

	if (size < 1 || size - 1 < data[0])
		return 0;
	n = data[0];
	text = bytes_of(data + 1 + n, size - 1 - n);
	cbor_read_init(&in, text, "input");
	for (size_t i = 0; i < n; i++)
		step(&in, data[1 + i], &out);
	if (cbor_read_end(&in, &e) == -1) {
		if (e.kind != ERR_INPUT)
			abort();
	} else if (!bytes_eq(text, buf_bytes(&out)))
		abort();
	return 0;
}
