/* Vouchers as a MASA makes them (RFC 8995 5.6, RFC 8366), and the ways in
 * which a MASA of the tests is made to misbehave. */
#ifndef WAYBILL_MASA_VOUCHER_H
#define WAYBILL_MASA_VOUCHER_H

#include "manufacturer/masa_judge.h"

enum masa_fault {
	MASA_SOUND,
	MASA_DENY,	    /* no voucher for anybody: 403 */
	MASA_BROKEN,	    /* 500 to everything */
	MASA_WRONG_SERIAL,  /* the voucher is another device's */
	MASA_WRONG_PIN,	    /* it pins a domain that nobody knows */
	MASA_BAD_SIGNATURE, /* one bit of its signature is another */
	MASA_EXPIRED,	    /* it ended before it came */
	MASA_FOREIGN_ENTRY, /* the audit log has another domain's event */
	MASA_DOWN,	    /* nobody listens */
	MASA__MAX
};
/* As on the command line: "wrong-serial". */
const char *masa_fault_name(enum masa_fault f);

/* created-on is now; a nonceless voucher ends life seconds later. */
struct masa_voucher {
	const struct signer *signer;
	const struct masa_request *request;
	enum masa_fault fault;
	uint64_t now, life;
};

/* Appends the signed voucher. */
int masa_voucher_make(
    const struct masa_voucher *v, struct buf *out, struct err *e) WARN_UNUSED;

#endif
