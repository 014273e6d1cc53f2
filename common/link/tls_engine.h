/*
 * OpenSSL as nng's TLS engine: TLS 1.3 only, mutual, and the peer's
 * certificate for each pipe.  With wire.c the only user of <nng/...>.
 */
#ifndef WAYBILL_LINK_TLS_ENGINE_H
#define WAYBILL_LINK_TLS_ENGINE_H

#include <stdatomic.h>
#include "common/pki/ossl.h"

#define TLS_ENGINE_NAME "waybill-openssl"

/* Registers the engine; call after the first socket was opened (nng registers
 * its own engine then).  ERR_LOCAL if nng then names another engine: its
 * silent fall-back to mbedTLS would lose the peer's identity. */
int tls_engine_register(struct err *e) WARN_UNUSED;

/* The certificate that the last `verified` question on this thread left, or
 * NULL; borrowed until the next.  Only wire.c's pipe callback asks. */
X509 *tls_engine_peer(void);

/* How much came by one connection; outlives it. */
struct tls_meter {
	_Atomic unsigned refs;
	_Atomic uint64_t received; /* octets of TLS */
};
/* Of the connection that tls_engine_peer names; owned, or NULL. */
struct tls_meter *tls_engine_meter(void);
void tls_meter_free(struct tls_meter *m);

#endif
