/* OpenSSL as we use it: cleanup for its types, its error queue drained in one
 * place, PEM files read with limits. */
#ifndef WAYBILL_PKI_OSSL_H
#define WAYBILL_PKI_OSSL_H

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "common/base/buf.h"
#include "common/base/err.h"

AUTO_DEFINE(BIO, BIO, BIO_free_all);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(X509, X509, X509_free);
AUTO_DEFINE(X509_REQ, X509_REQ, X509_REQ_free);
AUTO_DEFINE(X509_NAME, X509_NAME, X509_NAME_free);
AUTO_DEFINE(ASN1_TYPE, ASN1_TYPE, ASN1_TYPE_free);

/* Owning stacks: elements are freed too. */
static inline void
x509s_free(STACK_OF(X509) * s)
{
	sk_X509_pop_free(s, X509_free);
}
AUTO_DEFINE(X509S, STACK_OF(X509), x509s_free);

/* err_set with the last message of OpenSSL's queue appended; drains it. */
int err_ossl(struct err *e, enum err_kind kind, const char *fmt, ...)
    PRINTF(3, 4);

/* Certificates of a PEM file (at most 64, 256 KiB); at least one. */
STACK_OF(X509) * ossl_load_certs(const char *path, struct err *e) WARN_UNUSED;
/* The first certificate of a PEM file. */
X509 *ossl_load_cert(const char *path, struct err *e) WARN_UNUSED;
/* A private key in PEM, unencrypted; refuses files others may read
 * (mode & 077) with ERR_PERM. */
EVP_PKEY *ossl_load_key(const char *path, struct err *e) WARN_UNUSED;
EVP_PKEY *ossl_new_key_p256(void); /* never NULL: failure ends the process */
/* "p256", "p384", "p521", "rsa" (3072 bits; takes its time), "ed25519",
 * "ed448"; ERR_USAGE for any other word. */
EVP_PKEY *ossl_new_key(const char *kind, struct err *e) WARN_UNUSED;

/* DER of a certificate, name, or public key (SubjectPublicKeyInfo) appended. */
void ossl_cert_der(X509 *x, struct buf *out);
void ossl_name_der(const X509_NAME *n, struct buf *out);
void ossl_spki_der(EVP_PKEY *k, struct buf *out);
/* One DER certificate and nothing behind it. */
X509 *ossl_cert_parse(struct bytes der, struct err *e) WARN_UNUSED;
/* A SubjectPublicKeyInfo and nothing behind it; NULL if it is none, or of a
 * kind that OpenSSL does not know, its complaint in the queue. */
EVP_PKEY *ossl_spki_parse(struct bytes der) WARN_UNUSED;

/* PEM text appended. */
void ossl_cert_pem(X509 *x, struct buf *out);
void ossl_key_pem(EVP_PKEY *k, struct buf *out); /* PKCS#8, unencrypted */
void ossl_req_pem(X509_REQ *r, struct buf *out);

#endif
