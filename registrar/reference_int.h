/* What reference.c (what there is) and reference_ask.c (how it comes) share. */
#ifndef WAYBILL_REGISTRAR_REFERENCE_INT_H
#define WAYBILL_REGISTRAR_REFERENCE_INT_H

#include "common/link/frame.h"
#include "registrar/reference.h"

#define REFERENCE_INDEX "index"
#define REFERENCE_DENY	"deny"
#define REFERENCE_CRL	"crl"

/* Verified: signed by its service, and whole. */
struct piece {
	struct piece *next;
	struct frame_manifest m;
	struct buf octets;
	struct denylist *denied; /* what a deny list says; NULL: it is none */
	struct crls *revoked;	 /* what a CRL says; NULL: the same, or not of
				  * an authority of the domain that we know */
	bool told;		 /* that it is stale */
};
void piece_free(struct piece *p);
AUTO_DEFINE(piece, struct piece, piece_free);

/* The service's word on this name: ERR_TRUST, ERR_INPUT. */
int piece_manifest(const struct service *s, const char *name,
    struct bytes manifest, struct bytes sig, struct frame_manifest *ret,
    struct err *e) WARN_UNUSED;
/* Takes the octets if they have the manifest's digest and can be read. */
struct piece *piece_new(const struct registrar *r,
    const struct frame_manifest *m, struct buf *octets,
    struct err *e) WARN_UNUSED;

/* On the loop of carry alone, whose list nobody else changes. */
const struct piece *reference_find(
    const struct reference *r, const char *service, const char *name);
/* After this one (NULL: the first) of a service. */
const struct piece *reference_next(
    const struct reference *r, const struct piece *after, const char *service);
/* Octets of all but this one. */
size_t reference_total(
    const struct reference *r, const char *service, const char *name);
/* Takes p in place of what there is of its name. */
void reference_switch(struct reference *r, struct piece *p);
void reference_drop(struct reference *r, const char *service, const char *name);

#endif
