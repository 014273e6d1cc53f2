#include "common/queue/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include "common/base/file.h"

#define NAME_MAX_LEN 40

static int
check_name(const char *name, struct err *e)
{
	static const char may[] = "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t n = strlen(name);

	if (n == 0 || n > NAME_MAX_LEN || strspn(name, may) != n)
		return err_set(e, ERR_INPUT,
		    "backup: a name is 1 to %d letters, digits and '-'",
		    NAME_MAX_LEN);
	return 0;
}

/* DIR/WORD-NAME.mdb, which must not be there. */
static char *
named_path(const char *dir, const char *word, const char *name, struct err *e)
{
	struct buf b AUTO_BUF = { 0 };
	struct stat st;

	if (check_name(name, e) == -1)
		return NULL;
	buf_printf(&b, "%s/%s-%s.mdb", dir, word, name);
	if (lstat(buf_cstr(&b), &st) == 0) {
		err_set(e, ERR_INPUT, "%s: there already", buf_cstr(&b));
		return NULL;
	}
	return xstrdup(buf_cstr(&b));
}

static enum err_kind
kind_of(int error)
{
	return error == ENOSPC || error == EDQUOT ? ERR_RETRY : ERR_LOCAL;
}

/* ---- a live copy ----------------------------------------------------- */

struct backup {
	struct store *store;
	struct store_backup *b;
	void (*done)(struct store_backup *b, const struct err *e);
	struct post to;
	pthread_t thread;
	bool over; /* under the store's lock */
};

static int
write_copy(struct store *s, const char *path, struct err *e)
{
	AUTO_FD fd = open(
	    path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd == -1)
		return err_errno(e, kind_of(errno), "backup: %s", path);
	if ((rc = mdb_env_copyfd(s->env, fd)) != 0)
		return err_set(
		    e, kind_of(rc), "backup: %s: %s", path, mdb_strerror(rc));
	if (fsync(fd) == -1)
		return err_errno(e, kind_of(errno), "backup: %s", path);
	return 0;
}

static int
read_copy(
    struct store *s, const char *path, struct store_report *ret, struct err *e)
{
	const char *names[STORE_DB_MAX + 1] = { NULL };
	struct store_conf c = { .databases = names, .version = s->version };
	AUTO(store) image = NULL;
	int rc;

	for (unsigned i = 0; i < s->n_dbs; i++)
		names[i] = s->names[i];
	memcpy(c.key, s->seal.key, sizeof(c.key));
	rc = store_image_open(&c, path, &image, e);
	explicit_bzero(c.key, sizeof(c.key));
	return rc == -1 ? -1 : store_image_report(image, ret, e);
}

static int
backup_run(struct store *s, struct store_backup *b, struct err *e)
{
	AUTO(char) next = path_join(s->dir, STORE_PART);
	AUTO(char) path = named_path(s->dir, "backup", b->name, e);

	if (path == NULL)
		return -1;
	if (write_copy(s, next, e) == -1 ||
	    read_copy(s, next, &b->report, e) == -1) {
		unlink(next);
		return -1;
	}
	if (rename(next, path) == -1)
		return err_errno(e, ERR_LOCAL, "backup: %s", path);
	if (file_sync_dir(s->dir, e) == -1)
		return -1;
	b->path = STEAL(path);
	return 0;
}

struct told {
	struct store_backup *b;
	void (*done)(struct store_backup *b, const struct err *e);
	bool failed;
	struct err e;
};

static void
deliver(void *arg)
{
	struct told *t = arg;

	t->done(t->b, t->failed ? &t->e : NULL);
	free(t);
}

static void
tell(struct store_backup *b,
    void (*done)(struct store_backup *b, const struct err *e), struct post to,
    const struct err *e)
{
	struct told *t = xcalloc(1, sizeof(*t));

	t->b = b;
	t->done = done;
	if ((t->failed = e != NULL))
		t->e = *e;
	to.post(to.to, deliver, t);
}

static void *
backup_thread(void *arg)
{
	struct backup *k = arg;
	struct err e = ERR_INIT;
	int rc = backup_run(k->store, k->b, &e);

	/* Over before it is told, so that who was told may ask again. */
	pthread_mutex_lock(&k->store->lock);
	k->over = true;
	pthread_mutex_unlock(&k->store->lock);
	tell(k->b, k->done, k->to, rc == -1 ? &e : NULL);
	return NULL;
}

