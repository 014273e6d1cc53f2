#include "common/queue/store_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "common/base/buf.h"

/* ---- the format ------------------------------------------------------ */

#define MAGIC	    0xBEEFC0DEu
#define VERSION	    1
#define PAGE_MIN    512
#define PAGE_MAX    32768
#define DEPTH_MAX   32 /* of a cursor's stack */
#define KEY_MAX	    511
#define NO_PAGE	    UINT64_MAX
#define FIRST_PAGE  2 /* after the two meta pages */
#define INTEGER_KEY 0x08

#define IS_BRANCH   0x01
#define IS_LEAF	    0x02
#define IS_OVERFLOW 0x04
#define IS_META	    0x08

#define NODE_BIG 0x01 /* its value is on pages of its own */
#define NODE_SUB 0x02 /* its value is a database's record */

/* Of every page; `lower` and `upper` are one count on an overflow page. */
struct page_head {
	uint64_t number;
	uint16_t pad, flags;
	uint16_t lower, upper;
};
_Static_assert(sizeof(struct page_head) == 16, "as on the page");

struct node_head {
	uint16_t low, high, flags, key_len;
};
_Static_assert(sizeof(struct node_head) == 8, "as on the page");

struct db {
	uint32_t pad; /* of the free list: the size of a page */
	uint16_t flags, depth;
	uint64_t branches, leaves, overflows, entries, root;
};
_Static_assert(sizeof(struct db) == 48, "as on the page");

struct meta {
	uint32_t magic, version;
	uint64_t address, map_size;
	struct db free, main;
	uint64_t last, txn;
};
_Static_assert(sizeof(struct meta) == 136, "as on the page");

struct node {
	struct bytes key;
	uint16_t flags;
	uint64_t size; /* of the value; of a branch's node: the page below */
	const uint8_t *value;
};

/* ---- the walk -------------------------------------------------------- */

struct walk {
	const char *path;
	const uint8_t *map;
	size_t size, page_size;
	uint64_t last, txn;
	uint8_t *seen; /* a bit a page */
	bool mend;
	struct page_head *mended; /* new heads of values' first pages */
	size_t n_mended;
	struct err *e;
};

/* One database's tree. */
struct tree {
	struct walk *w;
	const char *name;
	struct db is; /* as counted; depth: of the record */
	bool integers, named;
	int (*value)(struct tree *t, uint64_t page, const struct node *n);
};

/* Keys of a page lie in [from, to); no octets at all: no bound. */
struct bounds {
	struct bytes from, to;
};

static int
bad(struct walk *w, uint64_t page, const char *why)
{
	return err_set(w->e, ERR_DAMAGE, "%s: page %llu: %s", w->path,
	    (unsigned long long)page, why);
}

static const uint8_t *
page_at(const struct walk *w, uint64_t page)
{
	return w->map + page * w->page_size;
}

