#include "common/sys/conf_int.h"

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
		n = conf_node_find(map, it->key);
		at = conf_field(it, loaded);
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
	AUTO(node) root = conf_read(path, NULL);
	struct print p = { path, out };

	print_map(&p, table, root, loaded, 0, false);
}
