#include "common/queue/store_int.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/base/log.h"

#define BATCH_JOBS 256
#define READERS_MS 10000

struct job {
	store_job fn;
	store_done done;
	void *arg;
	struct post to;
	bool failed;
	struct err e;
	struct job *next;
};

static void
job_deliver(void *arg)
{
	struct job *j = arg;

	j->done(j->arg, j->failed ? &j->e : NULL);
	free(j);
}

static void
job_over(struct job *j, const struct err *e)
{
	if (j->done == NULL) {
		free(j);
		return;
	}
	if ((j->failed = e != NULL))
		j->e = *e;
	j->to.post(j->to.to, job_deliver, j);
}

static int
job_run(const struct job *j, struct store_txn *t, struct err *e)
{
	*e = (struct err)ERR_INIT;
	if (j->fn(t, j->arg, e) != 0) {
		if (e->kind == ERR_NONE)
			err_set(e, ERR_LOCAL,
			    "store %s: a job failed without "
			    "a reason",
			    t->store->dir);
		return -1;
	}
	/* It overlooked that one of its writes failed. */
	if (t->fault.kind != ERR_NONE) {
		*e = t->fault;
		return -1;
	}
	return 0;
}

static void
batch_over(struct job *const *jobs, size_t n, const struct err *e)
{
	for (size_t i = 0; i < n; i++)
		job_over(jobs[i], e);
}

#ifdef MUTANT_ANSWER_FIRST
/* What a store must not do: its waiters are told, then it commits.  Built only
 * to see the test of the commit order fail. */
static int
answer_first(
    struct job *const *jobs, size_t n, struct store_txn *t, struct err *e)
{
	batch_over(jobs, n, NULL);
	usleep(50000);
	if (store_txn_commit(t, e) == -1)
		abort(); /* they were told otherwise */
	return 0;
}
#endif

/* n jobs as one transaction, and its waiters told; -1: nothing of it holds, and
 * nobody was told. */
static int
batch_try(struct store *s, struct job *const *jobs, size_t n, struct err *e)
{
	struct store_txn t;
	int rc;

	if ((rc = store_txn_begin(s, !s->read_only, &t)) != 0 && s->read_only)
		return store_err(e, s, rc, "transaction");
	if (rc != 0)
		store_commit_died(s, rc);
	t.writes = true; /* as far as its jobs know */
	t.head = s->head;
	for (size_t i = 0; i < n; i++)
		if (job_run(jobs[i], &t, e) == -1) {
			store_txn_abort(&t);
			return -1;
		}
	/* Nothing to make durable: no commit, no wear. */
	if (!t.dirty) {
		mdb_txn_abort(t.txn);
		store_txn_held(&t);
		batch_over(jobs, n, NULL);
		return 0;
	}
	if ((s->read_only && store_shut(&t, e) == -1) ||
	    store_head_write(&t, e) == -1) {
		store_txn_abort(&t);
		return -1;
	}
#ifdef MUTANT_ANSWER_FIRST
	return answer_first(jobs, n, &t, e);
#endif
	if (store_txn_commit(&t, e) == -1)
		return -1;
	batch_over(jobs, n, NULL);
	return 0;
}

static void
batch_run(struct store *s, struct job *const *jobs, size_t n)
{
	struct err e = ERR_INIT;

	if (batch_try(s, jobs, n, &e) == 0)
		return;
	if (n == 1) {
		batch_over(jobs, n, &e);
		return;
	}
	for (size_t i = 0; i < n; i++)
		batch_run(s, &jobs[i], 1);
}

/* A reader that died would pin pages for ever. */
static void
readers_check(struct store *s)
{
	int dead;

	if (clock_mono_ms() < s->readers_due)
		return;
	mdb_reader_check(s->env, &dead);
	s->readers_due = clock_mono_ms() + READERS_MS;
}

/* Waits for jobs and takes at most BATCH_JOBS; 0: the store closes. */
static size_t
committer_take(struct store *s, struct job *ret[BATCH_JOBS])
{
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	while (s->first == NULL && !s->stop) {
		struct timespec due = { (time_t)(s->readers_due / 1000),
			(long)(s->readers_due % 1000) * 1000000 };

		if (pthread_cond_timedwait(&s->work, &s->lock, &due) ==
		    ETIMEDOUT)
			readers_check(s);
	}
	while (n < BATCH_JOBS && s->first != NULL) {
		ret[n++] = s->first;
		s->first = s->first->next;
	}
	if (s->first == NULL)
		s->last = &s->first;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void *
committer(void *arg)
{
	struct job *jobs[BATCH_JOBS];
	struct store *s = arg;
	size_t n;

	while ((n = committer_take(s, jobs)) > 0) {
		batch_run(s, jobs, n);
		readers_check(s);
	}
	return NULL;
}

/* Signals are for the loops, but for the one by which a sandbox reaches every
 * thread. */
int
store_committer_start(struct store *s, struct err *e)
{
	sigset_t all, old;
	int rc;

	s->readers_due = clock_mono_ms() + READERS_MS;
	sigfillset(&all);
	sigdelset(&all, SIGRTMIN);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->committer, NULL, committer, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set(e, ERR_LOCAL, "store %s: committer: %s", s->dir,
		    strerror(rc));
	s->started = true;
	return 0;
}

void
store_committer_stop(struct store *s)
{
	if (!s->started)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->committer, NULL);
}

/* ---- jobs and reads -------------------------------------------------- */

void
store_submit(
    struct store *s, store_job fn, store_done done, void *arg, struct post to)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->fn = fn;
	j->done = done;
	j->arg = arg;
	j->to = to;
	pthread_mutex_lock(&s->lock);
	*s->last = j;
	s->last = &j->next;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
}

struct waiter {
	struct store *store;
	store_job fn;
	void *arg;
	bool over, failed;
	struct err e;
};

static int
waiter_run(struct store_txn *t, void *arg, struct err *e)
{
	struct waiter *w = arg;

	return w->fn(t, w->arg, e);
}

static void
waiter_done(void *arg, const struct err *e)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->store->lock);
	if ((w->failed = e != NULL))
		w->e = *e;
	w->over = true;
	pthread_cond_broadcast(&w->store->waited);
	pthread_mutex_unlock(&w->store->lock);
}

static void
post_here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

int
store_submit_wait(struct store *s, store_job fn, void *arg, struct err *e)
{
	struct waiter w = { .store = s, .fn = fn, .arg = arg };

	store_submit(
	    s, waiter_run, waiter_done, &w, (struct post){ post_here });
	pthread_mutex_lock(&s->lock);
	while (!w.over)
		pthread_cond_wait(&s->waited, &s->lock);
	pthread_mutex_unlock(&s->lock);
	if (w.failed && e != NULL)
		*e = w.e;
	return w.failed ? -1 : 0;
}

static int
nothing(struct store_txn *t, void *arg, struct err *e)
{
	(void)t, (void)arg, (void)e;
	return 0;
}

void
store_flush(struct store *s)
{
	struct err e = ERR_INIT;

	if (store_submit_wait(s, nothing, NULL, &e) == -1)
		log_err(LOG_ERROR, "store.flush-failed", &e, NULL);
}

int
store_read(struct store *s, store_job fn, void *arg, struct err *e)
{
	struct store_txn t;
	int rc;

	if ((rc = store_txn_begin(s, false, &t)) != 0)
		return store_err(e, s, rc, "transaction");
	if ((rc = store_head_read(&t, e)) == 0)
		rc = fn(&t, arg, e);
	store_txn_abort(&t);
	return rc == 0 ? 0 : -1;
}
