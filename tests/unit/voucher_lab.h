/* What the tests of the MASA client stand on besides the RA's lab: requests of
 * pledges, and their registrar's around them. */
#ifndef WAYBILL_TESTS_VOUCHER_LAB_H
#define WAYBILL_TESTS_VOUCHER_LAB_H

#include "tests/unit/ra_lab.h"

#include "common/pki/voucher.h"

#define LAB_NONCE "b2xkIG5vbmNlIQ=="

/* A request to be: what is NULL is as it should be. */
struct lab_voucher {
	const struct signer *device;	/* NULL: the lab's */
	const struct signer *registrar; /* NULL: the lab's */
	const char *serial;		/* in the pledge's */
	const char *rvr_serial;		/* in the registrar's */
	const char *nonce;		/* in the pledge's */
	const char *rvr_nonce;
	const char *vendor; /* the registrar's word */
	bool prefetch;	    /* none of the pledge's in it, and no nonce */
};

static inline void
lab_cms(const struct vch_request *v, const struct signer *s, X509 *root,
    struct buf *out)
{
	STACK_OF(X509) *more = sk_X509_new_null();
	struct buf json AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (root != NULL)
		assert_int_not_equal(sk_X509_push(more, root), 0);
	vch_request_format(v, &json);
	if (cms_sign(nid_json_voucher(), buf_bytes(&json), s, more, out, &e) ==
	    -1)
		fail_msg("%s", e.msg);
	sk_X509_free(more);
}

static inline const char *
lab_or(const char *s, const char *def)
{
	return s != NULL ? s : def;
}

static inline void
lab_prior(const struct lab *l, const struct lab_voucher *a, struct buf *out)
{
	struct vch_request v = { .assertion = VCH_PROXIMITY };

	clock_format(v.created_on, clock_now().time);
	str_copy(v.nonce, sizeof(v.nonce), lab_or(a->nonce, LAB_NONCE));
	str_copy(v.serial, sizeof(v.serial), lab_or(a->serial, "WB-0001"));
	ossl_cert_der(l->registrar->cert, &v.proximity);
	lab_cms(&v, a->device != NULL ? a->device : l->device, NULL, out);
	vch_request_done(&v);
}

/* What PUT carries: header, registrar's request, signature. */
static inline void
lab_voucher(const struct lab *l, const struct lab_voucher *a, uint64_t id,
    struct lab_entry *ret)
{
	const struct signer *by =
	    a->registrar != NULL ? a->registrar : l->registrar;
	struct vch_request v = { .assertion = VCH_PROXIMITY };
	struct buf *bytes = &v.prior;

	*ret = (struct lab_entry){ .h = {
				       .id = id,
				       .kind = ENTRY_VOUCHER,
				       .received = clock_now(),
				       .deadline = clock_now().time + 3600,
				   } };
	clock_format(v.created_on, clock_now().time);
	str_copy(v.serial, sizeof(v.serial),
	    lab_or(a->rvr_serial, lab_or(a->serial, "WB-0001")));
	if (!a->prefetch) {
		str_copy(v.nonce, sizeof(v.nonce),
		    lab_or(a->rvr_nonce, lab_or(a->nonce, LAB_NONCE)));
		lab_prior(l, a, &v.prior);
	} else if (a->rvr_nonce != NULL) {
		str_copy(v.nonce, sizeof(v.nonce), a->rvr_nonce);
	}
	lab_cms(&v, by, l->root.cert, &ret->octets);
	if (a->prefetch)
		bytes = &ret->octets;
	ret->h.digest = digest_of(bytes->data, bytes->len);
	str_copy(ret->h.site, sizeof(ret->h.site), LAB_SITE);
	memcpy(ret->h.epoch, l->epoch, sizeof(ret->h.epoch));
	facts_set(&ret->h.facts, "vendor", FACT_END_TO_END,
	    lab_or(a->vendor, "acme"));
	vch_request_done(&v);
	lab_entry_sign(ret, l->registrar);
}

#endif
