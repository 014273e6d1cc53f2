/*
 * Inside of the configuration, for conf*.c alone.
 *
 *  conf.c         a tree into structs, as the tables say
 *  conf_yaml.c    a file into a tree of nodes
 *  conf_scalar.c  one value, as its table says; complaints
 *  conf_print.c   structs into text again
 */
#ifndef WAYBILL_SYS_CONF_INT_H
#define WAYBILL_SYS_CONF_INT_H

#include "common/sys/conf.h"

enum node_kind { NODE_SCALAR, NODE_MAP, NODE_SEQ };

/* What the file says, with the place where it says it. */
struct node {
	enum node_kind kind;
	unsigned line, col; /* from 1 */
	char *key;	    /* within a map */
	unsigned key_line, key_col;
	char *text; /* of a scalar */
	bool bare;  /* a scalar without quotes */
	struct node *first, **last, *next;
};

void conf_node_free(struct node *n);
AUTO_DEFINE(node, struct node, conf_node_free);

/* Borrowed, or NULL; a map of NULL has no keys. */
struct node *conf_node_find(const struct node *map, const char *key);
/* The whole file, a map at its root; NULL and err. */
struct node *conf_read(const char *path, struct err *e) WARN_UNUSED;

#define CONF_PATH_LEN 200

/* Where a walk stands; one line of complaint is all it can leave. */
struct conf_walk {
	const char *file;
	char path[CONF_PATH_LEN];
	struct err *e;
};

/* Always -1.  at NULL: the fault is in a default, that is in our own table. */
int conf_fail(struct conf_walk *w, const struct node *at, const char *fmt, ...)
    PRINTF(3, 4);
/* -1 if v is not within the item's limits; what names v. */
int conf_in_range(struct conf_walk *w, const struct conf_item *it,
    const struct node *at, uint64_t v, const char *what) WARN_UNUSED;
/* at as above; ret is the item's field. */
int conf_set_scalar(struct conf_walk *w, const struct conf_item *it,
    const struct node *at, const char *text, void *ret) WARN_UNUSED;

/* Where a table's item stands in the struct. */
static inline void *
conf_field(const struct conf_item *it, void *out)
{
	return (char *)out + it->off;
}

#endif
