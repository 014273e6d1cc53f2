/*
 * Many clients at once that mean no good: each from an address of its own, so
 * that no cap on sources takes them all for one.  Bounded in count and time, or
 * until SIGTERM; who is thrown out comes again.  Tells how many connected, how
 * many were still open at the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/sign.h"

#define COUNT_MAX   20000
#define REQUEST_MAX (64 * 1024)
#define SOURCE	    0x7f010001u /* 127.1.0.1 and on */

struct one {
	int fd; /* -1: ended */
	SSL *ssl;
	size_t said;
};

struct flood {
	struct sockaddr_in to;
	unsigned count;
	uint64_t end; /* monotonic, ms */
	struct one *all;
	unsigned connected, refused, closed, again;
	/* Of those that shake hands. */
	SSL_CTX *ctx;
	const char *path;
	struct buf request;
};

static volatile sig_atomic_t stopped;

static void
on_term(int signo)
{
	(void)signo;
	stopped = 1;
}

static bool
is_time(const struct flood *f)
{
	return stopped == 0 && clock_mono_ms() < f->end;
}

/* ---- one client ---------------------------------------------------------- */

static int
connected_socket(const struct flood *f, unsigned i)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(SOURCE + i) };
	struct timeval limit = { .tv_sec = 3 };
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* The port is chosen when both ends are known. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == -1 ||
	    connect(fd, (const struct sockaddr *)&f->to, sizeof(f->to)) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
one_end(struct one *o)
{
	SSL_free(o->ssl);
	o->ssl = NULL;
	if (o->fd != -1)
		close(o->fd);
	o->fd = -1;
}

