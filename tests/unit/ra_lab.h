/*
 * What the tests of the RA stand on: a domain, a vendor, a link CA, a registrar
 * of site "berlin" and a device, as files in a folder of their own; messages of
 * the device, wrapped as its registrar would.
 */
#ifndef WAYBILL_TESTS_RA_LAB_H
#define WAYBILL_TESTS_RA_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/pki/cmp.h"
#include "common/pki/issue.h"
#include "common/pki/trust.h"
#include "common/queue/batch.h"
#include "common/queue/entry.h"

#define LAB_CMCRA   "1.3.6.1.5.5.7.3.28"
#define LAB_REG_EKU LAB_CMCRA ",serverAuth,clientAuth"
#define LAB_SITE    "berlin"
#define LAB_SAN	    "URI:urn:waybill:site:" LAB_SITE

/* A CA and its key. */
struct lab_ca {
	EVP_PKEY *key;
	X509 *cert;
};

struct lab {
	char dir[64];
	struct lab_ca root, ca, vendor, vendor_sub, link, stranger;
	struct signer *service, *registrar, *device;
	uint8_t epoch[ENTRY_EPOCH_LEN]; /* of the site */
	EVP_PKEY *key; /* what the device asks a certificate for */
	struct trust *vendors, *domain;
};

struct lab_want {
	const char *cn, *serial, *san, *eku, *ku, *masa_url;
	uint64_t from, to; /* 0: an hour back, a day ahead */
	bool ca;
};

static inline const char *
lab_path(const struct lab *l, const char *name)
{
	static char paths[16][160];
	static unsigned next;
	char *ret = paths[next++ % 16];

	snprintf(ret, sizeof(paths[0]), "%s/%s", l->dir, name);
	return ret;
}

