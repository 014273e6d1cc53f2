/*
 * Cuts the power of a scripted run, and looks what is left:
 *
 *   crash_images outbox|ledger|store [--long] [--seed N] [--jobs N] [--operations N]
 *                              [--random N] [--first] [--forget]
 *   crash_images outbox|ledger|store --again FOLDER --only STATE [--image FOLDER]
 *
 * Runs crash_script under write_record.so, then rebuilds what the disk may hold
 * (crash_disk.h): as of every change in order; at every flush, with none of what
 * was not yet flushed, all, all but each one, each one, some, torn; and at
 * places by chance.  The real code opens each, in a process of its own with
 * limited time, and what it finds is held against what the script was told
 * (crash_truth.h).
 *
 * Prints what was wrong by number.  The record of a run in which something was
 * is kept, but for --forget: --again FOLDER --only STATE looks at one state of it
 * once more, with the log of the store; --image leaves it in a folder.  --first
 * ends at the first bad state.  Ends 0 if no state was bad, 1 if one was, 99 if
 * not all could be looked at.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "tests/fault/crash_explore.h"
#include "tests/fault/crash_random.h"

#define SOME 2 /* of SUBSET and of TORN at each flush */

static const struct mode modes[] = {
	{ "outbox", check_outbox },
	{ "ledger", check_ledger },
	{ "store", check_store },
};

/* ---- which states -------------------------------------------------------- */

static void
add(struct explorer *x, size_t cut, enum disk_mode mode, size_t which,
    uint64_t seed)
{
	if (x->n == x->cap) {
		x->cap = x->cap == 0 ? 1024 : 2 * x->cap;
		x->states = xrealloc(x->states, x->cap * sizeof(*x->states));
	}
	x->states[x->n] = (struct state){ .cut = cut,
		.which = which,
		.mode = mode,
		.seed = seed,
		.number = x->n };
	x->n++;
}

static void
add_flush(struct explorer *x, size_t event, uint64_t *random)
{
	size_t pending;

	disk_seek(x->disk, event);
	pending = disk_pending(x->disk);
	add(x, event, DISK_NONE, 0, 0);
	for (size_t i = 0; i < pending && pending > 1; i++) {
		add(x, event, DISK_DROP, i, 0);
		add(x, event, DISK_ONLY, i, 0);
	}
	for (size_t i = 0; i < SOME && pending > 0; i++) {
		add(x, event, DISK_SUBSET, 0, crash_random(random));
		add(x, event, DISK_TORN, 0, crash_random(random));
	}
	add(x, event + 1, DISK_NONE, 0, 0);
}

