#include "common/sys/conf_int.h"

#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = { "a single value", "a section of keys",
	"a list" };

static size_t
node_count(const struct node *n)
{
	const struct node *child;
	size_t count = 0;

	for (child = n->first; child != NULL; child = child->next)
		count++;
	return count;
}

/* The path grows by a key or an index; the caller cuts it back. */
static size_t
path_key(struct conf_walk *w, const char *key)
{
	size_t n = strlen(w->path);

	snprintf(
	    w->path + n, sizeof(w->path) - n, "%s%s", n > 0 ? "." : "", key);
	return n;
}

static size_t
path_index(struct conf_walk *w, size_t i)
{
	size_t n = strlen(w->path);

	snprintf(w->path + n, sizeof(w->path) - n, "[%zu]", i);
	return n;
}

static int
expect(struct conf_walk *w, const struct node *n, enum node_kind kind)
{
	if (n->kind != kind)
		return conf_fail(w, n, "expected %s, found %s",
		    kind_names[kind], kind_names[n->kind]);
	if (n->kind == NODE_SCALAR && n->bare && n->text[0] == '\0')
		return conf_fail(w, n, "no value");
	return 0;
}

static int walk_map(struct conf_walk *w, const struct conf_item *table,
    const struct node *map, const struct node *at, void *out);

static int
walk_strs(struct conf_walk *w, const struct conf_item *it, const struct node *n,
    struct conf_strs *ret)
{
	/* The limits count the strings, not their characters. */
	struct conf_item one = { .type = CONF_STR, .check = it->check };
	const struct node *child;
	size_t cut;
	int rc = 0;

	if (expect(w, n, NODE_SEQ) == -1 ||
	    conf_in_range(w, it, n, node_count(n), "number of entries") == -1)
		return -1;
	ret->v = xcalloc(node_count(n) + 1, sizeof(*ret->v));
	for (child = n->first; child != NULL && rc == 0; child = child->next) {
		cut = path_index(w, ret->n);
		if ((rc = expect(w, child, NODE_SCALAR)) == 0 &&
		    (rc = conf_set_scalar(
			 w, &one, child, child->text, &ret->v[ret->n])) == 0)
			ret->n++;
		if (rc == 0)
			w->path[cut] = '\0';
	}
	return rc;
}

static int
walk_list(struct conf_walk *w, const struct conf_item *it, const struct node *n,
    struct conf_list *ret)
{
	const struct node *child;
	size_t cut;
	char *slot;

	if (expect(w, n, NODE_SEQ) == -1 ||
	    conf_in_range(w, it, n, node_count(n), "number of entries") == -1)
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
walk_default(struct conf_walk *w, const struct conf_item *it, void *out)
{
	struct conf_strs *strs;

	if (it->type == CONF_MAP)
		return walk_map(w, it->sub, NULL, NULL, conf_field(it, out));
	/* Nothing: zeroed already. */
	if (it->def == NULL || *it->def == '\0')
		return 0;
	if (it->type != CONF_STRS)
		return conf_set_scalar(
		    w, it, NULL, it->def, conf_field(it, out));
	strs = conf_field(it, out);
	strs->v = xcalloc(2, sizeof(*strs->v));
	strs->v[strs->n++] = xstrdup(it->def);
	return 0;
}

static int
walk_item(struct conf_walk *w, const struct conf_item *it, const struct node *n,
    void *out)
{
	switch (it->type) {
	case CONF_MAP:
		if (expect(w, n, NODE_MAP) == -1)
			return -1;
		return walk_map(w, it->sub, n, n, conf_field(it, out));
	case CONF_STRS:
		return walk_strs(w, it, n, conf_field(it, out));
	case CONF_LIST:
		return walk_list(w, it, n, conf_field(it, out));
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
	return conf_set_scalar(w, it, n, n->text, conf_field(it, out));
}

static int
check_known(
    struct conf_walk *w, const struct conf_item *table, const struct node *map)
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
		return conf_fail(w, &at, "unknown key '%s'; known here:%s",
		    n->key, buf_cstr(&known));
	}
	return 0;
}

/* map NULL: left out as a whole, so that required keys may lack too. */
static int
walk_map(struct conf_walk *w, const struct conf_item *table,
    const struct node *map, const struct node *at, void *out)
{
	const struct conf_item *it;
	const struct node *n;
	size_t cut;

	if (check_known(w, table, map) == -1)
		return -1;
	for (it = table; it->key != NULL; it++) {
		n = conf_node_find(map, it->key);
		if (n == NULL && it->def == NULL && map != NULL)
			return conf_fail(w, at, "'%s' is missing", it->key);
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
	struct conf_walk w = { .file = path, .e = e };

	if ((root = conf_read(path, e)) == NULL)
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
	AUTO(node) root = conf_read(path, e);
	const struct node *n;

	if (root == NULL)
		return NULL;
	n = conf_node_find(root, section);
	n = n != NULL && n->kind == NODE_MAP ? conf_node_find(n, key) : NULL;
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
			conf_free(it->sub, conf_field(it, out));
		else if (it->type == CONF_LIST)
			free_list(it, conf_field(it, out));
		else if (it->type == CONF_STRS)
			free_strs(conf_field(it, out));
		else if (it->type == CONF_STR)
			free(*(char **)conf_field(it, out));
		memset(conf_field(it, out), 0, field_size(it->type));
	}
}
