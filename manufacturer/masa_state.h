/*
 * What a MASA remembers, in a folder: for each device its audit log (a JSON
 * file by serial number), and for each voucher request the voucher made for
 * it.  Each change holds the folder's lock and replaces one file, durably:
 * more than one process may share the folder.  Blocks on the disk.
 */
#ifndef WAYBILL_MASA_STATE_H
#define WAYBILL_MASA_STATE_H

#include "manufacturer/masa_judge.h"

/* Older events make place for newer ones, counted as RFC 8995 5.8.1
 * "arbitrary". */
#define MASA_EVENTS_MAX 100

struct masa_state;

/* Makes the folder.  sales: a CSV file of lines "serial,domainID" (or "*" for
 * the first domain that asks), '#' comments; NULL: any device may go to any
 * domain, and is only logged. */
struct masa_state *masa_state_open(
    const char *dir, const char *sales, struct err *e) WARN_UNUSED;
void masa_state_free(struct masa_state *s);
AUTO_DEFINE(masa_state, struct masa_state, masa_state_free);

/*
 * Writes down that the device goes to the request's domain: an event of this
 * date (RFC 3339), once per request.  0, or the HTTP status of RFC 8995 5.6
 * (404 not sold, 403 sold to somebody else) or 500, with the reason in e.
 */
int masa_state_claim(struct masa_state *s, const struct masa_request *r,
    const char *date, struct err *e) WARN_UNUSED;

/* The audit log as JSON (RFC 8995 5.8.1), oldest event first, appended; 404 if
 * the domain never had the device.  `foreign` puts an event of another domain
 * in front. */
int masa_state_log(struct masa_state *s, const struct masa_request *r,
    bool foreign, struct buf *out, struct err *e) WARN_UNUSED;

/* The voucher kept for this request and kind of fault (""); `ret` stays empty
 * if there is none. */
int masa_state_voucher(struct masa_state *s, const struct digest *request,
    const char *fault, struct buf *ret, struct err *e) WARN_UNUSED;
int masa_state_keep(struct masa_state *s, const struct digest *request,
    const char *fault, struct bytes voucher, struct err *e) WARN_UNUSED;

#endif
