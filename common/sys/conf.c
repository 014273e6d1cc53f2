#include "common/sys/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>
#include "common/base/file.h"
#include "common/base/str.h"

#define FILE_MAX  (256 * 1024)
#define DEPTH_MAX 8
#define NODES_MAX 20000
#define PATH_LEN  200

enum node_kind { NODE_SCALAR, NODE_MAP, NODE_SEQ };

static const char *const kind_names[] = { "a single value", "a section of keys",
	"a list" };

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

/* Where a walk stands; one line of complaint is all it can leave. */
struct walk {
	const char *file;
	char path[PATH_LEN];
	struct err *e;
};

static void
node_free(struct node *n)
{
	struct node *child;

	if (n == NULL)
		return;
	while ((child = n->first) != NULL) {
		n->first = child->next;
		node_free(child);
	}
	free(n->key);
	free(n->text);
	free(n);
}
AUTO_DEFINE(node, struct node, node_free);

static struct node *
node_find(const struct node *map, const char *key)
{
	struct node *n;

	for (n = map == NULL ? NULL : map->first; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

static size_t
node_count(const struct node *n)
{
	const struct node *child;
	size_t count = 0;

	for (child = n->first; child != NULL; child = child->next)
		count++;
	return count;
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
	if ((twin = node_find(map, (char *)key->data.scalar.value)) != NULL)
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

static struct node *
read_file(const char *path, struct err *e)
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

/*
 * The nodes into the struct, as the table says.
 */

/* at NULL: the fault is in a default, that is in our own table. */
static int PRINTF(3, 4)
    fail(struct walk *w, const struct node *at, const char *fmt, ...)
{
	char why[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (at == NULL)
		return err_set(w->e, ERR_CONF, "%s: default: %s: %s", w->file,
		    w->path, why);
	return err_set(w->e, ERR_CONF, "%s:%u:%u: %s%s%s", w->file, at->line,
	    at->col, w->path, w->path[0] != '\0' ? ": " : "", why);
}

/* The path grows by a key or an index; the caller cuts it back. */
static size_t
path_key(struct walk *w, const char *key)
{
	size_t n = strlen(w->path);

	snprintf(
	    w->path + n, sizeof(w->path) - n, "%s%s", n > 0 ? "." : "", key);
	return n;
}

static size_t
path_index(struct walk *w, size_t i)
{
	size_t n = strlen(w->path);

	snprintf(w->path + n, sizeof(w->path) - n, "[%zu]", i);
	return n;
}

static void *
field(const struct conf_item *it, void *out)
{
	return (char *)out + it->off;
}

static int
in_range(struct walk *w, const struct conf_item *it, const struct node *at,
    uint64_t v, const char *what)
{
	if ((it->min == 0 && it->max == 0) || (v >= it->min && v <= it->max))
		return 0;
	return fail(w, at, "%s %llu, expected %llu to %llu", what,
	    (unsigned long long)v, (unsigned long long)it->min,
	    (unsigned long long)it->max);
}

static int
set_text(struct walk *w, const struct conf_item *it, const struct node *at,
    const char *text, char **ret)
{
	if (in_range(w, it, at, strlen(text), "length") == -1)
		return -1;
	*ret = xstrdup(text);
	return 0;
}

/* One parser a kind of number; "30s, 5m" and "64KiB" name their form. */
static int
set_number(struct walk *w, const struct conf_item *it, const struct node *at,
    const char *text, uint64_t *ret)
{
	static const char *const forms[] = {
		[CONF_INT] = "a whole number",
		[CONF_DUR] = "a duration such as 250ms, 30s, 5m, 12h, 30d",
		[CONF_SIZE] = "a size such as 512, 64KiB, 1GiB",
	};
	uint64_t v;
	int rc;

	if (it->type == CONF_DUR)
		rc = duration_parse(text, &v, NULL);
	else if (it->type == CONF_SIZE)
		rc = size_parse(text, &v, NULL);
	else
		rc = number_parse(text, 0, UINT64_MAX, &v, NULL);
	if (rc == -1)
		return fail(w, at, "'%s' is not %s", text, forms[it->type]);
	if ((it->min != 0 || it->max != 0) && (v < it->min || v > it->max))
		return fail(w, at, "'%s' is out of range, %llu to %llu%s", text,
		    (unsigned long long)it->min, (unsigned long long)it->max,
		    it->type == CONF_DUR ? " ms" : "");
	*ret = v;
	return 0;
}

static int
set_bool(struct walk *w, const struct node *at, const char *text, bool *ret)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return fail(w, at, "'%s' is not one of true, false", text);
	*ret = text[0] == 't';
	return 0;
}

static int
set_enum(struct walk *w, const struct conf_item *it, const struct node *at,
    const char *text, int *ret)
{
	struct buf known AUTO_BUF = { 0 };
	int i;

	for (i = 0; it->names[i] != NULL; i++) {
		if (strcmp(it->names[i], text) == 0) {
			*ret = i;
			return 0;
		}
		buf_printf(&known, "%s%s", i > 0 ? ", " : "", it->names[i]);
	}
	return fail(w, at, "'%s' is not one of %s", text, buf_cstr(&known));
}

static int
set_scalar(struct walk *w, const struct conf_item *it, const struct node *at,
    const char *text, void *ret)
{
	struct err why = ERR_INIT;

	if (it->check != NULL && it->check(text, &why) == -1)
		return fail(w, at, "%s", why.msg);
	switch (it->type) {
	case CONF_STR:
	case CONF_STRS:
		return set_text(w, it, at, text, ret);
	case CONF_INT:
	case CONF_DUR:
	case CONF_SIZE:
		return set_number(w, it, at, text, ret);
	case CONF_BOOL:
		return set_bool(w, at, text, ret);
	case CONF_ENUM:
		return set_enum(w, it, at, text, ret);
	case CONF_MAP:
	case CONF_LIST:
		break;
	}
	return fail(w, at, "no scalar");
}

static int
expect(struct walk *w, const struct node *n, enum node_kind kind)
{
	if (n->kind != kind)
		return fail(w, n, "expected %s, found %s", kind_names[kind],
		    kind_names[n->kind]);
	if (n->kind == NODE_SCALAR && n->bare && n->text[0] == '\0')
		return fail(w, n, "no value");
	return 0;
}

static int walk_map(struct walk *w, const struct conf_item *table,
    const struct node *map, const struct node *at, void *out);

static int
walk_strs(struct walk *w, const struct conf_item *it, const struct node *n,
    struct conf_strs *ret)
{
	/* The limits count the strings, not their characters. */
	struct conf_item one = { .type = CONF_STR, .check = it->check };
	const struct node *child;
	size_t cut;
	int rc = 0;

	if (expect(w, n, NODE_SEQ) == -1 ||
	    in_range(w, it, n, node_count(n), "number of entries") == -1)
		return -1;
	ret->v = xcalloc(node_count(n) + 1, sizeof(*ret->v));
	for (child = n->first; child != NULL && rc == 0; child = child->next) {
		cut = path_index(w, ret->n);
		if ((rc = expect(w, child, NODE_SCALAR)) == 0 &&
		    (rc = set_scalar(
			 w, &one, child, child->text, &ret->v[ret->n])) == 0)
			ret->n++;
		if (rc == 0)
			w->path[cut] = '\0';
	}
	return rc;
}

static int
walk_list(struct walk *w, const struct conf_item *it, const struct node *n,
    struct conf_list *ret)
{
	const struct node *child;
	size_t cut;
	char *slot;

	if (expect(w, n, NODE_SEQ) == -1 ||
	    in_range(w, it, n, node_count(n), "number of entries") == -1)
		return -1;
	ret->v = xcalloc(node_count(n) + 1, it->size);
	for (child = n->first; child != NULL; child = child->next) {
		cut = path_index(w, ret->n);
		slot = (char *)ret->v + ret->n * it->size;
		/* Counted at once: a half-filled one is freed as well. */
		ret->n++;
		if (expect(w, child, NODE_MAP) == -1 ||
		    walk_map(w, it->sub, child, child, slot) == -1)
			return -1;
		w->path[cut] = '\0';
	}
	return 0;
}

static int
walk_default(struct walk *w, const struct conf_item *it, void *out)
{
	struct conf_strs *strs;

	if (it->type == CONF_MAP)
		return walk_map(w, it->sub, NULL, NULL, field(it, out));
	/* Nothing: zeroed already. */
	if (it->def == NULL || *it->def == '\0')
		return 0;
	if (it->type != CONF_STRS)
		return set_scalar(w, it, NULL, it->def, field(it, out));
	strs = field(it, out);
	strs->v = xcalloc(2, sizeof(*strs->v));
	strs->v[strs->n++] = xstrdup(it->def);
	return 0;
}

static int
walk_item(
    struct walk *w, const struct conf_item *it, const struct node *n, void *out)
{
	switch (it->type) {
	case CONF_MAP:
		if (expect(w, n, NODE_MAP) == -1)
			return -1;
		return walk_map(w, it->sub, n, n, field(it, out));
	case CONF_STRS:
		return walk_strs(w, it, n, field(it, out));
	case CONF_LIST:
		return walk_list(w, it, n, field(it, out));
	case CONF_STR:
	case CONF_INT:
	case CONF_BOOL:
	case CONF_DUR:
	case CONF_SIZE:
	case CONF_ENUM:
		break;
	}
	if (expect(w, n, NODE_SCALAR) == -1)
		return -1;
	return set_scalar(w, it, n, n->text, field(it, out));
}

static int
check_known(
    struct walk *w, const struct conf_item *table, const struct node *map)
{
	struct buf known AUTO_BUF = { 0 };
	const struct conf_item *it;
	const struct node *n;
	struct node at = { 0 };

	for (n = map == NULL ? NULL : map->first; n != NULL; n = n->next) {
		for (it = table; it->key != NULL; it++)
			if (strcmp(it->key, n->key) == 0)
				break;
		if (it->key != NULL)
			continue;
		at.line = n->key_line;
		at.col = n->key_col;
		for (it = table; it->key != NULL; it++)
			buf_printf(&known, " %s", it->key);
		return fail(w, &at, "unknown key '%s'; known here:%s", n->key,
		    buf_cstr(&known));
	}
	return 0;
}

/* map NULL: left out as a whole, so that required keys may lack too. */
static int
walk_map(struct walk *w, const struct conf_item *table, const struct node *map,
    const struct node *at, void *out)
{
	const struct conf_item *it;
	const struct node *n;
	size_t cut;

	if (check_known(w, table, map) == -1)
		return -1;
	for (it = table; it->key != NULL; it++) {
		n = node_find(map, it->key);
		if (n == NULL && it->def == NULL && map != NULL)
			return fail(w, at, "'%s' is missing", it->key);
		cut = path_key(w, it->key);
		if (n != NULL ? walk_item(w, it, n, out) == -1
			      : walk_default(w, it, out) == -1)
			return -1;
		w->path[cut] = '\0';
	}
	return 0;
}

int
conf_load(
    const char *path, const struct conf_item *table, void *out, struct err *e)
{
	AUTO(node) root = NULL;
	struct walk w = { .file = path, .e = e };

	if ((root = read_file(path, e)) == NULL)
		return -1;
	if (walk_map(&w, table, root, root, out) == 0)
		return 0;
	conf_free(table, out);
	return -1;
}

char *
conf_value(
    const char *path, const char *section, const char *key, struct err *e)
{
	AUTO(node) root = read_file(path, e);
	const struct node *n;

	if (root == NULL)
		return NULL;
	n = node_find(root, section);
	n = n != NULL && n->kind == NODE_MAP ? node_find(n, key) : NULL;
	if (n == NULL || n->kind != NODE_SCALAR) {
		err_set(
		    e, ERR_CONF, "%s: %s.%s: not there", path, section, key);
		return NULL;
	}
	return xstrdup(n->text);
}

/* The size of a scalar's field: what must be zeroed again. */
static size_t
field_size(enum conf_type type)
{
	switch (type) {
	case CONF_BOOL:
		return sizeof(bool);
	case CONF_ENUM:
		return sizeof(int);
	case CONF_STR:
		return sizeof(char *);
	case CONF_STRS:
		return sizeof(struct conf_strs);
	case CONF_LIST:
		return sizeof(struct conf_list);
	case CONF_INT:
	case CONF_DUR:
	case CONF_SIZE:
		return sizeof(uint64_t);
	case CONF_MAP:
		break;
	}
	return 0;
}

static void
free_list(const struct conf_item *it, struct conf_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		conf_free(it->sub, (char *)list->v + i * it->size);
	free(list->v);
}

static void
free_strs(struct conf_strs *strs)
{
	size_t i;

	for (i = 0; i < strs->n; i++)
		free(strs->v[i]);
	free(strs->v);
}

void
conf_free(const struct conf_item *table, void *out)
{
	const struct conf_item *it;

	for (it = table; it->key != NULL; it++) {
		if (it->type == CONF_MAP)
			conf_free(it->sub, field(it, out));
		else if (it->type == CONF_LIST)
			free_list(it, field(it, out));
		else if (it->type == CONF_STRS)
			free_strs(field(it, out));
		else if (it->type == CONF_STR)
			free(*(char **)field(it, out));
		memset(field(it, out), 0, field_size(it->type));
	}
}

/*
 * The struct into text that conf_load would read again.
 */
struct unit {
	uint64_t n;
	const char *name;
};

static const struct unit duration_units[] = { { 86400000, "d" },
	{ 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };
static const struct unit size_units[] = { { 1u << 30, "GiB" },
	{ 1u << 20, "MiB" }, { 1u << 10, "KiB" }, { 1, "" } };

/* The largest unit that leaves no remainder. */
static void
print_units(struct buf *out, uint64_t v, const struct unit *u)
{
	while (u->n > 1 && (v < u->n || v % u->n != 0))
		u++;
	buf_printf(out, "%llu%s", (unsigned long long)(v / u->n), u->name);
}

/* Quoted as YAML does it; other than ASCII goes as it is. */
static void
print_text(struct buf *out, const char *s)
{
	buf_add_str(out, "\"");
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_printf(out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			buf_printf(out, "\\x%02x", (unsigned char)*s);
		else
			buf_add(out, s, 1);
	}
	buf_add_str(out, "\"");
}

struct print {
	const char *file;
	struct buf *out;
};

static void
print_origin(const struct print *p, const struct node *n)
{
	if (n == NULL)
		buf_add_str(p->out, "  # default\n");
	else
		buf_printf(p->out, "  # %s:%u\n", p->file, n->line);
}

static void
print_scalar(struct buf *out, const struct conf_item *it, void *at)
{
	switch (it->type) {
	case CONF_STR:
		print_text(out, *(char **)at);
		break;
	case CONF_INT:
		buf_printf(out, "%llu", *(unsigned long long *)at);
		break;
	case CONF_BOOL:
		buf_add_str(out, *(bool *)at ? "true" : "false");
		break;
	case CONF_DUR:
		print_units(out, *(uint64_t *)at, duration_units);
		break;
	case CONF_SIZE:
		print_units(out, *(uint64_t *)at, size_units);
		break;
	case CONF_ENUM:
		buf_add_str(out, it->names[*(int *)at]);
		break;
	case CONF_MAP:
	case CONF_STRS:
	case CONF_LIST:
		break;
	}
}

static void print_map(const struct print *p, const struct conf_item *table,
    const struct node *map, void *loaded, unsigned depth, bool dash);

/* dash: the first line of a list's entry carries its "- ". */
static void
print_key(struct buf *out, unsigned depth, bool dash, const char *key)
{
	buf_printf(out, "%*s%s%s:", (int)(depth * 2 - (dash ? 2 : 0)), "",
	    dash ? "- " : "", key);
}

static void
print_strs(const struct print *p, const struct node *n,
    const struct conf_strs *strs, unsigned depth)
{
	const struct node *child = n == NULL ? NULL : n->first;
	size_t i;

	if (strs->n == 0)
		buf_add_str(p->out, " []");
	print_origin(p, n);
	for (i = 0; i < strs->n; i++) {
		buf_printf(p->out, "%*s- ", (int)(depth * 2 + 2), "");
		print_text(p->out, strs->v[i]);
		print_origin(p, child);
		child = child == NULL ? NULL : child->next;
	}
}

static void
print_list(const struct print *p, const struct conf_item *it,
    const struct node *n, const struct conf_list *list, unsigned depth)
{
	const struct node *child = n == NULL ? NULL : n->first;
	size_t i;

	if (list->n == 0)
		buf_add_str(p->out, " []");
	print_origin(p, n);
	for (i = 0; i < list->n; i++) {
		print_map(p, it->sub, child, (char *)list->v + i * it->size,
		    depth + 2, true);
		child = child == NULL ? NULL : child->next;
	}
}

/* A required key that lacks because its section was left out. */
static bool
is_unset(const struct conf_item *it, const struct node *n, void *at)
{
	if (it->type == CONF_MAP)
		return false;
	if (it->type == CONF_STR)
		return *(char **)at == NULL;
	return n == NULL && it->def == NULL;
}

static void
print_map(const struct print *p, const struct conf_item *table,
    const struct node *map, void *loaded, unsigned depth, bool dash)
{
	const struct conf_item *it;
	const struct node *n;
	void *at;

	for (it = table; it->key != NULL; it++) {
		n = node_find(map, it->key);
		at = field(it, loaded);
		if (is_unset(it, n, at)) {
			buf_printf(p->out, "%*s# %s: not set  # default\n",
			    (int)(depth * 2), "", it->key);
			continue;
		}
		print_key(p->out, depth, dash, it->key);
		dash = false;
		if (it->type == CONF_STRS) {
			print_strs(p, n, at, depth);
		} else if (it->type == CONF_LIST) {
			print_list(p, it, n, at, depth);
		} else if (it->type == CONF_MAP) {
			print_origin(p, n);
			print_map(p, it->sub, n, at, depth + 1, false);
		} else {
			buf_add_str(p->out, " ");
			print_scalar(p->out, it, at);
			print_origin(p, n);
		}
	}
}

/* The file is read once more, for the places alone. */
void
conf_print(const char *path, const struct conf_item *table, void *loaded,
    struct buf *out)
{
	AUTO(node) root = read_file(path, NULL);
	struct print p = { path, out };

	print_map(&p, table, root, loaded, 0, false);
}

int
conf_check_name(const char *value, struct err *e)
{
	if (name_valid(value))
		return 0;
	return err_set(e, ERR_CONF,
	    "'%s' is not a name: 1 to 32 of a-z, 0-9, '-', "
	    "a letter first",
	    value);
}

int
conf_check_hostport(const char *value, struct err *e)
{
	char host[64], port[6];

	if (hostport_parse(value, host, port, NULL) == 0)
		return 0;
	return err_set(
	    e, ERR_CONF, "'%s' is not host:port or [v6]:port", value);
}
