/*
 * CMP messages (RFC 9810, RFC 9483) with header and body kept as the raw
 * octets they came in: protection is verified over, and relayed as, what was
 * received.  Own reader of DER; OSSL_CMP_* is used by tests only, as an
 * independent judge.  No I/O, no clock but where stated, no state.
 */
#ifndef WAYBILL_PKI_CMP_H
#define WAYBILL_PKI_CMP_H

#include <stdbool.h>
#include "common/base/limits.h"
#include "common/pki/sign.h"

#define CMP_MAX LIMIT_CMP_MESSAGE /* octets of a message */
#define CMP_NESTED_MAX \
	LIMIT_CMP_NESTED /* of one that wraps another and its chain */
#define CMP_EXTRA_MAX	LIMIT_CMP_EXTRA /* extraCerts */
#define CMP_NONCE_MAX	LIMIT_CMP_NONCE
#define CMP_PROFILE_MAX LIMIT_CMP_PROFILE
#define CMP_TID_LEN	16

enum cmp_body {
	CMP_IR = 0,
	CMP_IP = 1,
	CMP_CR = 2,
	CMP_CP = 3,
	CMP_P10CR = 4,
	CMP_KUR = 7,
	CMP_KUP = 8,
	CMP_RR = 11,
	CMP_RP = 12,
	CMP_PKICONF = 19,
	CMP_NESTED = 20,
	CMP_GENM = 21,
	CMP_GENP = 22,
	CMP_ERROR = 23,
	CMP_CERTCONF = 24,
	CMP_POLLREQ = 25,
	CMP_POLLREP = 26,
	CMP_BODY__MAX = 27 /* all other types below this parse too */
};

/* PKIFailureInfo bits. */
enum cmp_fail {
	CMP_BAD_ALG = 1 << 0,
	CMP_BAD_MESSAGE_CHECK = 1 << 1,
	CMP_BAD_REQUEST = 1 << 2,
	CMP_BAD_TIME = 1 << 3,
	CMP_BAD_CERT_ID = 1 << 4,
	CMP_BAD_DATA_FORMAT = 1 << 5,
	CMP_WRONG_AUTHORITY = 1 << 6,
	CMP_BAD_POP = 1 << 9,
	CMP_CERT_REVOKED = 1 << 10,
	CMP_WRONG_INTEGRITY = 1 << 12,
	CMP_BAD_RECIPIENT_NONCE = 1 << 13,
	CMP_BAD_SENDER_NONCE = 1 << 18,
	CMP_BAD_CERT_TEMPLATE = 1 << 19,
	CMP_SIGNER_NOT_TRUSTED = 1 << 20,
	CMP_TRANSACTION_ID_IN_USE = 1 << 21,
	CMP_UNSUPPORTED_VERSION = 1 << 22,
	CMP_NOT_AUTHORIZED = 1 << 23,
	CMP_SYSTEM_UNAVAIL = 1 << 24,
	CMP_SYSTEM_FAILURE = 1 << 25
};

/* PKIStatus. */
enum cmp_status {
	CMP_ACCEPTED = 0,
	CMP_GRANTED_WITH_MODS = 1,
	CMP_REJECTION = 2,
	CMP_WAITING = 3
};

/* "ir", "ip", ... "body 9" has no name: "?" */
const char *cmp_body_name(enum cmp_body b);
/* The response type of a request: ir -> ip, p10cr -> cp, certConf -> pkiConf,
 * pollReq -> pollRep, ...; else error. */
enum cmp_body cmp_response_to(enum cmp_body request);
/* It opens a transaction: ir, cr, kur, p10cr, rr, genm. */
bool cmp_is_first(enum cmp_body b);

/* ---- reading ---------------------------------------------------------- */

struct cmp_msg;

/*
 * Parses one PKIMessage of at most CMP_MAX octets (CMP_NESTED_MAX if its body
 * is nested).  Refuses trailing octets, indefinite lengths anywhere in the
 * header or at the top of the body, more than CMP_EXTRA_MAX extraCerts, body
 * tags above 26, header fields outside their limits.  The octets are copied.
 * ERR_INPUT with failInfo badDataFormat.
 */
int cmp_parse(
    struct bytes der, struct cmp_msg **ret, struct err *e) WARN_UNUSED;
/*
 * What can be read of a message that cmp_parse refused, so that it is refused
 * in words of CMP: the names, transactionID and senderNonce of its header,
 * whatever their length, and its type; nothing else is in it.  For
 * cmp_head_reply, cmp_body and cmp_pvno alone.  NULL: it has no PKIHeader of at
 * most LIMIT_CMP_HEADER octets, or is no PKIMessage.
 */
struct cmp_msg *cmp_parse_refused(struct bytes der);
void cmp_free(struct cmp_msg *m);
AUTO_DEFINE(cmp_msg, struct cmp_msg, cmp_free);

