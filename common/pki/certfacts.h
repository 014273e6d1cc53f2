/* What a certificate says: identities, usages, our own SAN URIs.  Reads, never
 * judges trust. */
#ifndef WAYBILL_PKI_CERTFACTS_H
#define WAYBILL_PKI_CERTFACTS_H

#include <stdbool.h>
#include "common/base/digest.h"
#include "common/base/limits.h"
#include "common/pki/ossl.h"

#define CERT_TEXT_MAX LIMIT_CERT_TEXT

/* id-kp-cmcRA (RFC 6402 2.10), id-pe-masa-url (RFC 8995 2.3.2),
 * id-on-hardwareModuleName (RFC 4108).  Registered at first use. */
int nid_masa_url(void);
int nid_hardware_module_name(void);

/* Subject serialNumber (2.5.4.5): 0, or ERR_INPUT if absent, twice, empty,
 * longer than CERT_TEXT_MAX - 1, or with octets outside PrintableString. */
int cert_subject_serial(
    X509 *x, char ret[CERT_TEXT_MAX], struct err *e) WARN_UNUSED;
/* RFC 8995 2.3.2: the id-pe-masa-url text; ERR_INPUT if absent or malformed. */
int cert_masa_url(X509 *x, char *ret, size_t size, struct err *e) WARN_UNUSED;
/* The URI SAN "urn:waybill:site:NAME" or "urn:waybill:service:NAME": exactly
 * one of that kind, NAME valid; else ERR_TRUST. */
int cert_site(X509 *x, char ret[33], struct err *e) WARN_UNUSED;
int cert_service(X509 *x, char ret[33], struct err *e) WARN_UNUSED;
bool cert_has_cmcra(X509 *x);
bool cert_has_eku(X509 *x, int nid);
/* keyUsage present without digitalSignature: false (RFC 9483 3.5). */
bool cert_may_sign(X509 *x);
/* extendedKeyUsage present with neither clientAuth nor anyExtendedKeyUsage:
 * false (RFC 5280 4.2.1.12). */
bool cert_may_be_client(X509 *x);
bool cert_is_ca(X509 *x);
/* SHA-256 over the CBOR array [issuer DER, serial number octets, profile]:
 * the device key of DESIGN section 7. */
struct digest cert_device(X509 *x, const char *profile);
/* Distinguished name in RFC 2253 form, printable, truncated to size. */
char *cert_subject_text(X509 *x, char *ret, size_t size);
char *cert_issuer_text(X509 *x, char *ret, size_t size);
/* Certificate serial number in lower-case hex. */
char *cert_serial_hex(X509 *x, char *ret, size_t size);
/* subjectKeyIdentifier, borrowed; len 0 if absent. */
struct bytes cert_ski(X509 *x);
/* notBefore / notAfter in seconds since 1970 (notAfter 9999... fits). */
int cert_validity(
    X509 *x, uint64_t *ret_from, uint64_t *ret_to, struct err *e) WARN_UNUSED;

#endif
