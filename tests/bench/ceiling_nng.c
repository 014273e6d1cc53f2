/*
 * nng alone over the TLS engine of ours, for a drain to be held against: REQ
 * contexts that ask, REP contexts that answer, nothing is looked at or kept.
 *
 *   ceiling_nng serve KEY CERT CA		prints its port; ends with stdin
 *   ceiling_nng ask KEY CERT CA PORT	reads "N\n", asks so often, and prints
 *					how many microseconds it took
 */
#include <arpa/inet.h>
#include <semaphore.h>
#include <string.h>

#include "common/link/wire_int.h"

#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "tests/bench/bench.h"
#include "tests/bench/ceiling_nng.h"

struct call {
	nng_ctx ctx;
	nng_aio *aio;
	bool receiving;
};

static struct call calls[NNG_OUTSTANDING];
static _Atomic long left, answered;
static long wanted;
static sem_t over;

static void
must(int rv, const char *what)
{
	if (rv != 0)
		bench_fail("nng: %s: %s", what, nng_strerror(rv));
}

static nng_msg *
message(size_t size)
{
	nng_msg *m;

	must(nng_msg_alloc(&m, size), "message");
	memset(nng_msg_body(m), 'x', size);
	return m;
}

static void
give(struct call *c, size_t size)
{
	c->receiving = false;
	nng_aio_set_msg(c->aio, message(size));
	nng_ctx_send(c->ctx, c->aio);
}

static void
take(struct call *c)
{
	c->receiving = true;
	nng_ctx_recv(c->ctx, c->aio);
}

/* What came, which must be so long. */
static void
taken(struct call *c, size_t size)
{
	nng_msg *m = nng_aio_get_msg(c->aio);

	if (nng_msg_len(m) != size)
		bench_fail("nng: %zu octets of %zu", nng_msg_len(m), size);
	nng_msg_free(m);
}

static void
on_server(void *arg)
{
	struct call *c = arg;

	if (nng_aio_result(c->aio) == NNG_ECLOSED)
		return;
	must(nng_aio_result(c->aio), "serving");
	if (!c->receiving) {
		take(c);
		return;
	}
	taken(c, NNG_REQUEST);
	give(c, NNG_REPLY);
}

static void
on_client(void *arg)
{
	struct call *c = arg;

	must(nng_aio_result(c->aio), "asking");
	if (!c->receiving) {
		take(c);
		return;
	}
	taken(c, NNG_REPLY);
	if (atomic_fetch_add(&answered, 1) + 1 == wanted)
		sem_post(&over);
	if (atomic_fetch_sub(&left, 1) > 0)
		give(c, NNG_REQUEST);
}

static void
calls_open(nng_socket s, void (*fn)(void *arg))
{
	for (size_t i = 0; i < NNG_OUTSTANDING; i++) {
		must(nng_ctx_open(&calls[i].ctx, s), "context");
		must(nng_aio_alloc(&calls[i].aio, fn, &calls[i]), "aio");
	}
}

static nng_tls_config *
config(char *const argv[], nng_tls_mode mode)
{
	struct wire_tls t = { argv[2], argv[3], argv[4] };
	struct err e = ERR_INIT;
	nng_tls_config *c;

	if (tls_engine_register(&e) == -1 ||
	    (c = wire_tls_config(&t, mode, &e)) == NULL)
		bench_fail("nng: %s", e.msg);
	return c;
}

static void
serve(char *const argv[])
{
	nng_sockaddr a;
	nng_listener l;
	nng_socket s;

	must(nng_rep0_open(&s), "socket");
	must(nng_listener_create(&l, s, "tls+tcp://127.0.0.1:0"), "listener");
	must(nng_listener_set_ptr(
		 l, NNG_OPT_TLS_CONFIG, config(argv, NNG_TLS_MODE_SERVER)),
	    "TLS");
	must(nng_listener_start(l, 0), "listening");
	must(nng_listener_get_addr(l, NNG_OPT_LOCADDR, &a), "port");
	calls_open(s, on_server);
	for (size_t i = 0; i < NNG_OUTSTANDING; i++)
		take(&calls[i]);
	printf("%u\n", ntohs(a.s_in.sa_port));
	fflush(stdout);
	while (getchar() != EOF)
		;
	_exit(0); /* nng's threads need not be asked */
}

static double
ask_all(long n)
{
	double start = bench_now();

	wanted = n;
	answered = 0;
	left = n - NNG_OUTSTANDING;
	for (size_t i = 0; i < NNG_OUTSTANDING; i++)
		give(&calls[i], NNG_REQUEST);
	while (sem_wait(&over) == -1)
		;
	return bench_now() - start;
}

static void
ask(char *const argv[])
{
	char url[64], line[32];
	nng_dialer d;
	nng_socket s;
	long n;

	snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%s", argv[5]);
	must(nng_req0_open(&s), "socket");
	must(
	    nng_socket_set_ms(s, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE),
	    "resend");
	must(nng_dialer_create(&d, s, url), "dialer");
	must(nng_dialer_set_ptr(
		 d, NNG_OPT_TLS_CONFIG, config(argv, NNG_TLS_MODE_CLIENT)),
	    "TLS");
	must(nng_dialer_start(d, 0), "dialling");
	calls_open(s, on_client);
	sem_init(&over, 0, 0);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		n = strtol(line, NULL, 10);
		if (n < NNG_OUTSTANDING)
			bench_fail("nng: too few");
		printf("%.1f\n", ask_all(n));
		fflush(stdout);
	}
	_exit(0);
}

int
main(int argc, char *argv[])
{
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		serve(argv);
	else if (argc == 6 && strcmp(argv[1], "ask") == 0)
		ask(argv);
	bench_fail("usage: ceiling_nng serve|ask KEY CERT CA [PORT]");
}
