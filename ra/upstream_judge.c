/* What an upstream's answer says, if it is one (RFC 9483 3.5, 4.1, 4.4). */
#include "ra/upstream_int.h"

#include <string.h>

void
upstream_heard_done(struct upstream_heard *h)
{
	X509_free(h->cert);
	*h = (struct upstream_heard){ .is = HEARD_DONE };
}

/* ---- whose it is ------------------------------------------------------- */

static int
judge_protection(
    const struct upstream *u, const struct cmp_msg *m, struct err *e)
{
	const char *anchor;
	X509 *signer;

	if (cmp_check_header(m, e) == -1 && e->fail != CMP_BAD_RECIPIENT_NONCE)
		return -1;
	if ((signer = cmp_find_signer(m, NULL, e)) == NULL ||
	    trust_check(u->trust, signer, cmp_extra_certs(m), clock_now().time,
		&anchor, NULL, e) == -1)
		return -1;
	return cmp_verify(m, signer, e);
}

/* RFC 9483 4.4: who was polled may answer the request itself, octet for octet
 * as it had it from another. */
static bool
has_nonce(const struct upstream_wants *x, const struct cmp_msg *m)
{
	struct bytes got = cmp_recip_nonce(m);

	if (x->nonce.len > 0 && bytes_eq(got, x->nonce))
		return true;
	return bytes_eq(got, cmp_sender_nonce(x->request)) &&
	    cmp_body(m) != CMP_POLLREP;
}

static int
judge_belongs(
    const struct upstream_wants *x, const struct cmp_msg *m, struct err *e)
{
	if (!bytes_eq(cmp_transaction_id(m), cmp_transaction_id(x->request)))
		return err_set(e, ERR_INPUT, "answer: another transactionID");
	if (!has_nonce(x, m))
		return err_set(
		    e, ERR_INPUT, "answer: recipNonce is not our senderNonce");
	return 0;
}

/* ---- what it says ------------------------------------------------------ */

static void
hear_refusal(
    const struct cmp_response *r, bool in_body, struct upstream_heard *ret)
{
	ret->is = HEARD_REFUSED;
	ret->in_body = in_body;
	err_fail(&ret->why, ERR_POLICY, r->fail, "upstream: %s",
	    r->text[0] != '\0' ? r->text : "rejected without a reason");
}

/* RFC 9483 4.1.4: a CSR has no certReqId, and its answer -1; some say 0. */
static bool
is_its_id(const struct upstream_wants *x, long id)
{
	return id == x->id || (x->id == -1 && id == 0);
}

static int
hear_issued(const struct upstream *u, const struct upstream_wants *x,
    struct cmp_response *r, struct upstream_heard *ret, struct err *e)
{
	X509 *issuer = sk_X509_value(u->issuers, 0);

	if (EVP_PKEY_eq(x->key, X509_get0_pubkey(r->cert)) != 1)
		return err_set(e, ERR_TRUST,
		    "answer: its certificate is not for the key asked for");
	if (X509_NAME_cmp(X509_get_issuer_name(r->cert),
		X509_get_subject_name(issuer)) != 0 ||
	    X509_verify(r->cert, X509_get0_pubkey(issuer)) != 1)
		return err_ossl(e, ERR_TRUST,
		    "answer: its certificate is not by ca.certificate");
	ret->is = HEARD_DONE;
	ret->cert = STEAL(r->cert);
	ret->modified = r->status == CMP_GRANTED_WITH_MODS;
	return 0;
}

static int
hear_response(const struct upstream *u, const struct upstream_wants *x,
    const struct cmp_msg *m, struct upstream_heard *ret, struct err *e)
{
	struct cmp_response r = { 0 };
	int rc = 0;

	if (cmp_read_response(m, &r, e) == -1)
		return -1;
	ret->id = r.id;
	if (!is_its_id(x, r.id))
		rc = err_set(e, ERR_INPUT,
		    "answer: certReqId %ld, asked was %ld", r.id, x->id);
	else if (r.status == CMP_WAITING)
		ret->is = HEARD_WAITING;
	else if (r.status == CMP_REJECTION)
		hear_refusal(&r, true, ret);
	else if (r.cert == NULL)
		rc = err_set(e, ERR_INPUT,
		    "answer: status %d without certificate", (int)r.status);
	else
		rc = hear_issued(u, x, &r, ret, e);
	cmp_response_done(&r);
	return rc;
}

static int
hear_revoked(const struct cmp_msg *m, struct upstream_heard *ret, struct err *e)
{
	struct cmp_response r = { 0 };

	if (cmp_read_rp(m, &r, e) == -1)
		return -1;
	if (r.status == CMP_WAITING)
		ret->is = HEARD_WAITING;
	else if (r.status == CMP_REJECTION)
		hear_refusal(&r, true, ret);
	else
		ret->is = HEARD_DONE;
	cmp_response_done(&r);
	return 0;
}

static int
hear_error(const struct cmp_msg *m, struct upstream_heard *ret, struct err *e)
{
	struct cmp_response r = { 0 };

	if (cmp_read_error(m, &r, e) == -1)
		return -1;
	/* RFC 9483 4.4: of a whole message. */
	ret->id = -1;
	if (r.status == CMP_WAITING)
		ret->is = HEARD_WAITING;
	else
		hear_refusal(&r, false, ret);
	cmp_response_done(&r);
	return 0;
}

static int
hear_not_yet(const struct cmp_msg *m, struct upstream_heard *ret, struct err *e)
{
	if (cmp_read_pollrep(m, &ret->id, &ret->secs, e) == -1)
		return -1;
	ret->is = HEARD_NOT_YET;
	return 0;
}

static int
hear(const struct upstream *u, const struct upstream_wants *x,
    const struct cmp_msg *m, struct upstream_heard *ret, struct err *e)
{
	enum cmp_body is = cmp_body(m);
	enum cmp_body wanted = cmp_response_to(cmp_body(x->request));

	if (is == CMP_ERROR)
		return hear_error(m, ret, e);
	if (is == CMP_POLLREP && x->polled)
		return hear_not_yet(m, ret, e);
	if (is != wanted)
		return err_set(e, ERR_INPUT, "answer: %s to %s",
		    cmp_body_name(is), cmp_body_name(cmp_body(x->request)));
	if (is == CMP_RP)
		return hear_revoked(m, ret, e);
	if (is == CMP_PKICONF) {
		ret->is = HEARD_DONE;
		return 0;
	}
	return hear_response(u, x, m, ret, e);
}

int
upstream_judge(const struct upstream *u, const struct upstream_wants *x,
    const struct cmp_msg *m, struct upstream_heard *ret, struct err *e)
{
	*ret = (struct upstream_heard){ .is = HEARD_DONE };
	if (judge_protection(u, m, e) == -1 || judge_belongs(x, m, e) == -1)
		return -1;
	return hear(u, x, m, ret, e);
}
