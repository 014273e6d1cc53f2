/*
 * Vouchers on hand: nonceless ones that were fetched or carried in before the
 * device comes (RFC 8995 5.5.1, 7.2), entries of kind voucher like any other.
 */
#ifndef WAYBILL_REGISTRAR_PREFETCH_H
#define WAYBILL_REGISTRAR_PREFETCH_H

#include "common/pki/voucher.h"
#include "registrar/admit.h"

/* Fact and value that mark such an entry. */
#define PREFETCH_FACT "prefetch"

/* Under which device a vendor's serial number is kept. */
struct digest prefetch_device(const char *vendor, const char *serial);

/*
 * True, the voucher appended to ret and its entry in ret_entry, if the
 * configuration lets a stored one be used and there is one for this device
 * that is good now.  The caller knows that the MASA is out of reach.
 */
bool prefetch_take(struct registrar *r, const struct admit *a,
    const struct vch_request *request, struct buf *ret,
    struct outbox_entry *ret_entry);

/* The entry of the voucher that was on hand, if it has been given to this
 * device: 1, 0 it has not, -1. */
int prefetch_given(const struct registrar *r, const char *vendor,
    const char *serial, struct outbox_entry *ret, struct err *e) WARN_UNUSED;

/*
 * What an entry is a prefetch of, and its voucher if it has one: 1 it is one
 * (ret_voucher may be empty), 0 it is not, -1.
 */
struct prefetched {
	char vendor[33];
	char serial[VCH_SERIAL_MAX];
	struct buf voucher;
	uint64_t expires; /* 0: none, or no voucher yet */
};
void prefetched_done(struct prefetched *p);
int prefetch_read(struct registrar *r, const struct outbox_entry *en,
    struct prefetched *ret, struct err *e) WARN_UNUSED;

/* Accepts a nonceless request for this device; done as outbox_accept's, the
 * struct belongs to prefetch.c.  voucher: octets that were carried in, or
 * empty to have it fetched. */
struct prefetch {
	struct registrar *r;
	struct loop *loop;
	char vendor[33];
	char serial[VCH_SERIAL_MAX];
	struct buf rvr, answer;
	struct facts facts;
	struct outbox_accept accept;
	void (*done)(struct prefetch *p, const struct err *e);
	void *user;
};
int prefetch_start(struct registrar *r, struct loop *l, const char *vendor,
    const char *serial, struct bytes voucher,
    void (*done)(struct prefetch *p, const struct err *e), void *user,
    struct err *e) WARN_UNUSED;

#endif
