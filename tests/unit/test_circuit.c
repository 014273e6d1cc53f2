#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "proxy/listener.h"

#define WAIT_MS	     10000
#define ECHO_THREADS 64

/*
 * A registrar that echoes, and says "bye" when the other side has ended.
 */
static struct {
	int fd;
	unsigned port;
	pthread_t acceptor, threads[ECHO_THREADS];
	size_t n;
} echo;

static void
send_all(int fd, const char *p, size_t n)
{
	ssize_t done;

	for (; n > 0; p += done, n -= (size_t)done)
		if ((done = send(fd, p, n, MSG_NOSIGNAL)) <= 0)
			return;
}

static void *
echo_run(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct linger reset = { 1, 0 };
	char piece[16384];
	ssize_t n;

	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		send_all(fd, piece, (size_t)n);
		/* A request to misbehave: answer, then reset. */
		if (n == 5 && memcmp(piece, "reset", 5) == 0)
			setsockopt(
			    fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		if (n == 5 && memcmp(piece, "reset", 5) == 0)
			break;
	}
	if (n == 0)
		send_all(fd, "bye", 3);
	close(fd);
	return NULL;
}

static void *
echo_accept(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(echo.fd, NULL, NULL)) != -1) {
		assert_true(echo.n < ECHO_THREADS);
		pthread_create(&echo.threads[echo.n++], NULL, echo_run,
		    (void *)(intptr_t)fd);
	}
	return NULL;
}

static int
listen_on(int family, int backlog, unsigned *ret_port)
{
	struct address a = { .len = sizeof(a.u) };
	int fd = socket(family, SOCK_STREAM, 0);

	memset(&a.u, 0, sizeof(a.u));
	a.u.sa.sa_family = (sa_family_t)family;
	a.u.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, &a.u.sa, sizeof(a.u.in)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, &a.u.sa, &a.len), 0);
	*ret_port = address_port(&a);
	return fd;
}

static int
echo_start(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	echo.fd = listen_on(AF_INET, 64, &echo.port);
	return pthread_create(&echo.acceptor, NULL, echo_accept, NULL);
}

static int
echo_stop(void **state)
{
	(void)state;
	shutdown(echo.fd, SHUT_RDWR);
	pthread_join(echo.acceptor, NULL);
	while (echo.n > 0)
		pthread_join(echo.threads[--echo.n], NULL);
	close(echo.fd);
	return 0;
}

/*
 * The proxy, on a loop of its own; its log goes to a pipe, one write a line.
 */
static struct {
	struct loop *l;
	struct circuits *cs;
	struct listener *n;
	unsigned port;
	int log[2], stderr_was;
} px;

static void
read_log(char *line, size_t size)
{
	struct pollfd p = { .fd = px.log[0], .events = POLLIN };
	size_t n = 0;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	while (n + 1 < size && read(px.log[0], line + n, 1) == 1 &&
	    line[n] != '\n')
		n++;
	line[n] = '\0';
}

