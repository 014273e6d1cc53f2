/* Bodies read: what is asked for, confirmed, answered. */
#include "common/pki/cmp_msg.h"

#include <string.h>

#include <openssl/err.h>

#define SPKI_MAX 1024 /* RSA with 4096 bits takes 550 */
#define TYPE(b)	 (1u << (b))

/* A reader of what is inside of [n]; the body must be one of `types`. */
static int
open_body(
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

/* A reader of the only element of the SEQUENCE OF that the body is. */
static int
open_single(
    const struct cmp_msg *m, uint32_t types, struct der *ret, struct err *e)
{
	struct der d, list;

	if (open_body(m, types, &d, e) == -1)
		return -1;
	list = der_enter(&d, DER_SEQ);
	if (der_count(list) != 1)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 4: %s of %zu elements, not one",
		    cmp_body_name(m->type), der_count(list));
	*ret = der_enter(&list, DER_SEQ);
	return 0;
}

static int
malformed(const struct cmp_msg *m, struct err *e)
{
	return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT, "cmp: %s malformed",
	    cmp_body_name(m->type));
}

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

	if (open_single(m, TYPE(m->type), &msg, e) == -1)
		return -1;
	again = msg;
	a->tbs = der_whole(&msg, DER_SEQ);
	req = der_enter(&again, DER_SEQ);
	*ret_id = der_long(&req);
	a->tmpl = der_whole(&req, DER_SEQ);
	if (der_peek(&req) == DER_SEQ)
		der_whole(&req, DER_SEQ); /* controls */
	if (!der_end(&req))
		return malformed(m, e);
	if (*ret_id != 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "cmp: RFC 9483 4.1.1: certReqId %ld, not 0", *ret_id);
	tmpl = der_open(a->tmpl);
	if (read_template(der_enter(&tmpl, DER_SEQ), a, e) == -1 ||
	    read_pop(&msg, a, e) == -1)
		return -1;
	if (der_peek(&msg) == DER_SEQ)
		der_whole(&msg, DER_SEQ); /* regInfo */
	return der_end(&msg) ? 0 : malformed(m, e);
}

/* RFC 2986 4: { { version, subject, spki, [0] attributes }, alg, sig } */
static int
read_p10(const struct cmp_msg *m, struct asked *a, struct err *e)
{
	struct der d, csr, top, info;

	if (open_body(m, TYPE(CMP_P10CR), &d, e) == -1)
		return -1;
	csr = der_enter(&d, DER_SEQ);
	a->tbs = a->tmpl = der_whole(&csr, DER_SEQ);
	a->alg = der_whole(&csr, DER_SEQ);
	a->sig = der_whole(&csr, DER_BITS);
	top = der_open(a->tbs);
	info = der_enter(&top, DER_SEQ);
	if (der_long(&info) != 0)
		return malformed(m, e);
	a->subject = der_whole(&info, DER_SEQ);
	a->spki = der_value(&info, DER_SEQ);
	if (der_peek(&info) == DER_CTX(0))
		der_whole(&info, DER_CTX(0));
	return der_end(&info) && der_end(&csr) && der_end(&d) ? 0
							      : malformed(m, e);
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

	if (open_single(m, TYPE(CMP_POLLREQ), &d, e) == -1)
		return -1;
	id = der_long(&d);
	if (!der_end(&d))
		return malformed(m, e);
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

	if (open_single(m, TYPE(CMP_POLLREP), &d, e) == -1)
		return -1;
	id = der_long(&d);
	secs = der_long(&d);
	if (der_peek(&d) == DER_SEQ)
		der_whole(&d, DER_SEQ); /* reason */
	if (!der_end(&d) || secs < 0)
		return malformed(m, e);
	if (check_poll_id(m, id, e) == -1)
		return -1;
	*ret_id = id;
	*ret_secs = (uint32_t)secs;
	return 0;
}

/* A UTF8String for logs and terminals: one line of ASCII. */
static void
read_text(struct der *texts, char ret[CMP_TEXT_MAX + 1])
{
	struct bytes t = der_value(texts, DER_UTF8);
	size_t i;

	for (i = 0; i < t.len && i < CMP_TEXT_MAX; i++)
		ret[i] = t.p[i] < 0x20 || t.p[i] > 0x7e ? '?' : (char)t.p[i];
	ret[i] = '\0';
}

/* BIT STRING: bit 0 is the highest of the first octet. */
static uint32_t
read_bits(struct der *d)
{
	struct bytes v = der_value(d, DER_BITS);
	uint32_t bits = 0;
	size_t i;

	if (v.len < 1 || v.p[0] > 7) {
		d->bad = true;
		return 0;
	}
	for (i = 0; i < 8 * (v.len - 1) && i < 32; i++)
		if ((v.p[1 + i / 8] & 0x80 >> i % 8) != 0)
			bits |= 1u << i;
	return bits;
}

/* PKIStatusInfo, RFC 9810 5.2.3; the warnings above waiting are for rp. */
static void
read_status(struct der *d, struct cmp_response *r)
{
	struct der s = der_enter(d, DER_SEQ), texts;
	long status = der_long(&s);

	if (der_peek(&s) == DER_SEQ) {
		texts = der_enter(&s, DER_SEQ);
		read_text(&texts, r->text);
		s.bad |= texts.bad;
	}
	if (der_peek(&s) == DER_BITS)
		r->fail = read_bits(&s);
	if (!der_end(&s) || status < CMP_ACCEPTED || status > CMP_WAITING)
		d->bad = true;
	r->status = (enum cmp_status)status;
}

