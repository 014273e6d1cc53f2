#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "common/base/clock.h"
#include "common/base/str.h"
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

static X509 *
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

static struct signer *
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

static int
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

static int
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
static void
tell(char what)
{
	assert_int_equal(write(fx.events[1], &what, 1), 1);
}

static void
on_flushed(void *arg, bool ok)
{
	(void)arg;
	tell(ok ? '+' : '-');
}

static void
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

static void
on_gone(void *arg)
{
	(void)arg;
	assert_true(https_gone(fx.held));
	tell('g');
	answer(fx.held, false);
}

static void
on_late(void *arg)
{
	answer(arg, false);
}

static void
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

static void
serve_late(struct https_req *r)
{
	timer_free(fx.timer);
	fx.timer = timer_new(https_loop(r), on_late, r);
	timer_set(fx.timer, fx.late_ms);
}

static void
serve_hold(struct https_req *r)
{
	fx.held = r;
	https_on_gone(r, on_gone, NULL);
	tell('h');
}

static void
serve_close(struct https_req *r)
{
	answer(r, true);
}

static void
serve_nothing(struct https_req *r)
{
	struct https_answer a = { .status = 204, .flushed = on_flushed };

	https_reply(r, &a);
}

static void
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

static void
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
static bool
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

static void
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
static void
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

static void
start(unsigned ms, unsigned max_conns)
{
	start_gated(ms, max_conns, false);
}

static void
finish(void)
{
	loop_join(fx.l);
	timer_free(fx.timer);
	https_close(fx.h);
	loop_free(fx.l);
	close(fx.events[0]);
	close(fx.events[1]);
}

static void
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

/*
 * The client's side.
 */
static int
tcp_connect(void)
{
	return client_connect(https_port(fx.h));
}

static void
client_init(struct client *c, const struct signer *s)
{
	client_dial(c, https_port(fx.h), s);
}

static void
client_open(struct client *c, const struct signer *s)
{
	client_init(c, s);
	assert_int_equal(SSL_connect(c->ssl), 1);
}

static void
expect_part(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in '%s'", part, text);
}

