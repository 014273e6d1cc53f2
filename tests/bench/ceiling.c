#include "tests/bench/ceiling.h"

#include <signal.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/pki/sign.h"
#include "tests/bench/bench.h"
#include "tests/bench/load.h"

#define BACKLOG 1024

static int
record(X509_STORE_CTX *store, void *arg)
{
	(void)store, (void)arg;
	return 1;
}

/* The settings of common/sys/https_tls.c. */
static SSL_CTX *
ceiling_tls(const struct signer *s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL ||
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") ||
	    !SSL_CTX_set_num_tickets(ctx, 0) ||
	    SSL_CTX_use_cert_and_key(ctx, s->cert, s->key, s->chain, 1) != 1)
		bench_fail("ceiling: TLS");
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
		SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, record, NULL);
	return ctx;
}

static int
ceiling_listen(unsigned *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int on = 1,
	    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&in, sizeof(in)) == -1 ||
	    listen(fd, BACKLOG) == -1 ||
	    getsockname(fd, (struct sockaddr *)&in, &len) == -1)
		bench_fail("ceiling: no socket that listens");
	*port = ntohs(in.sin_port);
	return fd;
}

void
ceiling_open(struct ceiling *c, int argc, char **argv)
{
	AUTO(signer) s = NULL;
	struct err e = ERR_INIT;
	unsigned port;

	if (argc != 5)
		bench_fail("usage: %s KEY CERT TYPE BODY", argv[0]);
	if ((s = signer_load(argv[1], argv[2], &e)) == NULL)
		bench_fail("ceiling: %s", e.msg);
	signal(SIGPIPE, SIG_IGN);
	load_descriptors();
	c->ctx = ceiling_tls(s);
	c->fd = ceiling_listen(&port);
	c->type = argv[3];
	c->body = argv[4];
	printf("%u\n", port);
	fflush(stdout);
}

void
ceiling_close(struct ceiling *c)
{
	SSL_CTX_free(c->ctx);
	close(c->fd);
}
