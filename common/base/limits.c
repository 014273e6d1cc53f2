#include "common/base/limits.h"

#define LIMIT_ROW(id, name, value, unit, beyond, where) \
	{ name, unit, value, beyond, where },
const struct limit limit_table[] = { LIMITS(LIMIT_ROW) };
#undef LIMIT_ROW
const size_t limit_count = NELEMS(limit_table);

void
limits_format(struct buf *out)
{
	buf_add_str(out, "| limit | most | of what | beyond it | where |\n");
	buf_add_str(out, "|---|---|---|---|---|\n");
	for (size_t i = 0; i < limit_count; i++)
		buf_printf(out, "| %s | %lu | %s | %s | %s |\n",
		    limit_table[i].name, limit_table[i].value,
		    limit_table[i].unit, limit_table[i].beyond,
		    limit_table[i].where);
}
