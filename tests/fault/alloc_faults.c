/*
 * Each allocation of a short run over the outbox, and over the ledger, fails,
 * once and from then on: first those of our own code, then those of everybody
 * (libcrypto, LMDB, libc).  A run ends by itself, refuses to open, ends with
 * exit 9, or, as xmalloc promises, with exit 1 and a line that says why; never
 * by a signal.  After it the store holds all that was acknowledged.
 *
 *   alloc_faults [--long]
 *
 * The short round tries some of them, spread.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/fault/short_run.h"

#define EXIT_REFUSED 3 /* the run: an opening was refused */
#define SECONDS	     20

/* Whose allocations. */
enum whose { OURS, ANYBODYS, WHOSE__MAX };
static const char *const names[WHOSE__MAX] = { "own", "any" };

/* How many are tried at most: of short and long rounds. */
static const unsigned most[WHOSE__MAX][2] = {
	[OURS] = { 150, UINT32_MAX },
	[ANYBODYS] = { 150, 4000 },
};

static struct {
	enum whose whose;
	unsigned nth;
	bool for_good;
} plan;
static atomic_bool armed;
static atomic_uint counted[WHOSE__MAX];

static bool
fails(enum whose whose)
{
	unsigned n;

	if (!atomic_load(&armed))
		return false;
	n = atomic_fetch_add(&counted[whose], 1) + 1;
	if (whose != plan.whose || plan.nth == 0 || n < plan.nth ||
	    (n > plan.nth && !plan.for_good))
		return false;
	errno = ENOMEM; /* libc asserts it */
	return true;
}

/* ---- in front of libc -------------------------------------------------- */

/* The linker gives these to the objects of ours that this program is made of
 * (-Wl,--wrap). */
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);

void *
__wrap_malloc(size_t n)
{
	return fails(OURS) ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return fails(OURS) ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return fails(OURS) ? NULL : __real_realloc(p, n);
}

char *
__wrap_strdup(const char *s)
{
	return fails(OURS) ? NULL : __real_strdup(s);
}

#ifndef __SANITIZE_ADDRESS__ /* which has its own */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

/* The names that everybody's calls lead to; ours go by __real_. */
void *any_malloc(size_t n) __asm__("malloc");
void *any_calloc(size_t n, size_t size) __asm__("calloc");
void *any_realloc(void *p, size_t n) __asm__("realloc");

void *
any_malloc(size_t n)
{
	return fails(ANYBODYS) ? NULL : __libc_malloc(n);
}

void *
any_calloc(size_t n, size_t size)
{
	return fails(ANYBODYS) ? NULL : __libc_calloc(n, size);
}

void *
any_realloc(void *p, size_t n)
{
	return fails(ANYBODYS) ? NULL : __libc_realloc(p, n);
}
#endif

/* ---- one trial --------------------------------------------------------- */

struct trial {
	const struct lab *l;
	const struct short_run *run;
	unsigned *counted; /* shared with the child */
	void *told;
};

static struct {
	unsigned runs, ended, refused, died, wrong;
} sum;

static int
child_run(void *arg)
{
	struct trial *t = arg;
	struct err e = ERR_INIT;
	int rc;

	atomic_store(&armed, true);
	rc = t->run->run(t->l, t->told, &e);
	atomic_store(&armed, false);
	for (int i = 0; i < WHOSE__MAX; i++)
		t->counted[i] = atomic_load(&counted[i]);
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
	printf("WRONG: %s: allocation %u of %s%s: %s: code %d signal %d\n%s",
	    t->run->name, plan.nth, names[plan.whose],
	    plan.for_good ? ", for good" : "", what, end->code, end->signal,
	    buf_cstr(&end->said));
}

/* Exit 1 is err_die's alone, exit 9 a commit's. */
static bool
clean(struct lab_end *end)
{
	switch (end->code) {
	case 0:
	case EXIT_REFUSED:
	case 9:
		return true;
	case 1:
		return strstr(buf_cstr(&end->said), "fatal: ") != NULL;
	default:
		return false;
	}
}

static void
trial(struct trial *t)
{
	struct lab_end end;

	lab_clear(t->l);
	memset(t->told, 0, t->run->told_size);
	end = lab_child(child_run, t, SECONDS);
	sum.runs++;
	sum.ended += end.code == 0;
	sum.refused += end.code == EXIT_REFUSED;
	sum.died += end.code == 1 || end.code == 9;
	if (!clean(&end))
		complain(t, "the run", &end);
	lab_end_done(&end);
	end = lab_child(child_check, t, SECONDS);
	if (end.code != 0 || strstr(buf_cstr(&end.said), " alarm ") != NULL)
		complain(t, "afterwards", &end);
	lab_end_done(&end);
}

static void
trials(const struct lab *l, const struct short_run *run, bool full)
{
	struct trial t = { .l = l,
		.run = run,
		.counted = lab_shared(WHOSE__MAX * sizeof(unsigned)),
		.told = lab_shared(run->told_size) };
	unsigned all[WHOSE__MAX], by;

	plan.nth = 0;
	trial(&t);
	memcpy(all, t.counted, sizeof(all));
	if (all[OURS] == 0)
		err_die("our allocations are not seen");
	for (int w = 0; w < WHOSE__MAX; w++) {
		plan.whose = (enum whose)w;
		by = all[w] / most[w][full] + 1;
		for (unsigned n = 1; n <= all[w]; n += by) {
			plan.nth = n;
			plan.for_good = !plan.for_good;
			trial(&t);
			if (!full || by > 1)
				continue;
			plan.for_good = !plan.for_good;
			trial(&t);
		}
		printf("figure: %s-%s-allocations %u\n", run->name, names[w],
		    all[w]);
	}
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
	printf("figure: went-on %u\n", sum.ended);
	printf("figure: refused-to-open %u\n", sum.refused);
	printf("figure: ended-with-a-line %u\n", sum.died);
	printf("figure: acknowledged-yet-absent-or-wrong %u\n", sum.wrong);
	return sum.wrong != 0;
}
