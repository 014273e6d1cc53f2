/* A TLS client for tests: blocking, with a limit on each read, believing any
 * server; answers are judged by their text. */
#ifndef WAYBILL_TESTS_HTTPS_CLIENT_H
#define WAYBILL_TESTS_HTTPS_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/ssl.h>

#include "common/pki/sign.h"

#define CLIENT_WAIT_MS 10000

struct client {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
};

/* Blocking calls on fd end after CLIENT_WAIT_MS. */
static inline void
client_limit(int fd)
{
	struct timeval tv = { CLIENT_WAIT_MS / 1000, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static inline int
client_connect(unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	client_limit(fd);
	/* A request right behind the handshake waits for no ACK. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Connected, before the handshake.  s: what it shows; NULL: nothing. */
static inline void
client_dial(struct client *c, unsigned port, const struct signer *s)
{
	int i;

	c->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(c->ctx, 0);
	if (s != NULL) {
		SSL_CTX_use_certificate(c->ctx, s->cert);
		SSL_CTX_use_PrivateKey(c->ctx, s->key);
		for (i = 0; i < sk_X509_num(s->chain); i++)
			SSL_CTX_add1_chain_cert(
			    c->ctx, sk_X509_value(s->chain, i));
	}
	c->ssl = SSL_new(c->ctx);
	c->fd = client_connect(port);
	SSL_set_fd(c->ssl, c->fd);
}

static inline void
client_close(struct client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	close(c->fd);
}

static inline void
client_write(struct client *c, struct bytes b)
{
	assert_int_equal(SSL_write(c->ssl, b.p, (int)b.len), (int)b.len);
}

static inline void
client_send(struct client *c, const char *text)
{
	client_write(c, bytes_of(text, strlen(text)));
}

/* One answer: headers octet by octet, then Content-Length octets; "" if the
 * server ended the connection. */
static inline const char *
client_receive(struct client *c, struct buf *b)
{
	const char *length;
	size_t more;
	char piece;

	buf_reset(b);
	while (b->len < 4 || memcmp(b->data + b->len - 4, "\r\n\r\n", 4) != 0) {
		if (SSL_read(c->ssl, &piece, 1) != 1)
			return "";
		buf_add(b, &piece, 1);
	}
	length = strstr(buf_cstr(b), "Content-Length: ");
	more = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
	while (more-- > 0 && SSL_read(c->ssl, &piece, 1) == 1)
		buf_add(b, &piece, 1);
	return buf_cstr(b);
}

#endif
