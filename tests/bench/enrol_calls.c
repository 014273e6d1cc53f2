#include "tests/bench/enrol_calls.h"

#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <openssl/cms.h>
#include <openssl/cmp.h>
#include <openssl/crmf.h>
#include <openssl/err.h>

#include "common/base/json.h"
#include "common/base/str.h"
#include "common/pki/cmp_der.h"
#include "common/pki/voucher.h"
#include "common/sys/https_int.h"
#include "tests/bench/bench.h"

#define PAIR_OCTETS   32768
#define HEADER_OCTETS 500  /* what an entry's header comes to */
#define HTTP_OCTETS   150  /* of a request's own */
#define ANSWER_OCTETS 1500 /* of a "waiting" and its HTTP */
#define ROW_OCTETS    260
#define MAP_OCTETS    (256UL << 20)

/* What one enrolment leaves between its calls. */
struct state {
	SSL *client, *server;
	CMS_ContentInfo *cms;
	BIO *content;
	json_t *request;
	uint8_t *der; /* the registrar's own voucher request */
	int der_len;
	OSSL_CMP_PKIHEADER *header;
	OSSL_CRMF_MSGS *asked;
	STACK_OF(X509) * extra;
	struct bytes protected_part, protection; /* of the ir */
	struct buf part;
};

struct enrol_calls {
	struct signer *registrar, *service, *ca;
	X509_STORE *makers;
	SSL_CTX *server, *client;
	struct buf header, header_sig; /* as a registrar signs them */
	MDB_env *env;
	MDB_dbi db;
	uint64_t id;
	double aside; /* us of what does not count */
	struct state now;
	double *us; /* of each call so far */
	unsigned *n;
};

typedef void call_fn(struct enrol_calls *c, const struct enrol_input *in);

static double
cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void
must(bool ok, const char *what)
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
	double start = cpu();
	int rc = fn(c->now.client);

	c->aside += cpu() - start;
	return rc;
}

static void
tls_open(struct enrol_calls *c, const struct signer *device)
{
	struct state *n = &c->now;
	double start = cpu();
	BIO *ours, *theirs;

	n->client = SSL_new(c->client);
	must(n->client != NULL &&
		SSL_use_cert_and_key(n->client, device->cert, device->key,
		    device->chain, 1) == 1,
	    "SSL_use_cert_and_key");
	SSL_set_connect_state(n->client);
	c->aside += cpu() - start;
	n->server = SSL_new(c->server);
	must(n->server != NULL &&
		BIO_new_bio_pair(&ours, PAIR_OCTETS, &theirs, PAIR_OCTETS) == 1,
	    "SSL_new");
	SSL_set_accept_state(n->server);
	SSL_set_bio(n->server, ours, ours);
	SSL_set_bio(n->client, theirs, theirs);
}

static void
tls_handshake(struct enrol_calls *c, const struct enrol_input *in)
{
	struct state *n = &c->now;
	int done = 0;

	tls_open(c, in->device);
	for (int i = 0; i < 8 && done != 2; i++)
		done = (client_step(c, SSL_do_handshake) == 1) +
		    (SSL_do_handshake(n->server) == 1);
	must(done == 2, "SSL_do_handshake");
	must(SSL_get0_peer_certificate(n->server) != NULL,
	    "the client's certificate");
}

/* One request in, one answer out. */
static void
tls_pass(struct enrol_calls *c, struct bytes request)
{
	static uint8_t junk[PAIR_OCTETS];
	double start = cpu();
	size_t in = 0;
	int n;

	must(SSL_write(c->now.client, request.p, (int)request.len) ==
		(int)request.len,
	    "SSL_write");
	must(SSL_write(c->now.client, junk, HTTP_OCTETS) == HTTP_OCTETS,
	    "SSL_write");
	c->aside += cpu() - start;
	while (in < request.len + HTTP_OCTETS) {
		n = SSL_read(c->now.server, junk, sizeof(junk));
		must(n > 0, "SSL_read");
		in += (size_t)n;
	}
	must(SSL_write(c->now.server, junk, ANSWER_OCTETS) == ANSWER_OCTETS,
	    "SSL_write");
	start = cpu();
	must(SSL_read(c->now.client, junk, sizeof(junk)) == ANSWER_OCTETS,
	    "SSL_read");
	c->aside += cpu() - start;
}

