#include "registrar/rvr.h"

#include "common/base/str.h"

static int
rvr_sign(const struct registrar *r, struct vch_request *v, struct buf *out,
    struct err *e)
{
	struct buf json AUTO_BUF = { 0 };

	clock_format(v->created_on, clock_now().time);
	vch_request_format(v, &json);
	return cms_sign(nid_json_voucher(), buf_bytes(&json), r->signer,
	    trust_anchors(r->domain), out, e);
}

int
rvr_make(const struct registrar *r, struct bytes prior,
    const struct vch_request *from, X509 *idevid, const char *serial,
    struct buf *out, struct err *e)
{
	struct vch_request v = { .assertion = from->assertion };
	int rc;

	str_copy(v.nonce, sizeof(v.nonce), from->nonce);
	str_copy(v.serial, sizeof(v.serial), serial);
	vch_idevid_issuer(idevid, &v.idevid_issuer);
	v.prior = bytes_dup(prior);
	rc = rvr_sign(r, &v, out, e);
	vch_request_done(&v);
	return rc;
}

int
rvr_make_nonceless(const struct registrar *r, const char *serial,
    struct buf *out, struct err *e)
{
	struct vch_request v = { .assertion = VCH_LOGGED };

	str_copy(v.serial, sizeof(v.serial), serial);
	return rvr_sign(r, &v, out, e);
}
