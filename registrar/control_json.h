/* Values in the JSON answers of the control API. */
#ifndef WAYBILL_REGISTRAR_CONTROL_JSON_H
#define WAYBILL_REGISTRAR_CONTROL_JSON_H

#include "common/base/limits.h"
#include "common/sys/control_json.h"
#include "registrar/registrar.h"

#define CONTROL_BODY_MAX LIMIT_CONTROL_BODY

/* Owned by the caller; null for 0. */
json_t *json_id(const struct registrar *r, uint64_t id);
json_t *json_time(uint64_t seconds);

#endif
