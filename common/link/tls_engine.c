#include "common/link/tls_engine.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/engine.h>
#include <nng/supplemental/tls/tls.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/log.h"

#define CHAIN_DEPTH LIMIT_LINK_DEPTH
#define LOG_GAP_MS  1000

/* nng allocates both, zeroed; a connection that never got as far as init is
 * handed to fini all the same. */
struct nng_tls_engine_conn {
	void *tls; /* nng's end, for nng_tls_engine_send and _recv */
	SSL *ssl;
	nng_tls_mode mode;
	struct tls_meter *meter;
};

struct nng_tls_engine_config {
	SSL_CTX *ctx;
	nng_tls_mode mode;
};

AUTO_DEFINE(SSL, SSL, SSL_free);

static BIO_METHOD *bio_method;

/* What conn_verified left on this thread. */
struct verified {
	X509 *peer;
	struct tls_meter *meter;
};
static pthread_key_t verified_key;

/* ---- meters ------------------------------------------------------------ */

static struct tls_meter *
meter_new(void)
{
	struct tls_meter *m = xcalloc(1, sizeof(*m));

	atomic_store(&m->refs, 1);
	return m;
}

static struct tls_meter *
meter_dup(struct tls_meter *m)
{
	atomic_fetch_add(&m->refs, 1);
	return m;
}

void
tls_meter_free(struct tls_meter *m)
{
	if (m != NULL && atomic_fetch_sub(&m->refs, 1) == 1)
		free(m);
}

/* ---- the BIO between OpenSSL and nng's transport ----------------------- */

static int
bio_write(BIO *b, const char *data, int len)
{
	nng_tls_engine_conn *c = BIO_get_data(b);
	size_t n = len > 0 ? (size_t)len : 0;
	int rv;

	BIO_clear_retry_flags(b);
	rv = nng_tls_engine_send(c->tls, (const uint8_t *)data, &n);
	if (rv == 0)
		return (int)n;
	if (rv == NNG_EAGAIN)
		BIO_set_retry_write(b);
	return -1;
}

static int
bio_read(BIO *b, char *data, int len)
{
	nng_tls_engine_conn *c = BIO_get_data(b);
	size_t n = len > 0 ? (size_t)len : 0;
	int rv;

	BIO_clear_retry_flags(b);
	rv = nng_tls_engine_recv(c->tls, (uint8_t *)data, &n);
	if (rv == 0) {
		atomic_fetch_add(&c->meter->received, n);
		return (int)n;
	}
	if (rv == NNG_EAGAIN)
		BIO_set_retry_read(b);
	return rv == NNG_ECLOSED ? 0 : -1;
}

static long
bio_ctrl(BIO *b, int cmd, long n, void *p)
{
	(void)b;
	(void)n;
	(void)p;
	return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static int
bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

/* ---- connections ------------------------------------------------------- */

/* Nobody could be told why a handshake failed but the log; a port scanner
 * must not fill it. */
static void
log_failure(const nng_tls_engine_conn *c, const char *what)
{
	static _Atomic uint64_t last;
	static _Atomic unsigned unsaid;
	uint64_t now = clock_mono_ms(), before = atomic_load(&last);
	struct err e = ERR_INIT;
	long verdict = SSL_get_verify_result(c->ssl);

	if ((before != 0 && now - before < LOG_GAP_MS) ||
	    !atomic_compare_exchange_strong(&last, &before, now)) {
		atomic_fetch_add(&unsaid, 1);
		ERR_clear_error();
		return;
	}
	if (verdict != X509_V_OK) {
		ERR_clear_error();
		err_set(&e, ERR_TRUST, "TLS %s: peer's certificate: %s", what,
		    X509_verify_cert_error_string(verdict));
	} else {
		err_ossl(&e, ERR_TRUST, "TLS %s", what);
	}
	log_err(LOG_WARN, "link.tls", &e, "as", "%s",
	    c->mode == NNG_TLS_MODE_SERVER ? "server" : "client", "unsaid",
	    "%u", atomic_exchange(&unsaid, 0), NULL);
}

/* What nng is to make of OpenSSL's result.  A peer that has ended is
 * NNG_ECONNRESET and never NNG_ECLOSED: as the end of a pipe that is being made
 * nng takes the latter for that of its listener, or its dialer, which then
 * accepts nobody, or dials nobody, ever again (1.5.2). */
static int
result(nng_tls_engine_conn *c, int rc, const char *what)
{
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return NNG_EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
	case SSL_ERROR_SYSCALL:
		ERR_clear_error();
		return NNG_ECONNRESET;
	default:
		log_failure(c, what);
		return NNG_ECRYPTO;
	}
}

/* notBefore and notAfter cannot be judged by a clock that was never set: the
 * chain alone decides then. */
static void
forgive_dates(SSL *ssl)
{
	if (clock_judge_time() == 0)
		X509_VERIFY_PARAM_set_flags(
		    SSL_get0_param(ssl), X509_V_FLAG_NO_CHECK_TIME);
}

