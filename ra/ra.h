/*
 * The RA's parts and what they share.  One loop serves sites, commands and the
 * CA child's answers, and judges; the ledger has a committer of its own.
 */
#ifndef WAYBILL_RA_RA_H
#define WAYBILL_RA_RA_H

#include "common/service/service.h"
#include "ra/answer.h"
#include "ra/ca.h"
#include "ra/judge.h"
#include "ra/lists.h"
#include "ra/ra_conf.h"

struct clerk;
struct crlmaker;

struct ra {
	struct ra_conf conf;
	struct service service;
	STACK_OF(X509) * issuers;  /* the issuing CA, then those above it */
	struct ca *ca;		   /* NULL: an upstream issues */
	struct upstream *upstream; /* NULL: our own CA does */
	struct trust *vendors;	   /* believed of devices */
	struct lists lists;
	struct profile plain; /* of requests that name none */
	X509 *root;	      /* of the domain */
	/* Of the next root, if there is one; each may be NULL. */
	X509 *new_root, *new_with_old, *old_with_new;
	struct buf crl; /* the newest list that we signed; empty: none */
	struct answerer answers;
	struct clerk *clerk;
	struct crlmaker *crlmaker;
};

/* main()'s steps, in this order. */
int ra_configure(struct ra *r, const char *path, struct err *e) WARN_UNUSED;
int ra_start_ca(
    struct ra *r, bool no_sandbox, struct err *e) WARN_UNUSED; /* forks */
int ra_load(struct ra *r, struct err *e) WARN_UNUSED;
int ra_open(struct ra *r, struct err *e) WARN_UNUSED;
int ra_run(struct ra *r, struct err *e) WARN_UNUSED;
void ra_close(struct ra *r);

static inline X509 *
ra_issuer(const struct ra *r)
{
	return sk_X509_value(r->issuers, 0);
}

#endif
