/* What the certificates of a domain look like (DESIGN 8a): one table each for
 * the RA's and a site's, one function that issues by its lines. */
#ifndef WAYBILL_CLI_PROFILE_H
#define WAYBILL_CLI_PROFILE_H

#include <stdbool.h>
#include "common/pki/ossl.h"

struct profile {
	const char *name;   /* of its files */
	const char *issuer; /* name of the issuer's files; NULL: itself */
	const char *title;  /* CA: its subject, with a tag of its key */
	bool ca;
	int pathlen;
	const char *key_usage, *ext_key_usage;
	bool hosts; /* the names and addresses it is reached by, as well */
	bool chain; /* its file goes on with the issuer's certificate */
	unsigned days;
};

/* The RA's, issuers first; its masa-client's; a site's.  Each ends with a line
 * without a name. */
extern const struct profile profiles_ra[];
extern const struct profile profiles_masa[];
extern const struct profile profiles_site[];

const struct profile *profile_find(
    const struct profile *table, const char *name);

/* Issues by the profile.  who is the subject's common name (not of a CA), san
 * its subjectAltName (NULL: none), issuer NULL for one that signs itself. */
X509 *profile_issue(const struct profile *p, const char *who, const char *san,
    EVP_PKEY *pubkey, X509 *issuer, EVP_PKEY *issuer_key,
    struct err *e) WARN_UNUSED;

/* Appends "URI:urn:waybill:KIND:NAME" and the hosts; each host is checked.
 * ERR_USAGE. */
int profile_san(struct buf *out, const char *kind, const char *name,
    const char *const *hosts, size_t n_hosts, struct err *e) WARN_UNUSED;

#endif
