/*
 * The registrar's end of the carry socket: one connection a service, made by
 * the forwarder.  HELLO, PUT, PULL and GOT are spoken here; of what comes
 * back only signatures change anything (rule 10), the forwarder's own words
 * (LINK, SENT, NACK) move time alone.
 */
#ifndef WAYBILL_REGISTRAR_CARRY_H
#define WAYBILL_REGISTRAR_CARRY_H

#include "registrar/registrar.h"

struct carry;

int carry_open(struct registrar *r, struct loop *l, struct carry **ret,
    struct err *e) WARN_UNUSED;
/* The outbox was renewed (outbox_renew): on every connection all that is under
 * way ends, and HELLO tells the new epoch.  On the loop of carry_open. */
void carry_renewed(struct carry *c);
/* As front_stop and front_free. */
void carry_stop(struct carry *c);
void carry_free(struct carry *c);

#endif
