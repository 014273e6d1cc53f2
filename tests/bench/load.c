#include "tests/bench/load_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/base/str.h"
#include "tests/bench/bench.h"

#define TURN_MS 1 /* between looks at what is due */
#define EVENTS	256

void
load_sum_done(struct load_sum *s)
{
	free(s->answer_us);
	free(s->fresh_us);
	*s = (struct load_sum){ 0 };
}

void
load_sum_sound(const struct load_sum *s, const char *what)
{
	if (s->failed > 0)
		bench_fail(
		    "%s: %zu failed, the first: %s", what, s->failed, s->why);
	if (s->ended == 0)
		bench_fail("%s: nothing was done", what);
}

static void
note(double **v, size_t *n, double us)
{
	if ((*n & (*n - 1)) == 0) /* full at each power of two */
		*v = xrealloc(*v, (*n == 0 ? 1 : 2 * *n) * sizeof(**v));
	(*v)[(*n)++] = us;
}

void
load_note_answer(struct conn *c)
{
	struct load_sum *s = c->l->sum;
	double now = bench_now();

	if (s != NULL) {
		note(&s->answer_us, &s->n_answers, now - c->asked);
		if (!c->answered)
			note(&s->fresh_us, &s->n_fresh, now - c->began);
	}
	c->answered = true;
}

void
load_note_end(struct load *l, const char *why)
{
	struct load_sum *s = l->sum;

	if (s == NULL)
		return;
	if (why == NULL)
		s->ended++;
	else if (s->failed++ == 0)
		str_copy(s->why, sizeof(s->why), why);
}

/* ---- clients of one server ----------------------------------------------- */

static int
believe(X509_STORE_CTX *store, void *arg)
{
	(void)store, (void)arg;
	return 1;
}

struct load *
load_new(unsigned port)
{
	struct load *l = xcalloc(1, sizeof(*l));

	l->port = port;
	TAILQ_INIT(&l->under_way);
	TAILQ_INIT(&l->kept);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->ctx = SSL_CTX_new(TLS_client_method());
	if (l->epoll == -1 || l->ctx == NULL ||
	    SSL_CTX_set_min_proto_version(l->ctx, TLS1_3_VERSION) != 1)
		bench_fail("load: epoll and TLS");
	SSL_CTX_set_options(l->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(l->ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(l->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_cert_verify_callback(l->ctx, believe, NULL);
	return l;
}

static void
end_all(struct conns *all)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(all)) != NULL)
		load_conn_free(c);
}

void
load_free(struct load *l)
{
	if (l == NULL)
		return;
	end_all(&l->under_way);
	end_all(&l->kept);
	SSL_CTX_free(l->ctx);
	close(l->epoll);
	free(l);
}

/* One event a connection and turn: who is driven may end itself, no other. */
static void
turn(struct load *l, int ms)
{
	struct epoll_event ev[EVENTS];
	int n = epoll_wait(l->epoll, ev, EVENTS, ms);

	if (n == -1 && errno != EINTR)
		bench_fail("load: epoll: %s", strerror(errno));
	for (int i = 0; i < n; i++)
		load_conn_drive(ev[i].data.ptr);
}

/* ---- runs ---------------------------------------------------------------- */

/* How many of n conversations may have begun by now. */
static size_t
may_begin(const struct load *l, const struct load_pace *p, size_t n, double us)
{
	size_t over = l->sum->ended + l->sum->failed, by;

	if (p->a_second > 0 && (by = (size_t)(us * p->a_second / 1e6) + 1) < n)
		n = by;
	if (p->at_once > 0 && over + p->at_once < n)
		n = over + p->at_once;
	return n;
}

static void
give_up(struct load *l)
{
	while (!TAILQ_EMPTY(&l->under_way)) {
		load_conn_free(TAILQ_FIRST(&l->under_way));
		load_note_end(l, "not over in time");
	}
}

void
load_run(struct load *l, const struct load_client *c, size_t n,
    const struct load_pace *pace, struct load_sum *ret)
{
	double start = bench_now(), end = start + pace->seconds * 1e6, now;
	size_t begun = 0;

	*ret = (struct load_sum){ 0 };
	l->sum = ret;
	while (ret->ended + ret->failed < n && (now = bench_now()) < end) {
		size_t may = may_begin(l, pace, n, now - start);

		for (; begun < may; begun++)
			load_conn_open(l, &c[begun], bytes_of(NULL, 0));
		turn(l, TURN_MS);
	}
	give_up(l);
	for (; begun < n; begun++)
		load_note_end(l, "not begun in time");
	ret->us = bench_now() - start;
	l->sum = NULL;
}

size_t
load_kept(struct load *l)
{
	turn(l, 0);
	return l->n_kept;
}

void
load_drip(struct load *l, unsigned seconds)
{
	double start = bench_now(), end = start + seconds * 1e6, now;
	double due = 0, last = start;
	struct conn *c;

	l->dripping = true;
	while ((now = bench_now()) < end) {
		due += (now - last) / 1e6 * (double)l->n_kept;
		last = now;
		while (due >= 1 && (c = TAILQ_FIRST(&l->kept)) != NULL) {
			TAILQ_REMOVE(&l->kept, c, link);
			TAILQ_INSERT_TAIL(&l->kept, c, link);
			load_conn_drip(c);
			due -= 1;
		}
		turn(l, TURN_MS);
	}
	l->dripping = false;
	end_all(&l->under_way);
}

/* ---- helpers --------------------------------------------------------------- */

void
load_request(struct buf *out, const char *method, const char *path,
    const char *type, struct bytes body, bool close)
{
	buf_printf(out, "%s %s HTTP/1.1\r\nHost: registrar\r\n%s", method, path,
	    close ? "Connection: close\r\n" : "");
	if (type != NULL)
		buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
		    type, body.len);
	buf_add_str(out, "\r\n");
	if (type != NULL)
		buf_add(out, body.p, body.len);
}

void
load_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		bench_fail("load: descriptors: %s", strerror(errno));
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) == -1)
		bench_fail("load: descriptors: %s", strerror(errno));
}
