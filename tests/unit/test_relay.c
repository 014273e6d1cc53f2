#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/demo.h"
#include "cli/programs.h"
#include "cli/table.h"
#include "common/base/clock.h"

#define WAIT_MS 5000

static char dir[] = "/tmp/waybill-relay-XXXXXX";
static struct folder folder;
static struct demo_ports ports;
static pid_t relay;
static int target; /* what the relay connects to */
static int second; /* through its other link */

static int
listen_on(unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd != -1 && bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 &&
		listen(fd, 8) == 0
	    ? fd
	    : -1;
}

/* -1 if refused. */
static int
dial(unsigned port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) == -1)
		return -1;
	return fd_steal(&fd);
}

static void
ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void
run_relay(char *socket)
{
	char from[8], to[8], from2[8], to2[8];
	char *argv[] = { (char *)(intptr_t) "relay", socket, from, to, from2,
		to2, NULL };

	snprintf(from, sizeof(from), "%u", ports.relay);
	snprintf(to, sizeof(to), "%u", ports.ra);
	snprintf(from2, sizeof(from2), "%u", ports.masa_relay);
	snprintf(to2, sizeof(to2), "%u", ports.masa_client);
	_exit(demo_relay_command(6, argv));
}

static int
enter(void **state)
{
	struct err e = ERR_INIT;
	uint64_t end = clock_mono_ms() + WAIT_MS;
	AUTO(char) socket = NULL;
	bool up;

	(void)state;
	if (mkdtemp(dir) == NULL || folder_open(&folder, dir, true, &e) == -1 ||
	    demo_ports_pick(&ports, &e) == -1 ||
	    (target = listen_on(ports.ra)) == -1 ||
	    (second = listen_on(ports.masa_client)) == -1)
		return -1;
	socket = folder_path(&folder, DEMO_RELAY_SOCKET, "");
	if ((relay = fork()) == 0)
		run_relay(socket);
	while (demo_relay_call(&folder, "status", &up, &e) == -1) {
		if (clock_mono_ms() > end)
			return -1;
		poll(NULL, 0, 5);
	}
	return up ? -1 : 0;
}

static int
leave(void **state)
{
	int status;

	(void)state;
	kill(relay, SIGTERM);
	if (waitpid(relay, &status, 0) != relay || status != 0)
		return -1;
	close(target);
	close(second);
	folder_close(&folder);
	return rmdir(dir);
}

static void
say(const char *word, bool want)
{
	struct err e = ERR_INIT;
	bool up = !want;

	assert_int_equal(demo_relay_call(&folder, word, &up, &e), 0);
	assert_int_equal(up, want);
}

