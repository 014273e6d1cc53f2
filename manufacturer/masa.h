/*
 * The service of a manufacturer (MASA, RFC 8995 5.5, 5.6, 5.8): vouchers and
 * audit logs over HTTPS, on one loop.  For laboratories, tests and the demo.
 */
#ifndef WAYBILL_MASA_H
#define WAYBILL_MASA_H

#include "common/sys/loop.h"
#include "manufacturer/masa_voucher.h"

/* Borrowed for the service's life. */
struct masa_opts {
	const char *listen, *vendor, *state;
	const char *tls_cert, *tls_key; /* NULL: the vendor's folder's */
	const char *sales;		/* CSV; NULL: trust on first use */
	const char *registrar_ca;	/* PEM; NULL: the asking domain's */
	const char *keep; /* folder for requests as they came; NULL: none */
	uint64_t nonceless_life; /* seconds */
	unsigned slow;		 /* seconds before each answer */
	enum masa_fault fault;
};

struct masa;

/* Loads keys, opens the state, listens (but for MASA_DOWN), and logs
 * masa.ready with the port.  The loop must not run yet. */
struct masa *masa_open(
    struct loop *l, const struct masa_opts *o, struct err *e) WARN_UNUSED;
/* After the loop has ended, before loop_free; what is still owed is dropped. */
void masa_close(struct masa *m);
AUTO_DEFINE(masa, struct masa, masa_close);

#endif
