/*
 * Identities that no maker would hand out, under a maker's own sub-CA: makes
 * OUT.key, OUT.crt and OUT.chain.pem for scenarios.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"

#define DAY	   86400
#define LONG_CHAIN 50
#define SIGNS	   "critical,digitalSignature"
#define CERTIFIES  "critical,keyCertSign,cRLSign"

/* ---- keys -------------------------------------------------------------- */

static BIGNUM *
odd_number(int bits)
{
	BIGNUM *n = BN_new();

	if (n == NULL || !BN_rand(n, bits, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD))
		err_die("no random number");
	return n;
}

static void
push(OSSL_PARAM_BLD *b, const char *name, const BIGNUM *n)
{
	if (!OSSL_PARAM_BLD_push_BN(b, name, n))
		err_die("out of memory");
}

/*
 * Claims to be RSA of 16384 bits: nothing in it is prime, which would take an
 * hour to find and which nobody sees from outside.  It signs quickly, though
 * wrongly; whoever verifies it pays.
 */
static EVP_PKEY *
new_giant(const char *unused)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *p = odd_number(8192), *q = odd_number(8192), *n = BN_new();
	BIGNUM *e = odd_number(64), *d = odd_number(8);
	BN_CTX *bn = BN_CTX_new();
	OSSL_PARAM *params;
	EVP_PKEY *key = NULL;

	(void)unused;
	if (b == NULL || ctx == NULL || n == NULL || bn == NULL ||
	    !BN_mul(n, p, q, bn))
		err_die("out of memory");
	push(b, OSSL_PKEY_PARAM_RSA_N, n);
	push(b, OSSL_PKEY_PARAM_RSA_E, e);
	push(b, OSSL_PKEY_PARAM_RSA_D, d);
	push(b, OSSL_PKEY_PARAM_RSA_FACTOR1, p);
	push(b, OSSL_PKEY_PARAM_RSA_FACTOR2, q);
	push(b, OSSL_PKEY_PARAM_RSA_EXPONENT1, d);
	push(b, OSSL_PKEY_PARAM_RSA_EXPONENT2, d);
	push(b, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, d);
	params = OSSL_PARAM_BLD_to_param(b);
	if (params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		err_die("no key of 16384 bits");
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b);
	EVP_PKEY_CTX_free(ctx);
	BN_CTX_free(bn);
	BN_free(p);
	BN_free(q);
	BN_free(n);
	BN_free(e);
	BN_free(d);
	return key;
}

static EVP_PKEY *
new_curve(const char *curve)
{
	EVP_PKEY *key = EVP_EC_gen(curve);

	if (key == NULL)
		err_die("no key on the curve");
	return key;
}

static EVP_PKEY *
new_rsa(const char *bits)
{
	EVP_PKEY *key =
	    EVP_RSA_gen((unsigned)(strcmp(bits, "1024") == 0 ? 1024 : 8192));

	if (key == NULL)
		err_die("no RSA key");
	return key;
}

/* ---- kinds ------------------------------------------------------------- */

static const struct kind {
	const char *name;
	int from, to; /* days from now */
	const char *key_usage, *ext_key_usage;
	bool ca;
	EVP_PKEY *(*key)(const char *arg); /* NULL: P-256 */
	const char *arg;
	/* Of subject serialNumber and CN; NULL: what is asked for. */
	const char *serial;
	size_t serial_len;
	int type; /* of its string; 0: UTF8String */
} kinds[] = {
	{ .name = "plain", .to = 9, .key_usage = SIGNS },
	{ .name = "expired", .from = -9, .to = -1, .key_usage = SIGNS },
	{ .name = "future", .from = 1, .to = 9, .key_usage = SIGNS },
	{ .name = "server-only",
	    .to = 9,
	    .key_usage = SIGNS,
	    .ext_key_usage = "serverAuth" },
	{ .name = "code-signing",
	    .to = 9,
	    .key_usage = SIGNS,
	    .ext_key_usage = "codeSigning,emailProtection" },
	{ .name = "client-auth",
	    .to = 9,
	    .key_usage = SIGNS,
	    .ext_key_usage = "clientAuth" },
	{ .name = "agreement", .to = 9, .key_usage = "critical,keyAgreement" },
	{ .name = "ca", .to = 9, .key_usage = CERTIFIES, .ca = true },
	{ .name = "signing-ca",
	    .to = 9,
	    .key_usage = CERTIFIES ",digitalSignature",
	    .ca = true },
	{ .name = "rsa-16384", .to = 9, .key_usage = SIGNS, .key = new_giant },
	{ .name = "rsa-1024",
	    .to = 9,
	    .key_usage = SIGNS,
	    .key = new_rsa,
	    .arg = "1024" },
	{ .name = "secp256k1",
	    .to = 9,
	    .key_usage = SIGNS,
	    .key = new_curve,
	    .arg = "secp256k1" },
	{ .name = "brainpool",
	    .to = 9,
	    .key_usage = SIGNS,
	    .key = new_curve,
	    .arg = "brainpoolP256r1" },
	{ .name = "newline",
	    .to = 9,
	    .key_usage = SIGNS,
	    .serial = "x\nevent=forged",
	    .serial_len = 14 },
	{ .name = "nul",
	    .to = 9,
	    .key_usage = SIGNS,
	    .serial = "good\0evil",
	    .serial_len = 9 },
	{ .name = "latin-1",
	    .to = 9,
	    .key_usage = SIGNS,
	    .type = V_ASN1_T61STRING,
	    .serial = "x\xff\xfe\xc0\x80y",
	    .serial_len = 6 },
	{ .name = "escape",
	    .to = 9,
	    .key_usage = SIGNS,
	    .serial = "x\x1b[2J\"\\",
	    .serial_len = 7 },
};