static void
tls_octets(struct enrol_calls *c, const struct enrol_input *in)
{
	tls_pass(c, in->voucher);
	tls_pass(c, in->ir);
}

/* ---- signatures ------------------------------------------------------------ */

static void
sign(const struct signer *s, struct bytes what, struct buf *ret)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[128];
	size_t len = sizeof(sig);

	must(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, s->key) == 1 &&
		EVP_DigestSign(ctx, sig, &len, what.p, what.len) == 1,
	    "EVP_DigestSign");
	EVP_MD_CTX_free(ctx);
	if (ret != NULL)
		buf_add(ret, sig, len);
}

static void
verify(X509 *signer, struct bytes sig, struct bytes what)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL,
		 X509_get0_pubkey(signer)) == 1 &&
		EVP_DigestVerify(ctx, sig.p, sig.len, what.p, what.len) == 1,
	    "EVP_DigestVerify");
	EVP_MD_CTX_free(ctx);
}

static void
header_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	sign(c->registrar, buf_bytes(&c->header), NULL);
}

/* As long as the message that it holds; so is the answer. */
static void
message_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	sign(c->registrar, in->ir, NULL);
}

/* ---- the voucher request --------------------------------------------------- */

static void
voucher_parsed(struct enrol_calls *c, const struct enrol_input *in)
{
	const unsigned char *p = in->voucher.p;

	c->now.cms = d2i_CMS_ContentInfo(NULL, &p, (long)in->voucher.len);
	must(c->now.cms != NULL, "d2i_CMS_ContentInfo");
}

static void
voucher_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	c->now.content = BIO_new(BIO_s_mem());
	must(CMS_verify(c->now.cms, NULL, c->makers, NULL, c->now.content,
		 CMS_BINARY) == 1,
	    "CMS_verify");
}

/* The members that stand there, and the certificate among them decoded. */
static void
voucher_read(struct enrol_calls *c, const struct enrol_input *in)
{
	char *text;
	long len = BIO_get_mem_data(c->now.content, &text);
	const char *proximity;
	uint8_t der[4096];

	(void)in;
	c->now.request = json_loadb(text, (size_t)len, 0, NULL);
	proximity = json_string_value(json_object_get(
	    json_object_get(c->now.request, "ietf-voucher-request:voucher"),
	    "proximity-registrar-cert"));
	must(proximity != NULL && strlen(proximity) < sizeof(der) &&
		EVP_DecodeBlock(der, (const uint8_t *)proximity,
		    (int)strlen(proximity)) > 0,
	    "json_loadb, EVP_DecodeBlock");
}

static void
own_request_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	json_t *v =
	    json_object_get(c->now.request, "ietf-voucher-request:voucher");
	uint8_t prior[16384];
	CMS_ContentInfo *cms;
	BIO *bio;
	char *text;

	must(in->voucher.len < sizeof(prior) / 4 * 3 &&
		EVP_EncodeBlock(prior, in->voucher.p, (int)in->voucher.len) > 0,
	    "EVP_EncodeBlock");
	json_object_set_new(
	    v, "prior-signed-voucher-request", json_string((char *)prior));
	text = json_dumps(c->now.request, JSON_COMPACT);
	bio = BIO_new_mem_buf(text, -1);
	cms = CMS_sign(c->registrar->cert, c->registrar->key,
	    c->registrar->chain, bio, CMS_BINARY | CMS_NOSMIMECAP);
	must(cms != NULL &&
		(c->now.der_len = i2d_CMS_ContentInfo(cms, &c->now.der)) > 0,
	    "CMS_sign");
	CMS_ContentInfo_free(cms);
	BIO_free(bio);
	free(text);
}

/* ---- the ir ----------------------------------------------------------------- */

/* Where its parts are; not among the calls that count. */
static void
ir_cut(struct enrol_calls *c, const struct enrol_input *in,
    struct bytes *ret_header, struct bytes *ret_body, struct bytes *ret_extra)
{
	double start = cpu();
	struct der top = der_open(in->ir), d = der_enter(&top, DER_SEQ);
	struct der bits, body;
	size_t at;