/* Whether the other side has ended it. */
static bool
is_over(const struct one *o)
{
	char octet[256];
	ssize_t n = recv(o->fd, octet, sizeof(octet), MSG_DONTWAIT);

	while (n > 0)
		n = recv(o->fd, octet, sizeof(octet), MSG_DONTWAIT);
	return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

static bool
shake(const struct flood *f, struct one *o)
{
	o->ssl = SSL_new(f->ctx);
	return o->ssl != NULL && SSL_set_fd(o->ssl, o->fd) == 1 &&
	    SSL_connect(o->ssl) == 1;
}

/* ---- what each does -------------------------------------------------------- */

/* Once connected: false ends it. */
static bool
begin_silent(struct flood *f, struct one *o)
{
	(void)f, (void)o;
	return true;
}

static bool
begin_garbage(struct flood *f, struct one *o)
{
	uint8_t noise[512];

	(void)f;
	random_bytes(noise, sizeof(noise));
	return send(o->fd, noise, sizeof(noise), MSG_NOSIGNAL) > 0;
}

static bool
begin_nothing(struct flood *f, struct one *o)
{
	(void)f, (void)o;
	return false;
}

/* A whole request; gone before its answer, without a word of TLS. */
static bool
begin_vanish(struct flood *f, struct one *o)
{
	struct linger none = { .l_onoff = 1 };
	struct buf out AUTO_BUF = { 0 };

	if (!shake(f, o))
		return false;
	buf_printf(&out,
	    "POST %s HTTP/1.1\r\nHost: registrar\r\n"
	    "Content-Type: application/pkixcmp\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    f->path, f->request.len);
	buf_add(&out, f->request.data, f->request.len);
	setsockopt(o->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	return SSL_write(o->ssl, out.data, (int)out.len) == (int)out.len;
}

/* The handshake is whole, the headers are not. */
static bool
begin_headers(struct flood *f, struct one *o)
{
	return shake(f, o);
}

/* Each second: false ends it. */
static bool
go_on_silent(struct one *o)
{
	return !is_over(o);
}

/* What a client hello begins with, octet by octet. */
static bool
go_on_drip(struct one *o)
{
	static const uint8_t hello[] = { 0x16, 0x03, 0x01, 0x02, 0x00, 0x01,
		0x00, 0x01, 0xfc, 0x03, 0x03 };
	uint8_t c = o->said < sizeof(hello) ? hello[o->said] : 0x5a;

	o->said++;
	return !is_over(o) && send(o->fd, &c, 1, MSG_NOSIGNAL) == 1;
}

static bool
go_on_headers(struct one *o)
{
	static const char text[] = "GET / HTTP/1.1\r\nX: ";
	char c = o->said < sizeof(text) - 1 ? text[o->said] : 'x';

	o->said++;
	return !is_over(o) && SSL_write(o->ssl, &c, 1) == 1;
}

/* An answer, or the end: it is not held.  Sessions have no tickets, so that
 * nothing else may come. */
static bool
go_on_held(struct one *o)
{
	char octet;

	return recv(o->fd, &octet, 1, MSG_DONTWAIT | MSG_PEEK) == -1 &&
	    (errno == EAGAIN || errno == EWOULDBLOCK);
}

static const struct mode {
	const char *name;
	bool (*begin)(struct flood *f, struct one *o);
	bool (*go_on)(struct one *o);
	bool comes_again;
} modes[] = {
	{ "silent", begin_silent, go_on_silent, true },
	{ "drip", begin_silent, go_on_drip, true },
	{ "headers", begin_headers, go_on_headers, true },
	{ "garbage", begin_garbage, go_on_silent, true },
	{ "connect", begin_nothing, go_on_silent, true },
	{ "vanish", begin_vanish, go_on_held, false },
};

/* ---- all of them ----------------------------------------------------------- */

static void
begin_one(struct flood *f, const struct mode *m, unsigned i)
{
	struct one *o = &f->all[i];

	*o = (struct one){ .fd = connected_socket(f, i) };
	if (o->fd == -1) {
		f->refused++;
		return;
	}
	f->connected++;
	if (!m->begin(f, o))
		one_end(o);
}

static void
begin_all(struct flood *f, const struct mode *m)
{
	for (unsigned i = 0; i < f->count; i++)
		f->all[i].fd = -1;
	for (unsigned i = 0; i < f->count && is_time(f); i++)
		begin_one(f, m, i);
}

static unsigned
open_now(const struct flood *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->count; i++)
		n += f->all[i].fd != -1;
	return n;
}

/* One that has ended, or never stays: it comes again a second later. */
static void
come_again(struct flood *f, const struct mode *m, unsigned i)
{
	f->connected--; /* each counts once */
	f->again++;
	begin_one(f, m, i);
}

static void
go_on_all(struct flood *f, const struct mode *m)
{
	while ((open_now(f) > 0 || m->comes_again) && is_time(f)) {
		poll(NULL, 0, 1000);
		for (unsigned i = 0; i < f->count && is_time(f); i++) {
			struct one *o = &f->all[i];

			if (o->fd == -1) {
				if (m->comes_again)
					come_again(f, m, i);
			} else if (!m->go_on(o)) {
				one_end(o);
				f->closed++;
			}
		}
	}
}

static int
prepare_tls(struct flood *f, char **arg, struct err *e)
{
	AUTO(signer) s = NULL;

	f->ctx = SSL_CTX_new(TLS_client_method());
	if (f->ctx == NULL)
		return err_ossl(e, ERR_LOCAL, "TLS");
	if (arg[0] == NULL)
		return 0;
	if ((s = signer_load(arg[0], arg[1], e)) == NULL ||
	    file_read(arg[3], REQUEST_MAX, &f->request, e) == -1)
		return -1;
	f->path = arg[2];
	if (SSL_CTX_use_certificate(f->ctx, s->cert) != 1 ||
	    SSL_CTX_use_PrivateKey(f->ctx, s->key) != 1)
		return err_ossl(e, ERR_LOCAL, "TLS");
	for (int i = 0; i < sk_X509_num(s->chain); i++)
		if (SSL_CTX_add1_chain_cert(
			f->ctx, sk_X509_value(s->chain, i)) != 1)
			return err_ossl(e, ERR_LOCAL, "TLS");
	return 0;
}

static int
prepare(struct flood *f, int argc, char **argv, struct err *e)
{
	uint64_t count, seconds;
	char host[64], port[6];

	if (hostport_parse(argv[2], host, port, e) == -1 ||
	    number_parse(argv[3], 1, COUNT_MAX, &count, e) == -1 ||
	    number_parse(argv[4], 1, 80, &seconds, e) == -1)
		return -1;
	f->count = (unsigned)count;
	f->end = clock_mono_ms() + seconds * 1000;
	f->to.sin_family = AF_INET;
	f->to.sin_port = htons((uint16_t)atoi(port));
	if (inet_pton(AF_INET, host, &f->to.sin_addr) != 1 ||
	    (ntohl(f->to.sin_addr.s_addr) >> 24) != 127)
		return err_set(e, ERR_USAGE, "%s: not of this machine", host);
	f->all = xcalloc(f->count, sizeof(*f->all));
	return prepare_tls(f, argc == 9 ? argv + 5 : &(char *){ NULL }, e);
}

static void
raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int
run(const struct mode *m, int argc, char **argv, struct err *e)
{
	struct flood f = { 0 };
	int rc = prepare(&f, argc, argv, e);

	if (rc == 0 && m->begin == begin_vanish && f.path == NULL)
		rc = err_set(e, ERR_USAGE, "%s: what is asked?", m->name);
	if (rc == 0) {
		begin_all(&f, m);
		/* Whoever waits for the flood to stand reads this line. */
		printf("%s: %u connected, %u refused\n", m->name, f.connected,
		    f.refused);
		fflush(stdout);
		go_on_all(&f, m);
		printf("%s: %u ended by the other side, %u came again, %u "
		       "still open\n",
		    m->name, f.closed, f.again, open_now(&f));
		for (unsigned i = 0; i < f.count; i++)
			if (f.all[i].fd != -1)
				one_end(&f.all[i]);
	}
	SSL_CTX_free(f.ctx);
	buf_done(&f.request);
	free(f.all);
	return rc;
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_term);
	raise_descriptors();
	for (size_t i = 0; i < NELEMS(modes); i++) {
		if ((argc != 5 && argc != 9) ||
		    strcmp(argv[1], modes[i].name) != 0)
			continue;
		if (run(&modes[i], argc, argv, &e) == 0)
			return 0;
		fprintf(stderr, "flood: %s\n", e.msg);
		return err_exit_code(e.kind);
	}
	fprintf(stderr,
	    "usage: flood silent|drip|headers|garbage|connect|vanish "
	    "HOST:PORT COUNT SECONDS [KEY CERT PATH REQUEST]\n");
	return 2;
}
