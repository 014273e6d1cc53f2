#include "common/sys/https_int.h"

#include <pthread.h>
#include <event2/listener.h>
#include "common/base/limits.h"

/* Out of descriptors: a connection that waits keeps the listener ready, and
 * the loop would spin.  Nothing else can be served then either. */
static void
on_accept_error(struct evconnlistener *lev, void *arg)
{
	(void)lev;
	(void)arg;
	usleep(10000);
}

/* Takes fd. */
static int
serve(struct https *h, int fd, struct err *e)
{
	struct evhttp_bound_socket *bound;

	if ((h->http = evhttp_new(loop_base(h->loop))) == NULL)
		abort();
	if ((bound = evhttp_accept_socket_with_handle(h->http, fd)) == NULL) {
		close(fd);
		return err_set(e, ERR_LOCAL, "https: cannot accept");
	}
	evconnlistener_set_error_cb(
	    evhttp_bound_socket_get_listener(bound), on_accept_error);
	evhttp_set_gencb(h->http, https_on_request, h);
	evhttp_set_max_headers_size(h->http, LIMIT_HTTP_HEADERS);
	evhttp_set_max_body_size(h->http, (ev_ssize_t)h->max_body);
	evhttp_set_default_content_type(h->http, NULL);
	evhttp_set_flags(h->http, EVHTTP_SERVER_LINGERING_CLOSE);
	/* The handler tells 404 from 405; methods unknown here get 501. */
	evhttp_set_allowed_methods(h->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
		EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
		EVHTTP_REQ_PATCH);
	if (h->unix_path == NULL)
		evhttp_set_bevcb(h->http, https_conn_new, h);
	else
		evhttp_set_timeout(h->http, LIMIT_CONTROL_IDLE);
	return 0;
}

AUTO_DEFINE(https, struct https, https_close);

static struct https *
https_new(struct loop *l, size_t max_body, https_handler fn, void *arg)
{
	struct https *h = xcalloc(1, sizeof(*h));

	h->loop = l;
	h->fn = fn;
	h->arg = arg;
	h->max_body = max_body;
	LIST_INIT(&h->conns);
	return h;
}

static unsigned
or_default(unsigned ms, unsigned otherwise)
{
	return ms != 0 ? ms : otherwise;
}

struct https *
https_open(struct loop *l, const struct https_conf *c, https_handler fn,
    void *arg, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	AUTO(https) h = https_new(l, c->max_body, fn, arg);
	int fd;

	pthread_once(&once, https_conn_index);
	h->max_conns = c->max_conns;
	h->n_conns = c->conns != NULL ? c->conns : &h->own_conns;
	h->gate = c->gate;
	h->handshake_ms = or_default(c->handshake_ms, LIMIT_TLS_HANDSHAKE);
	h->headers_ms = or_default(c->headers_ms, LIMIT_HTTP_HEADERS_TIME);
	h->body_ms = or_default(c->body_ms, LIMIT_HTTP_BODY_TIME);
	h->idle_ms = or_default(c->idle_ms, LIMIT_HTTP_IDLE);
	h->full = https_tls_bare();
	if ((h->ctx = https_tls_server(c->signer, e)) == NULL ||
	    (fd = https_listen_tcp(c->listen, e)) == -1)
		return NULL;
	https_tls_gate(h->ctx);
	h->port = https_port_of(fd);
	if (serve(h, fd, e) == -1)
		return NULL;
	return STEAL(h);
}

struct https *
https_open_unix(struct loop *l, const char *path, size_t max_body,
    https_handler fn, void *arg, struct err *e)
{
	AUTO(https) h = https_new(l, max_body, fn, arg);
	int fd;

	if ((fd = https_listen_unix(path, e)) == -1)
		return NULL;
	h->unix_path = xstrdup(path);
	if (serve(h, fd, e) == -1)
		return NULL;
	return STEAL(h);
}

void
https_close(struct https *h)
{
	struct conn *c;

	if (h == NULL)
		return;
	if (h->http != NULL)
		evhttp_free(h->http);
	/* libevent frees the connections in the loop's next round. */
	while ((c = LIST_FIRST(&h->conns)) != NULL) {
		https_conn_leave(c);
	}
	if (h->unix_path != NULL)
		unlink(h->unix_path);
	free(h->unix_path);
	SSL_CTX_free(h->ctx);
	SSL_CTX_free(h->full);
	free(h);
}

unsigned
https_port(const struct https *h)
{
	return h->port;
}
