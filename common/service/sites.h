/*
 * The registrars we know: one file NAME.pem a site, made by pairing, with its
 * registrar certificates, leaf first.  What is believed of a frame's content
 * rests on these; the certificate in a frame itself never does.
 */
#ifndef WAYBILL_SERVICE_SITES_H
#define WAYBILL_SERVICE_SITES_H

#include "common/base/digest.h"
#include "common/pki/trust.h"

struct sites;

/* dir and domain are borrowed for the life of ret. */
struct sites *sites_new(const char *dir, const struct trust *domain);
void sites_free(struct sites *s);
AUTO_DEFINE(sites, struct sites, sites_free);

/*
 * The certificate with this digest, if the site has it, it chains to the
 * domain, carries cmcRA and names this site.  Reads the file when the digest
 * is not known, at most once a second a site.  Borrowed until the next call;
 * NULL with ERR_TRUST or why the file cannot be read.
 */
X509 *sites_find(struct sites *s, const char *name, const struct digest *signer,
    struct err *e) WARN_UNUSED;
/* Forgets all, so that files are read again (SIGHUP, pairing). */
void sites_reload(struct sites *s);
/* How many NAME.pem there are. */
size_t sites_count(const struct sites *s);

#endif
