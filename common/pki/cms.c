#include "common/pki/cms.h"

#include <string.h>

#include <openssl/cms.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include "common/pki/cert_memo.h"
#include "common/pki/cmp_der.h"

#define DER_SET 0x31

#define HASH_MAX     64 /* octets of the longest */
#define OID_TEXT_MAX 64

AUTO_DEFINE(CMS_ContentInfo, CMS_ContentInfo, CMS_ContentInfo_free);
AUTO_DEFINE(EVP_MD, EVP_MD, EVP_MD_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(X509_ALGOR, X509_ALGOR, X509_ALGOR_free);

static CRYPTO_ONCE oid_once = CRYPTO_ONCE_STATIC_INIT;
static int oid_json_voucher;

/* Later releases of OpenSSL know it themselves. */
static void
make_oid(void)
{
	static const char oid[] = "1.2.840.113549.1.9.16.1.40";
	static const char name[] = "id-ct-animaJSONVoucher";

	oid_json_voucher = OBJ_txt2nid(oid);
	if (oid_json_voucher == NID_undef)
		oid_json_voucher = OBJ_create(oid, name, name);
	if (oid_json_voucher == NID_undef)
		err_die("object identifiers cannot be registered");
}

int
nid_json_voucher(void)
{
	if (CRYPTO_THREAD_run_once(&oid_once, make_oid) != 1)
		err_die("object identifiers cannot be registered");
	return oid_json_voucher;
}

void
cms_signed_done(struct cms_signed *c)
{
	buf_done(&c->content);
	X509_free(c->signer);
	x509s_free(c->certs);
	*c = (struct cms_signed){ 0 };
}

/* ---- digests ------------------------------------------------------------ */

/* What may digest the content.  The last, SHAKE256 with its length in the
 * parameters, is there for Ed448 alone (RFC 8419 2.3). */
static const struct hash {
	const char *oid, *name;
	size_t len;
	bool extendable;
} hashes[] = {
	{ "2.16.840.1.101.3.4.2.1", "SHA256", 32 },
	{ "2.16.840.1.101.3.4.2.2", "SHA384", 48 },
	{ "2.16.840.1.101.3.4.2.3", "SHA512", 64 },
	{ "2.16.840.1.101.3.4.2.18", "SHAKE256", 64, true },
};
enum { HASH_SHA256, HASH_SHA384, HASH_SHA512, HASH_SHAKE256 };

static void
hash_content(const struct hash *h, struct bytes content, uint8_t *ret)
{
	AUTO(EVP_MD) md = EVP_MD_fetch(NULL, h->name, NULL);
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();

	if (md == NULL || ctx == NULL ||
	    EVP_DigestInit_ex(ctx, md, NULL) != 1 ||
	    EVP_DigestUpdate(ctx, content.p, content.len) != 1 ||
	    (h->extendable ? EVP_DigestFinalXOF(ctx, ret, h->len)
			   : EVP_DigestFinal_ex(ctx, ret, NULL)) != 1)
		err_die("a digest cannot be computed");
}

/* ---- signing ------------------------------------------------------------ */

/* What is used with a key; RFC 8419 3 fixes the digest for EdDSA. */
struct suite {
	int key, sig, sig_params;
	unsigned hash;
};

static const struct suite *
suite_of(EVP_PKEY *key)
{
	static const struct suite suites[] = {
		{ EVP_PKEY_EC, NID_ecdsa_with_SHA256, V_ASN1_UNDEF,
		    HASH_SHA256 },
		{ EVP_PKEY_RSA, NID_rsaEncryption, V_ASN1_NULL, HASH_SHA256 },
		{ EVP_PKEY_ED25519, NID_ED25519, V_ASN1_UNDEF, HASH_SHA512 },
		{ EVP_PKEY_ED448, NID_ED448, V_ASN1_UNDEF, HASH_SHAKE256 },
	};
	size_t i;

	for (i = 0; i < NELEMS(suites); i++)
		if (suites[i].key == EVP_PKEY_get_base_id(key))
			return &suites[i];
	return NULL;
}

/* Takes what i2d_* has allocated. */
static void
add_item(struct buf *out, unsigned char *der, int len)
{
	if (len <= 0)
		err_die("DER cannot be written");
	buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
}

static void
add_oid(struct buf *out, const ASN1_OBJECT *oid)
{
	unsigned char *der = NULL;
	int len = i2d_ASN1_OBJECT(oid, &der);

	add_item(out, der, len);
}

static void
add_sig_alg(struct buf *out, const struct suite *s)
{
	AUTO(X509_ALGOR) alg = X509_ALGOR_new();
	unsigned char *der = NULL;
	int len;

	if (alg == NULL ||
	    X509_ALGOR_set0(alg, OBJ_nid2obj(s->sig), s->sig_params, NULL) != 1)
		err_die("out of memory");
	len = i2d_X509_ALGOR(alg, &der);
	add_item(out, der, len);
}

static void
add_digest_alg(struct buf *out, const struct suite *s)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(hashes[s->hash].oid, 1);
	size_t at = out->len;

	if (oid == NULL)
		err_die("out of memory");
	add_oid(out, oid);
	ASN1_OBJECT_free(oid);
	/* RFC 8419 2.3: the length in bits. */
	if (hashes[s->hash].extendable)
		der_add_long(out, (long)hashes[s->hash].len * 8);
	der_close(out, at, DER_SEQ);
}

