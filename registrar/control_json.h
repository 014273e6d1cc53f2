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
json_t *json_entry(const struct registrar *r, const struct outbox_entry *en);
/* "uid 1000": who asks, as the audit trail has it. */
void control_who(const struct https_req *q, char *ret, size_t size);
/* An audit_visit: appends to arg, an array. */
void json_record(const struct audit_record *a, void *arg);

#endif
