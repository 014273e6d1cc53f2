/* What stands in a store, as control sockets and commands tell it
 * (schemas/control.openapi.yaml: Report, Record). */
#ifndef WAYBILL_QUEUE_QUEUE_JSON_H
#define WAYBILL_QUEUE_QUEUE_JSON_H

#include "common/base/json.h"
#include "common/queue/audit.h"

/* Owned by the caller. */
json_t *store_report_json(const struct store_report *r);
/* With the text that is hashed, in hexadecimal; one that does not open has
 * none. */
json_t *audit_record_json(const struct audit_record *r);
/* What a walk to this head has found (schemas/control.openapi.yaml). */
json_t *audit_verdict_json(
    const struct audit_chain *c, const struct store_audit *head);

#endif
