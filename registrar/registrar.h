/*
 * The registrar's parts and what they share.  One thread per event base for
 * pledges; the first base also serves the forwarder and commands; the outbox
 * has a committer of its own.  Everything here but the outbox and `contact` is
 * read-only once the bases run.
 */
#ifndef WAYBILL_REGISTRAR_REGISTRAR_H
#define WAYBILL_REGISTRAR_REGISTRAR_H

#include <stdatomic.h>
#include "common/pki/trust.h"
#include "common/queue/outbox.h"
#include "common/sys/https.h"
#include "registrar/contact.h"
#include "registrar/finals.h"
#include "registrar/reg_conf.h"

#define REG_BASES_MAX  64
#define REG_LISTEN_MAX 8

struct front;
struct carry;
struct caps;
struct sweep;
struct reference;
struct revocation;

/* A service as the registrar knows it. */
struct service {
	const char *name;
	X509 *cert;
	unsigned kinds; /* bit (1 << entry_kind) */
	struct contact contact;
};

/* What is only counted; shown as metrics by the control socket. */
struct metrics {
	atomic_ullong accepted, refused, vouchers_issued, vouchers_withheld;
	atomic_ullong voucher_status_failed, enrol_status_failed;
	atomic_ullong connections_over, requests_over; /* a device's share */
};

struct registrar {
	struct reg_conf conf;
	struct signer *signer;
	struct trust *vendors;	/* believed of devices */
	struct trust *vouchers; /* believed of vouchers; named by vendor */
	struct trust *domain; /* believed of services and certificates issued */
	STACK_OF(X509) * lras;	    /* whose nested messages are opened */
	struct denylist *denied;    /* NULL: none */
	struct revocation *revoked; /* what makers revoked */
	struct service *services;
	size_t n_services;
	struct outbox *outbox;
	struct reference *reference;
	struct caps *caps;
	atomic_uint connections; /* of pledges, on all bases */
	size_t n_bases;
	struct loop *loops[REG_BASES_MAX];
	struct front *fronts[REG_BASES_MAX];
	struct carry *carry;
	struct sweep *sweep;
	struct finals finals;
	struct https *control;
	uint64_t started;      /* monotonic milliseconds */
	struct contact nobody; /* of kinds that no service answers */
	struct metrics metrics;
};

/* main()'s steps. */
int registrar_configure(
    struct registrar *r, const char *path, struct err *e) WARN_UNUSED;
int registrar_open(struct registrar *r, struct err *e) WARN_UNUSED;
int registrar_run(struct registrar *r, struct err *e) WARN_UNUSED;
void registrar_close(struct registrar *r);

/* The service that answers this kind, or NULL. */
struct service *registrar_service(
    const struct registrar *r, enum entry_kind kind);
/* Whole seconds until a device shall ask again for what this kind's service
 * owes: contact_wait of its link; soon and late in milliseconds. */
unsigned registrar_again(const struct registrar *r, enum entry_kind kind,
    uint64_t soon, uint64_t late);
/* The same for what cannot be taken now (503). */
unsigned registrar_unavailable(const struct registrar *r, enum entry_kind kind);
/* There is an answer, and nothing since says that it must not be told. */
bool registrar_deliverable(const struct outbox_entry *en);

#endif
