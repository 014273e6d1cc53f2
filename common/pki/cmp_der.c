#include "common/pki/cmp_der.h"

#include <string.h>
#include "common/base/limits.h"

#define DEPTH_MAX LIMIT_DER_DEPTH

/* Tag and length of the first element: how long its head is, and how long
 * what follows. */
static bool
measure(struct bytes in, size_t *ret_head, size_t *ret_len)
{
	size_t i, n, len = 0;

	if (in.len < 2 || in.p[0] == 0 || (in.p[0] & 0x1f) == 0x1f)
		return false;
	n = in.p[1] < 0x80 ? 0 : in.p[1] & 0x7f;
	/* 80 is the indefinite form; three octets are beyond all our limits. */
	if (in.p[1] == 0x80 || n > 3 || in.len < 2 + n)
		return false;
	for (i = 0; i < n; i++)
		len = len << 8 | in.p[2 + i];
	if (n == 0)
		len = in.p[1];
	else if (len < 0x80 || in.p[2] == 0)
		return false;
	if (len > in.len - 2 - n)
		return false;
	*ret_head = 2 + n;
	*ret_len = len;
	return true;
}

/* Takes one element off the front. */
static bool
next(struct der *d, uint8_t tag, struct bytes *ret_whole, size_t *ret_head)
{
	size_t len;

	if (d->bad || der_peek(d) != tag || !measure(d->rest, ret_head, &len)) {
		d->bad = true;
		return false;
	}
	*ret_whole = bytes_of(d->rest.p, *ret_head + len);
	d->rest =
	    bytes_of(d->rest.p + ret_whole->len, d->rest.len - ret_whole->len);
	return true;
}

struct der
der_open(struct bytes in)
{
	return (struct der){ in, false };
}

uint8_t
der_peek(const struct der *d)
{
	return d->bad || d->rest.len == 0 ? 0 : d->rest.p[0];
}

struct bytes
der_value(struct der *d, uint8_t tag)
{
	struct bytes whole;
	size_t head;

	if (!next(d, tag, &whole, &head))
		return (struct bytes){ NULL, 0 };
	return bytes_of(whole.p + head, whole.len - head);
}

struct bytes
der_whole(struct der *d, uint8_t tag)
{
	struct bytes whole;
	size_t head;

	if (!next(d, tag, &whole, &head))
		return (struct bytes){ NULL, 0 };
	return whole;
}

struct der
der_enter(struct der *d, uint8_t tag)
{
	struct bytes value = der_value(d, tag);

	return (struct der){ value, d->bad };
}

long
der_long(struct der *d)
{
	struct bytes v = der_value(d, DER_INTEGER);
	uint32_t n;
	size_t i;

	if (v.len < 1 || v.len > 4) {
		d->bad = true;
		return 0;
	}
	n = v.p[0] & 0x80 ? UINT32_MAX : 0;
	for (i = 0; i < v.len; i++)
		n = n << 8 | v.p[i];
	return (int32_t)n;
}

bool
der_end(const struct der *d)
{
	return !d->bad && d->rest.len == 0;
}

size_t
der_count(struct der d)
{
	size_t n = 0;

	while (der_peek(&d) != 0) {
		der_value(&d, der_peek(&d));
		n++;
	}
	return der_end(&d) ? n : 0;
}

static bool
strict(struct bytes in, int depth)
{
	struct der d = der_open(in);
	struct bytes value;
	uint8_t tag;

	while ((tag = der_peek(&d)) != 0) {
		value = der_value(&d, tag);
		if ((tag & 0x20) != 0 &&
		    (depth == DEPTH_MAX || !strict(value, depth + 1)))
			return false;
	}
	return der_end(&d);
}

bool
der_strict(struct bytes in)
{
	return strict(in, 0);
}

void
der_close(struct buf *out, size_t at, uint8_t tag)
{
	size_t len = out->len - at, n = 0;
	uint8_t head[2 + sizeof(len)] = { tag };

	if (len < 0x80) {
		head[1] = (uint8_t)len;
	} else {
		while (len >> 8 * n != 0)
			n++;
		head[1] = (uint8_t)(0x80 | n);
		for (size_t i = 0; i < n; i++)
			head[2 + i] = (uint8_t)(len >> 8 * (n - 1 - i));
	}
	buf_grow(out, 2 + n);
	memmove(out->data + at + 2 + n, out->data + at, len);
	memcpy(out->data + at, head, 2 + n);
}

void
der_add(struct buf *out, uint8_t tag, struct bytes value)
{
	size_t at = out->len;

	buf_add(out, value.p, value.len);
	der_close(out, at, tag);
}

void
der_add_long(struct buf *out, long v)
{
	uint8_t b[sizeof(v)];
	size_t i, first = 0;

	for (i = 0; i < sizeof(v); i++)
		b[i] = (uint8_t)((unsigned long)v >> 8 * (sizeof(v) - 1 - i));
	/* X.690 8.3.2: the first nine bits are not all alike. */
	while (first < sizeof(v) - 1 &&
	    b[first] == (b[first + 1] & 0x80 ? 0xff : 0x00))
		first++;
	der_add(out, DER_INTEGER, bytes_of(b + first, sizeof(v) - first));
}
