/* Signatures by any algorithm, good or given up, as libcrypto makes them. */
#include "tests/cmp/client.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/rsa.h>

AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX, EVP_MD_CTX_free);

/* "sha256", or "pss-sha256": RSASSA-PSS with that hash in its mask, and a salt
 * as long as it. */
static int
start(const char *name, EVP_PKEY *key, EVP_MD_CTX *ctx, struct err *e)
{
	bool pss = strncmp(name, "pss-", 4) == 0;
	const EVP_MD *md = EVP_get_digestbyname(name + (pss ? 4 : 0));
	EVP_PKEY_CTX *k = NULL;

	if (md == NULL || EVP_DigestSignInit(ctx, &k, md, NULL, key) != 1)
		return err_ossl(e, ERR_USAGE, "cannot sign by %s", name);
	if (pss &&
	    (EVP_PKEY_CTX_set_rsa_padding(k, RSA_PKCS1_PSS_PADDING) != 1 ||
		EVP_PKEY_CTX_set_rsa_pss_saltlen(k, RSA_PSS_SALTLEN_DIGEST) !=
		    1))
		return err_ossl(e, ERR_USAGE, "cannot sign by %s", name);
	return 0;
}

int
algorithm_of(const char *name, EVP_PKEY *key, struct buf *out, struct err *e)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	uint8_t der[256];
	OSSL_PARAM params[] = { OSSL_PARAM_octet_string(
				    OSSL_SIGNATURE_PARAM_ALGORITHM_ID, der,
				    sizeof(der)),
		OSSL_PARAM_END };

	if (name == NULL)
		return cmp_sign_alg(key, out, e);
	if (start(name, key, ctx, e) == -1)
		return -1;
	if (EVP_PKEY_CTX_get_params(EVP_MD_CTX_get_pkey_ctx(ctx), params) != 1)
		return err_ossl(e, ERR_USAGE, "%s has no identifier", name);
	buf_add(out, der, params[0].return_size);
	return 0;
}

int
sign_by(const char *name, EVP_PKEY *key, struct bytes tbs, struct buf *out,
    struct err *e)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	struct buf sig AUTO_BUF = { 0 };
	size_t len = 0;

	if (name == NULL)
		return cmp_sign(key, tbs, out, e);
	buf_add(&sig, "", 1); /* no unused bits */
	if (start(name, key, ctx, e) == -1)
		return -1;
	if (EVP_DigestSign(ctx, NULL, &len, tbs.p, tbs.len) != 1 ||
	    EVP_DigestSign(ctx, buf_grow(&sig, len), &len, tbs.p, tbs.len) != 1)
		return err_ossl(e, ERR_USAGE, "cannot sign by %s", name);
	der_add(out, DER_BITS, bytes_of(sig.data, 1 + len));
	return 0;
}

int
csr_sign_by(const char *name, EVP_PKEY *key, struct buf *body, struct err *e)
{
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	AUTO(X509_REQ) req = NULL;
	struct der d = der_open(buf_bytes(body));
	struct bytes der = der_value(&d, DER_CTX(CMP_P10CR));
	const uint8_t *p = der.p;
	uint8_t *to;
	int len;

	if (name == NULL)
		return 0;
	req = d2i_X509_REQ(NULL, &p, (long)der.len);
	if (req == NULL || start(name, key, ctx, e) == -1 ||
	    X509_REQ_sign_ctx(req, ctx) <= 0 ||
	    (len = i2d_X509_REQ(req, NULL)) <= 0)
		return err_ossl(e, ERR_USAGE, "cannot sign by %s", name);
	buf_reset(body);
	to = buf_grow(body, (size_t)len);
	i2d_X509_REQ(req, &to);
	cmp_close_body(body, 0, CMP_P10CR);
	return 0;
}