/* All borrowed from the message. */
struct bytes cmp_der(const struct cmp_msg *m);
enum cmp_body cmp_body(const struct cmp_msg *m);
int cmp_pvno(const struct cmp_msg *m);
struct bytes cmp_transaction_id(const struct cmp_msg *m);
struct bytes cmp_sender_nonce(const struct cmp_msg *m);
struct bytes cmp_recip_nonce(const struct cmp_msg *m);
const X509_NAME *cmp_sender(
    const struct cmp_msg *m); /* NULL: no directoryName */
const X509_NAME *cmp_recipient(const struct cmp_msg *m); /* the same */
bool cmp_implicit_confirm(const struct cmp_msg *m);
const char *cmp_profile(const struct cmp_msg *m); /* certProfile, "" if none */
const STACK_OF(X509) *
    cmp_extra_certs(const struct cmp_msg *m); /* may be NULL */
bool cmp_is_protected(const struct cmp_msg *m);

/*
 * RFC 9483 3.5, what needs no trust: pvno 2 or 3 (unsupportedVersion),
 * transactionID present and of CMP_TID_LEN octets (badDataFormat),
 * senderNonce of at least 16 octets (badSenderNonce), protected
 * (badMessageCheck), protection by signature and not by MAC (wrongIntegrity),
 * signature algorithm on our list (badAlg), sender a directoryName
 * (badDataFormat), no recipNonce in a first message (badRecipientNonce).
 */
int cmp_check_header(const struct cmp_msg *m, struct err *e) WARN_UNUSED;

/*
 * The certificate that should have signed: the first of extraCerts whose
 * subject is the sender (and whose SKI is senderKID, if both are there), else
 * `fallback` (the TLS client's; may be NULL) under the same condition.
 * Borrowed; NULL with ERR_TRUST, failInfo signerNotTrusted.
 */
X509 *cmp_find_signer(
    const struct cmp_msg *m, X509 *fallback, struct err *e) WARN_UNUSED;
/* The protection under this certificate's key (after key_check): ERR_TRUST,
 * failInfo badMessageCheck, if it does not hold; ERR_INPUT, wrongIntegrity or
 * badAlg, for algorithms and keys not accepted.  keyUsage is trust_check's. */
int cmp_verify(
    const struct cmp_msg *m, X509 *signer, struct err *e) WARN_UNUSED;

/* A certificate named by its issuer, the DER of a Name, and the contents of its
 * serial number's INTEGER.  Borrowed. */
struct cmp_cert_id {
	struct bytes issuer, serial;
};
bool cmp_names_cert(const struct cmp_cert_id *id, X509 *x);

/* ir, cr, kur, p10cr: what is asked for.  Exactly one request (badRequest),
 * with subject and key (badCertTemplate), key_check passed (badAlg), proof of
 * possession by signature (badPOP) of an algorithm on our list (badAlg)
 * verified (badPOP).  Controls but oldCertId, and the
 * attributes of a CSR but extensionRequest, are not read. */
struct cmp_request {
	long id;	    /* certReqId; -1 for p10cr */
	EVP_PKEY *pubkey;   /* owned */
	X509_NAME *subject; /* owned; NULL: the NULL-DN */
	struct digest
	    tmpl; /* SHA-256 of the template or CSR info as received */
	/* What is inside of Extensions; empty: none asked for.  Borrowed from
	 * the message. */
	struct bytes extensions;
	bool has_old; /* kur: the control oldCertId (RFC 9483 4.1.3) */
	struct cmp_cert_id old;
};
void cmp_request_done(struct cmp_request *r);
/* The extensions asked for, none if it asks for none; owned
 * (sk_X509_EXTENSION_pop_free).  NULL with ERR_INPUT, badCertTemplate. */
STACK_OF(X509_EXTENSION) *
    cmp_request_extensions(
	const struct cmp_request *r, struct err *e) WARN_UNUSED;
int cmp_read_request(const struct cmp_msg *m, struct cmp_request *ret,
    struct err *e) WARN_UNUSED;

/* rr: exactly one RevDetails (badRequest) with issuer and serial number
 * (badCertId) and one reasonCode (badRequest), RFC 9483 4.2. */
struct cmp_revocation {
	struct cmp_cert_id cert;
	int reason; /* CRLReason, 0 to 10 but 7; removeFromCRL (8) revives */
};
int cmp_read_rr(const struct cmp_msg *m, struct cmp_revocation *ret,
    struct err *e) WARN_UNUSED;

/*
 * genm, genp: exactly one InfoTypeAndValue (badRequest), RFC 9483 4.3.
 * The number is the last arc of its id-it.
 */
