/*
 * What the files that change hands between a site and the RA's people have in
 * common: a JSON object of texts with exactly the keys it must have, PEM blocks
 * with exactly the label they must have.  All refuse with ERR_INPUT.
 */
#ifndef WAYBILL_CLI_EXCHANGE_H
#define WAYBILL_CLI_EXCHANGE_H

#include "common/base/json.h"
#include "common/pki/ossl.h"

#define EXCHANGE_FILE_MAX ((size_t)64 * 1024)

/* The object of a file, of this "format" and n_keys keys in all: who asks for
 * all of them by name has seen that none is unknown. */
json_t *exchange_object(struct bytes text, const char *format, size_t n_keys,
    struct err *e) WARN_UNUSED;
/* The text under a key, at most max octets; borrowed. */
const char *exchange_text(
    const json_t *j, const char *key, size_t max, struct err *e) WARN_UNUSED;
/* The same, and it is a name. */
int exchange_name(
    const json_t *j, const char *key, char ret[33], struct err *e) WARN_UNUSED;
/* Appends the DER of the one PEM block with this label under a key. */
int exchange_pem(const json_t *j, const char *key, const char *label,
    struct buf *ret, struct err *e) WARN_UNUSED;
X509 *exchange_cert(
    const json_t *j, const char *key, struct err *e) WARN_UNUSED;

void exchange_set_text(json_t *j, const char *key, const char *value);
void exchange_set_cert(json_t *j, const char *key, X509 *x);

#endif
