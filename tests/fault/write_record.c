/*
 * Loaded before a program (LD_PRELOAD): writes down what it does to the files
 * below one folder (record.h).  WRITE_RECORD names the record, WRITE_RECORD_DIR
 * the folder: its real path, without a slash at the end, empty at first.
 *
 * A call and its record are one under a lock, so their order in the record is
 * that in which they took effect.  Calls with relative paths, and stores
 * through a writable mapping, are not seen: LMDB's lock file, which is of no
 * meaning after a power cut, is the only one that this project writes so.
 */
#undef _FILE_OFFSET_BITS /* pwrite and pwrite64 are two functions here */
#include "tests/fault/write_record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define HIGH_FD	  400 /* out of the way of programs that count theirs */
#define PARTS_MAX 1024

static int log_fd = -1;
static char root[PATH_MAX];
static size_t root_len;
pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;

void *
record_real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (fn == NULL)
		abort();
	return fn;
}

/* ---- the record -------------------------------------------------------- */

/* A record with a gap would be believed: better none. */
void
record_put(const struct record *r, const void *octets)
{
	const struct iovec v[] = {
		{ (void *)(uintptr_t)r, sizeof(*r) },
		{ (void *)(uintptr_t)octets, r->len },
	};
	int saved = errno;

	if (syscall(SYS_writev, log_fd, v, 2) != (long)(sizeof(*r) + r->len))
		abort();
	errno = saved;
}

static uint64_t
inode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

uint64_t
record_inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

__attribute__((constructor)) static void
write_record_open(void)
{
	const char *path = getenv("WRITE_RECORD");
	const char *dir = getenv("WRITE_RECORD_DIR");
	int fd;

	if (path == NULL || dir == NULL || strlen(dir) >= sizeof(root))
		return;
	strcpy(root, dir);
	root_len = strlen(root);
	fd = (int)syscall(SYS_openat, AT_FDCWD, path,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd == -1)
		abort();
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	syscall(SYS_close, fd);
	record_put(
	    &(struct record){ .op = RECORD_ROOT, .file = inode_of(root) },
	    NULL);
}

void
write_record_mark(const void *p, size_t n)
{
	if (log_fd == -1)
		return;
	pthread_mutex_lock(&record_lock);
	record_put(
	    &(struct record){ .op = RECORD_MARK, .len = (uint32_t)n }, p);
	pthread_mutex_unlock(&record_lock);
}

/* ---- which file -------------------------------------------------------- */

static bool
is_ours(const char *path)
{
	return log_fd != -1 && strncmp(path, root, root_len) == 0 &&
	    (path[root_len] == '/' || path[root_len] == '\0');
}

bool
record_is_our_fd(int fd)
{
	char link[32], path[PATH_MAX];
	int saved = errno;
	ssize_t n;

	if (log_fd == -1 || fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	errno = saved;
	if (n <= 0)
		return false;
	path[n] = '\0';
	return is_ours(path);
}

/* The last part of a path. */
static const char *
name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

static uint64_t
folder_of(const char *path)
{
	char dir[PATH_MAX];
	size_t n = (size_t)(name_of(path) - path);

	if (n == 0 || n >= sizeof(dir))
		return 0;
	memcpy(dir, path, n);
	dir[n] = '\0'; /* the slash at its end does no harm */
	return inode_of(dir);
}

static void
put_name(enum record_op op, uint64_t file, const char *path)
{
	const char *name = name_of(path);

	record_put(&(struct record){ .op = op,
		       .len = (uint32_t)strlen(name),
		       .file = file,
		       .dir = folder_of(path) },
	    name);
}

/* ---- names ------------------------------------------------------------- */

/* Opens by `call`, and tells what became new by it. */
static int
open_recorded(int (*call)(const char *path, int flags, ...), const char *path,
    int flags, mode_t mode)
{
	bool was;
	int fd;

	if (!is_ours(path) || (flags & (O_CREAT | O_TRUNC)) == 0)
		return call(path, flags, mode);
	pthread_mutex_lock(&record_lock);
	was = inode_of(path) != 0;
	fd = call(path, flags, mode);
	if (fd != -1 && !was)
		put_name(RECORD_CREATE, record_inode(fd), path);
	else if (fd != -1 && (flags & O_TRUNC) != 0)
		record_put(&(struct record){ .op = RECORD_TRUNCATE,
			       .file = record_inode(fd) },
		    NULL);
	pthread_mutex_unlock(&record_lock);
	return fd;
}

static mode_t
mode_of(int flags, va_list ap)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
}

int
open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_recorded(REAL(open), path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_recorded(REAL(open64), path, flags, mode);
}

int
mkdir(const char *path, mode_t mode)
{
	int rc;

	if (!is_ours(path))
		return REAL(mkdir)(path, mode);
	pthread_mutex_lock(&record_lock);
	if ((rc = REAL(mkdir)(path, mode)) == 0)
		put_name(RECORD_MKDIR, inode_of(path), path);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

int
rename(const char *from, const char *to)
{
	char names[2 * NAME_MAX + 2];
	struct record r = { .op = RECORD_RENAME };
	int n, rc;

	if (!is_ours(from) || !is_ours(to))
		return REAL(rename)(from, to);
	pthread_mutex_lock(&record_lock);
	r.file = inode_of(from);
	r.at = folder_of(from);
	r.dir = folder_of(to);
	if ((rc = REAL(rename)(from, to)) == 0) {
		n = snprintf(names, sizeof(names), "%s%c%s", name_of(from), 0,
		    name_of(to));
		r.len = (uint32_t)n;
		record_put(&r, names);
	}
	pthread_mutex_unlock(&record_lock);
	return rc;
}

static int
remove_recorded(int (*call)(const char *path), const char *path)
{
	int rc;

	if (!is_ours(path))
		return call(path);
	pthread_mutex_lock(&record_lock);
	if ((rc = call(path)) == 0)
		put_name(RECORD_UNLINK, 0, path);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

int
unlink(const char *path)
{
	return remove_recorded(REAL(unlink), path);
}

int
rmdir(const char *path)
{
	return remove_recorded(REAL(rmdir), path);
}

/* One more name of a file: as if it were created so. */
int
link(const char *from, const char *to)
{
	int rc;

	if (!is_ours(to))
		return REAL(link)(from, to);
	pthread_mutex_lock(&record_lock);
	if ((rc = REAL(link)(from, to)) == 0)
		put_name(RECORD_CREATE, inode_of(to), to);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

/* ---- what the model does not know -------------------------------------- */

static void
unknown(const char *call)
{
	pthread_mutex_lock(&record_lock);
	record_put(&(struct record){ .op = RECORD_UNKNOWN,
		       .len = (uint32_t)strlen(call) },
	    call);
	pthread_mutex_unlock(&record_lock);
}

int
renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	if (log_fd != -1)
		unknown("renameat");
	return REAL(renameat)(from_fd, from, to_fd, to);
}

int
unlinkat(int fd, const char *path, int flags)
{
	if (record_is_our_fd(fd) || is_ours(path))
		unknown("unlinkat");
	return REAL(unlinkat)(fd, path, flags);
}

int
fallocate(int fd, int mode, off_t at, off_t n)
{
	if (record_is_our_fd(fd))
		unknown("fallocate");
	return REAL(fallocate)(fd, mode, at, n);
}

int
msync(void *p, size_t n, int flags)
{
	if (log_fd != -1)
		unknown("msync");
	return REAL(msync)(p, n, flags);
}
