#include "manufacturer/pledge_voucher.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"

#define NONCE_LEN 16 /* RFC 8366 5.3: 8 to 32 */

#define AUTO_CMS __attribute__((cleanup(cms_signed_done)))
#define AUTO_VCH __attribute__((cleanup(vch_done)))
#define AUTO_REQ __attribute__((cleanup(vch_request_done)))

/* ---- asking ----------------------------------------------------------- */

static void
make_nonce(char ret[VCH_NONCE_MAX + 1])
{
	struct buf text AUTO_BUF = { 0 };
	uint8_t nonce[NONCE_LEN];

	random_bytes(nonce, sizeof(nonce));
	base64_format(&text, nonce, sizeof(nonce));
	str_copy(ret, VCH_NONCE_MAX + 1, buf_cstr(&text));
}

int
pledge_voucher_request(const struct signer *idevid, X509 *registrar,
    uint64_t now, struct buf *ret, struct err *e)
{
	struct vch_request q AUTO_REQ = { .assertion = VCH_PROXIMITY };
	struct buf json AUTO_BUF = { 0 };

	if (cert_subject_serial(idevid->cert, q.serial, e) == -1)
		return err_prefix(e, "IDevID");
	if (now != 0)
		clock_format(q.created_on, now);
	make_nonce(q.nonce);
	ossl_cert_der(registrar, &q.proximity);
	vch_request_format(&q, &json);
	return cms_sign(
	    nid_json_voucher(), buf_bytes(&json), idevid, NULL, ret, e);
}

static int
read_request(struct bytes der, struct vch_request *ret, struct err *e)
{
	struct cms_signed c AUTO_CMS = { 0 };

	if (cms_open(der, NULL, &c, e) == -1 ||
	    vch_request_parse(buf_bytes(&c.content), ret, e) == -1)
		return err_prefix(e, "voucher request of ours");
	return 0;
}

X509 *
pledge_voucher_registrar(struct bytes request, struct err *e)
{
	struct vch_request q AUTO_REQ = { 0 };

	if (read_request(request, &q, e) == -1)
		return NULL;
	return ossl_cert_parse(buf_bytes(&q.proximity), e);
}

/* ---- judging ---------------------------------------------------------- */

/* Who signed it.  RFC 8995's own examples say id-data. */
static int
check_signer(
    const struct pledge_voucher *v, const struct cms_signed *c, struct err *e)
{
	const char *anchor;

	if (c->type != nid_json_voucher() && c->type != NID_pkcs7_data)
		return err_set(e, ERR_TRUST,
		    "RFC 8366 5.4: content is not of type "
		    "id-ct-animaJSONVoucher");
	if (trust_check(
		v->vendor, c->signer, c->certs, v->now, &anchor, NULL, e) == -1)
		return err_prefix(e, "signer");
	return vch_check_signer(c->signer, e);
}

/* What it says. */
static int
check_members(
    const struct pledge_voucher *v, const struct vch *vch, struct err *e)
{
	struct vch_request q AUTO_REQ = { 0 };
	char serial[CERT_TEXT_MAX];
	bool nonced = vch->nonce[0] != '\0';

	if (read_request(v->request, &q, e) == -1 ||
	    cert_subject_serial(v->idevid, serial, e) == -1 ||
	    vch_check(
		vch, nonced ? q.nonce : "", serial, v->idevid, v->now, e) == -1)
		return -1;
	if (!nonced && vch->expires_on == 0)
		return err_set(e, ERR_TRUST,
		    "voucher: RFC 8366 5.3: neither nonce nor expires-on");
	return 0;
}

static int
judge(const struct pledge_voucher *v, struct bytes voucher, X509 **ret_pin,
    struct err *e)
{
	struct cms_signed c AUTO_CMS = { 0 };
	struct vch vch AUTO_VCH = { 0 };
	/* A MASA that sends no certificate may sign with the anchor itself. */
	X509 *anchor = sk_X509_value(trust_anchors(v->vendor), 0);

	if (cms_open(voucher, anchor, &c, e) == -1 ||
	    check_signer(v, &c, e) == -1)
		return err_prefix(e, "voucher");
	if (vch_parse(buf_bytes(&c.content), &vch, e) == -1 ||
	    check_members(v, &vch, e) == -1)
		return -1;
	*ret_pin = STEAL(vch.pin);
	return 0;
}

int
pledge_voucher_judge(const struct pledge_voucher *v, struct bytes voucher,
    X509 **ret_pin, struct err *e)
{
	if (judge(v, voucher, ret_pin, e) == 0)
		return 0;
	/* Octets that cannot be read are as little to be believed. */
	e->kind = ERR_TRUST;
	return -1;
}

/* ---- telling ---------------------------------------------------------- */

void
pledge_voucher_status(const char *reason, struct buf *out)
{
	struct vch_status s = { .status = reason == NULL, .version = 1 };

	if (reason != NULL)
		str_copy(s.reason, sizeof(s.reason), reason);
	vch_status_format(&s, out);
}
