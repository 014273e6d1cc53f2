#include "masa-client/judge.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/service/claims.h"

#define PREFETCH_LABEL "waybill-prefetch/1"
/* Facts set below, which must always find room. */
#define OUR_FACTS      6

/* A voucher request in its CMS. */
struct signed_request {
	struct cms_signed cms;
	struct vch_request v;
};

static void
signed_request_done(struct signed_request *r)
{
	cms_signed_done(&r->cms);
	vch_request_done(&r->v);
}
#define AUTO_REQUEST __attribute__((cleanup(signed_request_done)))

static int
open_request(struct bytes octets, const char *whose, struct signed_request *ret,
    struct err *e)
{
	if (cms_open(octets, NULL, &ret->cms, e) == -1 ||
	    vch_request_parse(buf_bytes(&ret->cms.content), &ret->v, e) == -1)
		return err_prefix(e, "%s", whose);
	return 0;
}

/* ---- before it is stored ----------------------------------------------- */

int
judge_unwrap(const struct entry_header *h, X509 *registrar, struct bytes octets,
    struct buf *ret, enum batch_code *ret_code, struct err *e)
{
	struct signed_request rvr AUTO_REQUEST = { 0 };
	struct bytes device;
	struct digest d;

	*ret_code = BATCH_TOO_LARGE;
	if (octets.len > CMS_OCTETS_MAX)
		return err_set(e, ERR_INPUT, "entry: %zu octets, limit %d",
		    octets.len, CMS_OCTETS_MAX);
	*ret_code = BATCH_BAD_SCHEMA;
	if (open_request(octets, "entry: registrar's request", &rvr, e) == -1) {
		if (e->kind == ERR_TRUST)
			*ret_code = BATCH_NOT_AUTHORISED;
		return -1;
	}
	*ret_code = BATCH_NOT_AUTHORISED;
	if (X509_cmp(rvr.cms.signer, registrar) != 0)
		return err_set(e, ERR_TRUST,
		    "entry: request and header have different signers");
	*ret_code = BATCH_BAD_SCHEMA;
	device = rvr.v.prior.len > 0 ? buf_bytes(&rvr.v.prior) : octets;
	d = digest_of(device.p, device.len);
	if (!digest_eq(&d, &h->digest))
		return err_set(e, ERR_INPUT,
		    "entry: the header's digest is not the request's");
	buf_add(ret, device.p, device.len);
	return 0;
}

/* ---- whose device it is ------------------------------------------------ */

static void
facts_of_device(struct request *r, X509 *idevid)
{
	char text[FACT_VALUE_MAX];
	struct facts *f = &r->facts;

	facts_set(f, "idevid.issuer", FACT_END_TO_END,
	    cert_issuer_text(idevid, text, sizeof(text)));
	facts_set(f, "idevid.serial", FACT_END_TO_END,
	    cert_serial_hex(idevid, text, sizeof(text)));
	facts_set(f, "idevid.subject-serial", FACT_END_TO_END, r->serial);
	facts_set(f, "vendor", FACT_END_TO_END, r->vendor);
}

static int
check_copied(const struct vch_request *rvr, const struct vch_request *prior,
    const char *serial, struct err *e)
{
	if (strcmp(prior->serial, serial) != 0)
		return err_set(e, ERR_TRUST,
		    "pledge's request: RFC 8995 5.5: serial-number is not its "
		    "certificate's");
	if (strcmp(rvr->serial, serial) != 0)
		return err_set(e, ERR_TRUST,
		    "registrar's request: RFC 8995 5.5: serial-number is not "
		    "the device's");
	if (strcmp(rvr->nonce, prior->nonce) != 0)
		return err_set(e, ERR_TRUST,
		    "registrar's request: RFC 8995 5.5: nonce is not the "
		    "pledge's");
	return 0;
}