static int
backup_start(struct backup *k, struct err *e)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	sigdelset(&all, SIGRTMIN); /* by which a sandbox reaches all threads */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&k->thread, NULL, backup_thread, k);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0
	    ? 0
	    : err_set(e, ERR_RETRY, "backup: thread: %s", strerror(rc));
}

static bool
backup_is_over(struct store *s)
{
	bool over;

	pthread_mutex_lock(&s->lock);
	over = s->backup == NULL || s->backup->over;
	pthread_mutex_unlock(&s->lock);
	return over;
}

void
store_backup_end(struct store *s)
{
	if (s->backup == NULL)
		return;
	pthread_join(s->backup->thread, NULL);
	free(s->backup);
	s->backup = NULL;
}

void
store_backup(struct store *s, struct store_backup *b,
    void (*done)(struct store_backup *b, const struct err *e), struct post to)
{
	struct err e = ERR_INIT;
	struct backup *k;

	b->path = NULL;
	b->report = (struct store_report){ 0 };
	if (!backup_is_over(s)) {
		err_set(&e, ERR_RETRY, "backup: one is being made");
		tell(b, done, to, &e);
		return;
	}
	store_backup_end(s);
	k = xcalloc(1, sizeof(*k));
	*k = (struct backup){ .store = s, .b = b, .done = done, .to = to };
	if (backup_start(k, &e) == 0) {
		s->backup = k;
		return;
	}
	free(k);
	tell(b, done, to, &e);
}

/* ---- a copy put in place --------------------------------------------- */

void
store_sweep(const char *dir)
{
	static const char *const files[] = { STORE_PART,
		STORE_NEXT "/" STORE_FILE, STORE_NEXT "/lock.mdb",
		STORE_NEXT "/owner", STORE_NEXT "/ends",
		STORE_NEXT "/" STORE_PART };
	AUTO(char) next = path_join(dir, STORE_NEXT);

	for (size_t i = 0; i < NELEMS(files); i++) {
		AUTO(char) path = path_join(dir, files[i]);

		unlink(path);
	}
	rmdir(next);
}

/* Nothing of this folder's store is kept open, so one rename is the change.
 * What was there has its second name before. */
static int
put_in_place(const struct store_conf *c, const char *made, const char *before,
    struct err *e)
{
	AUTO(char) file = path_join(c->dir, STORE_FILE);
	AUTO(char) ends = path_join(c->dir, "ends");

	if (link(file, before) == -1 && errno != ENOENT)
		return err_errno(e, ERR_LOCAL, "%s", before);
	if (file_sync_dir(c->dir, e) == -1)
		return -1;
	if (rename(made, file) == -1)
		return err_errno(e, ERR_LOCAL, "%s", file);
	unlink(ends); /* they were of the other */
	return file_sync_dir(c->dir, e);
}

static int
make(const struct store_conf *c, const char *file, const char *dir,
    store_prepare prepare, void *arg, struct store_report *ret, struct err *e)
{
	AUTO(char) made = path_join(dir, STORE_FILE);

	if (file_mkdirs(dir, 0700, e) == -1 || file_copy(file, made, e) == -1 ||
	    store_check(c, made, ret, e) == -1)
		return -1;
	return prepare == NULL ? 0 : prepare(dir, arg, e);
}

int
store_restore(const struct store_conf *c, const char *file, const char *name,
    store_prepare prepare, void *arg, struct store_report *ret, struct err *e)
{
	AUTO(char) dir = path_join(c->dir, STORE_NEXT);
	AUTO(char) made = path_join(dir, STORE_FILE);
	AUTO(char) before = NULL;
	AUTO_FD lock = -1;
	int rc;

	if (file_mkdirs(c->dir, 0700, e) == -1 ||
	    store_own(c->dir, &lock, e) == -1 ||
	    (before = named_path(c->dir, "before", name, e)) == NULL)
		return -1;
	store_sweep(c->dir);
	if ((rc = make(c, file, dir, prepare, arg, ret, e)) == 0)
		rc = put_in_place(c, made, before, e);
	store_sweep(c->dir);
	return rc;
}
