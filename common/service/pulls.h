/*
 * Batches on their way out: PULLs answered at once, or held until one appears
 * or their time is over.  STORED and ANSWERS are written here alone.
 */
#ifndef WAYBILL_SERVICE_PULLS_H
#define WAYBILL_SERVICE_PULLS_H

#include "common/link/frame.h"
#include "common/service/service.h"

struct pulls *pulls_new(struct service *s);
/* Answers all that are held, empty. */
void pulls_free(struct pulls *p);

/* Takes over the request; f is a PULL of the pipe's own site. */
void pulls_add(struct pulls *p, struct wire_req *req, const struct frame *f);
/* A batch was made for this site. */
void pulls_wake(struct pulls *p, const char *site);
size_t pulls_held(const struct pulls *p);

/* Ends a PUT with the batch that its commit made. */
void pulls_reply_stored(
    struct wire_req *req, uint64_t tag, const struct ledger_batch *b);

#endif
