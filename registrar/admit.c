#include "registrar/admit.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/cmp.h"
#include "registrar/prefetch.h"
#include "registrar/reference.h"

static int
not_authorized(struct err *e, const char *why)
{
	return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED, "%s", why);
}

/* Most show the same to TLS and in the message: it was decoded once. */
static void
push_once(STACK_OF(X509) * all, X509 *x)
{
	for (int i = 0; i < sk_X509_num(all); i++)
		if (sk_X509_value(all, i) == x)
			return;
	sk_X509_push(all, x);
}

/* What travels has with it all that its signer is judged by. */
static STACK_OF(X509) *
    admit_untrusted(const struct admit *a, const X509 *whose)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	const STACK_OF(X509) * from[] = { a->sent, a->tls_sent };
	size_t n = a->travels && whose == a->signer ? 1 : NELEMS(from);

	for (size_t i = 0; i < n; i++)
		for (int j = 0; j < sk_X509_num(from[i]); j++)
			push_once(all, sk_X509_value(from[i], j));
	return all;
}

/* The registrars and services of our domain are no devices of it. */
static int
chain_domain(const struct registrar *r, X509 *x,
    const STACK_OF(X509) * untrusted, struct err *e)
{
	const char *anchor;
	char name[33];
	struct err none = ERR_INIT;

	if (trust_check(r->domain, x, untrusted, clock_judge_time(), &anchor,
		NULL, e) == -1)
		return -1;
	if (cert_has_cmcra(x) || cert_site(x, name, &none) == 0 ||
	    cert_service(x, name, &none) == 0)
		return not_authorized(
		    e, "the certificate is of the domain's own, no device's");
	return 0;
}

static int
chain_to(const struct registrar *r, bool domain, const struct admit *a, X509 *x,
    const char **ret_vendor, struct err *e)
{
	STACK_OF(X509) *untrusted = admit_untrusted(a, x);
	int rc;

	*ret_vendor = "";
	rc = domain ? chain_domain(r, x, untrusted, e)
		    : trust_check(r->vendors, x, untrusted, clock_judge_time(),
			  ret_vendor, NULL, e);
	sk_X509_free(untrusted);
	return rc;
}

/* A certificate that is believed, but not for this, is told so. */
static int
admit_chain(const struct registrar *r, struct admit *a, struct err *e)
{
	struct err other = ERR_INIT;

	a->ldevid = a->as == ADMIT_LDEVID;
	if (chain_to(r, a->ldevid, a, a->signer, &a->vendor, e) == 0)
		return 0;
	if (a->kind != ENTRY_CMP)
		return -1;
	if (chain_to(r, !a->ldevid, a, a->signer, &a->vendor, &other) == -1) {
		if (other.kind == ERR_POLICY)
			*e = other;
		return -1;
	}
	a->ldevid = !a->ldevid;
	if (a->as == ADMIT_EITHER)
		return 0;
	return not_authorized(e,
	    a->ldevid ? "signed with a certificate of this domain, a "
			"manufacturer's is asked for"
		      : "signed with a manufacturer's certificate, one of "
			"this domain is asked for");
}

/* ---- who is at the other end ------------------------------------------- */

static bool
admit_is_client(const struct admit *a)
{
	return X509_cmp(a->tls_client, a->signer) == 0;
}

/* An IDevID that came here before. */
static bool
known_here(const struct registrar *r, const struct admit *a, X509 *idevid)
{
	const struct {
		enum entry_kind kind;
		const char *profile;
	} as[] = { { ENTRY_CMP, a->profile }, { ENTRY_CMP, "" },
		{ ENTRY_VOUCHER, "" } };
	struct outbox_entry en;
	struct err e = ERR_INIT;
	int found = 0;

	for (size_t i = 0; i < NELEMS(as) && found != 1; i++) {
		struct digest device = cert_device(idevid, as[i].profile);

		found = outbox_newest(r->outbox, as[i].kind, &device, &en, &e);
	}
	return found == 1;
}

