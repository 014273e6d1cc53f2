#include "common/pki/sign.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>

#include "common/base/limits.h"
#include "common/pki/cmp.h"

AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(BIGNUM, BIGNUM, BN_free);

#define RSA_BITS_MIN   LIMIT_RSA_LEAST
#define RSA_BITS_MAX   LIMIT_RSA_BITS
/* A longer public exponent only makes verification expensive. */
#define RSA_E_BITS_MAX LIMIT_RSA_EXPONENT

void
signer_free(struct signer *s)
{
	if (s == NULL)
		return;
	EVP_PKEY_free(s->key);
	X509_free(s->cert);
	x509s_free(s->chain);
	free(s);
}

struct signer *
signer_new(EVP_PKEY *key, X509 *cert, const STACK_OF(X509) * chain)
{
	struct signer *s = xcalloc(1, sizeof(*s));

	/* X509_chain_up_ref does not change what it copies. */
	s->chain = chain != NULL ? X509_chain_up_ref((STACK_OF(X509) *)chain)
				 : sk_X509_new_null();
	if (s->chain == NULL || EVP_PKEY_up_ref(key) != 1 ||
	    X509_up_ref(cert) != 1)
		err_die("out of memory");
	s->key = key;
	s->cert = cert;
	s->id = cert_digest(cert);
	return s;
}

/* Peers have the root or must not believe ours: it is not sent. */
static void
drop_roots(STACK_OF(X509) * certs)
{
	int i;

	for (i = sk_X509_num(certs) - 1; i >= 0; i--)
		if (X509_self_signed(sk_X509_value(certs, i), 0) == 1)
			X509_free(sk_X509_delete(certs, i));
}

struct signer *
signer_load(const char *key_path, const char *cert_path, struct err *e)
{
	AUTO(EVP_PKEY) key = ossl_load_key(key_path, e);
	AUTO(X509S) certs = NULL;
	AUTO(X509) cert = NULL;

	if (key == NULL || (certs = ossl_load_certs(cert_path, e)) == NULL)
		return NULL;
	cert = sk_X509_shift(certs);
	if (X509_check_private_key(cert, key) != 1) {
		err_ossl(
		    e, ERR_CONF, "%s: not the key of %s", key_path, cert_path);
		return NULL;
	}
	drop_roots(certs);
	return signer_new(key, cert, certs);
}

const EVP_MD *
sign_md(EVP_PKEY *key)
{
	int id = EVP_PKEY_get_base_id(key);

	return id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448 ? NULL
							      : EVP_sha256();
}

/* DECISIONS 2: what is signed starts with what it is. */
static void
add_labelled(struct buf *out, const char *label, struct bytes data)
{
	buf_add(out, label, strlen(label) + 1);
	buf_add(out, data.p, data.len);
}

int
sign_octets(EVP_PKEY *key, struct bytes tbs, const char *what, struct buf *ret,
    struct err *e)
{
	struct buf sig AUTO_BUF = { 0 };
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	size_t len = 0;

	if (ctx == NULL)
		err_die("out of memory");
	/* EdDSA has no streaming form: one call signs all. */
	if (EVP_DigestSignInit(ctx, NULL, sign_md(key), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, NULL, &len, tbs.p, tbs.len) != 1 ||
	    EVP_DigestSign(ctx, buf_grow(&sig, len), &len, tbs.p, tbs.len) !=
		1 ||
	    /* ECDSA out of memory: "done", of length -1. */
	    len == 0 || len > sig.len)
		return err_ossl(e, ERR_LOCAL, "%s: cannot sign", what);
	buf_add(ret, sig.data, len);
	return 0;
}

int
sign_data(const struct signer *s, const char *label, struct bytes data,
    struct buf *ret, struct err *e)
{
	struct buf tbs AUTO_BUF = { 0 };

	add_labelled(&tbs, label, data);
	return sign_octets(s->key, buf_bytes(&tbs), label, ret, e);
}

int
sign_check(X509 *cert, const char *label, struct bytes data, struct bytes sig,
    struct err *e)
{
	struct buf tbs AUTO_BUF = { 0 };
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = X509_get0_pubkey(cert);
	struct err why = ERR_INIT;

