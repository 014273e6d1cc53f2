/*
 * Cuts the power of a scripted run, and looks what is left:
 *
 *   crash_images outbox|ledger [--long] [--seed N] [--jobs N] [--operations N]
 *                              [--random N] [--first]
 *   crash_images outbox|ledger --again FOLDER --only STATE [--image FOLDER]
 *
 * Runs crash_script under write_record.so, then rebuilds what the disk may hold
 * (crash_disk.h): as of every change in order; at every flush, with none of what
 * was not yet flushed, all, all but each one, each one, some, torn; and at
 * places by chance.  The real code opens each, in a process of its own with
 * limited time, and what it finds is held against what the script was told
 * (crash_truth.h).
 *
 * Prints what was wrong by number.  The record of a run in which something was
 * is kept: --again FOLDER --only STATE looks at one state of it once more, with
 * the log of the store; --image leaves it in a folder.  --first ends at the
 * first bad state.  Ends 0 if no state was bad, 1 if one was.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/store.h"
#include "tests/fault/crash_truth.h"
#include "tests/unit/queue_signer.h"

#define LOOK_SECONDS   20
#define SCRIPT_SECONDS 120
#define BAD_SHOWN      5
#define GO_ON_EVERY    8 /* states */
#define SOME	       2 /* of SUBSET and of TORN at each flush */

static const struct mode {
	const char *name;
	int (*check)(
	    const struct truth *t, const struct witness *w, struct err *e);
} modes[] = {
	{ "outbox", check_outbox },
	{ "ledger", check_ledger },
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
	bool one, first, is_long;

	char dir[64]; /* of this exploration */
	struct signer *signer;
	struct disk *disk;
	struct truth truth;
	struct state *states;
	size_t n, cap;
	struct counts *counts;
};

static _Noreturn void
die(const struct err *e)
{
	fprintf(stderr, "crash_images: %s\n", e->msg);
	exit(2);
}

static char *
in_dir(const struct explorer *x, const char *name)
{
	return path_join(x->again != NULL ? x->again : x->dir, name);
}

/* ---- the run ------------------------------------------------------------- */

static void
save_signer(struct explorer *x)
{
	AUTO(signer) s = queue_signer("crash");
	AUTO(char) key = in_dir(x, CRASH_KEY);
	AUTO(char) cert = in_dir(x, CRASH_CERT);
	FILE *f;

	if ((f = fopen(key, "w")) == NULL ||
	    PEM_write_PrivateKey(f, s->key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fclose(f) != 0 || (f = fopen(cert, "w")) == NULL ||
	    PEM_write_X509(f, s->cert) != 1 || fclose(f) != 0)
		err_die("crash_images: no keys");
}

static void
prepare(struct explorer *x)
{
	struct buf secret AUTO_SECRET = { 0 };
	struct err e = ERR_INIT;
	AUTO(char) root = NULL;
	AUTO(char) seal = NULL;

	snprintf(x->dir, sizeof(x->dir), "/dev/shm/waybill-crash-XXXXXX");
	if (mkdtemp(x->dir) == NULL)
		err_die("crash_images: no folder in /dev/shm");
	root = in_dir(x, CRASH_ROOT);
	seal = in_dir(x, CRASH_SEAL);
	save_signer(x);
	if (file_mkdirs(root, 0700, &e) == -1 ||
	    store_seal_secret(seal, true, &secret, &e) == -1)
		die(&e);
}

/* Beside this program, where the build puts it. */
static char *
beside(const char *name)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		err_die("crash_images: where am I?");
	self[n] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		*slash = '\0';
	return path_join(self, name);
}

static _Noreturn void
script_exec(const struct explorer *x)
{
	AUTO(char) program = beside("crash_script");
	AUTO(char) shim = beside("write_record.so");
	AUTO(char) record = in_dir(x, CRASH_RECORD);
	AUTO(char) root = in_dir(x, CRASH_ROOT);
	char operations[16], seed[24];

	snprintf(operations, sizeof(operations), "%u", x->operations);
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)x->seed);
	setenv("LD_PRELOAD", shim, 1);
	setenv("WRITE_RECORD", record, 1);
	setenv("WRITE_RECORD_DIR", root, 1);
	alarm(SCRIPT_SECONDS);
	execl(program, program, x->mode->name, operations, seed, x->dir,
	    (char *)NULL);
	_exit(127);
}

