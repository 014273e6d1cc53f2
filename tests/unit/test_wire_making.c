/* A link that ends while its pipe is being made.  nng 1.5.2 ends the process if
 * a pipe is closed between its last look and the start, so the making is drawn
 * out here, and no pipe is closed from elsewhere in that time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdatomic.h>
#include <nng/nng.h>
#include <nng/supplemental/util/platform.h>

#include "common/link/wire.h"
#include "tests/unit/link_pki.h"

#define TIMES	  40
#define MAKING_MS 3
#define EVENTS	  (3 * (TIMES + 1)) /* the server's too */

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
static struct timer *limit;
static struct wire_server *server;
static struct wire_client *client;
static char dialled[128];

/* ---- what nng is asked ------------------------------------------------- */

static struct told {
	nng_pipe_cb cb;
	void *arg;
} told[EVENTS];
static size_t n_told;

static _Atomic int making; /* the client's pipe, from its first word on */
static _Thread_local bool judging;
static _Atomic unsigned closed_early, hit;

static void
on_pipe(nng_pipe p, nng_pipe_ev ev, void *arg)
{
	struct told *t = arg;
	bool dialled_here = nng_dialer_id(nng_pipe_dialer(p)) > 0;

	if (dialled_here)
		atomic_store(
		    &making, ev == NNG_PIPE_EV_ADD_PRE ? nng_pipe_id(p) : 0);
	judging = true;
	t->cb(p, ev, t->arg);
	judging = false;
	if (dialled_here && ev == NNG_PIPE_EV_ADD_PRE)
		nng_msleep(MAKING_MS);
}

int
nng_pipe_notify(nng_socket s, nng_pipe_ev ev, nng_pipe_cb cb, void *arg)
{
	int (*real)(nng_socket, nng_pipe_ev, nng_pipe_cb, void *);

	*(void **)&real = dlsym(RTLD_NEXT, "nng_pipe_notify");
	assert_true(n_told < EVENTS);
	told[n_told] = (struct told){ cb, arg };
	return real(s, ev, on_pipe, &told[n_told++]);
}

int
nng_pipe_close(nng_pipe p)
{
	int (*real)(nng_pipe);

	*(void **)&real = dlsym(RTLD_NEXT, "nng_pipe_close");
	if (!judging && nng_pipe_id(p) == atomic_load(&making))
		closed_early++;
	return real(p);
}

/* ---- the link ---------------------------------------------------------- */

static void
on_request(struct wire_req *r, void *arg)
{
	(void)arg;
	wire_reply(r, wire_body(r));
}

static void
on_link(void *arg, bool up)
{
	(void)arg, (void)up;
}

static void
on_limit(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void
listen_at(const char *url)
{
	struct wire_listen_conf c = { .urls = &url,
		.n = 1,
		.tls = { link_pki_path(&pki, "ra.key"),
		    link_pki_path(&pki, "ra.pem"),
		    link_pki_path(&pki, "ca.pem") },
		.contexts = 4,
		.ipc_site = "north",
		.ipc_uid = geteuid() };
	struct err e = ERR_INIT;

	assert_int_equal(
	    wire_listen(loop, &c, on_request, NULL, &server, &e), 0);
	snprintf(dialled, sizeof(dialled), "%s", url);
	if (wire_port(server) != 0)
		snprintf(dialled, sizeof(dialled), "tls+tcp://127.0.0.1:%u",
		    wire_port(server));
}

static void
dial(void)
{
	struct wire_client_conf c = { .url = dialled,
		.service = "ra",
		.tls = { link_pki_path(&pki, "north.key"),
		    link_pki_path(&pki, "north.pem"),
		    link_pki_path(&pki, "ca.pem") },
		.ipc_uid = geteuid(),
		.window = 2,
		.reconnect_min_ms = 1,
		.reconnect_max_ms = 2 };
	struct err e = ERR_INIT;

	assert_int_equal(wire_dial(loop, &c, on_link, NULL, &client, &e), 0);
}

/* At any moment of its first few milliseconds. */
static void
hang_up(const char *url)
{
	listen_at(url);
	for (unsigned i = 0; i < TIMES; i++) {
		dial();
		timer_set(limit, 1 + (unsigned)rand() % (3 * MAKING_MS));
		loop_run(loop);
		if (i % 2 == 1)
			wire_reconnect(client);
		hit += atomic_load(&making) != 0;
		wire_hangup(client);
	}
	wire_close(server);
	assert_int_not_equal(hit, 0);
	assert_int_equal(closed_early, 0);
}

static int
setup(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	n_told = 0;
	hit = closed_early = 0;
	link_pki_init(&pki);
	link_pki_add(&pki, "ra", "URI:urn:waybill:service:ra", true);
	link_pki_add(&pki, "north", "URI:urn:waybill:site:north", true);
	loop = loop_new(&e);
	assert_non_null(loop);
	limit = timer_new(loop, on_limit, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	timer_free(limit);
	loop_free(loop);
	link_pki_done(&pki);
	return 0;
}

static void
a_tls_link_may_end_while_it_is_made(void **state)
{
	(void)state;
	hang_up("tls+tcp://127.0.0.1:0");
}

static void
a_local_link_may_end_while_it_is_made(void **state)
{
	char url[128];

	(void)state;
	snprintf(url, sizeof(url), "ipc://%s", link_pki_path(&pki, "sock"));
	hang_up(url);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_tls_link_may_end_while_it_is_made, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_local_link_may_end_while_it_is_made, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
