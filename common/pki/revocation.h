/*
 * Whether a maker has revoked a device: its lists, and what is done if they do
 * not tell.  Built once, then read by any thread.
 */
#ifndef WAYBILL_PKI_REVOCATION_H
#define WAYBILL_PKI_REVOCATION_H

#include "common/pki/crl.h"

/* If a list is missing or stale: in the order of conf's crl-unknown. */
enum revocation_unknown {
	REVOCATION_ACCEPT,
	REVOCATION_WAIT, /* neither granted nor refused until there is one */
	REVOCATION_REFUSE
};
/* Their names, as configuration has them; ends with NULL. */
extern const char *const revocation_unknowns[];

struct revocation;
struct revocation *revocation_new(void);
void revocation_free(struct revocation *r);
AUTO_DEFINE(revocation, struct revocation, revocation_free);

/* What configuration says of one vendor; borrowed for the call. */
struct revocation_vendor {
	const char *name;
	const char *anchor;	  /* PEM file: may sign lists */
	const char *sub_ca;	  /* PEM file of those below it; NULL: none */
	const char *const *lists; /* files, PEM or DER */
	size_t n;		  /* 0: nothing is asked of this vendor */
	enum revocation_unknown unknown;
};
/* ERR_CONF, ERR_TRUST or ERR_INPUT, with vendor and file: a list that none of
 * its CAs signed, a sub-CA that none certified. */
int revocation_add(struct revocation *r, const struct revocation_vendor *v,
    struct err *e) WARN_UNUSED;

enum revocation_word {
	REVOCATION_NOT_ASKED, /* there are no lists of this vendor */
	REVOCATION_GOOD,
	REVOCATION_UNKNOWN, /* accepted all the same */
	REVOCATION_HELD	    /* unknown, and nobody may decide */
};
/* "good", or "unknown" of both others: the fact `revocation`. */
const char *revocation_name(enum revocation_word w);

/* Whether anything is asked of this vendor, so that a chain is wanted. */
bool revocation_asks(const struct revocation *r, const char *vendor);
/*
 * A chain that was verified, leaf first, anchor last (RFC 5280 6.3).  now:
 * seconds; 0: no clock to be believed, so no list is fresh.  ERR_POLICY
 * (notAuthorized) if one of it is revoked, or the leaf's list does not tell and
 * the vendor's word is to refuse then.  Of sub-CAs the lists that there are
 * count; that there is none says nothing.
 */
int revocation_check(const struct revocation *r, const char *vendor,
    const STACK_OF(X509) * chain, uint64_t now, enum revocation_word *ret,
    struct err *e) WARN_UNUSED;

#endif