int
cmp_read_certconf(
    const struct cmp_msg *m, struct cmp_certconf *ret, struct err *e)
{
	struct cmp_certconf c = { .hash_nid = NID_undef };
	struct cmp_response r = { 0 };
	struct der d, alg;

	if (open_single(m, TYPE(CMP_CERTCONF), &d, e) == -1)
		return -1;
	c.hash = der_value(&d, DER_OCTETS);
	c.id = der_long(&d);
	if (der_peek(&d) == DER_SEQ)
		read_status(&d, &r);
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
		return malformed(m, e);
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

void
cmp_response_done(struct cmp_response *r)
{
	X509_free(r->cert);
	x509s_free(r->ca_pubs);
	*r = (struct cmp_response){ 0 };
}

/* CertifiedKeyPair: a plain certificate; a private key sealed for the device
 * and publicationInfo are passed over. */
static int
read_key_pair(struct der *d, X509 **ret, struct err *e)
{
	struct der pair = der_enter(d, DER_SEQ), cert;
	struct bytes der;
	uint8_t n;

	if (der_peek(&pair) != DER_CTX(0))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: certOrEncCert is not a plain certificate");
	cert = der_enter(&pair, DER_CTX(0));
	der = der_whole(&cert, DER_SEQ);
	for (n = 0; n <= 1; n++)
		if (der_peek(&pair) == DER_CTX(n))
			der_whole(&pair, DER_CTX(n));
	if (!der_end(&cert) || !der_end(&pair))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: certifiedKeyPair malformed");
	if ((*ret = ossl_cert_parse(der, e)) == NULL)
		return err_prefix(e, "cmp: certificate issued");
	return 0;
}

/* The one CertResponse. */
static int
read_cert_response(const struct cmp_msg *m, struct der *list,
    struct cmp_response *r, struct err *e)
{
	struct der d = der_enter(list, DER_SEQ);
	bool issued;

	r->id = der_long(&d);
	read_status(&d, r);
	if (der_peek(&d) == DER_SEQ && read_key_pair(&d, &r->cert, e) == -1)
		return -1;
	if (der_peek(&d) == DER_OCTETS)
		der_whole(&d, DER_OCTETS); /* rspInfo */
	if (!der_end(&d))
		return malformed(m, e);
	issued =
	    r->status == CMP_ACCEPTED || r->status == CMP_GRANTED_WITH_MODS;
	if (issued != (r->cert != NULL))
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: RFC 9483 4.1.1: %s with status %d %s a certificate",
		    cmp_body_name(m->type), (int)r->status,
		    issued ? "lacks" : "holds");
	return 0;
}

/* CertRepMessage { caPubs [1], SEQUENCE OF CertResponse } */
static int
read_cert_rep(const struct cmp_msg *m, struct der *d, struct cmp_response *r,
    struct err *e)
{
	struct der rep = der_enter(d, DER_SEQ), list;

	if (der_peek(&rep) == DER_CTX(1) &&
	    (r->ca_pubs = cmp_certs(
		 der_value(&rep, DER_CTX(1)), "caPubs", e)) == NULL)
		return -1;
	list = der_enter(&rep, DER_SEQ);
	if (!der_end(&rep) || der_count(list) != 1)
		return err_fail(e, ERR_INPUT, CMP_BAD_DATA_FORMAT,
		    "cmp: RFC 9483 4.1.1: %s is not one CertResponse",
		    cmp_body_name(m->type));
	return read_cert_response(m, &list, r, e);
}

int
cmp_read_response(
    const struct cmp_msg *m, struct cmp_response *ret, struct err *e)
{
	struct cmp_response r = { 0 };
	struct der d;

	if (open_body(m, TYPE(CMP_IP) | TYPE(CMP_CP) | TYPE(CMP_KUP), &d, e) ==
	    -1)
		return -1;
	if (read_cert_rep(m, &d, &r, e) == -1) {
		cmp_response_done(&r);
		return -1;
	}
	*ret = r;
	return 0;
}

int
cmp_read_error(const struct cmp_msg *m, struct cmp_response *ret, struct err *e)
{
	struct cmp_response r = { 0 };
	struct der d, msg;

	if (open_body(m, TYPE(CMP_ERROR), &d, e) == -1)
		return -1;
	msg = der_enter(&d, DER_SEQ);
	read_status(&msg, &r);
	if (der_peek(&msg) == DER_INTEGER)
		der_whole(&msg, DER_INTEGER); /* errorCode */
	if (der_peek(&msg) == DER_SEQ)
		der_whole(&msg, DER_SEQ); /* errorDetails */
	if (!der_end(&msg))
		return malformed(m, e);
	*ret = r;
	return 0;
}

int
cmp_read_nested(const struct cmp_msg *m, struct bytes *ret, struct err *e)
{
	struct der d, list, again, inner;
	struct bytes whole;

	if (open_body(m, TYPE(CMP_NESTED), &d, e) == -1)
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
