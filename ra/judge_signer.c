/* Who signed: a device with its maker's certificate, or with one of ours. */
#include "ra/judge_int.h"

#include <string.h>
#include "common/base/str.h"
#include "common/service/claims.h"

/* What a registrar's clock may be off: one that is disciplined, one that runs
 * free; in seconds. */
#define SKEW  300
#define SLACK 86400

/* ---- facts ------------------------------------------------------------- */

void
facts_of_signer(struct verdict *v, const char *profile)
{
	char text[FACT_VALUE_MAX], hex[2 * DIGEST_LEN + 1];
	struct facts *f = &v->facts;

	facts_set(f, "idevid.issuer", FACT_END_TO_END,
	    cert_issuer_text(v->signer, text, sizeof(text)));
	facts_set(f, "idevid.serial", FACT_END_TO_END,
	    cert_serial_hex(v->signer, text, sizeof(text)));
	facts_set(f, "idevid.subject-serial", FACT_END_TO_END, v->serial);
	facts_set(f, "signer.spki", FACT_END_TO_END,
	    hex_format(hex, v->spki.b, DIGEST_LEN));
	facts_set(f, "profile", FACT_END_TO_END, profile);
}

/* What was proven of the device when it got the certificate that it now signs
 * with. */
static void
facts_of_known(struct verdict *v, const struct known *k)
{
	static const char *const kept[] = { "idevid.issuer", "idevid.serial",
		"idevid.subject-serial", "vendor" };
	char text[FACT_VALUE_MAX], hex[2 * DIGEST_LEN + 1];
	struct facts *f = &v->facts;

	for (size_t i = 0; i < NELEMS(kept); i++) {
		const struct fact *was = facts_get(&k->facts, kept[i]);

		facts_set(f, kept[i], FACT_END_TO_END,
		    was != NULL && was->level == FACT_END_TO_END ? was->value
								 : "");
	}
	facts_set(f, "ldevid.serial", FACT_END_TO_END,
	    cert_serial_hex(v->signer, text, sizeof(text)));
	facts_set(f, "signer.spki", FACT_END_TO_END,
	    hex_format(hex, v->spki.b, DIGEST_LEN));
}

/* ---- chains ------------------------------------------------------------ */

/* RFC 8995 2.3.1: what asks is a device.  Its certificate tells that before any
 * chain is built or signature verified. */
static int
judge_purpose(X509 *signer, struct err *e)
{
	if (cert_is_ca(signer))
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "the signer is a CA, not a device");
	if (!cert_may_be_client(signer))
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "RFC 5280 4.2.1.12: extendedKeyUsage without clientAuth");
	return 0;
}

/* Seconds since 1970, both included. */
struct span {
	uint64_t from, to;
};

/* When the request may have been received: one moment if it is attested. */
static struct span
received_span(const struct judge *j, const struct entry_header *h,
    const struct stamp *now)
{
	uint64_t at = h->received.time;
	uint64_t first = j->earliest < now->time ? j->earliest : now->time;

	if (at > now->time + SKEW || at + SKEW < first)
		return (struct span){ first, now->time };
	if (h->received.quality == CLOCK_SYNC)
		return (struct span){ at, at };
	if (h->received.quality == CLOCK_RTC && at > first + SLACK)
		first = at - SLACK;
	return (struct span){ first, now->time };
}

/* If the dates do not hold now, they may have when the request was received,
 * which was not before there was this certificate. */
static int
judge_chain(const struct trust *t, const struct span *when,
    const struct cmp_msg *m, struct verdict *v, const char **ret_name,
    STACK_OF(X509) * *ret_chain, struct err *e)
{
	const STACK_OF(X509) *sent = cmp_extra_certs(m);
	uint64_t from, to;
	struct err then = ERR_INIT;

	if (trust_check(t, v->signer, sent, when->to, ret_name, ret_chain, e) ==
	    0)
		return 0;
	if (when->from == when->to ||
	    cert_validity(v->signer, &from, &to, &then) == -1 ||
	    trust_check(t, v->signer, sent,
		from > when->from ? from : when->from, ret_name, ret_chain,
		&then) == -1)
		return -1;
	v->unsure = true;
	return 0;
}

static int
not_authorized(struct err *e, const char *why)
{
	return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED, "signer: %s", why);
}

/* A sub-CA of the vendor's may be on the list as well. */
static int
judge_denied(const struct judge *j, const STACK_OF(X509) * chain, struct err *e)
{
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (denylist_check(j->denied, sk_X509_value(chain, i), e) ==
		    -1) {
			e->fail = CMP_NOT_AUTHORIZED;
			return -1;
		}
	return 0;
}

