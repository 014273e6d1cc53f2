/* Deadlines, gates and caps of an HTTPS server. */
#include "https_lab.h"

#include "common/base/clock.h"
#include "common/base/str.h"

/*
 * The client's side.
 */
static int
tcp_connect(void)
{
	return client_connect(https_port(fx.h));
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deadlines_are_total),
		cmocka_unit_test(a_kept_connection_has_its_deadlines_anew),
		cmocka_unit_test(a_silent_client_gets_no_handshake),
		cmocka_unit_test(a_slow_handshake_has_a_total_deadline),
		cmocka_unit_test(a_gate_keeps_who_may_not_enter_out),
		cmocka_unit_test(a_request_of_who_may_not_enter_is_not_handled),
		cmocka_unit_test(no_deadline_runs_while_we_think),
		cmocka_unit_test(connections_are_capped),
	};

	return cmocka_run_group_tests(tests, make_certs, free_certs);
}
