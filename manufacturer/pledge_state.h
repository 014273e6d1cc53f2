/* What a device remembers, one file each in its state folder; every write is
 * atomic and durable.  Which files exist says how far it has come. */
#ifndef WAYBILL_MANUFACTURER_PLEDGE_STATE_H
#define WAYBILL_MANUFACTURER_PLEDGE_STATE_H

#include <stdbool.h>
#include "common/base/buf.h"
#include "common/base/err.h"

enum pledge_file {
	PLEDGE_VOUCHER_REQUEST, /* sent again as it is */
	PLEDGE_VOUCHER,		/* what came, accepted */
	PLEDGE_VOUCHER_STATUS,	/* what was told of it, and taken */
	PLEDGE_KEY,		/* the new private key, PEM */
	PLEDGE_REQUEST,		/* ir or p10cr: sent again as it is */
	PLEDGE_LAST,		/* the registrar's last waiting or pollRep */
	PLEDGE_FINAL,		/* its final response, verified */
	PLEDGE_CERTCONF,	/* our certConf: sent again as it is */
	PLEDGE_FILE__MAX
};

/* 1 read, 0 absent, -1. */
int pledge_state_read(const char *dir, enum pledge_file f, struct buf *ret,
    struct err *e) WARN_UNUSED;
int pledge_state_write(const char *dir, enum pledge_file f, struct bytes data,
    struct err *e) WARN_UNUSED;
/* All of it: the device has joined, or was refused. */
void pledge_state_clear(const char *dir);
/* What belongs to CMP: a new start with the voucher in hand. */
void pledge_state_clear_enrolment(const char *dir);

#endif
