/*
 * Lists of revoked certificates (RFC 5280 5): made for a CA whose key lives in
 * another process, and asked about a certificate.
 */
#ifndef WAYBILL_PKI_CRL_H
#define WAYBILL_PKI_CRL_H

#include "common/pki/ossl.h"

AUTO_DEFINE(X509_CRL, X509_CRL, X509_CRL_free);

/* ---- making ------------------------------------------------------------ */

struct crl_entry {
	struct bytes serial; /* contents of the INTEGER, borrowed */
	uint64_t when;	     /* seconds since 1970 */
	int reason;	     /* CRLReason; 0 is not written (RFC 5280 5.3.1) */
};

struct crl_spec {
	uint64_t this_update, next_update; /* seconds since 1970 */
	uint64_t number;		   /* grows with each */
	const struct crl_entry *entries;
	size_t n;
};

/* Appends the TBSCertList; crl_finish puts a signature made over exactly these
 * octets behind it, verifies it under issuer's key and appends the whole list.
 * ERR_LOCAL. */
int crl_tbs(const struct crl_spec *spec, X509 *issuer, struct buf *tbs,
    struct err *e) WARN_UNUSED;
int crl_finish(struct bytes tbs, struct bytes signature, X509 *issuer,
    struct buf *ret, struct err *e) WARN_UNUSED;

/* One DER list and nothing behind it. */
X509_CRL *crl_parse(struct bytes der, struct err *e) WARN_UNUSED;
/* thisUpdate and nextUpdate (0: none) in seconds since 1970. */
int crl_dates(const X509_CRL *crl, uint64_t *ret_this, uint64_t *ret_next,
    struct err *e) WARN_UNUSED;

/* Whether its issuer is the Name in this DER, as names compare (RFC 5280 7.1).
 */
bool crl_is_by(const X509_CRL *crl, struct bytes name);

/* ---- asking ------------------------------------------------------------ */

/* The newest list of each of several issuers. */
struct crls;
struct crls *crls_new(void);
void crls_free(struct crls *c);
AUTO_DEFINE(crls, struct crls, crls_free);

/*
 * Adds a list whose signature holds under one of these issuers (by name; its
 * keyUsage, if present, has cRLSign), unless a newer one of that issuer is
 * there: 1 added, 0 it is older, -1 with ERR_TRUST or ERR_INPUT.  Lists with
 * critical extensions, and delta lists, are refused: they say less, or other,
 * than we read.
 */
int crls_add(struct crls *c, struct bytes der, const STACK_OF(X509) * issuers,
    struct err *e) WARN_UNUSED;
/* All lists of a file, PEM or one in DER: how many were added, or -1. */
int crls_load(struct crls *c, const char *path, const STACK_OF(X509) * issuers,
    struct err *e) WARN_UNUSED;

enum crl_word {
	CRL_GOOD,
	CRL_REVOKED,
	CRL_UNKNOWN /* no list of its issuer, or one that is stale */
};
/* What is known of x at `now` (seconds; 0: no clock to be believed, so no list
 * is fresh).  A certificate that a stale list revokes is revoked.  The reason
 * in words goes to why, if it is not NULL. */
enum crl_word crls_ask(
    const struct crls *c, X509 *x, uint64_t now, char *why, size_t size);

#endif
