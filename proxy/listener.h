/* Where pledges connect: accepts and hands over to circuits. */
#ifndef WAYBILL_PROXY_LISTENER_H
#define WAYBILL_PROXY_LISTENER_H

#include "proxy/circuit.h"

struct listener;

/* "addr:port", port 0: any.  Logs event=proxy.listening with what was bound.
 * ERR_CONF for a text that is no address, ERR_LOCAL if it cannot be bound. */
struct listener *listener_open(struct loop *l, const char *text,
    struct circuits *cs, struct err *e) WARN_UNUSED;
void listener_close(struct listener *n);
AUTO_DEFINE(listener, struct listener, listener_close);

#endif
