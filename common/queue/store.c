#include "common/queue/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <lmdb.h>

#include "common/base/cbor.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/queue/seal.h"

#define BATCH_JOBS	256
#define READERS_MS	10000
#define RESERVE_PAGES	64
#define SECRET_MIN	32
#define SECRET_FILE_MAX 4096
#define HEAD_MAX	2048
#define LMDB_KEY_MAX	511
#define EXIT_DAMAGED	9

/* The one plain row, in LMDB's unnamed database: store id | format. */
#define PLAIN_KEY "waybill-store"
#define PLAIN_LEN (SEAL_ID_LEN + 1)

struct head {
	uint8_t epoch[STORE_EPOCH_LEN];
	uint64_t next;
	uint64_t rows[STORE_DB_MAX]; /* without the head itself */
	struct store_audit audit;
	size_t user_len;
	uint8_t user[STORE_USER_MAX];
};

struct job {
	store_job fn;
	store_done done;
	void *arg;
	struct post to;
	bool failed;
	struct err e;
	struct job *next;
};

struct store {
	char *dir;
	int owner; /* the locked file */
	MDB_env *env;
	MDB_dbi plain, dbi[STORE_DB_MAX];
	char names[STORE_DB_MAX][SEAL_DB_MAX + 1];
	unsigned n_dbs;
	size_t pages, page_size;
	bool tolerant;
	struct seal seal;
	struct head head; /* as committed; the committer's alone */
	atomic_uint used_percent;

	pthread_t committer;
	bool started;
	uint64_t readers_due; /* the committer's alone */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t work, waited;
	struct job *first, **last;
	bool stop;
};

struct after {
	void (*fn)(void *arg, bool committed);
	void *arg;
};

struct store_txn {
	struct store *store;
	MDB_txn *txn;
	bool writes, dirty;
	struct head head; /* of this transaction; a commit adopts it */
	struct err fault; /* of a write that failed: nothing may be committed */
	struct buf scratch;
	struct after *afters;
	size_t n_afters, cap_afters;
};

AUTO_DEFINE(MDB_cursor, MDB_cursor, mdb_cursor_close);

static enum err_kind
kind_of(int rc)
{
	static const struct {
		int rc;
		enum err_kind kind;
	} kinds[] = {
		{ MDB_MAP_FULL, ERR_RETRY },
		{ MDB_READERS_FULL, ERR_RETRY },
		{ ENOSPC, ERR_RETRY },
		{ MDB_CORRUPTED, ERR_DAMAGE },
		{ MDB_PAGE_NOTFOUND, ERR_DAMAGE },
		{ MDB_CURSOR_FULL, ERR_DAMAGE },
		{ MDB_INCOMPATIBLE, ERR_DAMAGE },
		{ MDB_INVALID, ERR_DAMAGE },
		{ MDB_VERSION_MISMATCH, ERR_DAMAGE },
	};

	for (size_t i = 0; i < NELEMS(kinds); i++)
		if (kinds[i].rc == rc)
			return kinds[i].kind;
	return ERR_LOCAL;
}

static int
err_mdb(struct err *e, const struct store *s, int rc, const char *what)
{
	return err_set(
	    e, kind_of(rc), "store %s: %s: %s", s->dir, what, mdb_strerror(rc));
}

static MDB_val
val(struct bytes b)
{
	return (MDB_val){ b.len, (void *)b.p };
}

/* ---- the head -------------------------------------------------------- */

static const uint8_t head_key[STORE_KEY_ID_LEN];

static bool
is_head(unsigned db, struct bytes key)
{
	return db == 0 && bytes_eq(key, bytes_of(head_key, sizeof(head_key)));
}

static void
head_format(const struct head *h, unsigned n_dbs, struct buf *out)
{
	cbor_write_array(out, 6);
	cbor_write_bytes(out, h->epoch, sizeof(h->epoch));
	cbor_write_uint(out, h->next);
	cbor_write_array(out, n_dbs);
	for (unsigned i = 0; i < n_dbs; i++)
		cbor_write_uint(out, h->rows[i]);
	cbor_write_uint(out, h->audit.seq);
	cbor_write_bytes(out, h->audit.hash.b, DIGEST_LEN);
	cbor_write_bytes(out, h->user, h->user_len);
}

