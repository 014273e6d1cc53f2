/*
 * Inside of the wire, for wire*.c alone.
 *
 *  wire.c         what nng forgets, and what both ends share
 *  wire_client.c  the site's end: its pipes
 *  wire_call.c    and its requests
 *  wire_server.c  the service's end
 */
#ifndef WAYBILL_LINK_WIRE_INT_H
#define WAYBILL_LINK_WIRE_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include "common/link/frame.h"
#include "common/link/tls_engine.h"
#include "common/link/wire.h"
#include "common/pki/ossl.h"

#define WIRE_NAME_MAX 33
/* REQ puts its request id in front of the body, and the limit counts both. */
#define WIRE_RECV_MAX (FRAME_MAX + 64)

static inline void
wire_config_free(nng_tls_config *c)
{
	if (c != NULL)
		nng_tls_config_free(c);
}
AUTO_DEFINE(nng_tls_config, nng_tls_config, wire_config_free);

static inline int
wire_fail(struct err *e, enum err_kind kind, const char *what, int rv)
{
	return err_set(e, kind, "link %s: %s", what, nng_strerror(rv));
}

int wire_url_check(const char *url, bool *ret_ipc, struct err *e) WARN_UNUSED;
/* With the files of t; NULL and err. */
nng_tls_config *wire_tls_config(
    const struct wire_tls *t, nng_tls_mode mode, struct err *e) WARN_UNUSED;

/* In a pipe's callback before it is added.  The certificate at the far end,
 * borrowed for this callback; NULL and err. */
X509 *wire_pipe_cert(nng_pipe p, struct err *e) WARN_UNUSED;
int wire_pipe_uid_check(nng_pipe p, uid_t want, struct err *e) WARN_UNUSED;
/* A peer that is refused comes back soon: once a minute is told enough. */
void wire_log_refused(
    _Atomic uint64_t *last, nng_pipe p, const char *as, const struct err *e);
/* All that can be told of a socket's pipes; 0 or nng's word. */
int wire_notify(nng_socket s, nng_pipe_cb cb, void *arg) WARN_UNUSED;

/* malloc'd, with the octets in its body; NULL if there is no memory. */
nng_msg *wire_msg_of(struct bytes b) WARN_UNUSED;
/* Borrowed; m may be NULL. */
struct bytes wire_msg_bytes(nng_msg *m);

/* ---- the site's end ---------------------------------------------------- */

/*
 * One context and its one request: the loop starts it, nng's threads carry it
 * from sending to receiving, the loop ends it.  The receive begins when the
 * send is done and never before: nng 1.5.2 crashes if a receive is cancelled
 * while the same context still sends.
 */
struct wire_call {
	struct wire_client *w;
	nng_ctx ctx;
	nng_aio *aio;
	bool busy; /* the loop's */
	_Atomic bool receiving;
	uint64_t deadline; /* monotonic */
	int rv;
	void (*done)(void *arg, struct bytes reply, const struct err *e);
	void *arg;
};

struct wire_client {
	struct loop *loop;
	char service[WIRE_NAME_MAX];
	bool ipc;
	uid_t ipc_uid;
	unsigned min_ms, max_ms, backoff_ms;
	void (*on_link)(void *arg, bool up);
	void *arg;
	nng_socket sock;
	nng_dialer dialer;
	unsigned n, busy;
	struct wire_call *calls; /* n */
	int told;		 /* pipe id that on_link knows of, 0: none */
	uint64_t told_at;
	unsigned replies; /* by that pipe */
	_Atomic uint64_t logged;
	_Atomic unsigned refs; /* the owner's and one a post */
	_Atomic bool dead;

	pthread_mutex_t lock;	 /* guards what follows */
	int judged;		 /* pipe let through, not gone since */
	int pipe;		 /* the same, once frames may cross it */
	bool refused;		 /* one was not let through */
	struct tls_meter *meter; /* of the pipe judged last; NULL on ipc */
};

/* On the loop, which has a reference until fn gives it back. */
void wire_client_post(struct wire_client *w, void (*fn)(void *arg), void *arg);
void wire_client_unref(struct wire_client *w);

int wire_calls_open(struct wire_client *w, struct err *e) WARN_UNUSED;
/* What the lost pipe took with it fails at once; what still waits for one is
 * not to go first on the next, before its HELLO. */
void wire_calls_drop_unsent(struct wire_client *w);
/* Whatever is still out ends here, so that each request ends once. */
void wire_calls_end(struct wire_client *w);

#endif
