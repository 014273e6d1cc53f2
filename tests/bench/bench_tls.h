/*
 * What the rows about connections have alike: servers, conversations with them.
 *
 *  bench_tls.c       the program: its table of rows
 *  tls_server.c      the registrar and its ceilings, started and ended
 *  tls_talk.c        conversations
 *  tls_rows.c        rows of handshakes and answers
 *  tls_genm.c        figure of signed answers
 *  tls_idle.c        rows of memory, of slow clients
 *  tls_many.c        figures of many clients at once
 */
#ifndef WAYBILL_TESTS_BENCH_TLS_H
#define WAYBILL_TESTS_BENCH_TLS_H

#include <sys/types.h>
#include "tests/bench/bench.h"
#include "tests/bench/load.h"
#include "tests/bench/site.h"

#define TLS_PATH    "/.well-known/brski" /* answered by a constant */
#define TLS_SECONDS 60			 /* the most that a run may take */

struct server {
	pid_t pid;
	unsigned port;
};

struct tls_bench {
	struct site site;
	bool quick;
	struct signer **devices;
	size_t n_devices;
	const char *type;
	char *body; /* of the answer to TLS_PATH */
};

/* So many of what is to be done; a tenth if it is quick, at least 1. */
size_t tls_many(const struct tls_bench *t, size_t n);

/* ---- tls_server.c -------------------------------------------------------- */

struct server tls_registrar_start(struct tls_bench *t);
void tls_registrar_stop(struct tls_bench *t);
/* "ceiling_epoll", "ceiling_evhttp"; with the site's key, says what TLS_PATH
 * says. */
struct server tls_ceiling_start(const struct tls_bench *t, const char *name);
/* Of a ceiling, or another child of ours, which must still run. */
void tls_kill(pid_t pid);

/* ---- tls_talk.c ---------------------------------------------------------- */

enum tls_way {
	TLS_FRESH, /* one answer, then the connection is closed */
	TLS_KEEP,  /* one answer, then the connection stays */
	TLS_KEPT   /* `times` answers on one connection */
};

/* n conversations, all alike but for whose they are. */
struct tls_talk {
	struct load_client *clients;
	struct tls_ask *asks;
	size_t n;
};

/* Asks for TLS_PATH and wants its answer. */
void tls_talk_new(const struct tls_bench *t, size_t n, enum tls_way way,
    size_t times, struct tls_talk *ret);
void tls_talk_done(struct tls_talk *k);
/* Runs them with load and looks whether all went well; processor time of the
 * server for each answer, in us.  ret NULL, or freed by the caller. */
double tls_talk_run(const struct tls_talk *k, struct load *l, pid_t server,
    unsigned at_once, const char *what, struct load_sum *ret);

/* ---- rows: each fills those that it was given ---------------------------- */

void tls_handshake(struct tls_bench *t, struct bench_row *rows);
void tls_kept_answer(struct tls_bench *t, struct bench_row *rows);
void tls_genm(struct tls_bench *t, struct bench_row *rows);
void tls_idle_resident(struct tls_bench *t, struct bench_row *rows);
void tls_idle_connection(struct tls_bench *t, struct bench_row *rows);
void tls_slow_beside(struct tls_bench *t, struct bench_row *rows);
void tls_latency(struct tls_bench *t, struct bench_row *rows);
void tls_herd(struct tls_bench *t, struct bench_row *rows);

#endif