/* RFC 5652 11.1, 11.2: content type and digest, and nothing else: a time of
 * signing would claim that our clock is right.  The digest's attribute is the
 * longer one, so DER's order of a SET is this one. */
static void
add_attributes(
    struct buf *out, int type, const struct hash *h, struct bytes content)
{
	uint8_t md[HASH_MAX];
	size_t at = out->len, value;

	hash_content(h, content, md);
	add_oid(out, OBJ_nid2obj(NID_pkcs9_contentType));
	value = out->len;
	add_oid(out, OBJ_nid2obj(type));
	der_close(out, value, DER_SET);
	der_close(out, at, DER_SEQ);
	at = out->len;
	add_oid(out, OBJ_nid2obj(NID_pkcs9_messageDigest));
	value = out->len;
	der_add(out, DER_OCTETS, bytes_of(md, h->len));
	der_close(out, value, DER_SET);
	der_close(out, at, DER_SEQ);
}

/* RFC 5652 5.4: over the attributes as a SET. */
static int
add_signature(struct buf *out, struct bytes attributes, const struct signer *s,
    struct err *e)
{
	struct buf tbs AUTO_BUF = { 0 };
	struct buf sig AUTO_BUF = { 0 };

	der_add(&tbs, DER_SET, attributes);
	if (sign_octets(s->key, buf_bytes(&tbs), "CMS", &sig, e) == -1)
		return -1;
	der_add(out, DER_OCTETS, buf_bytes(&sig));
	return 0;
}

/* RFC 5652 5.3: SignerInfo, the signer named by issuer and serial number. */
static int
add_signer_info(struct buf *out, int type, struct bytes content,
    const struct suite *suite, const struct signer *s, struct err *e)
{
	struct buf attributes AUTO_BUF = { 0 };
	unsigned char *serial = NULL;
	size_t at = out->len, sid;
	int len;

	add_attributes(&attributes, type, &hashes[suite->hash], content);
	der_add_long(out, 1);
	sid = out->len;
	ossl_name_der(X509_get_issuer_name(s->cert), out);
	len = i2d_ASN1_INTEGER(X509_get0_serialNumber(s->cert), &serial);
	add_item(out, serial, len);
	der_close(out, sid, DER_SEQ);
	add_digest_alg(out, suite);
	der_add(out, DER_CTX(0), buf_bytes(&attributes));
	add_sig_alg(out, suite);
	if (add_signature(out, buf_bytes(&attributes), s, e) == -1)
		return -1;
	der_close(out, at, DER_SEQ);
	return 0;
}

static void
gather(STACK_OF(X509) * all, X509 *x)
{
	int i;

	for (i = 0; i < sk_X509_num(all); i++)
		if (X509_cmp(sk_X509_value(all, i), x) == 0)
			return;
	if (X509_up_ref(x) != 1 || sk_X509_push(all, x) == 0)
		err_die("out of memory");
}