	*ret_header = der_whole(&d, DER_SEQ);
	body = der_open(der_whole(&d, DER_CTX(0)));
	bits = der_enter(&d, DER_CTX(0));
	*ret_extra = der_value(&d, DER_CTX(1));
	must(der_end(&d), "the ir's frame");
	buf_reset(&c->now.part);
	at = c->now.part.len;
	buf_add(&c->now.part, ret_header->p, ret_header->len);
	buf_add(&c->now.part, body.rest.p, body.rest.len);
	der_close(&c->now.part, at, DER_SEQ);
	*ret_body = der_value(&body, DER_CTX(0));
	c->now.protection = der_value(&bits, DER_BITS);
	c->now.protection.p++;
	c->now.protection.len--;
	c->aside += cpu() - start;
}

static void
extra_parsed(struct enrol_calls *c, struct bytes extra)
{
	struct der top = der_open(extra), all = der_enter(&top, DER_SEQ);

	c->now.extra = sk_X509_new_null();
	while (der_peek(&all) != 0) {
		struct bytes x = der_whole(&all, DER_SEQ);
		const unsigned char *p = x.p;

		must(sk_X509_push(
			 c->now.extra, d2i_X509(NULL, &p, (long)x.len)) > 0,
		    "d2i_X509");
	}
}

/* What d2i_OSSL_CMP_MSG does, in parts that can be had. */
static void
ir_parsed(struct enrol_calls *c, const struct enrol_input *in)
{
	struct bytes header, body, extra;
	const unsigned char *p;

	ir_cut(c, in, &header, &body, &extra);
	p = header.p;
	c->now.header = d2i_OSSL_CMP_PKIHEADER(NULL, &p, (long)header.len);
	p = body.p;
	c->now.asked = d2i_OSSL_CRMF_MSGS(NULL, &p, (long)body.len);
	must(c->now.header != NULL && c->now.asked != NULL,
	    "d2i_OSSL_CMP_PKIHEADER, d2i_OSSL_CRMF_MSGS");
	extra_parsed(c, extra);
}

static void
ir_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	verify(sk_X509_value(c->now.extra, 0), c->now.protection,
	    buf_bytes(&c->now.part));
}

static void
chain_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	(void)in;
	must(X509_STORE_CTX_init(ctx, c->makers, sk_X509_value(c->now.extra, 0),
		 c->now.extra) == 1 &&
		X509_verify_cert(ctx) == 1,
	    "X509_verify_cert");
	X509_STORE_CTX_free(ctx);
}

static void
possession_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	must(OSSL_CRMF_MSGS_verify_popo(c->now.asked, 0, 0, NULL, NULL) == 1,
	    "OSSL_CRMF_MSGS_verify_popo");
}

/* ---- commits ---------------------------------------------------------------- */

static void
put(struct enrol_calls *c, MDB_txn *txn, uint8_t part, size_t len)
{
	static uint8_t octets[65536];
	uint8_t key[9];
	MDB_val k = { sizeof(key), key }, v = { len, octets };

	for (size_t i = 0; i < 8; i++)
		key[i] = (uint8_t)(c->id >> (56 - 8 * i));
	key[8] = part;
	must(len <= sizeof(octets) && mdb_put(txn, c->db, &k, &v, 0) == 0,
	    "mdb_put");
}

/* As long as those of an entry: what changes, its octets, its transaction, a
 * record of the trail, the head. */
static void
commit(struct enrol_calls *c, size_t octets)
{
	MDB_txn *txn;

	c->id++;
	must(mdb_txn_begin(c->env, NULL, 0, &txn) == 0, "mdb_txn_begin");
	put(c, txn, 0, ROW_OCTETS);
	put(c, txn, 1, octets);
	put(c, txn, 2, 8);
	put(c, txn, 3, ROW_OCTETS);
	put(c, txn, 4, ROW_OCTETS);
	must(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
}

static void
committed(struct enrol_calls *c, const struct enrol_input *in)
{
	commit(c, in->voucher.len + (size_t)c->now.der_len + HEADER_OCTETS);
	commit(c, 2 * in->ir.len + 2 * HEADER_OCTETS);
}

/* ---- the RA ------------------------------------------------------------------ */

static void
header_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	verify(c->registrar->cert, buf_bytes(&c->header_sig),
	    buf_bytes(&c->header));
}

/* And verified, as whoever signs for others does. */
static void
certificate_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	struct buf sig AUTO_BUF = { 0 };

	(void)in;
	sign(c->ca, buf_bytes(&c->header), &sig);
	verify(c->ca->cert, buf_bytes(&sig), buf_bytes(&c->header));
}