static int
head_parse(struct bytes text, unsigned n_dbs, struct head *ret, struct err *e)
{
	struct head h = { 0 };
	struct bytes user;
	struct cbor_in in;
	size_t n;

	cbor_read_init(&in, text, "store head");
	cbor_read_array(&in, 6);
	cbor_read_fixed(&in, h.epoch, sizeof(h.epoch));
	h.next = cbor_read_uint(&in, UINT64_MAX);
	/* Databases that were added since have no rows yet. */
	n = cbor_read_array_upto(&in, 1, n_dbs);
	for (size_t i = 0; i < n; i++)
		h.rows[i] = cbor_read_uint(&in, UINT64_MAX);
	h.audit.seq = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, h.audit.hash.b, DIGEST_LEN);
	user = cbor_read_bytes(&in, STORE_USER_MAX);
	if (cbor_read_end(&in, e) == -1)
		return -1;
	if ((h.user_len = user.len) > 0)
		memcpy(h.user, user.p, user.len);
	*ret = h;
	return 0;
}

static int
head_read(struct store_txn *t, struct err *e)
{
	const struct store *s = t->store;
	struct bytes key = bytes_of(head_key, sizeof(head_key));
	MDB_val k = val(key), v;
	int rc;

	if ((rc = mdb_get(t->txn, s->dbi[0], &k, &v)) != 0) {
		err_mdb(e, s, rc, "head row");
		return rc == MDB_NOTFOUND
		    ? err_set(e, ERR_DAMAGE, "store %s: the head row vanished",
			  s->dir)
		    : -1;
	}
	buf_reset(&t->scratch);
	if (v.mv_size > HEAD_MAX ||
	    seal_open(&s->seal, s->names[0], key,
		bytes_of(v.mv_data, v.mv_size), &t->scratch, NULL) == -1)
		return err_set(e, ERR_DAMAGE,
		    "store %s: the head row does not "
		    "open: it is damaged, or sealed with another key",
		    s->dir);
	if (head_parse(buf_bytes(&t->scratch), s->n_dbs, &t->head, e) == 0)
		return 0;
	if (e != NULL)
		e->kind = ERR_DAMAGE;
	return err_prefix(e, "store %s", s->dir);
}

static int
head_write(struct store_txn *t, struct err *e)
{
	const struct store *s = t->store;
	struct bytes key = bytes_of(head_key, sizeof(head_key));
	struct buf text AUTO_BUF = { 0 };
	MDB_val k = val(key), v;
	int rc;

	head_format(&t->head, s->n_dbs, &text);
	buf_reset(&t->scratch);
	seal_value(&s->seal, s->names[0], key, buf_bytes(&text), &t->scratch);
	v = val(buf_bytes(&t->scratch));
	if ((rc = mdb_put(t->txn, s->dbi[0], &k, &v, 0)) != 0)
		return err_mdb(e, s, rc, "head row");
	return 0;
}

/* ---- transactions ---------------------------------------------------- */

/* 0 or LMDB's word. */
static int
txn_begin(struct store *s, bool writes, struct store_txn *t)
{
	*t = (struct store_txn){ .store = s, .writes = writes };
	return mdb_txn_begin(s->env, NULL, writes ? 0 : MDB_RDONLY, &t->txn);
}

static void
txn_done(struct store_txn *t)
{
	buf_done(&t->scratch);
	free(t->afters);
}

static void
txn_held(struct store_txn *t)
{
	for (size_t i = 0; i < t->n_afters; i++)
		t->afters[i].fn(t->afters[i].arg, true);
	txn_done(t);
}

static void
txn_given_up(struct store_txn *t)
{
	while (t->n_afters > 0) {
		const struct after *a = &t->afters[--t->n_afters];

		a->fn(a->arg, false);
	}
	txn_done(t);
}

static void
txn_abort(struct store_txn *t)
{
	mdb_txn_abort(t->txn);
	txn_given_up(t);
}

/* What the last commit left on the disk is not known: only the next start can
 * find out, so nobody may be told anything any more. */
static _Noreturn void
commit_died(const struct store *s, int rc)
{
	log_event(LOG_ALARM, "store.commit-failed", "store", "%s", s->dir,
	    "error", "%s", mdb_strerror(rc), NULL);
	_exit(EXIT_DAMAGED);
}

/* Pages that hold something: those of the free list's own tree count, those
 * that it lists do not. */
