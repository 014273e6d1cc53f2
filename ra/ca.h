/*
 * The CA's key lives in a child process that does nothing but sign what the RA
 * hands it: one socket pair, {intent id, TBS} in, signature out.  The child is
 * forked before anything else exists, so that it shares no store, no wire and
 * no secret with us.  Once it has the key it may read, write, compute and end.
 * Its death is the RA's.
 */
#ifndef WAYBILL_RA_CA_H
#define WAYBILL_RA_CA_H

#include "common/pki/ossl.h"
#include "common/sys/loop.h"
#include "common/sys/sandbox.h"

struct ca;

/*
 * Forks the child, which reads the key, compares it with the certificate and
 * enters its sandbox, unless told not to.  Waits for its word (a few
 * milliseconds).  ERR_CONF or what reading the key gave.  Only while this
 * process has one thread.
 */
int ca_start(const char *key_path, X509 *issuer, bool no_sandbox,
    struct ca **ret, struct err *e) WARN_UNUSED;
/* Lets the child go (it ends when our end is closed) and waits for it. */
void ca_stop(struct ca *c);
/* What the child needs once it has the key. */
extern const struct sandbox ca_sandbox;
AUTO_DEFINE(ca, struct ca, ca_stop);

/* on_signed(arg, id, sig): the answer to ca_sign, in order; on_death(arg): the
 * child has gone or spoke out of turn.  Both on the loop. */
int ca_attach(struct ca *c, struct loop *l,
    void (*on_signed)(void *arg, uint64_t id, struct bytes sig),
    void (*on_death)(void *arg), void *arg, struct err *e) WARN_UNUSED;

#define CA_TBS_MAX (16 * 1024)
/* Asks; never blocks.  ERR_INPUT over CA_TBS_MAX, ERR_LOCAL if the child does
 * not take it. */
int ca_sign(
    struct ca *c, uint64_t id, struct bytes tbs, struct err *e) WARN_UNUSED;

#define CA_LIST_MAX (8 * 1024 * 1024)
/* The same for what is longer, in parts; waits while the child reads, which is
 * all it does (milliseconds). */
int ca_sign_list(
    struct ca *c, uint64_t id, struct bytes tbs, struct err *e) WARN_UNUSED;

#endif
