/*
 * HTTP/1.1 over TLS, or over a Unix socket, by evhttp: one server per loop.
 * Requests may be answered later.  Limits: headers 8 KiB, body as given,
 * total deadlines of our own: handshake 10 s, headers 15 s, body 30 s from
 * accept, or from a later request's first octet; 30 s between an answer and
 * that; an answer must be taken within the body's time.  A body that is told to
 * be too long is given two seconds in all, then 413.  None runs while the
 * answer is owed.  TLS 1.2 and 1.3, client certificate
 * asked for and recorded, judged by the handler (never by OpenSSL's result
 * alone: nothing is verified here).  A client key that key_check refuses ends
 * the handshake.  No session resumption.  Framing faults, sizes and methods
 * unknown to HTTP (400, 413, 501) never reach the handler; all refusals are one
 * plain line, which needs the shared libevent.  The process must
 * ignore SIGPIPE (daemon_init does).
 */
#ifndef WAYBILL_SYS_HTTPS_H
#define WAYBILL_SYS_HTTPS_H

#include <stdatomic.h>
#include <sys/types.h>
#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/pki/sign.h"
#include "common/sys/loop.h"

struct https;	  /* a server on one loop */
struct https_req; /* one request, until it is answered */

enum https_method { HTTPS_GET, HTTPS_POST, HTTPS_OTHER };

/* Called on the loop for every whole request.  Must lead to exactly one
 * https_reply, now or later, also when the client has gone. */
typedef void (*https_handler)(struct https_req *r, void *arg);

/* Asked on the loop, once a client's handshake is done; `client` is the SHA-256
 * of its certificate, NULL if it showed none. */
struct https_gate {
	/* False: the connection is closed, or, if its first request came along
	 * with the handshake, that is answered with 429. */
	bool (*enter)(void *arg, const struct digest *client);
	/* Once for each that entered, when it ends or the server does. */
	void (*leave)(void *arg, const struct digest *client);
	void *arg;
};

struct https_conf {
	const char *listen;	     /* "host:port", port 0: any; bound with
				  SO_REUSEPORT and TCP_NODELAY */
	const struct signer *signer; /* certificate, chain, key */
	size_t max_body;	     /* more: 413 */
	unsigned max_conns;	     /* more: accepted and closed at once */
	atomic_uint *conns; /* what max_conns is held against, for servers that
			       share it; NULL: our own connections */
	struct https_gate gate; /* enter NULL: everybody may */
	unsigned handshake_ms, headers_ms, body_ms, idle_ms; /* 0: defaults */
};

struct https *https_open(struct loop *l, const struct https_conf *c,
    https_handler fn, void *arg, struct err *e) WARN_UNUSED;
/* HTTP without TLS on a Unix socket (mode 0600, an old socket file is
 * replaced, https_close removes it); https_peer_uid tells who asks.  60 s of
 * silence end a connection, also while an answer is owed. */
struct https *https_open_unix(struct loop *l, const char *path, size_t max_body,
    https_handler fn, void *arg, struct err *e) WARN_UNUSED;
/* Before loop_free; not from a handler.  Open requests are gone (on_gone is
 * called) and stay readable until they are answered into void. */
void https_close(struct https *h);
/* The port bound (TCP). */
unsigned https_port(const struct https *h);

/* All borrowed until https_reply. */
enum https_method https_method(const struct https_req *r);
const char *https_path(const struct https_req *r);  /* decoded, without query */
const char *https_query(const struct https_req *r); /* raw, "" if none */
const char *https_header(const struct https_req *r, const char *name);
struct bytes https_body(const struct https_req *r);
/* The TLS client's certificate and what it sent above it; NULL if none.
 * STACK may hold the leaf as well. */
X509 *https_peer_cert(const struct https_req *r);
STACK_OF(X509) * https_peer_chain(const struct https_req *r);
/* The SHA-256 of that certificate; NULL if there is none. */
const struct digest *https_peer_id(const struct https_req *r);
uid_t https_peer_uid(const struct https_req *r); /* Unix; (uid_t)-1 else */
/* Numeric, without the port; "unix". */
const char *https_peer_addr(const struct https_req *r);
struct loop *https_loop(const struct https_req *r);
/* Also true while the answer is still owed. */
bool https_gone(const struct https_req *r);
/* fn(arg) when the client goes away (or ends its sending side) before its
 * answer; fn may answer.  NULL clears. */
void https_on_gone(struct https_req *r, void (*fn)(void *arg), void *arg);

/* Sends and ends the request.  type NULL: no body.  close: "Connection:
 * close".  flushed (may be NULL) is called with arg once: true when the last
 * octet was given to the kernel, false if the client had gone before (then
 * perhaps before https_reply returns). */
struct https_answer {
	int status;
	const char *type;
	struct bytes body;
	bool close;
	unsigned retry_after; /* seconds; 0: no header */
	const char *location; /* NULL: no header */
	void (*flushed)(void *arg, bool ok);
	void *arg;
};
void https_reply(struct https_req *r, const struct https_answer *a);
/* One plain line of text/plain with a newline added. */
void https_reply_text(struct https_req *r, int status, const char *fmt, ...)
    PRINTF(3, 4);

#endif
