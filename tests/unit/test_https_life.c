/* How long connections, requests and their server live. */
#include "https_lab.h"

/* The server ended the connection, within the time a read may take. */
static void
expect_end(struct client *c)
{
	char piece;

	assert_int_equal(SSL_read(c->ssl, &piece, 1), 0);
	assert_int_equal(SSL_get_error(c->ssl, 0), SSL_ERROR_ZERO_RETURN);
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
		cmocka_unit_test(a_kept_connection_serves_again),
		cmocka_unit_test(close_ends_the_connection_cleanly),
		cmocka_unit_test(a_client_gone_is_noticed_before_the_answer),
		cmocka_unit_test(requests_outlive_their_server),
		cmocka_unit_test(
		    a_request_may_be_answered_as_its_server_closes),
		cmocka_unit_test(answers_that_nobody_reads_are_given_up),
		cmocka_unit_test(big_answers_arrive_whole),
		cmocka_unit_test(a_second_server_shares_the_port),
	};

	return cmocka_run_group_tests(tests, make_certs, free_certs);
}
