#undef _FILE_OFFSET_BITS /* pwrite and pwrite64 are two functions here */
#include "tests/fault/fail_calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTS_MAX 64 /* LMDB's own limit of a writev */

static const char *const names[FAIL_CALL__MAX] = {
	[FAIL_OPEN] = "open",
	[FAIL_MMAP] = "mmap",
	[FAIL_FTRUNCATE] = "ftruncate",
	[FAIL_FALLOCATE] = "fallocate",
	[FAIL_READ] = "read",
	[FAIL_WRITE] = "write",
	[FAIL_PWRITE] = "pwrite",
	[FAIL_WRITEV] = "writev",
	[FAIL_FDATASYNC] = "fdatasync",
	[FAIL_FSYNC] = "fsync",
	[FAIL_RENAME] = "rename",
	[FAIL_MKDIR] = "mkdir",
	[FAIL_LOCK] = "lock",
};

static struct fail_plan plan;
static atomic_bool armed, happened;
static atomic_uint counted[FAIL_CALL__MAX];

const char *
fail_call_name(enum fail_call c)
{
	return names[c];
}

void
fail_arm(const struct fail_plan *p)
{
	atomic_store(&armed, false);
	plan = *p;
	for (int i = 0; i < FAIL_CALL__MAX; i++)
		atomic_store(&counted[i], 0);
	atomic_store(&happened, false);
	atomic_store(&armed, true);
}

unsigned
fail_counted(enum fail_call c)
{
	return atomic_load(&counted[c]);
}

void
fail_disarm(void)
{
	atomic_store(&armed, false);
}

bool
fail_happened(void)
{
	return atomic_load(&happened);
}

/* 0: make the call; else errno or FAIL_SHORT. */
static int
fails(enum fail_call c)
{
	unsigned n;

	if (!atomic_load(&armed))
		return 0;
	n = atomic_fetch_add(&counted[c], 1) + 1;
	if (c != plan.call || plan.nth == 0 || n < plan.nth ||
	    (n > plan.nth && !plan.for_good))
		return 0;
	atomic_store(&happened, true);
	return plan.error;
}

/* The next definition of the function that this stands in for. */
#define REAL(name) ((__typeof__(&name))real(#name))

static void *
real(const char *name)
{
	void *fn = dlsym(RTLD_NEXT, name);

	if (fn == NULL)
		abort();
	return fn;
}

/* Returns -1 from the caller if this call is to fail. */
#define FAIL_OR(c) \
	do { \
		int error_ = fails(c); \
		if (error_ != 0) { \
			errno = error_ > 0 ? error_ : EIO; \
			return -1; \
		} \
	} while (0)

/* The same of a transfer, which may also be cut short. */
#define FAIL_OR_CUT(c, n) \
	do { \
		int error_ = fails(c); \
		if (error_ > 0) { \
			errno = error_; \
			return -1; \
		} \
		if (error_ == FAIL_SHORT) \
			(n) = (n) > 1 ? (n) / 2 : (n); \
	} while (0)

/* ---- names ------------------------------------------------------------ */