static void
run_script(struct explorer *x)
{
	int status;
	pid_t pid;

	if ((pid = fork()) == 0)
		script_exec(x);
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		err_die("crash_images: no script");
	if (status != 0) {
		printf("the script ended by itself (status %d)\n", status);
		exit(1);
	}
}

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

static uint64_t
mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
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
		add(x, event, DISK_SUBSET, 0, mix(random));
		add(x, event, DISK_TORN, 0, mix(random));
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
		size_t cut = mix(&random) % (events + 1);
		enum disk_mode mode = chance[mix(&random) % NELEMS(chance)];

		add(x, cut, mode, 0, mix(&random));
	}
	qsort(x->states, x->n, sizeof(*x->states), by_cut);
}

/* ---- looking ------------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static void
remove_all(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In a process of its own, with what it says in `said`. */
static _Noreturn void
look(struct explorer *x, const struct state *s, const char *image, int said)
{
	AUTO(char) store = path_join(image, CRASH_STORE);
	AUTO(char) seal = in_dir(x, CRASH_SEAL);
	const struct witness w = { .store = store,
		.seal = seal,
		.signer = x->signer,
		.random = s->seed ^ s->number,
		.on = s->number % GO_ON_EVERY == 0 };
	struct err e = ERR_INIT;

	alarm(LOOK_SECONDS);
	if (said != -1 && dup2(said, STDERR_FILENO) == -1)
		_exit(2);
	truth_cut(&x->truth, s->cut);
	if (x->mode->check(&x->truth, &w, &e) == 0)
		_exit(0);
	dprintf(STDERR_FILENO, "%s\n", e.msg);
	_exit(1);
}

/* The last line of what was said; "" if nothing was. */
static void
last_line(int said, char ret[256])
{
	char text[4096], *line;
	off_t size = lseek(said, 0, SEEK_END);
	off_t from =
	    size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0;
	ssize_t n = pread(said, text, sizeof(text) - 1, from);

	n = n < 0 ? 0 : n;
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	line = strrchr(text, '\n');
	str_copy(ret, 256, line == NULL ? text : line + 1);
}

static void
tell_bad(struct explorer *x, const struct state *s, int status, int said)
{
	size_t bad = ++x->counts->bad;
	char line[256];

	if (bad > BAD_SHOWN)
		return;
	last_line(said, line);
	if (WIFSIGNALED(status))
		snprintf(
		    line, sizeof(line), "ended by signal %d", WTERMSIG(status));
	printf("BAD state %zu: event %zu, %s %zu: %s\n", s->number, s->cut,
	    disk_mode_name(s->mode), s->which, line);
	fflush(stdout);
}

static void
see(struct explorer *x, const struct state *s, const char *image, int said)
{
	struct err e = ERR_INIT;
	int status;
	pid_t pid;

	disk_seek(x->disk, s->cut);
	if (disk_image(x->disk, s->mode, s->which, s->seed, image, &e) == -1)
		die(&e);
	if (said != -1 &&
	    (ftruncate(said, 0) == -1 || lseek(said, 0, SEEK_SET) == -1))
		err_die("crash_images: what was said");
	if ((pid = fork()) == 0)
		look(x, s, image, said);
	if (pid == -1 || waitpid(pid, &status, 0) != pid)
		err_die("crash_images: fork");
	x->counts->seen++;
	if (status != 0)
		tell_bad(x, s, status, said);
}

