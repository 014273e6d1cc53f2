/*
 * What commands may ask of any service: GET /v1/status, /v1/entries, /v1/audit;
 * and how a program answers on paths of its own.  Only root and our own user
 * are heard.
 */
#ifndef WAYBILL_SERVICE_CONTROL_API_H
#define WAYBILL_SERVICE_CONTROL_API_H

#include "common/service/service.h"

/* https_handler; arg is the struct service. */
void control_request(struct https_req *q, void *arg);

/* Ends the request, with the status of the error's kind. */
void control_reply_error(struct https_req *q, const struct err *e);

/* Cases in id order under this name, by the query's after and max. */
struct control_list {
	const char *name;
	bool (*keep)(const struct ledger_case *c); /* NULL: all */
	/* More about one, NULL: nothing. */
	int (*add)(struct service *s, const struct ledger_case *c, json_t *j,
	    struct err *e);
};
void control_reply_list(
    struct service *s, struct https_req *q, const struct control_list *l);

#endif
