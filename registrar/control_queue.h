/* The control API's half for entries: /v1/queue... */
#ifndef WAYBILL_REGISTRAR_CONTROL_QUEUE_H
#define WAYBILL_REGISTRAR_CONTROL_QUEUE_H

#include "registrar/registrar.h"

/* rest: what stands behind the route's path. */
void queue_list(struct registrar *r, struct https_req *q, const char *rest);
void queue_show(struct registrar *r, struct https_req *q, const char *rest);

/* control_act.c: {"ids": [...], "reason": ...}; each id is done or refused. */
void queue_hold(struct registrar *r, struct https_req *q, const char *rest);
void queue_release(struct registrar *r, struct https_req *q, const char *rest);
void queue_withdraw(struct registrar *r, struct https_req *q, const char *rest);
void queue_expire(struct registrar *r, struct https_req *q, const char *rest);

#endif
