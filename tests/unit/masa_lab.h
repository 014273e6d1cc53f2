/* A vendor with devices, two domains with registrars, and the voucher requests
 * that come of them: what the tests of the MASA share. */
#ifndef WAYBILL_TESTS_MASA_LAB_H
#define WAYBILL_TESTS_MASA_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "common/base/str.h"
#include "common/pki/issue.h"
#include "manufacturer/masa_voucher.h"

#define LAB_SERIAL "SN-1"
#define LAB_NONCE  "bm9uY2Ugbm9uY2Ugbm8="
#define LAB_CMC_RA "1.3.6.1.5.5.7.3.28"

struct lab_domain {
	struct signer *root, *ca, *registrar;
	struct signer *member; /* of the domain, but no registrar */
};

struct lab {
	uint64_t now;
	struct signer *root, *sub, *voucher; /* the vendor's */
	struct signer *device, *nameless, *other_device;
	struct signer *fake; /* a device of the same name by nobody */
	struct lab_domain home, elsewhere;
	struct trust *devices;
};

/* A certificate by `by` (NULL: self-signed) with its key, and the chain that
 * it sends. */
static inline struct signer *
lab_signer(const struct lab *lab, const struct signer *by,
    struct issue_spec spec, const char *cn, const char *serial)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) name = issue_name(cn, "Lab", serial);
	AUTO(X509S) chain = NULL;
	AUTO(X509) x = NULL;
	struct err e = ERR_INIT;

	spec.subject = name;
	spec.pubkey = key;
	spec.not_before = lab->now - 90 * 86400;
	spec.not_after = ISSUE_FOREVER;
	spec.pathlen = -1;
	spec.key_usage =
	    spec.ca ? "critical,keyCertSign" : "critical,digitalSignature";
	x = issue_cert(&spec, by != NULL ? by->cert : NULL,
	    by != NULL ? by->key : key, &e);
	if (x == NULL)
		fail_msg("%s: %s", cn, e.msg);
	if (by != NULL && X509_self_signed(by->cert, 0) != 1) {
		chain = X509_chain_up_ref(by->chain);
		X509_up_ref(by->cert);
		sk_X509_unshift(chain, by->cert);
	}
	return signer_new(key, x, chain);
}

#define LAB_CA ((struct issue_spec){ .ca = true })
#define LAB_EE ((struct issue_spec){ 0 })
#define LAB_RA \
	((struct issue_spec){ .ext_key_usage = "serverAuth," LAB_CMC_RA })

static inline struct lab_domain
lab_domain(const struct lab *lab, const char *name)
{
	struct lab_domain d = { 0 };
	char cn[64];

	snprintf(cn, sizeof(cn), "%s root", name);
	d.root = lab_signer(lab, NULL, LAB_CA, cn, NULL);
	snprintf(cn, sizeof(cn), "%s CA", name);
	d.ca = lab_signer(lab, d.root, LAB_CA, cn, NULL);
	d.registrar = lab_signer(lab, d.ca, LAB_RA, "registrar", NULL);
	d.member = lab_signer(lab, d.ca, LAB_EE, "member", NULL);
	return d;
}

static inline void
lab_domain_done(struct lab_domain *d)
{
	signer_free(d->root);
	signer_free(d->ca);
	signer_free(d->registrar);
	signer_free(d->member);
}

