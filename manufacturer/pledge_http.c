#include "manufacturer/pledge_http.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <openssl/err.h>
#include "common/base/str.h"

#define REPLY_MAX (256 * 1024)
#define SAID_MAX  200

AUTO_DEFINE(SSL_CTX, SSL_CTX, SSL_CTX_free);

struct pledge_http {
	const char *host_port;
	const struct signer *client;
	const struct trust *anchors; /* NULL: provisional */
	X509 *known;		     /* provisional: this one, no other */

	struct event_base *base;
	struct evhttp_connection *conn;
	bool closed;		/* conn is of no more use */
	bool unjudged;		/* conn was opened provisionally */
	X509 *cert;		/* the server's, of the last connection */
	STACK_OF(X509) * chain; /* that came with it */

	/* The request under way. */
	struct pledge_http_answer *answer;
	struct err *e;
	bool refused; /* by our judging; *e says why */
};

uint64_t
pledge_http_now(void)
{
	struct stamp now = clock_now();

	return now.quality == CLOCK_NONE ? 0 : now.time;
}

void
pledge_http_answer_done(struct pledge_http_answer *a)
{
	buf_done(&a->body);
}

const char *
pledge_http_line(struct pledge_http_answer *a)
{
	size_t n = 0;

	while (n < a->body.len && n < SAID_MAX && a->body.data[n] >= 0x20 &&
	    a->body.data[n] < 0x7f)
		n++;
	a->body.len = n;
	return buf_cstr(&a->body);
}

static void
http_close(struct pledge_http *h)
{
	if (h->conn != NULL)
		evhttp_connection_free(h->conn);
	h->conn = NULL;
	h->closed = false;
}

struct pledge_http *
pledge_http_new(const char *host_port, const struct signer *client,
    const struct trust *anchors)
{
	struct pledge_http *h = xcalloc(1, sizeof(*h));

	h->host_port = host_port;
	h->client = client;
	h->anchors = anchors;
	if ((h->base = event_base_new()) == NULL)
		err_die("no event base");
	return h;
}

void
pledge_http_free(struct pledge_http *h)
{
	if (h == NULL)
		return;
	http_close(h);
	event_base_free(h->base);
	X509_free(h->known);
	X509_free(h->cert);
	x509s_free(h->chain);
	free(h);
}

static X509 *
cert_ref(X509 *x)
{
	if (X509_up_ref(x) != 1)
		err_die("out of memory");
	return x;
}

void
pledge_http_expect(struct pledge_http *h, X509 *server)
{
	X509_free(h->known);
	h->known = cert_ref(server);
}

X509 *
pledge_http_peer(const struct pledge_http *h)
{
	return h->known;
}

/* ---- judging ---------------------------------------------------------- */

static int
http_check(const struct pledge_http *h, const struct trust *anchors, X509 *cert,
    const STACK_OF(X509) * chain, struct err *e)
{
	const char *anchor;

	if (anchors == NULL && h->known != NULL &&
	    X509_cmp(cert, h->known) != 0)
		return err_set(e, ERR_TRUST,
		    "registrar's TLS certificate: RFC 8995 5: not the one of "
		    "the connections before");
	if (anchors != NULL &&
	    trust_check(anchors, cert, chain, pledge_http_now(), &anchor, NULL,
		e) == -1)
		return err_prefix(e, "registrar's TLS certificate");
	return 0;
}

int
pledge_http_judge(
    struct pledge_http *h, const struct trust *anchors, struct err *e)
{
	if (h->cert != NULL &&
	    http_check(h, anchors, h->cert, h->chain, e) == -1)
		return -1;
	h->anchors = anchors;
	h->unjudged = false;
	return 0;
}

/* libevent writes header and body apart: without this the second waits for
 * the first's delayed acknowledgement.  The socket is there from now on. */
