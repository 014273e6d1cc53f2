/* A root, a sub-CA below it, and signers below that: what the tests of CMP
 * share.  Dates span all that a judge may call now. */
#ifndef WAYBILL_TESTS_CMP_FIXTURE_H
#define WAYBILL_TESTS_CMP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "common/base/str.h"
#include "common/pki/cmp.h"
#include "common/pki/issue.h"

struct fixture {
	EVP_PKEY *root_key, *sub_key;
	X509 *root, *sub;
	struct signer *registrar, *ra, *device;
	EVP_PKEY *new_key; /* what the device asks a certificate for */
	X509 *issued;	   /* and gets */
};

static const uint8_t fixture_tid[CMP_TID_LEN] = "transaction 0001";
static const uint8_t fixture_nonce[16] = "sender nonce 001";

static inline X509 *
fixture_cert(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	AUTO(X509_NAME) name = issue_name(cn, "Waybill tests", NULL);
	struct err e = ERR_INIT;
	bool ca = issuer == NULL || X509_check_issued(issuer, issuer) == 0;
	bool leaf = issuer != NULL && !ca;
	struct issue_spec spec = {
		.subject = name,
		.pubkey = key,
		.not_before = 1500000000,
		.not_after = 4000000000,
		.ca = !leaf,
		.pathlen = -1,
		.key_usage = leaf ? "critical,digitalSignature"
				  : "critical,keyCertSign,cRLSign",
	};
	X509 *x = issue_cert(&spec, issuer, issuer_key, &e);

	if (x == NULL)
		fail_msg("%s: %s", cn, e.msg);
	return x;
}

static inline struct signer *
fixture_signer(struct fixture *f, const char *cn, EVP_PKEY *taken_key)
{
	AUTO(EVP_PKEY) key = taken_key;
	AUTO(X509) cert = fixture_cert(cn, key, f->sub, f->sub_key);
	AUTO(X509S) chain = sk_X509_new_null();
	struct signer *s;

	assert_int_equal(X509_up_ref(f->sub), 1);
	assert_int_not_equal(sk_X509_push(chain, f->sub), 0);
	s = signer_new(key, cert, chain);
	return s;
}

static inline int
fixture_setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->root_key = ossl_new_key_p256();
	f->sub_key = ossl_new_key_p256();
	f->new_key = ossl_new_key_p256();
	f->root = fixture_cert("root", f->root_key, NULL, f->root_key);
	f->sub = fixture_cert("sub", f->sub_key, f->root, f->root_key);
	f->registrar = fixture_signer(f, "registrar", ossl_new_key_p256());
	f->ra = fixture_signer(f, "ra", ossl_new_key_p256());
	f->device = fixture_signer(f, "device", ossl_new_key_p256());
	f->issued = fixture_cert("issued", f->new_key, f->sub, f->sub_key);
	*state = f;
	return 0;
}

static inline int
fixture_teardown(void **state)
{
	struct fixture *f = *state;

	EVP_PKEY_free(f->root_key);
	EVP_PKEY_free(f->sub_key);
	EVP_PKEY_free(f->new_key);
	X509_free(f->root);
	X509_free(f->sub);
	X509_free(f->issued);
	signer_free(f->registrar);
	signer_free(f->ra);
	signer_free(f->device);
	free(f);
	return 0;
}

/* A header of a transaction's first message. */
static inline struct cmp_head
fixture_head(void)
{
	return (struct cmp_head){
		.transaction_id = bytes_of(fixture_tid, sizeof(fixture_tid)),
		.sender_nonce = bytes_of(fixture_nonce, sizeof(fixture_nonce)),
	};
}

static inline void
fixture_build(const struct cmp_head *h, struct bytes body,
    const struct signer *s, struct buf *out)
{
	struct err e = ERR_INIT;

	if (cmp_build(h, body, s, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline struct cmp_msg *
fixture_parse(struct bytes der)
{
	struct err e = ERR_INIT;
	struct cmp_msg *m = NULL;

	if (cmp_parse(der, &m, &e) == -1)
		fail_msg("%s", e.msg);
	return m;
}

/* An ir of the device for new_key. */
static inline void
fixture_ir(struct fixture *f, struct buf *out)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h = fixture_head();
	struct err e = ERR_INIT;

	h.recipient = X509_get_subject_name(f->registrar->cert);
	if (cmp_body_certreq(CMP_IR, f->new_key,
		X509_get_subject_name(f->issued), &body, &e) == -1)
		fail_msg("%s", e.msg);
	fixture_build(&h, buf_bytes(&body), f->device, out);
}

#endif
