/* A server on a port of its own and what it is asked: what the tests of HTTPS
 * share. */
#ifndef WAYBILL_TESTS_HTTPS_LAB_H
#define WAYBILL_TESTS_HTTPS_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <string.h>

#include "common/pki/issue.h"
#include "common/sys/https.h"
#include "tests/unit/https_client.h"

#define BODY_MAX 4096
#define WAIT_MS	 CLIENT_WAIT_MS
#define BIG	 (16 * 1024 * 1024)

/* One server on a loop of its own; what happens there comes out of a pipe as
 * letters: g client gone, + flushed, - not flushed. */
static struct fixture {
	struct loop *l;
	struct https *h;
	struct https_req *held;
	struct timer *timer;
	int events[2];
	unsigned late_ms;
	unsigned inside, nameless; /* clients that the gate let in */
} fx;

static struct signer *server, *device, *weak;
static X509 *issuing;

static inline X509 *
certify(
    const char *cn, EVP_PKEY *key, bool ca, X509 *issuer, EVP_PKEY *issuer_key)
{
	AUTO(X509_NAME) name = issue_name(cn, NULL, NULL);
	uint64_t now = (uint64_t)time(NULL);
	struct issue_spec spec = {
		.subject = name,
		.pubkey = key,
		.not_before = now - 60,
		.not_after = now + 3600,
		.ca = ca,
		.pathlen = -1,
		.key_usage = ca ? "critical,keyCertSign" : "digitalSignature",
	};
	struct err e = ERR_INIT;
	X509 *x = issue_cert(&spec, issuer, issuer_key, &e);

	if (x == NULL)
		fail_msg("%s", e.msg);
	return x;
}

static inline struct signer *
leaf(const char *cn, EVP_PKEY *key, EVP_PKEY *ca_key)
{
	AUTO(EVP_PKEY) mine = key;
	AUTO(X509) cert = certify(cn, mine, false, issuing, ca_key);
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct signer *s;

	sk_X509_push(chain, issuing);
	s = signer_new(mine, cert, chain);
	sk_X509_free(chain);
	return s;
}

static inline int
make_certs(void **state)
{
	AUTO(EVP_PKEY) root_key = ossl_new_key_p256();
	AUTO(EVP_PKEY) ca_key = ossl_new_key_p256();
	AUTO(X509) root = certify("root", root_key, true, NULL, root_key);

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	issuing = certify("issuing", ca_key, true, root, root_key);
	server = leaf("server", ossl_new_key_p256(), ca_key);
	device = leaf("device-7", ossl_new_key_p256(), ca_key);
	weak = leaf("weak", EVP_RSA_gen(1024), ca_key);
	return 0;
}

static inline int
free_certs(void **state)
{
	(void)state;
	signer_free(server);
	signer_free(device);
	signer_free(weak);
	X509_free(issuing);
	return 0;
}

/*
 * The server's side.
 */
static inline void
tell(char what)
{
	assert_int_equal(write(fx.events[1], &what, 1), 1);
}

static inline void
on_flushed(void *arg, bool ok)
{
	(void)arg;
	tell(ok ? '+' : '-');
}

static inline void
answer(struct https_req *r, bool end)
{
	struct https_answer a = { .status = 200,
		.type = "text/plain",
		.body = { (const uint8_t *)"late\n", 5 },
		.close = end,
		.retry_after = 7,
		.flushed = on_flushed };

	https_reply(r, &a);
}

static inline void
on_gone(void *arg)
{
	(void)arg;
	assert_true(https_gone(fx.held));
	tell('g');
	answer(fx.held, false);
}

static inline void
on_late(void *arg)
{
	answer(arg, false);
}

static inline void
serve_echo(struct https_req *r)
{
	static const char *const methods[] = { "GET", "POST", "OTHER" };
	struct bytes body = https_body(r);
	X509 *cert = https_peer_cert(r);
	const char *x = https_header(r, "X-Test");
	char cn[64] = "none";

	if (cert != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
		    NID_commonName, cn, sizeof(cn));
	https_reply_text(r, 200, "%s %s ?%s x=%s body=%.*s cert=%s above=%d %s",
	    methods[https_method(r)], https_path(r), https_query(r),
	    x == NULL ? "-" : x, (int)body.len,
	    body.p == NULL ? "" : (const char *)body.p, cn,
	    https_peer_chain(r) == NULL ? -1 : sk_X509_num(https_peer_chain(r)),
	    https_peer_addr(r));
}

static inline void
serve_late(struct https_req *r)
{
	timer_free(fx.timer);
	fx.timer = timer_new(https_loop(r), on_late, r);
	timer_set(fx.timer, fx.late_ms);
}