static void
worker(struct explorer *x, unsigned me)
{
	int said = memfd_create("said", MFD_CLOEXEC);
	char image[128];

	snprintf(image, sizeof(image), "%s/image%u", x->dir, me);
	for (size_t i = me; i < x->n; i += x->jobs) {
		if (x->first && x->counts->bad > 0)
			break;
		see(x, &x->states[i], image, said);
		remove_all(image);
	}
	_exit(0);
}

static bool
work(struct explorer *x)
{
	bool fine = true;
	int status;

	for (unsigned i = 0; i < x->jobs; i++)
		if (fork() == 0)
			worker(x, i);
	for (unsigned i = 0; i < x->jobs; i++)
		fine = wait(&status) != -1 && status == 0 && fine;
	return fine;
}

/* ---- one again ----------------------------------------------------------- */

static int
look_again(struct explorer *x)
{
	char image[] = "/dev/shm/waybill-crash-XXXXXX", store[64];
	size_t i = 0;

	while (i < x->n && x->states[i].number != x->only)
		i++;
	if (i == x->n)
		err_die("crash_images: no state of this number");
	printf("state %zu of %zu: event %zu of %zu, %s %zu\n", x->only, x->n,
	    x->states[i].cut, disk_events(x->disk),
	    disk_mode_name(x->states[i].mode), x->states[i].which);
	fflush(stdout);
	if (x->image != NULL) {
		struct err e = ERR_INIT;

		disk_seek(x->disk, x->states[i].cut);
		if (disk_image(x->disk, x->states[i].mode, x->states[i].which,
			x->states[i].seed, x->image, &e) == -1)
			die(&e);
		return 0;
	}
	if (mkdtemp(image) == NULL)
		err_die("crash_images: no folder in /dev/shm");
	snprintf(store, sizeof(store), "%s/image", image);
	see(x, &x->states[i], store, -1);
	remove_all(image);
	return x->counts->bad == 0 ? 0 : 1;
}

/* ---- life ---------------------------------------------------------------- */

enum { OPT_LONG = 256, OPT_RANDOM, OPT_AGAIN, OPT_ONLY, OPT_IMAGE, OPT_FIRST };

static const struct argp_option options[] = {
	{ "long", OPT_LONG, NULL, 0, "200 operations, 20000 states by chance",
	    0 },
	{ "seed", 's', "N", 0, "of the script and of all choices (1)", 0 },
	{ "jobs", 'j', "N", 0, "processes that look (one a processor)", 0 },
	{ "operations", 'n', "N", 0, "of the script (40)", 0 },
	{ "random", OPT_RANDOM, "N", 0, "states by chance (500)", 0 },
	{ "first", OPT_FIRST, NULL, 0, "end at the first bad state", 0 },
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
	AUTO(char) record = in_dir(x, CRASH_RECORD);
	AUTO(char) key = in_dir(x, CRASH_KEY);
	AUTO(char) cert = in_dir(x, CRASH_CERT);
	struct err e = ERR_INIT;

	if ((x->signer = signer_load(key, cert, &e)) == NULL ||
	    disk_load(record, &x->disk, &e) == -1 ||
	    truth_read(x->disk, &x->truth, &e) == -1)
		die(&e);
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
		return 2;
	}
	if (bad == 0) {
		remove_all(x->dir);
		return 0;
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
	static const struct argp argp = { options, option, "outbox|ledger",
		"Looks at what a power cut may leave of a store." };
	struct explorer x = { .operations = 40,
		.random = 500,
		.seed = 1,
		.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) };
	uint64_t began, ms;
	bool fine;

	setenv("WAYBILL_CLOCK", "sync", 1);
	umask(077);
	argp_parse(&argp, argc, argv, 0, NULL, &x);
	x.counts = mmap(NULL, sizeof(*x.counts), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (x.counts == MAP_FAILED)
		err_die("crash_images: memory");
	if (x.again == NULL) {
		prepare(&x);
		run_script(&x);
	}
	load(&x);
	choose_states(&x);
	if (x.again != NULL)
		return look_again(&x);
	began = clock_mono_ms();
	fine = work(&x);
	ms = clock_mono_ms() - began;
	return report(&x, fine, ms);
}