static int
compare_der(const void *a, const void *b)
{
	const struct buf *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;

	/* One cannot begin with the other: the lengths come first. */
	return memcmp(x->data, y->data, n);
}

/* The signer, its chain, then more; each once, in the order of a SET. */
static int
add_certs(struct buf *out, const struct signer *s, const STACK_OF(X509) * more,
    struct err *e)
{
	AUTO(X509S) all = sk_X509_new_null();
	struct buf der[CMS_CERTS_MAX] = { { 0 } };
	int i, n;

	if (all == NULL)
		err_die("out of memory");
	gather(all, s->cert);
	for (i = 0; i < sk_X509_num(s->chain); i++)
		gather(all, sk_X509_value(s->chain, i));
	for (i = 0; i < sk_X509_num(more); i++)
		gather(all, sk_X509_value(more, i));
	if ((n = sk_X509_num(all)) > CMS_CERTS_MAX)
		return err_set(e, ERR_LOCAL, "CMS: %d certificates, limit %d",
		    n, CMS_CERTS_MAX);
	for (i = 0; i < n; i++)
		ossl_cert_der(sk_X509_value(all, i), &der[i]);
	qsort(der, (size_t)n, sizeof(der[0]), compare_der);
	for (i = 0; i < n; i++) {
		buf_add(out, der[i].data, der[i].len);
		buf_done(&der[i]);
	}
	return 0;
}

/* RFC 5652 5.2: EncapsulatedContentInfo. */
static void
add_content(struct buf *out, int type, struct bytes content)
{
	size_t at = out->len, value;

	add_oid(out, OBJ_nid2obj(type));
	value = out->len;
	der_add(out, DER_OCTETS, content);
	der_close(out, value, DER_CTX(0));
	der_close(out, at, DER_SEQ);
}

/* RFC 5652 5.1: SignedData. */
static int
add_signed_data(struct buf *out, int type, struct bytes content,
    const struct signer *s, const STACK_OF(X509) * more, struct err *e)
{
	const struct suite *suite = suite_of(s->key);
	size_t at = out->len, part;

	if (suite == NULL)
		return err_set(
		    e, ERR_LOCAL, "CMS: no algorithm for this sort of key");
	der_add_long(out, type == NID_pkcs7_data ? 1 : 3);
	part = out->len;
	add_digest_alg(out, suite);
	der_close(out, part, DER_SET);
	add_content(out, type, content);
	part = out->len;
	if (add_certs(out, s, more, e) == -1)
		return -1;
	der_close(out, part, DER_CTX(0));
	part = out->len;
	if (add_signer_info(out, type, content, suite, s, e) == -1)
		return -1;
	der_close(out, part, DER_SET);
	der_close(out, at, DER_SEQ);
	return 0;
}

int
cms_sign(int type, struct bytes content, const struct signer *s,
    const STACK_OF(X509) * more, struct buf *out, struct err *e)
{
	struct buf der AUTO_BUF = { 0 };
	size_t value;

	add_oid(&der, OBJ_nid2obj(NID_pkcs7_signed));
	value = der.len;
	if (add_signed_data(&der, type, content, s, more, e) == -1)
		return -1;
	der_close(&der, value, DER_CTX(0));
	der_close(&der, 0, DER_SEQ);
	if (der.len > CMS_OCTETS_MAX)
		return err_set(e, ERR_INPUT, "CMS: %zu octets, limit %d",
		    der.len, CMS_OCTETS_MAX);
	buf_add(out, der.data, der.len);
	return 0;
}

/* ---- opening ------------------------------------------------------------ */

/* The certificates, as the contents of their SET; what is left is `ret`. */
static bool
cut_certs(struct bytes der, struct bytes *ret_certs, struct buf *ret)
{
	struct der top = der_open(der), info = der_enter(&top, DER_SEQ);
	struct bytes oid = der_whole(&info, DER_OID), before, after;
	struct der box = der_enter(&info, DER_CTX(0));
	struct der data = der_enter(&box, DER_SEQ);
	size_t inner, outer = ret->len;

	before.p = data.rest.p;
	der_whole(&data, DER_INTEGER);
	der_whole(&data, DER_SET);
	der_whole(&data, DER_SEQ);
	before.len = (size_t)(data.rest.p - before.p);
	*ret_certs = der_value(&data, DER_CTX(0));
	after = data.rest;
	if (data.bad || !der_end(&box) || !der_end(&info) || !der_end(&top))
		return false;
	buf_add(ret, oid.p, oid.len);
	inner = ret->len;
	buf_add(ret, before.p, before.len);
	buf_add(ret, after.p, after.len);
	der_close(ret, inner, DER_SEQ);
	der_close(ret, inner, DER_CTX(0));
	der_close(ret, outer, DER_SEQ);
	return true;
}