static int
conn_init(nng_tls_engine_conn *c, void *tls, nng_tls_engine_config *g)
{
	AUTO(SSL) ssl = SSL_new(g->ctx);
	BIO *b = BIO_new(bio_method);

	if (ssl == NULL || b == NULL) {
		BIO_free(b);
		ERR_clear_error();
		return NNG_ENOMEM;
	}
	BIO_set_data(b, c);
	SSL_set_bio(ssl, b, b); /* takes b, once for both ways */
	forgive_dates(ssl);
	if (g->mode == NNG_TLS_MODE_SERVER)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	c->tls = tls;
	c->meter = meter_new();
	c->mode = g->mode;
	c->ssl = STEAL(ssl);
	return 0;
}

static void
conn_fini(nng_tls_engine_conn *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	tls_meter_free(c->meter);
	c->meter = NULL;
}

static void
conn_close(nng_tls_engine_conn *c)
{
	if (c->ssl == NULL)
		return;
	(void)SSL_shutdown(c->ssl); /* one close_notify, nobody waits for it */
	ERR_clear_error();
}

static int
conn_handshake(nng_tls_engine_conn *c)
{
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(c->ssl);
	return rc == 1 ? 0 : result(c, rc, "handshake");
}

static int
conn_recv(nng_tls_engine_conn *c, uint8_t *p, size_t *n)
{
	int rc;

	ERR_clear_error();
	rc = SSL_read(c->ssl, p, *n > INT_MAX ? INT_MAX : (int)*n);
	if (rc <= 0)
		return result(c, rc, "read");
	*n = (size_t)rc;
	return 0;
}

static int
conn_send(nng_tls_engine_conn *c, const uint8_t *p, size_t *n)
{
	int rc;

	ERR_clear_error();
	rc = SSL_write(c->ssl, p, *n > INT_MAX ? INT_MAX : (int)*n);
	if (rc <= 0)
		return result(c, rc, "write");
	*n = (size_t)rc;
	return 0;
}

static void
verified_clear(struct verified *v)
{
	X509_free(v->peer);
	tls_meter_free(v->meter);
	*v = (struct verified){ 0 };
}

static void
verified_free(void *v)
{
	verified_clear(v);
	free(v);
}

/* This thread's; NULL if it cannot have one. */
static struct verified *
verified_mine(void)
{
	struct verified *v = pthread_getspecific(verified_key);

	if (v != NULL)
		return v;
	v = xcalloc(1, sizeof(*v));
	if (pthread_setspecific(verified_key, v) == 0)
		return v;
	free(v);
	return NULL;
}

/* nng has no other way to tell who is at the far end of a pipe: this runs on
 * the thread that asked, and leaves the certificate there. */
static bool
conn_verified(nng_tls_engine_conn *c)
{
	struct verified *v = verified_mine();
	X509 *x;

	if (v == NULL)
		return false;
	verified_clear(v);
	if (c->ssl == NULL || !SSL_is_init_finished(c->ssl) ||
	    SSL_get_verify_result(c->ssl) != X509_V_OK ||
	    (x = SSL_get1_peer_certificate(c->ssl)) == NULL)
		return false;
	v->peer = x;
	v->meter = meter_dup(c->meter);
	return true;
}

X509 *
tls_engine_peer(void)
{
	const struct verified *v = pthread_getspecific(verified_key);

	return v != NULL ? v->peer : NULL;
}

struct tls_meter *
tls_engine_meter(void)
{
	const struct verified *v = pthread_getspecific(verified_key);

	return v != NULL && v->meter != NULL ? meter_dup(v->meter) : NULL;
}

/* ---- configurations ---------------------------------------------------- */

static int
config_init(nng_tls_engine_config *g, nng_tls_mode mode)
{
	SSL_CTX *ctx =
	    SSL_CTX_new(mode == NNG_TLS_MODE_SERVER ? TLS_server_method()
						    : TLS_client_method());

	if (ctx == NULL)
		return NNG_ENOMEM;
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION)) {
		SSL_CTX_free(ctx);
		return NNG_ENOTSUP;
	}
	SSL_CTX_set_verify(
	    ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);
	SSL_CTX_set_security_level(ctx, 2);
	/* Links live long and every one of them is to be judged anew. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	g->ctx = ctx;
	g->mode = mode;
	return 0;
}

static void
config_fini(nng_tls_engine_config *g)
{
	SSL_CTX_free(g->ctx);
	g->ctx = NULL;
}

/* Who the peer is says its certificate's URI, which wire.c asks for, and
 * never a host name: any address may be a relay. */
static int
config_server(nng_tls_engine_config *g, const char *name)
{
	(void)g;
	(void)name;
	return 0;
}

/* Both ends always show a certificate.  nng asks for less when it creates a
 * listener, for the configuration that ours replaces before the start. */
static int
config_auth(nng_tls_engine_config *g, nng_tls_auth_mode mode)
{
	(void)g;
	(void)mode;
	return 0;
}

/* The next certificate of a PEM text, NULL at its end. */
static X509 *
next_cert(BIO *b)
{
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);

	if (x == NULL)
		ERR_clear_error();
	return x;
}

