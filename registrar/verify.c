#include "registrar/verify.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/cmp.h"

#define VERIFY_DONE_LABEL "waybill-done/1"
#define VERIFY_DONE_TEXT  160 /* octets with the NUL */

static int
verify_protection(const struct registrar *r, const struct service *s,
    const struct cmp_msg *m, struct err *e)
{
	char name[33];
	X509 *signer;
	const char *anchor;

	if (cmp_check_header(m, e) == -1 && e->fail != CMP_BAD_RECIPIENT_NONCE)
		return -1;
	if ((signer = cmp_find_signer(m, s->cert, e)) == NULL ||
	    trust_check(r->domain, signer, cmp_extra_certs(m),
		clock_judge_time(), &anchor, NULL, e) == -1)
		return -1;
	if (cert_service(signer, name, e) == -1)
		return -1;
	if (strcmp(name, s->name) != 0 || !cert_has_cmcra(signer))
		return err_set(e, ERR_TRUST,
		    "answer: signed by service %s, or without cmcRA", name);
	return cmp_verify(m, signer, e);
}

/* RFC 9483 3.5: the response belongs to this request. */
static int
verify_belongs(
    const struct cmp_msg *req, const struct cmp_msg *ans, struct err *e)
{
	if (!bytes_eq(cmp_transaction_id(req), cmp_transaction_id(ans)))
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "answer: another transactionID");
	if (!bytes_eq(cmp_sender_nonce(req), cmp_recip_nonce(ans)))
		return err_fail(e, ERR_INPUT, CMP_BAD_RECIPIENT_NONCE,
		    "answer: recipNonce is not the request's senderNonce");
	return 0;
}

static int
verify_ca_pubs(
    const struct registrar *r, const struct cmp_response *rsp, struct err *e)
{
	const STACK_OF(X509) *anchors = trust_anchors(r->domain);

	for (int i = 0; i < sk_X509_num(rsp->ca_pubs); i++) {
		bool known = false;

		for (int j = 0; j < sk_X509_num(anchors) && !known; j++)
			known = X509_cmp(sk_X509_value(rsp->ca_pubs, i),
				    sk_X509_value(anchors, j)) == 0;
		if (!known)
			return err_set(e, ERR_TRUST,
			    "answer: caPubs holds an unknown anchor");
	}
	return 0;
}

static int
verify_issued(const struct registrar *r, const struct cmp_msg *req,
    const struct cmp_msg *ans, struct err *e)
{
	struct cmp_request want = { 0 };
	struct cmp_response got = { 0 };
	const char *anchor;
	int rc = -1;

	if (cmp_read_request(req, &want, e) == -1)
		return -1;
	if (cmp_read_response(ans, &got, e) == -1)
		goto out;
	if (got.id != want.id)
		err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "answer: certReqId %ld, asked was %ld", got.id, want.id);
	else if (got.cert == NULL && got.status == CMP_REJECTION)
		rc = 0;
	else if (got.cert == NULL)
		err_set(e, ERR_INPUT, "answer: status %d without certificate",
		    (int)got.status);
	else if (EVP_PKEY_eq(want.pubkey, X509_get0_pubkey(got.cert)) != 1)
		err_set(e, ERR_TRUST,
		    "answer: certificate is not for the key asked for");
	else if (trust_check(r->domain, got.cert, cmp_extra_certs(ans),
		     clock_judge_time(), &anchor, NULL, e) == 0)
		rc = verify_ca_pubs(r, &got, e);
out:
	cmp_request_done(&want);
	cmp_response_done(&got);
	return rc;
}

static int
verify_revoked(const struct registrar *r, const struct cmp_msg *req,
    const struct cmp_msg *ans, struct err *e)
{
	struct cmp_response got = { 0 };

	(void)r, (void)req;
	if (cmp_read_rp(ans, &got, e) == -1)
		return -1;
	if (got.status == CMP_WAITING)
		return err_set(e, ERR_INPUT, "answer: rp(waiting)");
	return 0;
}

/* RFC 9483 4.3: of the type that answers what was asked. */
static int
verify_told(const struct registrar *r, const struct cmp_msg *req,
    const struct cmp_msg *ans, struct err *e)
{
	struct cmp_info asked, told;

	(void)r;
	if (cmp_read_info(req, &asked, e) == -1 ||
	    cmp_read_info(ans, &told, e) == -1)
		return -1;
	if (told.type != cmp_info_answer(asked.type))
		return err_set(e, ERR_INPUT, "answer: id-it %d to id-it %d",
		    (int)told.type, (int)asked.type);
	return 0;
}

/* A service that waits is no answer: the device would wait for us. */
static int
verify_error(const struct cmp_msg *ans, struct err *e)
{
	struct cmp_response got = { 0 };
	enum cmp_status status;

	if (cmp_read_error(ans, &got, e) == -1)
		return -1;
	status = got.status;
	cmp_response_done(&got);
	if (status != CMP_REJECTION)
		return err_set(
		    e, ERR_INPUT, "answer: error with status %d", (int)status);
	return 0;
}

static const struct {
	enum cmp_body answer;
	int (*check)(const struct registrar *r, const struct cmp_msg *req,
	    const struct cmp_msg *ans, struct err *e);
} answers[] = {
	{ CMP_IP, verify_issued },
	{ CMP_CP, verify_issued },
	{ CMP_KUP, verify_issued },
	{ CMP_RP, verify_revoked },
	{ CMP_GENP, verify_told },
	{ CMP_PKICONF, NULL },
};

/* The body is one that may answer this request, and says what it may. */
static int
verify_body(const struct registrar *r, const struct cmp_msg *req,
    const struct cmp_msg *ans, struct err *e)
{
	enum cmp_body b = cmp_body(ans);

	if (b == CMP_ERROR)
		return verify_error(ans, e);
	for (size_t i = 0; i < NELEMS(answers); i++) {
		if (answers[i].answer != b ||
		    cmp_response_to(cmp_body(req)) != b)
			continue;
		return answers[i].check == NULL
		    ? 0
		    : answers[i].check(r, req, ans, e);
	}
	return err_set(e, ERR_INPUT, "answer: %s to %s", cmp_body_name(b),
	    cmp_body_name(cmp_body(req)));
}

int
verify_cmp_answer(const struct registrar *r, const struct service *s,
    struct bytes request, struct bytes answer, struct err *e)
{
	AUTO(cmp_msg) req = NULL;
	AUTO(cmp_msg) ans = NULL;

	if (cmp_parse(request, &req, e) == -1 ||
	    cmp_parse(answer, &ans, e) == -1 ||
	    verify_protection(r, s, ans, e) == -1 ||
	    verify_belongs(req, ans, e) == -1)
		return -1;
	return verify_body(r, req, ans, e);
}

int
verify_done(struct bytes answer, struct err *e)
{
	char label[sizeof(VERIFY_DONE_LABEL)], text[VERIFY_DONE_TEXT];
	struct cbor_in in;

	cbor_read_init(&in, answer, "answer");
	cbor_read_array(&in, 2);
	cbor_read_text(&in, label, sizeof(label));
	cbor_read_text(&in, text, sizeof(text));
	if (cbor_read_end(&in, e) == -1)
		return -1;
	if (strcmp(label, VERIFY_DONE_LABEL) != 0)
		return err_set(
		    e, ERR_INPUT, "answer: it is no %s", VERIFY_DONE_LABEL);
	return 0;
}