/* DESIGN section 9: IDevID and LDevID of one device. */
static int
admit_sibling(const struct registrar *r, const struct admit *a, struct err *e)
{
	X509 *idevid = a->ldevid ? a->tls_client : a->signer;
	char serial[CERT_TEXT_MAX];
	const char *vendor;
	struct err why = ERR_INIT;

	if (a->through || admit_is_client(a))
		return 0;
	if (cert_subject_serial(a->tls_client, serial, &why) == -1 ||
	    strcmp(serial, a->serial) != 0 ||
	    chain_to(r, !a->ldevid, a, a->tls_client, &vendor, &why) == -1 ||
	    !known_here(r, a, idevid))
		return not_authorized(
		    e, "TLS client and signer of the request differ");
	return reference_denied(r, a->tls_client, e);
}

/*
 * The device's own certificate must be what it showed to TLS (DECISIONS 14):
 * a captured request is worth nothing on another device's connection.  What
 * can be told at once is told before chains are built.
 */
static int
admit_client(const struct admit *a, struct err *e)
{
	char serial[CERT_TEXT_MAX], other[CERT_TEXT_MAX];
	struct err why = ERR_INIT;

	if (a->tls_client == NULL)
		return not_authorized(e, "no TLS client certificate was shown");
	if (a->through || admit_is_client(a))
		return 0;
	if (a->kind != ENTRY_CMP ||
	    cert_subject_serial(a->tls_client, other, &why) == -1 ||
	    cert_subject_serial(a->signer, serial, &why) == -1 ||
	    strcmp(serial, other) != 0)
		return not_authorized(
		    e, "TLS client and signer of the request differ");
	return 0;
}

/* ---- what is known of it ----------------------------------------------- */

static void
facts_revocation(struct admit *a)
{
	if (a->revocation != REVOCATION_NOT_ASKED)
		facts_set(&a->facts, "revocation", FACT_REGISTRAR,
		    revocation_name(a->revocation));
}

static void
admit_facts(struct admit *a)
{
	static const char *const names[][3] = {
		{ "idevid.issuer", "idevid.serial", "idevid.subject-serial" },
		{ "ldevid.issuer", "ldevid.serial", "ldevid.subject-serial" },
	};
	char text[FACT_VALUE_MAX], hex[2 * DIGEST_LEN + 1];
	struct digest spki = cert_spki_digest(a->signer);
	struct facts *f = &a->facts;

	facts_set(f, names[a->ldevid][0], FACT_REGISTRAR,
	    cert_issuer_text(a->signer, text, sizeof(text)));
	facts_set(f, names[a->ldevid][1], FACT_REGISTRAR,
	    cert_serial_hex(a->signer, text, sizeof(text)));
	facts_set(f, names[a->ldevid][2], FACT_REGISTRAR, a->serial);
	if (!a->ldevid)
		facts_set(f, "vendor", FACT_REGISTRAR, a->vendor);
	facts_revocation(a);
	facts_set(f, "signer.spki", FACT_REGISTRAR,
	    hex_format(hex, spki.b, DIGEST_LEN));
	facts_set(f, "profile", FACT_REGISTRAR, a->profile);
	facts_set(f, "tls.same-signer", FACT_REGISTRAR,
	    admit_is_client(a) ? "true" : "false");
	facts_set(f, "time.quality", FACT_REGISTRAR,
	    clock_quality_name(clock_now().quality));
}

/* A request that still waits, or gave way to a newer one, is no verdict. */
static bool
is_verdict(const struct outbox_entry *en)
{
	return registrar_deliverable(en) || en->state == ENTRY_REFUSED ||
	    (en->state == ENTRY_WITHDRAWN && en->replaced_by == 0);
}

/* The last word on this device: asking again, with nobody there to answer,
 * must not undo it. */
static int
last_verdict(const struct registrar *r, const struct admit *a,
    struct outbox_entry *ret, struct err *e)
{
	struct digest device = cert_device(a->signer, "");
	int found = outbox_newest(r->outbox, ENTRY_VOUCHER, &device, ret, e);

	while (found == 1 && !is_verdict(ret))
		found = outbox_older(r->outbox, ret, ret, e);
	return found;
}

/*
 * RFC 8995 5.8.3: a device whose maker refused it, or whose audit log names
 * another owner, is not enrolled either.
 */
static int
admit_voucher(const struct registrar *r, const struct admit *a, struct err *e)
{
	struct outbox_entry en;
	int found = last_verdict(r, a, &en, e);

	if (found == -1)
		return -1;
	if (found == 1 &&
	    (!registrar_deliverable(&en) || en.answer_code == BATCH_REFUSED))
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "its voucher was refused: %s", en.reason);
	if (r->conf.brski.enrol_without_voucher || found == 1 ||
	    prefetch_given(r, a->vendor, a->serial, &en, e) == 1)
		return 0;
	return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
	    "no voucher was delivered to this device");
}

