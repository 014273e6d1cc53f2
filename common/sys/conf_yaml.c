#include "common/sys/conf_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>
#include "common/base/file.h"
#include "common/base/limits.h"

#define FILE_MAX  LIMIT_CONF_FILE
#define DEPTH_MAX LIMIT_CONF_DEPTH
#define NODES_MAX LIMIT_CONF_NODES

void
conf_node_free(struct node *n)
{
	struct node *child;

	if (n == NULL)
		return;
	while ((child = n->first) != NULL) {
		n->first = child->next;
		conf_node_free(child);
	}
	free(n->key);
	free(n->text);
	free(n);
}

struct node *
conf_node_find(const struct node *map, const char *key)
{
	struct node *n;

	for (n = map == NULL ? NULL : map->first; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

/*
 * The file into nodes.
 */
struct reader {
	const char *file;
	yaml_parser_t y;
	unsigned nodes;
	struct err *e;
};

static int PRINTF(3, 4)
    refuse(struct reader *r, const yaml_mark_t *at, const char *fmt, ...)
{
	char why[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(r->e, ERR_CONF, "%s:%zu:%zu: %s", r->file, at->line + 1,
	    at->column + 1, why);
}

static int
next_event(struct reader *r, yaml_event_t *ev)
{
	if (yaml_parser_parse(&r->y, ev))
		return 0;
	/* Only the reader's errors (octets that are no UTF-8) lack a mark. */
	if (r->y.error == YAML_READER_ERROR)
		return err_set(r->e, ERR_CONF, "%s: near octet %zu: %s",
		    r->file, r->y.problem_offset, r->y.problem);
	return refuse(r, &r->y.problem_mark, "%s%s%s", r->y.problem,
	    r->y.context != NULL ? " " : "",
	    r->y.context != NULL ? r->y.context : "");
}

/* Anchors, tags, and scalars that C cannot hold. */
static int
check_event(struct reader *r, const yaml_event_t *ev)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (ev->type == YAML_ALIAS_EVENT)
		return refuse(r, &ev->start_mark,
		    "aliases (*name) are not used in this file");
	if (ev->type == YAML_SCALAR_EVENT) {
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
		if (strlen((char *)ev->data.scalar.value) !=
		    ev->data.scalar.length)
			return refuse(
			    r, &ev->start_mark, "a value with an octet 0");
	} else if (ev->type == YAML_MAPPING_START_EVENT) {
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
	} else if (ev->type == YAML_SEQUENCE_START_EVENT) {
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
	}
	if (anchor != NULL)
		return refuse(r, &ev->start_mark,
		    "anchors (&name) are not used in this file");
	if (tag != NULL)
		return refuse(r, &ev->start_mark,
		    "tags (!name) are not used in this file");
	return 0;
}

static struct node *read_node(
    struct reader *r, const yaml_event_t *ev, unsigned depth) WARN_UNUSED;

static void
node_append(struct node *parent, struct node *child)
{
	*parent->last = child;
	parent->last = &child->next;
}

static int
read_pair(
    struct reader *r, struct node *map, const yaml_event_t *key, unsigned depth)
{
	AUTO(node) child = NULL;
	const struct node *twin;
	yaml_event_t ev;

	if (check_event(r, key) == -1)
		return -1;
	if (key->type != YAML_SCALAR_EVENT)
		return refuse(r, &key->start_mark, "a key must be plain text");
	if ((twin = conf_node_find(map, (char *)key->data.scalar.value)) !=
	    NULL)
		return refuse(r, &key->start_mark,
		    "'%s' is given twice, first on line %u", twin->key,
		    twin->key_line);
	if (next_event(r, &ev) == -1)
		return -1;
	child = read_node(r, &ev, depth);
	yaml_event_delete(&ev);
	if (child == NULL)
		return -1;
	child->key = xstrdup((char *)key->data.scalar.value);
	child->key_line = (unsigned)key->start_mark.line + 1;
	child->key_col = (unsigned)key->start_mark.column + 1;
	node_append(map, STEAL(child));
	return 0;
}

static int
read_children(struct reader *r, struct node *n, unsigned depth)
{
	struct node *child;
	yaml_event_t ev;
	bool end = false;
	int rc = 0;

	while (!end && rc == 0) {
		if (next_event(r, &ev) == -1)
			return -1;
		if (ev.type == YAML_MAPPING_END_EVENT ||
		    ev.type == YAML_SEQUENCE_END_EVENT)
			end = true;
		else if (n->kind == NODE_MAP)
			rc = read_pair(r, n, &ev, depth);
		else if ((child = read_node(r, &ev, depth)) != NULL)
			node_append(n, child);
		else
			rc = -1;
		yaml_event_delete(&ev);
	}
	return rc;
}

static struct node *
read_node(struct reader *r, const yaml_event_t *ev, unsigned depth)
{
	AUTO(node) n = xcalloc(1, sizeof(*n));

	n->line = (unsigned)ev->start_mark.line + 1;
	n->col = (unsigned)ev->start_mark.column + 1;
	n->last = &n->first;
	if (check_event(r, ev) == -1)
		return NULL;
	if (++r->nodes > NODES_MAX || depth >= DEPTH_MAX) {
		refuse(r, &ev->start_mark, "more than %d %s",
		    depth >= DEPTH_MAX ? DEPTH_MAX : NODES_MAX,
		    depth >= DEPTH_MAX ? "levels" : "values");
		return NULL;
	}
	if (ev->type == YAML_SCALAR_EVENT) {
		n->kind = NODE_SCALAR;
		n->text = xstrdup((char *)ev->data.scalar.value);
		n->bare = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		return STEAL(n);
	}
	n->kind = ev->type == YAML_MAPPING_START_EVENT ? NODE_MAP : NODE_SEQ;
	if (read_children(r, n, depth + 1) == -1)
		return NULL;
	return STEAL(n);
}

/* One document that is a map.  An empty file is an empty map. */
static struct node *
read_stream(struct reader *r)
{
	AUTO(node) root = NULL;
	yaml_event_t ev;
	bool end = false;
	int rc = 0;

	while (!end && rc == 0) {
		if (next_event(r, &ev) == -1)
			return NULL;
		if (ev.type == YAML_DOCUMENT_START_EVENT && root != NULL)
			rc = refuse(r, &ev.start_mark, "a second document");
		else if (ev.type == YAML_STREAM_END_EVENT)
			end = true;
		else if (ev.type != YAML_STREAM_START_EVENT &&
		    ev.type != YAML_DOCUMENT_START_EVENT &&
		    ev.type != YAML_DOCUMENT_END_EVENT &&
		    (root = read_node(r, &ev, 0)) == NULL)
			rc = -1;
		yaml_event_delete(&ev);
	}
	if (rc == -1)
		return NULL;
	if (root == NULL) {
		root = xcalloc(1, sizeof(*root));
		*root = (struct node){ NODE_MAP, .line = 1, .col = 1 };
	}
	if (root->kind == NODE_MAP)
		return STEAL(root);
	err_set(r->e, ERR_CONF, "%s:%u:%u: expected lines of 'key: value'",
	    r->file, root->line, root->col);
	return NULL;
}

struct node *
conf_read(const char *path, struct err *e)
{
	static const uint8_t bom[] = { 0xef, 0xbb, 0xbf };
	struct buf text AUTO_BUF = { 0 };
	struct reader r = { .file = path, .e = e };
	struct err why = ERR_INIT;
	struct node *root;
	size_t skip;

	if (file_read(path, FILE_MAX, &text, &why) == -1) {
		err_set(e, ERR_CONF, "%s", why.msg);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.y)) {
		err_set(e, ERR_LOCAL, "%s: no YAML parser", path);
		return NULL;
	}
	/* Setting the encoding refuses UTF-16, but no longer skips a BOM. */
	skip = text.len >= 3 && memcmp(text.data, bom, 3) == 0 ? 3 : 0;
	yaml_parser_set_encoding(&r.y, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.y,
	    text.data == NULL ? (const uint8_t *)"" : text.data + skip,
	    text.len - skip);
	root = read_stream(&r);
	yaml_parser_delete(&r.y);
	return root;
}
