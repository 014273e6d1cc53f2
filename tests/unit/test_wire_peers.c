/* Who gets a pipe, and who does not. */
#include "wire_lab.h"

#include <netinet/in.h>

#include <openssl/ssl.h>

/* ---- the tests --------------------------------------------------------- */

static void
two_sites_are_told_apart_on_every_request(void **state)
{
	struct service sv = { 0 };
	struct site north = { 0 }, south = { 0 };
	char text[16], want[32];

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&north, "north", &sv);
	must_dial(&south, "south", &sv);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "%d", i);
		snprintf(want, sizeof(want), "north:%d", i);
		must_echo(&north, text, want);
		snprintf(want, sizeof(want), "south:%d", i);
		must_echo(&south, text, want);
	}
	wire_hangup(north.w);
	must_echo(&south, "still", "south:still");
	wire_hangup(south.w);
	wire_close(sv.s);
}

/* A client of our own, which can do what wire_dial never would. */
static SSL_CTX *
raw_context(const char *name, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char file[32];

	assert_non_null(ctx);
	assert_true(SSL_CTX_set_max_proto_version(ctx, version));
	if (name == NULL)
		return ctx;
	snprintf(file, sizeof(file), "%s.pem", name);
	assert_int_equal(
	    SSL_CTX_use_certificate_chain_file(ctx, link_pki_path(&pki, file)),
	    1);
	snprintf(file, sizeof(file), "%s.key", name);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(
			     ctx, link_pki_path(&pki, file), SSL_FILETYPE_PEM),
	    1);
	return ctx;
}