	if (ctx == NULL)
		err_die("out of memory");
	if (key_check(key, &why) == -1)
		return err_fail(
		    e, ERR_TRUST, why.fail, "%s: signer's %s", label, why.msg);
	add_labelled(&tbs, label, data);
	if (EVP_DigestVerifyInit(ctx, NULL, sign_md(key), NULL, key) != 1 ||
	    EVP_DigestVerify(ctx, sig.p, sig.len, tbs.data, tbs.len) != 1)
		return err_ossl(
		    e, ERR_TRUST, "%s: signature does not hold", label);
	return 0;
}

struct digest
cert_digest(X509 *x)
{
	struct buf der AUTO_BUF = { 0 };

	ossl_cert_der(x, &der);
	return digest_of(der.data, der.len);
}

struct digest
spki_digest(EVP_PKEY *k)
{
	struct buf der AUTO_BUF = { 0 };

	ossl_spki_der(k, &der);
	return digest_of(der.data, der.len);
}

struct digest
cert_spki_digest(X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	struct digest ret;

	if (len <= 0)
		err_die("DER cannot be written");
	ret = digest_of(der, (size_t)len);
	OPENSSL_free(der);
	return ret;
}

static int
rsa_check(EVP_PKEY *k, struct err *e)
{
	AUTO(BIGNUM) exponent = NULL;
	int bits = EVP_PKEY_get_bits(k);

	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
		return err_fail(e, ERR_INPUT, CMP_BAD_ALG,
		    "key: RSA of %d bits, %d to %d allowed", bits, RSA_BITS_MIN,
		    RSA_BITS_MAX);
	if (EVP_PKEY_get_bn_param(k, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1 ||
	    BN_num_bits(exponent) > RSA_E_BITS_MAX || !BN_is_odd(exponent) ||
	    BN_is_one(exponent)) {
		ERR_clear_error();
		return err_fail(e, ERR_INPUT, CMP_BAD_ALG,
		    "key: RSA exponent not odd, 1, or over %d bits",
		    RSA_E_BITS_MAX);
	}
	return 0;
}

static int
ec_check(EVP_PKEY *k, struct err *e)
{
	static const char *const curves[] = { SN_X9_62_prime256v1, SN_secp384r1,
		SN_secp521r1 };
	char name[64] = "";
	int is_explicit = 1;
	size_t i;

	/* RFC 5480 2.1.1: named curves only.  Explicit parameters that look
	 * like a named curve get its name, so ask for both. */
	if (EVP_PKEY_get_int_param(k,
		OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
		&is_explicit) != 1 ||
	    is_explicit != 0 ||
	    EVP_PKEY_get_group_name(k, name, sizeof(name), NULL) != 1) {
		ERR_clear_error();
		return err_fail(e, ERR_INPUT, CMP_BAD_ALG,
		    "key: RFC 5480 2.1.1: EC without a named curve");
	}
	for (i = 0; i < NELEMS(curves); i++)
		if (strcmp(name, curves[i]) == 0)
			return 0;
	return err_fail(e, ERR_INPUT, CMP_BAD_ALG,
	    "key: curve %s, only P-256, P-384 and P-521 are allowed", name);
}

static int
no_check(EVP_PKEY *k, struct err *e)
{
	(void)k;
	(void)e;
	return 0;
}

int
key_check(EVP_PKEY *k, struct err *e)
{
	static const struct {
		int id;
		int (*check)(EVP_PKEY *k, struct err *e);
	} types[] = {
		{ EVP_PKEY_EC, ec_check },
		{ EVP_PKEY_RSA, rsa_check },
		{ EVP_PKEY_ED25519, no_check },
		{ EVP_PKEY_ED448, no_check },
	};
	int id = k != NULL ? EVP_PKEY_get_base_id(k) : EVP_PKEY_NONE;
	size_t i;

	for (i = 0; i < NELEMS(types); i++)
		if (types[i].id == id)
			return types[i].check(k, e);
	return err_fail(e, ERR_INPUT, CMP_BAD_ALG,
	    "key: neither EC, RSA, Ed25519 nor Ed448");
}