static inline void
serve_hold(struct https_req *r)
{
	fx.held = r;
	https_on_gone(r, on_gone, NULL);
	tell('h');
}

static inline void
serve_close(struct https_req *r)
{
	answer(r, true);
}

static inline void
serve_nothing(struct https_req *r)
{
	struct https_answer a = { .status = 204, .flushed = on_flushed };

	https_reply(r, &a);
}

static inline void
serve_big(struct https_req *r)
{
	struct buf b AUTO_BUF = { 0 };
	struct https_answer a = {
		.status = 200, .type = "x/y", .flushed = on_flushed
	};

	memset(buf_grow(&b, BIG), 'b', BIG);
	a.body = buf_bytes(&b);
	https_reply(r, &a);
}

/* The certificate right above the client's: where it lies, whose it is. */
static inline void
serve_above(struct https_req *r)
{
	X509 *above = sk_X509_value(https_peer_chain(r), 0);
	char cn[64];

	X509_NAME_get_text_by_NID(
	    X509_get_subject_name(above), NID_commonName, cn, sizeof(cn));
	https_reply_text(r, 200, "%p %s", (void *)above, cn);
}

static inline void
on_request(struct https_req *r, void *arg)
{
	static const struct {
		const char *path;
		void (*serve)(struct https_req *r);
	} routes[] = {
		{ "/echo", serve_echo },
		{ "/a b", serve_echo },
		{ "/late", serve_late },
		{ "/hold", serve_hold },
		{ "/close", serve_close },
		{ "/nothing", serve_nothing },
		{ "/big", serve_big },
		{ "/above", serve_above },
	};
	size_t i;

	assert_ptr_equal(arg, &fx);
	for (i = 0; i < NELEMS(routes); i++) {
		if (strcmp(https_path(r), routes[i].path) == 0) {
			routes[i].serve(r);
			return;
		}
	}
	https_reply_text(r, 404, "no such path");
}

/* One connection of the device, any number without a certificate. */
static inline bool
enter(void *arg, const struct digest *client)
{
	struct digest id = cert_digest(device->cert);

	assert_ptr_equal(arg, &fx);
	if (client == NULL) {
		fx.nameless++;
		return true;
	}
	assert_true(digest_eq(client, &id));
	return fx.inside++ == 0 || (fx.inside--, false);
}

static inline void
leave(void *arg, const struct digest *client)
{
	assert_ptr_equal(arg, &fx);
	if (client == NULL)
		fx.nameless--;
	else
		fx.inside--;
	tell('l');
}

/* ms: for all deadlines, 0 the defaults. */
static inline void
start_gated(unsigned ms, unsigned max_conns, bool gated)
{
	struct https_conf c = { .listen = "127.0.0.1:0",
		.signer = server,
		.max_body = BODY_MAX,
		.max_conns = max_conns,
		.handshake_ms = ms,
		.headers_ms = ms,
		.body_ms = 6 * ms,
		.idle_ms = ms };
	struct err e = ERR_INIT;

	if (gated)
		c.gate = (struct https_gate){ enter, leave, &fx };
	memset(&fx, 0, sizeof(fx));
	fx.late_ms = 20;
	assert_int_equal(pipe(fx.events), 0);
	if ((fx.l = loop_new(&e)) == NULL ||
	    (fx.h = https_open(fx.l, &c, on_request, &fx, &e)) == NULL ||
	    loop_spawn(fx.l, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline void
start(unsigned ms, unsigned max_conns)
{
	start_gated(ms, max_conns, false);
}

static inline void
finish(void)
{
	loop_join(fx.l);
	timer_free(fx.timer);
	https_close(fx.h);
	loop_free(fx.l);
	close(fx.events[0]);
	close(fx.events[1]);
}

static inline void
expect_events(const char *want)
{
	struct pollfd p = { .fd = fx.events[0], .events = POLLIN };
	char got;

	for (; *want != '\0'; want++) {
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		assert_int_equal(read(fx.events[0], &got, 1), 1);
		assert_int_equal(got, *want);
	}
}

static inline void
client_init(struct client *c, const struct signer *s)
{
	client_dial(c, https_port(fx.h), s);
}

static inline void
client_open(struct client *c, const struct signer *s)
{
	client_init(c, s);
	assert_int_equal(SSL_connect(c->ssl), 1);
}

static inline void
expect_part(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in '%s'", part, text);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* An answer to HTTP/1.0 has no length: its body may be left to read. */
static inline bool
ends(struct client *c)
{
	char rest[1024];
	int n, reads = 0;

	while ((n = SSL_read(c->ssl, rest, sizeof(rest))) > 0)
		reads++;
	return reads <= 1 && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ;
}

#endif
