/* Rows of handshakes and of answers on a kept connection: the processor time
 * that a server spends on each. */
#include "tests/bench/bench_tls.h"

#define WARM 20 /* answers before the clock runs */

/* What one side of a row did in a round. */
static double
side(const struct tls_talk *warm, const struct tls_talk *k,
    const struct server *s, unsigned at_once, const char *what)
{
	AUTO(load) l = load_new(s->port);

	(void)tls_talk_run(warm, l, s->pid, at_once, what, NULL);
	return tls_talk_run(k, l, s->pid, at_once, what, NULL);
}

/* Registrar and ceiling in turn: who is first changes from round to round. */
static void
rounds(struct tls_bench *t, struct bench_row *r, const char *ceiling,
    const struct tls_talk *k, unsigned at_once)
{
	struct server ours = tls_registrar_start(t),
		      bare = tls_ceiling_start(t, ceiling);
	struct tls_talk warm;

	tls_talk_new(t, WARM, TLS_FRESH, 1, &warm);
	for (int i = 0; i < BENCH_ROUNDS + 2; i++) {
		struct bench_round b = { 0 };

		if (i % 2 == 0)
			b.cpu_us = side(&warm, k, &ours, at_once, r->name);
		b.ceiling_cpu_us = side(&warm, k, &bare, at_once, ceiling);
		if (i % 2 == 1)
			b.cpu_us = side(&warm, k, &ours, at_once, r->name);
		b.value = 1e6 / b.cpu_us;
		b.ceiling = 1e6 / b.ceiling_cpu_us;
		bench_add(r, b);
	}
	r->peak_kb = bench_memory(ours.pid, "VmHWM");
	tls_talk_done(&warm);
	tls_kill(bare.pid);
	tls_registrar_stop(t);
}

void
tls_handshake(struct tls_bench *t, struct bench_row *rows)
{
	struct tls_talk k;

	tls_talk_new(t, tls_many(t, 500), TLS_FRESH, 1, &k);
	rounds(t, rows, "ceiling_epoll", &k, 8);
	tls_talk_done(&k);
}

void
tls_kept_answer(struct tls_bench *t, struct bench_row *rows)
{
	struct tls_talk k;

	tls_talk_new(t, 4, TLS_KEPT, tls_many(t, 3000), &k);
	rounds(t, rows, "ceiling_evhttp", &k, 4);
	tls_talk_done(&k);
}
