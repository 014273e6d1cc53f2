#include "ra/judge_int.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/service/claims.h"

#define TX_LABEL     "waybill-ra-tx/1"
#define HOLDER_LABEL "waybill-ra-holder/1"

void
verdict_done(struct verdict *v)
{
	cmp_request_done(&v->request);
	profile_grant_done(&v->grant);
	*v = (struct verdict){ 0 };
}

struct digest
judge_tx(const struct cmp_msg *m, const struct digest *spki)
{
	struct bytes tid = cmp_transaction_id(m);
	struct buf text AUTO_BUF = { 0 };

	cbor_write_array(&text, 3);
	cbor_write_text(&text, TX_LABEL);
	cbor_write_bytes(&text, tid.p, tid.len);
	cbor_write_bytes(&text, spki->b, sizeof(spki->b));
	return digest_of(text.data, text.len);
}

struct digest
judge_holder(const char *vendor, const char *serial, const char *profile)
{
	struct buf text AUTO_BUF = { 0 };

	cbor_write_array(&text, 4);
	cbor_write_text(&text, HOLDER_LABEL);
	cbor_write_text(&text, vendor);
	cbor_write_text(&text, serial);
	cbor_write_text(&text, profile);
	return digest_of(text.data, text.len);
}

static const char *
fact(const struct verdict *v, const char *name)
{
	const struct fact *f = facts_get(&v->facts, name);

	return f != NULL && f->level == FACT_END_TO_END ? f->value : "";
}

/* ---- certificates ------------------------------------------------------ */

/* A key update stays within the profile of the certificate that it updates. */
static int
judge_profile(const struct judge *j, const struct cmp_msg *m,
    const struct known *old, struct verdict *v, struct err *e)
{
	const struct fact *was = facts_get(&old->facts, "profile");
	const char *name = cmp_profile(m);

	if (cmp_body(m) == CMP_KUR && was != NULL) {
		if (name[0] != '\0' && strcmp(name, was->value) != 0)
			return err_fail(e, ERR_POLICY, CMP_BAD_REQUEST,
			    "certProfile: '%s', but the certificate to be "
			    "updated is of '%s'",
			    name, was->value);
		name = was->value;
	}
	v->profile = profile_find(j->profiles, j->plain, name, e);
	if (v->profile == NULL)
		return -1;
	facts_set(&v->facts, "profile", FACT_END_TO_END, name);
	v->holder = judge_holder(fact(v, "vendor"), v->serial, name);
	return 0;
}

/* RFC 9483 4.1.3: signed with the certificate that is updated. */
static int
judge_old(const struct verdict *v, struct err *e)
{
	if (!v->request.has_old || cmp_names_cert(&v->request.old, v->signer))
		return 0;
	return err_fail(e, ERR_POLICY, CMP_BAD_CERT_ID,
	    "oldCertId: RFC 9483 4.1.3: not the certificate that signed");
}

static int
judge_certificate(const struct judge *j, const struct cmp_msg *m,
    const struct known *old, struct verdict *v, struct err *e)
{
	const X509_NAME *subject =
	    cmp_body(m) == CMP_KUR ? X509_get_subject_name(v->signer) : NULL;

	if (cmp_read_request(m, &v->request, e) == -1 ||
	    (subject != NULL && judge_old(v, e) == -1) ||
	    judge_profile(j, m, old, v, e) == -1)
		return -1;
	return profile_apply(
	    v->profile, &v->request, v->serial, subject, &v->grant, e);
}

/* ---- revocations ------------------------------------------------------- */

/* RFC 9483 4.2: signed with the certificate that is to be revoked.  RFC 9810
 * 5.2.3 has a word each for one that nobody has, and for somebody else's. */
static int
judge_named(const struct judge *j, const struct cmp_revocation *r,
    const struct verdict *v, struct err *e)
{
	int rc;

	if (cmp_names_cert(&r->cert, v->signer))
		return 0;
	rc = j->issued != NULL ? j->issued(j->arg, &r->cert, e) : 0;
	if (rc == -1)
		return -1;
	return rc == 1
	    ? err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		  "rr: RFC 9483 4.2: not the certificate that signed")
	    : err_fail(e, ERR_POLICY, CMP_BAD_CERT_ID,
		  "rr: there is no such certificate");
}

static int
judge_revocation(const struct judge *j, const struct cmp_msg *m,
    struct verdict *v, struct err *e)
{
	struct cmp_revocation r;

	if (cmp_read_rr(m, &r, e) == -1 || judge_named(j, &r, v, e) == -1)
		return -1;
	if (r.reason == 8)
		return err_fail(e, ERR_POLICY, CMP_BAD_REQUEST,
		    "rr: removeFromCRL: what is revoked stays so");
	v->reason = (unsigned)r.reason;
	return 0;
}

/* ---- all of them ------------------------------------------------------- */

static int
judge_deadline(
    const struct entry_header *h, const struct stamp *now, struct err *e)
{
	if (claims_deadline(h, now, e) == 0)
		return 0;
	e->fail = CMP_BAD_TIME;
	return -1;
}

static int
judge_body(const struct judge *j, const struct cmp_msg *m,
    const struct known *old, struct verdict *v, struct err *e)
{
	switch ((int)cmp_body(m)) {
	case CMP_RR:
		return judge_revocation(j, m, v, e);
	case CMP_GENM:
		return cmp_read_info(m, &v->info, e);
	default:
		return judge_certificate(j, m, old, v, e);
	}
}

static int
judge_served(const struct entry_header *h, enum cmp_body b, struct verdict *v,
    struct err *e)
{
	v->initial = b == CMP_IR || b == CMP_P10CR;
	if (v->initial || b == CMP_CR || b == CMP_KUR || b == CMP_RR ||
	    b == CMP_GENM)
		return 0;
	claims_facts(h, JUDGE_FACTS, &v->facts);
	return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
	    "message: %s is not served here", cmp_body_name(b));
}

int
judge_request(const struct judge *j, const struct entry_header *h,
    const struct cmp_msg *m, const struct stamp *now, struct verdict *ret,
    struct err *e)
{
	struct known old = { .id = 0 };

	if (judge_served(h, cmp_body(m), ret, e) == -1 ||
	    judge_signer(j, h, m, now, ret, &old, e) == -1)
		return -1;
	/* RFC 9483 3.6.2: genm has no body in which to refuse. */
	ret->in_body = cmp_body(m) != CMP_GENM;
	if (judge_deadline(h, now, e) == -1 ||
	    judge_body(j, m, &old, ret, e) == -1)
		return -1;
	if (ret->unsure)
		return err_set(e, ERR_RETRY,
		    "certificate: expired, perhaps after the request was "
		    "received (its registrar's clock: %s)",
		    clock_quality_name(h->received.quality));
	if (ret->blind)
		return err_set(e, ERR_RETRY,
		    "certificate: its maker's list of revoked ones is missing "
		    "or stale");
	return 0;
}
