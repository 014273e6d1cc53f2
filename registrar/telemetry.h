/* What pledges report of themselves (RFC 8995 5.7, 5.9.4): kept in the audit
 * trail of the entry it is about; a failure is a warning and is counted. */
#ifndef WAYBILL_REGISTRAR_TELEMETRY_H
#define WAYBILL_REGISTRAR_TELEMETRY_H

#include "registrar/front.h"

void telemetry_voucher(struct front *f, struct https_req *q);
void telemetry_enrol(struct front *f, struct https_req *q);

#endif
