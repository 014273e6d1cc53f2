/* What a service's ledger needs from time to time: retention, and the time floor
 * for its next start. */
#ifndef WAYBILL_SERVICE_KEEPER_H
#define WAYBILL_SERVICE_KEEPER_H

#include "common/service/service.h"

struct keeper;

/* From now on, by a timer on the service's loop. */
struct keeper *keeper_new(struct service *s);
/* After the ledger was closed. */
void keeper_free(struct keeper *k);

#endif
