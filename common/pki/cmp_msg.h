/* What the cmp_* files know of a message and share; private to them. */
#ifndef WAYBILL_PKI_CMP_MSG_H
#define WAYBILL_PKI_CMP_MSG_H

#include "common/pki/cmp.h"
#include "common/pki/cmp_der.h"

#define CMP_NONCE_MIN LIMIT_CMP_NONCE_LEAST /* RFC 9483 3.5 */
#define CMP_TEXT_MAX \
	LIMIT_CMP_TEXT /* octets of a text told to peers or read of them */

/* The optional header fields, by their tags. */
enum cmp_field {
	CMP_MESSAGE_TIME,
	CMP_PROTECTION_ALG,
	CMP_SENDER_KID,
	CMP_RECIP_KID,
	CMP_TRANSACTION_ID,
	CMP_SENDER_NONCE,
	CMP_RECIP_NONCE,
	CMP_FREE_TEXT,
	CMP_GENERAL_INFO,
	CMP_FIELD__MAX
};

/* All struct bytes point into der. */
struct cmp_msg {
	struct buf der;
	struct bytes header, body;	    /* adjacent elements */
	struct bytes protection;	    /* BIT STRING; len 0: none */
	struct bytes field[CMP_FIELD__MAX]; /* what is inside of [n] */
	enum cmp_body type;
	long pvno;
	X509_NAME *sender, *recipient;
	bool implicit_confirm;
	char profile[CMP_PROFILE_MAX + 1];
	STACK_OF(X509) * extra;
};

/* One to CMP_EXTRA_MAX certificates, as the one SEQUENCE in `der`; NULL if not.
 * The caller owns them. */
STACK_OF(X509) *
    cmp_certs(struct bytes der, const char *what, struct err *e) WARN_UNUSED;

/* Contents of a header field's element; empty if the field is absent. */
struct bytes cmp_field(const struct cmp_msg *m, enum cmp_field f);

/* id-it (RFC 9810 5.1.1): the octets of these object identifiers. */
extern const struct bytes cmp_it_implicit_confirm;
extern const struct bytes cmp_it_confirm_wait;
extern const struct bytes cmp_it_profile;

/* An AlgorithmIdentifier element: a signature on our list (badAlg), no MAC
 * (wrongIntegrity).  ERR_INPUT. */
int cmp_check_alg(struct bytes alg, struct err *e) WARN_UNUSED;
/* NID of SHA-256, SHA-384 or SHA-512 named by an AlgorithmIdentifier element;
 * NID_undef for all else. */
int cmp_digest_nid(struct bytes alg);
/* Whether sig, a BIT STRING element, signs the one element `tbs` under key. */
bool cmp_signed(
    struct bytes tbs, struct bytes alg, struct bytes sig, EVP_PKEY *key);
/* The AlgorithmIdentifier we sign with, and the BIT STRING over tbs, appended;
 * ERR_LOCAL for a key that cannot. */
int cmp_sign_alg(EVP_PKEY *key, struct buf *out, struct err *e) WARN_UNUSED;
int cmp_sign(EVP_PKEY *key, struct bytes tbs, struct buf *out,
    struct err *e) WARN_UNUSED;
/* NID of the digest that a certHash of this certificate is made with
 * (RFC 9810 5.3.18); NID_undef if its signature names none. */
int cmp_hash_nid(X509 *cert);

/* err_ossl with failInfo; returns -1. */
int cmp_fail_ossl(
    struct err *e, enum err_kind kind, uint32_t fail, const char *what);

/* ---- cmp_content.c and cmp_answer.c: bodies ---------------------------- */

#define CMP_TYPE(b) (1u << (b))
/* A reader of what is inside of [n]; the body must be one of `types`.
 * ERR_INPUT. */
int cmp_open_body(const struct cmp_msg *m, uint32_t types, struct der *ret,
    struct err *e) WARN_UNUSED;
/* A reader of the only element of the SEQUENCE OF that the body is. */
int cmp_open_single(const struct cmp_msg *m, uint32_t types, struct der *ret,
    struct err *e) WARN_UNUSED;
/* Always -1. */
int cmp_malformed(const struct cmp_msg *m, struct err *e);
/* PKIStatusInfo, RFC 9810 5.2.3; the warnings above waiting are for rp. */
void cmp_read_status(struct der *d, struct cmp_response *r);

/* Turns what was written since `at` into this body. */
void cmp_close_body(struct buf *out, size_t at, enum cmp_body type);
/* PKIStatusInfo, RFC 9810 5.2.3 */
void cmp_add_status(
    struct buf *out, enum cmp_status status, uint32_t fail, const char *text);
/* This certificate's serial number, as an INTEGER under this tag. */
void cmp_add_serial(X509 *x, uint8_t tag, struct buf *out);

#endif