enum cmp_info_type {
	CMP_INFO_OTHER = 0, /* not below id-it, or above 255 */
	CMP_INFO_CA_CERTS = 17,
	CMP_INFO_ROOT_UPDATE = 18, /* answers 20 */
	CMP_INFO_TEMPLATE = 19,
	CMP_INFO_ROOT_CERT = 20,
	CMP_INFO_CRL_STATUS = 22,
	CMP_INFO_CRLS = 23, /* answers 22 */
};
struct cmp_info {
	enum cmp_info_type type; /* perhaps none of those above */
	struct bytes value;	 /* one element, borrowed; empty: absent */
};
int cmp_read_info(
    const struct cmp_msg *m, struct cmp_info *ret, struct err *e) WARN_UNUSED;
/* The type of the genp that answers such a genm; OTHER if we know none. */
enum cmp_info_type cmp_info_answer(enum cmp_info_type asked);
/* caCerts' value: one to CMP_EXTRA_MAX certificates; owned. */
STACK_OF(X509) *
    cmp_info_read_certs(struct bytes value, struct err *e) WARN_UNUSED;
/* rootCaCert's value: the root that the asker has; owned, NULL if it is no
 * certificate. */
X509 *cmp_info_read_root(struct bytes value, struct err *e) WARN_UNUSED;
/* crlStatusList's value: exactly one CRLStatus (badRequest).  The newest CRL
 * that the asker has, in seconds since 1970; 0: none. */
int cmp_info_read_crl_status(
    struct bytes value, uint64_t *ret_this_update, struct err *e) WARN_UNUSED;
/* Of such a value: the DER of the Name whose list is asked for, the first if
 * there are several; borrowed.  Empty: a distribution point is named. */
struct bytes cmp_info_crl_issuer(struct bytes value);

/* pollReq: exactly one id, 0 or -1. */
int cmp_read_pollreq(
    const struct cmp_msg *m, long *ret_id, struct err *e) WARN_UNUSED;
int cmp_read_pollrep(const struct cmp_msg *m, long *ret_id, uint32_t *ret_secs,
    struct err *e) WARN_UNUSED;

/* certConf: exactly one CertStatus.  hash borrowed from the message. */
struct cmp_certconf {
	long id;
	struct bytes hash;
	int hash_nid;		/* of hashAlg; NID_undef if absent */
	enum cmp_status status; /* accepted if absent */
	char text[200];		/* first statusString, printable; "" if none */
};
int cmp_read_certconf(const struct cmp_msg *m, struct cmp_certconf *ret,
    struct err *e) WARN_UNUSED;
/* RFC 9810 5.3.18: the hash is that of the certificate's signature algorithm
 * (SHA-256 for EdDSA here refused: needs hashAlg). ERR_INPUT badCertId. */
int cmp_check_certhash(
    const struct cmp_certconf *c, X509 *cert, struct err *e) WARN_UNUSED;

/* ip, cp, kup: exactly one CertResponse. */
struct cmp_response {
	long id;
	enum cmp_status status;
	uint32_t fail;
	char text[200];
	X509 *cert;		  /* owned; NULL unless accepted */
	STACK_OF(X509) * ca_pubs; /* owned; may be NULL */
};
void cmp_response_done(struct cmp_response *r);
int cmp_read_response(const struct cmp_msg *m, struct cmp_response *ret,
    struct err *e) WARN_UNUSED;
/* rp: its one PKIStatusInfo, in the same form (id 0, cert NULL). */
int cmp_read_rp(const struct cmp_msg *m, struct cmp_response *ret,
    struct err *e) WARN_UNUSED;
/* error: its PKIStatusInfo, in the same form (id 0, cert NULL). */
int cmp_read_error(const struct cmp_msg *m, struct cmp_response *ret,
    struct err *e) WARN_UNUSED;

/* nested with exactly one message inside, itself not nested (badRequest): its
 * octets, borrowed. */
int cmp_read_nested(
    const struct cmp_msg *m, struct bytes *ret, struct err *e) WARN_UNUSED;

/* ---- writing ---------------------------------------------------------- */

/* Bodies: the DER of the whole body choice ([n] EXPLICIT), appended.  Texts
 * become one plain line of at most 199 octets; NULL or "": none.  Waiting and
 * rejection are an error message where the request has no such response. */
void cmp_body_waiting(enum cmp_body request, long id, struct buf *out);
void cmp_body_rejection(enum cmp_body request, long id, uint32_t fail,
    const char *text, struct buf *out);
void cmp_body_error(
    enum cmp_status status, uint32_t fail, const char *text, struct buf *out);
void cmp_body_pollrep(long id, uint32_t seconds, struct buf *out);
void cmp_body_pollreq(long id, struct buf *out);
void cmp_body_pkiconf(struct buf *out);
void cmp_body_nested(struct bytes message, struct buf *out);
/* ip or cp with one accepted certificate; ca_pubs NULL or with one anchor. */
void cmp_body_issued(
    enum cmp_body response, long id, X509 *cert, X509 *ca_pub, struct buf *out);