/* The server ended the connection, within the time a read may take. */
static void
expect_end(struct client *c)
{
	char piece;

	assert_int_equal(SSL_read(c->ssl, &piece, 1), 0);
	assert_int_equal(SSL_get_error(c->ssl, 0), SSL_ERROR_ZERO_RETURN);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/*
 * The tests.
 */
static void
without_a_certificate_the_handler_sees_none(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct client c;

	(void)state;
	start(0, 8);
	client_open(&c, NULL);
	client_send(&c,
	    "GET /a%20b?q=%201 HTTP/1.1\r\nHost: a\r\n"
	    "x-test: y\r\n\r\n");
	expect_part(client_receive(&c, &b), "HTTP/1.1 200 OK\r\n");
	expect_part(buf_cstr(&b), "Content-Type: text/plain\r\n");
	expect_part(buf_cstr(&b),
	    "\r\n\r\nGET /a b ?q=%201 x=y body= cert=none above=-1 127.0.0.1"
	    "\n");
	client_close(&c);
	finish();
}

static void
a_certificate_comes_with_what_is_above_it(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct buf b AUTO_BUF = { 0 };
	struct client c;
	size_t i;

	(void)state;
	start(0, 8);
	for (i = 0; i < NELEMS(versions); i++) {
		client_init(&c, device);
		SSL_set_max_proto_version(c.ssl, versions[i]);
		assert_int_equal(SSL_connect(c.ssl), 1);
		client_send(&c,
		    "POST /echo HTTP/1.1\r\nHost: a\r\n"
		    "Content-Length: 3\r\n\r\nabc");
		expect_part(client_receive(&c, &b),
		    "POST /echo ? x=- body=abc cert=device-7 above=1 ");
		/* The server's own chain came as well. */
		assert_int_equal(
		    sk_X509_num(SSL_get_peer_cert_chain(c.ssl)), 2);
		client_close(&c);
	}
	finish();
}

static void
old_protocols_and_weak_keys_get_no_handshake(void **state)
{
	struct client c;

	(void)state;
	start(0, 8);
	client_init(&c, NULL);
	SSL_set_min_proto_version(c.ssl, TLS1_VERSION);
	SSL_set_max_proto_version(c.ssl, TLS1_1_VERSION);
	assert_int_not_equal(SSL_connect(c.ssl), 1);
	client_close(&c);

	/* In 1.2 the client waits for the server's verdict. */
	client_init(&c, weak);
	SSL_set_max_proto_version(c.ssl, TLS1_2_VERSION);
	assert_int_not_equal(SSL_connect(c.ssl), 1);
	client_close(&c);
	finish();
}

static void
sessions_are_not_resumed(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct buf b AUTO_BUF = { 0 };
	struct client c, again;
	SSL_SESSION *session;
	size_t i;

	(void)state;
	start(0, 8);
	for (i = 0; i < NELEMS(versions); i++) {
		client_init(&c, device);
		SSL_set_max_proto_version(c.ssl, versions[i]);
		assert_int_equal(SSL_connect(c.ssl), 1);
		client_send(&c, GET("/echo"));
		client_receive(&c, &b);
		session = SSL_get1_session(c.ssl);
		client_init(&again, device);
		SSL_set_max_proto_version(again.ssl, versions[i]);
		SSL_set_session(again.ssl, session);
		assert_int_equal(SSL_connect(again.ssl), 1);
		assert_int_equal(SSL_session_reused(again.ssl), 0);
		SSL_SESSION_free(session);
		client_close(&c);
		client_close(&again);
	}
	finish();
}

/* Far below the deadlines of headers and body. */
#define PROMPT_MS 4000

#define POST(headers, body) \
	"POST /echo HTTP/1.1\r\nHost: a\r\n" headers "\r\n" body

static const struct {
	const char *what, *in, *want; /* the status line's start, or a part */
	bool end;		      /* the connection ends */
} messages[] = {
	{ "chunked",
	    POST("Transfer-Encoding: chunked\r\n",
		"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
	    "body=abc ", false },
	{ "1.0", "GET /echo HTTP/1.0\r\n\r\n", " 200 OK", true },
	{ "client closes", "GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n",
	    "HTTP/1.1 200 ", true },
	{ "404", GET("/nowhere"), "HTTP/1.1 404 ", false },
	{ "known method", "PUT /echo HTTP/1.1\r\nHost: a\r\n\r\n", "OTHER ",
	    false },
	{ "continue", POST("Expect: 100-continue\r\nContent-Length: 1\r\n", ""),
	    "HTTP/1.1 100 ", false },
	{ "unknown method", "BREW /echo HTTP/1.1\r\nHost: a\r\n\r\n",
	    "HTTP/1.1 501 ", true },
	{ "no HTTP", "hello\r\n\r\n", " 400 ", true },
	{ "both framings",
	    POST("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
		"0\r\n\r\n"),
	    "HTTP/1.1 400 ", true },
	{ "two lengths",
	    POST("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
	    "HTTP/1.1 400 ", true },
	{ "two codings",
	    POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
		"0\r\n\r\n"),
	    "HTTP/1.1 400 ", true },
	{ "a list of codings",
	    POST("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
	    "HTTP/1.1 400 ", true },
	{ "gzip", POST("Transfer-Encoding: gzip\r\n", "0\r\n\r\n"),
	    "HTTP/1.1 400 ", true },
	{ "identity", POST("Transfer-Encoding: identity\r\n", ""),
	    "HTTP/1.1 400 ", true },
	{ "negative length", POST("Content-Length: -3\r\n", "abc"),
	    "HTTP/1.1 400 ", true },
	{ "GET with a body",
	    "GET /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\nGET / HTT",
	    "HTTP/1.1 400 ", true },
	{ "octet 0", GET("/echo%00x"), "HTTP/1.1 400 ", true },
	{ "over the limit by length", POST("Content-Length: 4097\r\n", "%B1"),
	    "HTTP/1.1 413 ", true },
	/* Nobody waits for the body. */
	{ "over the limit by length alone",
	    POST("Content-Length: 4097\r\n", ""), "HTTP/1.1 413 ", true },
	{ "far over the limit", POST("Content-Length: 99999999999\r\n", "x"),
	    "HTTP/1.1 413 ", true },
	{ "over the limit by chunks",
	    POST("Transfer-Encoding: chunked\r\n", "1001\r\n"), "HTTP/1.1 413 ",
	    true },
	{ "at the limit", POST("Content-Length: 4096\r\n", "%B0"),
	    "HTTP/1.1 200 ", false },
	{ "long headers", POST("X-Long: %H\r\n", ""), "HTTP/1.1 400 ", true },
};

/* %H: 9000 octets; %Bn: a body of the limit and n. */
static void
expand(struct buf *out, const char *in)
{
	size_t n;

	for (; *in != '\0'; in++) {
		if (in[0] == '%' && (in[1] == 'H' || in[1] == 'B')) {
			n = in[1] == 'H' ? 9000
					 : BODY_MAX + (size_t)(in[2] - '0');
			memset(buf_grow(out, n), 'x', n);
			in += in[1] == 'H' ? 1 : 2;
		} else {
			buf_add(out, in, 1);
		}
	}
}

/* An answer to HTTP/1.0 has no length: its body may be left to read. */
static bool
ends(struct client *c)
{
	char rest[1024];
	int n, reads = 0;

	while ((n = SSL_read(c->ssl, rest, sizeof(rest))) > 0)
		reads++;
	return reads <= 1 && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ;
}

static void
expect_plain_line(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");

	expect_part(answer, "Content-Type: text/plain\r\n");
	assert_non_null(body);
	body += 4;
	if (strchr(body, '<') != NULL || strlen(body) < 2 ||
	    strchr(body, '\n') != body + strlen(body) - 1)
		fail_msg("no plain line: '%s'", body);
}

static void
messages_get_the_status_they_deserve(void **state)
{
	struct buf in AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct client c;
	const char *got;
	uint64_t from;
	size_t i;

	(void)state;
	start(0, 8);
	for (i = 0; i < NELEMS(messages); i++) {
		client_open(&c, NULL);
		from = clock_mono_ms();
		buf_reset(&out);
		expand(&out, messages[i].in);
		client_send(&c, buf_cstr(&out));
		got = client_receive(&c, &in);
		if (strstr(got, messages[i].want) == NULL)
			fail_msg("%s: %.100s", messages[i].what, got);
		if (messages[i].end && strstr(got, " 200 ") == NULL)
			expect_plain_line(got);
		if (messages[i].end && !ends(&c))
			fail_msg("%s: no end", messages[i].what);
		if (clock_mono_ms() - from > PROMPT_MS)
			fail_msg("%s: it lingers", messages[i].what);
		client_close(&c);
	}
	finish();
}

static void
a_kept_connection_serves_again(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct client c;
	int i;

	(void)state;
	start(0, 8);
	client_open(&c, device);
	for (i = 0; i < 3; i++) {
		client_send(&c, GET("/echo"));
		expect_part(client_receive(&c, &b), "cert=device-7");
	}
	client_send(&c, GET("/nothing"));
	expect_part(client_receive(&c, &b), "HTTP/1.1 204 ");
	assert_null(strstr(buf_cstr(&b), "Content-Type"));
	expect_events("+");
	/* Sent ahead, also while an answer is owed: answered in order. */
	client_send(&c, GET("/late") GET("/echo?1") GET("/echo?2"));
	expect_part(client_receive(&c, &b), "late\n");
	expect_part(buf_cstr(&b), "Retry-After: 7\r\n");
	expect_part(client_receive(&c, &b), "GET /echo ?1 ");
	expect_part(client_receive(&c, &b), "GET /echo ?2 ");
	expect_events("+");
	client_close(&c);
	finish();
}

static void
close_ends_the_connection_cleanly(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct client c;

	(void)state;
	start(0, 8);
	client_open(&c, NULL);
	client_send(&c, GET("/close"));
	expect_part(client_receive(&c, &b), "Connection: close\r\n");
	expect_events("+");
	expect_end(&c);
	client_close(&c);
	finish();
}

static void
a_client_gone_is_noticed_before_the_answer(void **state)
{
	static const char *const requests[] = {
		GET("/hold"),
		"POST /hold HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
		"POST /hold HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /",
	};
	struct client c;
	size_t i;

	(void)state;
	start(0, 8);
	for (i = 0; i < NELEMS(requests); i++) {
		client_open(&c, device);
		client_send(&c, requests[i]);
		expect_events("h");
		client_close(&c);
		expect_events("g-");
	}
	finish();
}

static void
requests_outlive_their_server(void **state)
{
	struct bytes body;
	struct client c;

	(void)state;
	start(0, 8);
	client_open(&c, device);
	client_send(&c,
	    "POST /hold?x HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
	    "abc");
	expect_events("h");
	loop_join(fx.l);
	https_on_gone(fx.held, NULL, NULL);
	https_close(fx.h);
	fx.h = NULL;
	body = https_body(fx.held);
	assert_memory_equal(body.p, "abc", 3);
	assert_string_equal(https_query(fx.held), "x");
	assert_non_null(https_peer_cert(fx.held));
	assert_true(https_gone(fx.held));
	answer(fx.held, false);
	expect_events("-");
	client_close(&c);
	finish();
}

static void
a_request_may_be_answered_as_its_server_closes(void **state)
{
	struct client c;

	(void)state;
	start(0, 8);
	client_open(&c, device);
	client_send(&c, GET("/hold"));
	expect_events("h");
	loop_join(fx.l);
	https_close(fx.h);
	fx.h = NULL;
	expect_events("g-");
	client_close(&c);
	finish();
}

static void
answers_that_nobody_reads_are_given_up(void **state)
{
	struct client c;

	(void)state;
	start(100, 8);
	client_open(&c, NULL);
	client_send(&c, GET("/big"));
	expect_events("-");
	client_close(&c);
	finish();
}

static void
big_answers_arrive_whole(void **state)
{
	static char piece[65536];
	struct client c;
	size_t got = 0;
	int n;

	(void)state;
	start(0, 8);
	client_open(&c, NULL);
	client_send(&c, "GET /big HTTP/1.1\r\nConnection: close\r\n\r\n");
	while ((n = SSL_read(c.ssl, piece, sizeof(piece))) > 0)
		got += (size_t)n;
	assert_in_range(got, BIG, BIG + 500);
	assert_int_equal(SSL_get_error(c.ssl, n), SSL_ERROR_ZERO_RETURN);
	expect_events("+");
	client_close(&c);
	finish();
}

/* Feeds an octet; true when the server has ended it. */
static bool
feed(struct client *c, const char *octet)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 ||
	    (octet != NULL && SSL_write(c->ssl, octet, 1) != 1);
}

static void
deadlines_are_total(void **state)
{
	static const struct {
		const char *what, *first, *octet;
		uint64_t at_least, at_most;
	} cases[] = {
		{ "no octet", "", NULL, 300, 1500 },
		{ "slow request line", "GET ", "x", 300, 1500 },
		{ "slow headers", "GET /echo HTTP/1.1\r\nX: ", "x", 300, 1500 },
		{ "slow body",
		    "POST /echo HTTP/1.1\r\nContent-Length: 4000\r\n\r\n", "x",
		    1800, 5000 },
		{ "idle behind an answer", GET("/echo"), NULL, 300, 1500 },
		{ "slow headers behind an answer",
		    GET("/echo") "GET /echo HTTP/1.1\r\nX: ", "x", 300, 1500 },
	};
	struct buf b AUTO_BUF = { 0 };
	struct client c[NELEMS(cases)];
	uint64_t began[NELEMS(cases)], took[NELEMS(cases)] = { 0 };
	size_t i, left = NELEMS(cases);

	(void)state;
	start(300, NELEMS(cases));
	for (i = 0; i < NELEMS(cases); i++) {
		client_open(&c[i], NULL);
		if (cases[i].first[0] != '\0')
			client_send(&c[i], cases[i].first);
		if (str_starts(cases[i].first, GET("/echo")))
			expect_part(client_receive(&c[i], &b), " 200 ");
		began[i] = clock_mono_ms();
	}
	/* All at once, an octet every 20 ms each. */
	while (left > 0 && clock_mono_ms() - began[0] < WAIT_MS) {
		poll(NULL, 0, 20);
		for (i = 0; i < NELEMS(cases); i++) {
			if (took[i] > 0 || !feed(&c[i], cases[i].octet))
				continue;
			took[i] = clock_mono_ms() - began[i];
			left--;
		}
	}
	for (i = 0; i < NELEMS(cases); i++) {
		/* The client's clock starts a moment after the server's. */
		if (took[i] + 100 < cases[i].at_least ||
		    took[i] > cases[i].at_most)
			fail_msg("%s: ended after %u ms", cases[i].what,
			    (unsigned)took[i]);
		client_close(&c[i]);
	}
	finish();
}

static void
a_kept_connection_has_its_deadlines_anew(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct client c;
	int i;

	(void)state;
	start(300, 8);
	client_open(&c, NULL);
	client_send(&c, GET("/echo"));
	expect_part(client_receive(&c, &b), " 200 ");
	/* The body takes longer than headers and silence may. */
	client_send(&c, "POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\n");
	for (i = 0; i < 9; i++) {
		poll(NULL, 0, 60);
		client_send(&c, "x");
	}
	expect_part(client_receive(&c, &b), " 200 ");
	client_close(&c);
	finish();
}

static void
a_silent_client_gets_no_handshake(void **state)
{
	char piece;
	int fd;

	(void)state;
	start(200, 8);
	fd = tcp_connect();
	assert_int_equal(recv(fd, &piece, 1, 0), 0);
	close(fd);
	finish();
}

/* An octet of a handshake now and then is no handshake. */
static void
a_slow_handshake_has_a_total_deadline(void **state)
{
	static const uint8_t hello[] = { 0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3,
		3 };
	struct pollfd p = { .events = POLLIN };
	uint64_t began, took;
	size_t i = 0;

	(void)state;
	start(300, 8);
	p.fd = tcp_connect();
	began = clock_mono_ms();
	do {
		if (i < sizeof(hello))
			(void)!send(p.fd, &hello[i++], 1, MSG_NOSIGNAL);
		took = clock_mono_ms() - began;
	} while (poll(&p, 1, 40) == 0 && took < WAIT_MS);
	assert_in_range(took, 200, 1500);
	close(p.fd);
	finish();
}

static void
a_gate_keeps_who_may_not_enter_out(void **state)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct buf b AUTO_BUF = { 0 };
	struct client first, second, nobody;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(versions); i++) {
		start_gated(0, 8, true);
		client_init(&first, device);
		SSL_set_max_proto_version(first.ssl, versions[i]);
		assert_int_equal(SSL_connect(first.ssl), 1);
		client_send(&first, GET("/echo"));
		expect_part(client_receive(&first, &b), "cert=device-7");

		/* Closed, whether it asks for something or not. */
		client_init(&second, device);
		SSL_set_max_proto_version(second.ssl, versions[i]);
		if (SSL_connect(second.ssl) == 1)
			assert_true(ends(&second));
		client_close(&second);
		client_open(&nobody, NULL);
		client_send(&nobody, GET("/echo"));
		expect_part(client_receive(&nobody, &b), "cert=none");
		client_close(&nobody);
		expect_events("l");

		/* As soon as the first has left, there is room. */
		client_close(&first);
		expect_events("l");
		client_open(&second, device);
		client_send(&second, GET("/echo"));
		expect_part(client_receive(&second, &b), " 200 ");
		client_close(&second);
		expect_events("l");
		finish();
		assert_int_equal(fx.inside + fx.nameless, 0);
	}
}

