/*
 * Voucher requests, vouchers and MASA audit logs: the JSON of RFC 8995 and
 * RFC 8366, read strictly where a rule stands and leniently where makers
 * differ (notes of RFC 8995's own examples: id-data content, base64url nonces,
 * numbers as strings).  Text in, text out; CMS around it is cms.h's.
 */
#ifndef WAYBILL_PKI_VOUCHER_H
#define WAYBILL_PKI_VOUCHER_H

#include "common/base/limits.h"
#include "common/pki/cms.h"

#define VCH_JSON_MAX LIMIT_VOUCHER_JSON
#define VCH_NONCE_MAX \
	LIMIT_VOUCHER_NONCE /* of its text; opaque, compared octet for octet */
#define VCH_SERIAL_MAX LIMIT_VOUCHER_SERIAL
#define VCH_TIME_MAX   40

enum vch_assertion {
	VCH_NO_ASSERTION, /* "none" */
	VCH_VERIFIED,
	VCH_LOGGED,
	VCH_PROXIMITY,
	VCH_OTHER /* of a newer revision: kept as "other" */
};
const char *vch_assertion_name(enum vch_assertion a);

/* "ietf-voucher-request:voucher": of a pledge (RFC 8995 5.2) or of a registrar
 * (5.5).  Absent members are empty. */
struct vch_request {
	char created_on[VCH_TIME_MAX]; /* RFC 3339 */
	enum vch_assertion assertion;
	char nonce[VCH_NONCE_MAX + 1];
	char serial[VCH_SERIAL_MAX];
	struct buf idevid_issuer; /* octets */
	struct buf proximity;	  /* DER of proximity-registrar-cert */
	struct buf prior;	  /* DER of prior-signed-voucher-request */
};
void vch_request_done(struct vch_request *v);
/* ERR_INPUT naming member and clause.  Unknown members are ignored; wrong
 * types, duplicates, a nonce over its limit, bad base64 are refused.
 * serial-number is required. */
int vch_request_parse(
    struct bytes json, struct vch_request *ret, struct err *e) WARN_UNUSED;
void vch_request_format(const struct vch_request *v, struct buf *out);

/* "ietf-voucher:voucher" (RFC 8366 5).  Required: created-on, assertion,
 * serial-number, pinned-domain-cert. */
struct vch {
	char created_on[VCH_TIME_MAX];
	uint64_t expires_on; /* seconds; 0: none */
	enum vch_assertion assertion;
	char nonce[VCH_NONCE_MAX + 1];
	char serial[VCH_SERIAL_MAX];
	struct buf idevid_issuer;
	X509 *pin; /* pinned-domain-cert; owned */
};
void vch_done(struct vch *v);
int vch_parse(struct bytes json, struct vch *ret, struct err *e) WARN_UNUSED;
void vch_format(const struct vch *v, struct buf *out);

/* RFC 8366 5.3 for a certificate: the octets of its AKI's extnValue; empty if
 * it has none. */
void vch_idevid_issuer(X509 *idevid, struct buf *ret);

/*
 * What registrar and pledge ask of a voucher alike (RFC 8995 5.6, 5.6.2): the
 * nonce is the request's (both or neither), the serial number is `serial`,
 * not expired at `now` (0: clock unknown, not judged), idevid-issuer, if
 * there, that of the IDevID (the AKI's extnValue, that with tag and length, or
 * the keyIdentifier alone).  A nonce or serial number that is not there is "".
 * idevid NULL: of a device that was not seen yet, its issuer is not judged.
 * ERR_TRUST naming member and clause.
 */
int vch_check(const struct vch *v, const char *nonce, const char *serial,
    X509 *idevid, uint64_t now, struct err *e) WARN_UNUSED;

/*
 * A voucher is a maker's word, not a device's: where IDevIDs and the voucher
 * signer stand under one anchor, a stolen device key must not make vouchers.
 * ERR_TRUST if signer is an IDevID (subject serialNumber, or id-pe-masa-url).
 */
int vch_check_signer(X509 *signer, struct err *e) WARN_UNUSED;

/* RFC 8995 5.8.1; unknown members ignored; numbers as numbers or strings. */
#define VCH_LOG_EVENTS_MAX LIMIT_VOUCHER_EVENTS
struct vch_log {
	unsigned version;
	size_t n;
	struct vch_event {
		char date[VCH_TIME_MAX];
		char domain[96]; /* domainID, text as it came */
		bool nonceless;
		enum vch_assertion assertion;
	} * events;	/* owned */
	bool truncated; /* events are said to be missing */
};
void vch_log_done(struct vch_log *l);
int vch_log_parse(
    struct bytes json, struct vch_log *ret, struct err *e) WARN_UNUSED;
/* Appends, RFC 8995 5.8.2, base64 of the domain CA's SubjectKeyIdentifier (or
 * of the SHA-256 of its SPKI without one). */
void vch_domain_id(X509 *domain_ca, struct buf *ret);

/* RFC 8995 5.7, 5.9.4: {"version":1,"status":bool,"reason":..,...} */
struct vch_status {
	bool status;
	unsigned version;
	char reason[200]; /* printable; "" if none */
};
/* Reason: '?' for what is not printable ASCII, cut to its size. */
int vch_status_parse(
    struct bytes json, struct vch_status *ret, struct err *e) WARN_UNUSED;
void vch_status_format(const struct vch_status *s, struct buf *out);

/* What the masa-client answers to an entry of kind voucher
 * (schemas/entry.cddl): CBOR [1, MASA's HTTP status, its plain reason, voucher
 * or null, HTTP status of the audit log (0: unreachable), audit log or null].
 * Voucher and log are within CMS_OCTETS_MAX and VCH_JSON_MAX, a status within
 * 999; for the reason see vch_status_parse. */
struct vch_answer {
	unsigned status;
	char reason[200];
	struct bytes voucher; /* borrowed when parsed */
	unsigned log_status;
	struct bytes log;
};
void vch_answer_format(const struct vch_answer *a, struct buf *out);
int vch_answer_parse(
    struct bytes in, struct vch_answer *ret, struct err *e) WARN_UNUSED;

#endif
