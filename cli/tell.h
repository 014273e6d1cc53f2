/* What a control socket answered, for people. */
#ifndef WAYBILL_CLI_TELL_H
#define WAYBILL_CLI_TELL_H

#include "common/base/json.h"

/* "device       WB-0001"; nothing, if there is no such thing. */
void tell_value(const char *name, const json_t *v);
/* A title, and a table of these members of each object. */
void tell_objects(const char *title, const json_t *objects,
    const char *const *keys, size_t n);
/* "5s ago", of RFC 3339 text; "" if it is none. */
char *tell_ago(char ret[32], const char *when);

#endif
