#include "common/link/wire.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/link/frame.h"
#include "common/link/tls_engine.h"
#include "common/pki/certfacts.h"
#include "common/pki/sign.h"

#define NAME_MAX_LEN 33
#define WINDOW_MIN   2
#define WINDOW_MAX   64
/* REQ puts its request id in front of the body, and the limit counts both. */
#define RECV_MAX     (FRAME_MAX + 64)
#define LOG_GAP_MS   60000
/* A pipe that lived shorter counts as a failed attempt for the back-off. */
#define SETTLED_MS   5000

/* ---- what nng 1.5.2 forgets -------------------------------------------- */

/*
 * A message crosses a pipe in several steps, and each step ends in a callback
 * that begins the next.  If the pipe is closed between two of them, the next
 * is begun on an aio that was closed, and nng drops it in silence: the callback
 * never comes, the one thread that frees pipes waits for it for ever, no pipe
 * is ever removed again and no dialer dials again.  In the same way a reader
 * that comes after the connection's end is never told of it.  Both were seen
 * within a second of connections that break while they are in use.
 *
 * nng calls these two of its own public functions by their names, so ours are
 * the ones it finds.  An aio that was dropped has the result NNG_ECANCELED at
 * once; one that was begun and then closed has NNG_ECLOSED.  It is ended here,
 * as the callers expect.
 */
typedef void stream_fn(nng_stream *s, nng_aio *aio);

static stream_fn *real_send, *real_recv;
static bool mend; /* later versions may end it themselves */

static void
find_real(void)
{
	*(void **)&real_send = dlsym(RTLD_NEXT, "nng_stream_send");
	*(void **)&real_recv = dlsym(RTLD_NEXT, "nng_stream_recv");
	if (real_send == NULL || real_recv == NULL)
		err_die("nng is not a shared library");
	mend = strcmp(nng_version(), "1.5.2") == 0;
}

static void
stream_step(bool send, nng_stream *s, nng_aio *aio)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_real);
	(send ? real_send : real_recv)(s, aio);
	if (mend && nng_aio_result(aio) == NNG_ECANCELED)
		nng_aio_finish(aio, NNG_ECLOSED);
}

void
nng_stream_send(nng_stream *s, nng_aio *aio)
{
	stream_step(true, s, aio);
}

void
nng_stream_recv(nng_stream *s, nng_aio *aio)
{
	stream_step(false, s, aio);
}

/* ---- what both ends share ---------------------------------------------- */

static const struct {
	const char *prefix;
	bool ipc;
} schemes[] = {
	{ "tls+tcp://", false },
	{ "ipc://", true },
};

static int
url_check(const char *url, bool *ret_ipc, struct err *e)
{
	size_t i;

	for (i = 0; i < NELEMS(schemes); i++)
		if (str_starts(url, schemes[i].prefix)) {
			*ret_ipc = schemes[i].ipc;
			return 0;
		}
	return err_set(e, ERR_CONF,
	    "link %s: neither tls+tcp://HOST:PORT nor ipc://PATH", url);
}

static int
fail(struct err *e, enum err_kind kind, const char *what, int rv)
{
	return err_set(e, kind, "link %s: %s", what, nng_strerror(rv));
}

static void
config_free(nng_tls_config *c)
{
	if (c != NULL)
		nng_tls_config_free(c);
}
AUTO_DEFINE(nng_tls_config, nng_tls_config, config_free);

static void
certs_pem(const STACK_OF(X509) * certs, struct buf *out)
{
	int i;

	for (i = 0; i < sk_X509_num(certs); i++)
		ossl_cert_pem(sk_X509_value(certs, i), out);
}

static int
config_fill(nng_tls_config *c, const struct signer *s,
    const STACK_OF(X509) * ca, struct err *e)
{
	struct buf own AUTO_BUF = { 0 }, anchors AUTO_BUF = { 0 };
	struct buf key AUTO_SECRET = { 0 };
	int rv;

	ossl_cert_pem(s->cert, &own);
	certs_pem(s->chain, &own);
	certs_pem(ca, &anchors);
	ossl_key_pem(s->key, &key);
	if ((rv = nng_tls_config_version(c, NNG_TLS_1_3, NNG_TLS_1_3)) != 0 ||
	    (rv = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_REQUIRED)) !=
		0 ||
	    (rv = nng_tls_config_ca_chain(c, buf_cstr(&anchors), NULL)) != 0 ||
	    (rv = nng_tls_config_own_cert(
		 c, buf_cstr(&own), buf_cstr(&key), NULL)) != 0)
		return fail(e, ERR_LOCAL, "TLS", rv);
	return 0;
}

