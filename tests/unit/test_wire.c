#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/link/frame.h"
#include "common/link/wire.h"
#include "tests/unit/link_pki.h"

#define LIMIT_MS 10000
#define HELD_MAX 64

const char *__lsan_default_suppressions(void);

/* nng 1.5.2 may leave a dialer behind that is closed while it negotiates, with
 * the one connection it held: nothing that grows. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:nng_dialer_create\nleak:libnng.so\n";
}

static struct link_pki pki;
static struct loop *loop;

/* ---- waiting for what is to come, no longer than needed ---------------- */

static struct {
	bool (*cond)(void *arg);
	void *arg;
	uint64_t until;
	struct timer *tick;
	bool met;
} await;

static void
on_tick(void *arg)
{
	(void)arg;
	await.met = await.cond(await.arg);
	if (await.met || clock_mono_ms() >= await.until)
		loop_stop(loop);
	else
		timer_set(await.tick, 2);
}

static bool
wait_ms(bool (*cond)(void *arg), void *arg, uint64_t ms)
{
	await.cond = cond;
	await.arg = arg;
	await.until = clock_mono_ms() + ms;
	await.tick = timer_new(loop, on_tick, NULL);
	timer_set(await.tick, 0);
	loop_run(loop);
	timer_free(await.tick);
	return await.met;
}

static void
must_wait(bool (*cond)(void *arg), void *arg)
{
	if (!wait_ms(cond, arg, LIMIT_MS))
		fail_msg("still waiting after %d ms", LIMIT_MS);
}

/* ---- a service --------------------------------------------------------- */

/* Answers "SITE:REQUEST", or keeps the first so many requests. */
struct service {
	struct wire_server *s;
	unsigned keep, n_held, seen;
	struct wire_req *held[HELD_MAX];
	char url[128];
};

static void
answer(struct wire_req *r)
{
	struct buf b AUTO_BUF = { 0 };
	struct bytes body = wire_body(r);

	buf_printf(&b, "%s:", wire_site(r));
	buf_add(&b, body.p, body.len);
	wire_reply(r, buf_bytes(&b));
}

static void
on_request(struct wire_req *r, void *arg)
{
	struct service *sv = arg;

	sv->seen++;
	if (sv->n_held < sv->keep)
		sv->held[sv->n_held++] = r;
	else
		answer(r);
}

static void
release(struct service *sv)
{
	unsigned i;

	sv->keep = 0;
	for (i = 0; i < sv->n_held; i++)
		answer(sv->held[i]);
	sv->n_held = 0;
}

static int
listen_as(struct service *sv, const char *name, const char *url, uid_t uid,
    struct err *e)
{
	char file[2][32];
	struct wire_listen_conf c = { .urls = &url,
		.n = 1,
		.contexts = 80,
		.ipc_site = "local",
		.ipc_uid = uid };

	snprintf(file[0], sizeof(file[0]), "%s.key", name);
	snprintf(file[1], sizeof(file[1]), "%s.pem", name);
	c.tls = (struct wire_tls){ link_pki_path(&pki, file[0]),
		link_pki_path(&pki, file[1]), link_pki_path(&pki, "ca.pem") };
	return wire_listen(loop, &c, on_request, sv, &sv->s, e);
}

static void
must_listen(struct service *sv, const char *url)
{
	struct err e = ERR_INIT;

	if (listen_as(sv, "ra", url, geteuid(), &e) == -1)
		fail_msg("%s", e.msg);
	if (str_starts(url, "tls+tcp://"))
		snprintf(sv->url, sizeof(sv->url), "tls+tcp://127.0.0.1:%u",
		    wire_port(sv->s));
	else
		str_copy(sv->url, sizeof(sv->url), url);
}

/* ---- a site ------------------------------------------------------------ */

struct site {
	struct wire_client *w;
	bool up;
	unsigned ups, downs, replies, failures;
	char last[64];
	size_t last_len;
	struct err e;
};

static void
on_link(void *arg, bool up)
{
	struct site *st = arg;

	assert_true(up != st->up); /* told of changes only */
	st->up = up;
	if (up)
		st->ups++;
	else
		st->downs++;
}

static void
on_done(void *arg, struct bytes reply, const struct err *e)
{
	struct site *st = arg;

	if (e != NULL) {
		assert_int_equal(reply.len, 0);
		st->failures++;
		st->e = *e;
		return;
	}
	st->replies++;
	st->last_len = reply.len;
	snprintf(st->last, sizeof(st->last), "%.*s", (int)reply.len,
	    (const char *)reply.p);
}

