/* What is asked of an upstream CA goes on where it stood when we ended: the same
 * transaction, the same octets, no second request. */
#include "tests/unit/upstream_ask.h"

static void
on_progress(void *arg, struct bytes progress)
{
	struct run *r = arg;

	buf_reset(&r->progress);
	buf_add(&r->progress, progress.p, progress.len);
	r->kept++;
	upstream_go_on(r->ask);
}

static const struct upstream_told told_keeps = { on_end, on_waits,
	on_progress };

static const struct {
	const char *what;
	struct line before[4], after[4]; /* before: the last one is no answer */
	unsigned kept;
	enum upstream_end is;
	const char *sent;
	const char *why;
} restarts[] = {
	{ "while it is polled", { { SAY_WAITING }, { SAY_HANG } },
	    { { SAY_ISSUED, true } }, 1, UPSTREAM_DONE,
	    "nested:ir pollReq pollReq" },
	{ "the same, and it is not ready", { { SAY_WAITING }, { SAY_HANG } },
	    { { SAY_NOT_YET }, { SAY_ISSUED }, { SAY_PKICONF } }, 1,
	    UPSTREAM_DONE, "nested:ir pollReq pollReq pollReq certConf" },
	{ "between two polls",
	    { { SAY_WAITING }, { SAY_NOT_YET }, { SAY_HANG } },
	    { { SAY_ISSUED, true } }, 2, UPSTREAM_DONE,
	    "nested:ir pollReq pollReq pollReq" },
	{ "while it is confirmed", { { SAY_ISSUED }, { SAY_HANG } },
	    { { SAY_PKICONF } }, 1, UPSTREAM_DONE,
	    "nested:ir certConf certConf" },
	{ "waiting, then while it is confirmed",
	    { { SAY_WAITING }, { SAY_ISSUED }, { SAY_HANG } },
	    { { SAY_503 }, { SAY_PKICONF } }, 2, UPSTREAM_DONE,
	    "nested:ir pollReq certConf certConf certConf" },
	/* It may have been told while we were not there. */
	{ "its answer was lost", { { SAY_WAITING }, { SAY_HANG } },
	    { { SAY_ERROR } }, 1, UPSTREAM_UNKNOWN, "nested:ir pollReq pollReq",
	    "go away" },
	{ "it was confirmed", { { SAY_ISSUED }, { SAY_HANG } },
	    { { SAY_ERROR } }, 1, UPSTREAM_UNKNOWN,
	    "nested:ir certConf certConf", "go away" },
};

/* The same octets: an upstream that remembers nonces sees a repetition. */
static void
expect_repeated(size_t at, const char *what)
{
	if (!bytes_eq(buf_bytes(&up->got[at - 1]), buf_bytes(&up->got[at])))
		fail_msg("%s: message %zu is another", what, at);
}

static void
restarts_in_between(void **state)
{
	AUTO(cmp_msg) m = request_of(CMP_IR);

	(void)state;
	for (size_t i = 0; i < NELEMS(restarts); i++) {
		struct run r = { .ended = false }, again = { .ended = false };
		struct upstream_conf c;
		char url[64];
		size_t before;

		up_listen(up);
		up_start(up, restarts[i].before);
		c = conf_of(&(struct want){ 0 }, "http", url);
		ask_from(&c, m, 200, &told_keeps, NULL, &r);
		up_stop(up);
		before = up->n;
		assert_false(r.ended);
		assert_int_equal(r.kept, restarts[i].kept);
		up_listen(up);
		up_go_on(up, restarts[i].after);
		c = conf_of(&(struct want){ 0 }, "http", url);
		ask_from(&c, m, 5000, &told_keeps, &r.progress, &again);
		up_stop(up);
		if (!again.ended || again.is != restarts[i].is ||
		    again.has_cert != (again.is == UPSTREAM_DONE) ||
		    again.waited || strcmp(up->types, restarts[i].sent) != 0 ||
		    (restarts[i].why != NULL &&
			strstr(again.why, restarts[i].why) == NULL))
			fail_msg("%s: end %d %d: %s; sent %s", restarts[i].what,
			    again.ended, (int)again.is, again.why, up->types);
		expect_repeated(before, restarts[i].what);
		buf_done(&r.progress);
		buf_done(&again.progress);
	}
}

static const struct line waiting[] = { { SAY_WAITING }, { SAY_HANG },
	{ SAY_END } };

/* checkAfter holds over a restart, as far as our own bound goes. */
static void
restarts_wait(void **state)
{
	static const struct line issue[] = { { SAY_ISSUED, true },
		{ SAY_END } };
	AUTO(cmp_msg) m = request_of(CMP_IR);
	struct run r = { .ended = false }, again = { .ended = false };
	struct buf later AUTO_BUF = { 0 };
	struct upstream_progress p;
	struct upstream_conf c;
	struct err e = ERR_INIT;
	uint64_t start;
	char url[64];

	(void)state;
	up_listen(up);
	up_start(up, waiting);
	c = conf_of(&(struct want){ 0 }, "http", url);
	ask_from(&c, m, 200, &told_keeps, NULL, &r);
	up_stop(up);
	assert_int_equal(
	    upstream_progress_decode(buf_bytes(&r.progress), &p, &e), 0);
	p.due = clock_now().time + 100;
	upstream_progress_encode(&p, &later);
	up_listen(up);
	up_go_on(up, issue);
	c = conf_of(&(struct want){ 0 }, "http", url);
	start = clock_mono_ms();
	ask_from(&c, m, 5000, &told_keeps, &later, &again);
	up_stop(up);
	assert_true(again.ended && again.is == UPSTREAM_DONE);
	assert_true(clock_mono_ms() - start >= c.poll_max);
	buf_done(&r.progress);
}

/* What cannot be read is no way on. */
static void
progress_refused(void **state)
{
	static const char *const odd[] = { "x", "\x84\x02\x00\x41x\xf6",
		"\x84\x01\x00\x41x\xf6" };
	STACK_OF(X509) *issuers = sk_X509_new_null();
	static const size_t len[] = { 1, 6, 6 };
	AUTO(cmp_msg) m = request_of(CMP_IR);
	struct upstream_question q = { .name = "", .request = m };
	struct upstream_conf c;
	struct upstream_ask *a = NULL;
	struct upstream *u = NULL;
	struct err e = ERR_INIT;
	struct loop *l = loop_new(&e);
	char url[64];

	(void)state;
	sk_X509_push(issuers, lab->ca.cert);
	c = conf_of(&(struct want){ 0 }, "http", url);
	assert_int_equal(upstream_open(l, &c, issuers, &u, &e), 0);
	for (size_t i = 0; i < NELEMS(odd); i++) {
		q.progress = bytes_of(odd[i], len[i]);
		assert_int_equal(upstream_ask(u, &q, &told, NULL, &a, &e), -1);
		assert_null(a);
	}
	upstream_free(u);
	loop_free(l);
	sk_X509_free(issuers);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restarts_in_between),
		cmocka_unit_test(restarts_wait),
		cmocka_unit_test(progress_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
