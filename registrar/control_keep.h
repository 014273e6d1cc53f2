/* The control API's half for the store and its trail: /v1/audit...,
 * /v1/backup, /v1/restore. */
#ifndef WAYBILL_REGISTRAR_CONTROL_KEEP_H
#define WAYBILL_REGISTRAR_CONTROL_KEEP_H

#include "registrar/registrar.h"

/* rest: what stands behind the route's path. */
void keep_audit(struct registrar *r, struct https_req *q, const char *rest);
void keep_verify(struct registrar *r, struct https_req *q, const char *rest);
void keep_backup(struct registrar *r, struct https_req *q, const char *rest);
void keep_restore(struct registrar *r, struct https_req *q, const char *rest);

#endif
