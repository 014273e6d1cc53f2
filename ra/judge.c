#include "ra/judge.h"

#include <string.h>
#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/pki/issue.h"
#include "common/service/claims.h"

#define TX_LABEL  "waybill-ra-tx/1"
/* Facts set below, which must always find room. */
#define OUR_FACTS 6
/* What a registrar's clock may be off: one that is disciplined, one that runs
 * free; in seconds. */
#define SKEW	  300
#define SLACK	  86400

void
verdict_done(struct verdict *v)
{
	cmp_request_done(&v->request);
	X509_NAME_free(v->subject);
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

/* ---- what every message must hold -------------------------------------- */

static void
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
judge_chain(const struct judge *j, const struct span *when,
    const struct cmp_msg *m, struct verdict *v, const char **ret_vendor,
    STACK_OF(X509) * *ret_chain, struct err *e)
{
	const STACK_OF(X509) *sent = cmp_extra_certs(m);
	uint64_t from, to;
	struct err then = ERR_INIT;

	if (trust_check(j->vendors, v->signer, sent, when->to, ret_vendor,
		ret_chain, e) == 0)
		return 0;
	if (when->from == when->to ||
	    cert_validity(v->signer, &from, &to, &then) == -1 ||
	    trust_check(j->vendors, v->signer, sent,
		from > when->from ? from : when->from, ret_vendor, ret_chain,
		&then) == -1)
		return -1;
	v->unsure = true;
	return 0;
}

static int
judge_signer(const struct judge *j, const struct entry_header *h,
    const struct cmp_msg *m, const struct stamp *now, struct verdict *v,
    struct err *e)
{
	struct span when = received_span(j, h, now);
	const char *vendor;
	AUTO(X509S) chain = NULL;

	claims_facts(h, OUR_FACTS, &v->facts);
	if (cmp_check_header(m, e) == -1)
		return -1;
	if ((v->signer = cmp_find_signer(m, NULL, e)) == NULL)
		return -1;
	if (judge_purpose(v->signer, e) == -1 ||
	    judge_chain(j, &when, m, v, &vendor, &chain, e) == -1 ||
	    cmp_verify(m, v->signer, e) == -1)
		return -1;
	v->spki = spki_digest(X509_get0_pubkey(v->signer));
	v->device = cert_device(v->signer, cmp_profile(m));
	if (cert_subject_serial(v->signer, v->serial, e) == -1) {
		e->fail = CMP_NOT_AUTHORIZED;
		return -1;
	}
	facts_of_signer(v, cmp_profile(m));
	facts_set(&v->facts, "vendor", FACT_END_TO_END, vendor);
	/* A sub-CA of the vendor's may be on the list as well. */
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (denylist_check(j->denied, sk_X509_value(chain, i), e) ==
		    -1) {
			e->fail = CMP_NOT_AUTHORIZED;
			return -1;
		}
	return 0;
}

/* ---- subject ----------------------------------------------------------- */

static int
bad_template(struct err *e, const char *why)
{
	return err_fail(
	    e, ERR_POLICY, CMP_BAD_CERT_TEMPLATE, "subject: %s", why);
}

/* The one value of an attribute as UTF-8 (owned); NULL and 0 if it is not
 * there; -1 if it is there twice or is no text. */
static int
name_value(const X509_NAME *n, int nid, char **ret, struct err *e)
{
	int at = n == NULL ? -1 : X509_NAME_get_index_by_NID(n, nid, -1), len;
	unsigned char *text = NULL;
	char *copy;

	*ret = NULL;
	if (at < 0)
		return 0;
	if (X509_NAME_get_index_by_NID(n, nid, at) >= 0)
		return bad_template(e, "an attribute stands in it twice");
	len = ASN1_STRING_to_UTF8(
	    &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(n, at)));
	if (len < 0)
		return bad_template(e, "a value is no text");
	copy = xcalloc((size_t)len + 1, 1);
	memcpy(copy, text, (size_t)len);
	OPENSSL_free(text);
	if (strlen(copy) != (size_t)len || !utf8_valid(copy, (size_t)len)) {
		free(copy);
		return bad_template(e, "a value is no text");
	}
	*ret = copy;
	return 0;
}

static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

/* RFC 9483 5.1.1: the subject answers to the device's proven identity: its
 * serialNumber is the IDevID's, its common name the device's wish. */
static int
judge_subject(const struct judge *j, struct verdict *v, struct err *e)
{
	AUTO(char) cn = NULL, serial = NULL;

	if (name_value(v->request.subject, NID_commonName, &cn, e) == -1 ||
	    name_value(v->request.subject, NID_serialNumber, &serial, e) == -1)
		return -1;
	if (serial != NULL && strcmp(serial, v->serial) != 0)
		return bad_template(
		    e, "serialNumber is not the IDevID's serialNumber");
	if (cn != NULL && (cn[0] == '\0' || has_control(cn)))
		return bad_template(e, "common name is empty or not printable");
	v->subject =
	    issue_name(cn != NULL ? cn : v->serial, j->organization, v->serial);
	if (v->subject == NULL)
		return bad_template(e, "it is too long or cannot be encoded");
	return 0;
}

/* ---- requests ---------------------------------------------------------- */

static int
judge_deadline(
    const struct entry_header *h, const struct stamp *now, struct err *e)
{
	if (claims_deadline(h, now, e) == 0)
		return 0;
	e->fail = CMP_BAD_TIME;
	return -1;
}

int
judge_request(const struct judge *j, const struct entry_header *h,
    const struct cmp_msg *m, const struct stamp *now, struct verdict *ret,
    struct err *e)
{
	enum cmp_body b = cmp_body(m);

	if (b != CMP_IR && b != CMP_CR && b != CMP_P10CR) {
		claims_facts(h, OUR_FACTS, &ret->facts);
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "message: %s is not served here", cmp_body_name(b));
	}
	if (judge_signer(j, h, m, now, ret, e) == -1)
		return -1;
	ret->in_body = true;
	if (judge_deadline(h, now, e) == -1 ||
	    cmp_read_request(m, &ret->request, e) == -1 ||
	    judge_subject(j, ret, e) == -1)
		return -1;
	if (ret->unsure)
		return err_set(e, ERR_RETRY,
		    "certificate: expired, perhaps after the request was "
		    "received (its registrar's clock: %s)",
		    clock_quality_name(h->received.quality));
	return 0;
}

/* ---- confirmations ----------------------------------------------------- */

int
judge_confirm(const struct entry_header *h, const struct cmp_msg *m,
    const struct cmp_msg *parent, struct verdict *ret,
    struct cmp_certconf *ret_conf, struct err *e)
{
	X509 *first = cmp_find_signer(parent, NULL, e);
	struct digest spki;

	claims_facts(h, OUR_FACTS, &ret->facts);
	if (first == NULL || cmp_check_header(m, e) == -1 ||
	    (ret->signer = cmp_find_signer(m, first, e)) == NULL)
		return -1;
	spki = spki_digest(X509_get0_pubkey(first));
	ret->spki = spki_digest(X509_get0_pubkey(ret->signer));
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
