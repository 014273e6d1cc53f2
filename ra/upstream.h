/*
 * The CMP CA or RA that issues in place of a CA of our own (`ca.kind: cmp`),
 * asked over HTTP(S) (RFC 9811).  Here a question is sent, its answer believed
 * or not, "waiting" absorbed by polling with our own credential (RFC 9483 4.4),
 * the certificate confirmed.  What is certain not to have been received is sent
 * again; what may have been is not, unless the configuration says that the
 * upstream does nothing twice.  No store: who asks has written down what.  On
 * the loop.
 */
#ifndef WAYBILL_RA_UPSTREAM_H
#define WAYBILL_RA_UPSTREAM_H

#include "common/pki/cmp.h"
#include "common/sys/conf.h"
#include "common/sys/loop.h"

struct upstream;
struct upstream_ask; /* one question until its end */

enum upstream_forward { UPSTREAM_NESTED, UPSTREAM_RAW };
/*
 * Who confirms to an upstream that does not grant implicit confirmation.  We
 * ourselves, as soon as the certificate is here: an upstream waits for minutes,
 * and the device's word may be on a stick for weeks, after its registrar told
 * the device that all is well; what was given up meanwhile would be revoked
 * behind its back.  Or the device: its certConf is sent as a request is, and
 * fits since our answer carries the upstream's senderNonce.  This is for
 * upstreams that take it from nobody else, and sites with a steady link.
 */
enum upstream_confirm { UPSTREAM_OWN, UPSTREAM_RELAY };

/* ra.yaml, ca.upstream.  Times in milliseconds. */
struct upstream_conf {
	char *url, *key, *certificate, *anchor, *tls_anchor, *server_name;
	int forward, confirm;
	bool idempotent;
	uint64_t timeout, retry_min, retry_max, poll_max;
};
extern const struct conf_item upstream_conf_table[];

/* Loads the credential and the anchors.  c and issuers, of which the first
 * signs what is issued, are borrowed.  ERR_CONF. */
int upstream_open(struct loop *l, const struct upstream_conf *c,
    const STACK_OF(X509) * issuers, struct upstream **ret,
    struct err *e) WARN_UNUSED;
/* Before loop_free; what is under way is dropped without a word. */
void upstream_free(struct upstream *u);

/* The octets that are sent for m: its own, or nested by us. */
int upstream_wrap(const struct upstream *u, const struct cmp_msg *m,
    struct buf *ret, struct err *e) WARN_UNUSED;
/* What may have been received can be sent again. */
bool upstream_repeats(const struct upstream *u);
bool upstream_relays_confirm(const struct upstream *u);

struct upstream_question {
	const char *name; /* for logs; copied */
	/* ir, cr, kur, p10cr, rr or certConf; borrowed until the end */
	const struct cmp_msg *request;
	struct bytes octets; /* of upstream_wrap; borrowed until the end */
	/* The last progress that was written down; empty: none, and the request
	 * is sent.  Else the next message is: whether it was sent before nobody
	 * knows, and it asks for nothing new. */
	struct bytes progress;
};

enum upstream_end {
	UPSTREAM_DONE,	  /* issued, revoked, confirmed */
	UPSTREAM_REFUSED, /* by its signed answer */
	UPSTREAM_UNKNOWN  /* it may have been received, and nobody can tell what
			     became of it */
};
/* Borrowed while it is told. */
struct upstream_answer {
	enum upstream_end is;
	X509 *cert;    /* NULL: none was asked for */
	bool implicit; /* it needs no certConf */
	bool modified; /* it says that it is not what was asked for */
	struct bytes sender_nonce; /* of the message that had the certificate */
	bool in_body;		   /* refused in ip, cp, kup, rp */
	const struct err *why;	   /* refused (with failInfo), unknown */
};
struct upstream_told {
	/* Once, from the loop, never from upstream_ask; the ask is gone. */
	void (*end)(void *arg, const struct upstream_answer *a);
	/* It said "waiting": that may take days.  Once at most, and not after a
	 * progress was given. */
	void (*waits)(void *arg);
	/* What a restart will need is to be written down; upstream_go_on then.
	 * Nothing is sent or told meanwhile.  Borrowed.  NULL: nothing is. */
	void (*progress)(void *arg, struct bytes progress);
};

/* ERR_INPUT if the request asks for nothing that can be told apart, or the
 * progress cannot be read. */
int upstream_ask(struct upstream *u, const struct upstream_question *q,
    const struct upstream_told *told, void *arg, struct upstream_ask **ret,
    struct err *e) WARN_UNUSED;
void upstream_go_on(struct upstream_ask *a);
/* Nothing is told any more. */
void upstream_cancel(struct upstream_ask *a);

#endif
