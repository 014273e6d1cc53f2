#include "tests/bench/load_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include "tests/bench/bench.h"

#define SOURCE	    0x7f010001u /* 127.1.0.1 */
#define SOURCES	    4096
#define HEADERS_MAX 4096

/* ---- one connection: begin, end ------------------------------------------ */

static int
dialled(struct load *l)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = from;
	int on = 1,
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		bench_fail("load: socket: %s", strerror(errno));
	from.sin_addr.s_addr = htonl(SOURCE + l->sources++ % SOURCES);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((uint16_t)l->port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* The port is chosen when both ends are known. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1 &&
		errno != EINPROGRESS))
		bench_fail("load: connect: %s", strerror(errno));
	return fd;
}

static SSL *
tls_new(struct load *l, int fd, const struct signer *s)
{
	SSL *ssl = SSL_new(l->ctx);

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 ||
	    (s != NULL &&
		SSL_use_cert_and_key(ssl, s->cert, s->key, s->chain, 1) != 1))
		bench_fail("load: a client's certificate and key");
	SSL_set_connect_state(ssl);
	return ssl;
}

void
load_conn_open(
    struct load *l, const struct load_client *client, struct bytes request)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	struct epoll_event ev = { .events =
				      EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = c };

	c->l = l;
	c->client = client;
	c->began = bench_now();
	c->fd = dialled(l);
	c->ssl = tls_new(l, c->fd, client->signer);
	buf_add(&c->out, request.p, request.len);
	TAILQ_INSERT_TAIL(&l->under_way, c, link);
	l->n_under_way++;
	if (l->sum != NULL)
		l->sum->opened++;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		bench_fail("load: epoll: %s", strerror(errno));
}

void
load_conn_free(struct conn *c)
{
	struct load *l = c->l;

	if (c->phase == PHASE_KEPT) {
		TAILQ_REMOVE(&l->kept, c, link);
		l->n_kept--;
	} else {
		TAILQ_REMOVE(&l->under_way, c, link);
		l->n_under_way--;
	}
	SSL_free(c->ssl);
	close(c->fd);
	buf_done(&c->in);
	buf_done(&c->out);
	free(c);
}

/* Its conversation is over, and so is the connection. */
static bool
conn_over(struct conn *c, const char *why)
{
	struct load *l = c->l;

	if (why == NULL)
		SSL_shutdown(c->ssl);
	load_conn_free(c);
	load_note_end(l, why);
	return false;
}

/* The other side has ended it, or it broke. */
static bool
conn_lost(struct conn *c)
{
	struct load *l = c->l;
	const struct load_client *client = c->client;
	char why[160];

	if (c->phase == PHASE_KEPT) {
		load_conn_free(c);
		if (l->dripping)
			load_conn_open(l, client, bytes_of(NULL, 0));
		return false;
	}
	ERR_error_string_n(ERR_peek_last_error(), why, sizeof(why));
	if (ERR_peek_last_error() == 0)
		snprintf(why, sizeof(why), "ended %s",
		    c->phase == PHASE_SHAKING ? "within the handshake"
					      : "before its answer");
	return conn_over(c, why);
}

/* ---- conversations ------------------------------------------------------- */

static bool
conn_keep(struct conn *c)
{
	struct load *l = c->l;

	TAILQ_REMOVE(&l->under_way, c, link);
	l->n_under_way--;
	c->phase = PHASE_KEPT;
	TAILQ_INSERT_TAIL(&l->kept, c, link);
	l->n_kept++;
	load_note_end(l, NULL);
	return true;
}

static bool
conn_send(struct conn *c)
{
	c->phase = PHASE_SENDING;
	c->sent = 0;
	c->asked = bench_now();
	return true;
}

