/* certReqTemplate's value (RFC 9483 4.3.3): what a request should look like. */
#include "common/pki/cmp.h"

#include <string.h>
#include <openssl/obj_mac.h>
#include "common/pki/cmp_der.h"

/* id-regCtrl-algId, id-regCtrl-rsaKeyLen (RFC 9810 5.3.19.16). */
static const uint8_t alg_id[] = { 0x2b, 6, 1, 5, 5, 7, 5, 1, 11 };
static const uint8_t rsa_key_len[] = { 0x2b, 6, 1, 5, 5, 7, 5, 1, 12 };

/* Kinds of keys: algorithm and, of an EC key, its curve. */
static const struct {
	const char *kind;
	int alg, curve;
} kinds[] = {
	{ "p256", NID_X9_62_id_ecPublicKey, NID_X9_62_prime256v1 },
	{ "p384", NID_X9_62_id_ecPublicKey, NID_secp384r1 },
	{ "p521", NID_X9_62_id_ecPublicKey, NID_secp521r1 },
	{ "ed25519", NID_ED25519, NID_undef },
	{ "ed448", NID_ED448, NID_undef },
};

static void
add_oid(struct buf *out, int nid)
{
	const ASN1_OBJECT *o = OBJ_nid2obj(nid);

	der_add(out, DER_OID, bytes_of(OBJ_get0_data(o), OBJ_length(o)));
}

/* One AttributeTypeAndValue of keySpec. */
static void
add_kind(struct buf *out, const char *kind)
{
	size_t at = out->len, alg;

	if (strcmp(kind, "rsa") == 0) {
		der_add(
		    out, DER_OID, bytes_of(rsa_key_len, sizeof(rsa_key_len)));
		der_add_long(out, LIMIT_RSA_LEAST);
		der_close(out, at, DER_SEQ);
		return;
	}
	for (size_t i = 0; i < NELEMS(kinds); i++) {
		if (strcmp(kinds[i].kind, kind) != 0)
			continue;
		der_add(out, DER_OID, bytes_of(alg_id, sizeof(alg_id)));
		alg = out->len;
		add_oid(out, kinds[i].alg);
		if (kinds[i].curve != NID_undef)
			add_oid(out, kinds[i].curve);
		der_close(out, alg, DER_SEQ);
		der_close(out, at, DER_SEQ);
	}
}

void
cmp_info_template(const X509_NAME *subject,
    const STACK_OF(X509_EXTENSION) * extensions, const char *const *keys,
    size_t n_keys, struct buf *out)
{
	size_t at = out->len, part;
	unsigned char *der = NULL;
	int len;

	ossl_name_der(subject, out);
	der_close(out, at, DER_CTX(5)); /* subject, a CHOICE: explicit */
	/* [9] IMPLICIT takes the place of the SEQUENCE's own tag. */
	len = i2d_X509_EXTENSIONS((STACK_OF(X509_EXTENSION) *)extensions, &der);
	if (len > 0) {
		struct der d = der_open(bytes_of(der, (size_t)len));

		der_add(out, DER_CTX(9), der_value(&d, DER_SEQ));
	}
	OPENSSL_free(der);
	der_close(out, at, DER_SEQ); /* CertTemplate */
	part = out->len;
	for (size_t i = 0; i < n_keys; i++)
		add_kind(out, keys[i]);
	if (n_keys > 0)
		der_close(out, part, DER_SEQ); /* keySpec */
	der_close(out, at, DER_SEQ);
}
