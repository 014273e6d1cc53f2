/* Sizes, octets and syncs of recorded files. */
#undef _FILE_OFFSET_BITS /* pwrite and pwrite64 are two functions here */
#include "tests/fault/write_record.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- sizes ------------------------------------------------------------- */

static void
put_size(enum record_op op, int fd, uint64_t size)
{
	record_put(
	    &(struct record){ .op = op, .file = record_inode(fd), .at = size },
	    NULL);
}

int
ftruncate(int fd, off_t size)
{
	int rc;

	if (!record_is_our_fd(fd))
		return REAL(ftruncate)(fd, size);
	pthread_mutex_lock(&record_lock);
	if ((rc = REAL(ftruncate)(fd, size)) == 0)
		put_size(RECORD_TRUNCATE, fd, (uint64_t)size);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

int
ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int
posix_fallocate(int fd, off_t at, off_t n)
{
	int rc;

	if (!record_is_our_fd(fd))
		return REAL(posix_fallocate)(fd, at, n);
	pthread_mutex_lock(&record_lock);
	if ((rc = REAL(posix_fallocate)(fd, at, n)) == 0)
		put_size(RECORD_ALLOCATE, fd, (uint64_t)(at + n));
	pthread_mutex_unlock(&record_lock);
	return rc;
}

int
posix_fallocate64(int fd, off64_t at, off64_t n)
{
	return posix_fallocate(fd, at, n);
}

/* ---- octets ------------------------------------------------------------ */

static bool
is_synchronous(int fd)
{
	return (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
}

static void
put_write(int fd, uint64_t at, const void *p, size_t n)
{
	record_put(
	    &(struct record){
		.op = is_synchronous(fd) ? RECORD_WRITE_SYNC : RECORD_WRITE,
		.len = (uint32_t)n,
		.file = record_inode(fd),
		.at = at },
	    p);
}

/* What was written of the parts, each as a write of its own: LMDB's are
 * pages. */
static void
put_parts(int fd, uint64_t at, const struct iovec *v, int n, ssize_t written)
{
	size_t left = written > 0 ? (size_t)written : 0, len;

	for (int i = 0; i < n && left > 0; i++) {
		len = v[i].iov_len < left ? v[i].iov_len : left;
		put_write(fd, at, v[i].iov_base, len);
		at += len;
		left -= len;
	}
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t rc;

	if (!record_is_our_fd(fd))
		return REAL(pwrite)(fd, p, n, at);
	pthread_mutex_lock(&record_lock);
	if ((rc = REAL(pwrite)(fd, p, n, at)) > 0)
		put_write(fd, (uint64_t)at, p, (size_t)rc);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	ssize_t rc;

	if (!record_is_our_fd(fd))
		return REAL(pwritev)(fd, v, n, at);
	pthread_mutex_lock(&record_lock);
	rc = REAL(pwritev)(fd, v, n, at);
	put_parts(fd, (uint64_t)at, v, n, rc);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

ssize_t
pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	return pwritev(fd, v, n, at);
}

/* Where the last write by the file's own position began. */
static uint64_t
began(int fd, ssize_t written)
{
	return (uint64_t)(lseek(fd, 0, SEEK_CUR) - written);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t rc;

	if (!record_is_our_fd(fd))
		return REAL(write)(fd, p, n);
	pthread_mutex_lock(&record_lock);
	if ((rc = REAL(write)(fd, p, n)) > 0)
		put_write(fd, began(fd, rc), p, (size_t)rc);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	ssize_t rc;

	if (!record_is_our_fd(fd))
		return REAL(writev)(fd, v, n);
	pthread_mutex_lock(&record_lock);
	if ((rc = REAL(writev)(fd, v, n)) > 0)
		put_parts(fd, began(fd, rc), v, n, rc);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

/* ---- syncs ------------------------------------------------------------- */

static int
sync_recorded(int (*call)(int fd), int fd)
{
	int rc;

	if (!record_is_our_fd(fd))
		return call(fd);
	pthread_mutex_lock(&record_lock);
	if ((rc = call(fd)) == 0)
		record_put(&(struct record){ .op = RECORD_SYNC,
			       .file = record_inode(fd) },
		    NULL);
	pthread_mutex_unlock(&record_lock);
	return rc;
}

int
fdatasync(int fd)
{
	return sync_recorded(REAL(fdatasync), fd);
}

int
fsync(int fd)
{
	return sync_recorded(REAL(fsync), fd);
}
