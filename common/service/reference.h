/*
 * Reference data: what sites need to know while no link is up, each piece under
 * a name and signed with its version (schemas/link.cddl, DATA).  What there is
 * stands in a piece of its own, "index", so that a forwarder can keep nothing
 * from a site but news, and that only until the last word grows stale.
 *
 * Names in use: ca-certs, root-update, template, template/PROFILE (the DER value
 * of the genp that answers for it), crl (a CertificateList), deny (the text of a
 * deny list).
 */
#ifndef WAYBILL_SERVICE_REFERENCE_H
#define WAYBILL_SERVICE_REFERENCE_H

#include "common/link/frame.h"
#include "common/service/service.h"

#define REFERENCE_INDEX	    "index"
#define REFERENCE_NAMES_MAX LIMIT_REFERENCE_NAMES
/* Seconds for which our word is good if nobody said for how long; it is given
 * anew when half of it has passed. */
#define REFERENCE_TERM	    (7 * 86400)

struct reference;

/* After the ledger and the loop were opened. */
struct reference *reference_new(struct service *s);
/* After the ledger was closed. */
void reference_free(struct reference *r);

/*
 * From now on, or rather from the commit that follows, sites are given these
 * octets (1 to FRAME_DATA_MAX, copied).  until: seconds since 1970 after which
 * they are stale; 0: REFERENCE_TERM from now, renewed without a call.  The same
 * octets with the same until keep their version, also over a restart; else it
 * grows, to the time in seconds at least, so that it does even for who was put
 * back to an older ledger.  ERR_INPUT: no name, no octets, too many of either;
 * ERR_LOCAL.
 */
int reference_publish(struct service *s, const char *name, struct bytes octets,
    uint64_t until, struct err *e) WARN_UNUSED;
/* Sites give it up at their next look.  A name that is not there is fine. */
void reference_withdraw(struct service *s, const char *name);

/* Appends the DATA that answers an ASK: the part, or that there is nothing
 * newer.  A part that it has not: part 0, whose manifest tells why. */
void reference_answer(
    struct reference *r, const struct frame *ask, struct buf *out);

/* For /v1/status: an array of what is published. */
json_t *reference_json(const struct reference *r);

#endif
