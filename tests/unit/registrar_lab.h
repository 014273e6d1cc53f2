/*
 * What the tests of the registrar stand on: a registrar in this process, with
 * all its threads, made from files; a vendor's devices that speak to it over
 * TLS; its log, to be asked for what it said.
 */
#ifndef WAYBILL_TESTS_REGISTRAR_LAB_H
#define WAYBILL_TESTS_REGISTRAR_LAB_H

#include "tests/unit/ra_lab.h"
#include "tests/unit/https_client.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include <openssl/cmp.h>

#include "common/pki/certfacts.h"
#include "common/pki/voucher.h"
#include "registrar/front.h"

#define REG_WAIT_MS 5000

struct reg_lab {
	struct lab *l;
	struct signer *masa_service; /* answers entries of kind voucher */
	struct signer *masa;	     /* signs the vendor's vouchers */
	struct signer *sibling;	     /* of the device; serial WB-0002 */
	struct registrar r;
	bool running;
	unsigned dials; /* clients take the bases in turn */
	pthread_mutex_t lock;
	pthread_cond_t moved; /* the outbox committed something */
	int log, stderr_was;
};

/* Of registrar.yaml; NULL and 0: as below. */
struct reg_want {
	const char *cmp, *brski, *vendors, *limits, *more;
	const char *ra_kinds; /* "cmp, audit" */
	const char *control;  /* ", viewers: ..." */
};

/* ---- its log ----------------------------------------------------------- */

static inline void
reg_log_open(struct reg_lab *g)
{
	fflush(stderr);
	g->log = open(lab_path(g->l, "log"), O_RDWR | O_CREAT | O_APPEND, 0600);
	g->stderr_was = dup(STDERR_FILENO);
	assert_int_not_equal(dup2(g->log, STDERR_FILENO), -1);
}

static inline void
reg_log_read(const struct reg_lab *g, struct buf *out)
{
	struct stat st;

	assert_int_equal(fstat(g->log, &st), 0);
	if (st.st_size > 0)
		assert_int_equal(
		    pread(g->log, buf_grow(out, (size_t)st.st_size),
			(size_t)st.st_size, 0),
		    st.st_size);
}

/* Told on the real stderr, where a test that failed is looked into. */
static inline void
reg_log_close(struct reg_lab *g)
{
	struct buf all AUTO_BUF = { 0 };

	reg_log_read(g, &all);
	dup2(g->stderr_was, STDERR_FILENO);
	close(g->stderr_was);
	fputs(buf_cstr(&all), stderr);
	if (ftruncate(g->log, 0) != 0)
		fprintf(stderr, "the log stays\n");
	close(g->log);
}

/* How many lines say so. */
static inline unsigned
reg_logged(const struct reg_lab *g, const char *part)
{
	struct buf all AUTO_BUF = { 0 };
	unsigned n = 0;

	reg_log_read(g, &all);
	for (const char *p = buf_cstr(&all); (p = strstr(p, part)) != NULL; n++)
		p += strlen(part);
	return n;
}

/* ---- the registrar ----------------------------------------------------- */

static inline void
reg_write_conf(const struct reg_lab *g, const struct reg_want *w)
{
	struct buf y AUTO_BUF = { 0 };
	const char *d = g->l->dir;

	buf_printf(&y,
	    "site: " LAB_SITE "\n"
	    "listen: [127.0.0.1:0]\nthreads: 2\n"
	    "key: %s/registrar.key\ncertificate: %s/registrar.crt\n"
	    "domain-ca: %s/root.crt\ndeny-list: %s/deny.txt\n",
	    d, d, d, d);
	buf_printf(&y, "vendors:\n  - {name: acme, anchor: %s/vendor.crt}\n%s",
	    d, w->vendors != NULL ? w->vendors : "");
	buf_printf(&y,
	    "services:\n"
	    "  - {name: ra, certificate: %s/service.crt, kinds: [%s]}\n"
	    "  - {name: masa, certificate: %s/masa-service.crt, "
	    "kinds: [voucher]}\n"
	    "store: {directory: %s/store, map-size: 8MiB, seal: %s/seal.key}\n",
	    d, w->ra_kinds != NULL ? w->ra_kinds : "cmp, audit", d, d, d);
	buf_printf(&y,
	    "carry: {socket: %s/carry}\ncontrol: {socket: %s/control%s}\n"
	    "cmp: {%s}\nbrski: {%s}\nlimits: {%s}\n%s",
	    d, d, w->control != NULL ? w->control : "",
	    w->cmp != NULL ? w->cmp : "hold: 0s",
	    w->brski != NULL ? w->brski : "verify-voucher: true",
	    w->limits != NULL
		? w->limits
		: "device-requests: 100000, device-open: 0, device-hour: 0",
	    w->more != NULL ? w->more : "");
	lab_write(g->l, "registrar.yaml", buf_bytes(&y));
}

