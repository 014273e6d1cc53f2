/* A forwarder between a registrar and services that do as they are told: what
 * its tests share. */
#ifndef WAYBILL_TESTS_FORWARDER_LAB_H
#define WAYBILL_TESTS_FORWARDER_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

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

static inline void
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

static inline void
reg_hangup(void)
{
	if (w.conn != -1)
		close(w.conn);
	w.conn = -1;
	buf_reset(&w.in);
}

static inline void
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

static inline void
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

static inline void
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

static inline void
reg_send(const struct buf *frame)
{
	struct buf out AUTO_BUF = { 0 };

	frame_wrap(buf_bytes(frame), &out);
	assert_int_equal(write(w.conn, out.data, out.len), out.len);
}

static inline void
reg_put(uint64_t tag)
{
	struct buf b AUTO_BUF = { 0 };

	frame_put(tag, B("header"), B("octets"), B("sig"), &b);
	reg_send(&b);
}

/* ---- the service ------------------------------------------------------- */

static inline void
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

static inline void
svc_request(struct wire_req *r, void *arg)
{
	(void)arg;
	w.requests++;
	if (w.hold)
		w.held[w.n_held++] = r;
	else
		svc_answer(r);
}

static inline void
svc_release(void)
{
	unsigned i;

	w.hold = false;
	for (i = 0; i < w.n_held; i++)
		svc_answer(w.held[i]);
	w.n_held = 0;
}

static inline void
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

static inline void
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

static inline bool
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

static inline void
must_wait(bool (*cond)(uint64_t arg), uint64_t arg, const char *what)
{
	if (!wait_ms(cond, arg, LIMIT_MS))
		fail_msg(
		    "still waiting for %s %llu", what, (unsigned long long)arg);
}

static inline bool
never(uint64_t arg)
{
	(void)arg;
	return false;
}

static inline bool
link_is(uint64_t up)
{
	size_t i;

	for (i = w.n; i > 0; i--)
		if (w.seen[i - 1].type == FRAME_LINK)
			return w.seen[i - 1].up == (up != 0);
	return false;
}

static inline const struct seen *
seen_of(enum frame_type type, uint64_t tag)
{
	size_t i;

	for (i = 0; i < w.n; i++)
		if (w.seen[i].type == type && w.seen[i].tag == tag)
			return &w.seen[i];
	return NULL;
}

static inline bool
stored(uint64_t tag)
{
	return seen_of(FRAME_STORED, tag) != NULL;
}

static inline bool
nacked(uint64_t tag)
{
	return seen_of(FRAME_NACK, tag) != NULL;
}

static inline bool
holds(uint64_t n)
{
	return w.n_held == n;
}

/* ---- the world --------------------------------------------------------- */

static inline int
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
static inline void
find_port(void)
{
	struct err e = ERR_INIT;
	AUTO(loop) l = loop_new(&e);

	assert_non_null(l);
	svc_listen(l, "tls+tcp://127.0.0.1:0");
	wire_close(w.server);
	w.server = NULL;
}

static inline void
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

static inline void
world_up(const char *more)
{
	world_open(geteuid(), more);
	svc_listen(w.f.loop, w.url);
	must_wait(link_is, 1, "link");
}

static inline void
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

/* ---- back-off ---------------------------------------------------------- */

static inline int
setup(void **state)
{
	(void)state;
	link_pki_init(&pki);
	link_pki_add(&pki, "ra", "URI:urn:waybill:service:ra", true);
	link_pki_add(&pki, "north", "URI:urn:waybill:site:north", true);
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	link_pki_done(&pki);
	return 0;
}

#endif
