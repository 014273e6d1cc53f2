#include "common/queue/store_pages_int.h"

#include <string.h>

/* ---- values ---------------------------------------------------------- */

/* The pages of a value that begins on this one and needs so many.  Damage that
 * can be mended is noted. */
static int
value_pages(struct walk *w, uint64_t first, uint64_t need, uint32_t *ret)
{
	struct page_head h;

	if (pages_head(w, first, IS_OVERFLOW, &h) == 0) {
		memcpy(ret, &h.lower, sizeof(*ret));
		if (*ret >= need && *ret <= w->last - first + 1)
			return 0;
		pages_bad(w, first, "its count of pages is wrong");
	}
	if (!w->mend)
		return -1;
	*ret = (uint32_t)need;
	h = (struct page_head){ .number = first, .flags = IS_OVERFLOW };
	memcpy(&h.lower, ret, sizeof(*ret));
	w->mended = xrealloc(w->mended, (w->n_mended + 1) * sizeof(*w->mended));
	w->mended[w->n_mended++] = h;
	return 0;
}

/* What a node's value leads to: octets on the page, or pages of its own. */
static int
value_find(
    struct tree *t, uint64_t page, const struct node *n, struct bytes *ret)
{
	uint64_t first, need;
	uint32_t pages = 0;

	*ret = bytes_of(n->value, n->size);
	if ((n->flags & NODE_BIG) == 0)
		return 0;
	memcpy(&first, n->value, sizeof(first));
	need = (sizeof(struct page_head) - 1 + n->size) / t->w->page_size + 1;
	if (first < FIRST_PAGE || first > t->w->last ||
	    need > t->w->last - first + 1)
		return pages_bad(t->w, page, "a value is beyond the last page");
	if (value_pages(t->w, first, need, &pages) == -1)
		return -1;
	t->is.overflows += pages;
	*ret =
	    bytes_of(pages_at(t->w, first) + sizeof(struct page_head), n->size);
	return pages_take(t->w, first, pages);
}

/* A row of ours. */
static int
value_row(struct tree *t, uint64_t page, const struct node *n)
{
	struct bytes v;

	if ((n->flags & ~NODE_BIG) != 0)
		return pages_bad(t->w, page, "a row of another kind");
	return value_find(t, page, n, &v);
}

/* The pages that one transaction left: their count, then their numbers, the
 * highest first.  Only what is on no tree may be free, so this one comes last.
 */
static int
value_free(struct tree *t, uint64_t page, const struct node *n)
{
	uint64_t count, before = NO_PAGE, id;
	struct bytes v;

	if ((n->flags & ~NODE_BIG) != 0)
		return pages_bad(t->w, page, "free pages of another kind");
	if (value_find(t, page, n, &v) == -1)
		return -1;
	if (v.len < sizeof(count))
		return pages_bad(t->w, page, "free pages without a count");
	memcpy(&count, v.p, sizeof(count));
	if (count > v.len / sizeof(count) - 1)
		return pages_bad(t->w, page, "more free pages than are listed");
	memcpy(&id, n->key.p, sizeof(id));
	if (id > t->w->txn)
		return pages_bad(
		    t->w, page, "pages will be free in the future");
	for (uint64_t i = 1; i <= count; i++, before = id) {
		memcpy(&id, v.p + i * sizeof(id), sizeof(id));
		if (id >= before)
			return pages_bad(t->w, page, "free pages out of order");
		if (pages_take(t->w, id, 1) == -1)
			return -1;
	}
	return 0;
}

/* ---- trees ----------------------------------------------------------- */

static int page_check(
    struct tree *t, uint64_t page, unsigned depth, const struct bounds *in);

static int
page_head_check(struct walk *w, uint64_t page, bool leaf, struct page_head *ret)
{
	size_t nodes;

	if (pages_head(w, page, leaf ? IS_LEAF : IS_BRANCH, ret) == -1)
		return -1;
	nodes = ret->lower < sizeof(*ret) ? 0 : (ret->lower - sizeof(*ret)) / 2;
	if (nodes == 0 || ret->lower % 2 != 0 || ret->lower > ret->upper ||
	    ret->upper > w->page_size)
		return pages_bad(w, page, "its bounds are wrong");
	return 0;
}

