/* Protection: algorithms, who should have signed, whether they did, and our
 * own signatures. */
#include "common/pki/cmp_msg.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

/* RFC 9481 3; SHA-1 and what is not named here is badAlg. */
static const int signatures[] = {
	NID_ecdsa_with_SHA256,
	NID_ecdsa_with_SHA384,
	NID_ecdsa_with_SHA512,
	NID_sha256WithRSAEncryption,
	NID_sha384WithRSAEncryption,
	NID_sha512WithRSAEncryption,
	NID_rsassaPss,
	NID_ED25519,
	NID_ED448,
};

/* RFC 9481 6 */
static const int macs[] = {
	NID_id_PasswordBasedMAC,
	NID_id_DHBasedMac,
	NID_pbmac1,
	NID_hmac_sha1,
	NID_hmacWithSHA1,
	NID_hmacWithSHA224,
	NID_hmacWithSHA256,
	NID_hmacWithSHA384,
	NID_hmacWithSHA512,
	NID_kmac128,
	NID_kmac256,
};

static const int digests[] = { NID_sha256, NID_sha384, NID_sha512 };

/* What we sign with, by kind of key; sign_md gives the digest. */
static const struct {
	int key, signature;
	bool null_parameter; /* RFC 4055 5 */
} ours[] = {
	{ EVP_PKEY_EC, NID_ecdsa_with_SHA256, false },
	{ EVP_PKEY_RSA, NID_sha256WithRSAEncryption, true },
	{ EVP_PKEY_ED25519, NID_ED25519, false },
	{ EVP_PKEY_ED448, NID_ED448, false },
};

AUTO_DEFINE(X509_ALGOR, X509_ALGOR, X509_ALGOR_free);
AUTO_DEFINE(ASN1_STRING, ASN1_STRING, ASN1_STRING_free);
AUTO_DEFINE(RSA_PSS_PARAMS, RSA_PSS_PARAMS, RSA_PSS_PARAMS_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX, EVP_MD_CTX_free);

static bool
listed(int nid, const int *list, size_t n)
{
	while (n-- > 0)
		if (list[n] == nid)
			return true;
	return false;
}

static X509_ALGOR *
alg_parse(struct bytes der)
{
	AUTO(X509_ALGOR) alg = NULL;
	const uint8_t *p = der.p;

	alg = d2i_X509_ALGOR(NULL, &p, (long)der.len);
	return alg != NULL && p == der.p + der.len ? STEAL(alg) : NULL;
}

static int
alg_nid(const X509_ALGOR *alg)
{
	const ASN1_OBJECT *oid;

	X509_ALGOR_get0(&oid, NULL, NULL, alg);
	return OBJ_obj2nid(oid);
}

/* RFC 4055 3.1, RFC 9481 3.1: the mask generation function is MGF1 with the
 * hash itself.  NID_undef: another, or none, which means SHA-1. */
static int
mgf1_hash(const X509_ALGOR *mgf)
{
	AUTO(X509_ALGOR) hash = NULL;
	const ASN1_STRING *der;
	const void *value;
	int type;

	if (mgf == NULL || alg_nid(mgf) != NID_mgf1)
		return NID_undef;
	X509_ALGOR_get0(NULL, &type, &value, mgf);
	if (type != V_ASN1_SEQUENCE)
		return NID_undef;
	der = value;
	hash = alg_parse(bytes_of(
	    ASN1_STRING_get0_data(der), (size_t)ASN1_STRING_length(der)));
	return hash != NULL ? alg_nid(hash) : NID_undef;
}

/* An absent hash means SHA-1 (RFC 4055 3.1). */
static bool
pss_hash_listed(const X509_ALGOR *alg)
{
	AUTO(RSA_PSS_PARAMS) pss = NULL;
	const ASN1_STRING *der;
	const uint8_t *p;
	const void *value;
	int type;

	X509_ALGOR_get0(NULL, &type, &value, alg);
	if (type != V_ASN1_SEQUENCE)
		return false;
	der = value;
	p = ASN1_STRING_get0_data(der);
	pss = d2i_RSA_PSS_PARAMS(NULL, &p, ASN1_STRING_length(der));
	return pss != NULL && pss->hashAlgorithm != NULL &&
	    listed(alg_nid(pss->hashAlgorithm), digests, NELEMS(digests)) &&
	    mgf1_hash(pss->maskGenAlgorithm) == alg_nid(pss->hashAlgorithm);
}

int
cmp_digest_nid(struct bytes der)
{
	AUTO(X509_ALGOR) alg = alg_parse(der);
	int nid = alg != NULL ? alg_nid(alg) : NID_undef;

	ERR_clear_error();
	return listed(nid, digests, NELEMS(digests)) ? nid : NID_undef;
}

int
cmp_fail_ossl(
    struct err *e, enum err_kind kind, uint32_t fail, const char *what)
{
	err_ossl(e, kind, "%s", what);
	if (e != NULL)
		e->fail = fail;
	return -1;
}

int
cmp_check_alg(struct bytes der, struct err *e)
{
	AUTO(X509_ALGOR) alg = alg_parse(der);
	int nid;

	if (alg == NULL)
		return err_ossl(e, ERR_INPUT,
		    "cmp: protectionAlg is not an AlgorithmIdentifier");
	nid = alg_nid(alg);
	if (listed(nid, macs, NELEMS(macs)))
		return err_fail(e, ERR_INPUT, CMP_WRONG_INTEGRITY,
		    "cmp: RFC 9733 4.2: protected by a MAC (%s), not by a "
		    "signature",
		    OBJ_nid2sn(nid));
	if (nid == NID_rsassaPss && !pss_hash_listed(alg))
		return cmp_fail_ossl(e, ERR_INPUT, CMP_BAD_ALG,
		    "cmp: RFC 9481 3.1: RSASSA-PSS without SHA-256, SHA-384 "
		    "or SHA-512, or with another mask");
	if (!listed(nid, signatures, NELEMS(signatures)))
		return err_fail(e, ERR_INPUT, CMP_BAD_ALG,
		    "cmp: RFC 9481 3: signature algorithm %s is not accepted",
		    OBJ_nid2sn(nid));
	return 0;
}

