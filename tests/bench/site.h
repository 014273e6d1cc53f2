/*
 * A site to be measured: keys and files made by `waybill init` in a temporary
 * folder, a registrar started from them and, if wanted, an RA and a forwarder;
 * devices of one maker, and what they ask, made in this process.  The programs
 * are those of the build that this one belongs to.  They end with this process,
 * and the folder goes, also by exit().
 */
#ifndef WAYBILL_TESTS_SITE_H
#define WAYBILL_TESTS_SITE_H

#include <stdbool.h>
#include <sys/types.h>
#include "common/pki/cmp.h"

enum site_program { SITE_REGISTRAR, SITE_RA, SITE_FORWARDER, SITE__MAX };

/* Zeros: one thread, 256 MiB. */
struct site_want {
	unsigned threads;     /* event bases of the registrar */
	const char *map_size; /* of outbox and ledger, as "1GiB" */
	const char *more;     /* further lines of registrar.yaml, or NULL */
};

struct site {
	char dir[64];
	unsigned port;	       /* of the registrar, on 127.0.0.1 */
	unsigned ra_port;      /* of the RA's link */
	char *control;	       /* the registrar's socket */
	char *ra_control;      /* the RA's */
	pid_t pids[SITE__MAX]; /* 0: is not running */
	struct signer *maker;  /* signs IDevIDs; below the maker's root */
	X509 *registrar;       /* its certificate */
};

/* Makes the files; starts nobody.  All that follows ends the process with a
 * message if it fails, and waits for 20 s at most. */
void site_open(struct site *s, const struct site_want *w);
/* Ends who runs, and removes the folder. */
void site_close(struct site *s);

/* Returns when it serves: listens, or (the forwarder) has its link to the RA.
 * It believes its clock, unless WAYBILL_CLOCK of ours says something else. */
void site_start(struct site *s, enum site_program p);
/* By SIGTERM, and waits for it. */
void site_stop(struct site *s, enum site_program p);
/* Of the RA. */
pid_t site_ca_child(const struct site *s);
/* Entries of this state at the registrar, as "queued"; asks its control
 * socket, which costs it some 100 us of processor time. */
size_t site_entries(const struct site *s, const char *state);

/* n devices with a key (P-256) and an IDevID (serialNumber PREFIX-1 and on,
 * MASA URL, hardwareModuleName), each with its chain.  Owned. */
struct signer **site_devices(
    const struct site *s, const char *prefix, size_t n);
void site_devices_free(struct signer **devices, size_t n);

/* What a device asks, appended: a voucher request with a nonce of its own
 * (VCALL_TYPE); an ir for a key of its own; a pollReq after what the registrar
 * answered to it (application/pkixcmp). */
void site_ask_voucher(
    const struct site *s, const struct signer *device, struct buf *out);
void site_ask_cert(const struct signer *device, struct buf *out);
void site_ask_poll(
    const struct cmp_msg *last, const struct signer *device, struct buf *out);

/* The answer to an ir or pollReq of this transaction, looked at without its
 * protection being verified: what one client can afford.  False: not this. */
bool site_is_waiting(struct bytes answer, struct bytes transaction_id);
bool site_is_pollrep(struct bytes answer, struct bytes transaction_id);

#endif
