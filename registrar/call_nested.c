/*
 * nested (RFC 9483 5.2.2.1): a downstream LRA added its protection to a
 * device's message.  What it vouches for is judged as if it had come directly;
 * the answer is plain, and to the device's message.
 */
#include "registrar/call_int.h"

#include "common/pki/certfacts.h"

static bool
is_lra(const struct registrar *r, const X509 *x)
{
	for (int i = 0; i < sk_X509_num(r->lras); i++)
		if (X509_cmp(sk_X509_value(r->lras, i), x) == 0)
			return true;
	return false;
}

bool
call_from_lra(const struct call *c)
{
	X509 *peer = https_peer_cert(c->q);

	return peer != NULL && is_lra(c->r, peer);
}

/* The certificate is believed because it is configured; its dates hold. */
static int
nested_signer(const struct call *c, X509 **ret, struct err *e)
{
	uint64_t from, to, now = clock_judge_time();
	X509 *x = cmp_find_signer(c->m, https_peer_cert(c->q), e);

	if (x == NULL)
		return -1;
	if (!is_lra(c->r, x))
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "nested: signed by no configured LRA");
	if (cert_validity(x, &from, &to, e) == -1)
		return -1;
	if (now != 0 && (now < from || now > to))
		return err_fail(e, ERR_TRUST, CMP_SIGNER_NOT_TRUSTED,
		    "nested: the LRA's certificate is not valid now");
	*ret = x;
	return 0;
}

static int
nested_check(struct call *c, struct err *e)
{
	X509 *signer = NULL;

	if (cmp_check_header(c->m, e) == -1)
		return -1;
	if (!call_from_lra(c))
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "nested: not spoken but with a configured LRA");
	if (nested_signer(c, &signer, e) == -1)
		return -1;
	return cmp_verify(c->m, signer, e);
}

/* RFC 9483 5.2.2.1: the outer header has the inner one's transactionID and
 * senderNonce. */
static int
nested_open(struct call *c, struct cmp_msg **ret, struct err *e)
{
	AUTO(cmp_msg) inner = NULL;
	struct bytes octets;

	if (cmp_read_nested(c->m, &octets, e) == -1 ||
	    cmp_parse(octets, &inner, e) == -1)
		return -1;
	if (!bytes_eq(cmp_transaction_id(inner), cmp_transaction_id(c->m)))
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "nested: its transactionID is not that of the message "
		    "inside");
	if (!bytes_eq(cmp_sender_nonce(inner), cmp_sender_nonce(c->m)))
		return err_fail(e, ERR_INPUT, CMP_BAD_SENDER_NONCE,
		    "nested: its senderNonce is not that of the message "
		    "inside");
	*ret = STEAL(inner);
	return 0;
}

void
call_nested(struct call *c)
{
	struct err e = ERR_INIT;
	struct cmp_msg *inner = NULL;

	if (nested_check(c, &e) == -1 || nested_open(c, &inner, &e) == -1) {
		call_error(c, &e);
		return;
	}
	cmp_free(c->m);
	c->m = inner;
	call_dispatch(c);
}
