#include "ra/unwrap.h"

/* RFC 9483 5.2.2.1, DECISIONS 1; consent is the registrar's signature with
 * cmcRA, which sites_find has asked of the certificate. */
static int
check_outer(const struct cmp_msg *outer, X509 *registrar, struct err *e)
{
	struct digest ours = cert_digest(registrar), theirs;
	X509 *signer;

	if (cmp_body(outer) != CMP_NESTED)
		return err_set(e, ERR_INPUT,
		    "entry: RFC 9483 5.2.2.1: %s in place of nested",
		    cmp_body_name(cmp_body(outer)));
	if ((signer = cmp_find_signer(outer, registrar, e)) == NULL)
		return -1;
	theirs = cert_digest(signer);
	if (!digest_eq(&ours, &theirs))
		return err_set(e, ERR_TRUST,
		    "entry: nested and header have different signers");
	return cmp_verify(outer, signer, e);
}

static int
check_inner(const struct entry_header *h, const struct cmp_msg *outer,
    struct bytes inner, struct err *e)
{
	struct digest d = digest_of(inner.p, inner.len);
	AUTO(cmp_msg) m = NULL;

	if (!digest_eq(&d, &h->digest))
		return err_set(e, ERR_INPUT,
		    "entry: the header's digest is not the message's");
	if (cmp_parse(inner, &m, e) == -1)
		return -1;
	if (cmp_body(m) == CMP_NESTED)
		return err_set(e, ERR_INPUT, "entry: nested in nested");
	if (!bytes_eq(cmp_transaction_id(m), cmp_transaction_id(outer)) ||
	    !bytes_eq(cmp_sender_nonce(m), cmp_sender_nonce(outer)))
		return err_set(e, ERR_INPUT,
		    "entry: RFC 9483 5.2.2.1: nested does not repeat "
		    "transactionID and senderNonce");
	return 0;
}

int
unwrap_cmp(const struct entry_header *h, X509 *registrar, struct bytes octets,
    struct buf *ret, enum batch_code *ret_code, struct err *e)
{
	AUTO(cmp_msg) outer = NULL;
	struct bytes inner;

	*ret_code = BATCH_TOO_LARGE;
	if (octets.len > CMP_NESTED_MAX)
		return err_set(e, ERR_INPUT, "entry: %zu octets, limit %d",
		    octets.len, CMP_NESTED_MAX);
	*ret_code = BATCH_BAD_SCHEMA;
	if (cmp_parse(octets, &outer, e) == -1)
		return -1;
	*ret_code = BATCH_NOT_AUTHORISED;
	if (check_outer(outer, registrar, e) == -1)
		return -1;
	*ret_code = BATCH_BAD_SCHEMA;
	if (cmp_read_nested(outer, &inner, e) == -1 ||
	    check_inner(h, outer, inner, e) == -1)
		return -1;
	buf_add(ret, inner.p, inner.len);
	return 0;
}

int
unwrap_stored(struct bytes octets, struct cmp_msg **ret, struct err *e)
{
	AUTO(cmp_msg) outer = NULL;
	struct bytes inner;

	if (cmp_parse(octets, &outer, e) == -1 ||
	    cmp_read_nested(outer, &inner, e) == -1)
		return -1;
	return cmp_parse(inner, ret, e);
}
