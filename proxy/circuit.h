/*
 * TCP circuits from pledges to the one registrar (RFC 8995 4.1): bytes both
 * ways, unexamined, with back-pressure and half-close passed on.  Caps stand
 * here because the registrar sees one source only: us.  Everything belongs to
 * the loop's thread.
 */
#ifndef WAYBILL_PROXY_CIRCUIT_H
#define WAYBILL_PROXY_CIRCUIT_H

#include <sys/socket.h>
#include "common/sys/loop.h"
#include "proxy/address.h"

struct circuit_conf {
	struct address registrar; /* nothing else is ever dialled */
	unsigned max_conns, max_per_source;
	/* Without an octet either way; in all; until the registrar accepts. */
	uint64_t idle_ms, total_ms, connect_ms;
};

struct circuits;

struct circuits *circuits_new(struct loop *l, const struct circuit_conf *c);
void circuits_free(struct circuits *cs); /* closes all */

/* Takes fd, a client's connection.  Over a cap it is closed at once, which is
 * logged at most once a second. */
void circuit_open(struct circuits *cs, int fd, const struct address *from);

#endif
