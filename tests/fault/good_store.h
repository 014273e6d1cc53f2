/*
 * A good store of a few hundred entries, made by the real outbox or ledger, for
 * damaged_stores to damage copies of; and what is seen in such a copy.
 */
#ifndef WAYBILL_TESTS_GOOD_STORE_H
#define WAYBILL_TESTS_GOOD_STORE_H

#include "tests/fault/lab.h"

#define GOOD_ENTRIES 240
#define GOOD_MAP     (4u << 20)

/* What was seen of a copy that opened. */
struct seen {
	unsigned fine;	  /* entries as they were stored */
	unsigned damaged; /* told to be: dead, or an error that says so */
	unsigned older;	  /* fine, but in a state of before */
	unsigned absent;  /* nobody said that they are lost */
	unsigned wrong;	  /* octets other than those that were stored */
	bool behind;	  /* its numbers are: the next HELLO tells */
};

struct good_store {
	const char *name;
	/* Makes it in l->store; calls half() with the store closed, when half of
	 * its life is over. */
	void (*make)(const struct lab *l, void (*half)(const struct lab *l));
	/* Opens, reads everything into *ret, then writes something.  -1 if it
	 * does not open. */
	int (*look)(const struct lab *l, struct seen *ret, struct err *e);
};

extern const struct good_store good_outbox, good_ledger;

/* Octets of entry n: what is asked, what is answered. */
struct buf good_octets(const char *what, unsigned n);
/* Whether they are those; counts them as wrong otherwise. */
bool good_same(
    struct seen *ret, const struct buf *have, const char *what, unsigned n);

#endif
