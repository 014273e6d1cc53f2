/*
 * What commands may ask of any service, by schemas/control.openapi.yaml; and how
 * a program answers on paths of its own.  Only root and our own user are heard.
 */
#ifndef WAYBILL_SERVICE_CONTROL_API_H
#define WAYBILL_SERVICE_CONTROL_API_H

#include "common/service/service.h"
#include "common/sys/control_json.h"

/* https_handler; arg is the struct service. */
void control_request(struct https_req *q, void *arg);

/* Ends the request, with the status of the error's kind. */
void control_reply_error(struct https_req *q, const struct err *e);

/* The body as an object; NULL with why: it is none. */
json_t *control_body(struct https_req *q, struct err *e) WARN_UNUSED;
/* "uid 1000", for the audit trail. */
void control_who(const struct https_req *q, char *ret, size_t size);
json_t *control_json_time(uint64_t seconds); /* null for 0 */
json_t *control_json_case(const struct ledger_case *c);
json_t *control_json_record(const struct audit_record *a);

/* control_case.c, control_site.c, control_keep.c: paths of every service. */
void control_case(struct service *s, struct https_req *q, const char *rest);
void control_resolve(struct service *s, struct https_req *q, const char *rest);
void control_sites(struct service *s, struct https_req *q, const char *rest);
void control_recover(struct service *s, struct https_req *q, const char *rest);
void control_audit(struct service *s, struct https_req *q, const char *rest);
void control_verify(struct service *s, struct https_req *q, const char *rest);
void control_backup(struct service *s, struct https_req *q, const char *rest);

/* Cases in id order under this name, by the query's after, max,
 * state (of the case, or "rejected") and site. */
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
