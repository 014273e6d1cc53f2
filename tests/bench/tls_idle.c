/* Rows of memory: of a registrar that has just started, and of a connection
 * that nobody uses; and what good devices see beside slow clients. */
#include "tests/bench/bench_tls.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WARM	 50
#define OPEN	 1000 /* connections that idle */
#define SLOW	 1000 /* clients of an octet a second */
#define GOOD	 200  /* connections of a good device */
#define DRIP_MAX 120  /* seconds */

/* ---- idle ------------------------------------------------------------------ */

/* Rows: resident, and of it what is its own and what is of files. */
void
tls_idle_resident(struct tls_bench *t, struct bench_row *rows)
{
	static const char *const lines[] = { "VmRSS", "RssAnon", "RssFile" };

	for (int i = 0; i < BENCH_ROUNDS; i++) {
		pid_t pid = tls_registrar_start(t).pid;

		for (size_t k = 0; k < 3; k++)
			bench_add(&rows[k],
			    (struct bench_round){
				.value = (double)bench_memory(pid, lines[k]) });
		rows[0].peak_kb = bench_memory(pid, "VmHWM");
		tls_registrar_stop(t);
	}
}

/* kB that each of many kept connections takes of a fresh server's memory, once
 * it has met clients before. */
static double
memory_each(const struct tls_bench *t, const struct server *s, const char *what)
{
	struct tls_talk warm, keep;
	AUTO(load) l = load_new(s->port);
	long before, after;

	tls_talk_new(t, WARM, TLS_FRESH, 1, &warm);
	tls_talk_new(t, tls_many(t, OPEN), TLS_KEEP, 1, &keep);
	(void)tls_talk_run(&warm, l, s->pid, 8, what, NULL);
	before = bench_memory(s->pid, "VmRSS");
	(void)tls_talk_run(&keep, l, s->pid, 8, what, NULL);
	after = bench_memory(s->pid, "VmRSS");
	if (load_kept(l) != keep.n)
		bench_fail("%s: %zu of %zu connections are open", what,
		    load_kept(l), keep.n);
	tls_talk_done(&keep);
	tls_talk_done(&warm);
	return (double)(after - before) / (double)keep.n;
}

/* Rows: ours, and the bare server's. */
void
tls_idle_connection(struct tls_bench *t, struct bench_row *rows)
{
	for (int i = 0; i < BENCH_ROUNDS; i++) {
		struct server ours = tls_registrar_start(t),
			      bare = tls_ceiling_start(t, "ceiling_epoll");

		bench_add(&rows[0],
		    (struct bench_round){
			.value = memory_each(t, &ours, rows[0].name) });
		bench_add(&rows[1],
		    (struct bench_round){
			.value = memory_each(t, &bare, rows[1].name) });
		rows[0].peak_kb = bench_memory(ours.pid, "VmHWM");
		tls_registrar_stop(t);
		tls_kill(bare.pid);
	}
}

/* ---- slow clients ---------------------------------------------------------- */

/* Opens them, says so by one octet, drips; ends if they are not there. */
static void
drip(const struct tls_bench *t, unsigned port, int up)
{
	struct tls_talk k;
	AUTO(load) l = load_new(port);

	tls_talk_new(t, tls_many(t, SLOW), TLS_KEEP, 1, &k);
	(void)tls_talk_run(&k, l, 0, 16, "slow clients", NULL);
	if (write(up, "", 1) != 1)
		return;
	for (int i = 0; i < DRIP_MAX && load_kept(l) > k.n / 2; i++)
		load_drip(l, 1);
}

/* In a process of its own, so that it does not take time of the good ones'. */
static pid_t
drip_start(const struct tls_bench *t, unsigned port)
{
	pid_t pid;
	int fds[2];
	char octet;

	if (pipe(fds) == -1 || (pid = fork()) == -1)
		bench_fail("slow clients: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		drip(t, port, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	if (read(fds[0], &octet, 1) != 1)
		bench_fail("slow clients: did not begin");
	close(fds[0]);
	return pid;
}

/* p99 of one device after the other: connect, handshake, answer. */
static double
good_p99(const struct tls_bench *t, const struct server *s)
{
	AUTO(load) l = load_new(s->port);
	struct load_sum sum;
	struct tls_talk k;
	double p99;

	tls_talk_new(t, tls_many(t, GOOD), TLS_FRESH, 1, &k);
	(void)tls_talk_run(&k, l, s->pid, 1, "good devices", &sum);
	p99 = bench_percentile(sum.fresh_us, sum.n_fresh, 99);
	load_sum_done(&sum);
	tls_talk_done(&k);
	return p99;
}

void
tls_slow_beside(struct tls_bench *t, struct bench_row *rows)
{
	struct server s = tls_registrar_start(t);
	pid_t slow;

	(void)good_p99(t, &s);
	for (int i = 0; i < BENCH_ROUNDS; i++) {
		struct bench_round b = { .ceiling = good_p99(t, &s) };

		slow = drip_start(t, s.port);
		b.value = good_p99(t, &s);
		tls_kill(slow);
		bench_add(rows, b);
	}
	rows->peak_kb = bench_memory(s.pid, "VmHWM");
	tls_registrar_stop(t);
}
