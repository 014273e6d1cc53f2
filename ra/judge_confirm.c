/* certConf (RFC 9483 4.1.1). */
#include "ra/judge_int.h"

#include "common/service/claims.h"

int
judge_confirm(const struct entry_header *h, const struct cmp_msg *m,
    const struct cmp_msg *parent, struct verdict *ret,
    struct cmp_certconf *ret_conf, struct err *e)
{
	X509 *first = cmp_find_signer(parent, NULL, e);
	struct digest spki;

	claims_facts(h, JUDGE_FACTS, &ret->facts);
	if (first == NULL || cmp_check_header(m, e) == -1 ||
	    (ret->signer = cmp_find_signer(m, first, e)) == NULL)
		return -1;
	spki = cert_spki_digest(first);
	ret->spki = cert_spki_digest(ret->signer);
	if (!digest_eq(&spki, &ret->spki))
		return err_fail(e, ERR_TRUST, CMP_NOT_AUTHORIZED,
		    "certConf: RFC 9483 4.1.1: not signed by who asked");
	if (!bytes_eq(cmp_transaction_id(m), cmp_transaction_id(parent)))
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "certConf: of another transaction than its parent");
	if (cmp_verify(m, ret->signer, e) == -1 ||
	    cert_subject_serial(ret->signer, ret->serial, e) == -1)
		return -1;
	facts_of_signer(ret, cmp_profile(m));
	return cmp_read_certconf(m, ret_conf, e);
}

int
judge_confirmed(const struct cmp_msg *m, const struct cmp_certconf *c,
    const struct cmp_msg *answer, X509 *cert, struct err *e)
{
	/* RFC 9483 4.1.1 says 0; after p10cr clients say -1 as well. */
	if (c->id != 0 && c->id != -1)
		return err_fail(e, ERR_INPUT, CMP_BAD_CERT_ID,
		    "certConf: certReqId %ld", c->id);
	if (!bytes_eq(cmp_recip_nonce(m), cmp_sender_nonce(answer)))
		return err_fail(e, ERR_INPUT, CMP_BAD_RECIPIENT_NONCE,
		    "certConf: recipNonce is not our answer's senderNonce");
	return c->status == CMP_REJECTION ? 0 : cmp_check_certhash(c, cert, e);
}
