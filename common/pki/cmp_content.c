/* Bodies opened; those of polls, confirmations and nested read. */
#include "common/pki/cmp_msg.h"

#include <string.h>

int
cmp_open_body(
    const struct cmp_msg *m, uint32_t types, struct der *ret, struct err *e)
{
	struct der d = der_open(m->body);

	if ((types >> m->type & 1) == 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: body %s is not what belongs here",
		    cmp_body_name(m->type));
	/* What is inside of nested is parsed, and judged, by itself. */
	if (m->type != CMP_NESTED && !der_strict(m->body))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: %s is not DER", cmp_body_name(m->type));
	*ret = der_enter(&d, der_peek(&d));
	return 0;
}

int
cmp_open_single(
    const struct cmp_msg *m, uint32_t types, struct der *ret, struct err *e)
{
	struct der d, list;

	if (cmp_open_body(m, types, &d, e) == -1)
		return -1;
	list = der_enter(&d, DER_SEQ);
	if (list.bad || (der_count(list) == 0 && list.rest.len > 0))
		return cmp_malformed(m, e);
	if (der_count(list) != 1)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 4: %s of %zu elements, not one",
		    cmp_body_name(m->type), der_count(list));
	*ret = der_enter(&list, DER_SEQ);
	return 0;
}

int
cmp_malformed(const struct cmp_msg *m, struct err *e)
{
	return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT, "cmp: %s malformed",
	    cmp_body_name(m->type));
}

/* RFC 9483 4.4 */
static int
check_poll_id(const struct cmp_msg *m, long id, struct err *e)
{
	if (id == 0 || id == -1)
		return 0;
	return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
	    "cmp: RFC 9483 4.4: %s: certReqId %ld, not 0 or -1",
	    cmp_body_name(m->type), id);
}

int
cmp_read_pollreq(const struct cmp_msg *m, long *ret_id, struct err *e)
{
	struct der d;
	long id;

	if (cmp_open_single(m, CMP_TYPE(CMP_POLLREQ), &d, e) == -1)
		return -1;
	id = der_long(&d);
	if (!der_end(&d))
		return cmp_malformed(m, e);
	if (check_poll_id(m, id, e) == -1)
		return -1;
	*ret_id = id;
	return 0;
}

int
cmp_read_pollrep(
    const struct cmp_msg *m, long *ret_id, uint32_t *ret_secs, struct err *e)
{
	struct der d;
	long id, secs;

	if (cmp_open_single(m, CMP_TYPE(CMP_POLLREP), &d, e) == -1)
		return -1;
	id = der_long(&d);
	secs = der_long(&d);
	if (der_peek(&d) == DER_SEQ)
		der_whole(&d, DER_SEQ); /* reason */
	if (!der_end(&d) || secs < 0)
		return cmp_malformed(m, e);
	if (check_poll_id(m, id, e) == -1)
		return -1;
	*ret_id = id;
	*ret_secs = (uint32_t)secs;
	return 0;
}

int
cmp_read_certconf(
    const struct cmp_msg *m, struct cmp_certconf *ret, struct err *e)
{
	struct cmp_certconf c = { .hash_nid = NID_undef };
	struct cmp_response r = { 0 };
	struct der d, alg;

	if (cmp_open_single(m, CMP_TYPE(CMP_CERTCONF), &d, e) == -1)
		return -1;
	c.hash = der_value(&d, DER_OCTETS);
	c.id = der_long(&d);
	if (der_peek(&d) == DER_SEQ)
		cmp_read_status(&d, &r);
	if (der_peek(&d) == DER_CTX(0)) {
		alg = der_enter(&d, DER_CTX(0));
		c.hash_nid = cmp_digest_nid(der_whole(&alg, DER_SEQ));
		if (!der_end(&alg))
			d.bad = true;
		if (c.hash_nid == NID_undef)
			return err_fail(e, ERR_INPUT, CMP_BAD_ALG,
			    "cmp: certConf: hashAlg is not SHA-256, SHA-384 "
			    "or SHA-512");
	}
	if (!der_end(&d))
		return cmp_malformed(m, e);
	c.status = r.status;
	memcpy(c.text, r.text, sizeof(c.text));
	*ret = c;
	return 0;
}

int
cmp_check_certhash(const struct cmp_certconf *c, X509 *cert, struct err *e)
{
	int nid = c->hash_nid != NID_undef ? c->hash_nid : cmp_hash_nid(cert);
	const EVP_MD *md = nid != NID_undef ? EVP_get_digestbynid(nid) : NULL;
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned len;

	if (md == NULL)
		return err_fail(e, ERR_INPUT, CMP_BAD_CERT_ID,
		    "cmp: certConf: RFC 9810 5.3.18: the certificate's "
		    "signature names no digest and hashAlg is absent");
	if (X509_digest(cert, md, hash, &len) != 1)
		return err_ossl(e, ERR_LOCAL, "cmp: certConf: certHash");
	if (!bytes_eq(c->hash, bytes_of(hash, len)))
		return err_fail(e, ERR_INPUT, CMP_BAD_CERT_ID,
		    "cmp: certConf: RFC 9810 5.3.18: certHash is of another "
		    "certificate");
	return 0;
}

int
cmp_read_nested(const struct cmp_msg *m, struct bytes *ret, struct err *e)
{
	struct der d, list, again, inner;
	struct bytes whole;

	if (cmp_open_body(m, CMP_TYPE(CMP_NESTED), &d, e) == -1)
		return -1;
	list = der_enter(&d, DER_SEQ);
	again = list;
	if (der_count(list) != 1)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 5.2.2.1: nested is not one message");
	whole = der_whole(&list, DER_SEQ);
	inner = der_enter(&again, DER_SEQ);
	der_whole(&inner, DER_SEQ);
	if (inner.bad || der_peek(&inner) == DER_CTX(CMP_NESTED))
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 5.2.2.1: nested in nested");
	*ret = whole;
	return 0;
}