static int
raw_connect(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct timeval limit = { 0, 300000 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

enum outcome { NO_TLS, NO_PIPE, PIPE };

/* How far a client gets: to the end of SP's handshake at the service, and on
 * a pipe that stays. */
static enum outcome
raw_try(unsigned port, const char *name, int version)
{
	static const uint8_t sp[8] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
	SSL_CTX *ctx = raw_context(name, version);
	SSL *ssl = SSL_new(ctx);
	AUTO_FD fd = raw_connect(port);
	enum outcome ret = NO_TLS;
	uint8_t got[8];
	int n, err;

	assert_true(SSL_set_fd(ssl, fd));
	if (SSL_connect(ssl) == 1 &&
	    SSL_write(ssl, sp, sizeof(sp)) == sizeof(sp) &&
	    SSL_read(ssl, got, sizeof(got)) == sizeof(got)) {
		n = SSL_read(ssl, got, sizeof(got));
		err = SSL_get_error(ssl, n);
		/* Nothing to read for a while: the pipe stays. */
		ret = err == SSL_ERROR_WANT_READ ? PIPE : NO_PIPE;
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return ret;
}

static void
only_certified_sites_get_a_pipe(void **state)
{
	static const struct {
		const char *what, *name;
		int version;
		enum outcome want;
	} cases[] = {
		{ "a site", "north", TLS1_3_VERSION, PIPE },
		{ "TLS 1.2", "north", TLS1_2_VERSION, NO_TLS },
		{ "no certificate", NULL, TLS1_3_VERSION, NO_TLS },
		{ "another CA", "stranger", TLS1_3_VERSION, NO_TLS },
		{ "no site in it", "nobody", TLS1_3_VERSION, NO_PIPE },
		{ "a service", "ra", TLS1_3_VERSION, NO_PIPE },
		{ "two sites in it", "double", TLS1_3_VERSION, NO_PIPE },
	};
	struct service sv = { 0 };
	enum outcome got;

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	for (size_t i = 0; i < NELEMS(cases); i++) {
		got = raw_try(wire_port(sv.s), cases[i].name, cases[i].version);
		if (got != cases[i].want)
			fail_msg("%s: got as far as %d, not %d", cases[i].what,
			    got, cases[i].want);
	}
	wire_close(sv.s);
}

/* Each of these peers is dialled again and again while a good one talks. */
static void
client_refuses_who_is_not_its_service(void **state)
{
	static const struct {
		const char *what, *site, *service, *as;
	} cases[] = {
		{ "another name", "north", "masa", "ra" },
		{ "a site", "north", "ra", "south" },
		{ "another CA", "north", "ra", "fake" },
	};
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct service bad = { 0 }, good = { 0 };
		struct site st = { 0 }, other = { 0 };

		must_listen(&good, "tls+tcp://127.0.0.1:0");
		assert_int_equal(listen_as(&bad, cases[i].as,
				     "tls+tcp://127.0.0.1:0", 0, &e),
		    0);
		snprintf(bad.url, sizeof(bad.url), "tls+tcp://127.0.0.1:%u",
		    wire_port(bad.s));
		assert_int_equal(dial_as(&st, cases[i].site, cases[i].service,
				     bad.url, 0, &e),
		    0);
		must_dial(&other, "south", &good);
		for (int n = 0; n < 20; n++)
			must_echo(&other, "x", "south:x");
		wait_ms(never, NULL, 200);
		if (st.ups != 0)
			fail_msg("%s: accepted", cases[i].what);
		assert_int_equal(wire_room(st.w), 0);
		assert_int_equal(
		    wire_send(st.w, bytes_of("x", 1), 100, on_done, &st, &e),
		    -1);
		assert_int_equal(e.kind, ERR_RETRY);
		wire_hangup(st.w);
		wire_hangup(other.w);
		wire_close(bad.s);
		wire_close(good.s);
	}
}

static void
ipc_peers_are_known_by_uid(void **state)
{
	struct service sv = { 0 }, bad = { 0 };
	struct site st = { 0 }, wrong = { 0 }, refused = { 0 };
	struct err e = ERR_INIT;
	char url[128], url2[128];

	(void)state;
	snprintf(url, sizeof(url), "ipc://%s/sock", pki.dir);
	snprintf(url2, sizeof(url2), "ipc://%s/sock2", pki.dir);
	must_listen(&sv, url);
	must_dial(&st, "north", &sv);
	must_echo(&st, "x", "local:x");
	assert_int_equal(
	    dial_as(&wrong, "north", "ra", url, geteuid() + 1, &e), 0);
	assert_int_equal(listen_as(&bad, "ra", url2, geteuid() + 1, &e), 0);
	assert_int_equal(
	    dial_as(&refused, "north", "ra", url2, geteuid(), &e), 0);
	wait_ms(never, NULL, 200);
	assert_int_equal(wrong.ups, 0);
	/* The service closes what the client took for a pipe. */
	wait_ms(is_down, &refused, 1000);
	assert_int_equal(bad.seen, 0);
	must_echo(&st, "y", "local:y");
	wire_hangup(st.w);
	wire_hangup(wrong.w);
	wire_hangup(refused.w);
	wire_close(sv.s);
	wire_close(bad.s);
}

static void
configurations_that_cannot_work_are_refused(void **state)
{
	struct service sv = { 0 };
	struct site st = { 0 };
	struct err e = ERR_INIT;
	const char *url = "ipc:///nonexistent/sock";
	struct wire_listen_conf no_site = {
		.urls = &url, .n = 1, .contexts = 1
	};

	(void)state;
	assert_int_equal(
	    dial_as(&st, "north", "ra", "tcp://127.0.0.1:1", 0, &e), -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(
	    dial_as(&st, "absent", "ra", "tls+tcp://127.0.0.1:1", 0, &e), -1);
	assert_non_null(strstr(e.msg, "absent"));
	assert_int_equal(
	    dial_as(&st, "north", "no name", "tls+tcp://127.0.0.1:1", 0, &e),
	    -1);
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(
	    listen_as(&sv, "ra", "tls+tcp://192.0.2.1:1", 0, &e), -1);
	assert_int_equal(
	    wire_listen(loop, &no_site, on_request, &sv, &sv.s, &e), -1);
	assert_non_null(strstr(e.msg, "no site is named"));
	assert_null(st.w);
	assert_null(sv.s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_sites_are_told_apart_on_every_request),
		cmocka_unit_test(only_certified_sites_get_a_pipe),
		cmocka_unit_test(client_refuses_who_is_not_its_service),
		cmocka_unit_test(ipc_peers_are_known_by_uid),
		cmocka_unit_test(configurations_that_cannot_work_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
