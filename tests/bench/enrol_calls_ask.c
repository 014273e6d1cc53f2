#include "tests/bench/enrol_calls_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/pki/cmp_der.h"

#define ROW_OCTETS 260
#define GROUP	   32 /* entries a commit, as when so many wait */

/* ---- the voucher request --------------------------------------------------- */

void
call_voucher_parsed(struct enrol_calls *c, const struct enrol_input *in)
{
	const unsigned char *p = in->voucher.p;

	c->now.cms = d2i_CMS_ContentInfo(NULL, &p, (long)in->voucher.len);
	calls_must(c->now.cms != NULL, "d2i_CMS_ContentInfo");
}

void
call_voucher_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	c->now.content = BIO_new(BIO_s_mem());
	calls_must(CMS_verify(c->now.cms, NULL, c->makers, NULL, c->now.content,
		       CMS_BINARY) == 1,
	    "CMS_verify");
}

/* The members that stand there, and the certificate among them decoded. */
void
call_voucher_read(struct enrol_calls *c, const struct enrol_input *in)
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
	calls_must(proximity != NULL && strlen(proximity) < sizeof(der) &&
		EVP_DecodeBlock(der, (const uint8_t *)proximity,
		    (int)strlen(proximity)) > 0,
	    "json_loadb, EVP_DecodeBlock");
}

void
call_own_request_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	json_t *v =
	    json_object_get(c->now.request, "ietf-voucher-request:voucher");
	uint8_t prior[16384];
	CMS_ContentInfo *cms;
	BIO *bio;
	char *text;

	calls_must(in->voucher.len < sizeof(prior) / 4 * 3 &&
		EVP_EncodeBlock(prior, in->voucher.p, (int)in->voucher.len) > 0,
	    "EVP_EncodeBlock");
	json_object_set_new(
	    v, "prior-signed-voucher-request", json_string((char *)prior));
	text = json_dumps(c->now.request, JSON_COMPACT);
	bio = BIO_new_mem_buf(text, -1);
	cms = CMS_sign(c->registrar->cert, c->registrar->key,
	    c->registrar->chain, bio, CMS_BINARY | CMS_NOSMIMECAP);
	calls_must(cms != NULL &&
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
	double start = calls_cpu();
	struct der top = der_open(in->ir), d = der_enter(&top, DER_SEQ);
	struct der bits, body;
	size_t at;

	*ret_header = der_whole(&d, DER_SEQ);
	body = der_open(der_whole(&d, DER_CTX(0)));
	bits = der_enter(&d, DER_CTX(0));
	*ret_extra = der_value(&d, DER_CTX(1));
	calls_must(der_end(&d), "the ir's frame");
	buf_reset(&c->now.part);
	at = c->now.part.len;
	buf_add(&c->now.part, ret_header->p, ret_header->len);
	buf_add(&c->now.part, body.rest.p, body.rest.len);
	der_close(&c->now.part, at, DER_SEQ);
	*ret_body = der_value(&body, DER_CTX(0));
	c->now.protection = der_value(&bits, DER_BITS);
	c->now.protection.p++;
	c->now.protection.len--;
	c->aside += calls_cpu() - start;
}

static void
extra_parsed(struct enrol_calls *c, struct bytes extra)
{
	struct der top = der_open(extra), all = der_enter(&top, DER_SEQ);

	c->now.extra = sk_X509_new_null();
	while (der_peek(&all) != 0) {
		struct bytes x = der_whole(&all, DER_SEQ);
		const unsigned char *p = x.p;

		calls_must(sk_X509_push(c->now.extra,
			       d2i_X509(NULL, &p, (long)x.len)) > 0,
		    "d2i_X509");
	}
}

/* What d2i_OSSL_CMP_MSG does, in parts that can be had. */
void
call_ir_parsed(struct enrol_calls *c, const struct enrol_input *in)
{
	struct bytes header, body, extra;
	const unsigned char *p;

	ir_cut(c, in, &header, &body, &extra);
	p = header.p;
	c->now.header = d2i_OSSL_CMP_PKIHEADER(NULL, &p, (long)header.len);
	p = body.p;
	c->now.asked = d2i_OSSL_CRMF_MSGS(NULL, &p, (long)body.len);
	calls_must(c->now.header != NULL && c->now.asked != NULL,
	    "d2i_OSSL_CMP_PKIHEADER, d2i_OSSL_CRMF_MSGS");
	extra_parsed(c, extra);
}

void
call_ir_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	calls_verify(sk_X509_value(c->now.extra, 0), c->now.protection,
	    buf_bytes(&c->now.part));
}

void
call_chain_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	(void)in;
	calls_must(X509_STORE_CTX_init(ctx, c->makers,
		       sk_X509_value(c->now.extra, 0), c->now.extra) == 1 &&
		X509_verify_cert(ctx) == 1,
	    "X509_verify_cert");
	X509_STORE_CTX_free(ctx);
}

void
call_possession_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	calls_must(
	    OSSL_CRMF_MSGS_verify_popo(c->now.asked, 0, 0, NULL, NULL) == 1,
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
	calls_must(len <= sizeof(octets) && mdb_put(txn, c->db, &k, &v, 0) == 0,
	    "mdb_put");
}

/* As long as those of an entry: what changes, its octets, its transaction, a
 * record of the trail, the head.  Those of many devices are one commit. */
static void
entry(struct enrol_calls *c, size_t octets)
{
	c->id++;
	calls_must(
	    c->txn != NULL || mdb_txn_begin(c->env, NULL, 0, &c->txn) == 0,
	    "mdb_txn_begin");
	put(c, c->txn, 0, ROW_OCTETS);
	put(c, c->txn, 1, octets);
	put(c, c->txn, 2, 8);
	put(c, c->txn, 3, ROW_OCTETS);
	put(c, c->txn, 4, ROW_OCTETS);
	if (c->id % GROUP != 0)
		return;
	calls_must(mdb_txn_commit(c->txn) == 0, "mdb_txn_commit");
	c->txn = NULL;
}

void
call_committed(struct enrol_calls *c, const struct enrol_input *in)
{
	entry(c, in->voucher.len + (size_t)c->now.der_len + CALLS_HEADER);
	entry(c, 2 * in->ir.len + 2 * CALLS_HEADER);
}

/* ---- the RA ------------------------------------------------------------------ */

void
call_header_verified(struct enrol_calls *c, const struct enrol_input *in)
{
	(void)in;
	calls_verify(c->registrar->cert, buf_bytes(&c->header_sig),
	    buf_bytes(&c->header));
}

/* And verified, as whoever signs for others does. */
void
call_certificate_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	struct buf sig AUTO_BUF = { 0 };

	(void)in;
	calls_sign(c->ca, buf_bytes(&c->header), &sig);
	calls_verify(c->ca->cert, buf_bytes(&sig), buf_bytes(&c->header));
}

void
call_service_signed(struct enrol_calls *c, const struct enrol_input *in)
{
	calls_sign(c->service, in->ir, NULL);
}

/* ---- all of it --------------------------------------------------------------- */

void
call_all_freed(struct enrol_calls *c, const struct enrol_input *in)
{
	struct state *n = &c->now;
	double start = calls_cpu();

	(void)in;
	SSL_free(n->client);
	c->aside += calls_cpu() - start;
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
