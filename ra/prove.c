#include "ra/prove.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "ra/clerk_int.h"
#include "ra/known.h"
#include "ra/unwrap.h"

#define CERT_MAX 8192

/* ---- what both tell ---------------------------------------------------- */

/* Who asked, and the names by which certConf and a later request find it. */
static int
prove_names(const char *site, const struct cmp_msg *request,
    struct service_proof *p, struct err *e)
{
	struct cmp_request r = { 0 };
	X509 *signer = cmp_find_signer(request, NULL, e);
	struct digest spki, device;

	if (signer == NULL || cert_subject_serial(signer, p->device, e) == -1 ||
	    cmp_read_request(request, &r, e) == -1)
		return -1;
	spki = cert_spki_digest(signer);
	device = cert_device(signer, cmp_profile(request));
	p->tx = judge_tx(request, &spki);
	p->same = same_key(site, &device, &r.tmpl);
	p->has_names = true;
	cmp_request_done(&r);
	return 0;
}

static void
prove_issued(struct service_proof *p, X509 *cert)
{
	p->code = BATCH_ANSWERED;
	ossl_cert_der(cert, &p->cert);
	cert_serial_hex(cert, p->serial, sizeof(p->serial));
}

/* ---- answers ----------------------------------------------------------- */

static void
prove_refused(struct service_proof *p, const struct cmp_response *r)
{
	p->code = BATCH_REFUSED;
	entry_text(p->reason, sizeof(p->reason), r->text);
}

/* ip, cp, error. */
static int
prove_response(const char *site, const struct cmp_msg *request,
    const struct cmp_msg *answer, struct service_proof *p, struct err *e)
{
	struct cmp_response r = { 0 };
	int rc = cmp_body(answer) == CMP_ERROR
	    ? cmp_read_error(answer, &r, e)
	    : cmp_read_response(answer, &r, e);

	if (rc == 0 && r.cert == NULL) {
		prove_refused(p, &r);
	} else if (rc == 0 && (rc = prove_names(site, request, p, e)) == 0) {
		prove_issued(p, r.cert);
	}
	cmp_response_done(&r);
	return rc;
}

/* What an rr asks for was done.  Its device is the one of the certificate's
 * case. */
static int
prove_revoked(struct ledger *l, const struct cmp_msg *request,
    struct service_proof *p, struct err *e)
{
	X509 *signer = cmp_find_signer(request, NULL, e);
	struct known k = { .id = 0 };
	struct cmp_revocation rr;
	int rc;

	if (signer == NULL || cmp_read_rr(request, &rr, e) == -1 ||
	    (rc = known_by_ledger(l, signer, &k, e)) == -1)
		return -1;
	if (rc == 0)
		return err_set(e, ERR_TRUST,
		    "rr: its signer's certificate is none of ours");
	if (!cmp_names_cert(&rr.cert, signer))
		return err_set(e, ERR_POLICY,
		    "rr: RFC 9483 4.2: not the certificate that signed");
	p->code = BATCH_ANSWERED;
	p->revoke = k.id;
	p->revoke_reason = (unsigned)rr.reason;
	return cert_subject_serial(signer, p->device, e);
}

/* pkiConf: what the certConf said was taken. */
static int
prove_confirmed(
    const struct cmp_msg *request, struct service_proof *p, struct err *e)
{
	struct cmp_certconf c = { 0 };

	if (cmp_read_certconf(request, &c, e) == -1)
		return -1;
	p->code = BATCH_ANSWERED;
	p->confirm =
	    c.status == CMP_REJECTION ? LEDGER_REJECTED : LEDGER_CONFIRMED;
	entry_text(p->confirm_reason, sizeof(p->confirm_reason), c.text);
	return 0;
}

/* rp: the signer's certificate is revoked, or the request was refused. */
static int
prove_revocation(struct ledger *l, const struct cmp_msg *request,
    const struct cmp_msg *answer, struct service_proof *p, struct err *e)
{
	struct cmp_response r = { 0 };

	if (cmp_read_rp(answer, &r, e) == -1)
		return -1;
	if (r.status != CMP_REJECTION)
		return prove_revoked(l, request, p, e);
	prove_refused(p, &r);
	return 0;
}

static int
prove_ours(const struct service *s, const struct cmp_msg *request,
    const struct cmp_msg *answer, struct err *e)
{
	if (!bytes_eq(
		cmp_transaction_id(request), cmp_transaction_id(answer)) ||
	    !bytes_eq(cmp_sender_nonce(request), cmp_recip_nonce(answer)))
		return err_set(
		    e, ERR_TRUST, "answer: it is to another request");
	return cmp_verify(answer, s->signer->cert, e);
}

static int
prove(const struct service *s, const char *site, const struct cmp_msg *request,
    struct bytes octets, struct service_proof *ret, struct err *e)
{
	AUTO(cmp_msg) answer = NULL;

