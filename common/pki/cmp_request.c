/* Requests read: what is asked for, and the proof of possession. */
#include "common/pki/cmp_msg.h"

#define SPKI_MAX LIMIT_CMP_KEY /* RSA with 4096 bits takes 550 */

/* What a request says; name and alg are elements, spki is the contents of a
 * SubjectPublicKeyInfo. */
struct asked {
	struct bytes tbs, tmpl, subject, spki, alg, sig;
};

/* RFC 4211 5: fields [0] to [9] in order. */
static int
read_template(struct der t, struct asked *a, struct err *e)
{
	struct bytes value;
	int n, last = -1;
	uint8_t tag;

	while ((tag = der_peek(&t)) != 0) {
		n = tag & 0x1f;
		if ((tag & 0xc0) != 0x80 || n <= last || n > 9)
			return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
			    "cmp: CertTemplate: RFC 4211 5: field %02x", tag);
		last = n;
		value = der_value(&t, tag);
		if (tag == DER_CTX(5))
			a->subject = value;
		if (tag == DER_CTX(6))
			a->spki = value;
	}
	if (a->subject.len == 0 || a->spki.len == 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_CERT_TEMPLATE,
		    "cmp: RFC 9483 4.1.1: CertTemplate without %s",
		    a->spki.len == 0 ? "publicKey" : "subject");
	return 0;
}

/* ProofOfPossession: raVerified [0] is not a device's to say, [2] and [3]
 * are for keys that do not sign. */
static int
read_pop(struct der *msg, struct asked *a, struct err *e)
{
	struct der pop;

	if (der_peek(msg) != DER_CTX(1))
		return err_fail(e, ERR_INPUT, CMP_BAD_POP,
		    "cmp: RFC 9483 4.1.1: proof of possession is not a "
		    "signature");
	pop = der_enter(msg, DER_CTX(1));
	if (der_peek(&pop) == DER_CTX(0))
		return err_fail(e, ERR_INPUT, CMP_BAD_POP,
		    "cmp: RFC 9483 4.1.1: poposkInput is prohibited");
	a->alg = der_whole(&pop, DER_SEQ);
	a->sig = der_whole(&pop, DER_BITS);
	if (!der_end(&pop))
		return err_fail(e, ERR_INPUT, CMP_BAD_POP,
		    "cmp: proof of possession malformed");
	return 0;
}

