#include "https_lab.h"

#include "common/base/clock.h"

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

/* What the server says of the certificate above this client's. */
static const char *
above(struct client *c, struct buf *b)
{
	const char *answer;

	client_send(c, GET("/above"));
	answer = strstr(client_receive(c, b), "\r\n\r\n");
	assert_non_null(answer);
	return answer;
}

static void
open_below(struct client *c, X509 *ca)
{
	AUTO(signer) s = NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();

	sk_X509_push(chain, ca);
	s = signer_new(device->key, device->cert, chain);
	sk_X509_free(chain);
	client_open(c, s);
}

static void
authorities_above_clients_are_kept_once(void **state)
{
	struct buf first AUTO_BUF = { 0 }, b AUTO_BUF = { 0 };
	struct client c, again, other;
	const char *text;
	char cn[16];

	(void)state;
	start(0, 64);
	open_below(&c, issuing);
	text = above(&c, &first);
	expect_part(text, " issuing\n");
	open_below(&again, issuing);
	assert_string_equal(above(&again, &b), text);
	client_close(&again);
	/* More than are remembered: each gets its own, and who is connected
	 * keeps what it has. */
	for (int i = 0; i < 20; i++) {
		AUTO(EVP_PKEY) key = ossl_new_key_p256();
		AUTO(X509) ca = NULL;

		snprintf(cn, sizeof(cn), "other-%d", i);
		ca = certify(cn, key, true, NULL, key);
		open_below(&other, ca);
		expect_part(above(&other, &b), cn);
		client_close(&other);
	}
	assert_string_equal(above(&c, &b), text);
	client_close(&c);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_certificate_the_handler_sees_none),
		cmocka_unit_test(a_certificate_comes_with_what_is_above_it),
		cmocka_unit_test(authorities_above_clients_are_kept_once),
		cmocka_unit_test(old_protocols_and_weak_keys_get_no_handshake),
		cmocka_unit_test(sessions_are_not_resumed),
		cmocka_unit_test(messages_get_the_status_they_deserve),
	};

	return cmocka_run_group_tests(tests, make_certs, free_certs);
}