static bool
is_up(void *arg)
{
	return ((struct site *)arg)->up;
}

static bool
is_up_again(void *arg)
{
	return ((struct site *)arg)->ups == 2;
}

static bool
is_down(void *arg)
{
	return !((struct site *)arg)->up;
}

static bool
has_ended_all(void *arg)
{
	struct site *st = arg;

	return st->replies + st->failures >= 64;
}

static bool
has_ended_one(void *arg)
{
	struct site *st = arg;

	return st->replies + st->failures >= 1;
}

static bool
holds_all(void *arg)
{
	struct service *sv = arg;

	return sv->n_held == sv->keep;
}

static bool
never(void *arg)
{
	(void)arg;
	return false;
}

static int
dial_as(struct site *st, const char *name, const char *service, const char *url,
    uid_t uid, struct err *e)
{
	char file[2][32];
	struct wire_client_conf c = { .url = url,
		.service = service,
		.ipc_uid = uid,
		.window = 64,
		.reconnect_min_ms = 20,
		.reconnect_max_ms = 100 };

	snprintf(file[0], sizeof(file[0]), "%s.key", name);
	snprintf(file[1], sizeof(file[1]), "%s.pem", name);
	c.tls = (struct wire_tls){ link_pki_path(&pki, file[0]),
		link_pki_path(&pki, file[1]), link_pki_path(&pki, "ca.pem") };
	return wire_dial(loop, &c, on_link, st, &st->w, e);
}

static void
must_dial(struct site *st, const char *name, const struct service *sv)
{
	struct err e = ERR_INIT;

	if (dial_as(st, name, "ra", sv->url, geteuid(), &e) == -1)
		fail_msg("%s", e.msg);
	must_wait(is_up, st);
}

