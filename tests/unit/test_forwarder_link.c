/* Links that are lost and dialled again, and configurations. */
#include "forwarder_lab.h"

#include <netinet/in.h>

/* ---- the tests --------------------------------------------------------- */

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_link_frees_what_was_out_and_comes_back),
		cmocka_unit_test(watchdog_dials_again),
		cmocka_unit_test(watchdog_asks_for_receipts),
		cmocka_unit_test(pauses_grow_and_vary),
		cmocka_unit_test(useful_links_are_dialled_soon),
		cmocka_unit_test(back_off_is_as_long_as_told),
		cmocka_unit_test(configurations_that_cannot_work_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
