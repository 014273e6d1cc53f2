/* The CAs of a folder that `init ra` made: what they certify. */
#ifndef WAYBILL_CLI_ISSUER_H
#define WAYBILL_CLI_ISSUER_H

#include "cli/folder.h"
#include "cli/profile.h"

/* Issues by a profile under the folder's CA that it names; own_key is for one
 * that names none. */
X509 *issuer_issue(const struct folder *f, const struct profile *p,
    const char *who, const char *san, EVP_PKEY *pubkey, EVP_PKEY *own_key,
    struct err *e) WARN_UNUSED;

#endif
