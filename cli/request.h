/* A site's request: its name and three CSRs, for the RA's people.  Its trust
 * comes from people who compare fingerprints. */
#ifndef WAYBILL_CLI_REQUEST_H
#define WAYBILL_CLI_REQUEST_H

#include "common/pki/ossl.h"

#define REQUEST_SAN_MAX 16

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
/* Reads a file of at most EXCHANGE_FILE_MAX octets; each CSR's signature and
 * key are checked, and that the three keys differ.  r must be zeroed. */
int request_parse(
    struct bytes text, struct request *ret, struct err *e) WARN_UNUSED;
/* What the CSR asks as subjectAltName, in issue.h's words: exactly one URI,
 * which is this site's, DNS names and addresses.  ERR_TRUST otherwise. */
int request_san(X509_REQ *csr, const char *site, struct buf *ret,
    struct err *e) WARN_UNUSED;

#endif
