/*
 * An upstream CA that says what a script tells it: one line a connection, over
 * plain HTTP or TLS, in a thread of its own, with the keys of ra_lab.h.  It
 * writes down what it was sent.
 */
#ifndef WAYBILL_TESTS_UPSTREAM_LAB_H
#define WAYBILL_TESTS_UPSTREAM_LAB_H

#include "tests/unit/ra_lab.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/ssl.h>

#include "common/base/log.h"

enum said {
	SAY_END, /* of a script */
	SAY_ISSUED,
	SAY_WAITING,
	SAY_NOT_YET,
	SAY_REJECTED,
	SAY_ERROR,
	SAY_ERROR_WAITING,
	SAY_IN_USE,
	SAY_PKICONF,
	SAY_REVOKED,
	/* Not to be believed. */
	SAY_OTHER_KEY,
	SAY_OTHER_ISSUER,
	SAY_OTHER_ID,
	SAY_OTHER_TRANSACTION,
	SAY_OTHER_NONCE,
	SAY_BY_STRANGER,
	SAY_NOTHING_KNOWN, /* octets that are no CMP */
	/* No message. */
	SAY_404,
	SAY_503,
	SAY_CLOSE, /* after the request was read */
	SAY_HANG   /* until the other side gives up */
};

struct line {
	enum said say;
	bool implicit;
	bool first_nonce; /* recipNonce of the request, after polls */
	bool mods;	  /* grantedWithMods */
	bool ca_pubs;	  /* with a root of its own in caPubs */
	uint32_t secs;	  /* of pollRep */
	int status;	  /* of HTTP; 0: 200 */
};

#define LINES_MAX 16

struct upstream_lab {
	struct lab *l;
	struct signer *up, *us, *nobody; /* its, ours, nobody's */
	SSL_CTX *tls;			 /* NULL: plain */
	int fd;
	unsigned port;
	pthread_t thread;
	const struct line *script;
	struct buf got[LINES_MAX]; /* messages as they came */
	_Atomic size_t n;
	char types[256];   /* of what came: "ir pollReq" */
	uint8_t nonce[16]; /* senderNonce of the request */
	EVP_PKEY *key;	   /* asked for; owned */
	long id;
};

static inline void
up_fail(const char *what)
{
	fprintf(stderr, "upstream_lab: %s\n", what);
	abort();
}

/* ---- octets ------------------------------------------------------------ */

struct up_wire {
	int fd;
	SSL *ssl;
};

static inline ssize_t
up_read(struct up_wire *w, void *p, size_t n)
{
	return w->ssl != NULL ? SSL_read(w->ssl, p, (int)n) : read(w->fd, p, n);
}

static inline void
up_write(struct up_wire *w, struct bytes b)
{
	if (w->ssl != NULL)
		(void)SSL_write(w->ssl, b.p, (int)b.len);
	else if (send(w->fd, b.p, b.len, MSG_NOSIGNAL) == -1)
		up_fail("send");
}

/* The body of a POST. */
static inline bool
up_request(struct up_wire *w, struct buf *body)
{
	struct buf in AUTO_BUF = { 0 };
	char chunk[4096];
	ssize_t n;

	while ((n = up_read(w, chunk, sizeof(chunk))) > 0) {
		const char *text, *end, *length;
		size_t want, head;

		buf_add(&in, chunk, (size_t)n);
		text = buf_cstr(&in);
		if ((end = strstr(text, "\r\n\r\n")) == NULL ||
		    (length = strcasestr(text, "Content-Length:")) == NULL)
			continue;
		if (strstr(text, "Content-Type: application/pkixcmp") == NULL)
			up_fail("not application/pkixcmp");
		head = (size_t)(end - text) + 4;
		want = strtoul(length + 15, NULL, 10);
		if (in.len < head + want)
			continue;
		buf_add(body, in.data + head, want);
		return true;
	}
	return false;
}

static inline void
up_reply(struct up_wire *w, int status, const char *type, struct bytes body)
{
	struct buf out AUTO_BUF = { 0 };

	buf_printf(&out,
	    "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
	    status, type, body.len);
	buf_add(&out, body.p, body.len);
	up_write(w, buf_bytes(&out));
}

/* ---- messages ---------------------------------------------------------- */