/* Protection, then who it is. */
static int
judge_identity(const struct judge *j, const struct cmp_msg *m,
    const STACK_OF(X509) * chain, struct verdict *v, struct err *e)
{
	if (cmp_verify(m, v->signer, e) == -1)
		return -1;
	v->spki = cert_spki_digest(v->signer);
	v->device = cert_device(v->signer, cmp_profile(m));
	if (cert_subject_serial(v->signer, v->serial, e) == -1) {
		e->fail = CMP_NOT_AUTHORIZED;
		return -1;
	}
	return judge_denied(j, chain, e);
}

/* ---- IDevIDs ----------------------------------------------------------- */

/* DESIGN 5, rule 5: unknown is not yes.  A registrar's word on it is none. */
static int
judge_revoked(const struct judge *j, const char *vendor,
    const STACK_OF(X509) * chain, const struct stamp *now, struct verdict *v,
    struct err *e)
{
	enum revocation_word w;

	if (revocation_check(j->revoked, vendor, chain,
		now->quality >= CLOCK_RTC ? now->time : 0, &w, e) == -1)
		return -1;
	if (w != REVOCATION_NOT_ASKED)
		facts_set(&v->facts, "revocation", FACT_END_TO_END,
		    revocation_name(w));
	v->blind = w == REVOCATION_HELD;
	return 0;
}

static int
judge_idevid(const struct judge *j, const struct span *when,
    const struct cmp_msg *m, const struct stamp *now, struct verdict *v,
    struct err *e)
{
	const char *vendor, *domain;
	struct err no = ERR_INIT;
	AUTO(X509S) chain = NULL;
	AUTO(X509S) ours = NULL;

	if (judge_chain(j->vendors, when, m, v, &vendor, &chain, e) == -1) {
		/* Another reason, if it is one of ours. */
		if (j->domain != NULL &&
		    judge_chain(j->domain, when, m, v, &domain, &ours, &no) ==
			0)
			return not_authorized(e,
			    "RFC 9483 4.1.1: an LDevID, where the factory "
			    "certificate must ask");
		return -1;
	}
	if (judge_identity(j, m, chain, v, e) == -1)
		return -1;
	facts_of_signer(v, cmp_profile(m));
	facts_set(&v->facts, "vendor", FACT_END_TO_END, vendor);
	return judge_revoked(j, vendor, chain, now, v, e);
}

/* ---- LDevIDs ----------------------------------------------------------- */

/* RFC 9483 4.2: rr tells of it in rp, all others in error. */
static int
judge_stands(const struct known *k, const struct cmp_msg *m, struct verdict *v,
    struct err *e)
{
	if (!k->revoked)
		return 0;
	v->in_body = cmp_body(m) == CMP_RR;
	return err_fail(e, ERR_POLICY,
	    v->in_body ? CMP_CERT_REVOKED : CMP_NOT_AUTHORIZED,
	    "signer: its certificate is %s", k->why);
}

static int
judge_ldevid(const struct judge *j, const struct span *when,
    const struct cmp_msg *m, struct verdict *v, struct known *k, struct err *e)
{
	struct err no = ERR_INIT;
	AUTO(X509S) chain = NULL;
	AUTO(X509S) maker = NULL;
	const char *name;
	int rc;

	if (j->domain == NULL)
		return not_authorized(e, "nobody has a certificate of ours");
	if (judge_chain(j->domain, when, m, v, &name, &chain, e) == -1) {
		if (judge_chain(j->vendors, when, m, v, &name, &maker, &no) ==
		    0)
			return not_authorized(e,
			    "RFC 9483 4.1.2: a factory certificate, where an "
			    "LDevID must ask");
		return -1;
	}
	if (judge_identity(j, m, chain, v, e) == -1 ||
	    (rc = j->known(j->arg, v->signer, k, e)) == -1)
		return -1;
	if (rc == 0)
		return not_authorized(e, "its certificate is no device's");
	v->signer_case = k->id;
	facts_of_known(v, k);
	return judge_stands(k, m, v, e);
}

int
judge_signer(const struct judge *j, const struct entry_header *h,
    const struct cmp_msg *m, const struct stamp *now, struct verdict *v,
    struct known *ret_known, struct err *e)
{
	struct span when = received_span(j, h, now);

	claims_facts(h, JUDGE_FACTS, &v->facts);
	if (cmp_check_header(m, e) == -1)
		return -1;
	if ((v->signer = cmp_find_signer(m, NULL, e)) == NULL)
		return -1;
	if (judge_purpose(v->signer, e) == -1)
		return -1;
	return v->initial ? judge_idevid(j, &when, m, now, v, e)
			  : judge_ldevid(j, &when, m, v, ret_known, e);
}
