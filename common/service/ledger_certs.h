/*
 * The certificates in a ledger: found by serial number, counted by who holds
 * them, revoked.  What is revoked stays so; its serial number is never used
 * again.
 */
#ifndef WAYBILL_SERVICE_LEDGER_CERTS_H
#define WAYBILL_SERVICE_LEDGER_CERTS_H

#include "common/service/ledger.h"

/* CRLReason (RFC 5280 5.3.1). */
#define LEDGER_SUPERSEDED 4

/* The case for which a certificate of this serial number (hexadecimal, as
 * cert_serial_hex) was meant: 1 found, 0 absent, -1. */
int ledger_find_serial(struct ledger *l, const char *serial, uint64_t *ret,
    struct err *e) WARN_UNUSED;

struct ledger_revoked {
	uint64_t id; /* of the case */
	char serial[LEDGER_SERIAL_MAX];
	uint64_t when;	 /* seconds since 1970 */
	uint64_t until;	 /* end of the certificate; the same */
	unsigned reason; /* CRLReason */
};
/* Whether the certificate of this case is revoked: 1, 0, -1. */
int ledger_revoked(struct ledger *l, uint64_t id, struct ledger_revoked *ret,
    struct err *e) WARN_UNUSED;
/* All, in the order of cases, until fn returns non-zero; fn reads nothing. */
int ledger_list_revoked(struct ledger *l,
    int (*fn)(const struct ledger_revoked *r, void *arg), void *arg,
    struct err *e) WARN_UNUSED;

/* Whether this case's certificate was issued, and neither rejected, given up
 * nor revoked: 1, 0, -1.  Its dates are not looked at. */
int ledger_stands(struct ledger *l, uint64_t id, struct err *e) WARN_UNUSED;

/* By somebody's word, not by a case of its own; audited ("revoked"). */
struct ledger_revoke {
	uint64_t id;	 /* of the case that has the certificate */
	unsigned reason; /* CRLReason */
	const char *who, *why;
	/* out */
	enum ledger_revoking {
		LEDGER_REVOKED,
		LEDGER_REVOKED_BEFORE,
		LEDGER_NO_CERTIFICATE
	} is;
	char serial[LEDGER_SERIAL_MAX];
	struct ledger *ledger;
	void *user;
};
void ledger_revoke(struct ledger *l, struct ledger_revoke *x, ledger_done done,
    struct post to);
int ledger_revoke_wait(
    struct ledger *l, struct ledger_revoke *x, struct err *e) WARN_UNUSED;

/* One more than this name had last, from 1. */
struct ledger_number {
	const char *name;
	/* out */
	uint64_t number;
	struct ledger *ledger;
	void *user;
};
void ledger_number(struct ledger *l, struct ledger_number *x, ledger_done done,
    struct post to);
int ledger_number_wait(
    struct ledger *l, struct ledger_number *x, struct err *e) WARN_UNUSED;

#endif
