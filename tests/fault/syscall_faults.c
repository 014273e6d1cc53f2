/*
 * Each system call of a short run over the outbox, and over the ledger, fails:
 * the Nth of its kind for every N, with every error that it may have, once and
 * from then on.  A run ends by itself, refuses to open, or ends with exit 9;
 * after it the store opens and holds all that was acknowledged.
 *
 *   syscall_faults [--long]
 *
 * The short round leaves out most N of the calls that are made most.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/fault/fail_calls.h"
#include "tests/fault/short_run.h"

#define EXIT_REFUSED 3 /* the run: an opening was refused */
#define EXIT_COMMIT  9 /* the store: a commit failed */
#define SECONDS	     20
#define SHORT_MOST   24 /* N of one kind in the short round */

static const struct {
	enum fail_call call;
	int errors[5]; /* 0: no more */
} faults[] = {
	{ FAIL_OPEN, { EIO, EMFILE, EACCES, EINTR } },
	{ FAIL_MMAP, { ENOMEM } },
	{ FAIL_FTRUNCATE, { EIO, ENOSPC } },
	{ FAIL_FALLOCATE, { EIO, ENOSPC, EINTR } },
	{ FAIL_READ, { EIO, EINTR, FAIL_SHORT } },
	{ FAIL_WRITE, { EIO, ENOSPC, EINTR, FAIL_SHORT } },
	{ FAIL_PWRITE, { EIO, ENOSPC, EINTR, FAIL_SHORT } },
	{ FAIL_WRITEV, { EIO, ENOSPC, EINTR, FAIL_SHORT } },
	{ FAIL_FDATASYNC, { EIO, ENOSPC, EINTR } },
	{ FAIL_FSYNC, { EIO, ENOSPC, EINTR } },
	{ FAIL_RENAME, { EIO, ENOSPC } },
	{ FAIL_MKDIR, { EIO, ENOSPC } },
	{ FAIL_LOCK, { EINTR, ENOLCK } },
};

struct trial {
	const struct lab *l;
	const struct short_run *run;
	struct fail_plan plan;
	/* Shared with the child. */
	struct trial_news {
		unsigned counted[FAIL_CALL__MAX];
		bool happened;
	} * news;
	void *told;
};

static struct {
	unsigned runs, ended, refused, exit9, wrong, unused;
} sum;

/* ---- one trial -------------------------------------------------------- */

static int
child_run(void *arg)
{
	struct trial *t = arg;
	struct err e = ERR_INIT;
	int rc;

	fail_arm(&t->plan);
	rc = t->run->run(t->l, t->told, &e);
	for (int i = 0; i < FAIL_CALL__MAX; i++)
		t->news->counted[i] = fail_counted((enum fail_call)i);
	t->news->happened = fail_happened();
	fail_disarm();
	if (rc == -1)
		fprintf(stderr, "refused: %s\n", e.msg);
	return rc == -1 ? EXIT_REFUSED : 0;
}

static int
child_check(void *arg)
{
	struct trial *t = arg;
	struct err e = ERR_INIT;

	if (t->run->check(t->l, t->told, &e) == 0)
		return 0;
	fprintf(stderr, "%s\n", e.msg);
	return 1;
}

static void
complain(const struct trial *t, const char *what, struct lab_end *end)
{
	sum.wrong++;
	printf("WRONG: %s: %s number %u, %s%s: %s: code %d signal %d\n%s",
	    t->run->name, fail_call_name(t->plan.call), t->plan.nth,
	    t->plan.error == FAIL_SHORT ? "short" : strerror(t->plan.error),
	    t->plan.for_good ? ", for good" : "", what, end->code, end->signal,
	    buf_cstr(&end->said));
}

/* A store that was opened without a fault says nothing of damage. */
static bool
alarmed(struct lab_end *end)
{
	return strstr(buf_cstr(&end->said), " alarm ") != NULL;
}

static void
trial(struct trial *t)
{
	struct lab_end end;

	lab_clear(t->l);
	memset(t->told, 0, t->run->told_size);
	*t->news = (struct trial_news){ .happened = false };
	end = lab_child(child_run, t, SECONDS);
	sum.runs++;
	sum.ended += end.code == 0;
	sum.refused += end.code == EXIT_REFUSED;
	sum.exit9 += end.code == EXIT_COMMIT;
	sum.unused += end.code == 0 && !t->news->happened;
	if (end.code != 0 && end.code != EXIT_REFUSED &&
	    end.code != EXIT_COMMIT)
		complain(t, "the run", &end);
	lab_end_done(&end);
	end = lab_child(child_check, t, SECONDS);
	if (end.code != 0 || alarmed(&end))
		complain(t, "afterwards", &end);
	lab_end_done(&end);
}

/* ---- all of them ------------------------------------------------------ */

/* Every N, or in the short round about SHORT_MOST of them, spread. */
static unsigned
next(unsigned n, unsigned all, bool full)
{
	unsigned by = full || all <= SHORT_MOST ? 1 : all / SHORT_MOST;

	return n + by;
}

static void
trials_of(struct trial *t, size_t fault, unsigned all, bool full)
{
	const int *error = faults[fault].errors;

	for (; *error != 0; error++)
		for (unsigned n = 1; n <= all; n = next(n, all, full))
			/* Whoever is interrupted tries again. */
			for (int good = 0; good < 1 + (*error != EINTR);
			     good++) {
				t->plan = (struct fail_plan){
					.call = faults[fault].call,
					.nth = n,
					.for_good = good != 0,
					.error = *error,
				};
				trial(t);
			}
}

static void
trials(const struct lab *l, const struct short_run *run, bool full)
{
	struct trial t = { .l = l,
		.run = run,
		.news = lab_shared(sizeof(*t.news)),
		.told = lab_shared(run->told_size) };
	unsigned all[FAIL_CALL__MAX], failed = 0;

	trial(&t);
	memcpy(all, t.news->counted, sizeof(all));
	if (all[FAIL_PWRITE] == 0)
		err_die("the calls of the store are not seen");
	for (size_t i = 0; i < NELEMS(faults); i++)
		trials_of(&t, i, all[faults[i].call], full);
	for (size_t i = 0; i < FAIL_CALL__MAX; i++)
		failed += all[i];
	printf("figure: %s-calls %u\n", run->name, failed);
}

int
main(int argc, char **argv)
{
	bool full = argc > 1 && strcmp(argv[1], "--long") == 0;
	struct lab l;

	lab_init(&l);
	trials(&l, &short_outbox, full);
	trials(&l, &short_ledger, full);
	lab_done(&l);
	printf("figure: runs %u\n", sum.runs);
	printf("figure: faults %u\n", sum.runs - sum.unused);
	printf("figure: went-on %u\n", sum.ended);
	printf("figure: refused-to-open %u\n", sum.refused);
	printf("figure: ended-with-exit-9 %u\n", sum.exit9);
	printf("figure: acknowledged-yet-absent-or-wrong %u\n", sum.wrong);
	return sum.wrong != 0;
}
