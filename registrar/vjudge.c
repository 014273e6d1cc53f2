#include "registrar/vjudge.h"

#include <string.h>
#include "common/base/str.h"

/* RFC 8995 5.6.2: the pin is ours, or the pledge would join somebody else. */
static bool
pin_is_ours(const struct registrar *r, X509 *pin)
{
	const STACK_OF(X509) *anchors = trust_anchors(r->domain);

	for (int i = 0; i < sk_X509_num(anchors); i++)
		if (X509_cmp(pin, sk_X509_value(anchors, i)) == 0)
			return true;
	for (int i = 0; i < sk_X509_num(r->signer->chain); i++)
		if (X509_cmp(pin, sk_X509_value(r->signer->chain, i)) == 0)
			return true;
	return X509_cmp(pin, r->signer->cert) == 0;
}

static int
judge_signer(const struct registrar *r, const struct cms_signed *cms,
    const char *vendor, struct err *e)
{
	const char *anchor;

	if (vch_check_signer(cms->signer, e) == -1)
		return -1;
	if (trust_check(r->vouchers, cms->signer, cms->certs,
		clock_judge_time(), &anchor, NULL, e) == -1)
		return err_prefix(e, "voucher: its signer");
	if (strcmp(anchor, vendor) != 0)
		return err_set(e, ERR_TRUST,
		    "voucher: signed for vendor %s, the device is of %s",
		    anchor, vendor);
	return 0;
}

int
vjudge_voucher(const struct registrar *r, struct bytes voucher,
    const struct vch_request *request, X509 *idevid, const char *vendor,
    struct err *e)
{
	struct cms_signed cms = { 0 };
	struct vch v = { 0 };
	int rc = -1;

	if (cms_open(voucher, NULL, &cms, e) == -1)
		return err_prefix(e, "voucher");
	if (judge_signer(r, &cms, vendor, e) == 0 &&
	    vch_parse(buf_bytes(&cms.content), &v, e) == 0 &&
	    vch_check(&v, request->nonce, request->serial, idevid,
		clock_judge_time(), e) == 0)
		rc = pin_is_ours(r, v.pin)
		    ? 0
		    : err_set(e, ERR_TRUST,
			  "voucher: RFC 8995 5.6.2: pinned-domain-cert is not "
			  "of this domain");
	vch_done(&v);
	cms_signed_done(&cms);
	return rc;
}

static bool
domain_is_ours(const struct registrar *r, const char *domain)
{
	const STACK_OF(X509) *
	    sets[] = { trust_anchors(r->domain), r->signer->chain };
	struct buf id AUTO_BUF = { 0 };

	for (size_t s = 0; s < NELEMS(sets); s++)
		for (int i = 0; i < sk_X509_num(sets[s]); i++) {
			buf_reset(&id);
			vch_domain_id(sk_X509_value(sets[s], i), &id);
			if (strcmp(buf_cstr(&id), domain) == 0)
				return true;
		}
	return false;
}

/* RFC 8995 5.8.3: an owner that is not us is for people to decide; what cannot
 * be read is unknown, and unknown passes (the log is asked, not required). */
static void
judge_log(
    const struct registrar *r, const struct vch_answer *a, struct vjudge *ret)
{
	struct vch_log log = { 0 };
	struct err e = ERR_INIT;

	if (a->log_status < 200 || a->log_status > 299 ||
	    vch_log_parse(a->log, &log, &e) == -1)
		return;
	ret->log_known = true;
	ret->truncated = log.truncated;
	for (size_t i = 0; i < log.n; i++) {
		ret->nonceless |= log.events[i].nonceless;
		if (ret->withhold || domain_is_ours(r, log.events[i].domain))
			continue;
		ret->withhold = true;
		snprintf(ret->reason, sizeof(ret->reason),
		    "audit log: RFC 8995 5.8.3: owned by another domain (%s) "
		    "at %s",
		    log.events[i].domain, log.events[i].date);
	}
	vch_log_done(&log);
}

int
vjudge_answer(const struct registrar *r, struct bytes answer,
    const struct vch_request *request, X509 *idevid, const char *vendor,
    struct vjudge *ret, struct err *e)
{
	struct vch_answer a = { 0 };
	struct vjudge j = { 0 };
	struct err why = ERR_INIT;

	if (vch_answer_parse(answer, &a, e) == -1)
		return -1;
	j.voucher = a.voucher;
	if (a.voucher.len == 0) {
		j.withhold = true;
		snprintf(j.reason, sizeof(j.reason), "MASA: %u %s", a.status,
		    a.reason);
	} else {
		judge_log(r, &a, &j);
		if (r->conf.brski.verify_voucher &&
		    vjudge_voucher(
			r, a.voucher, request, idevid, vendor, &why) == -1) {
			j.withhold = true;
			str_copy(j.reason, sizeof(j.reason), why.msg);
		}
	}
	*ret = j;
	return 0;
}