static int
leaf_check(struct tree *t, uint64_t page, const struct page_head *h,
    const struct bounds *in)
{
	size_t nodes = (h->lower - sizeof(*h)) / 2;
	uint8_t room[PAGE_MAX / 16];
	struct bytes before = { NULL, 0 };
	struct node n;

	memset(room, 0, t->w->page_size / 16);
	for (size_t i = 0; i < nodes; i++, before = n.key)
		if (pages_node(t->w, page, h, i, room, &n) == -1 ||
		    pages_key_check(t, page, n.key, in, before) == -1 ||
		    t->value(t, page, &n) == -1)
			return -1;
	t->is.leaves++;
	t->is.entries += nodes;
	return 0;
}

/* LMDB does not look at a branch's first key. */
static int
branch_check(struct tree *t, uint64_t page, const struct page_head *h,
    unsigned depth, const struct bounds *in)
{
	size_t nodes = (h->lower - sizeof(*h)) / 2;
	struct bounds below = *in;
	struct node n, next;
	uint8_t room[PAGE_MAX / 16] = { 0 };

	/* LMDB asserts this. */
	if (nodes < 2 && t->value != value_free)
		return pages_bad(t->w, page, "a branch to a single page");
	if (pages_node(t->w, page, h, 0, room, &n) == -1)
		return -1;
	for (size_t i = 1; i <= nodes; i++, n = next) {
		below.to = in->to;
		if (i < nodes &&
		    (pages_node(t->w, page, h, i, room, &next) == -1 ||
			pages_key_check(t, page, next.key, in,
			    i > 1 ? n.key : in->from) == -1))
			return -1;
		if (i < nodes)
			below.to = next.key;
		if (page_check(t, n.size, depth + 1, &below) == -1)
			return -1;
		below.from = below.to;
	}
	t->is.branches++;
	return 0;
}

static int
page_check(
    struct tree *t, uint64_t page, unsigned depth, const struct bounds *in)
{
	bool leaf = depth == t->is.depth;
	struct page_head h;

	if (pages_take(t->w, page, 1) == -1 ||
	    page_head_check(t->w, page, leaf, &h) == -1)
		return -1;
	return leaf ? leaf_check(t, page, &h, in)
		    : branch_check(t, page, &h, depth, in);
}

/* page: where its record stands. */
static int
tree_check(struct tree *t, uint64_t page, const struct db *db)
{
	const struct bounds all = { { NULL, 0 }, { NULL, 0 } };

	t->is = (struct db){ .pad = db->pad,
		.flags = t->integers ? INTEGER_KEY : 0,
		.depth = db->depth,
		.root = db->root };
	if (db->root == NO_PAGE)
		t->is.depth = 0;
	else if (db->depth == 0 || db->depth > DEPTH_MAX)
		return pages_bad(t->w, page, "a tree of no depth");
	else if (page_check(t, db->root, 1, &all) == -1)
		return -1;
	if (memcmp(&t->is, db, sizeof(*db)) != 0)
		return pages_bad(
		    t->w, page, "a tree has not what its record says");
	return 0;
}

/* The unnamed database holds the records of the others, the plain row and the
 * head. */
static int
value_main(struct tree *t, uint64_t page, const struct node *n)
{
	struct tree sub = { .w = t->w, .value = value_row };
	struct db db;

	if (n->flags != NODE_SUB)
		return value_row(t, page, n);
	if (n->size != sizeof(db))
		return pages_bad(t->w, page, "a database's record is damaged");
	memcpy(&db, n->value, sizeof(db));
	return tree_check(&sub, page, &db);
}

int
pages_main_check(struct walk *w, uint64_t page, const struct db *db)
{
	struct tree t = { .w = w, .value = value_main };

	return tree_check(&t, page, db);
}

int
pages_free_check(struct walk *w, uint64_t page, const struct db *db)
{
	struct tree t = { .w = w, .value = value_free, .integers = true };

	return tree_check(&t, page, db);
}
