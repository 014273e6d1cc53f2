#include "common/base/limits.h"

#include "common/base/cleanup.h"

#define LIMIT_ROW(id, name, value, unit, beyond, where) \
	{ name, unit, value, beyond, where },
const struct limit limit_table[] = { LIMITS(LIMIT_ROW) };
#undef LIMIT_ROW
const size_t limit_count = NELEMS(limit_table);
