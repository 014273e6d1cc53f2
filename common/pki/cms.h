/*
 * CMS SignedData as vouchers use it (RFC 5652, RFC 8366 5.4): attached
 * content, one signer.  Signature and structure are judged here, the signer's
 * chain is not: that is trust.h's.
 */
#ifndef WAYBILL_PKI_CMS_H
#define WAYBILL_PKI_CMS_H

#include "common/base/limits.h"
#include "common/pki/sign.h"

#define CMS_OCTETS_MAX LIMIT_CMS_MESSAGE
#define CMS_CERTS_MAX  LIMIT_CMS_CERTIFICATES

/* eContentTypes: id-ct-animaJSONVoucher (RFC 8366 8.4, registered at first
 * use), and what older peers send in its place. */
int nid_json_voucher(void);

/* Signs content as eContentType `type`; certificates: signer, its chain, then
 * more (may be NULL; borrowed), each once. Signed attributes with the content's
 * digest, SHA-256 (EdDSA: RFC 8419's). Appends DER; ERR_INPUT if it were over
 * CMS_OCTETS_MAX. */
int cms_sign(int type, struct bytes content, const struct signer *s,
    const STACK_OF(X509) * more, struct buf *out, struct err *e) WARN_UNUSED;

struct cms_signed {
	int type; /* NID of the eContentType */
	struct buf content;
	X509 *signer;		/* owned */
	STACK_OF(X509) * certs; /* all that came with it; owned, may be empty */
};
void cms_signed_done(struct cms_signed *c);

/*
 * One SignedData of at most CMS_OCTETS_MAX octets, nothing trailing; exactly
 * one SignerInfo, attached content, at most CMS_CERTS_MAX certificates; its
 * signer is among them or is `fallback` (may be NULL).  Content type and digest
 * (SHA-256, 384, 512; Ed448: SHAKE256) are signed attributes.  The signer's key
 * passes key_check before the signature is verified.  BER is accepted (other
 * makers' devices write it).  ERR_INPUT for structure, ERR_TRUST for algorithms,
 * a signer that is not there, and the signature.
 */
int cms_open(struct bytes der, X509 *fallback, struct cms_signed *ret,
    struct err *e) WARN_UNUSED;

#endif
