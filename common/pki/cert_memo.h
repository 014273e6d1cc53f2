/*
 * Certificates that were decoded a moment ago, by their octets.  OpenSSL 3.0
 * takes twice as long to decode a certificate as to verify a signature with it,
 * since it decodes the key as well; a device shows its own to TLS and again in
 * each message, and its maker's is that of all the others.
 *
 * Nothing of what was judged of a certificate is kept.  The few used last, in
 * the whole process; for any thread.
 */
#ifndef WAYBILL_PKI_CERT_MEMO_H
#define WAYBILL_PKI_CERT_MEMO_H

#include "common/pki/ossl.h"

/* As ossl_cert_parse; the caller owns a reference, and others hold it as well:
 * it is not to be changed. */
X509 *cert_memo_parse(struct bytes der, struct err *e) WARN_UNUSED;
/* These were decoded by somebody else, as by TLS.  Both may be NULL. */
void cert_memo_keep(X509 *x, const STACK_OF(X509) * chain);
/* Puts in the place of each what is remembered of the same octets. */
void cert_memo_share(STACK_OF(X509) * chain);

#endif