static int
admit_purpose(const struct admit *a, struct err *e)
{
	if (cert_is_ca(a->signer))
		return not_authorized(e, "the signer is a CA, not a device");
	if (!cert_may_be_client(a->signer))
		return not_authorized(e,
		    "RFC 5280 4.2.1.12: extendedKeyUsage without clientAuth");
	return 0;
}

/* What its maker's lists say: a chain is built for them alone, since one that
 * was remembered is not told. */
static int
admit_revoked(const struct registrar *r, struct admit *a, struct err *e)
{
	AUTO(X509S) chain = NULL;
	STACK_OF(X509) * untrusted;
	const char *vendor;
	int rc;

	a->revocation = REVOCATION_NOT_ASKED;
	if (a->ldevid || !revocation_asks(r->revoked, a->vendor))
		return 0;
	untrusted = admit_untrusted(a, a->signer);
	rc = trust_check(r->vendors, a->signer, untrusted, clock_judge_time(),
	    &vendor, &chain, e);
	sk_X509_free(untrusted);
	return rc == -1 ? -1
			: revocation_check(r->revoked, vendor, chain,
			      clock_judge_time(), &a->revocation, e);
}

int
admit_check(const struct registrar *r, struct admit *a, struct err *e)
{
	if (admit_client(a, e) == -1 || admit_chain(r, a, e) == -1 ||
	    reference_denied(r, a->signer, e) == -1 ||
	    admit_purpose(a, e) == -1 || admit_revoked(r, a, e) == -1)
		return -1;
	/* RFC 8995 2.3.1: the IDevID's subject names the device, and the
	 * LDevID's after it. */
	if (cert_subject_serial(a->signer, a->serial, e) == -1) {
		e->kind = ERR_POLICY;
		e->fail = CMP_NOT_AUTHORIZED;
		return -1;
	}
	if (admit_sibling(r, a, e) == -1)
		return -1;
	if (a->kind == ENTRY_CMP && !a->ldevid && admit_voucher(r, a, e) == -1)
		return -1;
	admit_facts(a);
	return 0;
}

/* ---- before anything new ------------------------------------------------ */

/* The list is stale, or of another authority. */
static int
ldevid_unknown(const struct registrar *r, X509 *x, const char *why,
    enum revocation_word *ret, struct err *e)
{
	char serial[CERT_TEXT_MAX];

	if (r->conf.domain_crl_unknown == REG_UNKNOWN_REFUSE)
		return err_fail(e, ERR_TRUST, CMP_SIGNER_NOT_TRUSTED,
		    "certificate: nobody knows whether it is revoked: %s", why);
	log_event(LOG_INFO, "admit.revocation-unknown", "certificate", "%s",
	    cert_serial_hex(x, serial, sizeof(serial)), "reason", "%s", why,
	    NULL);
	*ret = REVOCATION_UNKNOWN;
	return 0;
}

int
admit_ldevid(const struct registrar *r, X509 *x, enum revocation_word *ret,
    struct err *e)
{
	enum crl_word w;
	char why[200];

	*ret = REVOCATION_NOT_ASKED;
	if (!reference_revoked(r, x, &w, why, sizeof(why)))
		return 0;
	if (w == CRL_REVOKED)
		return err_fail(
		    e, ERR_TRUST, CMP_CERT_REVOKED, "certificate: %s", why);
	if (w == CRL_UNKNOWN)
		return ldevid_unknown(r, x, why, ret, e);
	*ret = REVOCATION_GOOD;
	return 0;
}

int
admit_new(const struct registrar *r, struct admit *a, struct err *e)
{
	enum revocation_word w;

	if (a->ldevid) {
		if (admit_ldevid(r, a->signer, &a->revocation, e) == -1)
			return -1;
		facts_revocation(a);
		return 0;
	}
	/* admit_sibling found it to be of the domain. */
	if (a->through || admit_is_client(a))
		return 0;
	return admit_ldevid(r, a->tls_client, &w, e) == -1
	    ? err_prefix(e, "TLS client")
	    : 0;
}
