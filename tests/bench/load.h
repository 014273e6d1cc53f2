/*
 * Clients of a TLS server on 127.0.0.1, all by one thread (epoll, OpenSSL
 * without blocking): so many at once, so many a second, each with a certificate
 * and a conversation of its own, on one connection or on several.  Clients come
 * from 127.1.0.1 and on, and look at no certificate of the server's.  The
 * process must ignore SIGPIPE.
 */
#ifndef WAYBILL_TESTS_LOAD_H
#define WAYBILL_TESTS_LOAD_H

#include <stddef.h>
#include "common/base/buf.h"
#include "common/pki/sign.h"

/* What a conversation wants next. */
enum load_next {
	LOAD_SEND,  /* send `request`; over a fresh connection if the server
		       ends this one */
	LOAD_FRESH, /* send `request` over a fresh connection */
	LOAD_KEEP,  /* it is over, its connection stays open */
	LOAD_END,   /* it is over */
	LOAD_WRONG, /* it is over, and has failed: this was no good answer */
};

/* A conversation.  All is borrowed for the run, of those kept until load_free. */
struct load_client {
	const struct signer *signer; /* NULL: shows no certificate */
	/* Called first with status 0 and no body, once the connection is up;
	 * then with each whole answer.  request is empty: append to it. */
	enum load_next (*next)(
	    void *arg, int status, struct bytes body, struct buf *request);
	void *arg;
};

/* How conversations are begun. */
struct load_pace {
	unsigned at_once; /* the most that are under way; 0: all */
	double a_second;  /* 0: as soon as at_once lets */
	unsigned seconds; /* the most that all together may take */
};

/* What came of a run. */
struct load_sum {
	double us;	   /* from the first connect to the last end */
	size_t ended;	   /* conversations that ended well, or are kept */
	size_t failed;	   /* or were not over in time */
	char why[200];	   /* of the first that failed */
	size_t opened;	   /* connections */
	size_t n_answers;  /* one of each whole answer, in us: */
	double *answer_us; /* since its request was sent */
	size_t n_fresh;	   /* one of each connection with an answer, in us: */
	double *fresh_us;  /* from connect to its first whole answer */
};

void load_sum_done(struct load_sum *s); /* all zeros is fine */
/* Ends the process with a message if any failed, or none ended. */
void load_sum_sound(const struct load_sum *s, const char *what);

struct load; /* clients of one server; keeps what is kept */

/* Ends the process if it cannot be had, as all functions here do of what is
 * ours (memory, descriptors). */
struct load *load_new(unsigned port);
void load_free(struct load *l); /* closes all */
AUTO_DEFINE(load, struct load, load_free);
/* Runs n conversations, one for each of c, in their order; returns when all are
 * over.  Fills ret, which the caller frees. */
void load_run(struct load *l, const struct load_client *c, size_t n,
    const struct load_pace *pace, struct load_sum *ret);
/* Connections that are kept and that the server has not ended. */
size_t load_kept(struct load *l);
/* Each kept connection sends one octet of a request's headers a second, evenly
 * spread over it; who is thrown out comes again.  Returns after `seconds`. */
void load_drip(struct load *l, unsigned seconds);

/* Appends a request of HTTP/1.1.  type NULL: no body; close: "Connection:
 * close". */
void load_request(struct buf *out, const char *method, const char *path,
    const char *type, struct bytes body, bool close);
/* As many descriptors as may be had, also for children started later. */
void load_descriptors(void);

#endif