/* Read from its files, nothing opened. */
static inline void
reg_configure(struct reg_lab *g, const struct reg_want *w)
{
	static const struct reg_want usual;
	struct err e = ERR_INIT;

	reg_write_conf(g, w != NULL ? w : &usual);
	memset(&g->r, 0, sizeof(g->r));
	if (registrar_configure(&g->r, lab_path(g->l, "registrar.yaml"), &e) ==
	    -1)
		fail_msg("%s", e.msg);
}

/* outbox_watch: in the committer, at once. */
static inline void
reg_post_now(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static inline void
reg_moved(
    void *arg, uint64_t id, const struct digest *row, enum entry_state state)
{
	struct reg_lab *g = arg;

	(void)id, (void)row, (void)state;
	pthread_mutex_lock(&g->lock);
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static inline void
reg_start(struct reg_lab *g, const struct reg_want *w)
{
	struct post now = { reg_post_now, NULL };
	struct err e = ERR_INIT;

	reg_configure(g, w);
	if (registrar_open(&g->r, &e) == -1)
		fail_msg("%s", e.msg);
	outbox_watch(g->r.outbox, reg_moved, g, now);
	for (size_t i = 0; i < g->r.n_bases; i++)
		if (loop_spawn(g->r.loops[i], &e) == -1)
			fail_msg("%s", e.msg);
	g->running = true;
}

static inline void
reg_stop(struct reg_lab *g)
{
	if (!g->running)
		return;
	g->running = false;
	loop_join(g->r.loops[0]);
	registrar_close(&g->r);
}

static inline struct outbox_entry
reg_entry(struct reg_lab *g, uint64_t id)
{
	struct outbox_entry en = { 0 };
	struct err e = ERR_INIT;

	if (outbox_get(g->r.outbox, id, &en, &e) != 1)
		fail_msg("entry %u: %s", (unsigned)id, e.msg);
	return en;
}

static inline struct outbox_entry
reg_await(struct reg_lab *g, uint64_t id, enum entry_state state)
{
	uint64_t end = clock_mono_ms() + REG_WAIT_MS;
	struct outbox_entry en = { 0 };
	struct timespec ts;

	pthread_mutex_lock(&g->lock);
	while (
	    (en = reg_entry(g, id)).state != state && clock_mono_ms() < end) {
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_sec++;
		pthread_cond_timedwait(&g->moved, &g->lock, &ts);
	}
	pthread_mutex_unlock(&g->lock);
	if (en.state != state)
		fail_msg("entry %u is %s, not %s", (unsigned)id,
		    entry_state_name(en.state), entry_state_name(state));
	return en;
}

/* The id that the next entry would get. */
static inline uint64_t
reg_next_id(struct reg_lab *g)
{
	struct outbox_counts n;

	outbox_count(g->r.outbox, &n);
	return n.next_id;
}

/* ---- around each test -------------------------------------------------- */

static inline void
reg_lab_keys(struct reg_lab *g)
{
	struct lab *l = g->l;
	struct lab_want service = { .cn = "masa-client",
		.san = "URI:urn:waybill:service:masa",
		.eku = LAB_CMCRA };
	struct lab_want masa = { .cn = "Acme vouchers" };

	g->masa_service = lab_signer(&service, &l->ca);
	g->masa = lab_signer(&masa, &l->vendor);
	g->sibling = lab_device(&l->vendor_sub, "WB-0002");
	lab_save(
	    l, "registrar", l->registrar->key, l->registrar->cert, l->ca.cert);
	lab_save(l, "masa-service", NULL, g->masa_service->cert, l->ca.cert);
	lab_save(l, "stranger", NULL, l->stranger.cert, NULL);
	lab_write(l, "deny.txt", bytes_of("subject-serial WB-STOLEN\n", 25));
}

static inline int
reg_lab_setup(void **state)
{
	struct reg_lab *g = xcalloc(1, sizeof(*g));

	setenv("WAYBILL_CLOCK", "rtc", 1);
	signal(SIGPIPE, SIG_IGN);
	g->l = lab_new();
	reg_lab_keys(g);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->moved, NULL);
	reg_log_open(g);
	*state = g;
	return 0;
}

static inline int
reg_lab_teardown(void **state)
{
	struct reg_lab *g = *state;

	reg_stop(g);
	reg_log_close(g);
	signer_free(g->masa_service);
	signer_free(g->masa);
	signer_free(g->sibling);
	lab_free(g->l);
	pthread_cond_destroy(&g->moved);
	pthread_mutex_destroy(&g->lock);
	free(g);
	return 0;
}

/* ---- vouchers ---------------------------------------------------------- */

/* Of the vendor's MASA, pinned to our root, but for what a test says. */
struct reg_voucher {
	const char *serial, *nonce; /* NULL: none */
	X509 *pin;		    /* NULL: our root */
	X509 *issuer_of;	    /* whose idevid-issuer is told, or NULL */
	const struct signer *by;    /* NULL: the MASA */
	uint64_t expires;	    /* 0: never */
};

static inline void
reg_voucher(
    const struct reg_lab *g, const struct reg_voucher *m, struct buf *out)
{
	struct vch v = { .assertion = VCH_LOGGED,
		.pin = m->pin != NULL ? m->pin : g->l->root.cert,
		.expires_on = m->expires };
	struct buf json AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	clock_format(v.created_on, clock_now().time);
	str_copy(v.serial, sizeof(v.serial), m->serial);
	if (m->nonce != NULL)
		str_copy(v.nonce, sizeof(v.nonce), m->nonce);
	if (m->issuer_of != NULL)
		vch_idevid_issuer(m->issuer_of, &v.idevid_issuer);
	vch_format(&v, &json);
	buf_done(&v.idevid_issuer);
	if (cms_sign(nid_json_voucher(), buf_bytes(&json),
		m->by != NULL ? m->by : g->masa, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

/* ---- HTTP -------------------------------------------------------------- */

/* One request on a connection of its own. */
struct reg_http {
	const struct signer *client;
	const char *method; /* NULL: POST */
	const char *path;
	const char *type;    /* of the body; NULL: none is told */
	const char *headers; /* others, each with CR LF; NULL: none */
	struct bytes body;
};

struct reg_reply {
	int status;
	struct buf text; /* all of it */
	struct bytes body;
};

static inline void
reg_reply_done(struct reg_reply *p)
{
	buf_done(&p->text);
}
#define AUTO_REPLY __attribute__((cleanup(reg_reply_done)))

static inline void
reg_dial(struct reg_lab *g, struct client *c, const struct signer *s)
{
	struct front *f = g->r.fronts[g->dials++ % g->r.n_bases];

	client_dial(c, https_port(f->servers[0]), s);
	assert_int_equal(SSL_connect(c->ssl), 1);
}

static inline void
reg_http_send(struct client *c, const struct reg_http *h)
{
	struct buf out AUTO_BUF = { 0 };

	buf_printf(&out, "%s %s HTTP/1.1\r\nHost: registrar\r\n%s",
	    h->method != NULL ? h->method : "POST", h->path,
	    h->headers != NULL ? h->headers : "");
	if (h->type != NULL)
		buf_printf(&out, "Content-Type: %s\r\n", h->type);
	if (h->body.len > 0 || h->method == NULL)
		buf_printf(&out, "Content-Length: %zu\r\n", h->body.len);
	buf_add_str(&out, "\r\n");
	buf_add(&out, h->body.p, h->body.len);
	client_write(c, buf_bytes(&out));
}

static inline void
reg_http_receive(struct client *c, struct reg_reply *ret)
{
	const char *text = client_receive(c, &ret->text);
	const char *end = strstr(text, "\r\n\r\n");

	if (sscanf(text, "HTTP/1.1 %d", &ret->status) != 1 || end == NULL)
		fail_msg("no HTTP: '%s'", text);
	ret->body = bytes_of(end + 4, ret->text.len - (size_t)(end + 4 - text));
}

static inline void
reg_http(struct reg_lab *g, const struct reg_http *h, struct reg_reply *ret)
{
	struct client c;

	reg_dial(g, &c, h->client);
	reg_http_send(&c, h);
	reg_http_receive(&c, ret);
	client_close(&c);
}

static inline bool
reg_reply_has(struct reg_reply *p, const char *part)
{
	return strstr(buf_cstr(&p->text), part) != NULL;
}

/* ---- CMP --------------------------------------------------------------- */

#define REG_CMP	     "/.well-known/cmp"
#define REG_CMP_TYPE "application/pkixcmp"

/* By OpenSSL's own CMP. */
static inline void
reg_oracle(const struct lab *l, struct bytes der)
{
	OSSL_CMP_CTX *ctx = OSSL_CMP_CTX_new(NULL, NULL);
	X509_STORE *store = X509_STORE_new();
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	const uint8_t *p = der.p;
	OSSL_CMP_MSG *m = d2i_OSSL_CMP_MSG(NULL, &p, (long)der.len);

	assert_non_null(m);
	assert_int_equal(X509_STORE_add_cert(store, l->root.cert), 1);
	assert_int_equal(OSSL_CMP_CTX_set0_trustedStore(ctx, store), 1);
	assert_int_not_equal(sk_X509_push(untrusted, l->ca.cert), 0);
	assert_int_equal(OSSL_CMP_CTX_set1_untrusted(ctx, untrusted), 1);
	assert_int_equal(OSSL_CMP_validate_msg(ctx, m), 1);
	sk_X509_free(untrusted);
	OSSL_CMP_MSG_free(m);
	OSSL_CMP_CTX_free(ctx);
}

/* What holds for every answer to every readable message: HTTP 200, its
 * protection under `by`, and that it answers this one. */
static inline struct cmp_msg *
reg_cmp_read(const struct reg_lab *g, const struct signer *by,
    struct bytes request, struct reg_reply *p)
{
	AUTO(cmp_msg) req = lab_parse(request);
	struct cmp_msg *m;
	struct err e = ERR_INIT;

	if (p->status != 200 ||
	    !reg_reply_has(p, "Content-Type: " REG_CMP_TYPE "\r\n"))
		fail_msg("%s", buf_cstr(&p->text));
	m = lab_parse(p->body);
	if (cmp_verify(m, by->cert, &e) == -1)
		fail_msg("%s", e.msg);
	assert_true(bytes_eq(cmp_transaction_id(m), cmp_transaction_id(req)));
	assert_true(bytes_eq(cmp_recip_nonce(m), cmp_sender_nonce(req)));
	assert_true(cmp_sender_nonce(m).len >= 16);
	reg_oracle(g->l, p->body);
	return m;
}

static inline struct cmp_msg *
reg_cmp_at(struct reg_lab *g, const struct signer *client, const char *path,
    const struct buf *request)
{
	struct reg_http h = { .client = client,
		.path = path,
		.type = REG_CMP_TYPE,
		.body = buf_bytes(request) };
	struct reg_reply p AUTO_REPLY = { 0 };

	reg_http(g, &h, &p);
	return reg_cmp_read(g, g->l->registrar, buf_bytes(request), &p);
}

static inline struct cmp_msg *
reg_cmp(
    struct reg_lab *g, const struct signer *client, const struct buf *request)
{
	return reg_cmp_at(g, client, REG_CMP, request);
}

/* A later message of the device in the transaction of `last`. */
static inline void
reg_follow(const struct cmp_msg *last, const struct signer *device,
    struct bytes body, struct buf *out)
{
	struct err e = ERR_INIT;
	struct cmp_head h = { 0 };

	cmp_head_reply(last, &h);
	if (cmp_build(&h, body, device, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline void
reg_pollreq(const struct cmp_msg *last, const struct signer *device, long id,
    struct buf *out)
{
	struct buf body AUTO_BUF = { 0 };

	cmp_body_pollreq(id, &body);
	reg_follow(last, device, buf_bytes(&body), out);
}

static inline void
reg_expect_waiting(const struct cmp_msg *m, enum cmp_body type, long id)
{
	struct cmp_response rsp = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(cmp_body(m), type);
	if (cmp_read_response(m, &rsp, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(rsp.status, CMP_WAITING);
	assert_int_equal(rsp.id, id);
	cmp_response_done(&rsp);
}

/* The PKIStatusInfo of an error, an rp, an ip, cp or kup. */
static inline void
reg_status(const char *what, const struct cmp_msg *m, enum cmp_body type,
    struct cmp_response *ret)
{
	struct err e = ERR_INIT;
	int rc;

	if (cmp_body(m) != type)
		fail_msg("%s: %s", what, cmp_body_name(cmp_body(m)));
	rc = type == CMP_ERROR ? cmp_read_error(m, ret, &e)
	    : type == CMP_RP   ? cmp_read_rp(m, ret, &e)
			       : cmp_read_response(m, ret, &e);
	if (rc == -1)
		fail_msg("%s: %s", what, e.msg);
}

/* type: error, or another with a rejection, id where it has one. */
static inline void
reg_expect_rejected(const char *what, const struct cmp_msg *m,
    enum cmp_body type, long id, uint32_t fail, const char *reason)
{
	struct cmp_response rsp = { 0 };

	reg_status(what, m, type, &rsp);
	if (rsp.id != id || rsp.status != CMP_REJECTION || rsp.fail != fail ||
	    strstr(rsp.text, reason) == NULL)
		fail_msg("%s: id %ld, status %d, failInfo %x, %s", what, rsp.id,
		    (int)rsp.status, (unsigned)rsp.fail, rsp.text);
	cmp_response_done(&rsp);
}

/* The same; a cp is that of a p10cr. */
static inline void
reg_expect_refused(const char *what, const struct cmp_msg *m,
    enum cmp_body type, uint32_t fail, const char *reason)
{
	reg_expect_rejected(
	    what, m, type, type == CMP_CP ? -1 : 0, fail, reason);
}

/* RFC 9483 4.4: who asked for no certificate waits by an error. */
static inline void
reg_expect_waiting_error(const struct cmp_msg *m)
{
	struct cmp_response rsp = { 0 };

	reg_status("waiting", m, CMP_ERROR, &rsp);
	assert_int_equal(rsp.status, CMP_WAITING);
	cmp_response_done(&rsp);
}

static inline void
reg_expect_pollrep(const struct cmp_msg *m, long want)
{
	struct err e = ERR_INIT;
	uint32_t secs;
	long id = 7777;

	assert_int_equal(cmp_body(m), CMP_POLLREP);
	assert_int_equal(cmp_read_pollrep(m, &id, &secs, &e), 0);
	assert_int_equal(id, want);
}

/* A first message of this device with this body. */
static inline void
reg_first(const struct signer *device, struct bytes body, struct buf *out)
{
	struct err e = ERR_INIT;
	uint8_t tid[CMP_TID_LEN];
	struct cmp_head h = { .transaction_id = bytes_of(tid, sizeof(tid)) };

	random_bytes(tid, sizeof(tid));
	if (cmp_build(&h, body, device, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

#endif