static void
must_send(struct site *st, struct bytes b, unsigned ms)
{
	struct err e = ERR_INIT;

	if (wire_send(st->w, b, ms, on_done, st, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
must_echo(struct site *st, const char *text, const char *want)
{
	st->replies = st->failures = 0;
	must_send(st, bytes_of(text, strlen(text)), LIMIT_MS);
	must_wait(has_ended_one, st);
	assert_int_equal(st->failures, 0);
	assert_string_equal(st->last, want);
}

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
window_is_64_and_no_more(void **state)
{
	struct service sv = { .keep = 64 };
	struct site st = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&st, "north", &sv);
	assert_int_equal(wire_room(st.w), 64);
	for (int i = 0; i < 64; i++)
		must_send(&st, bytes_of("x", 1), LIMIT_MS);
	assert_int_equal(wire_room(st.w), 0);
	assert_int_equal(
	    wire_send(st.w, bytes_of("x", 1), 100, on_done, &st, &e), -1);
	assert_int_equal(e.kind, ERR_RETRY);
	must_wait(holds_all, &sv);
	assert_int_equal(st.replies, 0);
	release(&sv);
	must_wait(has_ended_all, &st);
	assert_int_equal(st.replies, 64);
	assert_int_equal(wire_room(st.w), 64);
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
oversize_is_never_sent(void **state)
{
	struct service sv = { 0 };
	struct site st = { 0 };
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&st, "north", &sv);
	memset(buf_grow(&b, FRAME_MAX + 1), 'x', FRAME_MAX + 1);
	assert_int_equal(
	    wire_send(st.w, buf_bytes(&b), 100, on_done, &st, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	/* "north:" in front makes this reply the largest there is. */
	must_send(&st, bytes_of(b.data, FRAME_MAX - 6), LIMIT_MS);
	must_wait(has_ended_one, &st);
	assert_int_equal(st.last_len, FRAME_MAX);
	/* The largest request; its reply would be too large, so none comes. */
	must_send(&st, bytes_of(b.data, FRAME_MAX), 400);
	st.replies = 0;
	must_wait(has_ended_one, &st);
	assert_int_equal(sv.seen, 2);
	assert_int_equal(st.failures, 1);
	assert_int_equal(st.e.kind, ERR_RETRY);
	must_echo(&st, "after", "north:after");
	assert_int_equal(st.downs, 0);
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
client_comes_back_after_a_restart(void **state)
{
	struct service sv = { .keep = 1 };
	struct site st = { 0 };
	char url[64];
	uint64_t start;

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	str_copy(url, sizeof(url), sv.url);
	must_dial(&st, "north", &sv);
	must_send(&st, bytes_of("lost", 4), LIMIT_MS);
	must_wait(holds_all, &sv);
	start = clock_mono_ms();
	wire_close(sv.s);
	must_wait(is_down, &st);
	must_wait(has_ended_one, &st);
	assert_true(clock_mono_ms() - start < 2000); /* not by time-out */
	assert_int_equal(st.failures, 1);
	assert_int_equal(st.e.kind, ERR_PEER);
	wire_reply(sv.held[0], bytes_of("late", 4)); /* into the void */
	sv.keep = sv.n_held = 0;
	must_listen(&sv, url);
	must_wait(is_up, &st);
	must_echo(&st, "again", "north:again");
	assert_int_equal(st.ups, 2);
	assert_int_equal(st.downs, 1);
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
reconnect_brings_a_new_pipe(void **state)
{
	struct service sv = { .keep = 1 };
	struct site st = { 0 };

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&st, "north", &sv);
	must_send(&st, bytes_of("lost", 4), LIMIT_MS);
	must_wait(holds_all, &sv);
	wire_reconnect(st.w);
	must_wait(has_ended_one, &st);
	assert_int_equal(st.e.kind, ERR_PEER);
	must_wait(is_up_again, &st);
	release(&sv);
	must_echo(&st, "again", "north:again");
	assert_int_equal(st.downs, 1);
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
reply_after_the_peer_has_gone_hurts_nobody(void **state)
{
	struct service sv = { .keep = 1 };
	struct site gone = { 0 }, st = { 0 };

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&gone, "north", &sv);
	must_send(&gone, bytes_of("x", 1), LIMIT_MS);
	must_wait(holds_all, &sv);
	wire_hangup(gone.w);
	assert_int_equal(gone.failures, 1); /* told at once, and once */
	assert_int_equal(gone.e.kind, ERR_PEER);
	must_dial(&st, "south", &sv);
	assert_string_equal(wire_site(sv.held[0]), "north");
	release(&sv);
	must_echo(&st, "x", "south:x");
	wire_hangup(st.w);
	wire_close(sv.s);
}

static void
request_times_out_and_its_place_is_free_again(void **state)
{
	struct service sv = { .keep = 1 };
	struct site st = { 0 };

	(void)state;
	must_listen(&sv, "tls+tcp://127.0.0.1:0");
	must_dial(&st, "north", &sv);
	must_send(&st, bytes_of("x", 1), 100);
	must_wait(has_ended_one, &st);
	assert_int_equal(st.failures, 1);
	assert_int_equal(st.e.kind, ERR_RETRY);
	assert_int_equal(wire_room(st.w), 64);
	must_wait(holds_all, &sv);
	release(&sv); /* the late reply is nobody's */
	for (int i = 0; i < 70; i++)
		must_echo(&st, "y", "north:y");
	assert_int_equal(st.ups, 1);
	wire_hangup(st.w);
	wire_close(sv.s);
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

static int
setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	signal(SIGPIPE, SIG_IGN); /* the raw client writes to who has gone */
	link_pki_init(&pki);
	link_pki_add(&pki, "ra", "URI:urn:waybill:service:ra", true);
	link_pki_add(&pki, "north", "URI:urn:waybill:site:north", true);
	link_pki_add(&pki, "south", "URI:urn:waybill:site:south", true);
	link_pki_add(&pki, "stranger", "URI:urn:waybill:site:north", false);
	link_pki_add(&pki, "fake", "URI:urn:waybill:service:ra", false);
	link_pki_add(&pki, "nobody", "DNS:host.test", true);
	link_pki_add(&pki, "double",
	    "URI:urn:waybill:site:north,URI:urn:waybill:site:south", true);
	return (loop = loop_new(&e)) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	wait_ms(never, NULL, 50); /* what was posted ends */
	loop_free(loop);
	link_pki_done(&pki);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_sites_are_told_apart_on_every_request),
		cmocka_unit_test(only_certified_sites_get_a_pipe),
		cmocka_unit_test(client_refuses_who_is_not_its_service),
		cmocka_unit_test(window_is_64_and_no_more),
		cmocka_unit_test(oversize_is_never_sent),
		cmocka_unit_test(client_comes_back_after_a_restart),
		cmocka_unit_test(reconnect_brings_a_new_pipe),
		cmocka_unit_test(reply_after_the_peer_has_gone_hurts_nobody),
		cmocka_unit_test(request_times_out_and_its_place_is_free_again),
		cmocka_unit_test(ipc_peers_are_known_by_uid),
		cmocka_unit_test(configurations_that_cannot_work_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
