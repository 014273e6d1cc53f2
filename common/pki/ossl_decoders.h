/*
 * What OpenSSL decodes in this process.  OpenSSL 3.0 goes through all decoders
 * that it has, forty of them, several times for each public key of each
 * certificate that is parsed: a third of a TLS handshake.
 */
#ifndef WAYBILL_PKI_OSSL_DECODERS_H
#define WAYBILL_PKI_OSSL_DECODERS_H

/*
 * From here on keys are decoded of the kinds that key_check knows (EC, RSA,
 * RSA-PSS, Ed25519, Ed448), from DER and PEM; others are unknown keys.  What
 * else OpenSSL does is untouched.  For a daemon, before its first use of
 * libcrypto, in one thread; again is nothing.  Ends the process if libcrypto
 * will not.
 */
void ossl_decoders_few(void);

#endif
