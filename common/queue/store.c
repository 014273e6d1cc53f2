#include "common/queue/store_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/queue/ends.h"
#include "common/queue/store_pages.h"

#define LOCK_FILE "lock.mdb"
#define LOCK_LEN  8192 /* for the readers that LMDB has room for by itself */

enum err_kind
store_err_kind(int rc)
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

/* ---- opening and closing --------------------------------------------- */

int
store_own(const char *dir, int *ret_fd, struct err *e)
{
	AUTO(char) path = path_join(dir, "owner");
	AUTO_FD fd = -1;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* It may lie where nothing can be written any more. */
	if (fd == -1 && errno == EROFS)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return err_errno(e, ERR_LOCAL, "store %s: owner", dir);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*ret_fd = fd_steal(&fd);
		return 0;
	}
	if (errno == EWOULDBLOCK)
		return err_set(e, ERR_LOCAL,
		    "store %s: open already, here or in another process", dir);
	return err_errno(e, ERR_LOCAL, "store %s: lock", dir);
}

/* LMDB takes an empty file for a new environment, so DIR/owner tells whether
 * there was one; and it believes whatever is in another.  A first start that
 * did not come to its first commit leaves half an environment. */
static int
file_check(struct store *s, struct err *e)
{
	AUTO(char) path = path_join(s->dir, STORE_FILE);
	struct stat st, owner;
	size_t mended;

	if (fstat(s->owner, &owner) == -1)
		return err_errno(e, ERR_LOCAL, "store %s: owner", s->dir);
	if (owner.st_size > 0 && (stat(path, &st) == -1 || st.st_size == 0))
		return err_set(e, ERR_DAMAGE,
		    "store %s: data.mdb is gone or empty, and was not: bring "
		    "a copy back, or begin anew without the file \"owner\"",
		    s->dir);
	if (owner.st_size == 0 && !s->read_only && store_pages_blank(path) &&
	    truncate(path, 0) == -1)
		return err_errno(e, ERR_LOCAL, "store %s: " STORE_FILE, s->dir);
	if (s->read_only)
		return store_pages_check(path, e);
	if (store_pages_mend(path, &mended, e) == -1)
		return -1;
	if (mended > 0)
		log_event(LOG_ALARM, "store.pages-mended", "store", "%s",
		    s->dir, "pages", "%zu", mended, NULL);
	return 0;
}

static int
owner_mark(struct store *s, struct err *e)
{
	static const char mark[] = "there is a store\n";
	struct stat st;

	if (s->read_only || (fstat(s->owner, &st) == 0 && st.st_size > 0))
		return 0;
	if (pwrite(s->owner, mark, sizeof(mark) - 1, 0) == -1 ||
	    fsync(s->owner) == -1)
		return err_errno(e, ERR_LOCAL, "store %s: owner", s->dir);
	return 0;
}

int
store_env_open(struct store *s, const char *path, unsigned flags,
    uint64_t map_size, struct err *e)
{
	MDB_envinfo info;
	MDB_stat st;
	int dead, rc;

#ifdef MUTANT_NOSYNC
	flags |= MDB_NOSYNC;
#endif
	if ((rc = mdb_env_create(&s->env)) != 0)
		return store_err(e, s, rc, "environment");
	if ((map_size > 0 &&
		(rc = mdb_env_set_mapsize(s->env, map_size)) != 0) ||
	    (rc = mdb_env_set_maxdbs(s->env, STORE_DB_MAX)) != 0 ||
	    (rc = mdb_env_open(
		 s->env, path, flags | MDB_NOTLS | MDB_NORDAHEAD, 0600)) != 0)
		return store_err(e, s, rc, "open");
	if ((rc = mdb_reader_check(s->env, &dead)) != 0 ||
	    (rc = mdb_env_info(s->env, &info)) != 0 ||
	    (rc = mdb_env_stat(s->env, &st)) != 0)
		return store_err(e, s, rc, "readers");
	s->page_size = st.ms_psize;
	s->pages = info.me_mapsize / st.ms_psize;
	return 0;
}

/* LMDB writes its lock file through a map: without room for a page of it that
 * is SIGBUS.  Nobody else has it open, since we are the owner; a descriptor of
 * ours that closes later would take LMDB's locks with it. */
static int
lock_preallocate(struct store *s, struct err *e)
{
	AUTO(char) path = path_join(s->dir, LOCK_FILE);
	AUTO_FD fd =
	    open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd == -1)
		return err_errno(e, ERR_LOCAL, "store %s: " LOCK_FILE, s->dir);
	do
		rc = posix_fallocate(fd, 0, LOCK_LEN);
	while (rc == EINTR);
	if (rc != 0)
		return err_set(e, ERR_LOCAL, "store %s: " LOCK_FILE ": %s",
		    s->dir, strerror(rc));
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
		return store_err(e, s, rc, "file");
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

