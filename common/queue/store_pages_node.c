#include "common/queue/store_pages_int.h"

#include <string.h>

int
pages_bad(struct walk *w, uint64_t page, const char *why)
{
	return err_set(w->e, ERR_DAMAGE, "%s: page %llu: %s", w->path,
	    (unsigned long long)page, why);
}

const uint8_t *
pages_at(const struct walk *w, uint64_t page)
{
	return w->map + page * w->page_size;
}

int
pages_take(struct walk *w, uint64_t page, uint64_t n)
{
	if (page < FIRST_PAGE || page > w->last || n > w->last - page + 1)
		return pages_bad(w, page, "beyond the last page");
	for (uint64_t i = page; i < page + n; i++) {
		if ((w->seen[i / 8] & 1u << i % 8) != 0)
			return pages_bad(w, i, "stands in two places");
		w->seen[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return 0;
}

int
pages_head(struct walk *w, uint64_t page, uint16_t flags, struct page_head *ret)
{
	memcpy(ret, pages_at(w, page), sizeof(*ret));
	if (ret->number != page)
		return pages_bad(w, page, "has another number");
	if (ret->flags != flags)
		return pages_bad(w, page, "of another kind");
	return 0;
}

/* ---- nodes ----------------------------------------------------------- */

/* Marks the octets of a node as its own, two by two. */
static bool
room_take(uint8_t room[PAGE_MAX / 16], size_t at, size_t len)
{
	for (size_t i = at / 2; i < (at + len + 1) / 2; i++) {
		if ((room[i / 8] & 1u << i % 8) != 0)
			return false;
		room[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return true;
}

/* Octets that a node takes on its page. */
static size_t
node_len(const struct node_head *h, bool leaf)
{
	size_t n = sizeof(*h) + h->key_len;

	if (!leaf)
		return n;
	if ((h->flags & NODE_BIG) != 0)
		return n + sizeof(uint64_t);
	return n + (h->low | (size_t)h->high << 16);
}

static struct node
node_of(const uint8_t *p, const struct node_head *h, bool leaf)
{
	struct node n = { .key = bytes_of(p + sizeof(*h), h->key_len) };

	n.value = n.key.p + n.key.len;
	n.size = h->low | (uint64_t)h->high << 16;
	if (leaf)
		n.flags = h->flags;
	else
		n.size |= (uint64_t)h->flags << 32;
	return n;
}

int
pages_node(struct walk *w, uint64_t page, const struct page_head *h, size_t i,
    uint8_t room[PAGE_MAX / 16], struct node *ret)
{
	const uint8_t *p = pages_at(w, page);
	bool leaf = h->flags == IS_LEAF;
	struct node_head nh;
	uint16_t at;

	memcpy(&at, p + sizeof(*h) + 2 * i, sizeof(at));
	if (at < h->upper || at % 2 != 0 || at + sizeof(nh) > w->page_size)
		return pages_bad(w, page, "a node is outside of it");
	memcpy(&nh, p + at, sizeof(nh));
	if (node_len(&nh, leaf) > w->page_size - at)
		return pages_bad(w, page, "a node leads out of it");
	if (!room_take(room, at, node_len(&nh, leaf)))
		return pages_bad(w, page, "two nodes lie on each other");
	if (nh.key_len > KEY_MAX)
		return pages_bad(w, page, "a key is too long");
	*ret = node_of(p + at, &nh, leaf);
	return 0;
}

static int
key_order(const struct tree *t, struct bytes a, struct bytes b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	uint64_t x, y;
	int rc;

	if (t->integers) {
		memcpy(&x, a.p, sizeof(x));
		memcpy(&y, b.p, sizeof(y));
		return x < y ? -1 : x > y;
	}
	if ((rc = memcmp(a.p, b.p, n)) != 0)
		return rc;
	return a.len < b.len ? -1 : a.len > b.len;
}

int
pages_key_check(const struct tree *t, uint64_t page, struct bytes key,
    const struct bounds *in, struct bytes after)
{
	if (key.len == 0 || (t->integers && key.len != sizeof(uint64_t)))
		return pages_bad(t->w, page, "a key has another length");
	if ((in->from.len > 0 && key_order(t, key, in->from) < 0) ||
	    (in->to.len > 0 && key_order(t, key, in->to) >= 0) ||
	    (after.len > 0 && key_order(t, key, after) <= 0))
		return pages_bad(t->w, page, "a key is out of order");
	return 0;
}