static mode_t
open_mode(int flags, va_list ap)
{
	return (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name) \
	int name(const char *path, int flags, ...) \
	{ \
		mode_t mode; \
		va_list ap; \
\
		va_start(ap, flags); \
		mode = open_mode(flags, ap); \
		va_end(ap); \
		FAIL_OR(FAIL_OPEN); \
		return REAL(name)(path, flags, mode); \
	} \
	_Static_assert(1, "a place for the semicolon")

#define OPENAT(name) \
	int name(int dir, const char *path, int flags, ...) \
	{ \
		mode_t mode; \
		va_list ap; \
\
		va_start(ap, flags); \
		mode = open_mode(flags, ap); \
		va_end(ap); \
		FAIL_OR(FAIL_OPEN); \
		return REAL(name)(dir, path, flags, mode); \
	} \
	_Static_assert(1, "a place for the semicolon")

OPEN(open);
OPEN(open64);
OPENAT(openat);
OPENAT(openat64);

int
rename(const char *from, const char *to)
{
	FAIL_OR(FAIL_RENAME);
	return REAL(rename)(from, to);
}

int
mkdir(const char *path, mode_t mode)
{
	FAIL_OR(FAIL_MKDIR);
	return REAL(mkdir)(path, mode);
}

int
flock(int fd, int operation)
{
	FAIL_OR(FAIL_LOCK);
	return REAL(flock)(fd, operation);
}

/* Every caller of ours and LMDB hands in one more word, or none. */
#define FCNTL(name) \
	int name(int fd, int cmd, ...) \
	{ \
		va_list ap; \
		void *arg; \
\
		va_start(ap, cmd); \
		arg = va_arg(ap, void *); \
		va_end(ap); \
		if (cmd == F_SETLK || cmd == F_SETLKW) \
			FAIL_OR(FAIL_LOCK); \
		return REAL(name)(fd, cmd, arg); \
	} \
	_Static_assert(1, "a place for the semicolon")

FCNTL(fcntl);
FCNTL(fcntl64);

/* ---- space ------------------------------------------------------------ */

#define MMAP(name, off) \
	void *name(void *p, size_t n, int prot, int flags, int fd, off at) \
	{ \
		int error = fails(FAIL_MMAP); \
\
		if (error != 0) { \
			errno = error; \
			return MAP_FAILED; \
		} \
		return REAL(name)(p, n, prot, flags, fd, at); \
	} \
	_Static_assert(1, "a place for the semicolon")

MMAP(mmap, off_t);
MMAP(mmap64, off64_t);

#define FTRUNCATE(name, off) \
	int name(int fd, off n) \
	{ \
		FAIL_OR(FAIL_FTRUNCATE); \
		return REAL(name)(fd, n); \
	} \
	_Static_assert(1, "a place for the semicolon")

FTRUNCATE(ftruncate, off_t);
FTRUNCATE(ftruncate64, off64_t);

#define FALLOCATE(name, off) \
	int name(int fd, off at, off n) \
	{ \
		int error = fails(FAIL_FALLOCATE); \
\
		return error != 0 ? error : REAL(name)(fd, at, n); \
	} \
	_Static_assert(1, "a place for the semicolon")

FALLOCATE(posix_fallocate, off_t);
FALLOCATE(posix_fallocate64, off64_t);

int
fdatasync(int fd)
{
	FAIL_OR(FAIL_FDATASYNC);
	return REAL(fdatasync)(fd);
}

int
fsync(int fd)
{
	FAIL_OR(FAIL_FSYNC);
	return REAL(fsync)(fd);
}

/* ---- octets ----------------------------------------------------------- */

ssize_t
read(int fd, void *p, size_t n)
{
	FAIL_OR_CUT(FAIL_READ, n);
	return REAL(read)(fd, p, n);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	FAIL_OR_CUT(FAIL_WRITE, n);
	return REAL(write)(fd, p, n);
}

#define PREAD(name, off) \
	ssize_t name(int fd, void *p, size_t n, off at) \
	{ \
		FAIL_OR_CUT(FAIL_READ, n); \
		return REAL(name)(fd, p, n, at); \
	} \
	_Static_assert(1, "a place for the semicolon")

PREAD(pread, off_t);
PREAD(pread64, off64_t);

#define PWRITE(name, off) \
	ssize_t name(int fd, const void *p, size_t n, off at) \
	{ \
		FAIL_OR_CUT(FAIL_PWRITE, n); \
		return REAL(name)(fd, p, n, at); \
	} \
	_Static_assert(1, "a place for the semicolon")

PWRITE(pwrite, off_t);
PWRITE(pwrite64, off64_t);

/* Half of the parts, the last of them halved. */
static int
cut(const struct iovec *v, int n, struct iovec ret[PARTS_MAX])
{
	n = n < PARTS_MAX ? n : PARTS_MAX;
	n = (n + 1) / 2;
	for (int i = 0; i < n; i++)
		ret[i] = v[i];
	ret[n - 1].iov_len = (ret[n - 1].iov_len + 1) / 2;
	return n;
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	struct iovec half[PARTS_MAX];
	int error = fails(FAIL_WRITEV);

	if (error > 0) {
		errno = error;
		return -1;
	}
	if (error == FAIL_SHORT && n > 0)
		return REAL(writev)(fd, half, cut(v, n, half));
	return REAL(writev)(fd, v, n);
}

#define PWRITEV(name, off) \
	ssize_t name(int fd, const struct iovec *v, int n, off at) \
	{ \
		struct iovec half[PARTS_MAX]; \
		int error = fails(FAIL_WRITEV); \
\
		if (error > 0) { \
			errno = error; \
			return -1; \
		} \
		if (error == FAIL_SHORT && n > 0) \
			return REAL(name)(fd, half, cut(v, n, half), at); \
		return REAL(name)(fd, v, n, at); \
	} \
	_Static_assert(1, "a place for the semicolon")

PWRITEV(pwritev, off_t);
PWRITEV(pwritev64, off64_t);