/* n pages from this one belong to who asks, and to nobody else. */
static int
take(struct walk *w, uint64_t page, uint64_t n)
{
	if (page < FIRST_PAGE || page > w->last || n > w->last - page + 1)
		return bad(w, page, "beyond the last page");
	for (uint64_t i = page; i < page + n; i++) {
		if ((w->seen[i / 8] & 1u << i % 8) != 0)
			return bad(w, i, "stands in two places");
		w->seen[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return 0;
}

static int
head_get(struct walk *w, uint64_t page, uint16_t flags, struct page_head *ret)
{
	memcpy(ret, page_at(w, page), sizeof(*ret));
	if (ret->number != page)
		return bad(w, page, "has another number");
	if (ret->flags != flags)
		return bad(w, page, "of another kind");
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

/* The i-th node of a page whose head is fine; it lies in the page and on no
 * other node. */
static int
node_get(struct walk *w, uint64_t page, const struct page_head *h, size_t i,
    uint8_t room[PAGE_MAX / 16], struct node *ret)
{
	const uint8_t *p = page_at(w, page);
	bool leaf = h->flags == IS_LEAF;
	struct node_head nh;
	uint16_t at;

	memcpy(&at, p + sizeof(*h) + 2 * i, sizeof(at));
	if (at < h->upper || at % 2 != 0 || at + sizeof(nh) > w->page_size)
		return bad(w, page, "a node is outside of it");
	memcpy(&nh, p + at, sizeof(nh));
	if (node_len(&nh, leaf) > w->page_size - at)
		return bad(w, page, "a node leads out of it");
	if (!room_take(room, at, node_len(&nh, leaf)))
		return bad(w, page, "two nodes lie on each other");
	if (nh.key_len > KEY_MAX)
		return bad(w, page, "a key is too long");
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

/* after: the key before it on this page. */
static int
key_check(const struct tree *t, uint64_t page, struct bytes key,
    const struct bounds *in, struct bytes after)
{
	if (key.len == 0 || (t->integers && key.len != sizeof(uint64_t)))
		return bad(t->w, page, "a key has another length");
	if ((in->from.len > 0 && key_order(t, key, in->from) < 0) ||
	    (in->to.len > 0 && key_order(t, key, in->to) >= 0) ||
	    (after.len > 0 && key_order(t, key, after) <= 0))
		return bad(t->w, page, "a key is out of order");
	return 0;
}

/* ---- values ---------------------------------------------------------- */

/* The pages of a value that begins on this one and needs so many.  Damage that
 * can be mended is noted. */
static int
value_pages(struct walk *w, uint64_t first, uint64_t need, uint32_t *ret)
{
	struct page_head h;

	if (head_get(w, first, IS_OVERFLOW, &h) == 0) {
		memcpy(ret, &h.lower, sizeof(*ret));
		if (*ret >= need && *ret <= w->last - first + 1)
			return 0;
		bad(w, first, "its count of pages is wrong");
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
		return bad(t->w, page, "a value is beyond the last page");
	if (value_pages(t->w, first, need, &pages) == -1)
		return -1;
	t->is.overflows += pages;
	*ret =
	    bytes_of(page_at(t->w, first) + sizeof(struct page_head), n->size);
	return take(t->w, first, pages);
}

/* A row of ours. */
static int
value_row(struct tree *t, uint64_t page, const struct node *n)
{
	struct bytes v;

	if ((n->flags & ~NODE_BIG) != 0)
		return bad(t->w, page, "a row of another kind");
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
		return bad(t->w, page, "free pages of another kind");
	if (value_find(t, page, n, &v) == -1)
		return -1;
	if (v.len < sizeof(count))
		return bad(t->w, page, "free pages without a count");
	memcpy(&count, v.p, sizeof(count));
	if (count > v.len / sizeof(count) - 1)
		return bad(t->w, page, "more free pages than are listed");
	memcpy(&id, n->key.p, sizeof(id));
	if (id > t->w->txn)
		return bad(t->w, page, "pages will be free in the future");
	for (uint64_t i = 1; i <= count; i++, before = id) {
		memcpy(&id, v.p + i * sizeof(id), sizeof(id));
		if (id >= before)
			return bad(t->w, page, "free pages out of order");
		if (take(t->w, id, 1) == -1)
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

	if (head_get(w, page, leaf ? IS_LEAF : IS_BRANCH, ret) == -1)
		return -1;
	nodes = ret->lower < sizeof(*ret) ? 0 : (ret->lower - sizeof(*ret)) / 2;
	if (nodes == 0 || ret->lower % 2 != 0 || ret->lower > ret->upper ||
	    ret->upper > w->page_size)
		return bad(w, page, "its bounds are wrong");
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
		if (node_get(t->w, page, h, i, room, &n) == -1 ||
		    key_check(t, page, n.key, in, before) == -1 ||
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
		return bad(t->w, page, "a branch to a single page");
	if (node_get(t->w, page, h, 0, room, &n) == -1)
		return -1;
	for (size_t i = 1; i <= nodes; i++, n = next) {
		below.to = in->to;
		if (i < nodes &&
		    (node_get(t->w, page, h, i, room, &next) == -1 ||
			key_check(t, page, next.key, in,
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

	if (take(t->w, page, 1) == -1 ||
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
		return bad(t->w, page, "a tree of no depth");
	else if (page_check(t, db->root, 1, &all) == -1)
		return -1;
	if (memcmp(&t->is, db, sizeof(*db)) != 0)
		return bad(t->w, page, "a tree has not what its record says");
	return 0;
}

/* The unnamed database holds the records of the others and the plain row. */
static int
value_main(struct tree *t, uint64_t page, const struct node *n)
{
	struct tree sub = { .w = t->w, .value = value_row };
	struct db db;

	if (n->flags != NODE_SUB)
		return value_row(t, page, n);
	if (n->size != sizeof(db))
		return bad(t->w, page, "a database's record is damaged");
	memcpy(&db, n->value, sizeof(db));
	return tree_check(&sub, page, &db);
}

/* ---- the file -------------------------------------------------------- */

static int
meta_get(struct walk *w, uint64_t page, struct meta *ret)
{
	struct page_head h;
	size_t at = page * w->page_size;

	if (at + sizeof(h) + sizeof(*ret) > w->size)
		return bad(w, page, "cut off");
	memcpy(&h, w->map + at, sizeof(h));
	memcpy(ret, w->map + at + sizeof(h), sizeof(*ret));
	if (h.number != page || h.flags != IS_META || ret->magic != MAGIC)
		return bad(w, page, "no meta page");
	if (ret->version != VERSION)
		return bad(w, page, "of another version of LMDB");
	if (ret->free.flags != INTEGER_KEY || ret->main.flags != 0)
		return bad(w, page, "a meta page with odd flags");
	return 0;
}

/* A commit writes the one that its number says, and leaves the other to the
 * commit before; both are zero when no commit was. */
static int
metas_check(struct walk *w, struct meta *ret)
{
	struct meta m[2];
	uint64_t newer;

	if (meta_get(w, 0, &m[0]) == -1)
		return -1;
	w->page_size = m[0].free.pad;
	if (w->page_size < PAGE_MIN || w->page_size > PAGE_MAX ||
	    (w->page_size & (w->page_size - 1)) != 0)
		return bad(w, 0, "its size is wrong");
	if (meta_get(w, 1, &m[1]) == -1)
		return -1;
	newer = m[0].txn < m[1].txn;
	*ret = m[newer];
	if (ret->txn != 0 &&
	    (ret->txn % 2 != newer || m[!newer].txn != ret->txn - 1))
		return bad(w, newer, "the meta pages do not follow each other");
	if (m[0].free.pad != m[1].free.pad)
		return bad(w, 1, "its size is wrong");
	w->last = ret->last;
	w->txn = ret->txn;
	if (ret->last < 1 || ret->last >= w->size / w->page_size)
		return bad(w, newer, "the file is shorter than it says");
	return 0;
}

static int
file_check(struct walk *w)
{
	struct tree main_tree = { .w = w, .value = value_main };
	struct tree free_tree = {
		.w = w, .value = value_free, .integers = true
	};
	AUTO(void) seen = NULL;
	struct meta m;

	if (metas_check(w, &m) == -1)
		return -1;
	w->seen = seen = xcalloc(w->last / 8 + 1, 1);
	if (tree_check(&main_tree, m.txn % 2, &m.main) == -1)
		return -1;
	return tree_check(&free_tree, m.txn % 2, &m.free);
}

/* By hand, not through the map: so it is what is on disk, or an error. */
static int
mended_write(const struct walk *w, int fd)
{
	for (size_t i = 0; i < w->n_mended; i++) {
		const struct page_head *h = &w->mended[i];

		if (pwrite(
			fd, h, sizeof(*h), (off_t)(h->number * w->page_size)) !=
		    (ssize_t)sizeof(*h))
			return err_errno(
			    w->e, ERR_LOCAL, "%s: mending", w->path);
	}
	if (w->n_mended > 0 && fsync(fd) == -1)
		return err_errno(w->e, ERR_LOCAL, "%s: mending", w->path);
	return 0;
}

static int
pages_check(struct walk *w, size_t *ret_mended)
{
	int flags = (w->mend ? O_RDWR : O_RDONLY) | O_CLOEXEC;
	AUTO_FD fd = open(w->path, flags);
	struct stat st;
	void *map;
	int rc;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1 || fstat(fd, &st) == -1)
		return err_errno(w->e, ERR_LOCAL, "%s", w->path);
	if (st.st_size == 0)
		return 0;
	w->size = (size_t)st.st_size;
	map = mmap(NULL, w->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_errno(w->e, ERR_LOCAL, "%s: map", w->path);
	w->map = map;
	rc = file_check(w);
	munmap(map, w->size);
	if (rc == 0)
		rc = mended_write(w, fd);
	if (rc == 0)
		*ret_mended = w->n_mended;
	free(w->mended);
	return rc;
}

int
store_pages_check(const char *path, struct err *e)
{
	struct err own = ERR_INIT;
	struct walk w = { .path = path, .e = e != NULL ? e : &own };
	size_t none;

	return pages_check(&w, &none);
}

int
store_pages_mend(const char *path, size_t *ret_mended, struct err *e)
{
	struct err own = ERR_INIT;
	struct walk w = {
		.path = path, .mend = true, .e = e != NULL ? e : &own
	};

	*ret_mended = 0;
	return pages_check(&w, ret_mended);
}

bool
store_pages_blank(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t at = FIRST_PAGE * sysconf(_SC_PAGESIZE);
	static const uint8_t zeros[65536];
	AUTO(void) chunk = xmalloc(sizeof(zeros));
	ssize_t n;

	if (fd == -1)
		return false;
	while ((n = pread(fd, chunk, sizeof(zeros), at)) > 0) {
		if (memcmp(chunk, zeros, (size_t)n) != 0)
			return false;
		at += n;
	}
	return n == 0;
}
