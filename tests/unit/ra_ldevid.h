/* Devices that have a certificate of the RA of ra_process.h, and its lists of what
 * is revoked. */
#ifndef WAYBILL_TESTS_RA_LDEVID_H
#define WAYBILL_TESTS_RA_LDEVID_H

#include "tests/unit/ra_process.h"

#include "common/pki/crl.h"
#include "ra/crlmaker.h"

/* The lab's key with this certificate, as a device would sign with it. */
static inline struct signer *
ldevid(X509 *cert, EVP_PKEY *key)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct signer *s;

	assert_int_not_equal(sk_X509_push(chain, lab->ca.cert), 0);
	s = signer_new(key, cert, chain);
	sk_X509_free(chain);
	return s;
}

/* First certificate of a device, entry 1. */
static inline struct signer *
enrolled(struct site *s, bool explicit)
{
	struct lab_ask a = { .cn = "pump", .no_implicit = explicit };
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	AUTO(X509) cert = enrol(s, 1, &a, &request, &answer);

	return ldevid(cert, lab->key);
}

static inline void
message(const struct signer *s, const char *profile, const struct buf *body,
    struct buf *out)
{
	struct err e = ERR_INIT;
	uint8_t tid[CMP_TID_LEN];
	struct cmp_head h = {
		.transaction_id = bytes_of(tid, sizeof(tid)),
		.implicit_confirm = true,
		.profile = profile,
	};

	random_bytes(tid, sizeof(tid));
	buf_reset(out);
	if (cmp_build(&h, buf_bytes(body), s, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

/* Puts the body as entry `id` and returns the answer. */
static inline struct cmp_msg *
exchange(struct site *s, uint64_t id, const struct signer *by,
    const char *profile, const struct buf *body, enum batch_code want)
{
	struct buf octets AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	char reason[160] = "";
	struct err e = ERR_INIT;
	struct cmp_msg *m;
	enum batch_code code;

	message(by, profile, body, &octets);
	assert_int_equal(site_put(s, id, &octets), BATCH_STORED);
	code = site_answer(s, id, &answer, reason);
	if (code != want)
		fail_msg("entry %u: code %d: %s", (unsigned)id, code, reason);
	m = lab_parse(buf_bytes(&answer));
	assert_int_equal(cmp_verify(m, lab->service->cert, &e), 0);
	return m;
}

static inline X509 *
renewed(struct site *s, uint64_t id, const struct signer *by, EVP_PKEY *key)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;
	X509 *x;

	assert_int_equal(cmp_body_kur(key, X509_get_subject_name(by->cert),
			     by->cert, &body, &e),
	    0);
	m = exchange(s, id, by, NULL, &body, BATCH_ANSWERED);
	assert_int_equal(cmp_body(m), CMP_KUP);
	assert_int_equal(cmp_read_response(m, &r, &e), 0);
	assert_int_equal(r.status, CMP_ACCEPTED);
	x = r.cert;
	r.cert = NULL;
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), key), 1);
	assert_int_equal(X509_NAME_cmp(X509_get_subject_name(x),
			     X509_get_subject_name(by->cert)),
	    0);
	cmp_response_done(&r);
	return x;
}

static inline void
kur_refused(struct site *s, uint64_t id, const struct signer *by)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	struct buf body AUTO_BUF = { 0 };
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;

	assert_int_equal(cmp_body_kur(key, X509_get_subject_name(by->cert),
			     by->cert, &body, &e),
	    0);
	m = exchange(s, id, by, NULL, &body, BATCH_REFUSED);
	assert_int_equal(cmp_body(m), CMP_ERROR);
	assert_int_equal(cmp_read_error(m, &r, &e), 0);
	assert_int_equal(r.fail, CMP_NOT_AUTHORIZED);
}

static inline uint32_t
rr_of(struct site *s, uint64_t id, const struct signer *by, X509 *what,
    enum batch_code want)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_response r = { 0 };
	struct err e = ERR_INIT;
	AUTO(cmp_msg) m = NULL;

	cmp_body_rr(what, 1, &body);
	m = exchange(s, id, by, NULL, &body, want);
	assert_int_equal(cmp_body(m), CMP_RP);
	assert_int_equal(cmp_read_rp(m, &r, &e), 0);
	return r.fail;
}

static inline uint32_t
rr(struct site *s, uint64_t id, const struct signer *by, enum batch_code want)
{
	return rr_of(s, id, by, by->cert, want);
}

/* ---- lists of what is revoked ------------------------------------------ */

static inline X509_CRL *
list(void)
{
	AUTO(char) path = path_join(lab_path(lab, "store"), CRLMAKER_FILE);
	struct buf der AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	X509_CRL *crl;

	if (file_read(path, 1 << 20, &der, &e) == -1)
		return NULL;
	if ((crl = crl_parse(buf_bytes(&der), &e)) == NULL)
		fail_msg("%s", e.msg);
	assert_int_equal(X509_CRL_verify(crl, lab->ca.key), 1);
	return crl;
}

static inline long
number(X509_CRL *crl)
{
	ASN1_INTEGER *n = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	long ret = ASN1_INTEGER_get(n);

	ASN1_INTEGER_free(n);
	return ret;
}

/* Until the certificate stands in it; the number. */
static inline long
listed(X509 *x)
{
	for (int i = 0; i < 100; i++) {
		AUTO(X509_CRL) crl = list();
		X509_REVOKED *r = NULL;

		if (crl != NULL && X509_CRL_get0_by_cert(crl, &r, x) == 1)
			return number(crl);
		usleep(100000);
	}
	fail_msg("not in the list after ten seconds");
	return 0;
}

static inline long
first_list(void)
{
	for (int i = 0; i < 100; i++) {
		AUTO(X509_CRL) crl = list();

		if (crl != NULL)
			return number(crl);
		usleep(100000);
	}
	fail_msg("no list after ten seconds");
	return 0;
}

#endif