static void
service_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	sign(c->service, in->ir, NULL);
}

/* ---- all of it --------------------------------------------------------------- */

static void
all_freed(struct enrol_calls *c, const struct enrol_input *in)
{
	struct state *n = &c->now;
	double start = cpu();

	(void)in;
	SSL_free(n->client);
	c->aside += cpu() - start;
	SSL_free(n->server);
	CMS_ContentInfo_free(n->cms);
	BIO_free(n->content);
	json_decref(n->request);
	OPENSSL_free(n->der);
	OSSL_CMP_PKIHEADER_free(n->header);
	OSSL_CRMF_MSGS_free(n->asked);
	x509s_free(n->extra);
	buf_done(&n->part);
	*n = (struct state){ 0 };
}

/* ---- which of them ----------------------------------------------------------- */

enum { ACCEPT = 1, POLL = 2, ISSUE = 4 };

static const struct {
	const char *name;
	call_fn *fn;
	unsigned counts; /* for what */
	unsigned runs;	 /* for what also, without counting */
} calls[] = {
	{ "mutual TLS 1.3 handshake, the server's side", tls_handshake, ACCEPT,
	    0 },
	{ "SSL_read of both requests, SSL_write of both answers", tls_octets,
	    ACCEPT, 0 },
	{ "voucher request: d2i_CMS_ContentInfo", voucher_parsed, ACCEPT, 0 },
	{ "voucher request: CMS_verify with its chain", voucher_verified,
	    ACCEPT, 0 },
	{ "voucher request: json_loadb, EVP_DecodeBlock", voucher_read, ACCEPT,
	    0 },
	{ "registrar's request: EVP_EncodeBlock, json_dumps, CMS_sign, i2d",
	    own_request_signed, ACCEPT, 0 },
	{ "its header: EVP_DigestSign", header_signed, ACCEPT, 0 },
	{ "ir: d2i_OSSL_CMP_PKIHEADER, d2i_OSSL_CRMF_MSGS, d2i_X509 of "
	  "extraCerts",
	    ir_parsed, ACCEPT, ISSUE | POLL },
	{ "header of the entry: EVP_DigestVerify", header_verified, ISSUE, 0 },
	{ "nested message: EVP_DigestVerify", header_verified, ISSUE, 0 },
	{ "ir: X509_verify_cert", chain_verified, ACCEPT | ISSUE, 0 },
	{ "ir: EVP_DigestVerify of its protection", ir_verified,
	    ACCEPT | POLL | ISSUE, 0 },
	{ "ir: OSSL_CRMF_MSGS_verify_popo", possession_verified, ACCEPT | ISSUE,
	    0 },
	{ "nested message: EVP_DigestSign", message_signed, ACCEPT, 0 },
	{ "its header: EVP_DigestSign", header_signed, ACCEPT, 0 },
	{ "answer: EVP_DigestSign", message_signed, ACCEPT | POLL, 0 },
	{ "two commits of LMDB's", committed, ACCEPT, 0 },
	{ "certificate: EVP_DigestSign, EVP_DigestVerify", certificate_signed,
	    ISSUE, 0 },
	{ "answer: EVP_DigestSign", service_signed, ISSUE, 0 },
	{ "batch with the receipt: EVP_DigestSign", service_signed, ISSUE, 0 },
	{ "batch with the answer: EVP_DigestSign", service_signed, ISSUE, 0 },
	{ "all freed", all_freed, ACCEPT, ISSUE | POLL },
};

static double
run(struct enrol_calls *c, const struct enrol_input *in, unsigned what)
{
	double us, sum = 0;

	for (size_t i = 0; i < NELEMS(calls); i++) {
		if (((calls[i].counts | calls[i].runs) & what) == 0)
			continue;
		c->aside = 0;
		us = cpu();
		calls[i].fn(c, in);
		us = cpu() - us - c->aside;
		if ((calls[i].counts & what) == 0)
			continue;
		c->us[i] += us;
		c->n[i]++;
		sum += us;
	}
	return sum;
}

double
enrol_calls_accept(struct enrol_calls *c, const struct enrol_input *in)
{
	return run(c, in, ACCEPT);
}

double
enrol_calls_poll(struct enrol_calls *c, const struct enrol_input *in)
{
	return run(c, in, POLL);
}

