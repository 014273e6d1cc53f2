/*
 * The RA's parts and what they share.  One loop serves sites, commands and the
 * CA child's answers, and judges; the ledger has a committer of its own.
 */
#ifndef WAYBILL_RA_RA_H
#define WAYBILL_RA_RA_H

#include "common/link/wire.h"
#include "common/sys/https.h"
#include "ra/answer.h"
#include "ra/ca.h"
#include "ra/judge.h"
#include "ra/ledger.h"
#include "ra/ra_conf.h"
#include "ra/sites.h"

struct clerk;
struct pulls;

struct ra {
	struct ra_conf conf;
	STACK_OF(X509) * issuers; /* the issuing CA, then those above it */
	struct ca *ca;
	struct signer *signer;
	struct trust *vendors;	 /* believed of devices */
	struct trust *domain;	 /* believed of registrars */
	struct denylist *denied; /* NULL: none */
	struct answerer answers;
	struct sites *sites;
	struct ledger *ledger;
	struct loop *loop;
	struct clerk *clerk;
	struct pulls *pulls;
	struct wire_server *wire;
	struct https *control;
	uint64_t started; /* monotonic milliseconds */
	bool failed;	  /* the loop was stopped by trouble of ours */
};

/* main()'s steps, in this order. */
int ra_configure(struct ra *r, const char *path, struct err *e) WARN_UNUSED;
int ra_start_ca(struct ra *r, struct err *e) WARN_UNUSED; /* forks */
int ra_load(struct ra *r, struct err *e) WARN_UNUSED;
int ra_open(struct ra *r, struct err *e) WARN_UNUSED;
int ra_run(struct ra *r, struct err *e) WARN_UNUSED;
void ra_close(struct ra *r);

static inline X509 *
ra_issuer(const struct ra *r)
{
	return sk_X509_value(r->issuers, 0);
}

/* Trouble of ours with no way on: says it and ends the loop, so that main ends
 * with a failure and whoever supervises us starts anew from the ledger. */
void ra_give_up(struct ra *r, const char *event, const struct err *e);

#endif
