/* Private to call*.c: one CMP request while it lives. */
#ifndef WAYBILL_REGISTRAR_CALL_INT_H
#define WAYBILL_REGISTRAR_CALL_INT_H

#include "common/pki/cmp.h"
#include "registrar/admit.h"
#include "registrar/call.h"
#include "registrar/hold.h"

struct call {
	struct front *f;
	struct registrar *r;
	struct https_req *q;
	char
	    profile[CMP_PROFILE_MAX]; /* of the path, then the one that holds */
	struct cmp_msg *m;
	struct admit admit;
	struct digest spki;
	/* Of the transaction's step 0; of step 1 once that is what we answer
	 * for: nonces are bound to it. */
	struct digest row;
	struct outbox_entry entry;
	struct cmp_request want; /* ir, cr, kur, p10cr */
	struct buf wrapped;	 /* nested, while it is being stored */
	struct outbox_accept accept;
	struct hold hold;
	void (*held_done)(struct call *c); /* answer there, or hold over */
	char reject[200]; /* certConf: why the device said no */
	bool relayed;	  /* certConf: the final was the first response */
};

/* How a final went out, kept as the carrier of its delivery: decides who owes
 * the pkiConf (RFC 9483 4.1.1: same credentials as the first response, which
 * was our waiting if it went out late). */
#define CALL_RELAYED	  "relayed"
#define CALL_RELAYED_LATE "relayed after polling"
#define CALL_REPROTECTED  "re-protected"

/* ---- call_reply.c: each of these ends the call ---- */

/* What stood in `e`, as CMP error (RFC 9483 3.6.2: header, protection, type)
 * or, for a fault in the body of a request, as ip, cp, kup, rp (rejection). */
void call_error(struct call *c, const struct err *e);
void call_rejection(struct call *c, const struct err *e);
/* outbox_accept refused it: 503 with one plain line if it may be taken later
 * (full, over a quota, suspended, read-only: DECISIONS 13), else call_error. */
void call_not_stored(struct call *c, const struct err *e);
/* No PKIHeader could be read. */
void call_unreadable(struct call *c, const struct err *e);
void call_waiting(struct call *c);
void call_pollrep(struct call *c, long id);
/* A body of ours that ends the conversation. */
void call_answer(struct call *c, struct bytes body);
void call_pkiconf(struct call *c);
/* The stored answer of c->entry: relayed, or under our protection. */
void call_final(struct call *c);
/* The service's word on a certConf, which is c->entry: as it is if the final
 * was relayed, else under our protection. */
void call_confirmed(struct call *c);
/* c->entry ended here: the answer that was stored with its end, or one made
 * now. */
void call_ended(struct call *c);

/* ---- call.c ---- */

/* By its body: header, profile and admission, then who handles it. */
void call_dispatch(struct call *c);
/* A request whose body holds: stored, or found, held, and told what is known.
 * call_request: ir, cr and p10cr, whose body is looked at first. */
void call_enter(struct call *c);
void call_request(struct call *c);
/* admit_new said no. */
void call_revoked(struct call *c, struct err *e);

/* Waits for row up to the hold time, then done(c) with c->entry read anew
 * under that row; at once if no answer can come. */
void call_hold(
    struct call *c, const struct digest *row, void (*done)(struct call *c));

/* ---- call_confirm.c ---- */
void call_certconf(struct call *c);
/* The transaction's certConf, if there was one. */
bool call_confirm_find(struct call *c, struct outbox_entry *ret);
/* A poll for what the service says to it; c->entry is the certConf's. */
void call_confirm_poll(struct call *c, long id);

/* ---- call_renew.c, call_revoke.c: kur, rr ---- */
void call_renew(struct call *c);
void call_revoke(struct call *c);

/* ---- call_nested.c ---- */

/* The peer's TLS certificate is one of `cmp.lra`. */
bool call_from_lra(const struct call *c);
/* Unwraps, and dispatches what was inside. */
void call_nested(struct call *c);

/* ---- call_info.c: genm ---- */
void call_info(struct call *c);

void call_free(struct call *c);

#endif
