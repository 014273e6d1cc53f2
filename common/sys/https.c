#include "common/sys/https.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "common/base/clock.h"
#include "common/base/str.h"

#define HEADERS_MAX   8192
#define CERT_LIST_MAX (32 * 1024)
#define BACKLOG	      1024
/* What a client may send ahead of its answers, above one request. */
#define AHEAD_MAX     (64 * 1024)

enum {
	HANDSHAKE_MS = 10000,
	HEADERS_MS = 15000,
	BODY_MS = 30000,
	IDLE_MS = 30000,
	UNIX_IDLE_S = 60
};

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
	unsigned max_conns, n_conns;
	unsigned handshake_ms, headers_ms, body_ms, idle_ms;
	struct conns conns;
};

enum phase {
	PHASE_READING, /* from accept or a later request's first octet on */
	PHASE_HANDLED, /* the answer is owed: no deadline runs */
	PHASE_WRITING,
	PHASE_IDLE
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
	enum phase phase;
	uint64_t since;	   /* when the phase began */
	bool headers_done; /* the empty line was seen */
	unsigned newline;  /* 1: after LF, 2: after LF CR */
};

struct https_req {
	struct evhttp_request *req;
	struct loop *loop;
	enum https_method method;
	char *path;
	char addr[64];
	uid_t uid;
	X509 *cert;
	STACK_OF(X509) * chain;
	struct conn *conn; /* NULL on a Unix socket */
	bool owed, gone, close;
	void (*on_gone)(void *arg);
	void *on_gone_arg;
	void (*flushed)(void *arg, bool ok);
	void *flushed_arg;
};

/*
 * Connections.
 */
static int conn_index = -1;

static void
conn_free(
    void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	struct conn *c = ptr;

	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	if (c == NULL)
		return;
	if (c->h != NULL) {
		c->h->n_conns--;
		LIST_REMOVE(c, link);
		timer_free(c->deadline);
	}
	free(c);
}

static void
make_conn_index(void)
{
	conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, conn_free);
}

static struct conn *
conn_get(struct bufferevent *bev)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	return ssl == NULL ? NULL : SSL_get_ex_data(ssl, conn_index);
}

static void
conn_enter(struct conn *c, enum phase phase, unsigned ms)
{
	c->phase = phase;
	c->since = clock_mono_ms();
	timer_set(c->deadline, ms);
}

static unsigned
conn_limit(const struct conn *c)
{
	if (c->phase == PHASE_IDLE)
		return c->h->idle_ms;
	if (c->phase == PHASE_WRITING)
		return c->h->body_ms;
	if (!SSL_is_init_finished(c->ssl))
		return c->h->handshake_ms;
	return c->headers_done ? c->h->body_ms : c->h->headers_ms;
}

/* evhttp's own timeout counts silence: one octet a second would live for
 * ever.  Shutting down makes evhttp see the end and free what is its. */
static void
on_deadline(void *arg)
{
	struct conn *c = arg;
	uint64_t spent = clock_mono_ms() - c->since;
	unsigned limit = conn_limit(c);

	if (spent < limit)
		timer_set(c->deadline, limit - spent);
	else
		shutdown(SSL_get_fd(c->ssl), SHUT_RDWR);
}

static void
on_surplus(void *arg)
{
	struct conn *c = arg;

	shutdown(SSL_get_fd(c->ssl), SHUT_RDWR);
}

/* Looks for the empty line that ends the headers. */
static void
conn_scan(struct conn *c, struct evbuffer *in, size_t from)
{
	struct evbuffer_ptr at;
	char piece[1024];
	ev_ssize_t n, i;

	while (!c->headers_done && from < evbuffer_get_length(in)) {
		evbuffer_ptr_set(in, &at, from, EVBUFFER_PTR_SET);
		n = evbuffer_copyout_from(in, &at, piece, sizeof(piece));
		if (n <= 0)
			return;
		for (i = 0; i < n; i++) {
			if (piece[i] == '\n' && c->newline > 0)
				c->headers_done = true;
			c->newline = piece[i] == '\n'		  ? 1
			    : piece[i] == '\r' && c->newline == 1 ? 2
								  : 0;
		}
		from += (size_t)n;
	}
}