static int
by_cut(const void *a, const void *b)
{
	const struct state *x = a, *y = b;

	if (x->cut != y->cut)
		return x->cut < y->cut ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

static void
choose_states(struct explorer *x)
{
	static const enum disk_mode chance[] = { DISK_NONE, DISK_SUBSET,
		DISK_SUBSET, DISK_TORN, DISK_TORN, DISK_TORN };
	size_t events = disk_events(x->disk);
	uint64_t random = x->seed;

	for (size_t i = 0; i < events; i++) {
		if (disk_is_change(x->disk, i))
			add(x, i + 1, DISK_ALL, 0, 0);
		if (disk_is_flush(x->disk, i))
			add_flush(x, i, &random);
	}
	add(x, events, DISK_NONE, 0, 0);
	for (size_t i = 0; i < x->random; i++) {
		size_t cut = crash_random(&random) % (events + 1);
		enum disk_mode mode =
		    chance[crash_random(&random) % NELEMS(chance)];

		add(x, cut, mode, 0, crash_random(&random));
	}
	qsort(x->states, x->n, sizeof(*x->states), by_cut);
}

/* ---- life ---------------------------------------------------------------- */

enum {
	OPT_LONG = 256,
	OPT_RANDOM,
	OPT_AGAIN,
	OPT_ONLY,
	OPT_IMAGE,
	OPT_FIRST,
	OPT_FORGET
};

static const struct argp_option options[] = {
	{ "long", OPT_LONG, NULL, 0, "200 operations, 20000 states by chance",
	    0 },
	{ "seed", 's', "N", 0, "of the script and of all choices (1)", 0 },
	{ "jobs", 'j', "N", 0, "processes that look (one a processor)", 0 },
	{ "operations", 'n', "N", 0, "of the script (40)", 0 },
	{ "random", OPT_RANDOM, "N", 0, "states by chance (500)", 0 },
	{ "first", OPT_FIRST, NULL, 0, "end at the first bad state", 0 },
	{ "forget", OPT_FORGET, NULL, 0, "keep no record", 0 },
	{ "again", OPT_AGAIN, "FOLDER", 0, "a record that was kept", 0 },
	{ "only", OPT_ONLY, "STATE", 0, "look at this one", 0 },
	{ "image", OPT_IMAGE, "FOLDER", 0, "leave it here, look not", 0 },
	{ 0 },
};

static error_t
option(int key, char *arg, struct argp_state *as)
{
	struct explorer *x = as->input;

	switch (key) {
	case OPT_LONG:
		x->operations = 200;
		x->random = 20000;
		return 0;
	case 's':
		x->seed = strtoull(arg, NULL, 10);
		return 0;
	case 'j':
		x->jobs = (unsigned)strtoul(arg, NULL, 10);
		return 0;
	case 'n':
		x->operations = (unsigned)strtoul(arg, NULL, 10);
		return 0;
	case OPT_RANDOM:
		x->random = strtoull(arg, NULL, 10);
		return 0;
	case OPT_FIRST:
		x->first = true;
		return 0;
	case OPT_FORGET:
		x->forget = true;
		return 0;
	case OPT_AGAIN:
		x->again = arg;
		return 0;
	case OPT_ONLY:
		x->one = true;
		x->only = strtoull(arg, NULL, 10);
		return 0;
	case OPT_IMAGE:
		x->image = arg;
		return 0;
	case ARGP_KEY_ARG:
		for (size_t i = 0; i < NELEMS(modes); i++)
			if (strcmp(arg, modes[i].name) == 0)
				x->mode = &modes[i];
		return x->mode == NULL ? ARGP_ERR_UNKNOWN : 0;
	case ARGP_KEY_END:
		if (x->mode == NULL || x->jobs == 0 ||
		    (x->again != NULL) != x->one)
			argp_usage(as);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void
load(struct explorer *x)
{
	AUTO(char) record = explore_path(x, CRASH_RECORD);
	AUTO(char) key = explore_path(x, CRASH_KEY);
	AUTO(char) cert = explore_path(x, CRASH_CERT);
	struct err e = ERR_INIT;

	if ((x->signer = signer_load(key, cert, &e)) == NULL ||
	    disk_load(record, &x->disk, &e) == -1 ||
	    truth_read(x->disk, &x->truth, &e) == -1)
		explore_die(&e);
}

static void
unload(struct explorer *x)
{
	disk_free(x->disk);
	truth_done(&x->truth);
	signer_free(x->signer);
	free(x->states);
}

static int
report(struct explorer *x, bool fine, uint64_t ms)
{
	size_t seen = x->counts->seen, bad = x->counts->bad;

	printf("figure: operations %u\n", x->operations);
	printf("figure: states %zu\n", seen);
	printf("figure: states-per-second %llu\n",
	    (unsigned long long)(seen * 1000 / (ms + 1)));
	printf("figure: bad %zu\n", bad);
	if (!fine || (seen != x->n && !x->first)) {
		printf("%zu states were not looked at\n", x->n - seen);
		return EXPLORE_TROUBLE;
	}
	if (bad == 0 || x->forget) {
		explore_remove(x->dir);
		return bad == 0 ? 0 : 1;
	}
	printf("once more: crash_images %s --operations %u --random %zu "
	       "--seed %llu --again %s --only STATE\n",
	    x->mode->name, x->operations, x->random,
	    (unsigned long long)x->seed, x->dir);
	return 1;
}

int
main(int argc, char **argv)
{
	static const struct argp argp = { options, option,
		"outbox|ledger|store",
		"Looks at what a power cut may leave of a store." };
	struct explorer x = { .operations = 40,
		.random = 500,
		.seed = 1,
		.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) };
	uint64_t began;
	bool fine;
	int rc;

	setenv("WAYBILL_CLOCK", "sync", 1);
	umask(077);
	argp_parse(&argp, argc, argv, 0, NULL, &x);
	x.counts = mmap(NULL, sizeof(*x.counts), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (x.counts == MAP_FAILED)
		explore_stop("memory");
	if (x.again == NULL)
		explore_run(&x);
	load(&x);
	choose_states(&x);
	if (x.again != NULL) {
		rc = explore_again(&x);
	} else {
		began = clock_mono_ms();
		fine = explore_all(&x);
		rc = report(&x, fine, clock_mono_ms() - began);
	}
	unload(&x);
	return rc;
}