/* DESIGN 5, rule 5: unknown is not yes.  A registrar's word on it is none. */
static int
judge_revoked(const struct revocation *revoked, const STACK_OF(X509) * chain,
    const struct stamp *now, struct request *ret, struct err *e)
{
	enum revocation_word w;

	if (revocation_check(revoked, ret->vendor, chain,
		now->quality >= CLOCK_RTC ? now->time : 0, &w, e) == -1)
		return err_prefix(e, "pledge's request: its signer");
	if (w != REVOCATION_NOT_ASKED)
		facts_set(&ret->facts, "revocation", FACT_END_TO_END,
		    revocation_name(w));
	ret->held = w == REVOCATION_HELD;
	return 0;
}

static int
judge_device(const struct trust *vendors, const struct revocation *revoked,
    const struct entry_header *h, const struct vch_request *rvr,
    const struct stamp *now, struct request *ret, struct err *e)
{
	struct signed_request prior AUTO_REQUEST = { 0 };
	AUTO(X509S) chain = NULL;
	const char *vendor;
	struct err none = ERR_INIT;
	X509 *idevid;

	if (open_request(
		buf_bytes(&rvr->prior), "pledge's request", &prior, e) == -1)
		return -1;
	idevid = prior.cms.signer;
	if (trust_check(vendors, idevid, prior.cms.certs,
		claims_chain_time(h, now), &vendor, &chain, e) == -1 ||
	    cert_subject_serial(idevid, ret->serial, e) == -1)
		return err_prefix(e, "pledge's request: its signer");
	str_copy(ret->vendor, sizeof(ret->vendor), vendor);
	facts_of_device(ret, idevid);
	if (judge_revoked(revoked, chain, now, ret, e) == -1 ||
	    check_copied(rvr, &prior.v, ret->serial, e) == -1)
		return -1;
	ret->device = cert_device(idevid, "");
	/* Believed now, so what it says may be followed; that it says nothing
	 * may be made up for by configuration. */
	if (cert_masa_url(idevid, ret->url, sizeof(ret->url), &none) == -1)
		ret->url[0] = '\0';
	return 0;
}

/* A device that is not there has signed nothing: the vendor is the registrar's
 * word, and so never its URL. */
static int
judge_prefetch(const struct entry_header *h, const struct vch_request *rvr,
    struct request *ret, struct err *e)
{
	const struct fact *vendor = facts_get(&h->facts, "vendor");
	struct buf text AUTO_BUF = { 0 };

	ret->prefetch = true;
	str_copy(ret->serial, sizeof(ret->serial), rvr->serial);
	if (rvr->nonce[0] != '\0')
		return err_set(e, ERR_INPUT,
		    "registrar's request: RFC 8995 5.5: a nonce, but no "
		    "prior-signed-voucher-request");
	if (vendor == NULL || !name_valid(vendor->value))
		return err_set(e, ERR_INPUT,
		    "registrar's request: nobody says whose device it is");
	str_copy(ret->vendor, sizeof(ret->vendor), vendor->value);
	cbor_write_array(&text, 3);
	cbor_write_text(&text, PREFETCH_LABEL);
	cbor_write_text(&text, ret->vendor);
	cbor_write_text(&text, ret->serial);
	ret->device = digest_of(text.data, text.len);
	return 0;
}

int
judge_request(const struct trust *vendors, const struct revocation *revoked,
    const struct entry_header *h, struct bytes octets, const struct stamp *now,
    struct request *ret, struct err *e)
{
	struct signed_request rvr AUTO_REQUEST = { 0 };

	*ret = (struct request){ .prefetch = false };
	claims_facts(h, OUR_FACTS, &ret->facts);
	if (open_request(octets, "registrar's request", &rvr, e) == -1)
		return -1;
	return rvr.v.prior.len > 0
	    ? judge_device(vendors, revoked, h, &rvr.v, now, ret, e)
	    : judge_prefetch(h, &rvr.v, ret, e);
}
