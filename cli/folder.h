/*
 * A folder that `init` fills: keys and certificates, made once and never
 * overwritten, settings remembered between its two runs.
 */
#ifndef WAYBILL_CLI_FOLDER_H
#define WAYBILL_CLI_FOLDER_H

#include <stdbool.h>
#include "cli/cli.h"
#include "common/base/json.h"
#include "common/pki/ossl.h"

struct folder {
	char *dir;  /* absolute */
	bool quiet; /* tells nothing on stdout */
};

/* Makes the folder (0700) if need be. */
int folder_open(
    struct folder *f, const char *path, bool quiet, struct err *e) WARN_UNUSED;
void folder_close(struct folder *f);
/* One line, indented, unless quiet. */
void folder_say(const struct folder *f, const char *fmt, ...) PRINTF(2, 3);

/* malloc'd DIR/NAMESUFFIX. */
char *folder_path(const struct folder *f, const char *name, const char *suffix);
bool folder_has(const struct folder *f, const char *name, const char *suffix);
/* Writes the file, whatever was there, and tells. */
int folder_put(const struct folder *f, const char *name, const char *suffix,
    mode_t mode, struct bytes data, struct err *e) WARN_UNUSED;
/* The same, but keeps what is there. */
int folder_put_new(const struct folder *f, const char *name, const char *suffix,
    mode_t mode, struct bytes data, struct err *e) WARN_UNUSED;

/* NAME.key: the one that is there, or a fresh one of this kind (ossl_new_key;
 * NULL: P-256). */
EVP_PKEY *folder_key(const struct folder *f, const char *name, const char *kind,
    struct err *e) WARN_UNUSED;
/* NAME.crt's first certificate, or NULL. */
X509 *folder_cert(
    const struct folder *f, const char *name, struct err *e) WARN_UNUSED;
/* NAME.key with 32 random octets for a store. */
int folder_seal(
    const struct folder *f, const char *name, struct err *e) WARN_UNUSED;
/* Copies the certificates of "NAME=FILE" to vendors/NAMESUFFIX; option is for
 * messages. */
int folder_vendor(const struct folder *f, const char *option,
    const char *vendor, const char *suffix, struct err *e) WARN_UNUSED;

/* What is to be remembered between runs: init.json. */
int folder_remember(
    const struct folder *f, const json_t *settings, struct err *e) WARN_UNUSED;
json_t *folder_recall(const struct folder *f, struct err *e) WARN_UNUSED;

/* A Unix socket's name has a limit; ERR_USAGE if DIR/NAME is over it. */
int folder_check_socket(
    const struct folder *f, const char *name, struct err *e) WARN_UNUSED;

/* Splits "NAME=VALUE" in place; ERR_USAGE.  option is for messages. */
int vendor_split(const char *option, char *text, const char **ret_value,
    struct err *e) WARN_UNUSED;

/* SHA-256 in groups of four, to be read aloud; ret of FINGERPRINT_LEN. */
#define FINGERPRINT_LEN 80
char *fingerprint_format(char ret[FINGERPRINT_LEN], struct bytes data);
char *fingerprint_cert(char ret[FINGERPRINT_LEN], X509 *x);

#endif