static nng_tls_config *
tls_config(const struct wire_tls *t, nng_tls_mode mode, struct err *e)
{
	AUTO(signer) s = NULL;
	AUTO(X509S) ca = NULL;
	AUTO(nng_tls_config) c = NULL;
	int rv;

	if (t->key == NULL || t->cert == NULL || t->ca == NULL) {
		err_set(e, ERR_CONF, "link: tls+tcp:// without key files");
		return NULL;
	}
	if ((s = signer_load(t->key, t->cert, e)) == NULL ||
	    (ca = ossl_load_certs(t->ca, e)) == NULL)
		return NULL;
	if ((rv = nng_tls_config_alloc(&c, mode)) != 0) {
		fail(e, ERR_LOCAL, "TLS", rv);
		return NULL;
	}
	if (config_fill(c, s, ca, e) == -1)
		return NULL;
	return STEAL(c);
}

/* The certificate at the far end, borrowed for this callback. */
static X509 *
pipe_cert(nng_pipe p, struct err *e)
{
	bool verified = false;
	X509 *x;

	if (nng_pipe_get_bool(p, NNG_OPT_TLS_VERIFIED, &verified) != 0 ||
	    !verified || (x = tls_engine_peer()) == NULL) {
		err_set(e, ERR_TRUST, "peer without a verified certificate");
		return NULL;
	}
	return x;
}

static int
pipe_uid_check(nng_pipe p, uid_t want, struct err *e)
{
	uint64_t uid;

	if (nng_pipe_get_uint64(p, NNG_OPT_IPC_PEER_UID, &uid) != 0)
		return err_set(e, ERR_TRUST, "peer without a uid");
	if (uid != want)
		return err_set(e, ERR_TRUST, "peer has uid %llu, not %llu",
		    (unsigned long long)uid, (unsigned long long)want);
	return 0;
}

static const char *
pipe_addr(nng_pipe p, char ret[INET6_ADDRSTRLEN])
{
	nng_sockaddr a;

	str_copy(ret, INET6_ADDRSTRLEN, "local");
	if (nng_pipe_get_addr(p, NNG_OPT_REMADDR, &a) != 0)
		return ret;
	if (a.s_family == NNG_AF_INET)
		inet_ntop(AF_INET, &a.s_in.sa_addr, ret, INET6_ADDRSTRLEN);
	else if (a.s_family == NNG_AF_INET6)
		inet_ntop(AF_INET6, a.s_in6.sa_addr, ret, INET6_ADDRSTRLEN);
	return ret;
}

/* A peer that is refused comes back soon: once a minute is told enough. */
static void
log_refused(
    _Atomic uint64_t *last, nng_pipe p, const char *as, const struct err *e)
{
	uint64_t now = clock_mono_ms(), before = atomic_load(last);
	char addr[INET6_ADDRSTRLEN];

	if ((before == 0 || now - before >= LOG_GAP_MS) &&
	    atomic_compare_exchange_strong(last, &before, now))
		log_err(LOG_ERROR, "link.refused", e, "as", "%s", as, "peer",
		    "%s", pipe_addr(p, addr), NULL);
}

static int
notify(nng_socket s, nng_pipe_cb cb, void *arg)
{
	static const nng_pipe_ev events[] = { NNG_PIPE_EV_ADD_PRE,
		NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST };
	size_t i;
	int rv = 0;

	for (i = 0; i < NELEMS(events) && rv == 0; i++)
		rv = nng_pipe_notify(s, events[i], cb, arg);
	return rv;
}

/* malloc'd, with the octets in its body; NULL if there is no memory. */
static nng_msg *
msg_of(struct bytes b)
{
	nng_msg *m;

	if (nng_msg_alloc(&m, 0) != 0)
		return NULL;
	if (nng_msg_append(m, b.p, b.len) != 0) {
		nng_msg_free(m);
		return NULL;
	}
	return m;
}

static struct bytes
msg_bytes(nng_msg *m)
{
	if (m == NULL)
		return (struct bytes){ NULL, 0 };
	return bytes_of(nng_msg_body(m), nng_msg_len(m));
}

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
	char service[NAME_MAX_LEN];
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
	_Atomic uint64_t logged;
	_Atomic unsigned refs; /* the owner's and one a post */
	_Atomic bool dead;

	pthread_mutex_t lock; /* guards what follows */
	int judged;	      /* pipe let through, not gone since */
	int pipe;	      /* the same, once frames may cross it */
	bool refused;	      /* one was not let through */
};

