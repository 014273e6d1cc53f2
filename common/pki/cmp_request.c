/* Requests read: what is asked for, and the proof of possession. */
#include "common/pki/cmp_msg.h"

#define SPKI_MAX LIMIT_CMP_KEY /* RSA with 4096 bits takes 550 */

/* What a request says; name and alg are elements, spki is the contents of a
 * SubjectPublicKeyInfo. */
struct asked {
	struct bytes tbs, tmpl, subject, spki, alg, sig;
	struct bytes extensions; /* what is inside */
	struct bytes controls;
};

/* id-regCtrl-oldCertID, RFC 4211 6.5; extensionRequest, RFC 2985 5.4.2 */
static const uint8_t old_cert_id[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x05,
	0x01, 0x05 };
static const uint8_t extension_request[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
	0x01, 0x09, 0x0e };

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
		if (tag == DER_CTX(9))
			a->extensions = value;
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
		a->controls = der_value(&req, DER_SEQ);
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

/* SET OF { type, SET OF value }: the extensions, if they are asked for. */
static void
read_attributes(struct der list, struct asked *a)
{
	struct der one, values;
	struct bytes oid;

	while (der_peek(&list) == DER_SEQ) {
		one = der_enter(&list, DER_SEQ);
		oid = der_value(&one, DER_OID);
		values = der_enter(&one, DER_SET);
		if (bytes_eq(oid,
			bytes_of(extension_request, sizeof(extension_request))))
			a->extensions = der_value(&values, DER_SEQ);
	}
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
		read_attributes(der_enter(&info, DER_CTX(0)), a);
	return der_end(&info) && der_end(&csr) && der_end(&d)
	    ? 0
	    : cmp_malformed(m, e);
}

static EVP_PKEY *
read_key(struct bytes spki, struct err *e)
{
	AUTO(EVP_PKEY) key = NULL;
	struct buf der AUTO_BUF = { 0 };

	if (spki.len > SPKI_MAX) {
		err_fail(e, ERR_INPUT, CMP_BAD_ALG,
		    "cmp: public key of %zu octets, limit %d", spki.len,
		    SPKI_MAX);
		return NULL;
	}
	/* [6] IMPLICIT took the place of the SEQUENCE's own tag. */
	der_add(&der, DER_SEQ, spki);
	if ((key = ossl_spki_parse(buf_bytes(&der))) == NULL) {
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

/* Controls ::= SEQUENCE OF { type, value }.  What is not named here is ignored
 * (RFC 9483 4.1). */
static int
read_controls(struct bytes controls, struct cmp_request *ret, struct err *e)
{
	struct der list = der_open(controls), one, id, issuer;
	struct bytes oid;

	while (der_peek(&list) == DER_SEQ) {
		one = der_enter(&list, DER_SEQ);
		oid = der_value(&one, DER_OID);
		if (!bytes_eq(oid, bytes_of(old_cert_id, sizeof(old_cert_id))))
			continue;
		id = der_enter(&one, DER_SEQ);
		issuer = der_enter(&id, DER_CTX(4)); /* directoryName */
		ret->old.issuer = der_whole(&issuer, DER_SEQ);
		ret->old.serial = der_value(&id, DER_INTEGER);
		ret->has_old =
		    der_end(&issuer) && der_end(&id) && der_end(&one);
		if (!ret->has_old)
			return err_fail(e, ERR_INPUT, CMP_BAD_CERT_ID,
			    "cmp: RFC 4211 6.5: oldCertId is not issuer and "
			    "serial number");
	}
	return der_end(&list) ? 0
			      : err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
				    "cmp: controls malformed");
}

int
cmp_read_request(
    const struct cmp_msg *m, struct cmp_request *ret, struct err *e)
{
	AUTO(EVP_PKEY) key = NULL;
	AUTO(X509_NAME) subject = NULL;
	struct cmp_request r = { .id = -1 };
	struct asked a = { 0 };

	if (m->type == CMP_IR || m->type == CMP_CR || m->type == CMP_KUR) {
		if (read_crmf(m, &a, &r.id, e) == -1)
			return -1;
	} else if (read_p10(m, &a, e) == -1) {
		return -1;
	}
	if (read_subject(a.subject, &subject, e) == -1 ||
	    (key = read_key(a.spki, e)) == NULL ||
	    read_controls(a.controls, &r, e) == -1)
		return -1;
	if (cmp_check_alg(a.alg, e) == -1) {
		if (e != NULL && e->fail != CMP_BAD_ALG)
			e->fail = CMP_BAD_POP;
		return err_prefix(e, "proof of possession");
	}
	if (!cmp_signed(a.tbs, a.alg, a.sig, key))
		return cmp_fail_ossl(e, ERR_INPUT, CMP_BAD_POP,
		    "cmp: RFC 9483 4.1.1: proof of possession does not hold");
	r.pubkey = STEAL(key);
	r.subject = STEAL(subject);
	r.tmpl = digest_of(a.tmpl.p, a.tmpl.len);
	r.extensions = a.extensions;
	*ret = r;
	return 0;
}

STACK_OF(X509_EXTENSION) *
    cmp_request_extensions(const struct cmp_request *r, struct err *e)
{
	struct buf der AUTO_BUF = { 0 };
	STACK_OF(X509_EXTENSION) * ret;
	const uint8_t *p;

	der_add(&der, DER_SEQ, r->extensions);
	p = der.data;
	ret = d2i_X509_EXTENSIONS(NULL, &p, (long)der.len);
	if (ret == NULL)
		cmp_fail_ossl(e, ERR_INPUT, CMP_BAD_CERT_TEMPLATE,
		    "cmp: extensions asked for malformed");
	return ret;
}

void
cmp_request_done(struct cmp_request *r)
{
	EVP_PKEY_free(r->pubkey);
	X509_NAME_free(r->subject);
	*r = (struct cmp_request){ 0 };
}