static void
down_refuses(void **state)
{
	(void)state;
	say("down", false);
	assert_int_equal(dial(ports.relay), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void
up_passes_bytes_both_ways(void **state)
{
	static char out[32 << 20], in[sizeof(out)];
	struct err e = ERR_INIT;
	int client, server, code;
	size_t n = 0;
	pid_t writer;

	(void)state;
	say("up", true);
	client = dial(ports.relay);
	assert_int_not_equal(client, -1);
	ready(target);
	server = accept(target, NULL, NULL);
	assert_int_equal(write(client, "ping", 4), 4);
	ready(server);
	assert_int_equal(read(server, in, 4), 4);
	assert_memory_equal(in, "ping", 4);
	/* More than any buffer holds, to a reader that comes late. */
	for (n = 0; n < sizeof(out); n++)
		out[n] = (char)(n * 7 + n / 251);
	if ((writer = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(write(server, out, sizeof(out)) == sizeof(out) ? 0 : 1);
	}
	/* A relay that took all of it would have to keep all of it. */
	assert_int_equal(program_wait(writer, 200, &code, &e), -1);
	assert_int_equal(e.kind, ERR_RETRY);
	for (n = 0; n < sizeof(in);) {
		ready(client);
		ssize_t got = read(client, in + n, sizeof(in) - n);

		assert_true(got > 0);
		n += (size_t)got;
	}
	assert_memory_equal(in, out, sizeof(out));
	assert_int_equal(program_wait(writer, WAIT_MS, &code, &e), 0);
	assert_int_equal(code, 0);
	close(client);
	close(server);
}

static void
down_ends_what_goes_through(void **state)
{
	int client, server;
	char c;

	(void)state;
	say("up", true);
	client = dial(ports.relay);
	ready(target);
	server = accept(target, NULL, NULL);
	say("down", false);
	ready(client);
	assert_true(read(client, &c, 1) <= 0);
	ready(server);
	assert_true(read(server, &c, 1) <= 0);
	assert_int_equal(dial(ports.relay), -1);
	close(client);
	close(server);
	/* And it comes back, as often as one likes. */
	say("up", true);
	say("up", true);
	say("status", true);
	client = dial(ports.relay);
	assert_int_not_equal(client, -1);
	ready(target);
	close(accept(target, NULL, NULL));
	close(client);
}

/* Each has its own other end, and one word switches both. */
static void
two_links_are_one(void **state)
{
	int client[2], server[2], i;
	char c;

	(void)state;
	say("up", true);
	client[0] = dial(ports.relay);
	client[1] = dial(ports.masa_relay);
	ready(target);
	ready(second);
	server[0] = accept(target, NULL, NULL);
	server[1] = accept(second, NULL, NULL);
	for (i = 0; i < 2; i++) {
		assert_int_equal(write(client[i], i == 0 ? "a" : "b", 1), 1);
		ready(server[i]);
		assert_int_equal(read(server[i], &c, 1), 1);
		assert_int_equal(c, i == 0 ? 'a' : 'b');
	}
	say("down", false);
	for (i = 0; i < 2; i++) {
		ready(client[i]);
		assert_true(read(client[i], &c, 1) <= 0);
		close(client[i]);
		close(server[i]);
	}
	assert_int_equal(dial(ports.relay), -1);
	assert_int_equal(dial(ports.masa_relay), -1);
}

static void
other_words_change_nothing(void **state)
{
	struct err e = ERR_INIT;
	bool up = true;

	(void)state;
	say("down", false);
	assert_int_equal(demo_relay_call(&folder, "upp", &up, &e), -1);
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_true(up);
	say("status", false);
}

/* ---- other pieces of the demo ---------------------------------------- */

static void
exit_codes_are_kinds(void **state)
{
	static const struct {
		const char *code;
		enum err_kind kind;
	} cases[] = { { "1", ERR_LOCAL }, { "2", ERR_USAGE },
		{ "3", ERR_WAITING }, { "4", ERR_POLICY }, { "5", ERR_PEER },
		{ "6", ERR_TRUST }, { "7", ERR_PERM }, { "8", ERR_PARTLY },
		{ "9", ERR_DAMAGE }, { "78", ERR_CONF }, { "99", ERR_LOCAL } };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf script AUTO_BUF = { 0 };
		struct err e = ERR_INIT;

		buf_printf(&script, "exit %s", cases[i].code);
		assert_int_equal(
		    program_run((char *[]){ (char *)(intptr_t) "sh",
				    (char *)(intptr_t) "-c",
				    (char *)(intptr_t)buf_cstr(&script), NULL },
			NULL, &e),
		    -1);
		assert_int_equal(e.kind, cases[i].kind);
	}
}

static void
only_the_leash_is_inherited(void **state)
{
	AUTO_FD other = dup(STDIN_FILENO);
	struct err e = ERR_INIT;
	int fd[2], code = -1;
	pid_t pid;

	(void)state;
	assert_true(other > 2);
	assert_int_equal(pipe(fd), 0);
	/* sh opens none of its own: 0, 1, 2, 3 and the one ls reads with. */
	assert_int_equal(
	    program_start(
		(char *[]){ (char *)(intptr_t) "sh", (char *)(intptr_t) "-c",
		    (char *)(intptr_t) "test \"$(ls /proc/self/fd | "
				       "wc -l)\" = 5 && test -e "
				       "/proc/self/fd/3",
		    NULL },
		NULL, SIGKILL, fd[0], &pid, &e),
	    0);
	assert_int_equal(program_wait(pid, WAIT_MS, &code, &e), 0);
	assert_int_equal(code, 0);
	close(fd[0]);
	close(fd[1]);
}

static void
an_end_is_waited_for(void **state)
{
	char *argv[] = { (char *)(intptr_t) "sleep", (char *)(intptr_t) "60",
		NULL };
	struct err e = ERR_INIT;
	int code = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(program_start(argv, NULL, SIGKILL, -1, &pid, &e), 0);
	assert_int_equal(program_wait(pid, 10, &code, &e), -1);
	assert_int_equal(e.kind, ERR_RETRY);
	assert_int_equal(program_end(pid, SIGKILL, WAIT_MS, &e), 0);
	assert_int_equal(program_wait(pid, WAIT_MS, &code, &e), 0);
	assert_int_equal(code, 128 + SIGKILL);
	/* It is gone, and that is fine. */
	assert_int_equal(program_end(pid, SIGKILL, WAIT_MS, &e), 0);
}

static void
columns_fit_and_peers_cannot_forge_lines(void **state)
{
	static const char *const titles[] = { "ID", "DEVICE", "LAST" };
	AUTO(table) t = table_new(titles, NELEMS(titles));
	struct buf out AUTO_BUF = { 0 };

	(void)state;
	table_add(t, "7F3K-00001");
	table_add(t, "a\nb");
	table_add(t, "1s ago");
	table_add(t, "2");
	table_add(t, NULL);
	table_add(t, "");
	table_add(t, "half a row");
	table_format(t, &out);
	assert_string_equal(buf_cstr(&out),
	    "ID          DEVICE  LAST\n"
	    "7F3K-00001  a\\x0ab  1s ago\n"
	    "2           -       -\n");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(down_refuses),
		cmocka_unit_test(up_passes_bytes_both_ways),
		cmocka_unit_test(down_ends_what_goes_through),
		cmocka_unit_test(two_links_are_one),
		cmocka_unit_test(other_words_change_nothing),
		cmocka_unit_test(exit_codes_are_kinds),
		cmocka_unit_test(only_the_leash_is_inherited),
		cmocka_unit_test(an_end_is_waited_for),
		cmocka_unit_test(columns_fit_and_peers_cannot_forge_lines),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
