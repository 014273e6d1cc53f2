/* The control socket's API (schemas/control.openapi.yaml): what commands may
 * ask of a running registrar.  Peers are our own uid or root. */
#ifndef WAYBILL_REGISTRAR_CONTROL_API_H
#define WAYBILL_REGISTRAR_CONTROL_API_H

#include "common/sys/https.h"

/* https_handler; arg is the struct registrar. */
void control_request(struct https_req *q, void *arg);

#endif
