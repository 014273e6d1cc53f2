/* Bytes: a borrowed slice, and a buffer that grows. */
#ifndef WAYBILL_BASE_BUF_H
#define WAYBILL_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include "common/base/cleanup.h"

/* Borrowed: valid as long as its owner is unchanged.  p may be NULL if len
 * is 0. */
struct bytes {
	const uint8_t *p;
	size_t len;
};

/* Owned; {0} is an empty one.  Memory comes from malloc, so `data` may be
 * taken with STEAL (set len and cap to 0 then). */
struct buf {
	uint8_t *data;
	size_t len, cap;
};

/* Memory exhaustion ends the process with one line: there is no state that
 * could be saved better than by the last commit. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);

void buf_done(struct buf *b);  /* frees; b is empty again */
void buf_reset(struct buf *b); /* len = 0, memory kept */
/* Cleanses, then buf_done: for secrets.  Growing may leave a copy behind, so
 * let a buffer for a secret reach its size in one buf_grow. */
void buf_wipe(struct buf *b);
/* Grows by n octets and returns where they start. */
uint8_t *buf_grow(struct buf *b, size_t n);
/* What is added must not lie in the buffer itself. */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
/* Drops n octets at the front, of which there must be as many. */
void buf_drop(struct buf *b, size_t n);
/* A NUL-terminated view (the NUL is not counted in len), until b changes. */
const char *buf_cstr(struct buf *b);

static inline struct bytes
buf_bytes(const struct buf *b)
{
	return (struct bytes){ b->data, b->len };
}

static inline struct bytes
bytes_of(const void *p, size_t len)
{
	return (struct bytes){ p, len };
}

bool bytes_eq(struct bytes a, struct bytes b);
/* A malloc'd copy as a buffer. */
struct buf bytes_dup(struct bytes b);

/* struct buf b AUTO_BUF = {0}; frees itself at the end of its scope. */
#define AUTO_BUF    __attribute__((cleanup(buf_done)))
#define AUTO_SECRET __attribute__((cleanup(buf_wipe)))

#endif
