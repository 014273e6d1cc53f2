/* waybill-masa as it is, asked over TLS. */
#include "masa_process.h"

#include <errno.h>

static void
make_elsewhere(struct buf *out)
{
	struct lab_request q = lab_request(lab);

	q.registrar = lab->elsewhere.registrar;
	q.seen = q.registrar->cert;
	q.root = lab->elsewhere.root->cert;
	lab_make(&q, out);
}

static void
same_request_same_voucher(void **state)
{
	struct buf rvr AUTO_BUF = { 0 }, other AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_log l;

	(void)state;
	forget();
	make_sound(&rvr);
	make_elsewhere(&other);
	start(NULL, NULL);
	AUTO_REPLY first = post(VOUCHER, &rvr);
	AUTO_REPLY again = post(VOUCHER, &rvr);
	stop();
	start(NULL, NULL);
	AUTO_REPLY later = post(VOUCHER, &rvr);
	AUTO_REPLY log = post(AUDIT, &rvr);
	AUTO_REPLY not_theirs = post(AUDIT, &other);
	stop();
	assert_int_equal(first.status, 200);
	assert_non_null(strstr(buf_cstr(&first.all),
	    "Content-Type: application/voucher-cms+json\r\n"));
	assert_true(bytes_eq(reply_body(&first), reply_body(&again)));
	assert_true(bytes_eq(reply_body(&first), reply_body(&later)));
	assert_int_equal(log.status, 200);
	if (vch_log_parse(reply_body(&log), &l, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(l.n, 1);
	vch_log_done(&l);
	assert_int_equal(not_theirs.status, 404);
}

static void
nonceless_needs_a_client(void **state)
{
	struct lab_request q = lab_request(lab);
	struct buf rvr AUTO_BUF = { 0 };
	struct cms_signed cms = { 0 };
	struct vch v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	forget();
	q.device = NULL;
	q.rvr.nonce[0] = '\0';
	lab_make(&q, &rvr);
	start("--nonceless-life", "90s");
	AUTO_REPLY no = post(VOUCHER, &rvr);
	AUTO_REPLY yes =
	    ask("POST", VOUCHER, TYPE, buf_bytes(&rvr), lab->home.member);
	stop();
	assert_int_equal(no.status, 403);
	assert_non_null(strstr(buf_cstr(&no.all), "RFC 8995 5.5.4"));
	assert_int_equal(yes.status, 200);
	if (cms_open(reply_body(&yes), NULL, &cms, &e) == -1 ||
	    vch_parse(buf_bytes(&cms.content), &v, &e) == -1)
		fail_msg("%s", e.msg);
	assert_in_range(v.expires_on, lab->now + 80, lab->now + 150);
	assert_string_equal(v.nonce, "");
	cms_signed_done(&cms);
	vch_done(&v);
}

/* Status of a voucher and of the log, how many events it has, and whether the
 * voucher is another than the sound one of the same request. */
static const struct {
	const char *option;
	int voucher, log;
	size_t events;
	bool differs;
} faults[] = {
	{ "--deny", 403, 200, 1, true },
	{ "--500", 500, 500, 0, true },
	{ "--wrong-serial", 200, 200, 1, true },
	{ "--wrong-pin", 200, 200, 1, true },
	{ "--bad-signature", 200, 200, 1, true },
	{ "--expired", 200, 200, 1, true },
	{ "--foreign-entry", 200, 200, 2, false },
};

static void
misbehaves(void **state)
{
	struct buf rvr AUTO_BUF = { 0 };

	(void)state;
	forget();
	make_sound(&rvr);
	start(NULL, NULL);
	AUTO_REPLY sound = post(VOUCHER, &rvr);
	stop();
	for (size_t i = 0; i < NELEMS(faults); i++) {
		struct err e = ERR_INIT;
		struct vch_log l = { 0 };

		start(faults[i].option, NULL);
		AUTO_REPLY voucher = post(VOUCHER, &rvr);
		AUTO_REPLY again = post(VOUCHER, &rvr);
		AUTO_REPLY log = post(AUDIT, &rvr);
		stop();
		assert_int_equal(voucher.status, faults[i].voucher);
		assert_true(bytes_eq(reply_body(&voucher), reply_body(&again)));
		assert_int_equal(faults[i].differs,
		    !bytes_eq(reply_body(&voucher), reply_body(&sound)));
		assert_int_equal(log.status, faults[i].log);
		if (log.status != 200)
			continue;
		if (vch_log_parse(reply_body(&log), &l, &e) == -1)
			fail_msg("%s", e.msg);
		assert_int_equal(l.n, faults[i].events);
		vch_log_done(&l);
	}
}

/* Two at a time, each a second late, and none blocks the other. */
static void
slow_but_not_one_by_one(void **state)
{
	struct buf rvr AUTO_BUF = { 0 };
	uint64_t began, took;

	(void)state;
	forget();
	make_sound(&rvr);
	start("--slow", "1");
	AUTO(SSL) one = tls_open(NULL);
	AUTO(SSL) two = tls_open(NULL);
	began = clock_mono_ms();
	send_request(one, "POST", VOUCHER, TYPE, buf_bytes(&rvr));
	send_request(two, "POST", VOUCHER, TYPE, buf_bytes(&rvr));
	AUTO_REPLY first = read_reply(one);
	AUTO_REPLY second = read_reply(two);
	took = clock_mono_ms() - began;
	assert_int_equal(first.status, 200);
	assert_int_equal(second.status, 200);
	assert_in_range(took, 1000, 1900);
	/* An end while an answer is owed. */
	AUTO(SSL) third = tls_open(NULL);
	char line[128];

	send_request(third, "POST", AUDIT, TYPE, buf_bytes(&rvr));
	await("path=" AUDIT, line, sizeof(line));
	stop();
}

static void
does_not_listen(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char listen_at[32], line[128];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	close(fd);
	snprintf(
	    listen_at, sizeof(listen_at), "127.0.0.1:%u", ntohs(sin.sin_port));
	masa.pid = spawn_masa(listen_at, "--down", NULL);
	await("event=masa.down", line, sizeof(line));
	assert_int_equal(dial(ntohs(sin.sin_port)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	stop();
}

static void
statuses(void **state)
{
	static const struct {
		const char *method, *path, *headers;
		int status;
	} asked[] = {
		{ "POST", VOUCHER, TYPE, 200 },
		{ "POST", VOUCHER,
		    "Content-Type: Application/Voucher-CMS+json; x=y\r\n",
		    200 },
		{ "POST", VOUCHER, TYPE "Accept: text/html, */*\r\n", 200 },
		{ "POST", VOUCHER,
		    TYPE "Accept: application/voucher-cose+cbor\r\n", 406 },
		{ "POST", VOUCHER, "", 415 },
		{ "POST", VOUCHER,
		    "Content-Type: application/voucher-cms+jsonx\r\n", 415 },
		{ "GET", VOUCHER, "", 405 },
		{ "POST", "/log.json", TYPE, 405 },
		{ "POST", "/.well-known/brski/", TYPE, 404 },
	};
	struct buf rvr AUTO_BUF = { 0 };

	(void)state;
	forget();
	make_sound(&rvr);
	start(NULL, NULL);
	for (size_t i = 0; i < NELEMS(asked); i++) {
		struct bytes body = strcmp(asked[i].method, "POST") == 0
		    ? buf_bytes(&rvr)
		    : bytes_of(NULL, 0);
		AUTO_REPLY r = ask(asked[i].method, asked[i].path,
		    asked[i].headers, body, NULL);

		assert_int_equal(r.status, asked[i].status);
		if (r.status != 200)
			assert_non_null(strstr(
			    buf_cstr(&r.all), "Content-Type: text/plain"));
	}
	stop();
}

static void
wrong_use(void **state)
{
	static const char *const wrong[][2] = {
		{ "--deny", "--500" },
		{ "--owner", "sales" },
		{ "--owner", "me" },
		{ "--slow", "0" },
		{ "--nonceless-life", "20" },
		{ "--tls-key", "x" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(wrong); i++)
		assert_int_equal(
		    ended(spawn_masa("127.0.0.1:0", wrong[i][0], wrong[i][1])),
		    2);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(same_request_same_voucher, clear),
		cmocka_unit_test_teardown(nonceless_needs_a_client, clear),
		cmocka_unit_test_teardown(misbehaves, clear),
		cmocka_unit_test_teardown(slow_but_not_one_by_one, clear),
		cmocka_unit_test_teardown(does_not_listen, clear),
		cmocka_unit_test_teardown(statuses, clear),
		cmocka_unit_test_teardown(wrong_use, clear),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s WAYBILL-MASA CHECKER\n", argv[0]);
		return 2;
	}
	program = argv[1];
	checker = argv[2];
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, setup, teardown);
}
