/* Text in columns as wide as what stands in them. */
#ifndef WAYBILL_CLI_TABLE_H
#define WAYBILL_CLI_TABLE_H

#include <stddef.h>
#include "common/base/buf.h"

struct table;

/* titles: n of them, borrowed. */
struct table *table_new(const char *const *titles, size_t n);
void table_free(struct table *t);
AUTO_DEFINE(table, struct table, table_free);
/* The next cell, row by row; copied, escaped as peers' text must be.  NULL and
 * "" show as "-". */
void table_add(struct table *t, const char *text);
/* Appends the titles and all whole rows, one a line, without trailing
 * spaces. */
void table_format(const struct table *t, struct buf *out);

#endif