static bool
conn_ask(struct conn *c, int status, struct bytes body)
{
	struct buf request AUTO_BUF = { 0 };
	enum load_next next =
	    c->client->next(c->client->arg, status, body, &request);

	switch (next) {
	case LOAD_SEND:
	case LOAD_FRESH:
		if (next == LOAD_SEND && !c->closing) {
			buf_done(&c->out);
			c->out = request;
			request = (struct buf){ 0 };
			buf_reset(&c->in);
			return conn_send(c);
		}
		load_conn_open(c->l, c->client, buf_bytes(&request));
		SSL_shutdown(c->ssl);
		load_conn_free(c);
		return false;
	case LOAD_KEEP:
		return conn_keep(c);
	case LOAD_END:
		return conn_over(c, NULL);
	case LOAD_WRONG:
		break;
	}
	return conn_over(c, "a wrong answer");
}

/* ---- as far as it goes --------------------------------------------------- */

/* What a call of OpenSSL's that did not end well asks for: false, wait. */
static bool
conn_wait(struct conn *c, int rc)
{
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return false;
	default:
		return conn_lost(c);
	}
}

static bool
shake(struct conn *c)
{
	int rc = SSL_connect(c->ssl);

	if (rc != 1)
		return conn_wait(c, rc);
	return c->out.len > 0 ? conn_send(c)
			      : conn_ask(c, 0, bytes_of(NULL, 0));
}

static bool
send_out(struct conn *c)
{
	int rc = SSL_write(
	    c->ssl, c->out.data + c->sent, (int)(c->out.len - c->sent));

	if (rc <= 0)
		return conn_wait(c, rc);
	c->sent += (size_t)rc;
	if (c->sent == c->out.len)
		c->phase = PHASE_RECEIVING;
	return true;
}

/* 1: whole, 0: not yet, -1: no HTTP. */
static int
answer_whole(struct conn *c, int *status, struct bytes *body)
{
	const char *end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
	char head[HEADERS_MAX];
	const char *length;
	size_t n, want;

	if (end == NULL)
		return c->in.len < sizeof(head) ? 0 : -1;
	n = (size_t)(end - (const char *)c->in.data) + 2;
	if (n >= sizeof(head))
		return -1;
	memcpy(head, c->in.data, n);
	head[n] = '\0';
	length = strcasestr(head, "\r\nContent-Length:");
	want = length == NULL ? 0 : strtoul(length + 17, NULL, 10);
	if (sscanf(head, "HTTP/1.1 %d", status) != 1 ||
	    c->in.len > n + 2 + want)
		return -1;
	c->closing = strcasestr(head, "\r\nConnection: close") != NULL;
	*body = bytes_of(c->in.data + n + 2, want);
	return c->in.len == n + 2 + want;
}

static bool
receive(struct conn *c)
{
	struct bytes body;
	uint8_t piece[16384];
	int status, whole, rc = SSL_read(c->ssl, piece, sizeof(piece));

	if (rc <= 0)
		return conn_wait(c, rc);
	buf_add(&c->in, piece, (size_t)rc);
	if ((whole = answer_whole(c, &status, &body)) == -1)
		return conn_over(c, "no answer of HTTP");
	if (whole == 0)
		return true;
	load_note_answer(c);
	return conn_ask(c, status, body);
}

static bool
listen_on(struct conn *c)
{
	uint8_t piece[256];
	int rc = SSL_read(c->ssl, piece, sizeof(piece));

	return rc > 0 || conn_wait(c, rc);
}

void
load_conn_drive(struct conn *c)
{
	static bool (*const steps[])(struct conn * c) = {
		[PHASE_SHAKING] = shake,
		[PHASE_SENDING] = send_out,
		[PHASE_RECEIVING] = receive,
		[PHASE_KEPT] = listen_on,
	};

	do
		ERR_clear_error();
	while (steps[c->phase](c));
}

void
load_conn_drip(struct conn *c)
{
	static const char text[] = "GET / HTTP/1.1\r\nX: ";
	char octet = c->dripped < sizeof(text) - 1 ? text[c->dripped] : 'x';

	c->dripped++;
	ERR_clear_error();
	/* What does not fit is not missed; an end is seen by reading. */
	(void)SSL_write(c->ssl, &octet, 1);
}
