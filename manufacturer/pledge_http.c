#include "manufacturer/pledge_http.h"

#include <string.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <openssl/err.h>
#include "common/base/str.h"

#define REPLY_MAX (256 * 1024)

AUTO_DEFINE(SSL_CTX, SSL_CTX, SSL_CTX_free);

/* One exchange while it lasts. */
struct exchange {
	const struct pledge_http *h;
	struct event_base *base;
	struct evhttp_connection *conn;
	struct buf *ret;
	struct err *e;
	int status; /* of the reply; 0: none */
	bool untrusted;
};

/* RFC 8995 5.1: judged by anchor, not by name; before one octet is sent. */
static int
exchange_judge(X509_STORE_CTX *ctx, void *arg)
{
	struct exchange *x = arg;
	const char *anchor;

	if (trust_check(x->h->anchors, X509_STORE_CTX_get0_cert(ctx),
		X509_STORE_CTX_get0_untrusted(ctx), clock_now().time, &anchor,
		NULL, x->e) == 0)
		return 1;
	x->untrusted = true;
	err_prefix(x->e, "registrar's TLS certificate");
	return 0;
}

static SSL_CTX *
exchange_tls(struct exchange *x)
{
	AUTO(SSL_CTX) ctx = SSL_CTX_new(TLS_client_method());
	const struct signer *s = x->h->idevid;

	if (ctx == NULL || !SSL_CTX_use_certificate(ctx, s->cert) ||
	    !SSL_CTX_use_PrivateKey(ctx, s->key) ||
	    !SSL_CTX_set1_chain(ctx, s->chain) ||
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION)) {
		err_ossl(x->e, ERR_LOCAL, "TLS: setting up");
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, exchange_judge, x);
	return STEAL(ctx);
}

static void
exchange_done(struct evhttp_request *q, void *arg)
{
	struct exchange *x = arg;
	struct evbuffer *in;
	size_t n;

	event_base_loopbreak(x->base);
	if (q == NULL || (x->status = evhttp_request_get_response_code(q)) == 0)
		return;
	in = evhttp_request_get_input_buffer(q);
	n = evbuffer_get_length(in);
	if (n > 0 && n <= REPLY_MAX)
		evbuffer_remove(in, buf_grow(x->ret, n), n);
}

static int
exchange_send(struct exchange *x, const char *path, struct bytes body)
{
	struct evhttp_request *q = evhttp_request_new(exchange_done, x);
	struct evkeyvalq *out = evhttp_request_get_output_headers(q);

	evhttp_add_header(out, "Host", x->h->host_port);
	evhttp_add_header(out, "Content-Type", "application/pkixcmp");
	evhttp_add_header(out, "Connection", "close");
	evbuffer_add(evhttp_request_get_output_buffer(q), body.p, body.len);
	if (evhttp_make_request(x->conn, q, EVHTTP_REQ_POST, path) == -1)
		return err_set(x->e, ERR_PEER, "%s: no request could be made",
		    x->h->host_port);
	event_base_dispatch(x->base);
	return 0;
}

static int
exchange_outcome(struct exchange *x)
{
	if (x->untrusted)
		return -1; /* exchange_judge said why */
	if (x->status == 0)
		return err_set(
		    x->e, ERR_PEER, "%s: no answer", x->h->host_port);
	if (x->status == 503)
		return err_set(x->e, ERR_RETRY, "registrar: not now (503)");
	if (x->status != 200)
		return err_set(x->e, ERR_INPUT, "registrar: HTTP %d: %.*s",
		    x->status, (int)(x->ret->len > 200 ? 200 : x->ret->len),
		    x->ret->len > 0 ? (const char *)x->ret->data : "");
	return 0;
}

static int
exchange_run(struct exchange *x, SSL_CTX *ctx, const char *path,
    struct bytes body, unsigned timeout_s)
{
	char host[64], port[6];
	struct bufferevent *bev;

	if (hostport_parse(x->h->host_port, host, port, x->e) == -1)
		return -1;
	bev = bufferevent_openssl_socket_new(x->base, -1, SSL_new(ctx),
	    BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		return err_ossl(x->e, ERR_LOCAL, "TLS: no connection object");
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	x->conn = evhttp_connection_base_bufferevent_new(
	    x->base, NULL, bev, host, (unsigned short)strtoul(port, NULL, 10));
	evhttp_connection_set_timeout(x->conn, (int)timeout_s);
	evhttp_connection_set_max_body_size(x->conn, REPLY_MAX);
	if (exchange_send(x, path, body) == -1)
		return -1;
	return exchange_outcome(x);
}

int
pledge_http_post(const struct pledge_http *h, const char *path,
    struct bytes body, unsigned timeout_s, struct buf *ret, struct err *e)
{
	struct buf reply AUTO_BUF = { 0 };
	struct exchange x = { .h = h, .ret = &reply, .e = e };
	AUTO(SSL_CTX) ctx = exchange_tls(&x);
	int rc;

	if (ctx == NULL)
		return -1;
	x.base = event_base_new();
	rc = exchange_run(&x, ctx, path, body, timeout_s);
	if (x.conn != NULL)
		evhttp_connection_free(x.conn);
	event_base_free(x.base);
	ERR_clear_error();
	if (rc == 0)
		buf_add(ret, reply.data, reply.len);
	return rc;
}
