#include "common/sys/https_int.h"

#include <malloc.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <openssl/err.h>
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/pki/cert_memo.h"

#define EBB_FROM   128 /* connections: fewer are no flood */
/* How long a body that is refused may still come in, so that who sends it may
 * read why; then how long that may take.  ms */
#define LINGER_MS  LIMIT_HTTP_LINGER
#define TOLD_MS	   500
/* Octets that one read takes, less the head of libevent's pieces of 512 and
 * 4096: it makes room for so many before it looks whether there are any, and
 * keeps that while nothing comes. */
#define READ_FIRST (512 - 48)
#define READ_ON	   (4096 - 48)

/* ---- contexts ---------------------------------------------------------- */

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

SSL_CTX *
https_tls_bare(void)
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
	SSL_CTX_set_max_cert_list(ctx, LIMIT_TLS_CERTIFICATES);
	return ctx;
}

SSL_CTX *
https_tls_server(const struct signer *s, struct err *e)
{
	SSL_CTX *ctx = https_tls_bare();
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

/* ---- connections ------------------------------------------------------- */

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
	if (c->h != NULL)
		https_conn_leave(c);
	free(c);
}

/* malloc keeps what a flood took, in pieces, for good: once it has ebbed, that
 * goes back to the system. */
static void
conns_ebb(struct https *h)
{
	h->here--;
	if (h->most < EBB_FROM || h->here > h->most / 8)
		return;
	h->most = h->here;
	malloc_trim(0);
}

void
https_conn_leave(struct conn *c)
{
	const struct https_gate *g = &c->h->gate;

	if (c->entered)
		g->leave(g->arg, c->known ? &c->client : NULL);
	atomic_fetch_sub(c->h->n_conns, 1);
	LIST_REMOVE(c, link);
	timer_free(c->deadline);
	conns_ebb(c->h);
	c->h = NULL;
}

void
https_conn_index(void)
{
	conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, conn_free);
}

struct conn *
https_conn_get(struct bufferevent *bev)
{
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	return ssl == NULL ? NULL : SSL_get_ex_data(ssl, conn_index);
}

void
https_conn_enter(struct conn *c, enum conn_phase phase, unsigned ms)
{
	c->phase = phase;
	c->since = clock_mono_ms();
	timer_set(c->deadline, ms);
}

static unsigned
conn_limit(const struct conn *c)
{
	if (c->phase == PHASE_REFUSED)
		return 0;
	if (c->phase == PHASE_TOO_LONG)
		return LINGER_MS;
	if (c->phase == PHASE_IDLE)
		return c->h->idle_ms;
	if (c->phase == PHASE_WRITING)
		return c->h->body_ms;
	if (!SSL_is_init_finished(c->ssl))
		return c->h->handshake_ms;
	return c->headers_done ? c->h->body_ms : c->h->headers_ms;
}

/* evhttp says this only when the whole body is here. */
static void
conn_tell_too_long(struct conn *c)
{
	static const char text[] =
	    "HTTP/1.1 413 Request Entity Too Large\r\n"
	    "Content-Type: text/plain\r\nConnection: close\r\n"
	    "Content-Length: 9\r\n\r\ntoo long\n";

	if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		SSL_write(c->ssl, text, sizeof(text) - 1);
	SSL_shutdown(c->ssl);
	ERR_clear_error();
	https_conn_enter(c, PHASE_REFUSED, TOLD_MS);
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
	else if (c->phase == PHASE_TOO_LONG)
		conn_tell_too_long(c);
	else
		shutdown(SSL_get_fd(c->ssl), SHUT_RDWR);
}

static void
on_surplus(void *arg)
{
	struct conn *c = arg;

	shutdown(SSL_get_fd(c->ssl), SHUT_RDWR);
}

/* The handshake runs inside of the bufferevent, which must not be freed there:
 * a connection that may not stay ends when the loop turns. */
static void
conn_shaken(struct conn *c)
{
	const struct https_gate *g = &c->h->gate;
	X509 *cert = SSL_get0_peer_certificate(c->ssl);

	c->known = cert != NULL;
	if (c->known)
		c->client = cert_digest(cert);
	/* Devices of one maker all show the same authorities: a certificate
	 * that is parsed takes 3 KiB, and would stay as long as the connection.
	 */
	cert_memo_share(SSL_get_peer_cert_chain(c->ssl));
	if (g->enter == NULL)
		return;
	c->entered = g->enter(g->arg, c->known ? &c->client : NULL);
	if (!c->entered)
		https_conn_enter(c, PHASE_REFUSED, 0);
}