static CMS_ContentInfo *
parse(struct bytes der, struct err *e)
{
	AUTO(CMS_ContentInfo) cms = NULL;
	const unsigned char *p = der.p;

	if (der.len == 0 || der.len > CMS_OCTETS_MAX) {
		err_set(e, ERR_INPUT, "CMS: %zu octets, limit %d", der.len,
		    CMS_OCTETS_MAX);
		return NULL;
	}
	/* Takes BER, and no more than 30 levels of it. */
	if ((cms = d2i_CMS_ContentInfo(NULL, &p, (long)der.len)) == NULL) {
		err_ossl(e, ERR_INPUT, "CMS: RFC 5652 3: not a ContentInfo");
		return NULL;
	}
	/* Keys it could not read leave their complaint behind. */
	ERR_clear_error();
	if (p != der.p + der.len) {
		err_set(e, ERR_INPUT, "CMS: %td trailing octets",
		    der.p + der.len - p);
		return NULL;
	}
	if (OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed) {
		err_set(e, ERR_INPUT, "CMS: RFC 8366 5.4: not SignedData");
		return NULL;
	}
	return STEAL(cms);
}

/* Certificates alone, at most as many as we take; NULL for all else. */
static STACK_OF(X509) * parse_certs(struct bytes set)
{
	AUTO(X509S) certs = sk_X509_new_reserve(NULL, CMS_CERTS_MAX);
	struct der d = der_open(set);
	X509 *x;

	if (certs == NULL)
		err_die("out of memory");
	if (der_count(d) == 0 || der_count(d) > CMS_CERTS_MAX)
		return NULL;
	while (der_peek(&d) == DER_SEQ) {
		if ((x = cert_memo_parse(der_whole(&d, DER_SEQ), NULL)) == NULL)
			return NULL;
		/* Cannot fail: the place is reserved. */
		sk_X509_push(certs, x);
	}
	return der_end(&d) ? STEAL(certs) : NULL;
}

/*
 * The certificates apart, since those that a device also showed to TLS need not
 * be decoded again.  False, and nothing is complained of, if it is not as plain
 * as that; then OpenSSL reads the whole.
 */
static bool
parse_apart(
    struct bytes der, CMS_ContentInfo **ret, STACK_OF(X509) * *ret_certs)
{
	struct buf rest AUTO_BUF = { 0 };
	AUTO(CMS_ContentInfo) cms = NULL;
	AUTO(X509S) certs = NULL;
	struct bytes set;

	if (der.len > CMS_OCTETS_MAX || !cut_certs(der, &set, &rest) ||
	    (certs = parse_certs(set)) == NULL ||
	    (cms = parse(buf_bytes(&rest), NULL)) == NULL) {
		ERR_clear_error();
		return false;
	}
	*ret = STEAL(cms);
	*ret_certs = STEAL(certs);
	return true;
}

/* The one SignerInfo; borrowed. */
static CMS_SignerInfo *
only_signer(CMS_ContentInfo *cms, struct err *e)
{
	STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(cms);

	if (sk_CMS_SignerInfo_num(all) != 1) {
		err_set(e, ERR_INPUT, "CMS: %d signers, expected one",
		    all != NULL ? sk_CMS_SignerInfo_num(all) : 0);
		return NULL;
	}
	return sk_CMS_SignerInfo_value(all, 0);
}

