/* The control API's half for vouchers on hand: /v1/voucher... */
#ifndef WAYBILL_REGISTRAR_CONTROL_VOUCHER_H
#define WAYBILL_REGISTRAR_CONTROL_VOUCHER_H

#include "registrar/registrar.h"

/* rest: what stands behind the route's path. */
void voucher_list(struct registrar *r, struct https_req *q, const char *rest);
void voucher_show(struct registrar *r, struct https_req *q, const char *rest);
void voucher_prefetch(
    struct registrar *r, struct https_req *q, const char *rest);
void voucher_import(struct registrar *r, struct https_req *q, const char *rest);

#endif
