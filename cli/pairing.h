/*
 * What comes back to a site from the RA's people: its certificates, and whom it
 * shall believe.  Read by strangers' machines: strict, with limits.  Its trust
 * comes from people who compare fingerprints.
 */
#ifndef WAYBILL_CLI_PAIRING_H
#define WAYBILL_CLI_PAIRING_H

#include <stdbool.h>
#include "common/pki/ossl.h"

#define PAIRING_SERVICES_MAX 8

enum pairing_cert {
	PAIRING_REGISTRAR,
	PAIRING_BOX,
	PAIRING_LINK,
	PAIRING_ROOT,
	PAIRING_CA,
	PAIRING_LINK_CA,
	PAIRING_CERT__MAX
};

/* What a service answers; the names are those of registrar.yaml. */
enum pairing_kind { PAIRING_CMP, PAIRING_VOUCHER, PAIRING_KIND__MAX };

extern const char *const pairing_kind_names[PAIRING_KIND__MAX];

struct pairing_service {
	char name[33];
	char address[256]; /* where the forwarder dials */
	bool kinds[PAIRING_KIND__MAX];
	X509 *cert, *box;
};

struct pairing {
	char site[33];
	struct pairing_service services[PAIRING_SERVICES_MAX];
	size_t n_services;
	X509 *cert[PAIRING_CERT__MAX];
};

void pairing_done(struct pairing *p);
#define AUTO_PAIRING __attribute__((cleanup(pairing_done)))

/* Appends the file's text. */
void pairing_format(struct buf *out, const struct pairing *p);
/* Reads a file of at most EXCHANGE_FILE_MAX octets and proves that it agrees
 * with itself: each certificate is signed by its issuer in the file and names
 * the site or its service; no two services share a name or a kind, and one of
 * them answers CMP.  ret must be zeroed. */
int pairing_parse(
    struct bytes text, struct pairing *ret, struct err *e) WARN_UNUSED;

/* The service that answers this kind, or NULL. */
const struct pairing_service *pairing_find(
    const struct pairing *p, enum pairing_kind kind);

/* "tls+tcp://host:port" or "ipc:///path".  ERR_USAGE. */
int address_check(const char *url, struct err *e) WARN_UNUSED;

#endif
