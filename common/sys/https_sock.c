#include "common/sys/https_int.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "common/base/str.h"

#define BACKLOG 1024

static int
bind_address(int fd, const struct addrinfo *ai)
{
	int on = 1;

	/* TCP_NODELAY is inherited by what is accepted; without it each
	 * answer waits for the client's delayed acknowledgement. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == -1)
		return -1;
	return listen(fd, BACKLOG);
}

int
https_listen_tcp(const char *listen_on, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *ai;
	char host[64], port[6];
	AUTO_FD fd = -1;
	int rc;

	if (hostport_parse(listen_on, host, port, e) == -1)
		return -1;
	if ((rc = getaddrinfo(host, port, &hints, &ai)) != 0)
		return err_set(
		    e, ERR_CONF, "listen %s: %s", listen_on, gai_strerror(rc));
	fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = fd == -1 ? -1 : bind_address(fd, ai);
	freeaddrinfo(ai);
	if (rc == -1)
		return err_errno(e, ERR_LOCAL, "listen %s", listen_on);
	return fd_steal(&fd);
}

unsigned
https_port_of(int fd)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { .sa.sa_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len) == -1)
		return 0;
	return ntohs(
	    a.sa.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
}

/* Only a socket makes way: a path mistyped must not cost a file. */
static int
remove_old_socket(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT
		    ? 0
		    : err_errno(e, ERR_LOCAL, "socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(
		    e, ERR_CONF, "socket %s: exists, is no socket", path);
	if (unlink(path) == -1)
		return err_errno(e, ERR_LOCAL, "socket %s: unlink", path);
	return 0;
}

int
https_listen_unix(const char *path, struct err *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	AUTO_FD fd = -1;

	if (str_copy(un.sun_path, sizeof(un.sun_path), path) >=
	    sizeof(un.sun_path))
		return err_set(e, ERR_CONF, "socket %s: path over %zu octets",
		    path, sizeof(un.sun_path) - 1);
	if (remove_old_socket(path, e) == -1)
		return -1;
	/* The mode of the socket becomes that of the file: at no time could
	 * anybody else open it. */
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		 0)) == -1 ||
	    fchmod(fd, 0600) == -1 ||
	    bind(fd, (struct sockaddr *)&un, sizeof(un)) == -1 ||
	    listen(fd, BACKLOG) == -1)
		return err_errno(e, ERR_LOCAL, "socket %s", path);
	return fd_steal(&fd);
}