static inline struct lab *
lab_new(void)
{
	struct lab *lab = xcalloc(1, sizeof(*lab));
	AUTO(signer) nobody = NULL;
	struct err e = ERR_INIT;

	lab->now = (uint64_t)time(NULL);
	lab->root = lab_signer(lab, NULL, LAB_CA, "vendor root", NULL);
	lab->sub = lab_signer(lab, lab->root, LAB_CA, "vendor sub", NULL);
	lab->voucher = lab_signer(lab, lab->root, LAB_EE, "vouchers", NULL);
	lab->device = lab_signer(lab, lab->sub, LAB_EE, "dev", LAB_SERIAL);
	lab->nameless = lab_signer(lab, lab->sub, LAB_EE, "dev", NULL);
	lab->other_device = lab_signer(lab, lab->sub, LAB_EE, "dev", "SN-2");
	nobody = lab_signer(lab, NULL, LAB_CA, "vendor sub", NULL);
	lab->fake = lab_signer(lab, nobody, LAB_EE, "dev", LAB_SERIAL);
	lab->home = lab_domain(lab, "home");
	lab->elsewhere = lab_domain(lab, "elsewhere");
	lab->devices = trust_new();
	if (trust_add_cert(lab->devices, "vendor", lab->root->cert, &e) == -1 ||
	    trust_add_intermediate(lab->devices, lab->sub->cert, &e) == -1)
		fail_msg("%s", e.msg);
	return lab;
}

static inline void
lab_free(struct lab *lab)
{
	signer_free(lab->root);
	signer_free(lab->sub);
	signer_free(lab->voucher);
	signer_free(lab->device);
	signer_free(lab->nameless);
	signer_free(lab->other_device);
	signer_free(lab->fake);
	lab_domain_done(&lab->home);
	lab_domain_done(&lab->elsewhere);
	trust_free(lab->devices);
	free(lab);
}

/* A registrar voucher-request before it is signed; the cases change it. */
struct lab_request {
	struct vch_request pledge, rvr;
	const struct signer *device; /* NULL: no prior request */
	const struct signer *registrar;
	X509 *seen;	 /* proximity-registrar-cert, or NULL */
	X509 *root;	 /* sent along, or NULL */
	X509 *issuer_of; /* whose idevid-issuer is told, or NULL */
	int type;
	X509 *peer;
	const STACK_OF(X509) * peer_chain;
	bool again;
	struct stamp now;
	const struct trust *registrars;
};

static inline struct lab_request
lab_request(const struct lab *lab)
{
	struct lab_request q = { .device = lab->device,
		.registrar = lab->home.registrar,
		.seen = lab->home.registrar->cert,
		.root = lab->home.root->cert,
		.issuer_of = lab->device->cert,
		.type = nid_json_voucher(),
		.now = { lab->now, CLOCK_SYNC, 0 } };

	q.pledge.assertion = VCH_PROXIMITY;
	str_copy(q.pledge.serial, sizeof(q.pledge.serial), LAB_SERIAL);
	str_copy(q.pledge.nonce, sizeof(q.pledge.nonce), LAB_NONCE);
	clock_format(q.pledge.created_on, lab->now);
	str_copy(q.rvr.serial, sizeof(q.rvr.serial), LAB_SERIAL);
	str_copy(q.rvr.nonce, sizeof(q.rvr.nonce), LAB_NONCE);
	clock_format(q.rvr.created_on, lab->now);
	return q;
}

static inline void
lab_sign(const struct vch_request *v, int type, const struct signer *by,
    X509 *more, struct buf *out)
{
	struct buf text AUTO_BUF = { 0 };
	STACK_OF(X509) *extra = sk_X509_new_null();
	struct err e = ERR_INIT;

	if (more != NULL)
		sk_X509_push(extra, more);
	vch_request_format(v, &text);
	if (cms_sign(type, buf_bytes(&text), by, extra, out, &e) == -1)
		fail_msg("%s", e.msg);
	sk_X509_free(extra);
}

/* Signs what the case has left; the request is spent. */
static inline void
lab_make(struct lab_request *q, struct buf *out)
{
	if (q->seen != NULL)
		ossl_cert_der(q->seen, &q->pledge.proximity);
	if (q->device != NULL)
		lab_sign(&q->pledge, q->type, q->device, NULL, &q->rvr.prior);
	if (q->issuer_of != NULL)
		vch_idevid_issuer(q->issuer_of, &q->rvr.idevid_issuer);
	lab_sign(&q->rvr, q->type, q->registrar, q->root, out);
	vch_request_done(&q->pledge);
	vch_request_done(&q->rvr);
}

#endif
