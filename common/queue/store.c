#include "common/queue/store_int.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "common/base/file.h"
#include "common/queue/store_pages.h"

#define SECRET_MIN	32
#define SECRET_FILE_MAX 4096

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

/* LMDB takes an empty file for a new environment, so DIR/owner tells whether
 * there was one; and it believes whatever is in another. */
static int
file_check(struct store *s, struct err *e)
{
	AUTO(char) path = path_join(s->dir, "data.mdb");
	struct stat st, owner;

	if (fstat(s->owner, &owner) == -1)
		return err_errno(e, ERR_LOCAL, "store %s: owner", s->dir);
	if (owner.st_size > 0 && (stat(path, &st) == -1 || st.st_size == 0))
		return err_set(e, ERR_DAMAGE,
		    "store %s: data.mdb is gone or empty, and was not: bring "
		    "a copy back, or begin anew without the file \"owner\"",
		    s->dir);
	return store_pages_check(path, e);
}

static int
owner_mark(struct store *s, struct err *e)
{
	static const char mark[] = "there is a store\n";
	struct stat st;

	if (fstat(s->owner, &st) == 0 && st.st_size > 0)
		return 0;
	if (pwrite(s->owner, mark, sizeof(mark) - 1, 0) == -1 ||
	    fsync(s->owner) == -1)
		return err_errno(e, ERR_LOCAL, "store %s: owner", s->dir);
	return 0;
}

static int
env_open(struct store *s, uint64_t map_size, struct err *e)
{
	MDB_envinfo info;
	MDB_stat st;
	int dead, rc;

	if ((rc = mdb_env_create(&s->env)) != 0)
		return store_err(e, s, rc, "environment");
	if ((rc = mdb_env_set_mapsize(s->env, map_size)) != 0 ||
	    (rc = mdb_env_set_maxdbs(s->env, STORE_DB_MAX)) != 0 ||
	    (rc = mdb_env_open(
		 s->env, s->dir, MDB_NOTLS | MDB_NORDAHEAD, 0600)) != 0)
		return store_err(e, s, rc, "open");
	if ((rc = mdb_reader_check(s->env, &dead)) != 0 ||
	    (rc = mdb_env_info(s->env, &info)) != 0 ||
	    (rc = mdb_env_stat(s->env, &st)) != 0)
		return store_err(e, s, rc, "readers");
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

		assert(s->n_dbs < STORE_DB_MAX &&
		    strcmp(name, STORE_PLAIN_KEY) != 0);
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
	return s;
}

int
store_open(const struct store_conf *c, struct store **ret, struct err *e)
{
	AUTO(store) s = store_new(c);

	if (file_mkdirs(s->dir, 0700, e) == -1 || owner_lock(s, e) == -1 ||
	    file_check(s, e) == -1 || env_open(s, c->map_size, e) == -1 ||
	    env_preallocate(s, e) == -1 || store_contents_open(s, e) == -1 ||
	    owner_mark(s, e) == -1 || store_committer_start(s, e) == -1)
		return -1;
	*ret = STEAL(s);
	return 0;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	store_committer_stop(s);
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

unsigned
store_used_percent(struct store *s)
{
	return atomic_load(&s->used_percent);
}

/* ---- the seal secret ------------------------------------------------- */

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