static size_t
pages_used(const struct store_txn *t)
{
	const struct store *s = t->store;
	size_t n = 2; /* meta pages */
	MDB_stat st;

	/* 0 and 1 are LMDB's own: free list and unnamed database. */
	for (unsigned i = 0; i < s->n_dbs + 2; i++)
		if (mdb_stat(t->txn, i < 2 ? i : s->dbi[i - 2], &st) == 0)
			n += st.ms_branch_pages + st.ms_leaf_pages +
			    st.ms_overflow_pages;
	return n;
}

static unsigned
percent_used(const struct store_txn *t)
{
	return (unsigned)(pages_used(t) * 100 / t->store->pages);
}

static int
txn_commit(struct store_txn *t, struct err *e)
{
	struct store *s = t->store;
	unsigned used = percent_used(t);
	int rc = mdb_txn_commit(t->txn);

	/* No page left for the free list: LMDB has not written anything yet. */
	if (rc == MDB_MAP_FULL) {
		txn_given_up(t);
		return err_mdb(e, s, rc, "commit");
	}
	if (rc != 0)
		commit_died(s, rc);
	s->head = t->head;
	atomic_store(&s->used_percent, used);
	txn_held(t);
	return 0;
}

/* ---- the committer --------------------------------------------------- */

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
	if (txn_commit(t, e) == -1)
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

	if ((rc = txn_begin(s, true, &t)) != 0)
		commit_died(s, rc);
	t.head = s->head;
	for (size_t i = 0; i < n; i++)
		if (job_run(jobs[i], &t, e) == -1) {
			txn_abort(&t);
			return -1;
		}
	/* Nothing to make durable: no commit, no wear. */
	if (!t.dirty) {
		mdb_txn_abort(t.txn);
		txn_held(&t);
		batch_over(jobs, n, NULL);
		return 0;
	}
	if (head_write(&t, e) == -1) {
		txn_abort(&t);
		return -1;
	}
#ifdef MUTANT_ANSWER_FIRST
	return answer_first(jobs, n, &t, e);
#endif
	if (txn_commit(&t, e) == -1)
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

/* Signals are for the loops. */
static int
committer_start(struct store *s, struct err *e)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->committer, NULL, committer, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return err_set(e, ERR_LOCAL, "store %s: committer: %s", s->dir,
		    strerror(rc));
	s->started = true;
	return 0;
}

/* ---- opening and closing --------------------------------------------- */

