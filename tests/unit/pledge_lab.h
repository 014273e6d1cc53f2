/*
 * What the tests of the device stand on: a vendor with a MASA and two devices,
 * a domain with a registrar, another of each.
 */
#ifndef WAYBILL_TESTS_PLEDGE_LAB_H
#define WAYBILL_TESTS_PLEDGE_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/pki/issue.h"
#include "common/pki/trust.h"
#include "common/pki/voucher.h"

#define LAB_SERIAL   "SN-7"
#define LAB_MASA_URL "https://masa.example"

struct lab_ca {
	EVP_PKEY *key;
	X509 *cert;
};

struct lab {
	struct lab_ca vendor, domain, stranger;
	struct signer *masa;	  /* signs vouchers, below vendor */
	struct signer *foreigner; /* the same, below stranger */
	struct signer *device, *sibling;
	struct signer *registrar; /* below domain */
	struct signer *second;	  /* the same, with another key */
	struct signer *other;	  /* a registrar below stranger */
};

struct lab_want {
	const char *cn, *serial, *masa_url;
	bool ca;
};

static inline X509 *
lab_cert(const struct lab_want *w, EVP_PKEY *key, const struct lab_ca *by)
{
	AUTO(X509_NAME) name = issue_name(w->cn, "Lab", w->serial);
	uint64_t now = clock_now().time;
	struct err e = ERR_INIT;
	struct issue_spec spec = {
		.subject = name,
		.pubkey = key,
		.not_before = now - 3600,
		.not_after = now + 86400,
		.ca = w->ca,
		.pathlen = -1,
		.key_usage = w->ca ? "critical,keyCertSign,cRLSign"
				   : "critical,digitalSignature",
		.masa_url = w->masa_url,
	};
	X509 *x = issue_cert(&spec, by != NULL ? by->cert : NULL,
	    by != NULL ? by->key : key, &e);

	if (x == NULL)
		fail_msg("%s: %s", w->cn, e.msg);
	return x;
}

static inline struct lab_ca
lab_ca(const char *cn)
{
	struct lab_want w = { .cn = cn, .ca = true };
	struct lab_ca c = { .key = ossl_new_key_p256() };

	c.cert = lab_cert(&w, c.key, NULL);
	return c;
}

static inline struct signer *
lab_signer(const struct lab_want *w, const struct lab_ca *by)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) cert = lab_cert(w, key, by);

	return signer_new(key, cert, NULL);
}

static inline void
lab_init(struct lab *l)
{
	struct lab_want masa = { .cn = "Vouchers" };
	struct lab_want registrar = { .cn = "registrar" };
	struct lab_want device = { "device", LAB_SERIAL, LAB_MASA_URL, false };
	struct lab_want sibling = { "device", "SN-8", LAB_MASA_URL, false };

	l->vendor = lab_ca("Vendor Root");
	l->domain = lab_ca("Domain Root");
	l->stranger = lab_ca("Stranger");
	l->masa = lab_signer(&masa, &l->vendor);
	l->foreigner = lab_signer(&masa, &l->stranger);
	l->device = lab_signer(&device, &l->vendor);
	l->sibling = lab_signer(&sibling, &l->vendor);
	l->registrar = lab_signer(&registrar, &l->domain);
	l->second = lab_signer(&registrar, &l->domain);
	l->other = lab_signer(&registrar, &l->stranger);
}

static inline void
lab_ca_free(struct lab_ca *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->cert);
}

static inline void
lab_done(struct lab *l)
{
	struct signer *const signers[] = { l->masa, l->foreigner, l->device,
		l->sibling, l->registrar, l->second, l->other };

	for (size_t i = 0; i < NELEMS(signers); i++)
		signer_free(signers[i]);
	lab_ca_free(&l->vendor);
	lab_ca_free(&l->domain);
	lab_ca_free(&l->stranger);
}

/* The text inside a voucher request, verified. */
static inline void
lab_read_request(struct bytes der, struct vch_request *ret)
{
	struct cms_signed c = { 0 };
	struct err e = ERR_INIT;

	if (cms_open(der, NULL, &c, &e) == -1 ||
	    vch_request_parse(buf_bytes(&c.content), ret, &e) == -1)
		fail_msg("%s", e.msg);
	cms_signed_done(&c);
}

/* What a good MASA answers to the request, for a test to spoil; the pin is a
 * reference of the voucher's own. */
static inline void
lab_voucher(struct bytes request, X509 *pin, struct vch *ret)
{
	struct vch_request q = { 0 };

	lab_read_request(request, &q);
	*ret = (struct vch){ .assertion = VCH_PROXIMITY, .pin = pin };
	X509_up_ref(pin);
	clock_format(ret->created_on, clock_now().time);
	str_copy(ret->nonce, sizeof(ret->nonce), q.nonce);
	str_copy(ret->serial, sizeof(ret->serial), q.serial);
	vch_request_done(&q);
}

static inline void
lab_sign(int type, struct bytes json, const struct signer *s, struct buf *out)
{
	struct err e = ERR_INIT;

	if (cms_sign(type, json, s, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

#endif
