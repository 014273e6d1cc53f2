/*
 * The reference device: learns its domain by a voucher (RFC 8995) or knows it
 * already, joins by CMP through a proxy (RFC 9733, RFC 9483) and keeps what it
 * must remember in a folder, so that it can lose its power at any moment:
 * between two polls it goes on polling, before the first answer it sends the
 * same octets again.
 */
#ifndef WAYBILL_MANUFACTURER_PLEDGE_H
#define WAYBILL_MANUFACTURER_PLEDGE_H

#include <stdbool.h>
#include "common/pki/cmp.h"
#include "common/pki/trust.h"

struct pledge_opts {
	const char *proxy;		/* host:port */
	const char *cert, *key, *chain; /* IDevID; chain may be NULL */
	const char *trust;		/* domain anchors: CMP only, or NULL */
	const char *vendor_ca;		/* else who signs vouchers: all of it */
	const char *state, *out;	/* folder; prefix of the results */
	const char *profile;		/* certProfile; NULL: none */
	const char *subject;		/* CN asked for; NULL: the serial */
	enum cmp_body request;		/* CMP_IR or CMP_P10CR */
	bool explicit_confirm;
	bool json;
	unsigned timeout; /* seconds in all */
};

/* Both run to an end; what happens is said on stdout, one line each.
 * ERR_WAITING when the time is up while the registrar says "waiting",
 * ERR_POLICY when it refuses, ERR_PEER or ERR_RETRY when nobody answers,
 * ERR_TRUST when an answer is not to be believed. */

/* The voucher alone, with vendor_ca: PREFIX.voucher.vcj and PREFIX.pin.pem.
 * The folder keeps it; pledge_enrol goes on from there. */
int pledge_learn(const struct pledge_opts *o, struct err *e) WARN_UNUSED;
int pledge_enrol(const struct pledge_opts *o, struct err *e) WARN_UNUSED;

#endif
