#include "common/link/wire_int.h"

#include <string.h>
#include <nng/protocol/reqrep0/rep.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/link/tls_engine.h"
#include "common/pki/certfacts.h"

/* One context: it receives, is the application's until wire_reply, sends, and
 * receives again. */
struct wire_req {
	struct wire_server *s;
	nng_ctx ctx;
	nng_aio *aio;
	bool sending;
	nng_msg *msg; /* the request, while it is the application's */
	char site[WIRE_NAME_MAX];
};

struct pipe_site {
	int pipe;
	char site[WIRE_NAME_MAX];
};

struct wire_server {
	struct loop *loop;
	void (*fn)(struct wire_req *r, void *arg);
	void *arg;
	char ipc_site[WIRE_NAME_MAX];
	uid_t ipc_uid;
	nng_socket sock;
	size_t n_listeners;
	struct listener {
		nng_listener l;
		bool ipc;
	} * listeners;
	unsigned port;
	unsigned n;
	struct wire_req *reqs; /* n */
	_Atomic uint64_t logged;
	_Atomic unsigned refs; /* the owner's and one a request */
	_Atomic bool dead;

	pthread_mutex_t lock; /* guards what follows */
	size_t n_sites, cap_sites;
	struct pipe_site *sites;
};

static void
server_unref(struct wire_server *s)
{
	unsigned i;

	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (i = 0; i < s->n; i++)
		if (s->reqs[i].aio != NULL)
			nng_aio_free(s->reqs[i].aio);
	pthread_mutex_destroy(&s->lock);
	free(s->listeners);
	free(s->sites);
	free(s->reqs);
	free(s);
}

static bool
listener_is_ipc(const struct wire_server *s, nng_pipe p)
{
	int id = nng_listener_id(nng_pipe_listener(p));
	size_t i;

	for (i = 0; i < s->n_listeners; i++)
		if (nng_listener_id(s->listeners[i].l) == id)
			return s->listeners[i].ipc;
	return false; /* then it must show a certificate */
}

static int
server_judge(
    struct wire_server *s, nng_pipe p, char ret[WIRE_NAME_MAX], struct err *e)
{
	X509 *x;

	if (!listener_is_ipc(s, p)) {
		if ((x = wire_pipe_cert(p, e)) == NULL)
			return -1;
		return cert_site(x, ret, e);
	}
	if (wire_pipe_uid_check(p, s->ipc_uid, e) == -1)
		return -1;
	str_copy(ret, WIRE_NAME_MAX, s->ipc_site);
	return 0;
}

static void
sites_add(struct wire_server *s, int pipe, const char *site)
{
	struct pipe_site *v;

	if (s->n_sites == s->cap_sites) {
		s->cap_sites = s->cap_sites > 0 ? 2 * s->cap_sites : 16;
		s->sites =
		    xrealloc(s->sites, s->cap_sites * sizeof(s->sites[0]));
	}
	v = &s->sites[s->n_sites++];
	v->pipe = pipe;
	str_copy(v->site, sizeof(v->site), site);
}

static void
sites_remove(struct wire_server *s, int pipe)
{
	size_t i;

	for (i = 0; i < s->n_sites; i++)
		if (s->sites[i].pipe == pipe) {
			s->sites[i] = s->sites[--s->n_sites];
			return;
		}
}

static bool
sites_find(struct wire_server *s, int pipe, char ret[WIRE_NAME_MAX])
{
	bool found = false;
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n_sites && !found; i++)
		if (s->sites[i].pipe == pipe) {
			str_copy(ret, WIRE_NAME_MAX, s->sites[i].site);
			found = true;
		}
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* On nng's threads. */
static void
server_on_pipe(nng_pipe p, nng_pipe_ev ev, void *arg)
{
	struct wire_server *s = arg;
	char site[WIRE_NAME_MAX];
	struct err e = ERR_INIT;

	if (ev == NNG_PIPE_EV_ADD_PRE && server_judge(s, p, site, &e) == -1) {
		wire_log_refused(&s->logged, p, "service", &e);
		nng_pipe_close(p);
		return;
	}
	pthread_mutex_lock(&s->lock);
	if (ev == NNG_PIPE_EV_ADD_PRE)
		sites_add(s, nng_pipe_id(p), site);
	else if (ev == NNG_PIPE_EV_REM_POST)
		sites_remove(s, nng_pipe_id(p));
	pthread_mutex_unlock(&s->lock);
}

