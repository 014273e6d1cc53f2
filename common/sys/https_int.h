/*
 * Inside of the server, for https*.c alone.
 *
 *  https.c       a server: open, close, serve
 *  https_tls.c   its TLS contexts, and its connections with their deadlines
 *  https_req.c   requests and replies
 *  https_sock.c  listening sockets
 */
#ifndef WAYBILL_SYS_HTTPS_INT_H
#define WAYBILL_SYS_HTTPS_INT_H

#include <sys/queue.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include "common/sys/https.h"

LIST_HEAD(conns, conn);

struct https {
	struct loop *loop;
	struct evhttp *http;
	https_handler fn;
	void *arg;
	size_t max_body;
	unsigned port;
	char *unix_path; /* NULL for TLS */

	/* TLS alone */
	SSL_CTX *ctx;
	SSL_CTX *full; /* without a certificate: for connections too many */
	unsigned max_conns;
	atomic_uint own_conns,
	    *n_conns; /* n_conns: that one, or a shared one */
	struct https_gate gate;
	unsigned handshake_ms, headers_ms, body_ms, idle_ms;
	struct conns conns;
	unsigned here, most; /* of conns; `most` since memory was given back */
};

enum conn_phase {
	PHASE_READING, /* from accept or a later request's first octet on */
	PHASE_HANDLED, /* the answer is owed: no deadline runs */
	PHASE_WRITING,
	PHASE_IDLE,
	PHASE_TOO_LONG, /* a body that is refused is still being sent */
	PHASE_REFUSED	/* by the gate: ends as soon as the loop turns */
};

/*
 * A TLS connection, for its deadlines and its count.  evhttp tells nobody
 * when it frees one, so this hangs on the SSL object and ends with it.  evhttp
 * owns the connection: we end it by shutting its socket down.
 */
struct conn {
	LIST_ENTRY(conn) link;
	struct https *h; /* NULL when the server is gone */
	SSL *ssl;
	struct bufferevent *bev;
	struct timer *deadline;
	enum conn_phase phase;
	uint64_t since; /* when the phase began */
	bool shaken;	/* the handshake is done */
	bool entered;	/* the gate let it in */
	bool known;	/* showed a certificate: this is its SHA-256 */
	struct digest client;
	bool headers_done; /* the empty line was seen */
	unsigned newline;  /* 1: after LF, 2: after LF CR */
	char line[40];	   /* of the headers: how the last one begins */
	size_t line_len;
	bool too_long; /* by its Content-Length */
};

struct https_req {
	struct evhttp_request *req;
	struct loop *loop;
	enum https_method method;
	char *path;
	char addr[64];
	uid_t uid;
	X509 *cert;
	struct digest id; /* of cert */
	STACK_OF(X509) * chain;
	struct conn *conn; /* NULL on a Unix socket */
	bool owed, gone, close;
	bool leaving; /* on_gone is being called */
	void (*on_gone)(void *arg);
	void *on_gone_arg;
	void (*flushed)(void *arg, bool ok);
	void *flushed_arg;
};

/* ---- https_tls.c ------------------------------------------------------- */

/* Once, before the first connection. */
void https_conn_index(void);
/* For evhttp, arg a struct https.  evhttp takes a NULL for leave to speak
 * without TLS: never returns one. */
struct bufferevent *https_conn_new(struct event_base *base, void *arg);
/* NULL without TLS. */
struct conn *https_conn_get(struct bufferevent *bev);
void https_conn_enter(struct conn *c, enum conn_phase phase, unsigned ms);
/* Gives back what it counts for; the connection ends, or its server does. */
void https_conn_leave(struct conn *c);
/* The request is whole: its answer is owed. */
void https_conn_handled(struct conn *c);
/* The answer is out: the next request may have come already. */
void https_conn_idle(struct conn *c);

/* Without a certificate. */
SSL_CTX *https_tls_bare(void);
SSL_CTX *https_tls_server(const struct signer *s, struct err *e) WARN_UNUSED;
/* The end of each handshake is told to its connection's gate. */
void https_tls_gate(SSL_CTX *ctx);

/* ---- https_req.c ------------------------------------------------------- */

/* For evhttp, arg a struct https: a whole request. */
void https_on_request(struct evhttp_request *req, void *arg);

/* ---- https_sock.c ------------------------------------------------------ */

/* The socket, or -1. */
int https_listen_tcp(const char *listen_on, struct err *e) WARN_UNUSED;
int https_listen_unix(const char *path, struct err *e) WARN_UNUSED;
/* The port bound; 0 if it cannot be told. */
unsigned https_port_of(int fd);

#endif
