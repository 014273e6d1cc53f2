#include "cli/table.h"

#include <string.h>

#include "common/base/str.h"

struct table {
	const char *const *titles;
	size_t n_columns, n, cap;
	char **cells;
};

struct table *
table_new(const char *const *titles, size_t n)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->titles = titles;
	t->n_columns = n;
	return t;
}

void
table_free(struct table *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

void
table_add(struct table *t, const char *text)
{
	struct buf b = { 0 };

	if (text == NULL || *text == '\0')
		text = "-";
	str_escape(&b, text, strlen(text));
	buf_cstr(&b);
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 64 : 2 * t->cap;
		t->cells = xrealloc(t->cells, t->cap * sizeof(*t->cells));
	}
	t->cells[t->n++] = (char *)b.data;
}

static size_t
width(const struct table *t, size_t column)
{
	size_t w = strlen(t->titles[column]), i, n;

	for (i = column; i < t->n; i += t->n_columns) {
		n = strlen(t->cells[i]);
		w = n > w ? n : w;
	}
	return w;
}

static void
row(const struct table *t, const char *const *cells, struct buf *out)
{
	size_t i;

	for (i = 0; i + 1 < t->n_columns; i++)
		buf_printf(out, "%-*s  ", (int)width(t, i), cells[i]);
	buf_printf(out, "%s\n", cells[i]);
}

void
table_format(const struct table *t, struct buf *out)
{
	size_t i;

	row(t, t->titles, out);
	for (i = 0; i + t->n_columns <= t->n; i += t->n_columns)
		row(t, (const char *const *)t->cells + i, out);
}
