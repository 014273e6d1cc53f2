#include "common/base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "common/base/err.h"

/* malloc(0) may be NULL, which is not what our callers mean by it. */
static void *
must(void *p)
{
	if (p == NULL)
		err_die("out of memory");
	return p;
}

void *
xmalloc(size_t n)
{
	return must(malloc(n > 0 ? n : 1));
}

void *
xcalloc(size_t n, size_t size)
{
	if (n == 0 || size == 0)
		n = size = 1;
	return must(calloc(n, size));
}

void *
xrealloc(void *p, size_t n)
{
	return must(realloc(p, n > 0 ? n : 1));
}

char *
xstrdup(const char *s)
{
	return must(strdup(s));
}

void
buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
}

void
buf_wipe(struct buf *b)
{
	if (b->data != NULL)
		OPENSSL_cleanse(b->data, b->cap);
	buf_done(b);
}

/* Makes room for n more octets. */
static void
reserve(struct buf *b, size_t n)
{
	size_t want;

	if (n <= b->cap - b->len && b->data != NULL)
		return;
	if (n > SIZE_MAX / 2 - b->len)
		err_die("out of memory");
	want = b->len + n;
	if (want < 2 * b->cap)
		want = 2 * b->cap;
	b->data = xrealloc(b->data, want > 64 ? want : 64);
	b->cap = want > 64 ? want : 64;
}

uint8_t *
buf_grow(struct buf *b, size_t n)
{
	uint8_t *p;

	reserve(b, n);
	p = b->data + b->len;
	b->len += n;
	return p;
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n > 0)
		memcpy(buf_grow(b, n), p, n);
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	reserve(b, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_drop(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

const char *
buf_cstr(struct buf *b)
{
	reserve(b, 1);
	b->data[b->len] = '\0';
	return (const char *)b->data;
}

bool
bytes_eq(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

struct buf
bytes_dup(struct bytes b)
{
	struct buf ret = { 0 };

	buf_add(&ret, b.p, b.len);
	return ret;
}
