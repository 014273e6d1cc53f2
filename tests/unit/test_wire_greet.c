/* Peers that end while a pipe is being made: the handshake is done, the words
 * that nng exchanges first are not.  Whoever listens, and whoever dials, goes
 * on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/link/wire.h"
#include "tests/unit/link_pki.h"

#define LIMIT_MS 10000
#define TIMES	 12

const char *__lsan_default_suppressions(void);

/* As in test_wire.c. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:nng_dialer_create\nleak:libnng.so\n";
}

static struct link_pki pki;
static struct loop *loop;
static bool up, ended;
static char last[64];

/* ---- the loop ---------------------------------------------------------- */

static struct timer *ticker;
static uint64_t until;
static bool *awaited;

static void
on_tick(void *arg)
{
	(void)arg;
	if ((awaited != NULL && *awaited) || clock_mono_ms() >= until)
		loop_stop(loop);
	else
		timer_set(ticker, 2);
}

/* Until it is so, or the time is over. */
static bool
wait_ms(bool *what, uint64_t ms)
{
	awaited = what;
	until = clock_mono_ms() + ms;
	ticker = timer_new(loop, on_tick, NULL);
	timer_set(ticker, 0);
	loop_run(loop);
	timer_free(ticker);
	return what != NULL && *what;
}

/* ---- the wire's own ends ----------------------------------------------- */

static void
on_request(struct wire_req *r, void *arg)
{
	(void)arg;
	wire_reply(r, wire_body(r));
}

static struct wire_server *
listen_at(const char *url)
{
	struct wire_listen_conf c = { .urls = &url,
		.n = 1,
		.tls = { link_pki_path(&pki, "ra.key"),
		    link_pki_path(&pki, "ra.pem"),
		    link_pki_path(&pki, "ca.pem") },
		.contexts = 4 };
	struct wire_server *s = NULL;
	struct err e = ERR_INIT;

	if (wire_listen(loop, &c, on_request, NULL, &s, &e) == -1)
		fail_msg("%s", e.msg);
	return s;
}

static void
on_link(void *arg, bool is_up)
{
	(void)arg;
	up = is_up;
}

static struct wire_client *
dial(unsigned port)
{
	char url[64];
	struct wire_client_conf c = { .url = url,
		.service = "ra",
		.tls = { link_pki_path(&pki, "north.key"),
		    link_pki_path(&pki, "north.pem"),
		    link_pki_path(&pki, "ca.pem") },
		.window = 4,
		.reconnect_min_ms = 10,
		.reconnect_max_ms = 50 };
	struct wire_client *w = NULL;
	struct err e = ERR_INIT;

	up = false;
	snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%u", port);
	if (wire_dial(loop, &c, on_link, NULL, &w, &e) == -1)
		fail_msg("%s", e.msg);
	return w;
}

static void
on_done(void *arg, struct bytes reply, const struct err *e)
{
	(void)arg;
	ended = true;
	snprintf(last, sizeof(last), "%.*s",
	    e == NULL ? (int)reply.len : (int)strlen(e->msg),
	    e == NULL ? (const char *)reply.p : e->msg);
}

static void
must_echo(struct wire_client *w)
{
	struct err e = ERR_INIT;

	if (!wait_ms(&up, LIMIT_MS))
		fail_msg("no link");
	ended = false;
	if (wire_send(w, bytes_of("word", 4), LIMIT_MS, on_done, NULL, &e) ==
	    -1)
		fail_msg("%s", e.msg);
	if (!wait_ms(&ended, LIMIT_MS + 1000))
		fail_msg("no reply");
	assert_string_equal(last, "word");
}

/* ---- a peer without nng ------------------------------------------------ */

/* How it ends: with a word of TLS, without, in the middle of its first words,
 * and by a reset. */
enum end { NOTIFY, SILENT, HALF, RESET, END__MAX };

static SSL *
raw_tls(int fd, bool server, const char *name)
{
	SSL_CTX *ctx =
	    SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	char key[16], cert[16];
	SSL *ssl;

	snprintf(key, sizeof(key), "%s.key", name);
	snprintf(cert, sizeof(cert), "%s.pem", name);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(
			     ctx, link_pki_path(&pki, key), SSL_FILETYPE_PEM),
	    1);
	assert_int_equal(
	    SSL_CTX_use_certificate_chain_file(ctx, link_pki_path(&pki, cert)),
	    1);
	assert_int_equal(
	    SSL_CTX_load_verify_file(ctx, link_pki_path(&pki, "ca.pem")), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_num_tickets(ctx, 0);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_fd(ssl, fd);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

/* -1 if the other end ended it first. */
static int
raw_greet(int fd, bool server, const char *name, enum end how)
{
	struct timeval most = { .tv_sec = 5 };
	struct linger hard = { .l_onoff = how == RESET };
	SSL *ssl = raw_tls(fd, server, name);
	int rc;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	rc = SSL_do_handshake(ssl);
	if (rc == 1 && how == NOTIFY)
		(void)SSL_shutdown(ssl);
	if (rc == 1 && how == HALF)
		(void)SSL_write(ssl, "\0SP", 3);
	SSL_free(ssl);
	close(fd);
	return rc == 1 ? 0 : -1;
}

static struct sockaddr_in
here(unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* ---- the tests --------------------------------------------------------- */

static void
service_outlives_sites_that_end_while_they_greet(void **state)
{
	struct wire_server *s = listen_at("tls+tcp://127.0.0.1:0");
	struct sockaddr_in a = here(wire_port(s));
	struct wire_client *w;

	(void)state;
	for (int i = 0; i < TIMES * END__MAX; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_int_equal(
		    connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		/* nng rests a while after what it does not understand. */
		assert_int_equal(
		    raw_greet(fd, false, "north", i % END__MAX), 0);
	}
	w = dial(wire_port(s));
	must_echo(w);
	wire_hangup(w);
	wire_close(s);
}

static void
site_outlives_services_that_end_while_they_greet(void **state)
{
	struct sockaddr_in a = here(0);
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct wire_client *w;
	struct wire_server *s;
	char url[64];

	(void)state;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 8), 0);
	getsockname(listener, (struct sockaddr *)&a, &len);
	w = dial(ntohs(a.sin_port));
	for (int i = 0; i < TIMES * END__MAX; i++) {
		struct pollfd p = { listener, POLLIN, 0 };

		if (poll(&p, 1, LIMIT_MS) != 1)
			fail_msg("not dialled again after %d", i);
		(void)raw_greet(
		    accept(listener, NULL, NULL), true, "ra", i % END__MAX);
		wait_ms(NULL, 2);
	}
	close(listener);
	snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%u", ntohs(a.sin_port));
	s = listen_at(url);
	up = false;
	must_echo(w);
	wire_hangup(w);
	wire_close(s);
}

static int
setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	link_pki_init(&pki);
	link_pki_add(&pki, "ra", "URI:urn:waybill:service:ra", true);
	link_pki_add(&pki, "north", "URI:urn:waybill:site:north", true);
	return (loop = loop_new(&e)) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	wait_ms(NULL, 50); /* what was posted ends */
	loop_free(loop);
	link_pki_done(&pki);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    service_outlives_sites_that_end_while_they_greet),
		cmocka_unit_test(
		    site_outlives_services_that_end_while_they_greet),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
