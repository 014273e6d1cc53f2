/*
 * What time does to a queue: expires what is due, with its answer; drops what
 * ended long ago; has the audit trail countersigned.  A timer on the first
 * loop, everything in portions, so that no commit grows large and no loop is
 * kept long.
 */
#ifndef WAYBILL_REGISTRAR_SWEEP_H
#define WAYBILL_REGISTRAR_SWEEP_H

#include "registrar/registrar.h"

struct sweep;

/* Each conf.sweep; the first time at once, when the loop runs. */
struct sweep *sweep_open(struct registrar *r, struct loop *l);
/* As front_stop and front_free. */
void sweep_stop(struct sweep *s);
void sweep_free(struct sweep *s);

#endif
