/* The client's side of a control socket: one request, one JSON answer, over
 * HTTP on a Unix socket; blocking, for commands. */
#ifndef WAYBILL_SYS_CONTROL_H
#define WAYBILL_SYS_CONTROL_H

#include "common/base/json.h"

/*
 * Sends METHOD path with an optional JSON body; waits at most 10 s; reads at
 * most 16 MiB.  Returns the answer's JSON (null for an empty body) and its
 * status in *ret_status.  ERR_PEER if nobody listens or the answer is cut,
 * ERR_PERM if the socket may not be opened, ERR_INPUT if it is no JSON.
 */
json_t *control_call(const char *socket_path, const char *method,
    const char *path, const json_t *body, int *ret_status,
    struct err *e) WARN_UNUSED;

/* The same, waiting at most so many milliseconds: for what takes long. */
json_t *control_call_within(const char *socket_path, uint64_t ms,
    const char *method, const char *path, const json_t *body, int *ret_status,
    struct err *e) WARN_UNUSED;

#endif
