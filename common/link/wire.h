/*
 * Frames over nng: REQ at the site, which dials out, REP at the service.
 * Every pipe has a name read from its certificate; nothing crosses a pipe
 * without one.  Callbacks run on the given loop.  Resend is off: the outbox
 * owns all retry.  No fork after the first wire_* call.
 */
#ifndef WAYBILL_LINK_WIRE_H
#define WAYBILL_LINK_WIRE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/sys/loop.h"

struct wire_tls {
	const char *key, *cert, *ca; /* PEM files; ca is the link CA alone */
};

/* ---- the site's end --------------------------------------------------- */

struct wire_client;

struct wire_client_conf {
	const char *url;     /* "tls+tcp://host:port" or "ipc:///path" */
	const char *service; /* the name its certificate must carry; ipc: the
				peer's uid must be ipc_uid */
	struct wire_tls tls;
	uid_t ipc_uid;
	unsigned window;			     /* contexts, 2 to 64 */
	unsigned reconnect_min_ms, reconnect_max_ms; /* 250, 30000 */
};

/* on_link(arg, up) whenever a pipe to the service comes or goes. */
int wire_dial(struct loop *l, const struct wire_client_conf *c,
    void (*on_link)(void *arg, bool up), void *arg, struct wire_client **ret,
    struct err *e) WARN_UNUSED;
void wire_hangup(struct wire_client *w);
/* How many more requests may be sent now. */
unsigned wire_room(const struct wire_client *w);
/*
 * Sends one request; done(arg, reply, e) exactly once: reply is borrowed and
 * e NULL on success, else e says why (ERR_PEER, ERR_RETRY for time-out) and
 * reply is empty.  ERR_INPUT at once if over FRAME_MAX, ERR_RETRY at once
 * without room.
 */
int wire_send(struct wire_client *w, struct bytes request, unsigned timeout_ms,
    void (*done)(void *arg, struct bytes reply, const struct err *e), void *arg,
    struct err *e) WARN_UNUSED;
/* Octets of TLS that came by the present pipe so far; 0 on ipc and without a
 * pipe.  A frame on its way is seen here before it is whole. */
uint64_t wire_received(struct wire_client *w);
/* Closes the pipe that on_link was told of, if it is still there, so that a new
 * one is dialled (watchdog). */
void wire_reconnect(struct wire_client *w);

/* ---- the service's end ------------------------------------------------ */

struct wire_server;
struct wire_req;

struct wire_listen_conf {
	const char *const *urls;
	size_t n;
	struct wire_tls tls;
	unsigned contexts;
	/* for ipc:// : who a local peer with this uid is */
	const char *ipc_site;
	uid_t ipc_uid;
};

/* fn is called for each request and must lead to one wire_reply, now or
 * later.  Pipes whose certificate has no site SAN are closed. */
int wire_listen(struct loop *l, const struct wire_listen_conf *c,
    void (*fn)(struct wire_req *r, void *arg), void *arg,
    struct wire_server **ret, struct err *e) WARN_UNUSED;
void wire_close(struct wire_server *s);
const char *wire_site(const struct wire_req *r); /* from its certificate */
struct bytes wire_body(const struct wire_req *r);
/* Sends and ends the request; a vanished peer is no error. */
void wire_reply(struct wire_req *r, struct bytes reply);
/* The port of a "tls+tcp://addr:0" listener. */
unsigned wire_port(const struct wire_server *s);

#endif
