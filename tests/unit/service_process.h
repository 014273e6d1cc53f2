/* A service as a process, whose path is the first argument, and sites that
 * speak to it over TLS on the loopback. */
#ifndef WAYBILL_TESTS_SERVICE_PROCESS_H
#define WAYBILL_TESTS_SERVICE_PROCESS_H

#include "tests/unit/ra_lab.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "common/base/cbor.h"
#include "common/link/frame.h"
#include "common/link/wire.h"
#include "common/sys/control.h"

#define LIMIT_MS 25000 /* a disk that is written full may stall */
#define NO_CLOCK "WAYBILL_CLOCK=none"
#define CLOCK	 "WAYBILL_CLOCK=sync"

static const char *program;
static struct lab *lab;
static struct loop *loop;

/* ---- the service ------------------------------------------------------- */

static struct {
	const char *conf;  /* its name in the lab's folder */
	const char *ready; /* what its log says then */
	pid_t pid;
	char url[64];
} service;

static inline pid_t
spawn(const char *clock, const char *option)
{
	const char *argv[] = { program, "--config", lab_path(lab, service.conf),
		option, NULL };
	char *env[] = { (char *)clock, NULL };
	posix_spawn_file_actions_t fa;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, STDERR_FILENO,
	    lab_path(lab, "log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(
	    &fa, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	assert_int_equal(
	    posix_spawn(&pid, program, &fa, NULL, (char **)argv, env), 0);
	posix_spawn_file_actions_destroy(&fa);
	return pid;
}

/* Whether its log says this, and how it goes on. */
static inline bool
logged(const char *what, char *ret_line, size_t size)
{
	struct buf text AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	const char *at;

	if (file_read(lab_path(lab, "log"), 1 << 20, &text, &e) == -1 ||
	    (at = strstr(buf_cstr(&text), what)) == NULL)
		return false;
	str_copy(ret_line, size, at);
	return true;
}

/* A process tells by its log alone that it is ready. */
static inline void
await_log(const char *what, char *ret_line, size_t size)
{
	uint64_t until = clock_mono_ms() + LIMIT_MS;

	while (!logged(what, ret_line, size)) {
		if (clock_mono_ms() > until ||
		    waitpid(service.pid, NULL, WNOHANG) == service.pid)
			fail_msg("the service never said \"%s\"", what);
		usleep(2000);
	}
}

static inline void
service_start(const char *clock)
{
	char line[512], *port;

	service.pid = spawn(clock, NULL);
	await_log(service.ready, line, sizeof(line));
	port = strstr(line, "port=");
	assert_non_null(port);
	snprintf(service.url, sizeof(service.url), "tls+tcp://127.0.0.1:%d",
	    atoi(port + 5));
}

/* How it ended: an exit code, or minus the signal. */
static inline int
ended(pid_t pid)
{
	uint64_t until = clock_mono_ms() + LIMIT_MS;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (clock_mono_ms() > until) {
			kill(pid, SIGKILL);
			fail_msg("the service does not end");
		}
		usleep(2000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline int
service_stop(int signo)
{
	pid_t pid = service.pid;

	service.pid = 0;
	kill(pid, signo);
	return ended(pid);
}

/* ---- sites ------------------------------------------------------------- */

struct site {
	const char *name;
	struct wire_client *w;
	bool up;
	uint64_t tag;
};

/* One question to the service. */
struct question {
	bool answered;
	struct buf reply;
	struct err e;
};

static bool expired;

static inline void
on_expired(void *arg)
{
	(void)arg;
	expired = true;
	loop_stop(loop);
}

static inline void
run_until(const bool *flag)
{
	struct timer *t = timer_new(loop, on_expired, NULL);

	expired = false;
	timer_set(t, LIMIT_MS);
	while (!*flag && !expired)
		loop_run(loop);
	timer_free(t);
	if (!*flag)
		fail_msg("still waiting after %d ms", LIMIT_MS);
}

static inline void
on_link(void *arg, bool up)
{
	struct site *s = arg;

	s->up = up;
	loop_stop(loop);
}

static inline void
on_reply(void *arg, struct bytes reply, const struct err *e)
{
	struct question *q = arg;

	q->answered = true;
	if (e != NULL)
		q->e = *e;
	else
		q->reply = bytes_dup(reply);
	loop_stop(loop);
}

static inline void
send_frame(struct site *s, const struct buf *frame, struct question *q)
{
	struct err e = ERR_INIT;

	*q = (struct question){ .answered = false };
	if (wire_send(s->w, buf_bytes(frame), LIMIT_MS, on_reply, q, &e) == -1)
		fail_msg("%s", e.msg);
}

/* Waits for the reply, which is of this type; octets stay in q. */
static inline void
await_reply(struct question *q, enum frame_type type, struct frame *ret)
{
	struct err e = ERR_INIT;

	run_until(&q->answered);
	if (q->e.kind != ERR_NONE)
		fail_msg("%s", q->e.msg);
	if (frame_parse(buf_bytes(&q->reply), ret, &e) == -1)
		fail_msg("%s", e.msg);
	if (ret->type != type)
		fail_msg("%s in place of %s: %s", frame_type_name(ret->type),
		    frame_type_name(type),
		    ret->type == FRAME_NACK ? ret->u.nack.reason : "");
}

static inline void
ask(struct site *s, const struct buf *frame, enum frame_type type,
    struct question *q, struct frame *ret)
{
	send_frame(s, frame, q);
	await_reply(q, type, ret);
}

static inline void
site_dial(struct site *s, const char *name)
{
	char file[2][64];
	struct wire_client_conf c = { .url = service.url,
		.service = "ra",
		.window = 8,
		.reconnect_min_ms = 20,
		.reconnect_max_ms = 100 };
	struct err e = ERR_INIT;

	*s = (struct site){ .name = name };
	snprintf(file[0], sizeof(file[0]), "link-%s.key", name);
	snprintf(file[1], sizeof(file[1]), "link-%s.crt", name);
	c.tls = (struct wire_tls){ lab_path(lab, file[0]),
		lab_path(lab, file[1]), lab_path(lab, "link-ca.crt") };
	if (wire_dial(loop, &c, on_link, s, &s->w, &e) == -1)
		fail_msg("%s", e.msg);
	run_until(&s->up);
}

static inline void
on_posted(void *arg)
{
	*(bool *)arg = true;
	loop_stop(loop);
}

/* What the wire has posted meanwhile still runs. */
static inline void
site_close(struct site *s)
{
	bool posted = false;

	wire_hangup(s->w);
	loop_post(loop, on_posted, &posted);
	run_until(&posted);
}

static inline void
hello_frame(struct site *s, const struct signer *signer, struct buf *out)
{
	struct frame_hello h = { .service = "ra", .site_next_id = 100 };
	struct err e = ERR_INIT;

	str_copy(h.site, sizeof(h.site), s->name);
	memcpy(h.site_epoch, lab->epoch, sizeof(h.site_epoch));
	memcpy(h.nonce, "0123456789abcdef", sizeof(h.nonce));
	assert_int_equal(
	    frame_hello(FRAME_HELLO, ++s->tag, &h, signer, out, &e), 0);
}

/* The service's own word of how far it has come. */
static inline struct frame_hello
site_hello(struct site *s)
{
	struct frame f AUTO_FRAME = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct frame_hello w;
	struct question q;
	struct err e = ERR_INIT;

	hello_frame(s, lab->registrar, &out);
	ask(s, &out, FRAME_WELCOME, &q, &f);
	assert_int_equal(f.tag, s->tag);
	assert_int_equal(sign_check(lab->service->cert, FRAME_HELLO_LABEL,
			     f.u.hello.body, f.u.hello.sig, &e),
	    0);
	assert_int_equal(frame_hello_parse(f.u.hello.body, &w, &e), 0);
	assert_memory_equal(w.nonce, "0123456789abcdef", sizeof(w.nonce));
	assert_string_equal(w.site, s->name);
	buf_done(&q.reply);
	return w;
}

/* A first connection: dialled, known, greeted. */
static inline void
site_open(struct site *s)
{
	site_dial(s, LAB_SITE);
	site_hello(s);
}

/* What the one batch of a STORED says first. */
static inline enum batch_code
site_put_frame(struct site *s, uint64_t id, const struct buf *frame)
{
	struct frame f AUTO_FRAME = { 0 };
	struct batch b AUTO_BATCH = { 0 };
	struct question q;
	struct err e = ERR_INIT;
	enum batch_code code;

	ask(s, frame, FRAME_STORED, &q, &f);
	if (batch_parse(f.u.answers.v[0].batch, &b, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(b.items[0].id, id);
	code = b.items[0].code;
	buf_done(&q.reply);
	return code;
}

/* Entry `id` gives up the one called `target`, of octets with this digest. */
static inline enum batch_code
site_withdraw(
    struct site *s, uint64_t id, uint64_t target, const struct digest *digest)
{
	struct buf text AUTO_BUF = { 0 }, header AUTO_BUF = { 0 };
	struct buf sig AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct entry_header h = { .id = id,
		.kind = ENTRY_WITHDRAW,
		.parent = target,
		.received = clock_now() };
	struct err e = ERR_INIT;

	cbor_write_array(&text, 5);
	cbor_write_text(&text, "waybill-withdraw/1");
	cbor_write_bytes(&text, lab->epoch, sizeof(lab->epoch));
	cbor_write_uint(&text, target);
	cbor_write_bytes(&text, digest->b, sizeof(digest->b));
	cbor_write_text(&text, "wrong plant");
	str_copy(h.site, sizeof(h.site), s->name);
	memcpy(h.epoch, lab->epoch, sizeof(h.epoch));
	h.digest = digest_of(text.data, text.len);
	if (entry_header_sign(&h, lab->registrar, &header, &sig, &e) == -1)
		fail_msg("%s", e.msg);
	frame_put(++s->tag, buf_bytes(&header), buf_bytes(&text),
	    buf_bytes(&sig), &out);
	return site_put_frame(s, id, &out);
}

/* The answer to `id`, wherever it stands after `since`; also its code. */
static inline enum batch_code
find_answer(const struct frame *f, uint64_t id, struct buf *ret, char *reason)
{
	enum batch_code code = 0;

	for (size_t i = 0; i < f->u.answers.n; i++) {
		const struct frame_batch *fb = &f->u.answers.v[i];
		struct batch b AUTO_BATCH = { 0 };
		struct err e = ERR_INIT;

		assert_int_equal(sign_check(lab->service->cert, BATCH_LABEL,
				     fb->batch, fb->sig, &e),
		    0);
		assert_int_equal(batch_parse(fb->batch, &b, &e), 0);
		for (size_t k = 0; k < b.n; k++) {
			struct digest d =
			    digest_of(fb->answers[k].p, fb->answers[k].len);

			if (!b.items[k].has_answer || b.items[k].id != id)
				continue;
			assert_true(digest_eq(&d, &b.items[k].answer));
			buf_reset(ret);
			buf_add(ret, fb->answers[k].p, fb->answers[k].len);
			memcpy(reason, b.items[k].reason, 160);
			code = b.items[k].code;
		}
	}
	return code;
}

/* PULLs until the answer to `id` has come. */
static inline enum batch_code
site_answer(struct site *s, uint64_t id, struct buf *ret, char reason[160])
{
	uint64_t since = 0;
	enum batch_code code = 0;

	while (code == 0) {
		struct frame f AUTO_FRAME = { 0 };
		struct buf out AUTO_BUF = { 0 };
		struct question q;

		frame_pull(++s->tag, s->name, since, 8, &out);
		ask(s, &out, FRAME_ANSWERS, &q, &f);
		if (f.u.answers.n == 0)
			fail_msg(
			    "no answer to %llu came", (unsigned long long)id);
		since += f.u.answers.n;
		code = find_answer(&f, id, ret, reason);
		buf_done(&q.reply);
	}
	return code;
}

/* ---- keys of links ----------------------------------------------------- */

static inline void
link_keys(const char *name, const char *san, const char *eku)
{
	struct lab_want w = { .cn = name, .san = san, .eku = eku };
	AUTO(signer) s = lab_signer(&w, &lab->link);
	char file[64];

	snprintf(file, sizeof(file), "link-%s", name);
	lab_save(lab, file, s->key, s->cert, NULL);
}

#endif
