/* Judges a MASA's answer as soon as it is committed, whether or not the pledge
 * comes back for it: the verdict goes to the audit trail, a voucher that must
 * not be passed on ends its entry. */
#ifndef WAYBILL_REGISTRAR_VWATCH_H
#define WAYBILL_REGISTRAR_VWATCH_H

#include "registrar/registrar.h"

/* On the first base. */
void vwatch_open(struct registrar *r, struct loop *l);

#endif
