#include "common/link/wire_int.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <string.h>
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/link/tls_engine.h"
#include "common/pki/sign.h"

#define LOG_GAP_MS 60000

/* ---- what nng 1.5.2 forgets -------------------------------------------- */

/*
 * A message crosses a pipe in several steps, and each step ends in a callback
 * that begins the next.  If the pipe is closed between two of them, the next
 * is begun on an aio that was closed, and nng drops it in silence: the callback
 * never comes, the one thread that frees pipes waits for it for ever, no pipe
 * is ever removed again and no dialer dials again.  In the same way a reader
 * that comes after the connection's end is never told of it.  Both were seen
 * within a second of connections that break while they are in use.
 *
 * nng calls these two of its own public functions by their names, so ours are
 * the ones it finds.  An aio that was dropped has the result NNG_ECANCELED at
 * once; one that was begun and then closed has NNG_ECLOSED.  It is ended here,
 * with NNG_ECONNRESET: as the end of a pipe that is being made NNG_ECLOSED would
 * be taken for the end of the listener, or the dialer, itself.
 *
 * They stand in this file because both ends need the rest of it: no program can
 * be linked with a wire and without them.  nng must be the shared library, in
 * whose calls the program's own symbols come first.
 */
typedef void stream_fn(nng_stream *s, nng_aio *aio);

static stream_fn *real_send, *real_recv;
static bool mend; /* later versions may end it themselves */

static void
find_real(void)
{
	*(void **)&real_send = dlsym(RTLD_NEXT, "nng_stream_send");
	*(void **)&real_recv = dlsym(RTLD_NEXT, "nng_stream_recv");
	if (real_send == NULL || real_recv == NULL)
		err_die("nng is not a shared library");
	mend = strcmp(nng_version(), "1.5.2") == 0;
}

static void
stream_step(bool send, nng_stream *s, nng_aio *aio)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_real);
	(send ? real_send : real_recv)(s, aio);
	if (mend && nng_aio_result(aio) == NNG_ECANCELED)
		nng_aio_finish(aio, NNG_ECONNRESET);
}

void
nng_stream_send(nng_stream *s, nng_aio *aio)
{
	stream_step(true, s, aio);
}

void
nng_stream_recv(nng_stream *s, nng_aio *aio)
{
	stream_step(false, s, aio);
}

/* ---- what both ends share ---------------------------------------------- */

static const struct {
	const char *prefix;
	bool ipc;
} schemes[] = {
	{ "tls+tcp://", false },
	{ "ipc://", true },
};

int
wire_url_check(const char *url, bool *ret_ipc, struct err *e)
{
	size_t i;

	for (i = 0; i < NELEMS(schemes); i++)
		if (str_starts(url, schemes[i].prefix)) {
			*ret_ipc = schemes[i].ipc;
			return 0;
		}
	return err_set(e, ERR_CONF,
	    "link %s: neither tls+tcp://HOST:PORT nor ipc://PATH", url);
}

static void
certs_pem(const STACK_OF(X509) * certs, struct buf *out)
{
	int i;

	for (i = 0; i < sk_X509_num(certs); i++)
		ossl_cert_pem(sk_X509_value(certs, i), out);
}

static int
config_fill(nng_tls_config *c, const struct signer *s,
    const STACK_OF(X509) * ca, struct err *e)
{
	struct buf own AUTO_BUF = { 0 }, anchors AUTO_BUF = { 0 };
	struct buf key AUTO_SECRET = { 0 };
	int rv;

	ossl_cert_pem(s->cert, &own);
	certs_pem(s->chain, &own);
	certs_pem(ca, &anchors);
	ossl_key_pem(s->key, &key);
	if ((rv = nng_tls_config_version(c, NNG_TLS_1_3, NNG_TLS_1_3)) != 0 ||
	    (rv = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_REQUIRED)) !=
		0 ||
	    (rv = nng_tls_config_ca_chain(c, buf_cstr(&anchors), NULL)) != 0 ||
	    (rv = nng_tls_config_own_cert(
		 c, buf_cstr(&own), buf_cstr(&key), NULL)) != 0)
		return wire_fail(e, ERR_LOCAL, "TLS", rv);
	return 0;
}

