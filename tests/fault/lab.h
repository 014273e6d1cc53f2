/*
 * What the programs of faults that run in a process of ours stand on: a folder
 * in memory, a signer and a seal in it, and children that may die.  Syncs cost
 * nothing there; what they promise is for crash_images to find.
 */
#ifndef WAYBILL_TESTS_FAULT_LAB_H
#define WAYBILL_TESTS_FAULT_LAB_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/post.h"
#include "common/pki/sign.h"

struct lab {
	char dir[64];	/* all that is made */
	char store[96]; /* the folder of the store under test */
	char seal[96];	/* the file of the sealing secret */
	struct signer *signer;
};

/* Errors of these end the program with a line. */
void lab_init(struct lab *l);
/* Everything in the folder goes too. */
void lab_done(struct lab *l);
/* The store begins anew: nothing is in it. */
void lab_clear(const struct lab *l);
/* n zeroed octets that children share. */
void *lab_shared(size_t n);

/* How a child ended. */
struct lab_end {
	int code;	 /* exit code; -1: by a signal */
	int signal;	 /* SIGALRM: it hung */
	struct buf said; /* what it wrote to stderr */
};
/* fn in a child with at most so many seconds; it ends with what fn returns. */
struct lab_end lab_child(int (*fn)(void *arg), void *arg, unsigned seconds);
void lab_end_done(struct lab_end *end);

/* Runs what is posted at once, on the thread that posts. */
extern const struct post lab_here;

/* A call of outbox or ledger that is waited for: its `user`. */
struct lab_wait;
struct lab_wait *lab_wait_new(void);
void lab_wait_over(struct lab_wait *w, const struct err *e);
/* Waits and frees; ERR_NONE: no error. */
struct err lab_wait_for(struct lab_wait *w);

/* 0 to n - 1; the same in each run that sets the same seed. */
void lab_seed(uint64_t seed);
uint64_t lab_random(uint64_t n);

#endif
