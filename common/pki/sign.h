/*
 * Keys that sign, and signatures verified.  A signer is a private key with
 * its certificate and chain, loaded once.
 */
#ifndef WAYBILL_PKI_SIGN_H
#define WAYBILL_PKI_SIGN_H

#include "common/base/digest.h"
#include "common/pki/ossl.h"

struct signer {
	EVP_PKEY *key;
	X509 *cert;
	STACK_OF(X509) * chain; /* above cert, without the root; may be empty */
	struct digest id;	/* SHA-256 of cert's DER */
};

void signer_free(struct signer *s);
AUTO_DEFINE(signer, struct signer, signer_free);

/* cert_path: the leaf first, then its chain.  Key and certificate must match. */
struct signer *signer_load(
    const char *key_path, const char *cert_path, struct err *e) WARN_UNUSED;
/* Takes references, not ownership; chain may be NULL. */
struct signer *signer_new(
    EVP_PKEY *key, X509 *cert, const STACK_OF(X509) * chain);

/*
 * Signs label | 00 | data with SHA-256 (EC, RSA) or no digest (EdDSA); the
 * signature is what EVP_DigestSign gives (DER for EC).  Labels: see
 * queue/entry.h and link/frame.h.  Appends to ret.
 */
int sign_data(const struct signer *s, const char *label, struct bytes data,
    struct buf *ret, struct err *e) WARN_UNUSED;
/* 0 if the signature holds, else ERR_TRUST. */
int sign_check(X509 *cert, const char *label, struct bytes data,
    struct bytes sig, struct err *e) WARN_UNUSED;

/* Signs tbs as it is, by sign_md's digest, and appends the signature to ret;
 * `what` begins the complaint.  ERR_LOCAL. */
int sign_octets(EVP_PKEY *key, struct bytes tbs, const char *what,
    struct buf *ret, struct err *e) WARN_UNUSED;
/* Digest for signing with this key: SHA-256, or NULL for EdDSA. */
const EVP_MD *sign_md(EVP_PKEY *key);
struct digest cert_digest(X509 *x);
struct digest spki_digest(EVP_PKEY *k); /* SHA-256 of the SPKI's DER */
/* The same of a certificate's, as it stands there: costs no encoding. */
struct digest cert_spki_digest(X509 *x);
/* Keys we accept from anybody, checked before anything expensive: P-256,
 * P-384, P-521, RSA 2048 to 4096, Ed25519, Ed448.  ERR_INPUT otherwise, with
 * failInfo badAlg. */
int key_check(EVP_PKEY *k, struct err *e) WARN_UNUSED;

#endif
