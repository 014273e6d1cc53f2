/*
 * A CMP client for conformance tests: one transaction, each message good or
 * spoiled in named ways, and a judge of what comes back that shares nothing
 * with the registrar but the readers of common/pki.  It waits for anything
 * (RFC 9483 4.4), which Debian's openssl cannot.
 */
#ifndef WAYBILL_TESTS_CMP_CLIENT_H
#define WAYBILL_TESTS_CMP_CLIENT_H

#include "common/pki/cmp_msg.h"

#define CLIENT_WRONGS 8
#define CLIENT_SEEN   64 /* nonces of theirs that are remembered */

/* Which message of the transaction the wrongs are for. */
enum stage { STAGE_FIRST, STAGE_POLL, STAGE_CONFIRM, STAGE__MAX };

struct wrong {
	char field[32], value[64];
};

struct client {
	/* ---- as asked for; all borrowed from the command line */
	const char *host, *port, *path, *op;
	const char *method, *type;    /* of HTTP; NULL: the right ones */
	const char *profile;	      /* certProfile; NULL: none */
	const char *subject;	      /* commonName asked for; NULL: signer's */
	const char *before, *outcome; /* see client.c: --before, --then */
	/* What signs the messages, and what proves possession; NULL: as the
	 * registrar does. */
	const char *sign_alg, *pop_alg;
	bool implicit, keep_alive;
	int pvno;
	int reason;	       /* rr */
	int polls_max;	       /* then it goes; 0: never polls */
	const char *nonce_of;  /* the final's: either, first, last */
	struct signer *signer; /* of the messages; owned */
	struct signer *other;  /* another key and certificate; may be NULL */
	struct signer *tls;    /* NULL: shows nothing */
	EVP_PKEY *new_key;     /* asked for */
	X509 *old;	       /* kur, rr: which one; NULL: the signer's */
	X509 *root;	       /* the domain's */
	enum stage stage;
	struct wrong wrongs[CLIENT_WRONGS];
	size_t n_wrongs;

	/* ---- the transaction */
	enum stage now;
	uint8_t tid[CMP_TID_LEN], nonce[16], first_nonce[16];
	bool began;
	bool repeats; /* the same octets were sent, the same may come back */
	struct buf peer_nonce; /* their last senderNonce */
	struct digest seen[CLIENT_SEEN];
	size_t n_seen;
	struct buf sent;	 /* our last message */
	X509 *server;		 /* of the TLS connection */
	X509 *first_signer;	 /* of their first response */
	STACK_OF(X509) * extras; /* all that they sent */
	unsigned waits, polls;
	long poll_id;
	struct buf line; /* what is told in the end */
};

/* The value of a wrong of this message; NULL: it is as it should be. */
const char *wrong(const struct client *c, const char *field);
/* Whether the field has this wrong value. */
bool wrong_is(const struct client *c, const char *field, const char *value);
/* A wrong that is a number, else `right`. */
long wrong_long(const struct client *c, const char *field, long right);

/* ---- client_body.c ----------------------------------------------------- */

/* The body of `op`, spoiled as asked; ERR_USAGE if there is no such op. */
int body_of_op(const struct client *c, const char *op, struct buf *out,
    struct err *e) WARN_UNUSED;
void body_of_poll(const struct client *c, struct buf *out);
void body_of_confirm(const struct client *c, X509 *cert, struct buf *out);
/* What the answer to op must be, if it is no error. */
enum cmp_body op_response(const char *op);
/* The certReqId of op's responses: 0, or -1. */
long op_id(const char *op);
/* Appends a directoryName. */
void add_directory_name(const X509_NAME *name, struct buf *out);

/* ---- client_sign.c ----------------------------------------------------- */

/* Algorithms are named sha256, pss-sha256 and so on; NULL: the key's usual one.
 * ERR_USAGE if the key cannot.  The AlgorithmIdentifier; the BIT STRING over
 * tbs; the CSR in the body of a p10cr, signed anew. */
int algorithm_of(const char *name, EVP_PKEY *key, struct buf *out,
    struct err *e) WARN_UNUSED;
int sign_by(const char *name, EVP_PKEY *key, struct bytes tbs, struct buf *out,
    struct err *e) WARN_UNUSED;
int csr_sign_by(const char *name, EVP_PKEY *key, struct buf *body,
    struct err *e) WARN_UNUSED;

/* ---- client_make.c ----------------------------------------------------- */

/* The whole message around a body, into c->sent; draws the nonce. */
int message_make(
    struct client *c, struct bytes body, struct err *e) WARN_UNUSED;

/* ---- client_talk.c ----------------------------------------------------- */

struct http {
	int status;
	char type[64];
	struct buf body;
};
/* Sends c->sent on a connection of its own and reads one answer. */
int talk(struct client *c, struct http *ret, struct err *e) WARN_UNUSED;

/* ---- client_judge.c ---------------------------------------------------- */

/* RFC 9483 3.1 to 3.5 for a response to our last message: ERR_INPUT names what
 * is wrong with it. */
int judge_message(
    struct client *c, const struct cmp_msg *m, struct err *e) WARN_UNUSED;
/* "registrar" if it is by who serves TLS, else "ra". */
const char *judge_who(const struct client *c, X509 *signer);
/* Who signed a message that was judged. */
X509 *judge_signer(const struct client *c, const struct cmp_msg *m);
/* Of an accepted certificate. */
int judge_certificate(struct client *c, const struct cmp_msg *m,
    const struct cmp_response *r, struct err *e) WARN_UNUSED;
/* "badAlg badTime" appended, each with a space in front. */
void add_fail_names(uint32_t fail, struct buf *out);

#endif