static void
conn_first_octet(struct conn *c)
{
	c->headers_done = false;
	c->newline = 0;
	conn_enter(c, PHASE_READING, c->h->headers_ms);
}

static void
on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_added == 0 || c->h == NULL)
		return;
	if (c->phase == PHASE_IDLE)
		conn_first_octet(c);
	if (c->phase == PHASE_READING)
		conn_scan(c, in, info->orig_size);
}

/* The answer is out: the next request may have come already. */
static void
conn_idle(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	conn_enter(c, PHASE_IDLE, c->h->idle_ms);
	if (evbuffer_get_length(in) == 0)
		return;
	conn_first_octet(c);
	conn_scan(c, in, 0);
}

/* evhttp takes a NULL for leave to speak without TLS: never return one. */
static struct bufferevent *
new_connection(struct event_base *base, void *arg)
{
	struct https *h = arg;
	bool surplus = h->n_conns >= h->max_conns;
	struct conn *c = xcalloc(1, sizeof(*c));

	c->h = h;
	if ((c->ssl = SSL_new(surplus ? h->full : h->ctx)) == NULL ||
	    !SSL_set_ex_data(c->ssl, conn_index, c) ||
	    (c->bev = bufferevent_openssl_socket_new(base, -1, c->ssl,
		 BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)) == NULL)
		abort();
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	bufferevent_setwatermark(c->bev, EV_READ, 0, h->max_body + AHEAD_MAX);
	c->deadline = timer_new(h->loop, surplus ? on_surplus : on_deadline, c);
	conn_enter(c, PHASE_READING, surplus ? 0 : h->handshake_ms);
	evbuffer_add_cb(bufferevent_get_input(c->bev), on_input, c);
	LIST_INSERT_HEAD(&h->conns, c, link);
	h->n_conns++;
	return c->bev;
}

/*
 * Requests.
 */
static void
req_free(struct https_req *r)
{
	X509_free(r->cert);
	sk_X509_pop_free(r->chain, X509_free);
	free(r->path);
	free(r);
}

/* evhttp calls this before it frees the connection. */
static void
on_close(struct evhttp_connection *evcon, void *arg)
{
	struct https_req *r = arg;

	(void)evcon;
	r->conn = NULL;
	if (r->owed) {
		/* Until the answer its parts are ours. */
		evhttp_request_own(r->req);
		r->gone = true;
		if (r->on_gone != NULL)
			r->on_gone(r->on_gone_arg);
		return;
	}
	if (r->flushed != NULL)
		r->flushed(r->flushed_arg, false);
	req_free(r);
}

/* evhttp calls this when its output buffer ran empty, which TLS and socket
 * bufferevents do by writing to the kernel. */
static void
on_complete(struct evhttp_request *req, void *arg)
{
	struct https_req *r = arg;

	evhttp_connection_set_closecb(
	    evhttp_request_get_connection(req), NULL, NULL);
	if (r->conn != NULL && r->close) {
		/* A clean end, so that nobody need take it for a cut. */
		SSL_set_shutdown(r->conn->ssl, SSL_RECEIVED_SHUTDOWN);
		SSL_shutdown(r->conn->ssl);
		ERR_clear_error();
	}
	if (r->conn != NULL)
		conn_idle(r->conn);
	if (r->flushed != NULL)
		r->flushed(r->flushed_arg, true);
	req_free(r);
}

/* evhttp stops reading while an answer is owed and so would not see the client
 * go.  Read on, up to the watermark, for the end alone: evhttp's own read
 * callback ends the process in this state. */
static void
watch_for_end(struct bufferevent *bev)
{
	bufferevent_event_cb on_event;
	void *arg;

	bufferevent_getcb(bev, NULL, NULL, &on_event, &arg);
	bufferevent_setcb(bev, NULL, NULL, on_event, arg);
	bufferevent_enable(bev, EV_READ);
}

static enum https_method
method_of(const struct evhttp_request *req)
{
	enum evhttp_cmd_type type = evhttp_request_get_command(req);

	if (type == EVHTTP_REQ_GET)
		return HTTPS_GET;
	return type == EVHTTP_REQ_POST ? HTTPS_POST : HTTPS_OTHER;
}