/* The same with another status: CMP_ACCEPTED or CMP_GRANTED_WITH_MODS. */
void cmp_body_granted(enum cmp_body response, long id, enum cmp_status status,
    X509 *cert, X509 *ca_pub, struct buf *out);
void cmp_body_certconf(
    long id, X509 *cert, bool accept, const char *text, struct buf *out);
/* ir (or cr, kur) with a template of subject and key, proof of possession by
 * signature; id 0. */
int cmp_body_certreq(enum cmp_body type, EVP_PKEY *key,
    const X509_NAME *subject, struct buf *out, struct err *e) WARN_UNUSED;
int cmp_body_p10cr(EVP_PKEY *key, const X509_NAME *subject, struct buf *out,
    struct err *e) WARN_UNUSED;

/* kur: the same with the control oldCertId, naming `old`. */
int cmp_body_kur(EVP_PKEY *key, const X509_NAME *subject, X509 *old,
    struct buf *out, struct err *e) WARN_UNUSED;
/* rr: this certificate, for this CRLReason. */
void cmp_body_rr(X509 *x, int reason, struct buf *out);
void cmp_body_rp(
    enum cmp_status status, uint32_t fail, const char *text, struct buf *out);
/* body: CMP_GENM or CMP_GENP; value: one element, or empty for none. */
void cmp_body_info(enum cmp_body body, enum cmp_info_type type,
    struct bytes value, struct buf *out);
/* Values, one element each, appended. */
void cmp_info_certs(const STACK_OF(X509) * certs, struct buf *out);
/* RFC 9483 4.3.2; those that are NULL are left out. */
void cmp_info_root_update(X509 *new_with_new, X509 *new_with_old,
    X509 *old_with_new, struct buf *out);
/* crls: DER of each CertificateList. */
void cmp_info_crls(const struct bytes *crls, size_t n, struct buf *out);
/* RFC 9483 4.3.3: the subject's attributes that are empty are for the asker to
 * fill in; keys: "p256", "p384", "p521", "rsa", "ed25519", "ed448", which are
 * accepted; none: any. */
void cmp_info_template(const X509_NAME *subject,
    const STACK_OF(X509_EXTENSION) * extensions, const char *const *keys,
    size_t n_keys, struct buf *out);
/* this_update 0: the asker has none. */
void cmp_info_crl_status(
    const X509_NAME *issuer, uint64_t this_update, struct buf *out);

/* A header to be.  Octets are borrowed; empty ones are left out of the
 * header, but an empty sender_nonce means 16 fresh random octets. */
struct cmp_head {
	int pvno;		    /* 2 or 3; 0 means 2 */
	const X509_NAME *recipient; /* NULL: the NULL-DN */
	struct bytes transaction_id, sender_nonce, recip_nonce;
	bool implicit_confirm;
	const char *profile;   /* certProfile; NULL or "": none */
	uint64_t message_time; /* seconds; 0: leave out */
	uint64_t confirm_wait; /* absolute seconds; 0: leave out */
};
/* Fills ret so that it answers `m`: pvno, transactionID, recipNonce := its
 * senderNonce, recipient := its sender.  Borrows from m. */
void cmp_head_reply(const struct cmp_msg *m, struct cmp_head *ret);

/* Appends a protected PKIMessage: sender and senderKID from s->cert,
 * extraCerts = s->cert, s->chain, then more (may be NULL), each once and at
 * most CMP_EXTRA_MAX.  ERR_LOCAL if it would be longer than cmp_parse takes. */
int cmp_build(const struct cmp_head *h, struct bytes body,
    const struct signer *s, const STACK_OF(X509) * more, struct buf *out,
    struct err *e) WARN_UNUSED;

/*
 * RFC 9483 5.1.5, DECISIONS 16: the final response `m` under our protection.
 * Keeps pvno, transactionID, senderNonce, generalInfo, freeText and the body's
 * octets; replaces sender, senderKID, recipient, recipNonce and protection;
  * drops messageTime unless message_time is not 0.  extraCerts: ours first,
 * then m's, as in cmp_build.  The caller has verified `m`.
 */
int cmp_reprotect(const struct cmp_msg *m, const X509_NAME *recipient,
    struct bytes recip_nonce, uint64_t message_time, const struct signer *s,
    struct buf *out, struct err *e) WARN_UNUSED;

/*
 * RFC 9483 5.2.2.1: `m` inside one nested message by s; copies transactionID
 * and senderNonce (and recipNonce if present), nothing else.
 */
int cmp_nest(const struct cmp_msg *m, const struct signer *s, struct buf *out,
    struct err *e) WARN_UNUSED;

#endif