static void
client_unref(struct wire_client *w)
{
	unsigned i;

	if (atomic_fetch_sub(&w->refs, 1) != 1)
		return;
	for (i = 0; i < w->n; i++)
		if (w->calls[i].aio != NULL)
			nng_aio_free(w->calls[i].aio);
	pthread_mutex_destroy(&w->lock);
	free(w->calls);
	free(w);
}

static void
client_post(struct wire_client *w, void (*fn)(void *arg), void *arg)
{
	atomic_fetch_add(&w->refs, 1);
	loop_post(w->loop, fn, arg);
}

static int
client_judge(struct wire_client *w, nng_pipe p, struct err *e)
{
	char name[NAME_MAX_LEN];
	X509 *x;

	if (w->ipc)
		return pipe_uid_check(p, w->ipc_uid, e);
	if ((x = pipe_cert(p, e)) == NULL || cert_service(x, name, e) == -1)
		return -1;
	if (strcmp(name, w->service) != 0)
		return err_set(e, ERR_TRUST, "peer is service %s, not %s", name,
		    w->service);
	return 0;
}

/* nng starts the pause of its dialer anew with each pipe, also with one that
 * is closed at once: whoever refuses us, or is refused, would be dialled
 * several times a second. */
static void
client_backoff(struct wire_client *w, bool settled)
{
	unsigned ms = w->backoff_ms * 2;

	if (settled)
		ms = w->min_ms;
	else if (ms > w->max_ms)
		ms = w->max_ms;
	if (ms == w->backoff_ms)
		return;
	w->backoff_ms = ms;
	(void)nng_dialer_set_ms(
	    w->dialer, NNG_OPT_RECONNMINT, (nng_duration)ms);
}

/* What the lost pipe took with it fails at once; what still waits for one is
 * not to go first on the next, before its HELLO. */
static void
client_drop_unsent(struct wire_client *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		if (w->calls[i].busy && !atomic_load(&w->calls[i].receiving))
			nng_aio_abort(w->calls[i].aio, NNG_ECONNRESET);
}

static void
client_tell(struct wire_client *w, int pipe)
{
	uint64_t now = clock_mono_ms();

	if (w->told != 0) {
		client_drop_unsent(w);
		client_backoff(w, now - w->told_at >= SETTLED_MS);
		w->told = 0;
		w->on_link(w->arg, false);
	}
	if (pipe == 0 || atomic_load(&w->dead))
		return;
	w->told = pipe;
	w->told_at = now;
	w->on_link(w->arg, true);
}

/* On the loop: what became of the pipes since it last looked. */
static void
client_look(void *arg)
{
	struct wire_client *w = arg;
	bool refused;
	int pipe;

	pthread_mutex_lock(&w->lock);
	pipe = w->pipe;
	refused = w->refused;
	w->refused = false;
	pthread_mutex_unlock(&w->lock);
	if (!atomic_load(&w->dead)) {
		if (refused)
			client_backoff(w, false);
		if (pipe != w->told)
			client_tell(w, pipe);
	}
	client_unref(w);
}

static void
client_refuse(struct wire_client *w, nng_pipe p, const struct err *e)
{
	log_refused(&w->logged, p, w->service, e);
	pthread_mutex_lock(&w->lock);
	w->refused = true;
	pthread_mutex_unlock(&w->lock);
	nng_pipe_close(p);
}

/* On nng's threads.  A pipe may be removed before its ADD_POST is told. */
static void
client_on_pipe(nng_pipe p, nng_pipe_ev ev, void *arg)
{
	struct wire_client *w = arg;
	int id = nng_pipe_id(p);
	struct err e = ERR_INIT;

	if (ev == NNG_PIPE_EV_ADD_PRE && client_judge(w, p, &e) == -1) {
		client_refuse(w, p, &e);
		client_post(w, client_look, w);
		return;
	}
	pthread_mutex_lock(&w->lock);
	if (ev == NNG_PIPE_EV_ADD_PRE) {
		w->judged = id;
	} else if (ev == NNG_PIPE_EV_ADD_POST) {
		if (w->judged == id)
			w->pipe = id;
	} else {
		if (w->judged == id)
			w->judged = 0;
		if (w->pipe == id)
			w->pipe = 0;
	}
	pthread_mutex_unlock(&w->lock);
	if (ev != NNG_PIPE_EV_ADD_PRE)
		client_post(w, client_look, w);
}