static void
req_peer(struct https_req *r, struct evhttp_connection *evcon,
    struct bufferevent *bev)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	ev_uint16_t port;
	char *addr = NULL;
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	STACK_OF(X509) * chain;

	r->uid = (uid_t)-1;
	if (ssl == NULL) {
		str_copy(r->addr, sizeof(r->addr), "unix");
		if (getsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_PEERCRED,
			&cred, &len) == 0)
			r->uid = cred.uid;
		return;
	}
	evhttp_connection_get_peer(evcon, &addr, &port);
	str_copy(r->addr, sizeof(r->addr), addr);
	/* Own references: the SSL may be gone before the answer. */
	r->cert = SSL_get1_peer_certificate(ssl);
	if (r->cert != NULL && (chain = SSL_get_peer_cert_chain(ssl)) != NULL)
		r->chain = X509_chain_up_ref(chain);
	r->conn = conn_get(bev);
}

/*
 * evhttp takes "gzip, chunked" for chunked, the first of several lengths, and
 * the body of a GET for the next request; nothing here may rest on such.
 * RFC 9112 6.1, 6.3.
 */
static const char *
framing_fault(const struct https_req *r)
{
	const struct evkeyvalq *headers =
	    evhttp_request_get_input_headers(r->req);
	const struct evkeyval *kv;
	unsigned codings = 0, lengths = 0;
	bool body = false;

	TAILQ_FOREACH(kv, headers, next)
	{
		if (strcasecmp(kv->key, "Transfer-Encoding") == 0) {
			if (strcasecmp(kv->value, "chunked") != 0)
				return "Transfer-Encoding other than chunked";
			codings++;
			body = true;
		} else if (strcasecmp(kv->key, "Content-Length") == 0) {
			lengths++;
			body = body || strcmp(kv->value, "0") != 0;
		}
	}
	if (codings + lengths > 1)
		return "more than one of Content-Length, Transfer-Encoding";
	if (body && r->method == HTTPS_GET)
		return "GET with a body";
	return NULL;
}

static char *
decoded_path(const struct evhttp_request *req)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *raw = uri == NULL ? NULL : evhttp_uri_get_path(uri);
	AUTO(char) path = NULL;
	size_t len;

	if (raw == NULL || (path = evhttp_uridecode(raw, 0, &len)) == NULL ||
	    strlen(path) != len)
		return NULL;
	return STEAL(path);
}

static void
refuse(struct https_req *r, int status, const char *why)
{
	struct buf text AUTO_BUF = { 0 };
	struct https_answer a = {
		.status = status, .type = "text/plain", .close = true
	};

	buf_printf(&text, "%s\n", why);
	a.body = buf_bytes(&text);
	https_reply(r, &a);
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct https *h = arg;
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct bufferevent *bev = evhttp_connection_get_bufferevent(evcon);
	struct https_req *r = xcalloc(1, sizeof(*r));
	const char *why;

	r->req = req;
	r->loop = h->loop;
	r->owed = true;
	r->method = method_of(req);
	r->path = decoded_path(req);
	req_peer(r, evcon, bev);
	if (r->conn != NULL) {
		r->conn->phase = PHASE_HANDLED;
		timer_clear(r->conn->deadline);
	}
	evhttp_connection_set_closecb(evcon, on_close, r);
	watch_for_end(bev);
	if (r->path == NULL)
		refuse(r, 400, "path is not readable");
	else if ((why = framing_fault(r)) != NULL)
		refuse(r, 400, why);
	else
		h->fn(r, h->arg);
}

enum https_method
https_method(const struct https_req *r)
{
	return r->method;
}

const char *
https_path(const struct https_req *r)
{
	return r->path;
}

const char *
https_query(const struct https_req *r)
{
	const char *q =
	    evhttp_uri_get_query(evhttp_request_get_evhttp_uri(r->req));

	return q == NULL ? "" : q;
}

const char *
https_header(const struct https_req *r, const char *name)
{
	return evhttp_find_header(
	    evhttp_request_get_input_headers(r->req), name);
}

struct bytes
https_body(const struct https_req *r)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r->req);
	size_t len = evbuffer_get_length(in);

	return bytes_of(evbuffer_pullup(in, -1), len);
}

