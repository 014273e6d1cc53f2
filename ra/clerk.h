/*
 * The life of a case, from stored to answered: verified, superseded or
 * refused, intended, signed by the CA child, answered.  On the loop, one case
 * at a time, oldest first; commits and the child's signatures happen meanwhile.
 * Whatever has no answer in the ledger is taken up again at start, once its site
 * has said HELLO and was found sound.
 */
#ifndef WAYBILL_RA_CLERK_H
#define WAYBILL_RA_CLERK_H

#include "ra/ra.h"

/* Cases verified ahead of the one to be issued, so that a device's newer
 * request ends its older one; and intents under way at a time. */
#define CLERK_AHEAD  64
#define CLERK_WINDOW 16
/* Those that an upstream lets wait count as neither, up to so many. */
#define CLERK_SLOW   1024

/* Attaches to the CA child and takes up the open cases of the ledger. */
int clerk_open(struct ra *r, struct clerk **ret, struct err *e) WARN_UNUSED;
void clerk_free(struct clerk *c);
/* There are cases that it has not seen. */
void clerk_wake(struct clerk *c);
/* There are cases among those it passed by. */
void clerk_look_again(struct clerk *c);
/* The site has become sound: its cases are taken up; or is it no longer: what is
 * not with ledger or CA child is left alone. */
void clerk_standing(struct clerk *c, const char *site);
/* Its site gave this case up. */
void clerk_withdrawn(struct clerk *c, uint64_t id);

#endif
