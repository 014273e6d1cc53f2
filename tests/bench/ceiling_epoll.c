/*
 * A ceiling: TLS by OpenSSL on epoll and nothing else.  Reads up to the empty
 * line, answers, closes if asked to.  Ends by a signal.
 *
 *   ceiling_epoll KEY CERT TYPE BODY
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include "tests/bench/bench.h"
#include "tests/bench/ceiling.h"

#define EVENTS	  64
#define PIECE_MAX 4096

struct conn {
	int fd;
	SSL *ssl;
	X509 *client; /* recorded */
	bool close;
	unsigned newlines; /* without anything between: 2 end the headers */
};

struct server {
	struct ceiling c;
	int epoll;
	struct buf answer;
};

static void
conn_free(struct conn *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	free(c);
}

static void
accept_all(struct server *s)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct conn *c;
	int fd;

	while ((fd = accept4(
		    s->c.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		c = xcalloc(1, sizeof(*c));
		c->fd = fd;
		c->ssl = SSL_new(s->c.ctx);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1)
			bench_fail("ceiling_epoll: no TLS");
		SSL_set_accept_state(c->ssl);
		ev.data.ptr = c;
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) == -1)
			bench_fail("ceiling_epoll: %s", strerror(errno));
	}
}

/* False: the connection is over. */
static bool
answer(struct server *s, struct conn *c)
{
	/* Small, and the buffer of the socket is empty. */
	if (SSL_write(c->ssl, s->answer.data, (int)s->answer.len) <= 0)
		return false;
	if (c->close)
		SSL_shutdown(c->ssl);
	return !c->close;
}

static bool
take(struct server *s, struct conn *c, const char *piece, size_t n)
{
	if (memmem(piece, n, "Connection: close", 17) != NULL)
		c->close = true;
	for (size_t i = 0; i < n; i++) {
		if (piece[i] == '\n')
			c->newlines++;
		else if (piece[i] != '\r')
			c->newlines = 0;
		if (c->newlines < 2)
			continue;
		c->newlines = 0;
		if (!answer(s, c))
			return false;
	}
	return true;
}

static void
conn_read(struct server *s, struct conn *c)
{
	char piece[PIECE_MAX];
	int rc;

	ERR_clear_error();
	while ((rc = SSL_read(c->ssl, piece, sizeof(piece))) > 0) {
		if (c->client == NULL)
			c->client = SSL_get0_peer_certificate(c->ssl);
		if (!take(s, c, piece, (size_t)rc)) {
			conn_free(c);
			return;
		}
	}
	/* No flight of the server's fills a socket's buffer: it never waits
	 * to write. */
	if (SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ)
		conn_free(c);
}

static void
serve(struct server *s)
{
	struct epoll_event ev[EVENTS];
	int n;

	for (;;) {
		n = epoll_wait(s->epoll, ev, EVENTS, -1);
		if (n == -1 && errno != EINTR)
			bench_fail("ceiling_epoll: %s", strerror(errno));
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == NULL)
				accept_all(s);
			else
				conn_read(s, ev[i].data.ptr);
		}
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct server s = { 0 };

	ceiling_open(&s.c, argc, argv);
	buf_printf(&s.answer,
	    "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    s.c.type, strlen(s.c.body), s.c.body);
	if ((s.epoll = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.c.fd, &ev) == -1)
		bench_fail("ceiling_epoll: %s", strerror(errno));
	serve(&s);
}