/* RFC 4211 3: CertReqMsg { CertRequest { id, template, ... }, popo, ... } */
static int
read_crmf(const struct cmp_msg *m, struct asked *a, long *ret_id, struct err *e)
{
	struct der msg, again, req, tmpl;

	if (cmp_open_single(m, CMP_TYPE(m->type), &msg, e) == -1)
		return -1;
	again = msg;
	a->tbs = der_whole(&msg, DER_SEQ);
	req = der_enter(&again, DER_SEQ);
	*ret_id = der_long(&req);
	a->tmpl = der_whole(&req, DER_SEQ);
	if (der_peek(&req) == DER_SEQ)
		der_whole(&req, DER_SEQ); /* controls */
	if (!der_end(&req))
		return cmp_malformed(m, e);
	if (*ret_id != 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 4.1.1: certReqId %ld, not 0", *ret_id);
	tmpl = der_open(a->tmpl);
	if (read_template(der_enter(&tmpl, DER_SEQ), a, e) == -1 ||
	    read_pop(&msg, a, e) == -1)
		return -1;
	if (der_peek(&msg) == DER_SEQ)
		der_whole(&msg, DER_SEQ); /* regInfo */
	return der_end(&msg) ? 0 : cmp_malformed(m, e);
}

/* RFC 2986 4: { { version, subject, spki, [0] attributes }, alg, sig } */
static int
read_p10(const struct cmp_msg *m, struct asked *a, struct err *e)
{
	struct der d, csr, top, info;

	if (cmp_open_body(m, CMP_TYPE(CMP_P10CR), &d, e) == -1)
		return -1;
	csr = der_enter(&d, DER_SEQ);
	a->tbs = a->tmpl = der_whole(&csr, DER_SEQ);
	a->alg = der_whole(&csr, DER_SEQ);
	a->sig = der_whole(&csr, DER_BITS);
	top = der_open(a->tbs);
	info = der_enter(&top, DER_SEQ);
	if (der_long(&info) != 0)
		return cmp_malformed(m, e);
	a->subject = der_whole(&info, DER_SEQ);
	a->spki = der_value(&info, DER_SEQ);
	if (der_peek(&info) == DER_CTX(0))
		der_whole(&info, DER_CTX(0));
	return der_end(&info) && der_end(&csr) && der_end(&d)
	    ? 0
	    : cmp_malformed(m, e);
}

static EVP_PKEY *
read_key(struct bytes spki, struct err *e)
{
	AUTO(EVP_PKEY) key = NULL;
	struct buf der AUTO_BUF = { 0 };
	const uint8_t *p;

	if (spki.len > SPKI_MAX) {
		err_fail(e, ERR_INPUT, CMP_BAD_ALG,
		    "cmp: public key of %zu octets, limit %d", spki.len,
		    SPKI_MAX);
		return NULL;
	}
	/* [6] IMPLICIT took the place of the SEQUENCE's own tag. */
	der_add(&der, DER_SEQ, spki);
	p = der.data;
	key = d2i_PUBKEY(NULL, &p, (long)der.len);
	if (key == NULL || p != der.data + der.len) {
		cmp_fail_ossl(e, ERR_INPUT, CMP_BAD_ALG,
		    "cmp: public key not understood");
		return NULL;
	}
	return key_check(key, e) == 0 ? STEAL(key) : NULL;
}

/* NULL in *ret for the NULL-DN. */
static int
read_subject(struct bytes der, X509_NAME **ret, struct err *e)
{
	AUTO(X509_NAME) name = NULL;
	const uint8_t *p = der.p;

	name = d2i_X509_NAME(NULL, &p, (long)der.len);
	if (name == NULL || p != der.p + der.len)
		return cmp_fail_ossl(e, ERR_INPUT, CMP_BAD_CERT_TEMPLATE,
		    "cmp: subject asked for is not a name");
	*ret = X509_NAME_entry_count(name) > 0 ? STEAL(name) : NULL;
	return 0;
}

int
cmp_read_request(
    const struct cmp_msg *m, struct cmp_request *ret, struct err *e)
{
	AUTO(EVP_PKEY) key = NULL;
	AUTO(X509_NAME) subject = NULL;
	struct asked a = { 0 };
	long id = -1;

	if (m->type == CMP_IR || m->type == CMP_CR || m->type == CMP_KUR) {
		if (read_crmf(m, &a, &id, e) == -1)
			return -1;
	} else if (read_p10(m, &a, e) == -1) {
		return -1;
	}
	if (read_subject(a.subject, &subject, e) == -1 ||
	    (key = read_key(a.spki, e)) == NULL)
		return -1;
	if (cmp_check_alg(a.alg, e) == -1) {
		if (e != NULL)
			e->fail = CMP_BAD_POP;
		return err_prefix(e, "proof of possession");
	}
	if (!cmp_signed(a.tbs, a.alg, a.sig, key))
		return cmp_fail_ossl(e, ERR_INPUT, CMP_BAD_POP,
		    "cmp: RFC 9483 4.1.1: proof of possession does not hold");
	ret->id = id;
	ret->pubkey = STEAL(key);
	ret->subject = STEAL(subject);
	ret->tmpl = digest_of(a.tmpl.p, a.tmpl.len);
	return 0;
}

void
cmp_request_done(struct cmp_request *r)
{
	EVP_PKEY_free(r->pubkey);
	X509_NAME_free(r->subject);
	*r = (struct cmp_request){ 0 };
}
