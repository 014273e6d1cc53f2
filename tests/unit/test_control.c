#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/file.h"
#include "common/sys/control.h"
#include "common/sys/control_json.h"
#include "common/sys/https.h"

static char dir[] = "/tmp/waybill-control-XXXXXX";
static char *sock;
static struct loop *l;
static struct https *h;

static void
on_request(struct https_req *r, void *arg)
{
	struct buf b AUTO_BUF = { 0 };
	struct https_answer a = { .status = 201, .type = "application/json" };
	struct bytes in = https_body(r);
	AUTO(json_t) j = NULL;

	(void)arg;
	if (strcmp(https_path(r), "/text") == 0) {
		https_reply_text(r, 404, "no JSON");
		return;
	}
	if (strcmp(https_path(r), "/empty") == 0) {
		https_reply(r, &(struct https_answer){ .status = 204 });
		return;
	}
	j = json_pack("{s:i, s:s, s:s, s:s, s:b}", "method",
	    (int)https_method(r), "path", https_path(r), "query",
	    https_query(r), "addr", https_peer_addr(r), "me",
	    https_peer_uid(r) == geteuid() && https_peer_cert(r) == NULL);
	if (in.len > 0)
		json_object_set_new(j, "body", json_parse(in, 1000, NULL));
	json_format(&b, j);
	a.body = buf_bytes(&b);
	https_reply(r, &a);
}

static json_t *
call(const char *method, const char *path, const json_t *body, int *status)
{
	struct err e = ERR_INIT;
	json_t *j = control_call(sock, method, path, body, status, &e);

	if (j == NULL)
		fail_msg("%s", e.msg);
	return j;
}

static void
expect_json(const json_t *j, const char *want)
{
	struct buf b AUTO_BUF = { 0 };

	json_format(&b, j);
	assert_string_equal(buf_cstr(&b), want);
}

static void
a_call_says_who_asks_and_what(void **state)
{
	AUTO(json_t) body = json_pack("{s:[i,i]}", "ids", 1, 2);
	AUTO(json_t) plain = NULL;
	AUTO(json_t) full = NULL;
	int status = 0;

	(void)state;
	plain = call("GET", "/queue?all=1", NULL, &status);
	assert_int_equal(status, 201);
	expect_json(plain,
	    "{\"addr\":\"unix\",\"me\":true,\"method\":0,"
	    "\"path\":\"/queue\",\"query\":\"all=1\"}\n");
	full = call("POST", "/queue/7F3K-00012", body, &status);
	expect_json(full,
	    "{\"addr\":\"unix\",\"body\":{\"ids\":[1,2]},"
	    "\"me\":true,\"method\":1,\"path\":\"/queue/7F3K-00012\","
	    "\"query\":\"\"}\n");
}

static void
an_empty_answer_is_null(void **state)
{
	AUTO(json_t) j = NULL;
	int status = 0;

	(void)state;
	j = call("GET", "/empty", NULL, &status);
	assert_true(json_is_null(j));
	assert_int_equal(status, 204);
}

static void
what_goes_wrong_has_a_kind(void **state)
{
	static const struct {
		const char *what, *path;
		enum err_kind kind;
	} cases[] = {
		{ "no JSON", "/text", ERR_INPUT },
		{ "space", "/a b", ERR_USAGE },
		{ "line", "/a\r\nX: y", ERR_USAGE },
		{ "no path", "queue", ERR_USAGE },
	};
	struct err e;
	int status = 7777;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		e = (struct err)ERR_INIT;
		if (control_call(
			sock, "GET", cases[i].path, NULL, &status, &e) != NULL)
			fail_msg("%s: was answered", cases[i].what);
		if (e.kind != cases[i].kind)
			fail_msg("%s: %s", cases[i].what, e.msg);
		assert_int_equal(status, 7777);
	}
	assert_null(
	    control_call("/nonexistent/sock", "GET", "/", NULL, &status, &e));
	assert_int_equal(e.kind, ERR_PEER);
}

/* A server that says what it is told to, once. */
struct rogue {
	int fd;
	const char *says;
};