static int
read_certs(CMS_ContentInfo *cms, STACK_OF(X509) * *ret, struct err *e)
{
	AUTO(X509S) certs = CMS_get1_certs(cms);

	if (certs == NULL)
		certs = sk_X509_new_null();
	if (certs == NULL)
		err_die("out of memory");
	if (sk_X509_num(certs) > CMS_CERTS_MAX)
		return err_set(e, ERR_INPUT, "CMS: %d certificates, limit %d",
		    sk_X509_num(certs), CMS_CERTS_MAX);
	*ret = STEAL(certs);
	return 0;
}

static int
read_content(CMS_ContentInfo *cms, struct buf *ret, struct err *e)
{
	ASN1_OCTET_STRING **content = CMS_get0_content(cms);

	if (content == NULL || *content == NULL) {
		ERR_clear_error();
		return err_set(
		    e, ERR_INPUT, "CMS: RFC 8366 5.4: content is not there");
	}
	buf_add(ret, ASN1_STRING_get0_data(*content),
	    (size_t)ASN1_STRING_length(*content));
	return 0;
}

/* The certificate that the SignerInfo names, with its own reference. */
static X509 *
find_signer(CMS_SignerInfo *si, const STACK_OF(X509) * certs, X509 *fallback,
    struct err *e)
{
	X509 *found = NULL;
	int i;

	for (i = 0; i < sk_X509_num(certs) && found == NULL; i++)
		if (CMS_SignerInfo_cert_cmp(si, sk_X509_value(certs, i)) == 0)
			found = sk_X509_value(certs, i);
	if (found == NULL && fallback != NULL &&
	    CMS_SignerInfo_cert_cmp(si, fallback) == 0)
		found = fallback;
	ERR_clear_error();
	if (found == NULL) {
		err_set(e, ERR_TRUST,
		    "CMS: RFC 8366 5.4: signer's certificate is not there");
		return NULL;
	}
	if (X509_up_ref(found) != 1)
		err_die("out of memory");
	return found;
}

/* Which digest the content has; NULL for those that are not allowed. */
static const struct hash *
find_hash(const X509_ALGOR *alg, struct err *e)
{
	char oid[OID_TEXT_MAX] = "";
	const ASN1_OBJECT *object;
	const void *value;
	int64_t bits = 0;
	size_t i;
	int type;

	X509_ALGOR_get0(&object, &type, &value, alg);
	OBJ_obj2txt(oid, sizeof(oid), object, 1);
	for (i = 0; i < NELEMS(hashes); i++)
		if (strcmp(hashes[i].oid, oid) == 0)
			break;
	if (i < NELEMS(hashes) && hashes[i].extendable &&
	    (type != V_ASN1_INTEGER ||
		ASN1_INTEGER_get_int64(&bits, value) != 1 ||
		bits != (int64_t)hashes[i].len * 8))
		i = NELEMS(hashes);
	if (i < NELEMS(hashes))
		return &hashes[i];
	ERR_clear_error();
	err_set(e, ERR_TRUST, "CMS: digest %s is not allowed", oid);
	return NULL;
}

/* RFC 5652 11.1, 11.2: each once, with one value, and both say what is there. */
static int
check_attributes(CMS_SignerInfo *si, const ASN1_OBJECT *type,
    const struct hash *h, struct bytes content, struct err *e)
{
	const ASN1_OBJECT *said = CMS_signed_get0_data_by_OBJ(
	    si, OBJ_nid2obj(NID_pkcs9_contentType), -3, V_ASN1_OBJECT);
	const ASN1_OCTET_STRING *digest = CMS_signed_get0_data_by_OBJ(
	    si, OBJ_nid2obj(NID_pkcs9_messageDigest), -3, V_ASN1_OCTET_STRING);
	uint8_t md[HASH_MAX];

	ERR_clear_error();
	/* Without them the attributes of one signature could be shown as the
	 * content of another. */
	if (said == NULL || digest == NULL)
		return err_set(e, ERR_INPUT,
		    "CMS: RFC 5652 5.3: no signed attributes of content type "
		    "and digest");
	if (OBJ_cmp(said, type) != 0)
		return err_set(e, ERR_TRUST,
		    "CMS: RFC 5652 11.1: signed content type differs");
	hash_content(h, content, md);
	if (!bytes_eq(bytes_of(md, h->len),
		bytes_of(ASN1_STRING_get0_data(digest),
		    (size_t)ASN1_STRING_length(digest))))
		return err_set(e, ERR_TRUST,
		    "CMS: RFC 5652 11.2: content is not what was signed");
	return 0;
}