static int
add_anchor(SSL_CTX *ctx, X509 *x)
{
	if (!X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) ||
	    !SSL_CTX_add_client_CA(ctx, x)) {
		ERR_clear_error();
		return NNG_ECRYPTO;
	}
	return 0;
}

/* Revocation on the link is the service's list of sites, not a CRL: one that
 * is given must not be ignored in silence. */
static int
config_ca(nng_tls_engine_config *g, const char *pem, const char *crl)
{
	AUTO(BIO) b = BIO_new_mem_buf(pem, -1);
	unsigned n = 0;
	int rv = 0;

	if (crl != NULL)
		return NNG_ENOTSUP;
	for (; b != NULL && rv == 0; n++) {
		AUTO(X509) x = next_cert(b);

		if (x == NULL)
			break;
		rv = add_anchor(g->ctx, x);
	}
	return rv != 0 ? rv : n > 0 ? 0 : NNG_ECRYPTO;
}

static int
use_chain(SSL_CTX *ctx, const char *pem)
{
	AUTO(BIO) b = BIO_new_mem_buf(pem, -1);
	AUTO(X509) leaf = b != NULL ? next_cert(b) : NULL;

	if (leaf == NULL || SSL_CTX_use_certificate(ctx, leaf) != 1 ||
	    !SSL_CTX_clear_chain_certs(ctx))
		return NNG_ECRYPTO;
	for (;;) {
		AUTO(X509) x = next_cert(b);

		if (x == NULL)
			return 0;
		if (!SSL_CTX_add1_chain_cert(ctx, x))
			return NNG_ECRYPTO;
	}
}

static int
config_own(nng_tls_engine_config *g, const char *cert, const char *key,
    const char *pass)
{
	AUTO(BIO) b = BIO_new_mem_buf(key, -1);
	AUTO(EVP_PKEY) k = NULL;
	int rv;

	if (pass != NULL)
		return NNG_ENOTSUP;
	if (b != NULL) /* "": never ask a terminal for a passphrase */
		k = PEM_read_bio_PrivateKey(b, NULL, NULL, (void *)"");
	rv = use_chain(g->ctx, cert);
	if (rv == 0 &&
	    (k == NULL || SSL_CTX_use_PrivateKey(g->ctx, k) != 1 ||
		SSL_CTX_check_private_key(g->ctx) != 1))
		rv = NNG_ECRYPTO;
	ERR_clear_error();
	return rv;
}

static int
config_version(
    nng_tls_engine_config *g, nng_tls_version min, nng_tls_version max)
{
	(void)g;
	return min <= NNG_TLS_1_3 && max >= NNG_TLS_1_3 ? 0 : NNG_ENOTSUP;
}

static nng_tls_engine_config_ops config_ops = {
	.size = sizeof(struct nng_tls_engine_config),
	.init = config_init,
	.fini = config_fini,
	.server = config_server,
	.auth = config_auth,
	.ca_chain = config_ca,
	.own_cert = config_own,
	.version = config_version,
};

static nng_tls_engine_conn_ops conn_ops = {
	.size = sizeof(struct nng_tls_engine_conn),
	.init = conn_init,
	.fini = conn_fini,
	.close = conn_close,
	.handshake = conn_handshake,
	.recv = conn_recv,
	.send = conn_send,
	.verified = conn_verified,
};

static const nng_tls_engine engine = {
	.version = NNG_TLS_ENGINE_VERSION,
	.config_ops = &config_ops,
	.conn_ops = &conn_ops,
	.name = TLS_ENGINE_NAME,
	.description = OPENSSL_VERSION_TEXT,
};

/* ---- registration ------------------------------------------------------ */

static void
prepare(void)
{
	BIO_METHOD *m =
	    BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "nng");

	if (m == NULL || !BIO_meth_set_write(m, bio_write) ||
	    !BIO_meth_set_read(m, bio_read) ||
	    !BIO_meth_set_ctrl(m, bio_ctrl) ||
	    !BIO_meth_set_create(m, bio_create) ||
	    pthread_key_create(&verified_key, verified_free) != 0)
		err_die("no memory for the TLS engine");
	bio_method = m;
	/* nng's threads free connections after they were closed: they end
	 * before OpenSSL, which has asked to be called at exit already, takes
	 * itself apart under them. */
	if (!OPENSSL_init_crypto(0, NULL) || atexit(nng_fini) != 0)
		err_die("no place for nng's end");
}

int
tls_engine_register(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int rv;

	pthread_once(&once, prepare);
	if ((rv = nng_tls_engine_register(&engine)) != 0)
		return err_set(
		    e, ERR_LOCAL, "link: TLS engine: %s", nng_strerror(rv));
	if (strcmp(nng_tls_engine_name(), TLS_ENGINE_NAME) != 0)
		return err_set(e, ERR_LOCAL,
		    "link: nng uses the TLS engine \"%s\", not \"%s\"",
		    nng_tls_engine_name(), TLS_ENGINE_NAME);
	return 0;
}
