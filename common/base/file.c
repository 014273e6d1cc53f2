#include "common/base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)1024 * 1024)

/* As err_errno, with the kind that errno tells. */
static int
fail(struct err *e, const char *path, const char *what)
{
	enum err_kind kind = ERR_LOCAL;

	if (errno == EACCES || errno == EPERM)
		kind = ERR_PERM;
	else if (errno == ENOSPC || errno == EDQUOT)
		kind = ERR_RETRY;
	return err_errno(e, kind, "%s: %s", path, what);
}

/* Reads to the end, or one octet over max. */
static int
read_all(int fd, size_t max, struct buf *b)
{
	ssize_t n;

	while (b->len <= max) {
		size_t at = b->len, room = b->cap - at;

		if (room == 0)
			room = max + 1 - at < 65536 ? max + 1 - at : 65536;
		n = read(fd, buf_grow(b, room), room);
		b->len = at + (n > 0 ? (size_t)n : 0);
		if (n == 0 || (n == -1 && errno != EINTR))
			return n == 0 ? 0 : -1;
	}
	return 0;
}

int
file_read(const char *path, size_t max, struct buf *ret, struct err *e)
{
	/* It may be a key. */
	struct buf b AUTO_SECRET = { 0 };
	struct stat st;
	AUTO_FD fd = -1;

	assert(ret->len == 0 && max < SIZE_MAX / 4);
	/* A FIFO must not hold us up before we know that it is one. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return fail(e, path, "open");
	if (fstat(fd, &st) == -1)
		return fail(e, path, "stat");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, "%s: not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_set(e, ERR_INPUT, "%s: %lld octets, limit %zu", path,
		    (long long)st.st_size, max);
	/* One more than the size, to see its end without growing again. */
	buf_grow(&b, (size_t)st.st_size + 1);
	buf_reset(&b);
	if (read_all(fd, max, &b) == -1)
		return fail(e, path, "read");
	if (b.len > max)
		return err_set(e, ERR_INPUT, "%s: over the limit of %zu octets",
		    path, max);
	buf_done(ret);
	*ret = b;
	b = (struct buf){ 0 };
	return 0;
}

int
file_sync_dir(const char *path, struct err *e)
{
	AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		return fail(e, path, "open");
	if (fsync(fd) == -1)
		return fail(e, path, "fsync");
	return 0;
}

/* malloc'd: the folder that holds path. */
static char *
parent_of(const char *path)
{
	size_t n = strlen(path);
	char *dir;

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 0)
		return xstrdup(".");
	dir = xstrdup(path);
	dir[n] = '\0';
	return dir;
}

static int
write_all(int fd, struct bytes data)
{
	ssize_t n;

	while (data.len > 0) {
		n = write(fd, data.p, data.len);
		if (n == -1 && errno != EINTR)
			return -1;
		if (n > 0) {
			data.p += n;
			data.len -= (size_t)n;
		}
	}
	return 0;
}

/* Writes a new file, down to the disk. */
static int
write_new(const char *path, mode_t mode, struct bytes data, struct err *e)
{
	AUTO_FD fd = -1;

	/* What a crash left there may have another mode or owner. */
	if (unlink(path) == -1 && errno != ENOENT)
		return fail(e, path, "unlink");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0700);
	if (fd == -1)
		return fail(e, path, "create");
	if (fchmod(fd, mode) == -1)
		return fail(e, path, "chmod");
	if (write_all(fd, data) == -1)
		return fail(e, path, "write");
	if (fsync(fd) == -1)
		return fail(e, path, "fsync");
	if (close(fd_steal(&fd)) == -1)
		return fail(e, path, "close");
	return 0;
}

int
file_write(const char *path, mode_t mode, struct bytes data, struct err *e)
{
	struct buf tmp AUTO_BUF = { 0 };
	AUTO(char) dir = parent_of(path);
	const char *name;

	buf_printf(&tmp, "%s.tmp", path);
	name = buf_cstr(&tmp);
	if (write_new(name, mode, data, e) == -1) {
		unlink(name);
		return -1;
	}
	if (rename(name, path) == -1) {
		fail(e, path, "rename");
		unlink(name);
		return -1;
	}
	return file_sync_dir(dir, e);
}

static bool
is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int
file_mkdirs(const char *path, mode_t mode, struct err *e)
{
	AUTO(char) dir = NULL;

	if (is_dir(path))
		return 0;
	dir = parent_of(path);
	/* "." and "/" are their own parents, and exist. */
	if (strcmp(dir, path) != 0 && file_mkdirs(dir, mode, e) == -1)
		return -1;
	if (mkdir(path, mode) == -1) {
		if (errno == EEXIST && is_dir(path))
			return 0;
		return fail(e, path, "mkdir");
	}
	return file_sync_dir(dir, e);
}

char *
path_join(const char *dir, const char *name)
{
	size_t n = strlen(dir);
	struct buf b = { 0 };

	buf_printf(
	    &b, "%s%s%s", dir, n > 0 && dir[n - 1] != '/' ? "/" : "", name);
	buf_cstr(&b);
	return (char *)b.data;
}

/* ---- copies ---------------------------------------------------------- */

static int
pour(int from, int to)
{
	AUTO(void) mem = xmalloc(PIECE);
	ssize_t n;

	for (;;) {
		n = read(from, mem, PIECE);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? fsync(to) : -1;
		if (write_all(to, bytes_of(mem, (size_t)n)) == -1)
			return -1;
	}
}

int
file_copy(const char *from, const char *to, struct err *e)
{
	AUTO_FD in = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	AUTO_FD out = -1;
	struct stat st;

	if (in == -1 || fstat(in, &st) == -1)
		return fail(e, from, "open");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, "%s: not a regular file", from);
	out = open(
	    to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out == -1)
		return fail(e, to, "create");
	if (pour(in, out) == 0)
		return 0;
	fail(e, to, "copy");
	unlink(to);
	return -1;
}
