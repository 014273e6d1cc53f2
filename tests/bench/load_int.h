/*
 * Inside of the clients, for load*.c alone.
 *
 *  load.c        runs: their pace, what came of them
 *  load_conn.c   one connection: its handshake, requests, answers
 */
#ifndef WAYBILL_TESTS_LOAD_INT_H
#define WAYBILL_TESTS_LOAD_INT_H

#include <stdbool.h>
#include <sys/queue.h>
#include <openssl/ssl.h>
#include "tests/bench/load.h"

enum phase { PHASE_SHAKING, PHASE_SENDING, PHASE_RECEIVING, PHASE_KEPT };

struct conn {
	TAILQ_ENTRY(conn) link; /* of those under way, or of those kept */
	struct load *l;
	const struct load_client *client;
	enum phase phase;
	int fd;
	SSL *ssl;
	struct buf in, out;
	size_t sent, dripped;
	double began, asked; /* us: connect; the request under way */
	bool answered;	     /* once at least */
	bool closing;	     /* said the last answer */
};

TAILQ_HEAD(conns, conn);

struct load {
	unsigned port;
	int epoll;
	SSL_CTX *ctx;
	struct conns under_way, kept;
	size_t n_under_way, n_kept;
	uint32_t sources;     /* addresses used so far */
	struct load_sum *sum; /* of the run; NULL between runs */
	bool dripping;
};

/* ---- load_conn.c --------------------------------------------------------- */

/* Begins; `request`, if any, is sent once it is up, else next is asked. */
void load_conn_open(
    struct load *l, const struct load_client *client, struct bytes request);
/* As far as it goes without waiting; it may be gone after that. */
void load_conn_drive(struct conn *c);
/* One octet more of headers that never end. */
void load_conn_drip(struct conn *c);
void load_conn_free(struct conn *c);

/* ---- load.c -------------------------------------------------------------- */

/* Of a run: the times of a whole answer. */
void load_note_answer(struct conn *c);
/* A conversation is over; why NULL: well. */
void load_note_end(struct load *l, const char *why);

#endif