X509 *
https_peer_cert(const struct https_req *r)
{
	return r->cert;
}

STACK_OF(X509) * https_peer_chain(const struct https_req *r)
{
	return r->chain;
}

uid_t
https_peer_uid(const struct https_req *r)
{
	return r->uid;
}

const char *
https_peer_addr(const struct https_req *r)
{
	return r->addr;
}

struct loop *
https_loop(const struct https_req *r)
{
	return r->loop;
}

bool
https_gone(const struct https_req *r)
{
	return r->gone;
}

void
https_on_gone(struct https_req *r, void (*fn)(void *arg), void *arg)
{
	r->on_gone = fn;
	r->on_gone_arg = arg;
}

/* evhttp answers "keep-alive" to an HTTP/1.0 client that asks for it, beside
 * any header of ours; so it must not see that the client asked. */
static void
ask_to_close(struct evhttp_request *req)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);

	evhttp_remove_header(in, "Connection");
	evhttp_add_header(in, "Connection", "close");
}

static void
answer_headers(struct evhttp_request *req, const struct https_answer *a)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	char seconds[16];

	if (a->type != NULL)
		evhttp_add_header(out, "Content-Type", a->type);
	if (a->close)
		ask_to_close(req);
	if (a->retry_after > 0) {
		snprintf(seconds, sizeof(seconds), "%u", a->retry_after);
		evhttp_add_header(out, "Retry-After", seconds);
	}
}

static bool
client_closes(const struct https_req *r)
{
	const char *connection = https_header(r, "Connection");

	return connection != NULL && strcasecmp(connection, "close") == 0;
}

static void
reply_to_nobody(struct https_req *r, const struct https_answer *a)
{
	evhttp_request_free(r->req);
	req_free(r);
	if (a->flushed != NULL)
		a->flushed(a->arg, false);
}

void
https_reply(struct https_req *r, const struct https_answer *a)
{
	struct evbuffer *out;

	if (r->gone) {
		reply_to_nobody(r, a);
		return;
	}
	if ((out = evbuffer_new()) == NULL)
		abort();
	r->owed = false;
	r->close = a->close || client_closes(r);
	r->flushed = a->flushed;
	r->flushed_arg = a->arg;
	if (r->conn != NULL)
		conn_enter(r->conn, PHASE_WRITING, r->conn->h->body_ms);
	answer_headers(r->req, a);
	if (a->type != NULL)
		evbuffer_add(out, a->body.p, a->body.len);
	evhttp_request_set_on_complete_cb(r->req, on_complete, r);
	evhttp_send_reply(r->req, a->status, NULL, out);
	evbuffer_free(out);
}

void
https_reply_text(struct https_req *r, int status, const char *fmt, ...)
{
	struct buf text AUTO_BUF = { 0 };
	char line[ERR_MSG_MAX];
	struct https_answer a = { .status = status, .type = "text/plain" };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_printf(&text, "%s\n", line);
	a.body = buf_bytes(&text);
	https_reply(r, &a);
}

/*
 * Servers.
 */

/*
 * Who the client is, is for the handler to judge: nothing is verified here and
 * nothing reads as verified.  Only a key that would be dear to verify with, or
 * that no rule can admit, ends the handshake.
 */
static int
on_client_cert(X509_STORE_CTX *store, void *arg)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return leaf != NULL && key_check(X509_get0_pubkey(leaf), NULL) == 0;
}

static SSL_CTX *
bare_ctx(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL ||
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") ||
	    !SSL_CTX_set_num_tickets(ctx, 0))
		abort();
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* A resumed session would hide the client's certificate. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(ctx, CERT_LIST_MAX);
	return ctx;
}

static SSL_CTX *
server_ctx(const struct signer *s, struct err *e)
{
	SSL_CTX *ctx = bare_ctx();
	bool ok = SSL_CTX_use_certificate(ctx, s->cert) == 1 &&
	    SSL_CTX_use_PrivateKey(ctx, s->key) == 1;
	int i;

	for (i = 0; ok && i < sk_X509_num(s->chain); i++)
		ok = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(s->chain, i)) ==
		    1;
	if (!ok) {
		err_ossl(e, ERR_LOCAL, "https: certificate and key");
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_client_cert, NULL);
	return ctx;
}