/* The message itself, or the one that is nested in it. */
static inline struct cmp_msg *
up_open(struct bytes der)
{
	struct cmp_msg *m = NULL, *inner = NULL;
	struct err e = ERR_INIT;
	struct bytes in;

	if (cmp_parse(der, &m, &e) == -1)
		up_fail(e.msg);
	if (cmp_body(m) != CMP_NESTED)
		return m;
	if (cmp_read_nested(m, &in, &e) == -1 ||
	    cmp_parse(in, &inner, &e) == -1)
		up_fail(e.msg);
	cmp_free(m);
	return inner;
}

static inline void
up_note(struct upstream_lab *u, struct bytes der, const struct cmp_msg *m)
{
	AUTO(cmp_msg) outer = NULL;
	struct cmp_request r = { 0 };
	struct err e = ERR_INIT;
	size_t len = strlen(u->types);

	if (cmp_parse(der, &outer, &e) == -1 || u->n == LINES_MAX)
		up_fail("too much");
	buf_add(&u->got[u->n], der.p, der.len);
	snprintf(u->types + len, sizeof(u->types) - len, "%s%s%s",
	    len > 0 ? " " : "", cmp_body(outer) == CMP_NESTED ? "nested:" : "",
	    cmp_body_name(cmp_body(m)));
	u->n++;
	if (cmp_body(m) == CMP_POLLREQ || cmp_body(m) == CMP_CERTCONF ||
	    cmp_body(m) == CMP_RR)
		return;
	memcpy(u->nonce, cmp_sender_nonce(m).p, sizeof(u->nonce));
	if (cmp_read_request(m, &r, &e) == -1)
		up_fail(e.msg);
	EVP_PKEY_free(u->key);
	EVP_PKEY_up_ref(r.pubkey);
	u->key = r.pubkey;
	u->id = r.id;
	cmp_request_done(&r);
}

static inline void
up_issued(struct upstream_lab *u, const struct line *say, enum cmp_body type,
    struct buf *body)
{
	struct lab_want w = { .cn = "device", .serial = "WB-0001" };
	AUTO(EVP_PKEY) other = ossl_new_key_p256();
	AUTO(X509) x = lab_cert(&w, say->say == SAY_OTHER_KEY ? other : u->key,
	    say->say == SAY_OTHER_ISSUER ? &u->l->stranger : &u->l->ca);

	cmp_body_granted(type, say->say == SAY_OTHER_ID ? 7 : u->id,
	    say->mods ? CMP_GRANTED_WITH_MODS : CMP_ACCEPTED, x,
	    say->ca_pubs ? u->l->stranger.cert : NULL, body);
}

/* Of the request that was asked first. */
static inline enum cmp_body
up_type(const struct upstream_lab *u)
{
	AUTO(cmp_msg) m = up_open(buf_bytes(&u->got[0]));

	return cmp_body(m);
}

static inline void
up_body(struct upstream_lab *u, const struct line *say, struct buf *body)
{
	enum cmp_body asked = up_type(u);

	switch ((int)say->say) {
	case SAY_WAITING:
		cmp_body_waiting(asked, u->id, body);
		return;
	case SAY_NOT_YET:
		cmp_body_pollrep(asked == CMP_RR ? -1 : u->id, say->secs, body);
		return;
	case SAY_REJECTED:
		cmp_body_rejection(asked, u->id, CMP_BAD_CERT_TEMPLATE,
		    "no such subject here", body);
		return;
	case SAY_ERROR:
		cmp_body_error(CMP_REJECTION, CMP_BAD_REQUEST, "go away", body);
		return;
	case SAY_ERROR_WAITING:
		cmp_body_error(CMP_WAITING, 0, "later", body);
		return;
	case SAY_IN_USE:
		cmp_body_error(CMP_REJECTION, CMP_TRANSACTION_ID_IN_USE,
		    "seen before", body);
		return;
	case SAY_PKICONF:
		cmp_body_pkiconf(body);
		return;
	case SAY_REVOKED:
		cmp_body_rp(CMP_ACCEPTED, 0, NULL, body);
		return;
	default:
		up_issued(u, say, cmp_response_to(asked), body);
		return;
	}
}

static inline void
up_answer(struct upstream_lab *u, const struct line *say,
    const struct cmp_msg *m, struct buf *out)
{
	static const uint8_t other[16] = { 1 };
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cmp_head h;

	cmp_head_reply(m, &h);
	h.implicit_confirm = say->implicit;
	if (say->say == SAY_OTHER_TRANSACTION)
		h.transaction_id = bytes_of(other, sizeof(other));
	if (say->say == SAY_OTHER_NONCE)
		h.recip_nonce = bytes_of(other, sizeof(other));
	if (say->first_nonce)
		h.recip_nonce = bytes_of(u->nonce, sizeof(u->nonce));
	up_body(u, say, &body);
	if (cmp_build(&h, buf_bytes(&body),
		say->say == SAY_BY_STRANGER ? u->nobody : u->up, NULL, out,
		&e) == -1)
		up_fail(e.msg);
}

