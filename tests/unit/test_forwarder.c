#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/link/frame.h"
#include "common/link/wire.h"
#include "forwarder/forwarder.h"
#include "tests/unit/link_pki.h"

#define LIMIT_MS 15000
#define SEEN_MAX 256
#define B(s)	 ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

static struct link_pki pki;

/* All in one process and on one loop: the forwarder as it is, a registrar
 * that is a socket, and a service behind real TLS. */
static struct world {
	struct forwarder f;
	struct loop *loop;
	char socket[96];
	bool plain; /* the configuration's own pauses */

	/* the registrar */
	int listener, conn;
	unsigned accepted, closed;
	struct buf in;
	size_t n;
	struct seen {
		enum frame_type type;
		uint64_t tag;
		bool up;
		char service[ENTRY_NAME_MAX];
		char reason[160];
	} seen[SEEN_MAX];
	struct buf last; /* the last frame, as it came */

	/* the service */
	struct wire_server *server;
	char url[64];
	bool hold, bad, refuse;
	unsigned requests, n_held;
	struct wire_req *held[64];
	struct buf sent; /* its last reply */
} w;

/* ---- the registrar ----------------------------------------------------- */

static void
reg_listen(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	str_copy(a.sun_path, sizeof(a.sun_path), w.socket);
	unlink(w.socket);
	w.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_not_equal(w.listener, -1);
	assert_int_equal(bind(w.listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(w.listener, 4), 0);
}

static void
reg_hangup(void)
{
	if (w.conn != -1)
		close(w.conn);
	w.conn = -1;
	buf_reset(&w.in);
}

static void
reg_note(struct bytes frame)
{
	struct frame f AUTO_FRAME = { 0 };
	struct err e = ERR_INIT;
	struct seen *s;

	if (frame_parse(frame, &f, &e) == -1)
		fail_msg("%s", e.msg);
	assert_true(w.n < SEEN_MAX);
	s = &w.seen[w.n++];
	*s = (struct seen){ .type = f.type, .tag = f.tag };
	if (f.type == FRAME_LINK) {
		s->up = f.u.link.up;
		str_copy(s->service, sizeof(s->service), f.u.link.service);
	}
	if (f.type == FRAME_NACK)
		str_copy(s->reason, sizeof(s->reason), f.u.nack.reason);
	buf_reset(&w.last);
	buf_add(&w.last, frame.p, frame.len);
}

static void
reg_read(void)
{
	struct err e = ERR_INIT;
	struct bytes frame;
	char chunk[4096];
	ssize_t n;

	while ((n = read(w.conn, chunk, sizeof(chunk))) > 0)
		buf_add(&w.in, chunk, (size_t)n);
	while (frame_next(&w.in, &frame, &e) == 1) {
		reg_note(frame);
		buf_drop(&w.in, 4 + frame.len);
	}
	if (n == 0) {
		w.closed++;
		reg_hangup();
	}
}

static void
reg_poll(void)
{
	if (w.conn == -1 && w.listener != -1) {
		w.conn = accept4(w.listener, NULL, NULL, SOCK_NONBLOCK);
		if (w.conn != -1)
			w.accepted++;
	}
	if (w.conn != -1)
		reg_read();
}

static void
reg_send(const struct buf *frame)
{
	struct buf out AUTO_BUF = { 0 };

	frame_wrap(buf_bytes(frame), &out);
	assert_int_equal(write(w.conn, out.data, out.len), out.len);
}

static void
reg_put(uint64_t tag)
{
	struct buf b AUTO_BUF = { 0 };

	frame_put(tag, B("header"), B("octets"), B("sig"), &b);
	reg_send(&b);
}

/* ---- the service ------------------------------------------------------- */

static void
svc_answer(struct wire_req *r)
{
	struct frame_batch batch = { B("batch"), B("sig"), 0, NULL };
	struct err e = ERR_INIT;
	enum frame_type type;
	uint64_t tag;

	assert_string_equal(wire_site(r), "north");
	assert_int_equal(frame_peek(wire_body(r), &type, &tag, &e), 0);
	buf_reset(&w.sent);
	if (w.bad)
		frame_sent(tag, &w.sent);
	else if (w.refuse)
		frame_nack(tag, 5, "not now", &w.sent);
	else if (type == FRAME_ASK)
		frame_data(tag, B("manifest"), B("sig"), 0, B("part"), &w.sent);
	else if (type == FRAME_PUT)
		frame_answers(FRAME_STORED, tag, &batch, 1, &w.sent);
	else if (type == FRAME_PULL)
		frame_answers(FRAME_ANSWERS, tag, &batch, 1, &w.sent);
	else
		frame_ping(tag, &w.sent);
	wire_reply(r, buf_bytes(&w.sent));
}

static void
svc_request(struct wire_req *r, void *arg)
{
	(void)arg;
	w.requests++;
	if (w.hold)
		w.held[w.n_held++] = r;
	else
		svc_answer(r);
}

static void
svc_release(void)
{
	unsigned i;

	w.hold = false;
	for (i = 0; i < w.n_held; i++)
		svc_answer(w.held[i]);
	w.n_held = 0;
}

static void
svc_listen(struct loop *l, const char *url)
{
	struct wire_listen_conf c = { .urls = &url,
		.n = 1,
		.tls = { link_pki_path(&pki, "ra.key"),
		    link_pki_path(&pki, "ra.pem"),
		    link_pki_path(&pki, "ca.pem") },
		.contexts = 70 };
	struct err e = ERR_INIT;

	if (wire_listen(l, &c, svc_request, NULL, &w.server, &e) == -1)
		fail_msg("%s", e.msg);
	snprintf(w.url, sizeof(w.url), "tls+tcp://127.0.0.1:%u",
	    wire_port(w.server));
}

/* ---- waiting ----------------------------------------------------------- */

static struct {
	bool (*cond)(uint64_t arg);
	uint64_t arg, until;
	struct timer *tick;
	bool met;
} await;

static void
on_tick(void *arg)
{
	(void)arg;
	reg_poll();
	await.met = await.cond(await.arg);
	if (await.met || clock_mono_ms() >= await.until)
		loop_stop(w.f.loop);
	else
		timer_set(await.tick, 2);
}

static bool
wait_ms(bool (*cond)(uint64_t arg), uint64_t arg, uint64_t ms)
{
	await.cond = cond;
	await.arg = arg;
	await.until = clock_mono_ms() + ms;
	await.tick = timer_new(w.f.loop, on_tick, NULL);
	timer_set(await.tick, 0);
	loop_run(w.f.loop);
	timer_free(await.tick);
	return await.met;
}

static void
must_wait(bool (*cond)(uint64_t arg), uint64_t arg, const char *what)
{
	if (!wait_ms(cond, arg, LIMIT_MS))
		fail_msg(
		    "still waiting for %s %llu", what, (unsigned long long)arg);
}

static bool
never(uint64_t arg)
{
	(void)arg;
	return false;
}

static bool
link_is(uint64_t up)
{
	size_t i;

	for (i = w.n; i > 0; i--)
		if (w.seen[i - 1].type == FRAME_LINK)
			return w.seen[i - 1].up == (up != 0);
	return false;
}

static const struct seen *
seen_of(enum frame_type type, uint64_t tag)
{
	size_t i;

	for (i = 0; i < w.n; i++)
		if (w.seen[i].type == type && w.seen[i].tag == tag)
			return &w.seen[i];
	return NULL;
}

static bool
stored(uint64_t tag)
{
	return seen_of(FRAME_STORED, tag) != NULL;
}

static bool
pinged(uint64_t tag)
{
	return seen_of(FRAME_PING, tag) != NULL;
}

static bool
told(uint64_t tag)
{
	return seen_of(FRAME_DATA, tag) != NULL;
}

static bool
nacked(uint64_t tag)
{
	return seen_of(FRAME_NACK, tag) != NULL;
}

static bool
was_closed(uint64_t times)
{
	return w.closed >= times;
}

static bool
was_accepted(uint64_t times)
{
	return w.accepted >= times;
}

static bool
holds(uint64_t n)
{
	return w.n_held == n;
}

/* ---- the world --------------------------------------------------------- */

static int
configure(const char *site, uid_t uid, const char *more, struct err *e)
{
	struct buf b AUTO_BUF = { 0 };
	const char *path = link_pki_path(&pki, "forwarder.yaml");

	buf_printf(&b,
	    "site: %s\ncarry: %s\ncarry-uid: %u\nlink:\n"
	    "  key: %s/north.key\n  certificate: %s/north.pem\n"
	    "  ca: %s/ca.pem\nservices:\n  - name: ra\n    url: %s\n"
	    "%s%s",
	    site, w.socket, (unsigned)uid, pki.dir, pki.dir, pki.dir, w.url,
	    w.plain || str_starts(more, "reconnect")
		? ""
		: "reconnect:\n  min: 20ms\n  max: 100ms\n",
	    more);
	assert_int_equal(file_write(path, 0600, buf_bytes(&b), e), 0);
	if (forwarder_configure(&w.f, path, e) == -1)
		return -1;
	return forwarder_identify(&w.f, e);
}

/* The forwarder's address of the service must be known first: a loop of its
 * own finds a free port. */
static void
find_port(void)
{
	struct err e = ERR_INIT;
	AUTO(loop) l = loop_new(&e);

	assert_non_null(l);
	svc_listen(l, "tls+tcp://127.0.0.1:0");
	wire_close(w.server);
	w.server = NULL;
}

static void
world_open(uid_t uid, const char *more)
{
	struct err e = ERR_INIT;

	w = (struct world){ .listener = -1, .conn = -1 };
	snprintf(w.socket, sizeof(w.socket), "%s/carry", pki.dir);
	find_port();
	if (configure("north", uid, more, &e) == -1 ||
	    forwarder_open(&w.f, &e) == -1)
		fail_msg("%s", e.msg);
	reg_listen();
}

static void
world_up(const char *more)
{
	world_open(geteuid(), more);
	svc_listen(w.f.loop, w.url);
	must_wait(link_is, 1, "link");
}

static void
world_close(void)
{
	reg_hangup();
	close(w.listener);
	unlink(w.socket);
	wire_close(w.server);
	for (unsigned i = 0; i < w.n_held; i++)
		wire_reply(w.held[i], B("")); /* frees it */
	w.listener = -1;
	wait_ms(never, 0, 20);
	forwarder_close(&w.f);
	buf_done(&w.in);
	buf_done(&w.last);
	buf_done(&w.sent);
}

/* ---- the tests --------------------------------------------------------- */

static void
frames_go_out_and_replies_come_back_as_they_are(void **state)
{
	struct buf b AUTO_BUF = { 0 };

	(void)state;
	world_up("");
	assert_string_equal(w.seen[0].service, "ra");
	reg_put(7);
	must_wait(stored, 7, "STORED");
	assert_non_null(seen_of(FRAME_SENT, 7));
	assert_true(seen_of(FRAME_SENT, 7) < seen_of(FRAME_STORED, 7));
	assert_true(bytes_eq(buf_bytes(&w.last), buf_bytes(&w.sent)));
	frame_pull(8, "north", 0, 1, &b);
	reg_send(&b);
	reg_put(UINT64_MAX);
	must_wait(stored, UINT64_MAX, "STORED");
	assert_non_null(seen_of(FRAME_ANSWERS, 8));
	assert_int_equal(w.accepted, 1);
	world_close();
}

static void
recovery_and_reference_data_are_relayed(void **state)
{
	struct frame_evidence x = { B("header"), B("octets"), B("sig"),
		ENTRY_CUSTODY, { NULL, 0 } };
	struct buf b AUTO_BUF = { 0 };

	(void)state;
	world_up("");
	frame_evidence(3, &x, &b);
	reg_send(&b);
	must_wait(pinged, 3, "PING");
	buf_reset(&b);
	frame_ask(4, "north", "crl", 6, 0, &b);
	reg_send(&b);
	must_wait(told, 4, "DATA");
	assert_true(bytes_eq(buf_bytes(&w.last), buf_bytes(&w.sent)));
	assert_non_null(seen_of(FRAME_SENT, 3));
	assert_non_null(seen_of(FRAME_SENT, 4));
	world_close();
}

/* A link that just came up is not flooded. */
static void
entries_start_slowly(void **state)
{
	(void)state;
	world_up("window: 32\n");
	w.hold = true;
	for (uint64_t tag = 1; tag <= 20; tag++)
		reg_put(tag);
	must_wait(holds, 2, "requests");
	wait_ms(never, 0, 100);
	assert_int_equal(w.requests, 2);
	/* Two come back: four may be out. */
	w.hold = false;
	svc_answer(w.held[0]);
	svc_answer(w.held[1]);
	w.n_held = 0;
	w.hold = true;
	must_wait(holds, 4, "requests");
	wait_ms(never, 0, 100);
	assert_int_equal(w.requests, 6);
	svc_release();
	must_wait(stored, 20, "STORED");
	world_close();
}

/* What is over the limit never reaches the service; what follows does. */
static void
oversize_is_answered_here(void **state)
{
	static uint8_t body[FRAME_MAX];
	struct buf b AUTO_BUF = { 0 };
	uint8_t length[4] = { 0 };
	size_t off = 0;
	ssize_t n;

	(void)state;
	world_up("");
	frame_put(7, B("header"), bytes_of(body, sizeof(body)), B("sig"), &b);
	length[1] = (uint8_t)(b.len >> 16);
	length[2] = (uint8_t)(b.len >> 8);
	length[3] = (uint8_t)b.len;
	assert_int_equal(write(w.conn, length, 4), 4);
	while (off < b.len) {
		n = write(w.conn, b.data + off, b.len - off);
		assert_true(n > 0 || errno == EAGAIN);
		off += n > 0 ? (size_t)n : 0;
		wait_ms(never, 0, 2);
	}
	reg_put(8);
	must_wait(nacked, 7, "NACK");
	must_wait(stored, 8, "STORED");
	assert_string_equal(seen_of(FRAME_NACK, 7)->reason,
	    "frame of 262164 octets, limit 262144");
	assert_null(seen_of(FRAME_SENT, 7));
	assert_int_equal(w.requests, 1);
	assert_int_equal(w.accepted, 1);
	world_close();
}

static void
first_word_tells_the_service_even_while_it_is_down(void **state)
{
	(void)state;
	world_open(geteuid(), "");
	must_wait(link_is, 0, "LINK down");
	assert_int_equal(w.n, 1);
	assert_string_equal(w.seen[0].service, "ra");
	reg_put(1);
	must_wait(nacked, 1, "NACK");
	assert_string_equal(
	    seen_of(FRAME_NACK, 1)->reason, "link to ra is down");
	assert_null(seen_of(FRAME_SENT, 1));
	world_close();
}

static void
lost_link_frees_what_was_out_and_comes_back(void **state)
{
	uint64_t start;

	(void)state;
	world_up("");
	w.hold = true;
	reg_put(1);
	reg_put(2);
	must_wait(holds, 2, "requests");
	start = clock_mono_ms();
	wire_close(w.server);
	must_wait(nacked, 1, "NACK");
	must_wait(nacked, 2, "NACK");
	must_wait(link_is, 0, "LINK down");
	assert_true(clock_mono_ms() - start < 3000); /* not by time-out */
	svc_release();
	svc_listen(w.f.loop, w.url);
	must_wait(link_is, 1, "LINK up");
	reg_put(3);
	must_wait(stored, 3, "STORED");
	assert_int_equal(w.closed, 0);
	world_close();
}

static void
full_window_leaves_the_rest_in_the_socket(void **state)
{
	(void)state;
	world_up("window: 2\n");
	w.hold = true;
	for (uint64_t tag = 1; tag <= 10; tag++)
		reg_put(tag);
	must_wait(holds, 2, "requests");
	wait_ms(never, 0, 100);
	assert_int_equal(w.requests, 2);
	assert_null(seen_of(FRAME_SENT, 3));
	svc_release();
	must_wait(stored, 10, "STORED");
	assert_int_equal(w.requests, 10);
	for (uint64_t tag = 1; tag <= 10; tag++)
		assert_true(stored(tag));
	world_close();
}

/* 40 frames of 200 kB: many times what any buffer on the way holds. */
static void
large_frames_come_in_parts(void **state)
{
	static uint8_t body[200000];
	struct buf b AUTO_BUF = { 0 }, all AUTO_BUF = { 0 };
	size_t off = 0;
	ssize_t n;

	(void)state;
	world_up("");
	for (uint64_t tag = 1; tag <= 40; tag++) {
		buf_reset(&b);
		frame_put(tag, B("header"), bytes_of(body, sizeof(body)),
		    B("sig"), &b);
		frame_wrap(buf_bytes(&b), &all);
	}
	while (off < all.len) {
		n = write(w.conn, all.data + off, all.len - off);
		assert_true(n > 0 || errno == EAGAIN);
		off += n > 0 ? (size_t)n : 0;
		wait_ms(never, 0, 2);
	}
	must_wait(stored, 40, "STORED");
	for (uint64_t tag = 1; tag <= 40; tag++)
		assert_true(stored(tag));
	world_close();
}

static void
what_no_registrar_says_ends_the_connection(void **state)
{
	static const struct bytes bad[] = {
		{ (const uint8_t *)"\x83\x01\x0b\x07", 4 }, /* SENT */
		{ (const uint8_t *)"\x83\x01\x0f\x07", 4 }, /* type 15 */
		{ (const uint8_t *)"\x87\x01\x0e\x07\x40\x40\x00\x40",
		    8 },				    /* DATA */
		{ (const uint8_t *)"\x83\x02\x08\x07", 4 }, /* version 2 */
		{ (const uint8_t *)"junk", 4 },
	};
	unsigned before;

	(void)state;
	world_up("");
	for (size_t i = 0; i < NELEMS(bad); i++) {
		struct buf b AUTO_BUF = bytes_dup(bad[i]);

		reg_send(&b);
		must_wait(was_closed, i + 1, "close");
		must_wait(was_accepted, i + 2, "connection");
	}
	assert_int_equal(w.requests, 0);
	/* A length beyond the limit as well, before its octets come. */
	before = w.closed;
	assert_int_equal(write(w.conn, "\xff\xff\xff\xff", 4), 4);
	must_wait(was_closed, before + 1, "close");
	must_wait(was_accepted, before + 2, "connection");
	reg_put(5);
	must_wait(stored, 5, "STORED");
	world_close();
}

static void
what_no_service_says_is_not_passed_on(void **state)
{
	(void)state;
	world_up("");
	w.bad = true;
	reg_put(4);
	must_wait(nacked, 4, "NACK");
	assert_string_equal(
	    seen_of(FRAME_NACK, 4)->reason, "ra answers PUT with SENT");
	w.bad = false;
	reg_put(5);
	must_wait(stored, 5, "STORED");
	world_close();
}

/* The reply to a request of the old connection must not free the slot of
 * another request with the same tag on the new one. */
static void
registrar_restart_forgets_old_tags(void **state)
{
	(void)state;
	world_up("");
	w.hold = true;
	reg_put(1);
	must_wait(holds, 1, "request");
	reg_hangup();
	w.n = 0;
	must_wait(link_is, 1, "LINK up");
	assert_int_equal(w.accepted, 2);
	svc_release();
	wait_ms(never, 0, 100);
	assert_int_equal(w.n, 1); /* LINK alone */
	reg_put(1);
	must_wait(stored, 1, "STORED");
	assert_int_equal(w.requests, 2);
	world_close();
}

static void
registrar_of_another_uid_is_not_spoken_to(void **state)
{
	(void)state;
	world_open(geteuid() + 1, "");
	svc_listen(w.f.loop, w.url);
	must_wait(was_closed, 2, "two attempts"); /* it tries again */
	assert_int_equal(w.n, 0);
	assert_int_equal(w.in.len, 0);
	world_close();
}

static void
watchdog_dials_again(void **state)
{
	(void)state;
	world_up("watchdog: 300ms\n");
	w.hold = true;
	reg_put(1);
	must_wait(nacked, 1, "NACK");
	assert_int_equal(w.n_held, 1);
	must_wait(link_is, 1, "LINK up");
	svc_release();
	/* Replies keep it quiet. */
	w.n = 0;
	for (uint64_t tag = 10; tag < 20; tag++) {
		reg_put(tag);
		must_wait(stored, tag, "STORED");
		wait_ms(never, 0, 50);
	}
	for (size_t i = 0; i < w.n; i++)
		assert_int_not_equal(w.seen[i].type, FRAME_LINK);
	world_close();
}

static bool
went_down(uint64_t arg)
{
	(void)arg;
	for (size_t i = 0; i < w.n; i++)
		if (w.seen[i].type == FRAME_LINK && !w.seen[i].up)
			return true;
	return false;
}

/* The link lives and the service speaks, but no entry is taken. */
static void
watchdog_asks_for_receipts(void **state)
{
	uint64_t start, tag = 1;

	(void)state;
	world_up("watchdog: 300ms\n");
	w.n = 0;
	w.refuse = true;
	start = clock_mono_ms();
	while (!went_down(0) && clock_mono_ms() - start < LIMIT_MS) {
		reg_put(tag);
		must_wait(nacked, tag++, "NACK");
		wait_ms(went_down, 0, 50);
	}
	assert_true(went_down(0));
	assert_true(tag > 3);
	w.refuse = false;
	must_wait(link_is, 1, "LINK up");
	reg_put(100);
	must_wait(stored, 100, "STORED");
	world_close();
}

/* ---- back-off ---------------------------------------------------------- */

#define DIALS_MAX 64
static struct {
	int fd;
	size_t n;
	uint64_t at[DIALS_MAX];
} dialled;

/* Whoever dials is hung up on at once. */
static bool
dials(uint64_t want)
{
	int fd = accept4(dialled.fd, NULL, NULL, SOCK_NONBLOCK);

	if (fd != -1) {
		close(fd);
		assert_true(dialled.n < DIALS_MAX);
		dialled.at[dialled.n++] = clock_mono_ms();
	}
	return dialled.n >= want;
}

static void
listen_and_hang_up(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	const char *port = strrchr(w.url, ':');

	a.sin_port = htons((uint16_t)atoi(port + 1));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	dialled.n = 0;
	dialled.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_not_equal(dialled.fd, -1);
	assert_int_equal(setsockopt(dialled.fd, SOL_SOCKET, SO_REUSEADDR,
			     &(int){ 1 }, sizeof(int)),
	    0);
	assert_int_equal(bind(dialled.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(dialled.fd, 8), 0);
}

/* Pauses are drawn from 0 to a bound that doubles from min to max.  (nng 1.5.2
 * takes a random number for signed, so that half of them are 0.)  Thirty dials
 * whose bound stayed at 20 ms show none of 60 ms, those whose bound grew to
 * 200 ms show none but once in a hundred thousand times. */
static void
pauses_grow_and_vary(void **state)
{
	size_t same = 0;
	uint64_t longest = 0, gap, before = 0;

	(void)state;
	world_open(geteuid(), "reconnect:\n  min: 20ms\n  max: 200ms\n");
	listen_and_hang_up();
	assert_true(wait_ms(dials, 30, LIMIT_MS));
	for (size_t i = 1; i < dialled.n; i++) {
		gap = dialled.at[i] - dialled.at[i - 1];
		same += gap == before && gap > 10;
		longest = gap > longest ? gap : longest;
		before = gap;
	}
	assert_in_range(longest, 60, 400);
	assert_true(same < 5);
	close(dialled.fd);
	world_close();
}

/* A link that breaks often, and carries something each time, is worth dialling:
 * twelve pauses that grew would last 6 s on the average. */
static void
useful_links_are_dialled_soon(void **state)
{
	uint64_t start;

	(void)state;
	world_open(geteuid(), "reconnect:\n  min: 20ms\n  max: 4s\n");
	svc_listen(w.f.loop, w.url);
	must_wait(link_is, 1, "link");
	start = clock_mono_ms();
	for (uint64_t tag = 1; tag <= 24; tag += 2) {
		reg_put(tag);
		reg_put(tag + 1);
		must_wait(stored, tag, "STORED");
		must_wait(stored, tag + 1, "STORED");
		w.n = 0;
		wire_close(w.server);
		must_wait(link_is, 0, "break");
		svc_listen(w.f.loop, w.url);
		must_wait(link_is, 1, "link again");
	}
	assert_true(clock_mono_ms() - start < 2500);
	world_close();
}

static void
back_off_is_as_long_as_told(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	w = (struct world){ .listener = -1, .conn = -1 };
	snprintf(w.socket, sizeof(w.socket), "%s/carry", pki.dir);
	str_copy(w.url, sizeof(w.url), "tls+tcp://127.0.0.1:1");
	w.plain = true;
	assert_int_equal(configure("north", 0, "", &e), 0);
	assert_int_equal(w.f.conf.reconnect.min, 250);
	assert_int_equal(w.f.conf.reconnect.max, 30000);
	assert_int_equal(w.f.conf.watchdog, 300000);
	forwarder_close(&w.f);
}

static void
configurations_that_cannot_work_are_refused(void **state)
{
	static const struct {
		const char *what, *site, *more, *why;
	} cases[] = {
		{ "another site", "south", "", "of site north, not south" },
		{ "window", "north", "window: 65\n", "window" },
		{ "unknown", "north", "windows: 5\n", "windows" },
	};
	struct err e = ERR_INIT;

	(void)state;
	w = (struct world){ .listener = -1, .conn = -1 };
	snprintf(w.socket, sizeof(w.socket), "%s/carry", pki.dir);
	str_copy(w.url, sizeof(w.url), "tls+tcp://127.0.0.1:1");
	for (size_t i = 0; i < NELEMS(cases); i++) {
		assert_int_equal(
		    configure(cases[i].site, 0, cases[i].more, &e), -1);
		assert_int_equal(e.kind, ERR_CONF);
		if (strstr(e.msg, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].what, e.msg);
		forwarder_close(&w.f);
	}
	str_copy(w.url, sizeof(w.url), "tcp://127.0.0.1:1");
	assert_int_equal(configure("north", 0, "", &e), -1);
	assert_non_null(strstr(e.msg, "tls+tcp://"));
	forwarder_close(&w.f);
	str_copy(w.url, sizeof(w.url),
	    "tls+tcp://127.0.0.1:1\n  - name: ra\n    url: ipc:///x");
	assert_int_equal(configure("north", 0, "", &e), -1);
	assert_non_null(strstr(e.msg, "twice"));
	forwarder_close(&w.f);
}

static int
setup(void **state)
{
	(void)state;
	link_pki_init(&pki);
	link_pki_add(&pki, "ra", "URI:urn:waybill:service:ra", true);
	link_pki_add(&pki, "north", "URI:urn:waybill:site:north", true);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	link_pki_done(&pki);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    frames_go_out_and_replies_come_back_as_they_are),
		cmocka_unit_test(recovery_and_reference_data_are_relayed),
		cmocka_unit_test(entries_start_slowly),
		cmocka_unit_test(oversize_is_answered_here),
		cmocka_unit_test(
		    first_word_tells_the_service_even_while_it_is_down),
		cmocka_unit_test(lost_link_frees_what_was_out_and_comes_back),
		cmocka_unit_test(full_window_leaves_the_rest_in_the_socket),
		cmocka_unit_test(large_frames_come_in_parts),
		cmocka_unit_test(what_no_registrar_says_ends_the_connection),
		cmocka_unit_test(what_no_service_says_is_not_passed_on),
		cmocka_unit_test(registrar_restart_forgets_old_tags),
		cmocka_unit_test(registrar_of_another_uid_is_not_spoken_to),
		cmocka_unit_test(watchdog_dials_again),
		cmocka_unit_test(watchdog_asks_for_receipts),
		cmocka_unit_test(pauses_grow_and_vary),
		cmocka_unit_test(useful_links_are_dialled_soon),
		cmocka_unit_test(back_off_is_as_long_as_told),
		cmocka_unit_test(configurations_that_cannot_work_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
