/*
 * A run that is the same for the same seed, over the real outbox, ledger
 * or store, with a mark in the record for each thing that it was told:
 *
 *   crash_script outbox|ledger|store OPERATIONS SEED FOLDER
 *
 * FOLDER holds the signer and the seal; the store is made in FOLDER/disk.  Ends
 * 0 if all went as the script expects.
 */
#include "tests/fault/crash_script.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "tests/fault/crash_random.h"
#include "tests/fault/record.h"

/* ---- one thread that is posted to -------------------------------------- */

struct message {
	void (*fn)(void *arg);
	void *arg;
	struct message *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static struct message *first, **last = &first;

static void
post(void *to, void (*fn)(void *arg), void *arg)
{
	struct message *m = xcalloc(1, sizeof(*m));

	(void)to;
	m->fn = fn;
	m->arg = arg;
	pthread_mutex_lock(&lock);
	*last = m;
	last = &m->next;
	pthread_cond_signal(&some);
	pthread_mutex_unlock(&lock);
}

void
script_wait(struct script *s)
{
	struct message *m;

	while (s->waiting > 0) {
		pthread_mutex_lock(&lock);
		while ((m = first) == NULL)
			pthread_cond_wait(&some, &lock);
		if ((first = m->next) == NULL)
			last = &first;
		pthread_mutex_unlock(&lock);
		m->fn(m->arg);
		free(m);
	}
}

/* ---- what both modes use ----------------------------------------------- */

void
script_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("crash_script: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

uint64_t
script_random(struct script *s, uint64_t n)
{
	return crash_random(&s->random) % n;
}

struct buf
script_octets(struct script *s, const char *what, size_t least, size_t most)
{
	size_t n = least + script_random(s, most - least + 1);
	struct buf b = { 0 };

	buf_printf(&b, "%s %u ", what, s->op);
	while (b.len < n) {
		uint64_t v = script_random(s, UINT64_MAX);

		buf_add(&b, &v, n - b.len < 8 ? n - b.len : 8);
	}
	return b;
}

unsigned
script_begin(struct script *s)
{
	const struct mark m = { .what = MARK_BEGIN, .op = ++s->op };

	script_mark(&m);
	s->waiting++;
	return s->op;
}

void
script_done(struct script *s, const struct err *e)
{
	if (e != NULL)
		script_fail("%s", e->msg);
	s->waiting--;
}

void
script_mark(const struct mark *m)
{
	if (write_record_mark != NULL)
		write_record_mark(m, sizeof(*m));
}

/* ---- life -------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(struct script *s);
} modes[] = {
	{ "outbox", script_outbox },
	{ "ledger", script_ledger },
	{ "store", script_store },
};

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct script s = { .here = { post, NULL } };
	AUTO(char) key = NULL;
	AUTO(char) cert = NULL;
	AUTO(char) store = NULL;
	AUTO(char) seal = NULL;

	if (argc != 5) {
		fputs("usage: crash_script outbox|ledger|store OPERATIONS SEED "
		      "FOLDER\n",
		    stderr);
		return 2;
	}
	s.ops = (unsigned)strtoul(argv[2], NULL, 10);
	s.random = strtoull(argv[3], NULL, 10);
	key = path_join(argv[4], CRASH_KEY);
	cert = path_join(argv[4], CRASH_CERT);
	store = path_join(argv[4], CRASH_ROOT "/" CRASH_STORE);
	seal = path_join(argv[4], CRASH_SEAL);
	s.store = store;
	s.seal = seal;
	if ((s.signer = signer_load(key, cert, &e)) == NULL)
		script_fail("%s", e.msg);
	for (size_t i = 0; i < NELEMS(modes); i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			modes[i].run(&s);
	signer_free(s.signer);
	return s.op == 0 ? 2 : 0;
}
