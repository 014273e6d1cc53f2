/*
 * Inside of the calls of an enrolment, for enrol_calls*.c alone.
 *
 *  enrol_calls.c      which count for what; what is made once
 *  enrol_calls_tls.c  TLS, signatures
 *  enrol_calls_ask.c  what a device asks, and what becomes of it
 */
#ifndef WAYBILL_TESTS_ENROL_CALLS_INT_H
#define WAYBILL_TESTS_ENROL_CALLS_INT_H

#include <lmdb.h>
#include <openssl/cmp.h>
#include <openssl/cms.h>
#include <openssl/crmf.h>
#include <openssl/ssl.h>

#include "common/base/json.h"
#include "tests/bench/enrol_calls.h"

#define CALLS_HEADER 500 /* octets: what an entry's header comes to */

/* What one enrolment leaves between its calls. */
struct state {
	SSL *client, *server;
	CMS_ContentInfo *cms;
	BIO *content;
	json_t *request;
	uint8_t *der; /* the registrar's own voucher request */
	int der_len;
	OSSL_CMP_PKIHEADER *header;
	OSSL_CRMF_MSGS *asked;
	STACK_OF(X509) * extra;
	struct bytes protection; /* of the ir */
	struct buf part;	 /* what it is over */
};

struct enrol_calls {
	struct signer *registrar, *service, *ca;
	X509_STORE *makers;
	SSL_CTX *server, *client;
	struct buf header, header_sig; /* as a registrar signs them */
	MDB_env *env;
	MDB_dbi db;
	MDB_txn *txn; /* NULL: none is open */
	uint64_t id;
	double aside; /* us of what does not count */
	struct state now;
	double *us; /* of each call so far */
	unsigned *n;
};

typedef void call_fn(struct enrol_calls *c, const struct enrol_input *in);

/* Processor time of this thread, in us. */
double calls_cpu(void);
/* Ends the process with the last word of OpenSSL. */
void calls_must(bool ok, const char *what);
/* Appends to ret, which may be NULL. */
void calls_sign(const struct signer *s, struct bytes what, struct buf *ret);
void calls_verify(X509 *signer, struct bytes sig, struct bytes what);

call_fn call_tls_handshake;
call_fn call_tls_octets;
call_fn call_header_signed;
call_fn call_message_signed;
call_fn call_voucher_parsed;
call_fn call_voucher_verified;
call_fn call_voucher_read;
call_fn call_own_request_signed;
call_fn call_ir_parsed;
call_fn call_ir_verified;
call_fn call_chain_verified;
call_fn call_possession_verified;
call_fn call_committed;
call_fn call_header_verified;
call_fn call_certificate_signed;
call_fn call_service_signed;
call_fn call_all_freed;

#endif
