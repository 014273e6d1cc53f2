/* SignedData as others write it, and as nobody should: made by OpenSSL, by
 * recipe.  What cms_open makes of it is another implementation's business. */
#ifndef WAYBILL_TESTS_CMS_LAB_H
#define WAYBILL_TESTS_CMS_LAB_H

#include <openssl/cms.h>
#include <openssl/rsa.h>

#include "common/pki/cms.h"
#include "tests/unit/cmp_fixture.h"

struct recipe {
	const char *name;
	int type;	       /* 0: a JSON voucher's */
	const char *md;	       /* NULL: SHA256 */
	unsigned flags;	       /* of CMS_sign and CMS_add1_signer */
	unsigned signers;      /* 0: one */
	bool nobody, rsa, pss; /* rsa: by such a key */
	int rc;		       /* what cms_open says */
	enum err_kind kind;
	const char *reason; /* a part of its message */
};

static const struct recipe cms_recipes[] = {
	{ .name = "plain" },
	{ .name = "id-data", .type = NID_pkcs7_data },
	{ .name = "sha384", .md = "SHA384" },
	{ .name = "sha512", .md = "SHA512" },
	{ .name = "signer-by-key-identifier", .flags = CMS_USE_KEYID },
	{ .name = "indefinite-lengths", .flags = CMS_STREAM },
	{ .name = "rsa-pss", .rsa = true, .pss = true },
	{ .name = "md5",
	    .md = "MD5",
	    .rsa = true,
	    .rc = -1,
	    .kind = ERR_TRUST,
	    .reason = "digest 1.2.840.113549.2.5 is not allowed" },
	{ .name = "sha1",
	    .md = "SHA1",
	    .rc = -1,
	    .kind = ERR_TRUST,
	    .reason = "digest 1.3.14.3.2.26 is not allowed" },
	{ .name = "detached",
	    .flags = CMS_DETACHED,
	    .rc = -1,
	    .kind = ERR_INPUT,
	    .reason = "content is not there" },
	{ .name = "no-signer",
	    .nobody = true,
	    .rc = -1,
	    .kind = ERR_INPUT,
	    .reason = "0 signers" },
	{ .name = "two-signers",
	    .signers = 2,
	    .rc = -1,
	    .kind = ERR_INPUT,
	    .reason = "2 signers" },
	{ .name = "no-certificate",
	    .flags = CMS_NOCERTS,
	    .rc = -1,
	    .kind = ERR_TRUST,
	    .reason = "certificate is not there" },
	{ .name = "no-signed-attributes",
	    .type = NID_pkcs7_data,
	    .flags = CMS_NOATTR,
	    .rc = -1,
	    .kind = ERR_INPUT,
	    .reason = "no signed attributes" },
};

static inline struct signer *
lab_signer(struct fixture *f, const char *type, size_t bits)
{
	EVP_PKEY *key = bits > 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type, bits)
				 : EVP_PKEY_Q_keygen(NULL, NULL, type);

	assert_non_null(key);
	return fixture_signer(f, type, key);
}

static inline void
lab_add_signer(CMS_ContentInfo *cms, const struct recipe *r,
    const struct signer *s, unsigned flags)
{
	const EVP_MD *md =
	    EVP_get_digestbyname(r->md != NULL ? r->md : "SHA256");
	CMS_SignerInfo *si = CMS_add1_signer(cms, s->cert, s->key, md,
	    flags | CMS_NOSMIMECAP | (r->pss ? CMS_KEY_PARAM : 0));

	assert_non_null(si);
	if (r->pss)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(
				     CMS_SignerInfo_get0_pkey_ctx(si),
				     RSA_PKCS1_PSS_PADDING),
		    1);
}

/* Content signed by s (the second signature, if there is one, by other). */
static inline void
lab_cms(const struct recipe *r, const struct signer *s,
    const struct signer *other, struct bytes content, struct buf *out)
{
	unsigned flags = r->flags | CMS_BINARY | CMS_PARTIAL;
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags);
	BIO *in = BIO_new_mem_buf(content.p, (int)content.len);
	BIO *mem = BIO_new(BIO_s_mem());
	char *der = NULL;
	long len;

	assert_true(cms != NULL && in != NULL && mem != NULL);
	assert_int_equal(
	    CMS_set1_eContentType(
		cms, OBJ_nid2obj(r->type != 0 ? r->type : nid_json_voucher())),
	    1);
	if (!r->nobody)
		lab_add_signer(cms, r, s, flags);
	if (r->signers == 2)
		lab_add_signer(cms, r, other, flags);
	/* OpenSSL does not finish what nobody signs. */
	if (r->nobody)
		assert_int_equal(ASN1_OCTET_STRING_set(*CMS_get0_content(cms),
				     content.p, (int)content.len),
		    1);
	else if ((r->flags & CMS_STREAM) == 0)
		assert_int_equal(CMS_final(cms, in, NULL, flags), 1);
	assert_int_equal(i2d_CMS_bio_stream(mem, cms, in, (int)flags), 1);
	len = BIO_get_mem_data(mem, &der);
	buf_add(out, der, (size_t)len);
	BIO_free(mem);
	BIO_free(in);
	CMS_ContentInfo_free(cms);
}

#endif