/* ---- the server -------------------------------------------------------- */

static inline void
up_say(struct upstream_lab *u, struct up_wire *w, const struct line *say,
    const struct cmp_msg *m)
{
	struct buf out AUTO_BUF = { 0 };
	char c;

	switch ((int)say->say) {
	case SAY_404:
		up_reply(w, 404, "text/plain", bytes_of("no\n", 3));
		return;
	case SAY_503:
		up_reply(w, 503, "text/plain", bytes_of("no\n", 3));
		return;
	case SAY_NOTHING_KNOWN:
		up_reply(w, 200, "application/pkixcmp", bytes_of("xyz", 3));
		return;
	case SAY_CLOSE:
		return;
	case SAY_HANG:
		(void)up_read(w, &c, 1);
		return;
	default:
		up_answer(u, say, m, &out);
		up_reply(w, say->status != 0 ? say->status : 200,
		    "application/pkixcmp", buf_bytes(&out));
		return;
	}
}

static inline void
up_serve(struct upstream_lab *u, struct up_wire *w, const struct line *say)
{
	struct buf der AUTO_BUF = { 0 };
	AUTO(cmp_msg) m = NULL;

	if (!up_request(w, &der))
		return;
	m = up_open(buf_bytes(&der));
	up_note(u, buf_bytes(&der), m);
	up_say(u, w, say, m);
}

static inline void *
up_run(void *arg)
{
	struct upstream_lab *u = arg;

	for (const struct line *say = u->script; say->say != SAY_END; say++) {
		struct up_wire w = { .fd = accept(u->fd, NULL, NULL) };

		if (w.fd == -1)
			return NULL;
		if (u->tls != NULL) {
			w.ssl = SSL_new(u->tls);
			SSL_set_fd(w.ssl, w.fd);
		}
		if (w.ssl == NULL || SSL_accept(w.ssl) == 1)
			up_serve(u, &w, say);
		if (w.ssl != NULL)
			SSL_shutdown(w.ssl);
		SSL_free(w.ssl);
		close(w.fd);
	}
	return NULL;
}

/* Listens, where it did before if it is to; nobody is served before up_start. */
static inline void
up_listen_at(struct upstream_lab *u, unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int yes = 1;

	u->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(u->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(u->fd, (struct sockaddr *)&a, len) == -1 ||
	    listen(u->fd, 16) == -1 ||
	    getsockname(u->fd, (struct sockaddr *)&a, &len) == -1)
		up_fail("listen");
	u->port = ntohs(a.sin_port);
}

static inline void
up_listen(struct upstream_lab *u)
{
	up_listen_at(u, 0);
}

/* It remembers what it was sent before. */
static inline void
up_go_on(struct upstream_lab *u, const struct line *script)
{
	u->script = script;
	if (pthread_create(&u->thread, NULL, up_run, u) != 0)
		up_fail("thread");
}

static inline void
up_start(struct upstream_lab *u, const struct line *script)
{
	for (size_t i = 0; i < u->n; i++)
		buf_reset(&u->got[i]);
	u->n = 0;
	u->types[0] = '\0';
	up_go_on(u, script);
}

/* Ends it, even in the middle of its script. */
static inline void
up_stop(struct upstream_lab *u)
{
	shutdown(u->fd, SHUT_RDWR);
	pthread_join(u->thread, NULL);
	close(u->fd);
	u->fd = -1;
}

static inline struct upstream_lab *
up_new(struct lab *l)
{
	struct upstream_lab *u = xcalloc(1, sizeof(*u));
	struct lab_want up = { .cn = "upstream" }, us = { .cn = "ra" };

	u->l = l;
	u->fd = -1;
	u->up = lab_signer(&up, &l->ca);
	u->us = lab_signer(&us, &l->ca);
	u->nobody = lab_signer(&up, &l->stranger);
	lab_save(l, "upstream-us", u->us->key, u->us->cert, l->ca.cert);
	return u;
}

static inline void
up_free(struct upstream_lab *u)
{
	signer_free(u->up);
	signer_free(u->us);
	signer_free(u->nobody);
	SSL_CTX_free(u->tls);
	EVP_PKEY_free(u->key);
	for (size_t i = 0; i < LINES_MAX; i++)
		buf_done(&u->got[i]);
	free(u);
}

#endif
