#include "tests/bench/enrol_calls_int.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/sys/https_int.h"
#include "tests/bench/bench.h"

#define MAP_OCTETS (256UL << 20)

/* ---- which of them ----------------------------------------------------------- */

enum { ACCEPT = 1, POLL = 2, ISSUE = 4 };

static const struct {
	const char *name;
	call_fn *fn;
	unsigned counts; /* for what */
	unsigned runs;	 /* for what also, without counting */
} calls[] = {
	{ "mutual TLS 1.3 handshake, the server's side", call_tls_handshake,
	    ACCEPT, 0 },
	{ "SSL_read of both requests, SSL_write of both answers",
	    call_tls_octets, ACCEPT, 0 },
	{ "voucher request: d2i_CMS_ContentInfo", call_voucher_parsed, ACCEPT,
	    0 },
	{ "voucher request: CMS_verify with its chain", call_voucher_verified,
	    ACCEPT, 0 },
	{ "voucher request: json_loadb, EVP_DecodeBlock", call_voucher_read,
	    ACCEPT, 0 },
	{ "registrar's request: EVP_EncodeBlock, json_dumps, CMS_sign, i2d",
	    call_own_request_signed, ACCEPT, 0 },
	{ "its header: EVP_DigestSign", call_header_signed, ACCEPT, 0 },
	{ "ir: d2i_OSSL_CMP_PKIHEADER, d2i_OSSL_CRMF_MSGS, d2i_X509 of "
	  "extraCerts",
	    call_ir_parsed, ACCEPT, ISSUE | POLL },
	{ "header of the entry: EVP_DigestVerify", call_header_verified, ISSUE,
	    0 },
	{ "nested message: EVP_DigestVerify", call_header_verified, ISSUE, 0 },
	{ "ir: X509_verify_cert", call_chain_verified, ACCEPT | ISSUE, 0 },
	{ "ir: EVP_DigestVerify of its protection", call_ir_verified,
	    ACCEPT | POLL | ISSUE, 0 },
	{ "ir: OSSL_CRMF_MSGS_verify_popo", call_possession_verified,
	    ACCEPT | ISSUE, 0 },
	{ "nested message: EVP_DigestSign", call_message_signed, ACCEPT, 0 },
	{ "its header: EVP_DigestSign", call_header_signed, ACCEPT, 0 },
	{ "answer: EVP_DigestSign", call_message_signed, ACCEPT | POLL, 0 },
	{ "two entries put and committed, 32 a commit", call_committed, ACCEPT,
	    0 },
	{ "certificate: EVP_DigestSign, EVP_DigestVerify",
	    call_certificate_signed, ISSUE, 0 },
	{ "answer: EVP_DigestSign", call_service_signed, ISSUE, 0 },
	{ "batch with the receipt: EVP_DigestSign", call_service_signed, ISSUE,
	    0 },
	{ "batch with the answer: EVP_DigestSign", call_service_signed, ISSUE,
	    0 },
	{ "all freed", call_all_freed, ACCEPT, ISSUE | POLL },
};

static double
run(struct enrol_calls *c, const struct enrol_input *in, unsigned what)
{
	double us, sum = 0;

	for (size_t i = 0; i < NELEMS(calls); i++) {
		if (((calls[i].counts | calls[i].runs) & what) == 0)
			continue;
		c->aside = 0;
		us = calls_cpu();
		calls[i].fn(c, in);
		us = calls_cpu() - us - c->aside;
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
	calls_must(c->server != NULL && c->client != NULL &&
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
	calls_must(c->makers != NULL &&
		X509_STORE_load_file(c->makers, buf_cstr(&path)) == 1,
	    "X509_STORE_load_file");
	param = X509_STORE_get0_param(c->makers);
	calls_must(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY) == 1,
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
	calls_must(mkdir(buf_cstr(&path), 0700) == 0 &&
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
	memset(buf_grow(&c->header, CALLS_HEADER), 1, CALLS_HEADER);
	calls_sign(c->registrar, buf_bytes(&c->header), &c->header_sig);
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
	mdb_txn_abort(c->txn);
	mdb_env_close(c->env);
	buf_done(&c->header);
	buf_done(&c->header_sig);
	free(c->us);
	free(c->n);
	free(c);
}