/* In TLS 1.3 a request may be there with the handshake's last octets. */
static void
a_request_of_who_may_not_enter_is_not_handled(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct client first, second;
	int on = 1;

	(void)state;
	start_gated(0, 8, true);
	client_open(&first, device);
	client_send(&first, GET("/echo"));
	expect_part(client_receive(&first, &b), " 200 ");
	client_init(&second, device);
	/* Both leave as one segment. */
	setsockopt(second.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	if (SSL_connect(second.ssl) == 1 &&
	    SSL_write(second.ssl, GET("/hold"), strlen(GET("/hold"))) > 0) {
		on = 0;
		setsockopt(second.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
		expect_part(client_receive(&second, &b), " 429 ");
		expect_part(buf_cstr(&b), "\r\n\r\ntoo many connections\n");
		assert_true(ends(&second));
	}
	assert_null(fx.held);
	client_close(&second);
	/* The server ends: who was in has left. */
	loop_join(fx.l);
	https_close(fx.h);
	fx.h = NULL;
	expect_events("l");
	assert_int_equal(fx.inside, 0);
	client_close(&first);
	finish();
}

static void
no_deadline_runs_while_we_think(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct client c;

	(void)state;
	start(100, 8);
	fx.late_ms = 600;
	client_open(&c, NULL);
	client_send(&c, GET("/late"));
	expect_part(client_receive(&c, &b), "late\n");
	client_close(&c);
	finish();
}

static void
connections_are_capped(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct client c[2], more;
	uint64_t begin = clock_mono_ms();
	bool ok = false;
	size_t i;

	(void)state;
	start(0, 2);
	for (i = 0; i < 2; i++) {
		client_open(&c[i], NULL);
		client_send(&c[i], GET("/echo"));
		expect_part(client_receive(&c[i], &b), " 200 ");
	}
	for (i = 0; i < 5; i++) {
		client_init(&more, NULL);
		assert_int_not_equal(SSL_connect(more.ssl), 1);
		client_close(&more);
	}
	client_send(&c[1], GET("/echo"));
	expect_part(client_receive(&c[1], &b), " 200 ");
	/* One leaves; as soon as the server knows, there is room. */
	client_close(&c[0]);
	while (!ok && clock_mono_ms() - begin < WAIT_MS) {
		client_init(&more, NULL);
		ok = SSL_connect(more.ssl) == 1;
		client_close(&more);
	}
	assert_true(ok);
	client_close(&c[1]);
	finish();
}

static void
a_second_server_shares_the_port(void **state)
{
	struct https_conf c = {
		.signer = server, .max_body = 1, .max_conns = 1
	};
	struct https *twin;
	struct loop *l;
	struct err e = ERR_INIT;
	char listen_on[32];

	(void)state;
	start(0, 8);
	l = loop_new(&e);
	assert_non_null(l);
	snprintf(
	    listen_on, sizeof(listen_on), "127.0.0.1:%u", https_port(fx.h));
	c.listen = listen_on;
	twin = https_open(l, &c, on_request, &fx, &e);
	assert_non_null(twin);
	assert_int_equal(https_port(twin), https_port(fx.h));
	https_close(twin);
	c.listen = "no.such.host.invalid:1";
	assert_null(https_open(l, &c, on_request, &fx, &e));
	c.listen = "127.0.0.1";
	assert_null(https_open(l, &c, on_request, &fx, &e));
	loop_free(l);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_certificate_the_handler_sees_none),
		cmocka_unit_test(a_certificate_comes_with_what_is_above_it),
		cmocka_unit_test(old_protocols_and_weak_keys_get_no_handshake),
		cmocka_unit_test(sessions_are_not_resumed),
		cmocka_unit_test(messages_get_the_status_they_deserve),
		cmocka_unit_test(a_kept_connection_serves_again),
		cmocka_unit_test(close_ends_the_connection_cleanly),
		cmocka_unit_test(a_client_gone_is_noticed_before_the_answer),
		cmocka_unit_test(requests_outlive_their_server),
		cmocka_unit_test(
		    a_request_may_be_answered_as_its_server_closes),
		cmocka_unit_test(answers_that_nobody_reads_are_given_up),
		cmocka_unit_test(big_answers_arrive_whole),
		cmocka_unit_test(deadlines_are_total),
		cmocka_unit_test(a_kept_connection_has_its_deadlines_anew),
		cmocka_unit_test(a_silent_client_gets_no_handshake),
		cmocka_unit_test(a_slow_handshake_has_a_total_deadline),
		cmocka_unit_test(a_gate_keeps_who_may_not_enter_out),
		cmocka_unit_test(a_request_of_who_may_not_enter_is_not_handled),
		cmocka_unit_test(no_deadline_runs_while_we_think),
		cmocka_unit_test(connections_are_capped),
		cmocka_unit_test(a_second_server_shares_the_port),
	};

	return cmocka_run_group_tests(tests, make_certs, free_certs);
}