double
enrol_calls_issue(struct enrol_calls *c, const struct enrol_input *in)
{
	return run(c, in, ISSUE);
}

void
enrol_calls_list(const struct enrol_calls *c, FILE *to)
{
	for (size_t i = 0; i < NELEMS(calls); i++)
		if (c->n[i] > 0)
			fprintf(to, "%8.1f us  %s\n", c->us[i] / c->n[i],
			    calls[i].name);
}

/* ---- made once ---------------------------------------------------------------- */

static struct signer *
load(const struct site *s, const char *name)
{
	struct buf key AUTO_BUF = { 0 }, cert AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct signer *r;

	buf_printf(&key, "%s/%s.key", s->dir, name);
	buf_printf(&cert, "%s/%s.crt", s->dir, name);
	if ((r = signer_load(buf_cstr(&key), buf_cstr(&cert), &e)) == NULL)
		bench_fail("%s", e.msg);
	return r;
}

static void
tls_make(struct enrol_calls *c)
{
	struct err e = ERR_INIT;

	c->server = https_tls_server(c->registrar, &e);
	c->client = SSL_CTX_new(TLS_client_method());
	must(c->server != NULL && c->client != NULL &&
		SSL_CTX_set_min_proto_version(c->client, TLS1_3_VERSION) == 1,
	    "SSL_CTX_new");
	SSL_CTX_set_verify(c->client, SSL_VERIFY_NONE, NULL);
}

/* RFC 8995 2.3.1: IDevIDs have no purpose of OpenSSL's. */
static void
anchor_make(struct enrol_calls *c, const struct site *s)
{
	struct buf path AUTO_BUF = { 0 };
	X509_VERIFY_PARAM *param;

	buf_printf(&path, "%s/maker/vendor-root.crt", s->dir);
	c->makers = X509_STORE_new();
	must(c->makers != NULL &&
		X509_STORE_load_file(c->makers, buf_cstr(&path)) == 1,
	    "X509_STORE_load_file");
	param = X509_STORE_get0_param(c->makers);
	must(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY) == 1,
	    "X509_VERIFY_PARAM_set_purpose");
}

/* As common/queue/store.c has its own: synchronous, its blocks reserved. */
static void
store_make(struct enrol_calls *c, const struct site *s)
{
	struct buf path AUTO_BUF = { 0 };
	MDB_txn *txn;
	int fd;

	buf_printf(&path, "%s/calls", s->dir);
	must(mkdir(buf_cstr(&path), 0700) == 0 &&
		mdb_env_create(&c->env) == 0 &&
		mdb_env_set_mapsize(c->env, MAP_OCTETS) == 0 &&
		mdb_env_open(c->env, buf_cstr(&path), MDB_NOTLS | MDB_NORDAHEAD,
		    0600) == 0 &&
		mdb_env_get_fd(c->env, &fd) == 0 &&
		posix_fallocate(fd, 0, MAP_OCTETS) == 0 &&
		mdb_txn_begin(c->env, NULL, 0, &txn) == 0 &&
		mdb_dbi_open(txn, NULL, 0, &c->db) == 0 &&
		mdb_txn_commit(txn) == 0,
	    "an environment of LMDB's");
}

struct enrol_calls *
enrol_calls_new(const struct site *s)
{
	struct enrol_calls *c = xcalloc(1, sizeof(*c));

	c->registrar = load(s, "site/registrar");
	c->service = load(s, "ra/service");
	c->ca = load(s, "ra/domain-ca");
	c->us = xcalloc(NELEMS(calls), sizeof(double));
	c->n = xcalloc(NELEMS(calls), sizeof(unsigned));
	memset(buf_grow(&c->header, HEADER_OCTETS), 1, HEADER_OCTETS);
	sign(c->registrar, buf_bytes(&c->header), &c->header_sig);
	tls_make(c);
	anchor_make(c, s);
	store_make(c, s);
	return c;
}

void
enrol_calls_free(struct enrol_calls *c)
{
	if (c == NULL)
		return;
	signer_free(c->registrar);
	signer_free(c->service);
	signer_free(c->ca);
	X509_STORE_free(c->makers);
	SSL_CTX_free(c->server);
	SSL_CTX_free(c->client);
	mdb_env_close(c->env);
	buf_done(&c->header);
	buf_done(&c->header_sig);
	free(c->us);
	free(c->n);
	free(c);
}