static int
owner_lock(struct store *s, struct err *e)
{
	AUTO(char) path = path_join(s->dir, "owner");

	s->owner = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->owner == -1)
		return err_errno(e, ERR_LOCAL, "store %s: owner", s->dir);
	if (flock(s->owner, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(e, ERR_LOCAL,
		    "store %s: open already, here or in another process",
		    s->dir);
	return err_errno(e, ERR_LOCAL, "store %s: lock", s->dir);
}

static int
env_open(struct store *s, uint64_t map_size, struct err *e)
{
	MDB_envinfo info;
	MDB_stat st;
	int dead, rc;

	if ((rc = mdb_env_create(&s->env)) != 0)
		return err_mdb(e, s, rc, "environment");
	if ((rc = mdb_env_set_mapsize(s->env, map_size)) != 0 ||
	    (rc = mdb_env_set_maxdbs(s->env, STORE_DB_MAX)) != 0 ||
	    (rc = mdb_env_open(
		 s->env, s->dir, MDB_NOTLS | MDB_NORDAHEAD, 0600)) != 0)
		return err_mdb(e, s, rc, "open");
	if ((rc = mdb_reader_check(s->env, &dead)) != 0 ||
	    (rc = mdb_env_info(s->env, &info)) != 0 ||
	    (rc = mdb_env_stat(s->env, &st)) != 0)
		return err_mdb(e, s, rc, "readers");
	s->page_size = st.ms_psize;
	s->pages = info.me_mapsize / st.ms_psize;
	return 0;
}

/* A commit must not meet a full disk; copies of the file lose their blocks, so
 * at every start.  Not before LMDB has made the file: it would take the zeros
 * for a damaged one. */
static int
env_preallocate(struct store *s, struct err *e)
{
	int fd, rc;

	if ((rc = mdb_env_get_fd(s->env, &fd)) != 0)
		return err_mdb(e, s, rc, "file");
	do
		rc = posix_fallocate(fd, 0, (off_t)(s->pages * s->page_size));
	while (rc == EINTR);
	if (rc != 0)
		return err_set(e, ERR_LOCAL, "store %s: reserve %zu pages: %s",
		    s->dir, s->pages, strerror(rc));
	if (fsync(fd) == -1)
		return err_errno(e, ERR_LOCAL, "store %s: fsync", s->dir);
	return file_sync_dir(s->dir, e);
}

/* The plain row: what the seal needs to know before it can open anything. */
static int
plain_read(struct store *s, MDB_txn *txn, struct err *e)
{
	MDB_val k = val(bytes_of(PLAIN_KEY, strlen(PLAIN_KEY))), v;
	const uint8_t *p;
	int rc;

	if ((rc = mdb_get(txn, s->plain, &k, &v)) == MDB_NOTFOUND)
		return err_set(e, ERR_DAMAGE,
		    "store %s: the plain row is missing", s->dir);
	if (rc != 0)
		return err_mdb(e, s, rc, "plain row");
	if (v.mv_size != PLAIN_LEN)
		return err_set(e, ERR_DAMAGE,
		    "store %s: plain row of %zu octets", s->dir, v.mv_size);
	p = v.mv_data;
	if (p[SEAL_ID_LEN] != SEAL_FORMAT)
		return err_set(e, ERR_DAMAGE,
		    "store %s: row format %u, this program knows %u", s->dir,
		    p[SEAL_ID_LEN], SEAL_FORMAT);
	memcpy(s->seal.store_id, p, SEAL_ID_LEN);
	return 0;
}

static int
plain_write(struct store *s, MDB_txn *txn, struct err *e)
{
	uint8_t row[PLAIN_LEN];
	MDB_val k = val(bytes_of(PLAIN_KEY, strlen(PLAIN_KEY)));
	MDB_val v = val(bytes_of(row, sizeof(row)));
	int rc;

	random_bytes(s->seal.store_id, SEAL_ID_LEN);
	memcpy(row, s->seal.store_id, SEAL_ID_LEN);
	row[SEAL_ID_LEN] = SEAL_FORMAT;
	rc = mdb_put(txn, s->plain, &k, &v, MDB_NOOVERWRITE);
	return rc == 0 ? 0 : err_mdb(e, s, rc, "plain row");
}

/* By a cursor: LMDB's own count stays right when a damaged page loses rows. */
static int
rows_count(struct store_txn *t, unsigned db, uint64_t *ret, struct err *e)
{
	AUTO(MDB_cursor) cur = NULL;
	uint64_t n = 0;
	MDB_val k;
	int rc;

	if ((rc = mdb_cursor_open(t->txn, t->store->dbi[db], &cur)) != 0)
		return err_mdb(e, t->store, rc, "cursor");
	while ((rc = mdb_cursor_get(cur, &k, NULL, MDB_NEXT)) == 0)
		n += !is_head(db, bytes_of(k.mv_data, k.mv_size));
	if (rc != MDB_NOTFOUND)
		return err_mdb(e, t->store, rc, "counting rows");
	*ret = n;
	return 0;
}

static int
rows_check(struct store_txn *t, unsigned db, struct err *e)
{
	const struct store *s = t->store;
	uint64_t have = 0, want = t->head.rows[db];

	if (rows_count(t, db, &have, e) == -1)
		return -1;
	if (have == want)
		return 0;
	if (!s->tolerant)
		return err_set(e, ERR_DAMAGE,
		    "store %s: %llu rows of \"%s\" %s: the head knows %llu",
		    s->dir,
		    (unsigned long long)(have < want ? want - have
						     : have - want),
		    s->names[db], have < want ? "vanished" : "appeared",
		    (unsigned long long)want);
	log_event(LOG_ALARM, "store.rows-differ", "store", "%s", s->dir,
	    "database", "%s", s->names[db], "rows", "%llu",
	    (unsigned long long)have, "expected", "%llu",
	    (unsigned long long)want, NULL);
	t->head.rows[db] = have;
	return 0;
}

static int
contents_make(struct store_txn *t, struct err *e)
{
	random_bytes(t->head.epoch, sizeof(t->head.epoch));
	t->head.next = 1;
	return head_write(t, e);
}

static int
contents_check(struct store_txn *t, struct err *e)
{
	if (head_read(t, e) == -1)
		return -1;
	for (unsigned i = 0; i < t->store->n_dbs; i++)
		if (rows_check(t, i, e) == -1)
			return -1;
	return 0;
}

static int
contents_read(struct store_txn *t, bool fresh, struct err *e)
{
	struct store *s = t->store;
	int rc;

	if ((rc = mdb_dbi_open(t->txn, NULL, 0, &s->plain)) != 0)
		return err_mdb(e, s, rc, "unnamed database");
	if ((fresh ? plain_write : plain_read)(s, t->txn, e) == -1)
		return -1;
	for (unsigned i = 0; i < s->n_dbs; i++) {
		rc = mdb_dbi_open(t->txn, s->names[i], MDB_CREATE, &s->dbi[i]);
		if (rc != 0)
			return err_mdb(e, s, rc, s->names[i]);
	}
	return (fresh ? contents_make : contents_check)(t, e);
}

static int
contents_open(struct store *s, struct err *e)
{
	struct store_txn t;
	MDB_envinfo info;
	int rc;

	/* Only an environment that never saw a commit may be taken for a new
	 * one: another without its rows is damaged. */
	mdb_env_info(s->env, &info);
	if ((rc = txn_begin(s, true, &t)) != 0)
		return err_mdb(e, s, rc, "transaction");
	if (contents_read(&t, info.me_last_txnid == 0, e) == -1) {
		txn_abort(&t);
		return -1;
	}
	return txn_commit(&t, e);
}

/* {0} with what cannot fail. */
static struct store *
store_new(const struct store_conf *c)
{
	struct store *s = xcalloc(1, sizeof(*s));
	pthread_condattr_t mono;

	s->dir = xstrdup(c->dir);
	s->owner = -1;
	s->tolerant = c->tolerant;
	memcpy(s->seal.key, c->key, sizeof(s->seal.key));
	for (; c->databases[s->n_dbs] != NULL; s->n_dbs++) {
		const char *name = c->databases[s->n_dbs];

		assert(s->n_dbs < STORE_DB_MAX && strcmp(name, PLAIN_KEY) != 0);
		assert(strlen(name) <= SEAL_DB_MAX);
		strcpy(s->names[s->n_dbs], name);
	}
	assert(s->n_dbs > 0);
	s->last = &s->first;
	s->readers_due = clock_mono_ms() + READERS_MS;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &mono);
	pthread_cond_init(&s->waited, NULL);
	pthread_condattr_destroy(&mono);
	return s;
}

