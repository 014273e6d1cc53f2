/*
 * Walks a DER file and writes it once for each of its constructed elements,
 * with that one spoiled and the lengths around it put right: a reader meets
 * the fault however deep it stands.  OUT-DIR/NNN.der, and on stdout a line
 * each: file, offset, tag.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/file.h"
#include "common/base/str.h"

#define IN_MAX (64 * 1024)

/* One element; octets are of the whole file. */
struct element {
	const uint8_t *at;
	size_t head, len; /* octets of tag and length; of the content */
	bool constructed;
};

static bool
element_read(const uint8_t *p, size_t n, struct element *ret)
{
	size_t octets, len = 0;

	if (n < 2 || (p[0] & 0x1f) == 0x1f)
		return false;
	octets = p[1] < 0x80 ? 0 : p[1] & 0x7f;
	if (octets > 3 || p[1] == 0x80 || n < 2 + octets)
		return false;
	for (size_t i = 0; i < octets; i++)
		len = len << 8 | p[2 + i];
	ret->at = p;
	ret->head = 2 + octets;
	ret->len = octets == 0 ? p[1] : len;
	ret->constructed = (p[0] & 0x20) != 0;
	return ret->len <= n - ret->head;
}

/* ---- what is done to one element ---------------------------------------- */

static void
put_head(struct buf *out, uint8_t tag, size_t len)
{
	uint8_t head[] = { tag, 0x83, (uint8_t)(len >> 16), (uint8_t)(len >> 8),
		(uint8_t)len };
	uint8_t small[] = { tag, (uint8_t)len };

	if (len < 0x80) {
		buf_add(out, small, sizeof(small));
		return;
	}
	/* The shortest form: DER. */
	head[1] = len > 0xffff ? 0x83 : len > 0xff ? 0x82 : 0x81;
	buf_add(out, head, 2);
	buf_add(out, head + 5 - (head[1] & 0x7f), head[1] & 0x7f);
}

static void
spoil_empty(const struct element *el, struct buf *out)
{
	put_head(out, el->at[0], 0);
}

static void
spoil_indefinite(const struct element *el, struct buf *out)
{
	uint8_t head[] = { el->at[0], 0x80 };

	buf_add(out, head, sizeof(head));
	buf_add(out, el->at + el->head, el->len);
	buf_add(out, "\0\0", 2);
}

static void
spoil_huge(const struct element *el, struct buf *out)
{
	uint8_t head[] = { el->at[0], 0x84, 0x7f, 0xff, 0xff, 0xff };

	buf_add(out, head, sizeof(head));
	buf_add(out, el->at + el->head, el->len);
}

static void
spoil_endless(const struct element *el, struct buf *out)
{
	uint8_t head[10] = { el->at[0], 0x88 };

	memset(head + 2, 0xff, 8);
	buf_add(out, head, sizeof(head));
	buf_add(out, el->at + el->head, el->len);
}

static void
spoil_trailing(const struct element *el, struct buf *out)
{
	put_head(out, el->at[0], el->len + 1);
	buf_add(out, el->at + el->head, el->len);
	buf_add(out, "\0", 1);
}

static const struct mode {
	const char *name;
	void (*spoil)(const struct element *el, struct buf *out);
} modes[] = {
	{ "empty", spoil_empty },
	{ "indefinite", spoil_indefinite },
	{ "huge", spoil_huge },
	{ "endless", spoil_endless },
	{ "trailing", spoil_trailing },
};

/* ---- the walk ----------------------------------------------------------- */

/* Elements side by side, again; the one at `target` spoiled. */
static void
copy(struct bytes in, const uint8_t *target, const struct mode *m,
    struct buf *out)
{
	const uint8_t *p = in.p;
	struct element el;

	while (p < in.p + in.len) {
		struct buf inner AUTO_BUF = { 0 };
		size_t whole;

		if (!element_read(p, (size_t)(in.p + in.len - p), &el))
			err_die("not DER");
		whole = el.head + el.len;
		if (p == target) {
			m->spoil(&el, out);
		} else if (target > p && target < p + whole) {
			copy(bytes_of(p + el.head, el.len), target, m, &inner);
			put_head(out, p[0], inner.len);
			buf_add(out, inner.data, inner.len);
		} else {
			buf_add(out, p, whole);
		}
		p += whole;
	}
}

struct walk {
	struct bytes in;
	const struct mode *mode;
	const char *dir;
	unsigned n;
};

static int
write_one(struct walk *w, const struct element *el, struct err *e)
{
	struct buf out AUTO_BUF = { 0 };
	char path[512];

	snprintf(path, sizeof(path), "%s/%03u.der", w->dir, w->n++);
	copy(w->in, el->at, w->mode, &out);
	printf("%s %td %02x\n", path, el->at - w->in.p, el->at[0]);
	return file_write(path, 0600, buf_bytes(&out), e);
}

static int
walk(struct walk *w, struct bytes part, struct err *e)
{
	const uint8_t *p = part.p;
	struct element el;

	for (; p < part.p + part.len; p += el.head + el.len) {
		if (!element_read(p, (size_t)(part.p + part.len - p), &el))
			return err_set(
			    e, ERR_INPUT, "offset %td: no DER", p - w->in.p);
		if (!el.constructed || el.len == 0)
			continue;
		if (write_one(w, &el, e) == -1 ||
		    walk(w, bytes_of(p + el.head, el.len), e) == -1)
			return -1;
	}
	return 0;
}

static int
run(char **arg, struct err *e)
{
	struct buf der AUTO_BUF = { 0 };
	struct walk w = { .dir = arg[2] };

	if (file_read(arg[1], IN_MAX, &der, e) == -1)
		return -1;
	w.in = buf_bytes(&der);
	for (size_t i = 0; i < NELEMS(modes); i++)
		if (strcmp(modes[i].name, arg[0]) == 0)
			w.mode = &modes[i];
	if (w.mode == NULL)
		return err_set(e, ERR_USAGE, "no mode %s", arg[0]);
	return walk(&w, w.in, e);
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	if (argc != 4) {
		fprintf(stderr, "usage: der_walk MODE IN OUT-DIR\n");
		return 2;
	}
	if (run(argv + 1, &e) == 0)
		return 0;
	fprintf(stderr, "der_walk: %s\n", e.msg);
	return err_exit_code(e.kind);
}