static inline void
lab_write(const struct lab *l, const char *name, struct bytes text)
{
	struct err e = ERR_INIT;

	if (file_write(lab_path(l, name), 0600, text, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline X509 *
lab_cert(const struct lab_want *w, EVP_PKEY *key, const struct lab_ca *by)
{
	AUTO(X509_NAME) name = issue_name(w->cn, "Lab", w->serial);
	uint64_t now = clock_now().time;
	struct err e = ERR_INIT;
	struct issue_spec spec = {
		.subject = name,
		.pubkey = key,
		.not_before = w->from != 0 ? w->from : now - 3600,
		.not_after = w->to != 0 ? w->to : now + 86400,
		.ca = w->ca,
		.pathlen = -1,
		.key_usage = w->ca  ? "critical,keyCertSign,cRLSign"
		    : w->ku != NULL ? w->ku
				    : "critical,digitalSignature",
		.ext_key_usage = w->eku,
		.san = w->san,
		.masa_url = w->masa_url,
	};
	X509 *x = issue_cert(&spec, by != NULL ? by->cert : NULL,
	    by != NULL ? by->key : key, &e);

	if (x == NULL)
		fail_msg("%s: %s", w->cn, e.msg);
	return x;
}

static inline struct lab_ca
lab_ca(const char *cn, const struct lab_ca *by)
{
	struct lab_want w = { .cn = cn, .ca = true };
	struct lab_ca c = { .key = ossl_new_key_p256() };

	c.cert = lab_cert(&w, c.key, by);
	return c;
}

static inline void
lab_ca_free(struct lab_ca *c)
{
	EVP_PKEY_free(c->key);
	X509_free(c->cert);
}

/* A leaf below `by`, which is sent along as its chain. */
static inline struct signer *
lab_signer(const struct lab_want *w, const struct lab_ca *by)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) cert = lab_cert(w, key, by);
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct signer *s;

	assert_int_not_equal(sk_X509_push(chain, by->cert), 0);
	s = signer_new(key, cert, chain);
	sk_X509_free(chain);
	return s;
}

static inline void
lab_save(const struct lab *l, const char *name, EVP_PKEY *key, X509 *cert,
    X509 *above)
{
	struct buf pem AUTO_BUF = { 0 }, secret AUTO_SECRET = { 0 };
	char file[64];

	ossl_cert_pem(cert, &pem);
	if (above != NULL)
		ossl_cert_pem(above, &pem);
	snprintf(file, sizeof(file), "%s.crt", name);
	lab_write(l, file, buf_bytes(&pem));
	if (key == NULL)
		return;
	ossl_key_pem(key, &secret);
	snprintf(file, sizeof(file), "%s.key", name);
	lab_write(l, file, buf_bytes(&secret));
}

static inline struct signer *
lab_registrar(const struct lab *l, const char *san, const char *eku)
{
	struct lab_want w = { .cn = "registrar", .san = san, .eku = eku };

	return lab_signer(&w, &l->ca);
}

/* sites/NAME.pem */
static inline void
lab_pair(const struct lab *l, const char *name, const struct signer *s)
{
	struct buf pem AUTO_BUF = { 0 };
	char file[64];

	ossl_cert_pem(s->cert, &pem);
	for (int i = 0; i < sk_X509_num(s->chain); i++)
		ossl_cert_pem(sk_X509_value(s->chain, i), &pem);
	snprintf(file, sizeof(file), "sites/%s.pem", name);
	lab_write(l, file, buf_bytes(&pem));
}

static inline struct signer *
lab_device(const struct lab_ca *by, const char *serial)
{
	struct lab_want w = { .cn = "device", .serial = serial };

	return lab_signer(&w, by);
}

static inline void
lab_trust(struct lab *l)
{
	struct err e = ERR_INIT;

	l->vendors = trust_new();
	l->domain = trust_new();
	assert_int_equal(
	    trust_add_cert(l->vendors, "acme", l->vendor.cert, &e), 0);
	assert_int_equal(
	    trust_add_cert(l->domain, "domain", l->root.cert, &e), 0);
	assert_int_equal(trust_add_intermediate(l->domain, l->ca.cert, &e), 0);
}

static inline void
lab_keys(struct lab *l)
{
	struct lab_want service = { .cn = "ra",
		.san = "URI:urn:waybill:service:ra",
		.eku = LAB_CMCRA };

	l->root = lab_ca("Domain root", NULL);
	l->ca = lab_ca("Domain CA", &l->root);
	l->vendor = lab_ca("Acme root", NULL);
	l->vendor_sub = lab_ca("Acme devices", &l->vendor);
	l->stranger = lab_ca("Nobody", NULL);
	l->link = lab_ca("Link CA", NULL);
	l->service = lab_signer(&service, &l->ca);
	l->registrar = lab_registrar(l, LAB_SAN, LAB_REG_EKU);
	l->device = lab_device(&l->vendor_sub, "WB-0001");
	l->key = ossl_new_key_p256();
	random_bytes(l->epoch, sizeof(l->epoch));
}

static inline struct lab *
lab_new(void)
{
	struct lab *l = xcalloc(1, sizeof(*l));
	uint8_t seal[32];
	struct err e = ERR_INIT;

	str_copy(l->dir, sizeof(l->dir), "/tmp/waybill-ra-XXXXXX");
	assert_non_null(mkdtemp(l->dir));
	assert_int_equal(file_mkdirs(lab_path(l, "sites"), 0700, &e), 0);
	lab_keys(l);
	lab_trust(l);
	lab_pair(l, LAB_SITE, l->registrar);
	lab_save(l, "root", NULL, l->root.cert, NULL);
	lab_save(l, "ca", l->ca.key, l->ca.cert, NULL);
	lab_save(l, "vendor", NULL, l->vendor.cert, NULL);
	lab_save(l, "link-ca", NULL, l->link.cert, NULL);
	lab_save(l, "service", l->service->key, l->service->cert, l->ca.cert);
	random_bytes(seal, sizeof(seal));
	lab_write(l, "seal.key", bytes_of(seal, sizeof(seal)));
	return l;
}

static inline void
lab_free(struct lab *l)
{
	struct lab_ca *cas[] = { &l->root, &l->ca, &l->vendor, &l->vendor_sub,
		&l->link, &l->stranger };
	char cmd[96];

	for (size_t i = 0; i < NELEMS(cas); i++)
		lab_ca_free(cas[i]);
	signer_free(l->service);
	signer_free(l->registrar);
	signer_free(l->device);
	EVP_PKEY_free(l->key);
	trust_free(l->vendors);
	trust_free(l->domain);
	snprintf(cmd, sizeof(cmd), "rm -r %s", l->dir);
	if (system(cmd) != 0)
		fprintf(stderr, "%s failed\n", cmd);
	free(l);
}

/* ---- messages ---------------------------------------------------------- */

struct lab_ask {
	enum cmp_body type;	     /* 0: ir */
	const struct signer *device; /* NULL: the lab's */
	EVP_PKEY *key;		     /* NULL: the lab's */
	const char *cn, *serial;     /* of the template; both NULL: none */
	const char *profile;
	bool no_implicit;
	uint8_t tid[CMP_TID_LEN]; /* zeros: random */
};

static inline void
lab_request(const struct lab *l, const struct lab_ask *a, struct buf *out)
{
	static const uint8_t zeros[CMP_TID_LEN];
	const struct signer *s = a->device != NULL ? a->device : l->device;
	EVP_PKEY *key = a->key != NULL ? a->key : l->key;
	AUTO(X509_NAME) name = issue_name(a->cn, NULL, a->serial);
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	uint8_t tid[CMP_TID_LEN];
	struct cmp_head h = {
		.recipient = X509_get_subject_name(l->registrar->cert),
		.transaction_id = bytes_of(tid, sizeof(tid)),
		.implicit_confirm = !a->no_implicit,
		.profile = a->profile,
	};
	int rc;

	memcpy(tid, a->tid, sizeof(tid));
	if (memcmp(tid, zeros, sizeof(tid)) == 0)
		random_bytes(tid, sizeof(tid));
	rc = a->type == CMP_P10CR
	    ? cmp_body_p10cr(key, name, &body, &e)
	    : cmp_body_certreq(a->type, key, name, &body, &e);
	if (rc == -1 || cmp_build(&h, buf_bytes(&body), s, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

static inline struct cmp_msg *
lab_parse(struct bytes der)
{
	struct cmp_msg *m = NULL;
	struct err e = ERR_INIT;

	if (cmp_parse(der, &m, &e) == -1)
		fail_msg("%s", e.msg);
	return m;
}

/* certConf for the certificate of `answer`, with the device's signature. */
static inline void
lab_certconf(const struct lab *l, const struct cmp_msg *answer, X509 *cert,
    bool accept, struct buf *out)
{
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cmp_head h;

	cmp_head_reply(answer, &h);
	cmp_body_certconf(0, cert, accept, "no room", &body);
	if (cmp_build(&h, buf_bytes(&body), l->device, NULL, out, &e) == -1)
		fail_msg("%s", e.msg);
}

/* ---- entries ----------------------------------------------------------- */

/* What PUT carries. */
struct lab_entry {
	struct entry_header h;
	struct buf header, octets, sig;
};

static inline void
lab_entry_done(struct lab_entry *en)
{
	buf_done(&en->header);
	buf_done(&en->octets);
	buf_done(&en->sig);
}

static inline void
lab_entry_sign(struct lab_entry *en, const struct signer *registrar)
{
	struct err e = ERR_INIT;

	buf_reset(&en->header);
	buf_reset(&en->sig);
	if (entry_header_sign(&en->h, registrar, &en->header, &en->sig, &e) ==
	    -1)
		fail_msg("%s", e.msg);
}

/* The device's octets as entry `id` of this site, by this registrar. */
static inline void
lab_wrap(const struct lab *l, const struct signer *registrar, const char *site,
    uint64_t id, struct bytes bytes, struct lab_entry *ret)
{
	AUTO(cmp_msg) m = lab_parse(bytes);
	struct err e = ERR_INIT;

	*ret = (struct lab_entry){ .h = {
				       .id = id,
				       .kind = ENTRY_CMP,
				       .digest = digest_of(bytes.p, bytes.len),
				       .received = clock_now(),
				       .deadline = clock_now().time + 3600,
				   } };
	str_copy(ret->h.site, sizeof(ret->h.site), site);
	memcpy(ret->h.epoch, l->epoch, sizeof(ret->h.epoch));
	facts_set(&ret->h.facts, "vendor", FACT_END_TO_END, "forged");
	if (cmp_nest(m, registrar, &ret->octets, &e) == -1)
		fail_msg("%s", e.msg);
	lab_entry_sign(ret, registrar);
}

#endif
