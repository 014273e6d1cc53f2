/*
 * A short run over a real store, for faults that hit every step of it: what was
 * acknowledged is written down in memory that outlives the process, and after
 * it the store is compared with that.
 *
 * An error may be told and the work be there all the same; what was
 * acknowledged must be there.  So what may be found of an entry is a set of
 * states: those before a call and, while nobody was told, those after it.
 */
#ifndef WAYBILL_TESTS_SHORT_RUN_H
#define WAYBILL_TESTS_SHORT_RUN_H

#include "tests/fault/lab.h"

#define SHORT_MAP (2u << 20)

struct short_run {
	const char *name;
	size_t told_size; /* of what `run` writes down, all zeros before */
	/* The script.  0; or -1 where an opening was refused, which ends it. */
	int (*run)(const struct lab *l, void *told, struct err *e);
	/* Opens the store and holds it against what was told (invariants 1 to 6);
	 * then it must take one more request.  -1 says what is wrong. */
	int (*check)(const struct lab *l, const void *told, struct err *e);
};

extern const struct short_run short_outbox, short_ledger;

#endif