static void
http_no_delay(struct pledge_http *h)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(h->conn);
	int on = 1;

	setsockopt(
	    bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Judged by anchor, not by name, and before one octet is sent; or taken as it
 * is, which TLS will call verified. */
static int
http_on_cert(X509_STORE_CTX *ctx, void *arg)
{
	struct pledge_http *h = arg;
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(ctx);

	http_no_delay(h);
	X509_free(h->cert);
	x509s_free(h->chain);
	h->cert = cert_ref(X509_STORE_CTX_get0_cert(ctx));
	h->chain = chain != NULL ? X509_chain_up_ref(chain) : NULL;
	h->unjudged = h->anchors == NULL;
	if (http_check(h, h->anchors, h->cert, h->chain, h->e) == 0)
		return 1;
	h->refused = true;
	return 0;
}

/* ---- the connection --------------------------------------------------- */

static SSL_CTX *
http_tls(struct pledge_http *h, struct err *e)
{
	AUTO(SSL_CTX) ctx = SSL_CTX_new(TLS_client_method());
	const struct signer *s = h->client;

	if (ctx == NULL || !SSL_CTX_use_certificate(ctx, s->cert) ||
	    !SSL_CTX_use_PrivateKey(ctx, s->key) ||
	    !SSL_CTX_set1_chain(ctx, s->chain) ||
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) {
		err_ossl(e, ERR_LOCAL, "TLS: setting up");
		return NULL;
	}
	/* A resumed session would not show its certificate. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, http_on_cert, h);
	return STEAL(ctx);
}

static void
http_on_close(struct evhttp_connection *conn, void *arg)
{
	struct pledge_http *h = arg;

	(void)conn;
	h->closed = true;
}

/* The connection there is, unless the server has ended it or it was opened
 * when nobody was judged. */
static bool
http_is_open(struct pledge_http *h)
{
	if (h->conn != NULL)
		event_base_loop(h->base, EVLOOP_NONBLOCK);
	if (h->conn == NULL || h->closed ||
	    (h->unjudged && h->anchors != NULL)) {
		http_close(h);
		return false;
	}
	return true;
}

static int
http_open(struct pledge_http *h, struct err *e)
{
	AUTO(SSL_CTX) ctx = NULL;
	char host[64], port[6];
	struct bufferevent *bev;

	if (http_is_open(h))
		return 0;
	if (hostport_parse(h->host_port, host, port, e) == -1 ||
	    (ctx = http_tls(h, e)) == NULL)
		return -1;
	bev = bufferevent_openssl_socket_new(h->base, -1, SSL_new(ctx),
	    BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		return err_ossl(e, ERR_LOCAL, "TLS: no connection object");
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	h->conn = evhttp_connection_base_bufferevent_new(
	    h->base, NULL, bev, host, (unsigned short)strtoul(port, NULL, 10));
	if (h->conn == NULL) {
		bufferevent_free(bev);
		return err_set(
		    e, ERR_LOCAL, "%s: no connection object", h->host_port);
	}
	evhttp_connection_set_max_body_size(h->conn, REPLY_MAX);
	evhttp_connection_set_closecb(h->conn, http_on_close, h);
	return 0;
}

/* ---- one request ------------------------------------------------------ */

static unsigned
http_retry_after(struct evhttp_request *q)
{
	const char *text = evhttp_find_header(
	    evhttp_request_get_input_headers(q), "Retry-After");
	uint64_t v;

	if (text == NULL || number_parse(text, 0, UINT32_MAX, &v, NULL) == -1)
		return 0;
	return (unsigned)v;
}

static void
http_on_answer(struct evhttp_request *q, void *arg)
{
	struct pledge_http *h = arg;
	struct evbuffer *in;
	size_t n;

	event_base_loopbreak(h->base);
	if (q == NULL || evhttp_request_get_response_code(q) == 0)
		return;
	h->answer->status = evhttp_request_get_response_code(q);
	h->answer->retry_after = http_retry_after(q);
	in = evhttp_request_get_input_buffer(q);
	n = evbuffer_get_length(in);
	if (n > 0 && n <= REPLY_MAX)
		evbuffer_remove(in, buf_grow(&h->answer->body, n), n);
}

static int
http_request(
    struct pledge_http *h, const struct pledge_http_ask *q, struct err *e)
{
	struct evhttp_request *r = evhttp_request_new(http_on_answer, h);
	struct evkeyvalq *out = evhttp_request_get_output_headers(r);

	evhttp_connection_set_timeout(h->conn, (int)q->timeout_s);
	evhttp_add_header(out, "Host", h->host_port);
	if (q->accept != NULL)
		evhttp_add_header(out, "Accept", q->accept);
	if (q->type != NULL) {
		evhttp_add_header(out, "Content-Type", q->type);
		evbuffer_add(evhttp_request_get_output_buffer(r), q->body.p,
		    q->body.len);
	}
	if (evhttp_make_request(h->conn, r,
		q->type != NULL ? EVHTTP_REQ_POST : EVHTTP_REQ_GET,
		q->path) == -1)
		return err_set(
		    e, ERR_PEER, "%s: no request could be made", h->host_port);
	event_base_dispatch(h->base);
	return 0;
}

static int
http_exchange(
    struct pledge_http *h, const struct pledge_http_ask *q, struct err *e)
{
	if (http_open(h, e) == -1 || http_request(h, q, e) == -1)
		return -1;
	if (h->refused)
		return -1; /* http_on_cert said why */
	if (h->answer->status == 0)
		return err_set(e, ERR_PEER, "%s: no answer", h->host_port);
	/* Only now is it known that the server has the key. */
	if (h->known == NULL)
		h->known = cert_ref(h->cert);
	return 0;
}

int
pledge_http_send(struct pledge_http *h, const struct pledge_http_ask *q,
    struct pledge_http_answer *ret, struct err *e)
{
	struct pledge_http_answer a = { 0 };
	int rc;

	h->answer = &a;
	h->e = e;
	h->refused = false;
	rc = http_exchange(h, q, e);
	h->answer = NULL;
	h->e = NULL;
	ERR_clear_error();
	if (rc == -1) {
		http_close(h);
		pledge_http_answer_done(&a);
		return -1;
	}
	*ret = a;
	return 0;
}
