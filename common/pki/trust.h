/*
 * Who is believed: named anchors, and whether a certificate chains to one.
 * Built once, then read by any thread.
 */
#ifndef WAYBILL_PKI_TRUST_H
#define WAYBILL_PKI_TRUST_H

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/pki/ossl.h"

struct trust;

struct trust *trust_new(void);
void trust_free(struct trust *t);
AUTO_DEFINE(trust, struct trust, trust_free);

/* Adds all certificates of a PEM file as anchors under one name. */
int trust_add_file(struct trust *t, const char *name, const char *path,
    struct err *e) WARN_UNUSED;
int trust_add_cert(
    struct trust *t, const char *name, X509 *anchor, struct err *e) WARN_UNUSED;
/* Sub-CAs known from configuration: used to build chains, never believed. */
int trust_add_intermediate(struct trust *t, X509 *x, struct err *e) WARN_UNUSED;

#define TRUST_DEPTH \
	LIMIT_CHAIN_DEPTH /* certificates between leaf and anchor, both excluded */

/*
 * From now on trust_check, asked without ret_chain, remembers for
 * LIMIT_CHAIN_REMEMBERED seconds what it believed: the same leaf with the same
 * certificates beside it costs a digest of them.  A thousand, no failures,
 * and no chain in which anything ends before that.  Deny lists are no part of
 * it.  Before other threads use t.
 */
void trust_remember(struct trust *t);

/*
 * Verifies that leaf chains to an anchor at time `at` (seconds; 0 skips the
 * dates, for a clock of quality none).  untrusted may be NULL.  Keys of the
 * chain pass key_check first; purpose is any; KU digitalSignature of the leaf
 * is required if keyUsage is present.  On success *ret_name is the anchor's
 * name (borrowed from t) and, if ret_chain is not NULL, the chain leaf first
 * with the anchor last (owned by the caller).
 * Failure: ERR_TRUST, failInfo signerNotTrusted, the reason in words.
 */
int trust_check(const struct trust *t, X509 *leaf,
    const STACK_OF(X509) * untrusted, uint64_t at, const char **ret_name,
    STACK_OF(X509) * *ret_chain, struct err *e) WARN_UNUSED;

/* The anchors themselves, borrowed; for TLS's list of CA names. */
const STACK_OF(X509) * trust_anchors(const struct trust *t);

/*
 * Deny list: a text file, one entry a line, '#' comments:
 *   serial ISSUER-SHA256 HEXSERIAL     certificate by issuer name digest
 *   subject-serial TEXT                device by subject serialNumber
 *   spki SHA256HEX                     key
 * Malformed lines refuse the whole file (ERR_CONF, file:line: reason).
 */
struct denylist;
struct denylist *denylist_load(const char *path, struct err *e) WARN_UNUSED;
/* The text itself; `what` stands for the file in what is complained of. */
struct denylist *denylist_parse(
    struct bytes octets, const char *what, struct err *e) WARN_UNUSED;
void denylist_free(struct denylist *d);
AUTO_DEFINE(denylist, struct denylist, denylist_free);
/* 0 if not listed (or d is NULL); ERR_POLICY with the matching line if so. */
int denylist_check(
    const struct denylist *d, X509 *x, struct err *e) WARN_UNUSED;

#endif