int
store_open(const struct store_conf *c, struct store **ret, struct err *e)
{
	AUTO(store) s = store_new(c);

	if (file_mkdirs(s->dir, 0700, e) == -1 || owner_lock(s, e) == -1 ||
	    env_open(s, c->map_size, e) == -1 || env_preallocate(s, e) == -1 ||
	    contents_open(s, e) == -1 || committer_start(s, e) == -1)
		return -1;
	*ret = STEAL(s);
	return 0;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->started) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_signal(&s->work);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->committer, NULL);
	}
	if (s->env != NULL)
		mdb_env_close(s->env);
	if (s->owner != -1)
		close(s->owner);
	pthread_cond_destroy(&s->waited);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->lock);
	seal_done(&s->seal);
	free(s->dir);
	free(s);
}

static int
secret_make(const char *path, struct err *e)
{
	uint8_t secret[SECRET_MIN];
	int rc;

	random_bytes(secret, sizeof(secret));
	rc = file_write(path, 0600, bytes_of(secret, sizeof(secret)), e);
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

int
store_seal_secret(const char *path, bool create, struct buf *ret, struct err *e)
{
	struct buf secret AUTO_SECRET = { 0 };
	struct stat st;

	if (create && stat(path, &st) == -1 && errno == ENOENT &&
	    secret_make(path, e) == -1)
		return err_prefix(e, "seal secret");
	if (file_read(path, SECRET_FILE_MAX, &secret, e) == -1)
		return err_prefix(e, "seal secret");
	if (stat(path, &st) == -1)
		return err_errno(e, ERR_LOCAL, "seal secret %s", path);
	if ((st.st_mode & 077) != 0)
		return err_set(e, ERR_CONF,
		    "seal secret %s: mode %04o: others may use it", path,
		    (unsigned)st.st_mode & 07777);
	if (secret.len < SECRET_MIN)
		return err_set(e, ERR_CONF,
		    "seal secret %s: %zu octets, at least %d", path, secret.len,
		    SECRET_MIN);
	buf_grow(ret, secret.len);
	memcpy(ret->data + ret->len - secret.len, secret.data, secret.len);
	return 0;
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

int
store_read(struct store *s, store_job fn, void *arg, struct err *e)
{
	struct store_txn t;
	int rc;

	if ((rc = txn_begin(s, false, &t)) != 0)
		return err_mdb(e, s, rc, "transaction");
	if ((rc = head_read(&t, e)) == 0)
		rc = fn(&t, arg, e);
	txn_abort(&t);
	return rc == 0 ? 0 : -1;
}

unsigned
store_used_percent(struct store *s)
{
	return atomic_load(&s->used_percent);
}

/* ---- inside a transaction -------------------------------------------- */

static void
check_place(const struct store_txn *t, unsigned db, struct bytes key)
{
	assert(db < t->store->n_dbs);
	assert(key.len > 0 && key.len <= STORE_KEY_MAX && !is_head(db, key));
	(void)t, (void)db, (void)key;
}

/* A write that failed: the transaction cannot be committed any more. */
static int
fault(struct store_txn *t, int rc, const char *what, unsigned db, struct err *e)
{
	err_set(&t->fault, kind_of(rc), "store %s: %s in \"%s\": %s",
	    t->store->dir, what, t->store->names[db], mdb_strerror(rc));
	if (e != NULL)
		*e = t->fault;
	return -1;
}

/* Appends what was sealed in v. */
static int
row_open(const struct store_txn *t, unsigned db, struct bytes key, MDB_val v,
    struct buf *ret, struct err *e)
{
	const struct store *s = t->store;

	/* LMDB gives the length as it stands on the page, right or wrong. */
	if (v.mv_size > STORE_VALUE_MAX + AEAD_OVERHEAD)
		return err_set(e, ERR_DAMAGE, "row of %zu octets", v.mv_size);
	return seal_open(&s->seal, s->names[db], key,
	    bytes_of(v.mv_data, v.mv_size), ret, e);
}

int
store_get(struct store_txn *t, unsigned db, struct bytes key, struct buf *ret,
    struct err *e)
{
	const struct store *s = t->store;
	MDB_val k = val(key), v;
	int rc;

	check_place(t, db, key);
	rc = mdb_get(t->txn, s->dbi[db], &k, &v);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return err_mdb(e, s, rc, s->names[db]);
	if (ret == NULL) {
		buf_reset(&t->scratch);
		ret = &t->scratch;
	}
	if (row_open(t, db, key, v, ret, e) == -1)
		return err_prefix(e, "store %s: \"%s\"", s->dir, s->names[db]);
	return 1;
}

/* A delete needs pages too: those it changes are copied first.  So new rows
 * leave some. */
static bool
has_room(const struct store_txn *t, size_t len)
{
	const struct store *s = t->store;
	size_t spare = s->pages / 8;

	if (spare > RESERVE_PAGES)
		spare = RESERVE_PAGES;
	return pages_used(t) + len / s->page_size + 1 + spare <= s->pages;
}

int
store_put(struct store_txn *t, unsigned db, struct bytes key,
    struct bytes value, struct err *e)
{
	const struct store *s = t->store;
	MDB_val k = val(key), v;
	bool added;
	int rc;

	check_place(t, db, key);
	assert(t->writes && value.len <= STORE_VALUE_MAX);
	rc = mdb_get(t->txn, s->dbi[db], &k, &v);
	added = rc == MDB_NOTFOUND;
	if (rc != 0 && !added)
		return fault(t, rc, "put", db, e);
	if (added && !has_room(t, value.len + AEAD_OVERHEAD))
		return fault(t, MDB_MAP_FULL, "put", db, e);
	buf_reset(&t->scratch);
	seal_value(&s->seal, s->names[db], key, value, &t->scratch);
	v = val(buf_bytes(&t->scratch));
	t->dirty = true;
	if ((rc = mdb_put(t->txn, s->dbi[db], &k, &v, 0)) != 0)
		return fault(t, rc, "put", db, e);
	t->head.rows[db] += added;
	return 0;
}

int
store_del(struct store_txn *t, unsigned db, struct bytes key, struct err *e)
{
	MDB_val k = val(key);
	int rc;

	check_place(t, db, key);
	assert(t->writes);
	rc = mdb_del(t->txn, t->store->dbi[db], &k, NULL);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return fault(t, rc, "delete", db, e);
	t->dirty = true;
	t->head.rows[db]--;
	return 0;
}

static int
walk_row(struct store_txn *t, unsigned db, struct bytes key, MDB_val v,
    store_visit fn, void *arg, struct err *e)
{
	struct buf value AUTO_BUF = { 0 };
	bool damaged;

	if (is_head(db, key))
		return 0;
	damaged = row_open(t, db, key, v, &value, NULL) == -1;
	return fn(key, buf_bytes(&value), damaged, arg, e);
}

int
store_walk(struct store_txn *t, unsigned db, struct bytes from, store_visit fn,
    void *arg, struct err *e)
{
	AUTO(MDB_cursor) cur = NULL;
	/* No key is empty, so one zero octet is the least there is. */
	uint8_t key[LMDB_KEY_MAX + 1] = { 0 };
	size_t len = from.len > 0 ? from.len : 1;
	MDB_cursor_op op = MDB_SET_RANGE;
	MDB_val k, v;
	int rc;

	assert(db < t->store->n_dbs && from.len <= STORE_KEY_MAX);
	if (from.len > 0)
		memcpy(key, from.p, from.len);
	if ((rc = mdb_cursor_open(t->txn, t->store->dbi[db], &cur)) != 0)
		return err_mdb(e, t->store, rc, "cursor");
	for (;;) {
		k = val(bytes_of(key, len));
		if ((rc = mdb_cursor_get(cur, &k, &v, op)) == MDB_NOTFOUND)
			return 0;
		if (rc == 0 && k.mv_size > LMDB_KEY_MAX)
			rc = MDB_CORRUPTED;
		if (rc != 0)
			return err_mdb(e, t->store, rc, "walk");
		len = k.mv_size;
		memcpy(key, k.mv_data, len);
		rc = walk_row(t, db, bytes_of(key, len), v, fn, arg, e);
		if (rc != 0)
			return rc == 1 ? 0 : -1;
		/* On to the next possible key by its name, for fn may have
		 * deleted this row; a key as long as keys get has none. */
		key[len] = 0;
		op = len++ < LMDB_KEY_MAX ? MDB_SET_RANGE : MDB_NEXT;
	}
}

uint64_t
store_take_id(struct store_txn *t)
{
	assert(t->writes);
	t->dirty = true;
	return t->head.next++;
}

uint64_t
store_peek_id(struct store_txn *t)
{
	return t->head.next;
}

const uint8_t *
store_epoch(const struct store_txn *t)
{
	return t->head.epoch;
}

struct bytes
store_user(const struct store_txn *t)
{
	return bytes_of(t->head.user, t->head.user_len);
}

void
store_set_user(struct store_txn *t, struct bytes words)
{
	assert(t->writes && words.len <= STORE_USER_MAX);
	t->dirty = true;
	if ((t->head.user_len = words.len) > 0)
		memmove(t->head.user, words.p, words.len);
}

void
store_after(
    struct store_txn *t, void (*fn)(void *arg, bool committed), void *arg)
{
	assert(t->writes);
	if (t->n_afters == t->cap_afters) {
		t->cap_afters = t->cap_afters == 0 ? 16 : 2 * t->cap_afters;
		t->afters =
		    xrealloc(t->afters, t->cap_afters * sizeof(*t->afters));
	}
	t->afters[t->n_afters++] = (struct after){ fn, arg };
}

struct store_audit *
store_audit_head(struct store_txn *t)
{
	return &t->head.audit;
}

struct bytes
store_key_id(uint8_t key[STORE_KEY_ID_LEN], uint64_t id)
{
	for (int i = STORE_KEY_ID_LEN - 1; i >= 0; i--, id >>= 8)
		key[i] = (uint8_t)id;
	return bytes_of(key, STORE_KEY_ID_LEN);
}

uint64_t
store_key_to_id(struct bytes key)
{
	uint64_t id = 0;

	if (key.len < STORE_KEY_ID_LEN)
		return 0;
	for (size_t i = 0; i < STORE_KEY_ID_LEN; i++)
		id = id << 8 | key.p[i];
	return id;
}