/* The call is free again before its end is told: done may send the next. */
static void
call_end(struct wire_call *c, nng_msg *reply, const struct err *e)
{
	void (*done)(void *arg, struct bytes r, const struct err *err);

	done = STEAL(c->done);
	c->busy = false;
	c->w->busy--;
	done(c->arg, msg_bytes(reply), e);
}

/* On the loop. */
static void
call_done(void *arg)
{
	struct wire_call *c = arg;
	struct wire_client *w = c->w;
	nng_msg *reply = nng_aio_get_msg(c->aio);
	struct err e = ERR_INIT;

	nng_aio_set_msg(c->aio, NULL);
	if (!c->receiving || c->rv != 0) { /* then it is the request, or none */
		nng_msg_free(reply);
		reply = NULL;
	}
	if (c->done != NULL && c->rv == 0) {
		call_end(c, reply, NULL);
	} else if (c->done != NULL) {
		fail(&e, c->rv == NNG_ETIMEDOUT ? ERR_RETRY : ERR_PEER,
		    w->service, c->rv);
		call_end(c, NULL, &e);
	}
	nng_msg_free(reply);
	client_unref(w);
}

/* On nng's threads: sent, or received, or neither. */
static void
call_step(void *arg)
{
	struct wire_call *c = arg;
	uint64_t now = clock_mono_ms();

	c->rv = nng_aio_result(c->aio);
	if (c->rv != 0 || c->receiving) {
		client_post(c->w, call_done, c);
		return;
	}
	c->receiving = true;
	nng_aio_set_msg(c->aio, NULL);
	nng_aio_set_timeout(
	    c->aio, now < c->deadline ? (nng_duration)(c->deadline - now) : 1);
	nng_ctx_recv(c->ctx, c->aio);
}

static struct wire_call *
call_free(struct wire_client *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		if (!w->calls[i].busy)
			return &w->calls[i];
	return NULL;
}

unsigned
wire_room(const struct wire_client *w)
{
	return w->told != 0 ? w->n - w->busy : 0;
}

int
wire_send(struct wire_client *w, struct bytes request, unsigned timeout_ms,
    void (*done)(void *arg, struct bytes reply, const struct err *e), void *arg,
    struct err *e)
{
	struct wire_call *c = call_free(w);
	nng_msg *m;

	if (request.len > FRAME_MAX)
		return err_set(e, ERR_INPUT, "link %s: %zu octets, limit %d",
		    w->service, request.len, FRAME_MAX);
	if (w->told == 0)
		return err_set(e, ERR_RETRY, "link %s: down", w->service);
	if (c == NULL)
		return err_set(e, ERR_RETRY, "link %s: %u requests are out",
		    w->service, w->n);
	if ((m = msg_of(request)) == NULL)
		return fail(e, ERR_RETRY, w->service, NNG_ENOMEM);
	c->busy = true;
	w->busy++;
	c->receiving = false;
	c->deadline = clock_mono_ms() + timeout_ms;
	c->done = done;
	c->arg = arg;
	nng_aio_set_msg(c->aio, m);
	nng_aio_set_timeout(c->aio, (nng_duration)timeout_ms);
	nng_ctx_send(c->ctx, c->aio);
	return 0;
}

static void
client_close_pipe(struct wire_client *w)
{
	nng_pipe p = NNG_PIPE_INITIALIZER;

	pthread_mutex_lock(&w->lock);
	p.id = (uint32_t)w->judged;
	pthread_mutex_unlock(&w->lock);
	if (p.id != 0)
		nng_pipe_close(p);
}

void
wire_reconnect(struct wire_client *w)
{
	client_close_pipe(w);
}

/* Whatever is still out ends here, so that each request ends once. */
static void
client_end_calls(struct wire_client *w)
{
	struct err e = ERR_INIT;
	unsigned i;

	err_set(&e, ERR_PEER, "link %s: hung up", w->service);
	for (i = 0; i < w->n; i++)
		if (w->calls[i].done != NULL)
			call_end(&w->calls[i], NULL, &e);
}

/* After this none of nng's threads is in a callback of ours; the loop may
 * still hold posts, which find `dead`. */
static void
client_close(struct wire_client *w)
{
	unsigned i;

	atomic_store(&w->dead, true);
	w->told = 0;
	/* With the pipe gone no context sends any more when its receive is
	 * cancelled by the socket's end. */
	client_close_pipe(w);
	nng_close(w->sock);
	for (i = 0; i < w->n; i++)
		if (w->calls[i].aio != NULL)
			nng_aio_stop(w->calls[i].aio);
}

