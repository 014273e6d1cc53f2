#include "registrar/admit.h"

#include <string.h>
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/cmp.h"
#include "registrar/prefetch.h"

/* The device's own certificate must be what it showed to TLS (DECISIONS 14):
 * a captured request is worth nothing on another device's connection. */
static int
admit_same_device(const struct admit *a, struct err *e)
{
	if (a->tls_client == NULL)
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "no TLS client certificate was shown");
	if (X509_cmp(a->tls_client, a->signer) != 0)
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "TLS client and signer of the request differ");
	return 0;
}

static STACK_OF(X509) * admit_untrusted(const struct admit *a)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	const STACK_OF(X509) * from[] = { a->sent, a->tls_sent };

	for (size_t i = 0; i < NELEMS(from); i++)
		for (int j = 0; j < sk_X509_num(from[i]); j++)
			sk_X509_push(all, sk_X509_value(from[i], j));
	return all;
}

static int
admit_chain(const struct registrar *r, struct admit *a, struct err *e)
{
	STACK_OF(X509) *untrusted = admit_untrusted(a);
	int rc = trust_check(r->vendors, a->signer, untrusted,
	    clock_judge_time(), &a->vendor, NULL, e);

	sk_X509_free(untrusted);
	return rc;
}

static void
admit_facts(struct admit *a)
{
	char text[FACT_VALUE_MAX], hex[2 * DIGEST_LEN + 1];
	struct digest spki = spki_digest(X509_get0_pubkey(a->signer));
	struct facts *f = &a->facts;

	facts_set(f, "idevid.issuer", FACT_REGISTRAR,
	    cert_issuer_text(a->signer, text, sizeof(text)));
	facts_set(f, "idevid.serial", FACT_REGISTRAR,
	    cert_serial_hex(a->signer, text, sizeof(text)));
	facts_set(f, "idevid.subject-serial", FACT_REGISTRAR, a->serial);
	facts_set(f, "vendor", FACT_REGISTRAR, a->vendor);
	facts_set(f, "signer.spki", FACT_REGISTRAR,
	    hex_format(hex, spki.b, DIGEST_LEN));
	facts_set(f, "profile", FACT_REGISTRAR, a->profile);
	facts_set(f, "tls.same-signer", FACT_REGISTRAR, "true");
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

int
admit_check(const struct registrar *r, struct admit *a, struct err *e)
{
	if (admit_same_device(a, e) == -1 || admit_chain(r, a, e) == -1 ||
	    denylist_check(r->denied, a->signer, e) == -1)
		return -1;
	if (cert_is_ca(a->signer))
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "the signer is a CA, not a device");
	if (!cert_may_be_client(a->signer))
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "RFC 5280 4.2.1.12: extendedKeyUsage without clientAuth");
	/* RFC 8995 2.3.1: the IDevID's subject names the device. */
	if (cert_subject_serial(a->signer, a->serial, e) == -1) {
		e->kind = ERR_POLICY;
		e->fail = CMP_NOT_AUTHORIZED;
		return -1;
	}
	if (a->kind == ENTRY_CMP && admit_voucher(r, a, e) == -1)
		return -1;
	admit_facts(a);
	return 0;
}