bool
cmp_signed(struct bytes tbs, struct bytes alg, struct bytes sig, EVP_PKEY *key)
{
	AUTO(X509_ALGOR) a = alg_parse(alg);
	AUTO(ASN1_STRING) bits = NULL, all = NULL;
	const uint8_t *p = sig.p;
	int rc;

	bits = d2i_ASN1_BIT_STRING(NULL, &p, (long)sig.len);
	if ((all = ASN1_STRING_type_new(V_ASN1_SEQUENCE)) == NULL ||
	    ASN1_STRING_set(all, tbs.p, (int)tbs.len) != 1)
		err_die("out of memory");
	if (a == NULL || bits == NULL)
		return false;
	/* This item stands for its octets as they are, its own head included:
	 * what is verified is what came in. */
	rc = ASN1_item_verify_ex(
	    ASN1_ITEM_rptr(ASN1_SEQUENCE), a, bits, all, NULL, key, NULL, NULL);
	return rc == 1;
}

static bool
is_signer(const struct cmp_msg *m, X509 *x)
{
	struct bytes kid = cmp_field(m, CMP_SENDER_KID);
	const ASN1_OCTET_STRING *ski;

	if (x == NULL || m->sender == NULL ||
	    X509_NAME_cmp(X509_get_subject_name(x), m->sender) != 0)
		return false;
	ski = X509_get0_subject_key_id(x);
	if (ski == NULL || m->field[CMP_SENDER_KID].len == 0)
		return true;
	return bytes_eq(kid,
	    bytes_of(
		ASN1_STRING_get0_data(ski), (size_t)ASN1_STRING_length(ski)));
}

X509 *
cmp_find_signer(const struct cmp_msg *m, X509 *fallback, struct err *e)
{
	int i;

	for (i = 0; i < sk_X509_num(m->extra); i++)
		if (is_signer(m, sk_X509_value(m->extra, i)))
			return sk_X509_value(m->extra, i);
	if (is_signer(m, fallback))
		return fallback;
	err_fail(e, ERR_TRUST, CMP_SIGNER_NOT_TRUSTED,
	    "cmp: RFC 9483 3.3: no certificate fits sender and senderKID");
	return NULL;
}

int
cmp_verify(const struct cmp_msg *m, X509 *signer, struct err *e)
{
	struct buf tbs AUTO_BUF = { 0 };
	struct bytes alg = m->field[CMP_PROTECTION_ALG];
	EVP_PKEY *key = X509_get0_pubkey(signer);

	if (!cmp_is_protected(m) || alg.len == 0)
		return err_fail(e, ERR_TRUST, CMP_BAD_MESSAGE_CHECK,
		    "cmp: RFC 9483 3.2: no protection");
	if (cmp_check_alg(alg, e) == -1)
		return -1;
	if (key == NULL)
		return err_fail(e, ERR_INPUT, CMP_BAD_ALG,
		    "cmp: the signer's key is of no known kind");
	if (key_check(key, e) == -1)
		return err_prefix(e, "cmp: the signer's key");
	/* RFC 9810 5.1.3: ProtectedPart */
	buf_add(&tbs, m->header.p, m->header.len);
	buf_add(&tbs, m->body.p, m->body.len);
	der_close(&tbs, 0, DER_SEQ);
	if (!cmp_signed(buf_bytes(&tbs), alg, m->protection, key))
		return cmp_fail_ossl(e, ERR_TRUST, CMP_BAD_MESSAGE_CHECK,
		    "cmp: RFC 9483 3.5: the protection does not hold");
	return 0;
}

int
cmp_sign_alg(EVP_PKEY *key, struct buf *out, struct err *e)
{
	int id = EVP_PKEY_get_base_id(key), parameter;
	AUTO(X509_ALGOR) alg = NULL;
	size_t i = 0;
	uint8_t *p;
	int len;

	while (i < NELEMS(ours) && ours[i].key != id)
		i++;
	if (i == NELEMS(ours))
		return err_set(e, ERR_LOCAL,
		    "cmp: no signature algorithm for a key of kind %s",
		    OBJ_nid2sn(id));
	parameter = ours[i].null_parameter ? V_ASN1_NULL : V_ASN1_UNDEF;
	if ((alg = X509_ALGOR_new()) == NULL ||
	    X509_ALGOR_set0(
		alg, OBJ_nid2obj(ours[i].signature), parameter, NULL) != 1 ||
	    (len = i2d_X509_ALGOR(alg, NULL)) <= 0)
		err_die("out of memory");
	p = buf_grow(out, (size_t)len);
	i2d_X509_ALGOR(alg, &p);
	return 0;
}

int
cmp_sign(EVP_PKEY *key, struct bytes tbs, struct buf *out, struct err *e)
{
	struct buf sig AUTO_BUF = { 0 };

	/* No unused bits: the first octet of the BIT STRING. */
	buf_add(&sig, "", 1);
	if (sign_octets(key, tbs, "cmp", &sig, e) == -1)
		return -1;
	der_add(out, DER_BITS, buf_bytes(&sig));
	return 0;
}

int
cmp_hash_nid(X509 *cert)
{
	int nid;

	if (X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1)
		return NID_undef;
	return nid;
}
