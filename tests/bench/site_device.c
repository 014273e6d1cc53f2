/* Devices of the site's maker, as waybill-factory makes them, and what they
 * ask, as waybill-pledge does. */
#include "tests/bench/site.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/issue.h"
#include "common/pki/voucher.h"
#include "tests/bench/bench.h"

#define NONCE_LEN 16

static struct signer *
device(const struct site *s, const char *serial)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) name = issue_name(serial, "Example Vendor", serial);
	AUTO(X509) x = NULL;
	struct err e = ERR_INIT;
	struct issue_spec spec = { .subject = name,
		.pubkey = key,
		.not_before = clock_now().time,
		.not_after = ISSUE_FOREVER,
		.key_usage = "critical,digitalSignature",
		.masa_url = "https://masa.example",
		.hw_type_oid = "1.3.6.1.4.1.32473.1.1",
		.hw_serial = bytes_of(serial, strlen(serial)) };
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct signer *d;

	x = issue_cert(&spec, s->maker->cert, s->maker->key, &e);
	if (x == NULL || chain == NULL ||
	    sk_X509_push(chain, s->maker->cert) == 0)
		bench_fail("device %s: %s", serial, e.msg);
	d = signer_new(key, x, chain);
	sk_X509_free(chain);
	return d;
}

struct signer **
site_devices(const struct site *s, const char *prefix, size_t n)
{
	struct signer **all = xcalloc(n, sizeof(struct signer *));
	char serial[64];

	for (size_t i = 0; i < n; i++) {
		snprintf(serial, sizeof(serial), "%s-%zu", prefix, i + 1);
		all[i] = device(s, serial);
	}
	return all;
}

void
site_devices_free(struct signer **devices, size_t n)
{
	for (size_t i = 0; i < n; i++)
		signer_free(devices[i]);
	free(devices);
}

/* ---- what they ask ------------------------------------------------------- */

void
site_ask_voucher(
    const struct site *s, const struct signer *device, struct buf *out)
{
	struct vch_request q = { .assertion = VCH_PROXIMITY };
	struct buf json AUTO_BUF = { 0 }, nonce AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	uint8_t octets[NONCE_LEN];

	random_bytes(octets, sizeof(octets));
	base64_format(&nonce, octets, sizeof(octets));
	str_copy(q.nonce, sizeof(q.nonce), buf_cstr(&nonce));
	clock_format(q.created_on, clock_now().time);
	ossl_cert_der(s->registrar, &q.proximity);
	if (cert_subject_serial(device->cert, q.serial, &e) == -1)
		bench_fail("%s", e.msg);
	vch_request_format(&q, &json);
	if (cms_sign(nid_json_voucher(), buf_bytes(&json), device, NULL, out,
		&e) == -1)
		bench_fail("%s: %s", q.serial, e.msg);
	vch_request_done(&q);
}

void
site_ask_cert(const struct signer *device, struct buf *out)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	uint8_t transaction[CMP_TID_LEN];
	struct cmp_head h = { 0 };

	random_bytes(transaction, sizeof(transaction));
	h.transaction_id = bytes_of(transaction, sizeof(transaction));
	if (cmp_body_certreq(CMP_IR, key, X509_get_subject_name(device->cert),
		&body, &e) == -1 ||
	    cmp_build(&h, buf_bytes(&body), device, NULL, out, &e) == -1)
		bench_fail("ir: %s", e.msg);
}

void
site_ask_poll(
    const struct cmp_msg *last, const struct signer *device, struct buf *out)
{
	struct buf body AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct cmp_head h = { 0 };

	cmp_body_pollreq(0, &body);
	cmp_head_reply(last, &h);
	if (cmp_build(&h, buf_bytes(&body), device, NULL, out, &e) == -1)
		bench_fail("pollReq: %s", e.msg);
}

/* ---- what they are told -------------------------------------------------- */

/* NULL: no answer in this transaction. */
static struct cmp_msg *
answer(struct bytes der, struct bytes transaction_id)
{
	AUTO(cmp_msg) m = NULL;
	struct err e = ERR_INIT;

	if (cmp_parse(der, &m, &e) == -1 ||
	    !bytes_eq(cmp_transaction_id(m), transaction_id))
		return NULL;
	return STEAL(m);
}

bool
site_is_waiting(struct bytes der, struct bytes transaction_id)
{
	AUTO(cmp_msg) m = answer(der, transaction_id);
	struct cmp_response rsp = { 0 };
	struct err e = ERR_INIT;
	bool waiting;

	if (m == NULL || cmp_body(m) != CMP_IP ||
	    cmp_read_response(m, &rsp, &e) == -1)
		return false;
	waiting = rsp.status == CMP_WAITING && rsp.id == 0;
	cmp_response_done(&rsp);
	return waiting;
}

bool
site_is_pollrep(struct bytes der, struct bytes transaction_id)
{
	AUTO(cmp_msg) m = answer(der, transaction_id);
	struct err e = ERR_INIT;
	uint32_t seconds;
	long id;

	return m != NULL && cmp_body(m) == CMP_POLLREP &&
	    cmp_read_pollrep(m, &id, &seconds, &e) == 0 && id == 0;
}