static void
on_tls_info(const SSL *ssl, int where, int value)
{
	struct conn *c = SSL_get_ex_data(ssl, conn_index);

	(void)value;
	/* TLS 1.3 tells a key update the same way. */
	if ((where & SSL_CB_HANDSHAKE_DONE) == 0 || c == NULL || c->h == NULL ||
	    c->shaken)
		return;
	c->shaken = true;
	conn_shaken(c);
}

void
https_tls_gate(SSL_CTX *ctx)
{
	SSL_CTX_set_info_callback(ctx, on_tls_info);
}

/* The line that ended tells of a body which nobody will read. */
static void
conn_line(struct conn *c)
{
	static const char name[] = "Content-Length:";
	const char *p = c->line + sizeof(name) - 1;
	uint64_t n = 0;

	c->line[c->line_len] = '\0';
	c->line_len = 0;
	if (strncasecmp(c->line, name, sizeof(name) - 1) != 0)
		return;
	p += strspn(p, " \t");
	for (; *p >= '0' && *p <= '9' && n <= c->h->max_body; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	c->too_long = c->too_long || n > c->h->max_body;
}

static void
conn_octet(struct conn *c, char octet)
{
	if (octet == '\n') {
		c->headers_done = c->newline > 0;
		conn_line(c);
	} else if (c->line_len < sizeof(c->line) - 1) {
		c->line[c->line_len++] = octet;
	}
	c->newline = octet == '\n'	       ? 1
	    : octet == '\r' && c->newline == 1 ? 2
					       : 0;
}

/* Looks for the empty line that ends the headers, and what they say of the
 * body. */
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
		for (i = 0; i < n && !c->headers_done; i++)
			conn_octet(c, piece[i]);
		from += (size_t)n;
	}
	if (c->headers_done && c->too_long)
		https_conn_enter(c, PHASE_TOO_LONG, LINGER_MS);
}

static void
conn_first_octet(struct conn *c)
{
	c->headers_done = c->too_long = false;
	c->newline = 0;
	c->line_len = 0;
	https_conn_enter(c, PHASE_READING, c->h->headers_ms);
}

static void
on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	if (info->n_added == 0 || c->h == NULL)
		return;
	if (c->phase == PHASE_IDLE)
		conn_first_octet(c);
	if (c->phase != PHASE_READING)
		return;
	bufferevent_set_max_single_read(c->bev, READ_ON);
	conn_scan(c, in, info->orig_size);
}

void
https_conn_handled(struct conn *c)
{
	c->phase = PHASE_HANDLED;
	timer_clear(c->deadline);
	bufferevent_set_max_single_read(c->bev, READ_FIRST);
}

void
https_conn_idle(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	https_conn_enter(c, PHASE_IDLE, c->h->idle_ms);
	if (evbuffer_get_length(in) == 0)
		return;
	conn_first_octet(c);
	conn_scan(c, in, 0);
}

struct bufferevent *
https_conn_new(struct event_base *base, void *arg)
{
	struct https *h = arg;
	bool surplus = atomic_fetch_add(h->n_conns, 1) >= h->max_conns;
	struct conn *c = xcalloc(1, sizeof(*c));

	c->h = h;
	if ((c->ssl = SSL_new(surplus ? h->full : h->ctx)) == NULL ||
	    !SSL_set_ex_data(c->ssl, conn_index, c) ||
	    (c->bev = bufferevent_openssl_socket_new(base, -1, c->ssl,
		 BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)) == NULL)
		abort();
	bufferevent_openssl_set_allow_dirty_shutdown(c->bev, 1);
	bufferevent_set_max_single_read(c->bev, READ_FIRST);
	/* What a client may send ahead of its answers, above one request. */
	bufferevent_setwatermark(
	    c->bev, EV_READ, 0, h->max_body + LIMIT_HTTP_AHEAD);
	c->deadline = timer_new(h->loop, surplus ? on_surplus : on_deadline, c);
	https_conn_enter(c, PHASE_READING, surplus ? 0 : h->handshake_ms);
	evbuffer_add_cb(bufferevent_get_input(c->bev), on_input, c);
	LIST_INSERT_HEAD(&h->conns, c, link);
	if (++h->here > h->most)
		h->most = h->here;
	return c->bev;
}