void
wire_hangup(struct wire_client *w)
{
	if (w == NULL)
		return;
	client_close(w);
	client_end_calls(w);
	client_unref(w);
}
AUTO_DEFINE(wire_client, struct wire_client, wire_hangup);

static int
client_calls(struct wire_client *w, struct err *e)
{
	struct wire_call *c;
	int rv;

	for (c = w->calls; c < w->calls + w->n; c++) {
		c->w = w;
		if ((rv = nng_ctx_open(&c->ctx, w->sock)) != 0 ||
		    (rv = nng_ctx_set_ms(c->ctx, NNG_OPT_REQ_RESENDTIME,
			 NNG_DURATION_INFINITE)) != 0 ||
		    (rv = nng_aio_alloc(&c->aio, call_step, c)) != 0)
			return fail(e, ERR_LOCAL, w->service, rv);
	}
	return 0;
}

/* Everything is set before the dialer starts: nng takes no limit later. */
static int
client_start(
    struct wire_client *w, const struct wire_client_conf *conf, struct err *e)
{
	AUTO(nng_tls_config) tls = NULL;
	int rv;

	if (!w->ipc &&
	    (tls = tls_config(&conf->tls, NNG_TLS_MODE_CLIENT, e)) == NULL)
		return -1;
	if ((rv = notify(w->sock, client_on_pipe, w)) != 0 ||
	    (rv = nng_dialer_create(&w->dialer, w->sock, conf->url)) != 0 ||
	    (rv = nng_dialer_set_size(
		 w->dialer, NNG_OPT_RECVMAXSZ, RECV_MAX)) != 0 ||
	    (rv = nng_dialer_set_ms(w->dialer, NNG_OPT_RECONNMINT,
		 (nng_duration)w->min_ms)) != 0 ||
	    (rv = nng_dialer_set_ms(w->dialer, NNG_OPT_RECONNMAXT,
		 (nng_duration)w->max_ms)) != 0 ||
	    (tls != NULL &&
		((rv = nng_dialer_set_ptr(
		      w->dialer, NNG_OPT_TLS_CONFIG, tls)) != 0 ||
		    (rv = nng_dialer_set_bool(
			 w->dialer, NNG_OPT_TCP_KEEPALIVE, true)) != 0)) ||
	    (rv = nng_dialer_start(w->dialer, NNG_FLAG_NONBLOCK)) != 0)
		return fail(e, ERR_CONF, conf->url, rv);
	return 0;
}

static int
client_conf_check(const struct wire_client_conf *c, struct err *e)
{
	if (!name_valid(c->service))
		return err_set(
		    e, ERR_CONF, "link: service %s: not a name", c->service);
	if (c->window < WINDOW_MIN || c->window > WINDOW_MAX)
		return err_set(e, ERR_CONF, "link %s: window %u, not %d to %d",
		    c->service, c->window, WINDOW_MIN, WINDOW_MAX);
	if (c->reconnect_min_ms == 0 ||
	    c->reconnect_max_ms < c->reconnect_min_ms)
		return err_set(e, ERR_CONF, "link %s: reconnect %u to %u ms",
		    c->service, c->reconnect_min_ms, c->reconnect_max_ms);
	return 0;
}

