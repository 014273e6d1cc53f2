/*
 * Inside of store_pages, for store_pages*.c alone: the format of liblmdb 0.9's
 * file, and one walk over it.
 *
 *  store_pages.c       the file and its meta pages; what is mended
 *  store_pages_tree.c  trees and values
 *  store_pages_node.c  a page, and what stands on it
 */
#ifndef WAYBILL_QUEUE_STORE_PAGES_INT_H
#define WAYBILL_QUEUE_STORE_PAGES_INT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/base/buf.h"
#include "common/base/err.h"

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
	struct db is;  /* as counted; depth: of the record */
	bool integers; /* its keys are numbers */
	int (*value)(struct tree *t, uint64_t page, const struct node *n);
};

/* Keys of a page lie in [from, to); no octets at all: no bound. */
struct bounds {
	struct bytes from, to;
};

/* ---- store_pages_node.c ----------------------------------------------- */

/* ERR_DAMAGE that names the page; -1. */
int pages_bad(struct walk *w, uint64_t page, const char *why);
const uint8_t *pages_at(const struct walk *w, uint64_t page);
/* n pages from this one belong to who asks, and to nobody else. */
int pages_take(struct walk *w, uint64_t page, uint64_t n) WARN_UNUSED;
/* The head of a page that has this number and these flags. */
int pages_head(struct walk *w, uint64_t page, uint16_t flags,
    struct page_head *ret) WARN_UNUSED;
/* The i-th node of a page whose head is fine; it lies in the page and on no
 * other node: room is what the ones before take, zeros at first. */
int pages_node(struct walk *w, uint64_t page, const struct page_head *h,
    size_t i, uint8_t room[PAGE_MAX / 16], struct node *ret) WARN_UNUSED;
/* after: the key before it on this page. */
int pages_key_check(const struct tree *t, uint64_t page, struct bytes key,
    const struct bounds *in, struct bytes after) WARN_UNUSED;

/* ---- store_pages_tree.c ----------------------------------------------- */

/* The unnamed database with all that it names, then the free pages; page: where
 * their records stand. */
int pages_main_check(
    struct walk *w, uint64_t page, const struct db *db) WARN_UNUSED;
int pages_free_check(
    struct walk *w, uint64_t page, const struct db *db) WARN_UNUSED;

#endif
