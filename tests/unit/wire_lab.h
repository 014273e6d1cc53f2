/* Services that listen and sites that dial, on one loop: what the tests of the
 * wire share. */
#ifndef WAYBILL_TESTS_WIRE_LAB_H
#define WAYBILL_TESTS_WIRE_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

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

static inline void
on_tick(void *arg)
{
	(void)arg;
	await.met = await.cond(await.arg);
	if (await.met || clock_mono_ms() >= await.until)
		loop_stop(loop);
	else
		timer_set(await.tick, 2);
}

static inline bool
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

static inline void
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

static inline void
answer(struct wire_req *r)
{
	struct buf b AUTO_BUF = { 0 };
	struct bytes body = wire_body(r);

	buf_printf(&b, "%s:", wire_site(r));
	buf_add(&b, body.p, body.len);
	wire_reply(r, buf_bytes(&b));
}

static inline void
on_request(struct wire_req *r, void *arg)
{
	struct service *sv = arg;

	sv->seen++;
	if (sv->n_held < sv->keep)
		sv->held[sv->n_held++] = r;
	else
		answer(r);
}

static inline int
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

static inline void
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

static inline void
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

static inline void
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

static inline bool
is_up(void *arg)
{
	return ((struct site *)arg)->up;
}

static inline bool
is_down(void *arg)
{
	return !((struct site *)arg)->up;
}

static inline bool
has_ended_one(void *arg)
{
	struct site *st = arg;

	return st->replies + st->failures >= 1;
}

static inline bool
never(void *arg)
{
	(void)arg;
	return false;
}

static inline int
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

static inline void
must_dial(struct site *st, const char *name, const struct service *sv)
{
	struct err e = ERR_INIT;

	if (dial_as(st, name, "ra", sv->url, geteuid(), &e) == -1)
		fail_msg("%s", e.msg);
	must_wait(is_up, st);
}

static inline void
must_send(struct site *st, struct bytes b, unsigned ms)
{
	struct err e = ERR_INIT;

	if (wire_send(st->w, b, ms, on_done, st, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline void
must_echo(struct site *st, const char *text, const char *want)
{
	st->replies = st->failures = 0;
	must_send(st, bytes_of(text, strlen(text)), LIMIT_MS);
	must_wait(has_ended_one, st);
	assert_int_equal(st->failures, 0);
	assert_string_equal(st->last, want);
}

/* ---- the tests --------------------------------------------------------- */

static inline int
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

static inline int
teardown(void **state)
{
	(void)state;
	wait_ms(never, NULL, 50); /* what was posted ends */
	loop_free(loop);
	link_pki_done(&pki);
	return 0;
}

#endif