	if (cmp_parse(octets, &answer, e) == -1 ||
	    prove_ours(s, request, answer, e) == -1)
		return -1;
	switch ((int)cmp_body(answer)) {
	case CMP_PKICONF:
		return prove_confirmed(request, ret, e);
	case CMP_RP:
		return prove_revocation(s->ledger, request, answer, ret, e);
	case CMP_GENP:
		ret->code = BATCH_ANSWERED;
		return 0;
	default:
		return prove_response(site, request, answer, ret, e);
	}
}

/* Whose it is, for people who look for what became of it. */
static void
tell_device(const struct cmp_msg *request, struct service_proof *ret)
{
	struct err no = ERR_INIT;
	X509 *signer = cmp_find_signer(request, NULL, &no);

	if (signer == NULL ||
	    cert_subject_serial(signer, ret->device, &no) == -1)
		ret->device[0] = '\0';
}

void
prove_answer(struct service *s, const struct entry_header *h,
    struct bytes device, struct bytes answer, struct service_proof *ret)
{
	AUTO(cmp_msg) request = NULL;
	struct err e = ERR_INIT;
	int rc = cmp_parse(device, &request, &e);

	if (rc == 0 && answer.len > 0)
		rc = prove(s, h->site, request, answer, ret, &e);
	if (rc == -1) {
		log_err(LOG_ALARM, "evidence.no-proof", &e, "site", "%s",
		    h->site, NULL);
		service_proof_done(ret);
	} else if (answer.len > 0) {
		buf_add(&ret->answer, answer.p, answer.len);
	}
	if (request != NULL && ret->code == 0)
		tell_device(request, ret);
}

/* ---- certificates ------------------------------------------------------ */

static int
check_certificate(const struct ra *r, X509 *cert, const struct cmp_msg *request,
    const char *device, struct err *e)
{
	struct cmp_request q = { 0 };
	char serial[CERT_TEXT_MAX];
	int same;

	if (X509_NAME_cmp(X509_get_issuer_name(cert),
		X509_get_subject_name(ra_issuer(r))) != 0 ||
	    X509_verify(cert, X509_get0_pubkey(ra_issuer(r))) != 1)
		return err_ossl(
		    e, ERR_TRUST, "certificate: our CA has not signed it");
	if (cmp_read_request(request, &q, e) == -1)
		return -1;
	same = EVP_PKEY_eq(q.pubkey, X509_get0_pubkey(cert));
	cmp_request_done(&q);
	if (same != 1)
		return err_set(e, ERR_TRUST,
		    "certificate: its key is not the one asked for");
	if (cert_subject_serial(cert, serial, e) == -1)
		return err_prefix(e, "certificate");
	if (strcmp(serial, device) != 0)
		return err_set(e, ERR_TRUST,
		    "certificate: it is of device %s, not %s", serial, device);
	return 0;
}

static int
resolve_issued(struct service *s, const struct ledger_case *c,
    const struct cmp_msg *request, const char *certificate,
    struct service_proof *ret, struct err *e)
{
	struct answer_terms plainly = { .confirm = false };
	struct ra *r = s->owner;
	struct buf der AUTO_BUF = { 0 };
	AUTO(X509) cert = NULL;

	if (base64_decode(certificate, CERT_MAX, &der, e) == -1 ||
	    (cert = ossl_cert_parse(buf_bytes(&der), e)) == NULL ||
	    prove_names(c->site, request, ret, e) == -1 ||
	    check_certificate(r, cert, request, ret->device, e) == -1)
		return -1;
	plainly.modified = answer_differs(request, cert);
	if (answer_issued(
		&r->answers, request, cert, &plainly, &ret->answer, e) == -1)
		return -1;
	prove_issued(ret, cert);
	return 0;
}

int
prove_outcome(struct service *s, const struct ledger_case *c,
    enum service_outcome is, const char *certificate, struct service_proof *ret,
    struct err *e)
{
	bool revocation = is == SERVICE_REVOKED || is == SERVICE_NOT_REVOKED;
	struct buf octets AUTO_BUF = { 0 };
	struct ra *r = s->owner;
	AUTO(cmp_msg) m = NULL;

	if (ledger_part(s->ledger, c->id, LEDGER_OCTETS, &octets, e) != 1 ||
	    unwrap_stored(buf_bytes(&octets), &m, e) == -1)
		return -1;
	if ((cmp_body(m) == CMP_RR) != revocation)
		return err_set(e, ERR_POLICY, "case %llu asks %s",
		    (unsigned long long)c->id,
		    revocation ? "for no revocation"
			       : "for a revocation: was it revoked or not?");
	if (is == SERVICE_ISSUED)
		return resolve_issued(s, c, m, certificate, ret, e);
	if (is != SERVICE_REVOKED)
		return 0;
	return prove_revoked(s->ledger, m, ret, e) == -1
	    ? -1
	    : answer_revoked(&r->answers, m, &ret->answer, e);
}
