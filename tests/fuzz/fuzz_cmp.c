/* CMP from anybody: parse, header, signer, protection, and each body's reader;
 * what cannot be read is answered, and the answer can. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/pki/cmp.h"
#include "common/pki/issue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_answers(const struct cmp_msg *m, struct err *e)
{
	struct cmp_response r = { 0 };
	uint32_t secs;
	long id;

	if (cmp_read_response(m, &r, e) == 0)
		cmp_response_done(&r);
	if (cmp_read_error(m, &r, e) == 0)
		cmp_response_done(&r);
	if (cmp_read_pollrep(m, &id, &secs, e) == 0 && id != 0 && id != -1)
		abort();
}

static void
read_requests(const struct cmp_msg *m, struct err *e)
{
	const STACK_OF(X509) *extra = cmp_extra_certs(m);
	struct cmp_request r = { 0 };
	struct cmp_certconf c;
	long id;

	if (cmp_read_request(m, &r, e) == 0)
		cmp_request_done(&r);
	if (cmp_read_certconf(m, &c, e) == 0 && sk_X509_num(extra) > 0 &&
	    cmp_check_certhash(&c, sk_X509_value(extra, 0), e) == 0 &&
	    c.hash.len < 32)
		abort();
	if (cmp_read_pollreq(m, &id, e) == 0 && id != 0 && id != -1)
		abort();
}

static void
read_values(const struct cmp_info *i, struct err *e)
{
	AUTO(X509S) certs = cmp_info_read_certs(i->value, e);
	AUTO(X509) root = cmp_info_read_root(i->value, e);
	uint64_t since = 7777;

	if (certs != NULL &&
	    (sk_X509_num(certs) < 1 || sk_X509_num(certs) > CMP_EXTRA_MAX))
		abort();
	if (cmp_info_read_crl_status(i->value, &since, e) == -1 &&
	    since != 7777)
		abort();
	if (root != NULL && i->value.len == 0)
		abort();
}

static void
read_others(const struct cmp_msg *m, struct err *e)
{
	struct cmp_response r = { 0 };
	struct cmp_revocation rev;
	struct cmp_info i;

	if (cmp_read_rr(m, &rev, e) == 0 &&
	    (rev.reason < 0 || rev.reason > 10 || rev.reason == 7 ||
		rev.cert.issuer.len == 0 || rev.cert.serial.len == 0))
		abort();
	if (cmp_read_rp(m, &r, e) == 0) {
		if (r.cert != NULL)
			abort();
		cmp_response_done(&r);
	}
	if (cmp_read_info(m, &i, e) == 0)
		read_values(&i, e);
}

static struct signer *
make_signer(void)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) name = issue_name("registrar", "fuzz", NULL);
	struct issue_spec spec = { .subject = name,
		.pubkey = key,
		.not_before = 1,
		.not_after = ISSUE_FOREVER,
		.pathlen = -1,
		.key_usage = "critical,digitalSignature" };
	struct err e = ERR_INIT;
	AUTO(X509) x = issue_cert(&spec, NULL, key, &e);

	if (x == NULL)
		abort();
	return signer_new(key, x, NULL);
}

static void
refuse(struct bytes der)
{
	static struct signer *s;
	AUTO(cmp_msg) m = cmp_parse_refused(der);
	AUTO(cmp_msg) again = NULL;
	struct buf body AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cmp_head h;

	if (m == NULL)
		return;
	if (s == NULL)
		s = make_signer();
	cmp_head_reply(m, &h);
	cmp_body_error(CMP_REJECTION, CMP_BAD_DATA_FORMAT, "no", &body);
	if (cmp_build(&h, buf_bytes(&body), s, NULL, &out, &e) == -1 ||
	    cmp_parse(buf_bytes(&out), &again, &e) == -1 ||
	    !bytes_eq(cmp_transaction_id(again), cmp_transaction_id(m)) ||
	    !bytes_eq(cmp_recip_nonce(again), cmp_sender_nonce(m)))
		abort();
}

static void
read_one(struct bytes der, int depth)
{
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;
	struct bytes inner;
	X509 *signer;

	if (cmp_parse(der, &m, &e) == -1) {
		if (e.kind != ERR_INPUT)
			abort();
		refuse(der);
		return;
	}
	if (!bytes_eq(cmp_der(m), der))
		abort();
	if (cmp_check_header(m, &e) == 0 &&
	    cmp_transaction_id(m).len != CMP_TID_LEN)
		abort();
	if ((signer = cmp_find_signer(m, NULL, &e)) != NULL &&
	    cmp_verify(m, signer, &e) == -1 && e.kind == ERR_NONE)
		abort();
	read_requests(m, &e);
	read_answers(m, &e);
	read_others(m, &e);
	if (cmp_read_nested(m, &inner, &e) == 0) {
		/* RFC 9483 5.2.2.1: one inside of another, no more. */
		if (depth > 0)
			abort();
		read_one(inner, depth + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_one(bytes_of(data, size), 0);
	return 0;
}
