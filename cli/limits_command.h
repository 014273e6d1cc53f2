/* `waybill limits`: what is too much, and what happens then.  (A limits.h here
 * would stand in front of libc's.) */
#ifndef WAYBILL_CLI_LIMITS_COMMAND_H
#define WAYBILL_CLI_LIMITS_COMMAND_H

#include "common/base/buf.h"
#include "common/base/json.h"

/* The table as text, and as {"limits": [{...}]}. */
void limits_format(struct buf *out);
json_t *limits_json(void);

#endif