static struct wire_client *
client_new(struct loop *l, const struct wire_client_conf *c, nng_socket sock)
{
	struct wire_client *w = xcalloc(1, sizeof(*w));

	w->loop = l;
	str_copy(w->service, sizeof(w->service), c->service);
	w->ipc_uid = c->ipc_uid;
	w->min_ms = w->backoff_ms = c->reconnect_min_ms;
	w->max_ms = c->reconnect_max_ms;
	w->sock = sock;
	w->n = c->window;
	w->calls = xcalloc(w->n, sizeof(w->calls[0]));
	atomic_store(&w->refs, 1);
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

int
wire_dial(struct loop *l, const struct wire_client_conf *c,
    void (*on_link)(void *arg, bool up), void *arg, struct wire_client **ret,
    struct err *e)
{
	AUTO(wire_client) w = NULL;
	nng_socket sock;
	bool ipc;
	int rv;

	if (client_conf_check(c, e) == -1 || url_check(c->url, &ipc, e) == -1)
		return -1;
	if ((rv = nng_req0_open(&sock)) != 0)
		return fail(e, ERR_LOCAL, c->service, rv);
	w = client_new(l, c, sock);
	w->ipc = ipc;
	w->on_link = on_link;
	w->arg = arg;
	if (tls_engine_register(e) == -1 || client_calls(w, e) == -1 ||
	    client_start(w, c, e) == -1)
		return -1;
	*ret = STEAL(w);
	return 0;
}

/* ---- the service's end ------------------------------------------------- */

/* One context: it receives, is the application's until wire_reply, sends, and
 * receives again. */
struct wire_req {
	struct wire_server *s;
	nng_ctx ctx;
	nng_aio *aio;
	bool sending;
	nng_msg *msg; /* the request, while it is the application's */
	char site[NAME_MAX_LEN];
};

struct pipe_site {
	int pipe;
	char site[NAME_MAX_LEN];
};

struct wire_server {
	struct loop *loop;
	void (*fn)(struct wire_req *r, void *arg);
	void *arg;
	char ipc_site[NAME_MAX_LEN];
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
    struct wire_server *s, nng_pipe p, char ret[NAME_MAX_LEN], struct err *e)
{
	X509 *x;

	if (!listener_is_ipc(s, p)) {
		if ((x = pipe_cert(p, e)) == NULL)
			return -1;
		return cert_site(x, ret, e);
	}
	if (pipe_uid_check(p, s->ipc_uid, e) == -1)
		return -1;
	str_copy(ret, NAME_MAX_LEN, s->ipc_site);
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
sites_find(struct wire_server *s, int pipe, char ret[NAME_MAX_LEN])
{
	bool found = false;
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n_sites && !found; i++)
		if (s->sites[i].pipe == pipe) {
			str_copy(ret, NAME_MAX_LEN, s->sites[i].site);
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
	char site[NAME_MAX_LEN];
	struct err e = ERR_INIT;

	if (ev == NNG_PIPE_EV_ADD_PRE && server_judge(s, p, site, &e) == -1) {
		log_refused(&s->logged, p, "service", &e);
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
 * ours to free. */
static void
req_step(void *arg)
{
	struct wire_req *r = arg;
	int rv = nng_aio_result(r->aio);

	if (r->sending && rv != 0) {
		nng_msg_free(nng_aio_get_msg(r->aio));
		nng_aio_set_msg(r->aio, NULL);
	}
	if (atomic_load(&r->s->dead) || rv == NNG_ECLOSED ||
	    rv == NNG_ECANCELED)
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
	return msg_bytes(r->msg);
}

/* What cannot be sent leaves the asker to its time-out. */
static nng_msg *
reply_of(const struct wire_req *r, struct bytes reply)
{
	nng_msg *m = NULL;

	if (reply.len > FRAME_MAX)
		log_event(LOG_ERROR, "link.oversize", "site", "%s", r->site,
		    "octets", "%zu", reply.len, NULL);
	else if ((m = msg_of(reply)) == NULL)
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

	if (url_check(url, &l->ipc, e) == -1)
		return -1;
	if (l->ipc && s->ipc_site[0] == '\0')
		return err_set(e, ERR_CONF,
		    "link %s: no site is named for local peers", url);
	if ((rv = nng_listener_create(&l->l, s->sock, url)) != 0)
		return fail(e, ERR_CONF, url, rv);
	s->n_listeners++; /* its pipes may come from here on */
	if ((rv = nng_listener_set_size(l->l, NNG_OPT_RECVMAXSZ, RECV_MAX)) !=
		0 ||
	    (rv = l->ipc ? listener_permit(l, s->ipc_uid)
			 : nng_listener_set_ptr(
			       l->l, NNG_OPT_TLS_CONFIG, tls)) != 0 ||
	    (!l->ipc &&
		(rv = nng_listener_set_bool(
		     l->l, NNG_OPT_TCP_KEEPALIVE, true)) != 0) ||
	    (rv = nng_listener_start(l->l, 0)) != 0)
		return fail(e, ERR_CONF, url, rv);
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
			return fail(e, ERR_LOCAL, "contexts", rv);
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
	    (tls = tls_config(&c->tls, NNG_TLS_MODE_SERVER, e)) == NULL)
		return -1;
	if ((rv = notify(s->sock, server_on_pipe, s)) != 0)
		return fail(e, ERR_LOCAL, "pipes", rv);
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
		return fail(e, ERR_LOCAL, "service", rv);
	s = server_new(l, c, sock);
	s->fn = fn;
	s->arg = arg;
	if (tls_engine_register(e) == -1 || server_start(s, c, e) == -1)
		return -1;
	*ret = STEAL(s);
	return 0;
}
