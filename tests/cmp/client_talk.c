/* One POST over TLS and its answer, blocking, on a connection of its own. */
#include "tests/cmp/client.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "common/base/str.h"

#define WAIT_SECONDS 30
#define HEAD_MAX     8192

AUTO_DEFINE(SSL_CTX, SSL_CTX, SSL_CTX_free);
AUTO_DEFINE(SSL, SSL, SSL_free);

static int
dial(const struct client *c, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct timeval limit = { WAIT_SECONDS, 0 };
	struct addrinfo *at = NULL;
	int fd, rc;

	if (getaddrinfo(c->host, c->port, &hints, &at) != 0)
		return err_set(e, ERR_USAGE, "%s: no numeric address", c->host);
	fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	rc = fd == -1 ? -1 : connect(fd, at->ai_addr, at->ai_addrlen);
	freeaddrinfo(at);
	if (rc == -1) {
		if (fd != -1)
			close(fd);
		return err_errno(e, ERR_PEER, "%s:%s", c->host, c->port);
	}
	return fd;
}

/* RFC 8995 5.1: the domain's root alone is believed; names are not looked at. */
static SSL_CTX *
context(const struct client *c)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		err_die("no TLS");
	SSL_CTX_set_security_level(ctx, 0);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), c->root);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (c->tls == NULL)
		return ctx;
	SSL_CTX_use_certificate(ctx, c->tls->cert);
	SSL_CTX_use_PrivateKey(ctx, c->tls->key);
	for (int i = 0; i < sk_X509_num(c->tls->chain); i++)
		SSL_CTX_add1_chain_cert(ctx, sk_X509_value(c->tls->chain, i));
	return ctx;
}

static void
request_head(const struct client *c, struct buf *out)
{
	const char *method = c->method != NULL ? c->method : "POST";
	bool body = strcmp(method, "GET") != 0;

	buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n", method, c->path,
	    c->host, c->port);
	if (body)
		buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n",
		    c->type != NULL ? c->type : "application/pkixcmp",
		    c->sent.len);
	buf_printf(out, "Connection: close\r\n\r\n");
	if (body)
		buf_add(out, c->sent.data, c->sent.len);
}

/* Up to the empty line, then as much as Content-Length says. */
static int
read_answer(SSL *ssl, struct http *ret, struct err *e)
{
	struct buf head AUTO_BUF = { 0 };
	const char *text, *at;
	size_t left;
	char octet;

	while (head.len < 4 ||
	    memcmp(head.data + head.len - 4, "\r\n\r\n", 4) != 0) {
		if (head.len > HEAD_MAX || SSL_read(ssl, &octet, 1) != 1)
			return err_set(
			    e, ERR_PEER, "the connection ended early");
		buf_add(&head, &octet, 1);
	}
	text = buf_cstr(&head);
	if (!str_starts(text, "HTTP/1.1 "))
		return err_set(e, ERR_PEER, "no HTTP");
	ret->status = (int)strtol(text + 9, NULL, 10);
	if ((at = strcasestr(text, "\r\nContent-Type: ")) != NULL)
		snprintf(ret->type, sizeof(ret->type), "%.*s",
		    (int)strcspn(at + 16, "\r;"), at + 16);
	at = strcasestr(text, "\r\nContent-Length: ");
	left = at == NULL ? 0 : strtoul(at + 18, NULL, 10);
	while (left-- > 0 && SSL_read(ssl, &octet, 1) == 1)
		buf_add(&ret->body, &octet, 1);
	return 0;
}

static int
exchange(struct client *c, SSL *ssl, struct http *ret, struct err *e)
{
	struct buf out AUTO_BUF = { 0 };

	if (SSL_connect(ssl) != 1)
		return err_ossl(e, ERR_PEER, "tls: no handshake");
	X509_free(c->server);
	c->server = SSL_get1_peer_certificate(ssl);
	request_head(c, &out);
	if (SSL_write(ssl, out.data, (int)out.len) != (int)out.len)
		return err_ossl(e, ERR_PEER, "tls: not sent");
	return read_answer(ssl, ret, e);
}

int
talk(struct client *c, struct http *ret, struct err *e)
{
	AUTO(SSL_CTX) ctx = context(c);
	AUTO(SSL) ssl = SSL_new(ctx);
	int fd = dial(c, e), rc;

	if (fd == -1)
		return -1;
	SSL_set_fd(ssl, fd);
	rc = exchange(c, ssl, ret, e);
	close(fd);
	return rc;
}
