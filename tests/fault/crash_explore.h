/* What the parts of crash_images share. */
#ifndef WAYBILL_TESTS_CRASH_EXPLORE_H
#define WAYBILL_TESTS_CRASH_EXPLORE_H

#include "tests/fault/crash_truth.h"

struct mode {
	const char *name;
	int (*check)(
	    const struct truth *t, const struct witness *w, struct err *e);
};

struct state {
	size_t cut, which;
	enum disk_mode mode;
	uint64_t seed;
	size_t number;
};

/* What the workers have counted, in memory that they share. */
struct counts {
	_Atomic size_t seen, bad;
};

struct explorer {
	const struct mode *mode;
	unsigned operations, jobs;
	size_t random;
	uint64_t seed;
	const char *again, *image;
	size_t only;
	bool one, first, forget;

	char dir[64]; /* of this exploration */
	struct signer *signer;
	struct disk *disk;
	struct truth truth;
	struct state *states;
	size_t n, cap;
	struct counts *counts;
};

/* No state was bad, and not all were looked at: nothing is said of the store. */
#define EXPLORE_TROUBLE 99
_Noreturn void explore_die(const struct err *e);
_Noreturn void explore_stop(const char *why);
/* malloc'd: in the folder of the exploration, or of the one that was kept. */
char *explore_path(const struct explorer *x, const char *name);

/* Makes the folder, runs the script in it.  Ends the process if it fails. */
void explore_run(struct explorer *x);
/* Looks at all states, in x->jobs processes; false: some were not. */
bool explore_all(struct explorer *x);
/* Looks at x->only, or leaves it in x->image; returns the exit status. */
int explore_again(struct explorer *x);
void explore_remove(const char *path);

#endif