static void
add_name(X509_NAME *name, int nid, int type, const char *text, size_t len)
{
	X509_NAME_ENTRY *entry = X509_NAME_ENTRY_create_by_NID(
	    NULL, nid, type, (const unsigned char *)text, (int)len);

	if (entry == NULL || !X509_NAME_add_entry(name, entry, -1, 0))
		err_die("no name");
	X509_NAME_ENTRY_free(entry);
}

static X509_NAME *
name_of(const struct kind *k, const char *serial)
{
	X509_NAME *name = X509_NAME_new();
	const char *text = k->serial != NULL ? k->serial : serial;
	size_t len = k->serial != NULL ? k->serial_len : strlen(serial);
	int type = k->type != 0 ? k->type : V_ASN1_UTF8STRING;

	if (name == NULL)
		err_die("out of memory");
	add_name(name, NID_commonName, type, text, len);
	add_name(name, NID_serialNumber, type, text, len);
	return name;
}

/* ---- files ------------------------------------------------------------- */

static int
save(const char *out, const char *suffix, const struct buf *pem, struct err *e)
{
	struct buf path AUTO_BUF = { 0 };

	buf_printf(&path, "%s.%s", out, suffix);
	return file_write(buf_cstr(&path), 0600, buf_bytes(pem), e);
}

static int
save_identity(const char *out, EVP_PKEY *key, X509 *x, const struct buf *chain,
    struct err *e)
{
	struct buf pem AUTO_SECRET = { 0 }, cert AUTO_BUF = { 0 };

	ossl_key_pem(key, &pem);
	ossl_cert_pem(x, &cert);
	if (save(out, "key", &pem, e) == -1 ||
	    save(out, "crt", &cert, e) == -1 ||
	    save(out, "chain.pem", chain, e) == -1)
		return -1;
	return 0;
}

static X509 *
certify(const struct kind *k, const char *serial, EVP_PKEY *key,
    const struct signer *by, struct err *e)
{
	AUTO(X509_NAME) name = name_of(k, serial);
	uint64_t now = clock_now().time;
	struct issue_spec spec = { .subject = name,
		.pubkey = key,
		.not_before = now + (uint64_t)((int64_t)k->from * DAY) - 60,
		.not_after = now + (uint64_t)((int64_t)k->to * DAY),
		.ca = k->ca,
		.pathlen = -1,
		.key_usage = k->key_usage,
		.ext_key_usage = k->ext_key_usage };

	return issue_cert(&spec, by->cert, by->key, e);
}

/* One below the other, the last one a device's. */
static int
make_long_chain(
    const char *serial, const struct signer *by, const char *out, struct err *e)
{
	static const struct kind ca = {
		.to = 9, .key_usage = CERTIFIES, .ca = true
	};
	struct buf chain AUTO_BUF = { 0 };
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(signer) above = signer_new(by->key, by->cert, NULL);
	AUTO(X509) leaf = NULL;

	for (int i = 0; i < LONG_CHAIN; i++) {
		AUTO(EVP_PKEY) own = ossl_new_key_p256();
		struct buf below AUTO_BUF = { 0 };
		char name[8];
		X509 *x;

		snprintf(name, sizeof(name), "ca-%d", i);
		if ((x = certify(&ca, name, own, above, e)) == NULL)
			return -1;
		signer_free(above);
		above = signer_new(own, x, NULL);
		/* The nearest comes first. */
		ossl_cert_pem(x, &below);
		buf_add(&below, chain.data, chain.len);
		buf_done(&chain);
		chain = below;
		memset(&below, 0, sizeof(below));
		X509_free(x);
	}
	if ((leaf = certify(&kinds[0], serial, key, above, e)) == NULL)
		return -1;
	return save_identity(out, key, leaf, &chain, e);
}

static int
make(const struct kind *k, const char *serial, const struct signer *by,
    const char *out, struct err *e)
{
	AUTO(EVP_PKEY) key =
	    k->key != NULL ? k->key(k->arg) : ossl_new_key_p256();
	AUTO(X509) x = certify(k, serial, key, by, e);
	struct buf chain AUTO_BUF = { 0 };

	if (x == NULL)
		return -1;
	ossl_cert_pem(by->cert, &chain);
	return save_identity(out, key, x, &chain, e);
}

static int
run(char **arg, struct err *e)
{
	AUTO(char) key = path_join(arg[1], "vendor-sub.key");
	AUTO(char) cert = path_join(arg[1], "vendor-sub.crt");
	AUTO(signer) by = signer_load(key, cert, e);

	if (by == NULL)
		return -1;
	if (strcmp(arg[0], "long-chain") == 0)
		return make_long_chain(arg[2], by, arg[3], e);
	for (size_t i = 0; i < NELEMS(kinds); i++)
		if (strcmp(kinds[i].name, arg[0]) == 0)
			return make(&kinds[i], arg[2], by, arg[3], e);
	return err_set(e, ERR_USAGE, "no kind %s", arg[0]);
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	if (argc != 5) {
		fprintf(stderr,
		    "usage: make_identity KIND VENDOR-DIR SERIAL OUT\n");
		return 2;
	}
	if (run(argv + 1, &e) == 0)
		return 0;
	fprintf(stderr, "make_identity: %s\n", e.msg);
	return err_exit_code(e.kind);
}