static void
req_receive(struct wire_req *r)
{
	r->sending = false;
	nng_ctx_recv(r->ctx, r->aio);
}

/* On the loop. */
static void
req_serve(void *arg)
{
	struct wire_req *r = arg;

	if (atomic_load(&r->s->dead))
		wire_reply(r, bytes_of(NULL, 0)); /* nobody waits for it */
	else
		r->s->fn(r, r->s->arg);
}

/* A request of a pipe that has gone meanwhile has no name any more, and
 * nobody waits for its reply. */
static void
req_received(struct wire_req *r)
{
	r->msg = nng_aio_get_msg(r->aio);
	nng_aio_set_msg(r->aio, NULL);
	if (!sites_find(r->s, nng_pipe_id(nng_msg_get_pipe(r->msg)), r->site)) {
		nng_msg_free(STEAL(r->msg));
		req_receive(r);
		return;
	}
	atomic_fetch_add(&r->s->refs, 1);
	loop_post(r->s->loop, req_serve, r);
}

/* On nng's threads: received, or sent.  A reply that found nobody is still
 * ours to free, and a request that came as we end. */
static void
req_step(void *arg)
{
	struct wire_req *r = arg;
	bool dead = atomic_load(&r->s->dead);
	int rv = nng_aio_result(r->aio);

	if (r->sending ? rv != 0 : rv == 0 && dead) {
		nng_msg_free(nng_aio_get_msg(r->aio));
		nng_aio_set_msg(r->aio, NULL);
	}
	if (dead || rv == NNG_ECLOSED || rv == NNG_ECANCELED)
		return;
	if (r->sending || rv != 0)
		req_receive(r);
	else
		req_received(r);
}

const char *
wire_site(const struct wire_req *r)
{
	return r->site;
}

struct bytes
wire_body(const struct wire_req *r)
{
	return wire_msg_bytes(r->msg);
}

/* What cannot be sent leaves the asker to its time-out. */
static nng_msg *
reply_of(const struct wire_req *r, struct bytes reply)
{
	nng_msg *m = NULL;

	if (reply.len > FRAME_MAX)
		log_event(LOG_ERROR, "link.oversize", "site", "%s", r->site,
		    "octets", "%zu", reply.len, NULL);
	else if ((m = wire_msg_of(reply)) == NULL)
		log_event(LOG_ERROR, "link.no_memory", "site", "%s", r->site,
		    "octets", "%zu", reply.len, NULL);
	return m;
}

void
wire_reply(struct wire_req *r, struct bytes reply)
{
	struct wire_server *s = r->s;
	nng_msg *m = NULL;

	if (!atomic_load(&s->dead))
		m = reply_of(r, reply);
	/* Before the context may fill it with the next request. */
	nng_msg_free(STEAL(r->msg));
	if (m != NULL) {
		r->sending = true;
		nng_aio_set_msg(r->aio, m);
		nng_ctx_send(r->ctx, r->aio);
	} else if (!atomic_load(&s->dead)) {
		req_receive(r);
	}
	server_unref(s);
}

void
wire_close(struct wire_server *s)
{
	unsigned i;

	if (s == NULL)
		return;
	atomic_store(&s->dead, true);
	nng_close(s->sock);
	for (i = 0; i < s->n; i++)
		if (s->reqs[i].aio != NULL)
			nng_aio_stop(s->reqs[i].aio);
	server_unref(s);
}
AUTO_DEFINE(wire_server, struct wire_server, wire_close);

unsigned
wire_port(const struct wire_server *s)
{
	return s->port;
}

/* A peer with another uid needs the right to connect; its uid is asked for
 * then all the same. */
static int
listener_permit(struct listener *l, uid_t uid)
{
	return nng_listener_set_int(
	    l->l, NNG_OPT_IPC_PERMISSIONS, uid == geteuid() ? 0600 : 0666);
}

static int
server_listen(
    struct wire_server *s, const char *url, nng_tls_config *tls, struct err *e)
{
	struct listener *l = &s->listeners[s->n_listeners];
	int port, rv;

