#include "common/link/wire_int.h"

#include <string.h>
#include <nng/protocol/reqrep0/req.h>
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"

#define WINDOW_MIN	2
#define WINDOW_MAX	64
/* A pipe that lived shorter, and brought fewer replies, counts as a failed
 * attempt for the back-off. */
#define SETTLED_MS	5000
#define SETTLED_REPLIES 2

void
wire_client_unref(struct wire_client *w)
{
	unsigned i;

	if (atomic_fetch_sub(&w->refs, 1) != 1)
		return;
	for (i = 0; i < w->n; i++)
		if (w->calls[i].aio != NULL)
			nng_aio_free(w->calls[i].aio);
	tls_meter_free(w->meter);
	pthread_mutex_destroy(&w->lock);
	free(w->calls);
	free(w);
}

void
wire_client_post(struct wire_client *w, void (*fn)(void *arg), void *arg)
{
	atomic_fetch_add(&w->refs, 1);
	loop_post(w->loop, fn, arg);
}

static int
client_judge(struct wire_client *w, nng_pipe p, struct err *e)
{
	char name[WIRE_NAME_MAX];
	X509 *x;

	if (w->ipc)
		return wire_pipe_uid_check(p, w->ipc_uid, e);
	if ((x = wire_pipe_cert(p, e)) == NULL ||
	    cert_service(x, name, e) == -1)
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

static void
client_tell(struct wire_client *w, int pipe)
{
	uint64_t now = clock_mono_ms();

	if (w->told != 0) {
		wire_calls_drop_unsent(w);
		client_backoff(w,
		    now - w->told_at >= SETTLED_MS ||
			w->replies >= SETTLED_REPLIES);
		w->told = 0;
		w->on_link(w->arg, false);
	}
	if (pipe == 0 || atomic_load(&w->dead))
		return;
	w->told = pipe;
	w->told_at = now;
	w->replies = 0;
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
	wire_client_unref(w);
}

static void
client_refuse(struct wire_client *w, nng_pipe p, const struct err *e)
{
	wire_log_refused(&w->logged, p, w->service, e);
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
		wire_client_post(w, client_look, w);
		return;
	}
	pthread_mutex_lock(&w->lock);
	if (ev == NNG_PIPE_EV_ADD_PRE) {
		w->judged = id;
		tls_meter_free(w->meter);
		w->meter = w->ipc ? NULL : tls_engine_meter();
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
		wire_client_post(w, client_look, w);
}

/*
 * Only what frames may cross already: nng 1.5.2 asks whether a pipe was closed
 * before it starts it, and ends the process if that happens between the two.
 */
static void
client_close_pipe(int id)
{
	nng_pipe p = { (uint32_t)id };

	if (id != 0)
		nng_pipe_close(p);
}

uint64_t
wire_received(struct wire_client *w)
{
	uint64_t n = 0;

	pthread_mutex_lock(&w->lock);
	if (w->meter != NULL && w->pipe != 0)
		n = atomic_load(&w->meter->received);
	pthread_mutex_unlock(&w->lock);
	return n;
}

void
wire_reconnect(struct wire_client *w)
{
	client_close_pipe(w->told);
}

/* After this none of nng's threads is in a callback of ours; the loop may
 * still hold posts, which find `dead`. */
static void
client_close(struct wire_client *w)
{
	unsigned i;
	int pipe;

	atomic_store(&w->dead, true);
	w->told = 0;
	pthread_mutex_lock(&w->lock);
	pipe = w->pipe;
	pthread_mutex_unlock(&w->lock);
	/* With the pipe gone no context sends any more when its receive is
	 * cancelled by the socket's end.  One in the making ends with it. */
	client_close_pipe(pipe);
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
	wire_calls_end(w);
	wire_client_unref(w);
}
AUTO_DEFINE(wire_client, struct wire_client, wire_hangup);

/* Everything is set before the dialer starts: nng takes no limit later. */
static int
client_start(
    struct wire_client *w, const struct wire_client_conf *conf, struct err *e)
{
	AUTO(nng_tls_config) tls = NULL;
	int rv;

	if (!w->ipc &&
	    (tls = wire_tls_config(&conf->tls, NNG_TLS_MODE_CLIENT, e)) == NULL)
		return -1;
	if ((rv = wire_notify(w->sock, client_on_pipe, w)) != 0 ||
	    (rv = nng_dialer_create(&w->dialer, w->sock, conf->url)) != 0 ||
	    (rv = nng_dialer_set_size(
		 w->dialer, NNG_OPT_RECVMAXSZ, WIRE_RECV_MAX)) != 0 ||
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
		return wire_fail(e, ERR_CONF, conf->url, rv);
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

	if (client_conf_check(c, e) == -1 ||
	    wire_url_check(c->url, &ipc, e) == -1)
		return -1;
	if ((rv = nng_req0_open(&sock)) != 0)
		return wire_fail(e, ERR_LOCAL, c->service, rv);
	w = client_new(l, c, sock);
	w->ipc = ipc;
	w->on_link = on_link;
	w->arg = arg;
	if (tls_engine_register(e) == -1 || wire_calls_open(w, e) == -1 ||
	    client_start(w, c, e) == -1)
		return -1;
	*ret = STEAL(w);
	return 0;
}
