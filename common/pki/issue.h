/* The one certificate builder: RA, `waybill init` and the factory use it. */
#ifndef WAYBILL_PKI_ISSUE_H
#define WAYBILL_PKI_ISSUE_H

#include <stdbool.h>
#include "common/pki/ossl.h"

#define ISSUE_FOREVER \
	UINT64_MAX /* notAfter 99991231235959Z (RFC 5280 4.1.2.5) */

/* What is to be certified.  Pointers are borrowed.  The serial number is 16
 * random octets (positive), SKI and AKI are always added, signature by the
 * issuer's key with SHA-256. */
struct issue_spec {
	const X509_NAME *subject;
	EVP_PKEY *pubkey;
	uint64_t not_before, not_after; /* seconds since 1970 */
	bool ca;
	int pathlen; /* with ca; -1: none */
	const char
	    *key_usage; /* OpenSSL syntax, e.g. "critical,digitalSignature" */
	const char *
	    ext_key_usage; /* e.g. "serverAuth,clientAuth,1.3.6.1.5.5.7.3.28"; NULL: none */
	const char
	    *san; /* e.g. "URI:urn:waybill:site:x,DNS:h,IP:::1"; NULL: none */
	const char *masa_url;	 /* id-pe-masa-url as IA5String; NULL: none */
	const char *hw_type_oid; /* hardwareModuleName SAN; NULL: none */
	struct bytes hw_serial;
};

/*
 * A certificate signed by issuer_key under issuer (NULL: self-signed, then
 * issuer_key is the subject's).  Text of SAN comes from configuration, never
 * unchecked from a peer: hosts must have passed issue_host_valid.
 */
X509 *issue_cert(const struct issue_spec *spec, X509 *issuer,
    EVP_PKEY *issuer_key, struct err *e) WARN_UNUSED;

/*
 * The same in two steps, for a CA key that lives in another process:
 * issue_tbs builds everything but the signature (with issuer's name and AKI)
 * and appends the DER of the TBSCertificate; what it returns is for its octets,
 * its key cannot be asked for.  issue_finish puts a signature made over exactly
 * these octets into the DER of that, verifies it under issuer's key (ERR_TRUST)
 * and returns the certificate as a reader of the octets sees it.
 */
X509 *issue_tbs(const struct issue_spec *spec, X509 *issuer, struct buf *tbs,
    struct err *e) WARN_UNUSED;
X509 *issue_finish(struct bytes unsigned_cert, X509 *issuer,
    struct bytes signature, struct err *e) WARN_UNUSED;

/* O, CN, serialNumber in this order, UTF-8; those that are NULL are left out.
 * NULL if one does not fit its type: empty, too long (64), or a serial_number
 * outside PrintableString. */
X509_NAME *issue_name(const char *cn, const char *o, const char *serial_number);

/* A CSR with subject and SAN (NULL: none), signed by key. */
X509_REQ *issue_request(EVP_PKEY *key, const X509_NAME *subject,
    const char *san, struct err *e) WARN_UNUSED;

/* A DNS name or an IP address and nothing else (no comma, no colon games). */
bool issue_host_valid(const char *host);

#endif