nng_tls_config *
wire_tls_config(const struct wire_tls *t, nng_tls_mode mode, struct err *e)
{
	AUTO(signer) s = NULL;
	AUTO(X509S) ca = NULL;
	AUTO(nng_tls_config) c = NULL;
	int rv;

	if (t->key == NULL || t->cert == NULL || t->ca == NULL) {
		err_set(e, ERR_CONF, "link: tls+tcp:// without key files");
		return NULL;
	}
	if ((s = signer_load(t->key, t->cert, e)) == NULL ||
	    (ca = ossl_load_certs(t->ca, e)) == NULL)
		return NULL;
	if ((rv = nng_tls_config_alloc(&c, mode)) != 0) {
		wire_fail(e, ERR_LOCAL, "TLS", rv);
		return NULL;
	}
	if (config_fill(c, s, ca, e) == -1)
		return NULL;
	return STEAL(c);
}

X509 *
wire_pipe_cert(nng_pipe p, struct err *e)
{
	bool verified = false;
	X509 *x;

	if (nng_pipe_get_bool(p, NNG_OPT_TLS_VERIFIED, &verified) != 0 ||
	    !verified || (x = tls_engine_peer()) == NULL) {
		err_set(e, ERR_TRUST, "peer without a verified certificate");
		return NULL;
	}
	return x;
}

int
wire_pipe_uid_check(nng_pipe p, uid_t want, struct err *e)
{
	uint64_t uid;

	if (nng_pipe_get_uint64(p, NNG_OPT_IPC_PEER_UID, &uid) != 0)
		return err_set(e, ERR_TRUST, "peer without a uid");
	if (uid != want)
		return err_set(e, ERR_TRUST, "peer has uid %llu, not %llu",
		    (unsigned long long)uid, (unsigned long long)want);
	return 0;
}

static const char *
pipe_addr(nng_pipe p, char ret[INET6_ADDRSTRLEN])
{
	nng_sockaddr a;

	str_copy(ret, INET6_ADDRSTRLEN, "local");
	if (nng_pipe_get_addr(p, NNG_OPT_REMADDR, &a) != 0)
		return ret;
	if (a.s_family == NNG_AF_INET)
		inet_ntop(AF_INET, &a.s_in.sa_addr, ret, INET6_ADDRSTRLEN);
	else if (a.s_family == NNG_AF_INET6)
		inet_ntop(AF_INET6, a.s_in6.sa_addr, ret, INET6_ADDRSTRLEN);
	return ret;
}

void
wire_log_refused(
    _Atomic uint64_t *last, nng_pipe p, const char *as, const struct err *e)
{
	uint64_t now = clock_mono_ms(), before = atomic_load(last);
	char addr[INET6_ADDRSTRLEN];

	if ((before == 0 || now - before >= LOG_GAP_MS) &&
	    atomic_compare_exchange_strong(last, &before, now))
		log_err(LOG_ERROR, "link.refused", e, "as", "%s", as, "peer",
		    "%s", pipe_addr(p, addr), NULL);
}

int
wire_notify(nng_socket s, nng_pipe_cb cb, void *arg)
{
	static const nng_pipe_ev events[] = { NNG_PIPE_EV_ADD_PRE,
		NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST };
	size_t i;
	int rv = 0;

	for (i = 0; i < NELEMS(events) && rv == 0; i++)
		rv = nng_pipe_notify(s, events[i], cb, arg);
	return rv;
}

nng_msg *
wire_msg_of(struct bytes b)
{
	nng_msg *m;

	if (nng_msg_alloc(&m, 0) != 0)
		return NULL;
	if (nng_msg_append(m, b.p, b.len) != 0) {
		nng_msg_free(m);
		return NULL;
	}
	return m;
}

struct bytes
wire_msg_bytes(nng_msg *m)
{
	if (m == NULL)
		return (struct bytes){ NULL, 0 };
	return bytes_of(nng_msg_body(m), nng_msg_len(m));
}
