#include "ra/answer.h"

/* RFC 9483 4.1.4: a response to p10cr has no certReqId to repeat. */
static long
request_id(const struct cmp_msg *m)
{
	return cmp_body(m) == CMP_P10CR ? -1 : 0;
}

bool
answer_differs(const struct cmp_msg *request, X509 *cert)
{
	struct cmp_request r = { 0 };
	struct err no = ERR_INIT;
	bool differs;

	/* It was judged before: it can be read. */
	differs = cmp_read_request(request, &r, &no) == 0 &&
	    r.subject != NULL &&
	    X509_NAME_cmp(r.subject, X509_get_subject_name(cert)) != 0;
	cmp_request_done(&r);
	return differs;
}

int
answer_issued(const struct answerer *a, const struct cmp_msg *request,
    X509 *cert, const struct answer_terms *terms, struct buf *out,
    struct err *e)
{
	enum cmp_body response = cmp_response_to(cmp_body(request));
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h;

	cmp_head_reply(request, &h);
	/* RFC 9483 4.1.1: granted if nobody here needs the confirmation; a
	 * certConf may be on a stick for weeks. */
	h.implicit_confirm = cmp_implicit_confirm(request) && !terms->confirm;
	h.sender_nonce = terms->sender_nonce;
	cmp_body_granted(response, request_id(request),
	    terms->modified ? CMP_GRANTED_WITH_MODS : CMP_ACCEPTED, cert,
	    terms->ca_pubs && response == CMP_IP ? a->root : NULL, &body);
	return cmp_build(&h, buf_bytes(&body), a->signer, a->more, out, e);
}

int
answer_refused(const struct answerer *a, const struct cmp_msg *request,
    bool in_body, const struct err *why, struct buf *out, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	uint32_t fail = err_cmp_fail(why);
	struct cmp_head h;

	cmp_head_reply(request, &h);
	if (in_body)
		cmp_body_rejection(cmp_body(request), request_id(request), fail,
		    why->msg, &body);
	else
		cmp_body_error(CMP_REJECTION, fail, why->msg, &body);
	return cmp_build(&h, buf_bytes(&body), a->signer, NULL, out, e);
}

int
answer_pkiconf(const struct answerer *a, const struct cmp_msg *request,
    struct buf *out, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h;

	cmp_head_reply(request, &h);
	cmp_body_pkiconf(&body);
	return cmp_build(&h, buf_bytes(&body), a->signer, NULL, out, e);
}

int
answer_revoked(const struct answerer *a, const struct cmp_msg *request,
    struct buf *out, struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h;

	cmp_head_reply(request, &h);
	cmp_body_rp(CMP_ACCEPTED, 0, NULL, &body);
	return cmp_build(&h, buf_bytes(&body), a->signer, NULL, out, e);
}

int
answer_info(const struct answerer *a, const struct cmp_msg *request,
    enum cmp_info_type asked, struct bytes value, struct buf *out,
    struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	struct cmp_head h;

	cmp_head_reply(request, &h);
	cmp_body_info(CMP_GENP, cmp_info_answer(asked), value, &body);
	return cmp_build(&h, buf_bytes(&body), a->signer, NULL, out, e);
}