/* A signature algorithm that names a digest names the content's: else a weak
 * one could stand beside a strong one. */
static int
check_algorithms(const X509_ALGOR *digest, const X509_ALGOR *sig, struct err *e)
{
	int md = NID_undef, key = NID_undef;

	if (OBJ_find_sigid_algs(OBJ_obj2nid(sig->algorithm), &md, &key) != 1 ||
	    md == NID_undef || md == OBJ_obj2nid(digest->algorithm))
		return 0;
	return err_set(e, ERR_TRUST,
	    "CMS: RFC 5652 5.3: digest of the signature is not the content's");
}

/* The attributes as they were signed; OpenSSL 3.0 has no EdDSA here. */
static int
verify_eddsa(CMS_SignerInfo *si, EVP_PKEY *key, const X509_ALGOR *alg)
{
	struct buf tbs AUTO_BUF = { 0 };
	AUTO(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
	const ASN1_OCTET_STRING *sig = CMS_SignerInfo_get0_signature(si);
	int i, len;

	if (ctx == NULL)
		err_die("out of memory");
	for (i = 0; i < CMS_signed_get_attr_count(si); i++) {
		unsigned char *der = NULL;

		len = i2d_X509_ATTRIBUTE(CMS_signed_get_attr(si, i), &der);
		add_item(&tbs, der, len);
	}
	der_close(&tbs, 0, DER_SET);
	return OBJ_obj2nid(alg->algorithm) == EVP_PKEY_get_base_id(key) &&
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, ASN1_STRING_get0_data(sig),
		(size_t)ASN1_STRING_length(sig), tbs.data, tbs.len) == 1;
}

static int
check_signature(CMS_SignerInfo *si, X509 *signer, const ASN1_OBJECT *type,
    struct bytes content, struct err *e)
{
	EVP_PKEY *key = X509_get0_pubkey(signer);
	struct err why = ERR_INIT;
	X509_ALGOR *digest, *sig;
	const struct hash *h;
	bool holds;

	/* A key that could not be read has complained. */
	ERR_clear_error();
	if (key_check(key, &why) == -1)
		return err_fail(
		    e, ERR_TRUST, why.fail, "CMS: signer's %s", why.msg);
	CMS_SignerInfo_get0_algs(si, NULL, NULL, &digest, &sig);
	if ((h = find_hash(digest, e)) == NULL ||
	    check_algorithms(digest, sig, e) == -1 ||
	    check_attributes(si, type, h, content, e) == -1)
		return -1;
	CMS_SignerInfo_set1_signer_cert(si, signer);
	holds = sign_md(key) == NULL ? verify_eddsa(si, key, sig)
				     : CMS_SignerInfo_verify(si) == 1;
	if (!holds)
		return err_ossl(
		    e, ERR_TRUST, "CMS: RFC 5652 5.6: signature does not hold");
	ERR_clear_error();
	return 0;
}

int
cms_open(
    struct bytes der, X509 *fallback, struct cms_signed *ret, struct err *e)
{
	__attribute__((cleanup(cms_signed_done))) struct cms_signed c = { 0 };
	AUTO(CMS_ContentInfo) cms = NULL;
	const ASN1_OBJECT *type;
	CMS_SignerInfo *si;

	/* Known from here on, so that its number is found below. */
	nid_json_voucher();
	if (!parse_apart(der, &cms, &c.certs) &&
	    ((cms = parse(der, e)) == NULL ||
		read_certs(cms, &c.certs, e) == -1))
		return -1;
	if ((si = only_signer(cms, e)) == NULL ||
	    read_content(cms, &c.content, e) == -1)
		return -1;
	type = CMS_get0_eContentType(cms);
	c.type = OBJ_obj2nid(type);
	if ((c.signer = find_signer(si, c.certs, fallback, e)) == NULL ||
	    check_signature(si, c.signer, type, buf_bytes(&c.content), e) == -1)
		return -1;
	*ret = c;
	c = (struct cms_signed){ 0 };
	return 0;
}