static int
bind_address(int fd, const struct addrinfo *ai)
{
	int on = 1;

	/* TCP_NODELAY is inherited by what is accepted; without it each
	 * answer waits for the client's delayed acknowledgement. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == -1)
		return -1;
	return listen(fd, BACKLOG);
}

static int
listen_tcp(const char *listen_on, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *ai;
	char host[64], port[6];
	AUTO_FD fd = -1;
	int rc;

	if (hostport_parse(listen_on, host, port, e) == -1)
		return -1;
	if ((rc = getaddrinfo(host, port, &hints, &ai)) != 0)
		return err_set(
		    e, ERR_CONF, "listen %s: %s", listen_on, gai_strerror(rc));
	fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = fd == -1 ? -1 : bind_address(fd, ai);
	freeaddrinfo(ai);
	if (rc == -1)
		return err_errno(e, ERR_LOCAL, "listen %s", listen_on);
	return fd_steal(&fd);
}

static unsigned
port_of(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) == -1)
		return 0;
	return ntohs(
	    a.sa.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
}

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
	evhttp_set_gencb(h->http, on_request, h);
	evhttp_set_max_headers_size(h->http, HEADERS_MAX);
	evhttp_set_max_body_size(h->http, (ev_ssize_t)h->max_body);
	evhttp_set_default_content_type(h->http, NULL);
	evhttp_set_flags(h->http, EVHTTP_SERVER_LINGERING_CLOSE);
	/* The handler tells 404 from 405; methods unknown here get 501. */
	evhttp_set_allowed_methods(h->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
		EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
		EVHTTP_REQ_PATCH);
	if (h->unix_path == NULL)
		evhttp_set_bevcb(h->http, new_connection, h);
	else
		evhttp_set_timeout(h->http, UNIX_IDLE_S);
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

	pthread_once(&once, make_conn_index);
	h->max_conns = c->max_conns;
	h->handshake_ms = or_default(c->handshake_ms, HANDSHAKE_MS);
	h->headers_ms = or_default(c->headers_ms, HEADERS_MS);
	h->body_ms = or_default(c->body_ms, BODY_MS);
	h->idle_ms = or_default(c->idle_ms, IDLE_MS);
	h->full = bare_ctx();
	if ((h->ctx = server_ctx(c->signer, e)) == NULL ||
	    (fd = listen_tcp(c->listen, e)) == -1)
		return NULL;
	h->port = port_of(fd);
	if (serve(h, fd, e) == -1)
		return NULL;
	return STEAL(h);
}

/* Only a socket makes way: a path mistyped must not cost a file. */
static int
remove_old_socket(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT
		    ? 0
		    : err_errno(e, ERR_LOCAL, "socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(
		    e, ERR_CONF, "socket %s: exists, is no socket", path);
	if (unlink(path) == -1)
		return err_errno(e, ERR_LOCAL, "socket %s: unlink", path);
	return 0;
}

static int
listen_unix(const char *path, struct err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	AUTO_FD fd = -1;

	if (str_copy(un.sun_path, sizeof(un.sun_path), path) >=
	    sizeof(un.sun_path))
		return err_set(e, ERR_CONF, "socket %s: path over %zu octets",
		    path, sizeof(un.sun_path) - 1);
	if (remove_old_socket(path, e) == -1)
		return -1;
	/* The mode of the socket becomes that of the file: at no time could
	 * anybody else open it. */
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		 0)) == -1 ||
	    fchmod(fd, 0600) == -1 ||
	    bind(fd, (struct sockaddr *)&un, sizeof(un)) == -1 ||
	    listen(fd, BACKLOG) == -1)
		return err_errno(e, ERR_LOCAL, "socket %s", path);
	return fd_steal(&fd);
}

struct https *
https_open_unix(struct loop *l, const char *path, size_t max_body,
    https_handler fn, void *arg, struct err *e)
{
	AUTO(https) h = https_new(l, max_body, fn, arg);
	int fd;

	if ((fd = listen_unix(path, e)) == -1)
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
		LIST_REMOVE(c, link);
		timer_free(c->deadline);
		c->h = NULL;
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
