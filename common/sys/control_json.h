/* The server's side of a control socket: what a query asks for, and answers in
 * JSON.  Who may ask is for the program to judge. */
#ifndef WAYBILL_SYS_CONTROL_JSON_H
#define WAYBILL_SYS_CONTROL_JSON_H

#include "common/base/json.h"
#include "common/sys/https.h"

/* key=NUMBER of a raw query (NULL: none), at most max; def if it is not there
 * or no such number. */
uint64_t control_query_number(
    const char *query, const char *key, uint64_t max, uint64_t def);

/* key=TEXT likewise, %XX decoded, into ret of size octets: 1 there, 0 not, -1
 * too long, or no text. */
int control_query_text(const char *query, const char *key, char *ret,
    size_t size, struct err *e) WARN_UNUSED;
/* Appends text so that it may stand in a query. */
void control_query_escape(struct buf *out, const char *text);

/* Ends the request; takes j; 500 if that is NULL: a value in it was none. */
void control_json(struct https_req *q, int status, json_t *j);
/* The same with {"error": ..., "kind": ...} */
void control_error(struct https_req *q, int status, const struct err *e);

#endif