static bool
log_is_empty(void)
{
	struct pollfd p = { .fd = px.log[0], .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static struct circuit_conf
conf_for(unsigned port)
{
	struct circuit_conf c = { .max_conns = 8,
		.max_per_source = 8,
		.idle_ms = 60000,
		.total_ms = 60000,
		.connect_ms = 10000 };

	c.registrar.u.in = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	c.registrar.len = sizeof(c.registrar.u.in);
	return c;
}

static void
start(const struct circuit_conf *c, const char *listen_text)
{
	struct err e = ERR_INIT;
	char line[400];
	const char *port;

	assert_int_equal(pipe(px.log), 0);
	px.stderr_was = dup(STDERR_FILENO);
	dup2(px.log[1], STDERR_FILENO);
	if ((px.l = loop_new(&e)) == NULL)
		fail_msg("%s", e.msg);
	px.cs = circuits_new(px.l, c);
	if ((px.n = listener_open(px.l, listen_text, px.cs, &e)) == NULL ||
	    loop_spawn(px.l, &e) == -1)
		fail_msg("%s", e.msg);
	/* The line that tells the port. */
	read_log(line, sizeof(line));
	assert_non_null(strstr(line, "event=proxy.listening addr="));
	port = strstr(line, "port=");
	assert_non_null(port);
	px.port = (unsigned)strtoul(port + 5, NULL, 10);
	assert_int_not_equal(px.port, 0);
}

static void
finish(void)
{
	loop_join(px.l);
	listener_close(px.n);
	circuits_free(px.cs);
	loop_free(px.l);
	dup2(px.stderr_was, STDERR_FILENO);
	close(px.stderr_was);
	close(px.log[0]);
	close(px.log[1]);
}

/* A pledge; from: its address within 127.0.0.0/8, 0 for any. */
static int
client(unsigned port, uint32_t from)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct timeval tv = { WAIT_MS / 1000, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (from != 0) {
		a.sin_addr.s_addr = htonl(from);
		assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	}
	a.sin_port = htons((uint16_t)port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void
expect(int fd, const char *want)
{
	char got[64] = "";

	assert_int_equal(
	    recv(fd, got, strlen(want), MSG_WAITALL), strlen(want));
	assert_string_equal(got, want);
}

static void
works(int fd)
{
	send_all(fd, "hello", 5);
	expect(fd, "hello");
}

/* Closed or reset, not silent. */
static void
expect_closed(int fd)
{
	char piece;
	ssize_t n = recv(fd, &piece, 1, 0);

	assert_true(n == 0 || (n == -1 && errno == ECONNRESET));
	close(fd);
}

static void
bytes_pass_and_half_close_is_passed_on(void **state)
{
	struct circuit_conf c = conf_for(echo.port);
	int fd;

	(void)state;
	start(&c, "127.0.0.1:0");
	fd = client(px.port, 0);
	works(fd);
	send_all(fd, "more", 4);
	shutdown(fd, SHUT_WR);
	expect(fd, "morebye");
	expect_closed(fd);
	finish();
}

static void
a_reset_does_not_swallow_the_answer(void **state)
{
	struct circuit_conf c = conf_for(echo.port);
	int fd;

	(void)state;
	start(&c, "127.0.0.1:0");
	fd = client(px.port, 0);
	send_all(fd, "reset", 5);
	expect(fd, "reset");
	expect_closed(fd);
	finish();
}

static void
ipv6_pledges_reach_an_ipv4_registrar(void **state)
{
	struct circuit_conf c = conf_for(echo.port);
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	(void)state;
	if (fd == -1 || bind(fd, (struct sockaddr *)&to, sizeof(to)) == -1)
		skip();
	start(&c, "[::1]:0");
	to.sin6_port = htons((uint16_t)px.port);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	works(fd);
	close(fd);
	finish();
}

/* Sends until nothing moves for 200 ms; returns how many octets went. */
static size_t
flood(int fd, size_t limit)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	char piece[4096];
	size_t sent = 0, i;
	ssize_t n;

	while (sent < limit && poll(&p, 1, 200) == 1) {
		for (i = 0; i < sizeof(piece); i++)
			piece[i] = (char)((sent + i) % 251);
		n = send(fd, piece, sizeof(piece), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			sent += (size_t)n;
	}
	return sent;
}

static void
a_slow_reader_holds_the_writer_back(void **state)
{
	struct circuit_conf c = conf_for(echo.port);
	const size_t limit = 256 * 1024 * 1024;
	static unsigned char piece[65536];
	size_t sent, got = 0;
	ssize_t n, i;
	int fd, small = 65536;

	(void)state;
	start(&c, "127.0.0.1:0");
	fd = client(px.port, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	/* What fits: the kernel's buffers and ours; not what memory holds. */
	sent = flood(fd, limit);
	assert_in_range(sent, 65536, limit - 1);
	shutdown(fd, SHUT_WR);
	while (got < sent && (n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		if (got + (size_t)n > sent)
			n = (ssize_t)(sent - got);
		for (i = 0; i < n; i++)
			if (piece[i] != (got + (size_t)i) % 251)
				fail_msg("octet %zu", got + (size_t)i);
		got += (size_t)n;
	}
	assert_int_equal(got, sent);
	close(fd);
	finish();
}

#define LO(n) (0x7f000000u + (n))

static void
caps_hold_for_a_source_and_in_all(void **state)
{
	struct circuit_conf c = conf_for(echo.port);
	uint64_t begin = clock_mono_ms();
	int a[2], b, fd, i;
	char line[400], piece[5];
	bool again = false;

	(void)state;
	c.max_conns = 3;
	c.max_per_source = 2;
	start(&c, "127.0.0.1:0");
	for (i = 0; i < 2; i++)
		works(a[i] = client(px.port, LO(2)));
	for (i = 0; i < 5; i++)
		expect_closed(client(px.port, LO(2)));
	works(b = client(px.port, LO(3)));
	expect_closed(client(px.port, LO(4)));
	works(a[0]);
	works(b);
	/* Six were refused, within a second for all that matters: the first is
	 * told, the others are not. */
	read_log(line, sizeof(line));
	assert_non_null(strstr(line,
	    "event=proxy.refused source=127.0.0.2 reason=max-per-source "
	    "omitted=0"));
	if (clock_mono_ms() - begin < 1000)
		assert_true(log_is_empty());
	/* When one leaves there is room again. */
	close(b);
	while (!again && clock_mono_ms() - begin < WAIT_MS) {
		fd = client(px.port, LO(4));
		send_all(fd, "hello", 5);
		again = recv(fd, piece, 5, MSG_WAITALL) == 5;
		close(fd);
	}
	assert_true(again);
	close(a[0]);
	close(a[1]);
	finish();
}

static void
silence_ends_a_circuit(void **state)
{
	struct circuit_conf c = conf_for(echo.port);
	uint64_t begin;
	int fd;

	(void)state;
	c.idle_ms = 400;
	start(&c, "127.0.0.1:0");
	fd = client(px.port, 0);
	/* Three times as long as the limit, but never silent. */
	for (begin = clock_mono_ms(); clock_mono_ms() - begin < 1200;) {
		works(fd);
		poll(NULL, 0, 20);
	}
	begin = clock_mono_ms();
	expect_closed(fd);
	assert_in_range(clock_mono_ms() - begin, 300, 5000);
	finish();
}

static void
activity_does_not_prolong_the_total(void **state)
{
	struct circuit_conf c = conf_for(echo.port);
	uint64_t begin = clock_mono_ms();
	char piece[5];
	int fd;

	(void)state;
	c.total_ms = 500;
	start(&c, "127.0.0.1:0");
	fd = client(px.port, 0);
	do {
		send_all(fd, "hello", 5);
		poll(NULL, 0, 20);
	} while (recv(fd, piece, 5, MSG_WAITALL) == 5 &&
	    clock_mono_ms() - begin < WAIT_MS);
	assert_in_range(clock_mono_ms() - begin, 400, 5000);
	close(fd);
	finish();
}

static void
a_registrar_that_is_down_ends_it_at_once(void **state)
{
	struct circuit_conf c;
	unsigned port;
	char line[400], want[100];
	int fd = listen_on(AF_INET, 1, &port);

	(void)state;
	close(fd);
	c = conf_for(port);
	start(&c, "127.0.0.1:0");
	expect_closed(client(px.port, 0));
	read_log(line, sizeof(line));
	snprintf(want, sizeof(want),
	    "event=proxy.registrar-down addr=127.0.0.1 port=%u reason=", port);
	if (strstr(line, want) == NULL || strstr(line, "refused") == NULL)
		fail_msg("%s", line);
	finish();
}

static void
a_registrar_that_does_not_accept_is_given_up(void **state)
{
	struct circuit_conf c;
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int full[4], fd;
	unsigned port;
	char line[400];
	size_t i;

	(void)state;
	/* A backlog that is full: further connects hang. */
	fd = listen_on(AF_INET, 0, &port);
	to.sin_port = htons((uint16_t)port);
	for (i = 0; i < NELEMS(full); i++) {
		full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(full[i], (struct sockaddr *)&to, sizeof(to));
	}
	c = conf_for(port);
	c.connect_ms = 300;
	start(&c, "127.0.0.1:0");
	expect_closed(client(px.port, 0));
	read_log(line, sizeof(line));
	if (strstr(line, "connect-timeout") == NULL)
		fail_msg("%s", line);
	finish();
	for (i = 0; i < NELEMS(full); i++)
		close(full[i]);
	close(fd);
}

static void
addresses_are_parsed_whole(void **state)
{
	static const struct {
		const char *in;
		int rc;
		const char *host;
		unsigned port;
	} cases[] = {
		{ "127.0.0.1:80", 0, "127.0.0.1", 80 },
		{ "[::1]:443", 0, "::1", 443 },
		{ "[fe80::1%lo]:443", 0, "fe80::1%lo", 443 },
		{ "[fe80::1%nolink0]:443", -1 },
		{ "localhost:80", -1 },
		{ "127.0.0.1", -1 },
		{ "127.0.0.1:65536", -1 },
		{ "256.0.0.1:1", -1 },
	};
	struct address a, b, zero;
	struct err e = ERR_INIT;
	char host[ADDRESS_TEXT];
	size_t i;

	(void)state;
	memset(&zero, 0, sizeof(zero));
	for (i = 0; i < NELEMS(cases); i++) {
		a = zero;
		if (address_parse(cases[i].in, false, &a, &e) != cases[i].rc)
			fail_msg("%s", cases[i].in);
		if (cases[i].rc == -1) {
			assert_int_equal(e.kind, ERR_CONF);
			assert_memory_equal(&a, &zero, sizeof(a));
			continue;
		}
		assert_string_equal(address_host(host, &a), cases[i].host);
		assert_int_equal(address_port(&a), cases[i].port);
	}
	assert_int_equal(address_parse("localhost:80", true, &a, &e), 0);
	assert_int_equal(address_parse("[fe80::1%lo]:1", false, &a, &e), 0);
	assert_int_equal(address_parse("[fe80::1%lo]:2", false, &b, &e), 0);
	assert_true(address_same_host(&a, &b));
	b.u.in6.sin6_scope_id++;
	assert_false(address_same_host(&a, &b));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_parsed_whole),
		cmocka_unit_test(bytes_pass_and_half_close_is_passed_on),
		cmocka_unit_test(a_reset_does_not_swallow_the_answer),
		cmocka_unit_test(ipv6_pledges_reach_an_ipv4_registrar),
		cmocka_unit_test(a_slow_reader_holds_the_writer_back),
		cmocka_unit_test(caps_hold_for_a_source_and_in_all),
		cmocka_unit_test(silence_ends_a_circuit),
		cmocka_unit_test(activity_does_not_prolong_the_total),
		cmocka_unit_test(a_registrar_that_is_down_ends_it_at_once),
		cmocka_unit_test(a_registrar_that_does_not_accept_is_given_up),
	};

	return cmocka_run_group_tests(tests, echo_start, echo_stop);
}