static void
store_init(struct store *s, const struct store_conf *c)
{
	pthread_condattr_t mono;

	s->dir = xstrdup(c->dir);
	s->seal_path = c->seal != NULL ? xstrdup(c->seal) : NULL;
	s->owner = s->ends = -1;
	s->tolerant = c->tolerant;
	s->read_only = c->read_only;
	s->version = c->version == 0 ? 1 : c->version;
	assert(s->version <= STORE_VERSION_MAX);
	for (; c->databases[s->n_dbs] != NULL; s->n_dbs++) {
		const char *name = c->databases[s->n_dbs];

		assert(s->n_dbs < STORE_DB_MAX &&
		    strcmp(name, STORE_PLAIN_KEY) != 0 &&
		    strcmp(name, STORE_HEAD_KEY) != 0);
		assert(strlen(name) <= SEAL_DB_MAX);
		strcpy(s->names[s->n_dbs], name);
	}
	assert(s->n_dbs > 0);
	s->last = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_cond_init(&s->work, &mono);
	pthread_cond_init(&s->waited, NULL);
	pthread_condattr_destroy(&mono);
}

struct store *
store_new(const struct store_conf *c, struct err *e)
{
	AUTO(store) s = xcalloc(1, sizeof(*s));

	store_init(s, c);
	if (c->seal == NULL)
		memcpy(s->seal.key, c->key, sizeof(s->seal.key));
	else if (store_key_read(c->seal, s->seal.key, e) == -1)
		return NULL;
	return STEAL(s);
}

/* A process that its store ends again and again would never answer anybody. */
static void
count_ends(struct store *s)
{
	unsigned n;

	s->ends = ends_open(s->dir, !s->read_only);
	n = ends_count(s->ends, clock_now().time, STORE_ENDS_SECONDS);
	if (n < STORE_ENDS_MAX)
		return;
	s->read_only = true;
	log_event(LOG_ALARM, "store.read-only", "store", "%s", s->dir, "ends",
	    "%u", n, "reason", "%s",
	    "commits failed again and again: nothing new is stored", NULL);
}

/* The file, its key, its version. */
static int
open_file(struct store *s, const struct store_conf *c, struct err *e)
{
	if (file_check(s, e) == -1 ||
	    (!s->read_only && lock_preallocate(s, e) == -1) ||
	    store_env_open(s, s->dir, s->read_only ? MDB_RDONLY : 0,
		c->map_size, e) == -1 ||
	    (!s->read_only && env_preallocate(s, e) == -1))
		return -1;
	return store_plain_read(s, e);
}

static int
open_upgraded(struct store *s, const struct store_conf *c, struct err *e)
{
	if (s->seal.version == s->version)
		return 0;
	if (s->read_only)
		return err_set(e, ERR_LOCAL,
		    "store %s: version %u, and nothing may be written", s->dir,
		    s->seal.version);
	mdb_env_close(s->env);
	s->env = NULL;
	if (store_upgrade(c, e) == -1)
		return -1;
	return open_file(s, c, e);
}

int
store_open(const struct store_conf *c, struct store **ret, struct err *e)
{
	AUTO(store) s = store_new(c, e);

	if (s == NULL || file_mkdirs(s->dir, 0700, e) == -1 ||
	    store_own(s->dir, &s->owner, e) == -1)
		return -1;
	count_ends(s);
	if (!s->read_only)
		store_sweep(s->dir);
	if (open_file(s, c, e) == -1 ||
	    (!s->read_only && store_settle_secret(s, e) == -1) ||
	    open_upgraded(s, c, e) == -1 || store_contents_open(s, e) == -1 ||
	    owner_mark(s, e) == -1 || store_committer_start(s, e) == -1)
		return -1;
	*ret = STEAL(s);
	return 0;
}

bool
store_read_only(const struct store *s)
{
	return s->read_only;
}

unsigned
store_ends(const char *dir)
{
	AUTO_FD fd = ends_open(dir, false);

	return ends_count(fd, clock_now().time, STORE_ENDS_SECONDS);
}

int
store_check_ends(const char *dir, struct err *e)
{
	unsigned n = store_ends(dir);

	if (n < STORE_ENDS_MAX)
		return 0;
	return err_set(e, ERR_DAMAGE,
	    "store %s: %u commits failed within %d minutes: it would start "
	    "read-only",
	    dir, n, STORE_ENDS_SECONDS / 60);
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	store_backup_end(s);
	store_committer_stop(s);
	if (s->env != NULL)
		mdb_env_close(s->env);
	if (s->owner != -1)
		close(s->owner);
	if (s->ends != -1)
		close(s->ends);
	pthread_cond_destroy(&s->waited);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->lock);
	seal_done(&s->seal);
	free(s->seal_path);
	free(s->dir);
	free(s);
}

unsigned
store_used_percent(struct store *s)
{
	return atomic_load(&s->used_percent);
}