	if (wire_url_check(url, &l->ipc, e) == -1)
		return -1;
	if (l->ipc && s->ipc_site[0] == '\0')
		return err_set(e, ERR_CONF,
		    "link %s: no site is named for local peers", url);
	if ((rv = nng_listener_create(&l->l, s->sock, url)) != 0)
		return wire_fail(e, ERR_CONF, url, rv);
	s->n_listeners++; /* its pipes may come from here on */
	if ((rv = nng_listener_set_size(
		 l->l, NNG_OPT_RECVMAXSZ, WIRE_RECV_MAX)) != 0 ||
	    (rv = l->ipc ? listener_permit(l, s->ipc_uid)
			 : nng_listener_set_ptr(
			       l->l, NNG_OPT_TLS_CONFIG, tls)) != 0 ||
	    (!l->ipc &&
		(rv = nng_listener_set_bool(
		     l->l, NNG_OPT_TCP_KEEPALIVE, true)) != 0) ||
	    (rv = nng_listener_start(l->l, 0)) != 0)
		return wire_fail(e, ERR_CONF, url, rv);
	if (!l->ipc &&
	    nng_listener_get_int(l->l, NNG_OPT_TCP_BOUND_PORT, &port) == 0)
		s->port = (unsigned)port;
	return 0;
}

static int
server_contexts(struct wire_server *s, struct err *e)
{
	struct wire_req *r;
	int rv;

	for (r = s->reqs; r < s->reqs + s->n; r++) {
		r->s = s;
		if ((rv = nng_ctx_open(&r->ctx, s->sock)) != 0 ||
		    (rv = nng_aio_alloc(&r->aio, req_step, r)) != 0)
			return wire_fail(e, ERR_LOCAL, "contexts", rv);
	}
	for (r = s->reqs; r < s->reqs + s->n; r++)
		req_receive(r);
	return 0;
}

static bool
any_tls(const struct wire_listen_conf *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (!str_starts(c->urls[i], "ipc://"))
			return true;
	return false;
}

static int
server_start(
    struct wire_server *s, const struct wire_listen_conf *c, struct err *e)
{
	AUTO(nng_tls_config) tls = NULL;
	size_t i;
	int rv;

	if (any_tls(c) &&
	    (tls = wire_tls_config(&c->tls, NNG_TLS_MODE_SERVER, e)) == NULL)
		return -1;
	if ((rv = wire_notify(s->sock, server_on_pipe, s)) != 0)
		return wire_fail(e, ERR_LOCAL, "pipes", rv);
	if (server_contexts(s, e) == -1)
		return -1;
	for (i = 0; i < c->n; i++)
		if (server_listen(s, c->urls[i], tls, e) == -1)
			return -1;
	return 0;
}

static struct wire_server *
server_new(struct loop *l, const struct wire_listen_conf *c, nng_socket sock)
{
	struct wire_server *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	if (c->ipc_site != NULL)
		str_copy(s->ipc_site, sizeof(s->ipc_site), c->ipc_site);
	s->ipc_uid = c->ipc_uid;
	s->sock = sock;
	s->listeners = xcalloc(c->n, sizeof(s->listeners[0]));
	s->n = c->contexts;
	s->reqs = xcalloc(s->n, sizeof(s->reqs[0]));
	atomic_store(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

int
wire_listen(struct loop *l, const struct wire_listen_conf *c,
    void (*fn)(struct wire_req *r, void *arg), void *arg,
    struct wire_server **ret, struct err *e)
{
	AUTO(wire_server) s = NULL;
	nng_socket sock;
	int rv;

	if (c->n == 0 || c->contexts == 0)
		return err_set(e, ERR_CONF, "link: nothing to listen with");
	if (c->ipc_site != NULL && !name_valid(c->ipc_site))
		return err_set(
		    e, ERR_CONF, "link: site %s: not a name", c->ipc_site);
	if ((rv = nng_rep0_open(&sock)) != 0)
		return wire_fail(e, ERR_LOCAL, "service", rv);
	s = server_new(l, c, sock);
	s->fn = fn;
	s->arg = arg;
	if (tls_engine_register(e) == -1 || server_start(s, c, e) == -1)
		return -1;
	*ret = STEAL(s);
	return 0;
}
