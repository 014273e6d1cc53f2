/* JSON answers of the control API. */
#ifndef WAYBILL_REGISTRAR_CONTROL_JSON_H
#define WAYBILL_REGISTRAR_CONTROL_JSON_H

#include "common/base/json.h"
#include "registrar/registrar.h"

#define CONTROL_BODY_MAX (128 * 1024)

/* Owned by the caller; null for 0, NULL or "". */
json_t *json_id(const struct registrar *r, uint64_t id);
json_t *json_time(uint64_t seconds);
json_t *json_text(const char *s);

/* Takes j. */
void control_json(struct https_req *q, int status, json_t *j);
/* {"error": ..., "kind": ...} */
void control_error(struct https_req *q, int status, const struct err *e);

#endif