static void *
rogue_run(void *arg)
{
	struct rogue *r = arg;
	char request[1024];
	int fd = accept(r->fd, NULL, NULL);

	if (fd == -1)
		return NULL;
	if (recv(fd, request, sizeof(request), 0) > 0)
		(void)!send(fd, r->says, strlen(r->says), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void
answers_that_do_not_hold_are_refused(void **state)
{
	static const char *const says[] = {
		"",
		"hello\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
		"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
	};
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	AUTO(char) path = path_join(dir, "rogue");
	struct rogue r;
	pthread_t thread;
	struct err e;
	int status = 7777;
	size_t i;

	(void)state;
	strncpy(un.sun_path, path, sizeof(un.sun_path) - 1);
	r.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(r.fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(listen(r.fd, 1), 0);
	for (i = 0; i < NELEMS(says); i++) {
		e = (struct err)ERR_INIT;
		r.says = says[i];
		pthread_create(&thread, NULL, rogue_run, &r);
		assert_null(control_call(path, "GET", "/", NULL, &status, &e));
		pthread_join(thread, NULL);
		if (e.kind != ERR_PEER)
			fail_msg("'%s': %s", says[i], e.msg);
		assert_int_equal(status, 7777);
	}
	close(r.fd);
	/* The file stays, but nobody listens. */
	assert_null(control_call(path, "GET", "/", NULL, &status, &e));
	assert_int_equal(e.kind, ERR_PEER);
	unlink(path);
}

static void
the_socket_is_the_owner_s(void **state)
{
	AUTO(char) plain = path_join(dir, "plain");
	char longest[200];
	struct err e = ERR_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(stat(sock, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	/* A file in the way is not ours to remove. */
	assert_int_equal(file_write(plain, 0600, bytes_of("x", 1), &e), 0);
	assert_null(https_open_unix(l, plain, 1, on_request, NULL, &e));
	assert_int_equal(e.kind, ERR_CONF);
	assert_int_equal(stat(plain, &st), 0);
	unlink(plain);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	assert_null(https_open_unix(l, longest, 1, on_request, NULL, &e));
	assert_int_equal(e.kind, ERR_CONF);
}

static int
setup(void **state)
{
	struct err e = ERR_INIT;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int old = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return -1;
	sock = path_join(dir, "control");
	/* One left behind by a crash makes way. */
	strncpy(un.sun_path, sock, sizeof(un.sun_path) - 1);
	if (bind(old, (struct sockaddr *)&un, sizeof(un)) == -1)
		return -1;
	close(old);
	if ((l = loop_new(&e)) == NULL ||
	    (h = https_open_unix(l, sock, 1000, on_request, NULL, &e)) ==
		NULL ||
	    loop_spawn(l, &e) == -1)
		return -1;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_join(l);
	https_close(h);
	loop_free(l);
	free(sock);
	/* https_close removed the socket, or this fails. */
	return rmdir(dir);
}

static void
a_query_names_its_numbers(void **state)
{
	static const struct {
		const char *query;
		uint64_t want;
	} cases[] = {
		{ NULL, 7 },
		{ "", 7 },
		{ "max=12", 12 },
		{ "first=3&max=12", 12 },
		{ "max=12&first=3", 12 },
		{ "maximum=12", 7 },
		{ "xmax=12", 7 },
		{ "max", 7 },
		{ "max=", 7 },
		{ "max=-1", 7 },
		{ "max=12x", 7 },
		{ "max=100", 100 },
		{ "max=101", 7 },
		{ "max=101&max=9", 9 },
		{ "max=000000000000000000000000000001", 7 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    control_query_number(cases[i].query, "max", 100, 7),
		    cases[i].want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_says_who_asks_and_what),
		cmocka_unit_test(an_empty_answer_is_null),
		cmocka_unit_test(what_goes_wrong_has_a_kind),
		cmocka_unit_test(answers_that_do_not_hold_are_refused),
		cmocka_unit_test(the_socket_is_the_owner_s),
		cmocka_unit_test(a_query_names_its_numbers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
