/* The one door to jansson. */
#ifndef WAYBILL_BASE_JSON_H
#define WAYBILL_BASE_JSON_H

#include <jansson.h>
#include "common/base/buf.h"
#include "common/base/err.h"

AUTO_DEFINE(json_t, json_t, json_decref);

/* Refuses duplicates, trailing text, more than max octets, depth over 32. */
json_t *json_parse(struct bytes text, size_t max, struct err *e) WARN_UNUSED;
/* Null for NULL and "".  Octets of what is no UTF-8 are told as '?': what peers
 * said, or what was cut, may be that. */
json_t *json_text(const char *s);
/* Appends compact, key-sorted text and a newline. */
void json_format(struct buf *out, const json_t *j);

#endif
