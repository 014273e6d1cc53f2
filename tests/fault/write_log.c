/*
 * Loaded before a program (LD_PRELOAD): writes down, in the order in which
 * they happened, its writes and syncs of *.mdb files and what it sends to and
 * receives from TCP sockets.  WRITE_LOG names the file; commit_order reads it.
 *
 *   <monotonic ns> <pid> <event> <fd> <octets> <port of the peer> <first octets>
 *
 *   write   octets were given to a database file; nothing is said of the disk
 *   dsync   a write to one with O_DSYNC has returned: LMDB's meta page
 *   sync    fdatasync, fsync or msync has returned
 *   recv    octets have come from a TCP peer
 *   send    octets are about to be given to a TCP socket
 *
 * What must have happened is written after the call, what must not have
 * happened yet before it: so "dsync" above "send" in the file is proof, whatever
 * the threads do.  One write(2) with O_APPEND a line, by the bare system call.
 */
#undef _FILE_OFFSET_BITS /* pwrite and pwrite64 are two functions here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define HIGH_FD	     400 /* out of the way of programs that count theirs */
#define FIRST_OCTETS 5	 /* a TLS record's header */

static int log_fd = -1;

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

__attribute__((constructor)) static void
write_log_open(void)
{
	const char *path = getenv("WRITE_LOG");
	int fd;

	if (path == NULL)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd == -1)
		return;
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	syscall(SYS_close, fd);
}

static void
note(const char *event, int fd, size_t octets, unsigned port, const void *first)
{
	char line[160], hex[2 * FIRST_OCTETS + 1] = "-";
	int saved = errno, n;
	struct timespec t;

	for (size_t i = 0; first != NULL && i < FIRST_OCTETS && i < octets; i++)
		snprintf(hex + 2 * i, 3, "%02x", ((const uint8_t *)first)[i]);
	clock_gettime(CLOCK_MONOTONIC, &t);
	n = snprintf(line, sizeof(line), "%lld%09ld %ld %s %d %zu %u %s\n",
	    (long long)t.tv_sec, t.tv_nsec, syscall(SYS_getpid), event, fd,
	    octets, port, hex);
	syscall(SYS_write, log_fd, line, (size_t)n);
	errno = saved;
}

static bool
is_database(int fd)
{
	char link[32], path[512];
	int saved = errno;
	ssize_t n;

	if (log_fd == -1)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path));
	errno = saved;
	return n > 4 && n < (ssize_t)sizeof(path) &&
	    memcmp(path + n - 4, ".mdb", 4) == 0;
}

/* The port of a TCP peer; 0: no such socket. */
static unsigned
peer_port(int fd)
{
	union {
		struct sockaddr_storage any;
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
	socklen_t len = sizeof(peer);
	int saved = errno;
	long rc;

	if (log_fd == -1)
		return 0;
	rc = syscall(SYS_getpeername, fd, &peer, &len);
	errno = saved;
	if (rc != 0)
		return 0;
	if (peer.sa.sa_family == AF_INET)
		return ntohs(peer.v4.sin_port);
	return peer.sa.sa_family == AF_INET6 ? ntohs(peer.v6.sin6_port) : 0;
}

/* A write has returned: to which kind of file? */
static void
note_written(int fd, ssize_t n)
{
	if (n <= 0 || !is_database(fd))
		return;
	note((fcntl(fd, F_GETFL) & O_DSYNC) != 0 ? "dsync" : "write", fd,
	    (size_t)n, 0, NULL);
}

static void
note_sync(int fd, int rc)
{
	if (rc == 0 && is_database(fd))
		note("sync", fd, 0, 0, NULL);
}

static void
note_sending(int fd, const void *p, size_t n)
{
	unsigned port = peer_port(fd);

	if (port != 0)
		note("send", fd, n, port, p);
}

static void
note_sending_parts(int fd, const struct iovec *v, size_t n)
{
	if (n > 0)
		note_sending(fd, v[0].iov_base, v[0].iov_len);
}

static void
note_received(int fd, const void *p, ssize_t n)
{
	unsigned port = n > 0 ? peer_port(fd) : 0;

	if (port != 0)
		note("recv", fd, (size_t)n, port, p);
}

/* ---- files ------------------------------------------------------------ */

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t rc = REAL(pwrite)(fd, p, n, at);

	note_written(fd, rc);
	return rc;
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	ssize_t rc = REAL(pwrite64)(fd, p, n, at);

	note_written(fd, rc);
	return rc;
}

ssize_t
pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	ssize_t rc = REAL(pwritev)(fd, v, n, at);

	note_written(fd, rc);
	return rc;
}

ssize_t
pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	ssize_t rc = REAL(pwritev64)(fd, v, n, at);

	note_written(fd, rc);
	return rc;
}

int
fdatasync(int fd)
{
	int rc = REAL(fdatasync)(fd);

	note_sync(fd, rc);
	return rc;
}

int
fsync(int fd)
{
	int rc = REAL(fsync)(fd);

	note_sync(fd, rc);
	return rc;
}

/* Of which file is not told; the programs of this project map no other. */
int
msync(void *p, size_t n, int flags)
{
	int rc = REAL(msync)(p, n, flags);

	if (rc == 0 && log_fd != -1)
		note("sync", -1, n, 0, NULL);
	return rc;
}

/* ---- files or sockets ------------------------------------------------- */

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t rc;

	note_sending(fd, p, n);
	rc = REAL(write)(fd, p, n);
	note_written(fd, rc);
	return rc;
}

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	ssize_t rc;

	note_sending_parts(fd, v, n > 0 ? (size_t)n : 0);
	rc = REAL(writev)(fd, v, n);
	note_written(fd, rc);
	return rc;
}

ssize_t
read(int fd, void *p, size_t n)
{
	ssize_t rc = REAL(read)(fd, p, n);

	note_received(fd, p, rc);
	return rc;
}

ssize_t
readv(int fd, const struct iovec *v, int n)
{
	ssize_t rc = REAL(readv)(fd, v, n);

	note_received(fd, NULL, rc);
	return rc;
}

/* ---- sockets ---------------------------------------------------------- */

ssize_t
send(int fd, const void *p, size_t n, int flags)
{
	note_sending(fd, p, n);
	return REAL(send)(fd, p, n, flags);
}

ssize_t
sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *to,
    socklen_t len)
{
	note_sending(fd, p, n);
	return REAL(sendto)(fd, p, n, flags, to, len);
}

ssize_t
sendmsg(int fd, const struct msghdr *m, int flags)
{
	note_sending_parts(fd, m->msg_iov, m->msg_iovlen);
	return REAL(sendmsg)(fd, m, flags);
}

ssize_t
recv(int fd, void *p, size_t n, int flags)
{
	ssize_t rc = REAL(recv)(fd, p, n, flags);

	note_received(fd, p, rc);
	return rc;
}

ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
	ssize_t rc = REAL(recvmsg)(fd, m, flags);

	note_received(fd, NULL, rc);
	return rc;
}
