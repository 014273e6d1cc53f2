/*
 * What the servers that are ceilings have alike: TLS as the registrar speaks it,
 * a client's certificate asked for and recorded, not verified; one answer to
 * whatever is asked.
 */
#ifndef WAYBILL_TESTS_CEILING_H
#define WAYBILL_TESTS_CEILING_H

#include <openssl/ssl.h>
#include "common/base/buf.h"

struct ceiling {
	SSL_CTX *ctx;
	int fd; /* listens on a port of 127.0.0.1 */
	const char *type, *body;
};

/* From the command line: KEY CERT TYPE BODY.  Tells the port on stdout, one
 * line; ends the process if something is wrong. */
void ceiling_open(struct ceiling *c, int argc, char **argv);
void ceiling_close(struct ceiling *c);

#endif
