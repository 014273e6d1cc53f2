/*
 * The two files that change hands between a site and the RA's people: the
 * request (three CSRs) and the pairing (the certificates, and whom to
 * believe).  Both are JSON, both are read by strangers' machines: strict, with
 * limits.  Their trust comes from people who compare fingerprints.
 */
#ifndef WAYBILL_CLI_PAIRING_H
#define WAYBILL_CLI_PAIRING_H

#include "common/pki/ossl.h"

#define PAIRING_FILE_MAX ((size_t)64 * 1024)
#define PAIRING_SAN_MAX	 16

enum site_key { SITE_REGISTRAR, SITE_BOX, SITE_LINK, SITE_KEY__MAX };

extern const char *const site_key_names[SITE_KEY__MAX];

struct request {
	char site[33];
	X509_REQ *csr[SITE_KEY__MAX];
};

void request_done(struct request *r);
#define AUTO_REQUEST __attribute__((cleanup(request_done)))

/* Appends the file's text. */
void request_format(struct buf *out, const struct request *r);
/* Reads a file of at most PAIRING_FILE_MAX octets; each CSR's signature and key
 * are checked, and that the three keys differ.  r must be zeroed. */
int request_parse(
    struct bytes text, struct request *ret, struct err *e) WARN_UNUSED;
/* What the CSR asks as subjectAltName, in issue.h's words: exactly one URI,
 * which is this site's, DNS names and addresses.  ERR_TRUST otherwise. */
int request_san(X509_REQ *csr, const char *site, struct buf *ret,
    struct err *e) WARN_UNUSED;

enum pairing_cert {
	PAIRING_REGISTRAR,
	PAIRING_BOX,
	PAIRING_LINK,
	PAIRING_ROOT,
	PAIRING_CA,
	PAIRING_LINK_CA,
	PAIRING_SERVICE,
	PAIRING_SERVICE_BOX,
	PAIRING_CERT__MAX
};

struct pairing {
	char site[33], service[33];
	char address[256]; /* where the forwarder dials */
	X509 *cert[PAIRING_CERT__MAX];
};

void pairing_done(struct pairing *p);
#define AUTO_PAIRING __attribute__((cleanup(pairing_done)))

void pairing_format(struct buf *out, const struct pairing *p);
/* Reads the file and proves that it agrees with itself: each certificate is
 * signed by its issuer in the file and names the site or the service. */
int pairing_parse(
    struct bytes text, struct pairing *ret, struct err *e) WARN_UNUSED;

/* "tls+tcp://host:port" or "ipc:///path".  ERR_USAGE. */
int address_check(const char *url, struct err *e) WARN_UNUSED;

#endif
