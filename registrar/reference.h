/*
 * Reference data as the site knows it: what its services signed, verified when
 * it comes and when we start, switched on when it is whole, kept in the outbox.
 * A version lower than ours is refused.  What is older than its `until` is
 * stale: it is said so, and it still holds, since nothing better is known.
 */
#ifndef WAYBILL_REGISTRAR_REFERENCE_H
#define WAYBILL_REGISTRAR_REFERENCE_H

#include "common/base/json.h"
#include "common/pki/crl.h"
#include "registrar/registrar.h"

struct reference;
struct frame;
struct session;
struct session_ask;

#define REFERENCE_AGE_UNKNOWN UINT64_MAX /* no clock to be believed */

/* What the outbox holds is verified anew; what does not hold is left out, with
 * an alarm, and asked for again.  l: on which stale pieces are looked for. */
int reference_open(struct registrar *r, struct loop *l, struct reference **ret,
    struct err *e) WARN_UNUSED;
/* As front_stop and front_free. */
void reference_stop(struct reference *r);
void reference_free(struct reference *r);

/*
 * Any thread.  Appends the octets of this name to ret, of the first service
 * that has it; *ret_age (NULL is fine) becomes the seconds since it was made.
 * True if there is one.
 */
bool reference_get(const struct registrar *r, const char *name, struct buf *ret,
    uint64_t *ret_age);
/* Any thread.  As denylist_check, of our own deny list and of those that
 * services published. */
int reference_denied(
    const struct registrar *r, X509 *x, struct err *e) WARN_UNUSED;

/* Any thread.  What the domain's lists of revoked certificates say of x, as
 * crls_ask at the time of now; false: there are none. */
bool reference_revoked(const struct registrar *r, X509 *x, enum crl_word *ret,
    char *why, size_t size);

/* For status: an array of what there is; appends the metrics. */
json_t *reference_json(const struct registrar *r);
void reference_metrics(const struct registrar *r, struct buf *out);

/* ---- how it comes, on the loop of carry -------------------------------- */

/* One for each session (carry_int.h). */
struct session_ask *reference_ask_new(struct session *s);
void reference_ask_free(struct session_ask *a);
/* Both sides are sound: asks now, and every conf.reference from then on. */
void reference_ask_begin(struct session_ask *a);
void reference_ask_stop(struct session_ask *a);
/* Whether it answers what was asked here; it is used then, or refused with an
 * alarm. */
bool reference_ask_data(struct session_ask *a, const struct frame *f);
/* Whether that was asked here; it is asked again in a while. */
bool reference_ask_nack(struct session_ask *a, uint64_t tag);

#endif
