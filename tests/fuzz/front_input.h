/*
 * Requests in the inputs of fuzz_front, one after the other: two octets of
 * flags, path and Content-Type with a NUL behind each, two octets of big-endian
 * length, so many octets of body (or fewer: the rest).
 */
#ifndef WAYBILL_TESTS_FRONT_INPUT_H
#define WAYBILL_TESTS_FRONT_INPUT_H

#include <string.h>

#include "common/base/buf.h"
#include "common/sys/https.h"

#define FRONT_TEXT_MAX 1024

enum front_kind {
	FRONT_RAW,     /* the body as it is */
	FRONT_CMP,     /* a PKIBody, in a message that the device signs */
	FRONT_FOLLOW,  /* the same, in the transaction of the last answer */
	FRONT_VOUCHER, /* a voucher request, which the device signs */
};

struct front_input {
	enum front_kind kind;
	unsigned peer; /* of TLS: none, the device, another, the registrar */
	enum https_method method;
	bool control, implicit;
	char path[FRONT_TEXT_MAX]; /* with the query */
	char type[FRONT_TEXT_MAX];
	struct bytes body;
};

static inline void
front_take_text(struct bytes *from, char ret[FRONT_TEXT_MAX])
{
	size_t n = strnlen((const char *)from->p, from->len);
	size_t keep = n < FRONT_TEXT_MAX ? n : FRONT_TEXT_MAX - 1;

	if (keep > 0)
		memcpy(ret, from->p, keep);
	ret[keep] = '\0';
	n += n < from->len;
	from->p += n;
	from->len -= n;
}

/* False at the end. */
static inline bool
front_input_next(struct bytes *from, struct front_input *ret)
{
	size_t n;

	if (from->len < 4)
		return false;
	ret->kind = from->p[0] & 3;
	ret->peer = from->p[0] >> 2 & 3;
	ret->method = (enum https_method)((from->p[0] >> 4 & 3) % 3);
	ret->implicit = from->p[0] >> 6 & 1;
	ret->control = from->p[1] & 1;
	*from = bytes_of(from->p + 2, from->len - 2);
	front_take_text(from, ret->path);
	front_take_text(from, ret->type);
	if (from->len < 2)
		return false;
	n = (size_t)from->p[0] << 8 | from->p[1];
	*from = bytes_of(from->p + 2, from->len - 2);
	if (n > from->len)
		n = from->len;
	ret->body = bytes_of(from->p, n);
	*from = bytes_of(from->p + n, from->len - n);
	return true;
}

static inline void
front_input_add(struct buf *out, const struct front_input *in)
{
	uint8_t flags[2] = { (uint8_t)(in->kind | in->peer << 2 |
				 (unsigned)in->method << 4 |
				 (unsigned)in->implicit << 6),
		in->control };
	uint8_t length[2] = { (uint8_t)(in->body.len >> 8),
		(uint8_t)in->body.len };

	buf_add(out, flags, sizeof(flags));
	buf_add(out, in->path, strlen(in->path) + 1);
	buf_add(out, in->type, strlen(in->type) + 1);
	buf_add(out, length, sizeof(length));
	buf_add(out, in->body.p, in->body.len);
}

#endif
