#include "tests/bench/enrol_calls_int.h"

#include <time.h>

#include <openssl/err.h>

#include "tests/bench/bench.h"

#define PAIR_OCTETS   32768
#define HTTP_OCTETS   150  /* of a request's own */
#define ANSWER_OCTETS 1500 /* of a "waiting" and its HTTP */

double
calls_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

void
calls_must(bool ok, const char *what)
{
	char why[160] = "";

	if (ok)
		return;
	ERR_error_string_n(ERR_peek_last_error(), why, sizeof(why));
	bench_fail("calls of an enrolment: %s: %s", what, why);
}

/* ---- TLS ------------------------------------------------------------------ */

/* One step of the client's, whose time is nobody's. */
static int
client_step(struct enrol_calls *c, int (*fn)(SSL *s))
{
	double start = calls_cpu();
	int rc = fn(c->now.client);

	c->aside += calls_cpu() - start;
	return rc;
}

static void
tls_open(struct enrol_calls *c, const struct signer *device)
{
	struct state *n = &c->now;
	double start = calls_cpu();
	BIO *ours, *theirs;

	n->client = SSL_new(c->client);
	calls_must(n->client != NULL &&
		SSL_use_cert_and_key(n->client, device->cert, device->key,
		    device->chain, 1) == 1,
	    "SSL_use_cert_and_key");
	SSL_set_connect_state(n->client);
	c->aside += calls_cpu() - start;
	n->server = SSL_new(c->server);
	calls_must(n->server != NULL &&
		BIO_new_bio_pair(&ours, PAIR_OCTETS, &theirs, PAIR_OCTETS) == 1,
	    "SSL_new");
	SSL_set_accept_state(n->server);
	SSL_set_bio(n->server, ours, ours);
	SSL_set_bio(n->client, theirs, theirs);
}

void
call_tls_handshake(struct enrol_calls *c, const struct enrol_input *in)
{
	struct state *n = &c->now;
	int done = 0;

	tls_open(c, in->device);
	for (int i = 0; i < 8 && done != 2; i++)
		done = (client_step(c, SSL_do_handshake) == 1) +
		    (SSL_do_handshake(n->server) == 1);
	calls_must(done == 2, "SSL_do_handshake");
	calls_must(SSL_get0_peer_certificate(n->server) != NULL,
	    "the client's certificate");
}

/* One request in, one answer out. */
static void
tls_pass(struct enrol_calls *c, struct bytes request)
{
	static uint8_t junk[PAIR_OCTETS];
	double start = calls_cpu();
	size_t in = 0;
	int n;

	calls_must(SSL_write(c->now.client, request.p, (int)request.len) ==
		(int)request.len,
	    "SSL_write");
	calls_must(SSL_write(c->now.client, junk, HTTP_OCTETS) == HTTP_OCTETS,
	    "SSL_write");
	c->aside += calls_cpu() - start;
	while (in < request.len + HTTP_OCTETS) {
		n = SSL_read(c->now.server, junk, sizeof(junk));
		calls_must(n > 0, "SSL_read");
		in += (size_t)n;
	}
	calls_must(
	    SSL_write(c->now.server, junk, ANSWER_OCTETS) == ANSWER_OCTETS,
	    "SSL_write");
	start = calls_cpu();
	calls_must(SSL_read(c->now.client, junk, sizeof(junk)) == ANSWER_OCTETS,
	    "SSL_read");
	c->aside += calls_cpu() - start;
}

void
call_tls_octets(struct enrol_calls *c, const struct enrol_input *in)
{
	tls_pass(c, in->voucher);
	tls_pass(c, in->ir);
}

/* ---- signatures ------------------------------------------------------------ */

void
calls_sign(const struct signer *s, struct bytes what, struct buf *ret)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[128];
	size_t len = sizeof(sig);

	calls_must(
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->key) == 1 &&
		EVP_DigestSign(ctx, sig, &len, what.p, what.len) == 1,
	    "EVP_DigestSign");
	EVP_MD_CTX_free(ctx);
	if (ret != NULL)
		buf_add(ret, sig, len);
}

void
calls_verify(X509 *signer, struct bytes sig, struct bytes what)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	calls_must(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL,
		       X509_get0_pubkey(signer)) == 1 &&
		EVP_DigestVerify(ctx, sig.p, sig.len, what.p, what.len) == 1,
	    "EVP_DigestVerify");
	EVP_MD_CTX_free(ctx);
}

void
call_header_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	calls_sign(c->registrar, buf_bytes(&c->header), NULL);
}

/* As long as the message that it holds; so is the answer. */
void
call_message_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	calls_sign(c->registrar, in->ir, NULL);
}
