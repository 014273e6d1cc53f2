/* What commands may ask of the RA: GET /v1/status, /v1/issued, /v1/entries,
 * /v1/audit. */
#ifndef WAYBILL_RA_CONTROL_API_H
#define WAYBILL_RA_CONTROL_API_H

#include "ra/ra.h"

/* https_handler; arg is the struct ra. */
void control_request(struct https_req *req, void *arg);

#endif
