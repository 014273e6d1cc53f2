#include "manufacturer/masa_voucher.h"

#include <string.h>
#include "common/base/str.h"
#include "common/pki/issue.h"

static const char *const fault_names[MASA__MAX] = {
	[MASA_SOUND] = "sound",
	[MASA_DENY] = "deny",
	[MASA_BROKEN] = "500",
	[MASA_WRONG_SERIAL] = "wrong-serial",
	[MASA_WRONG_PIN] = "wrong-pin",
	[MASA_BAD_SIGNATURE] = "bad-signature",
	[MASA_EXPIRED] = "expired",
	[MASA_FOREIGN_ENTRY] = "foreign-entry",
	[MASA_DOWN] = "down",
};

const char *
masa_fault_name(enum masa_fault f)
{
	return fault_names[f];
}

/* A CA made for this voucher alone. */
static X509 *
stranger(uint64_t now, struct err *e)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509_NAME) name = issue_name("Nobody's CA", NULL, NULL);
	struct issue_spec spec = { .subject = name,
		.pubkey = key,
		.not_before = now - 3600,
		.not_after = now + (uint64_t)3650 * 86400,
		.ca = true,
		.pathlen = -1,
		.key_usage = "critical,keyCertSign,cRLSign" };

	return issue_cert(&spec, NULL, key, e);
}

/* Another device's, of the same form. */
static void
alter_serial(char *serial)
{
	char *last = serial + strlen(serial) - 1;

	*last = *last == '0' ? '1' : '0';
}

static int
misbehave(struct vch *w, const struct masa_voucher *v, struct err *e)
{
	if (v->fault == MASA_WRONG_SERIAL)
		alter_serial(w->serial);
	if (v->fault == MASA_EXPIRED) {
		w->expires_on = v->now - 60;
		clock_format(w->created_on, v->now - 60 - v->life);
	}
	if (v->fault == MASA_WRONG_PIN) {
		X509 *pin = stranger(v->now, e);

		if (pin == NULL)
			return -1;
		X509_free(w->pin);
		w->pin = pin;
	}
	return 0;
}

static void
fill(struct vch *w, const struct masa_voucher *v)
{
	const struct masa_request *r = v->request;

	clock_format(w->created_on, v->now);
	w->assertion = r->assertion;
	str_copy(w->nonce, sizeof(w->nonce), r->nonce);
	/* RFC 8366 5.3: one of nonce and expires-on. */
	if (r->nonce[0] == '\0')
		w->expires_on = v->now + v->life;
	str_copy(w->serial, sizeof(w->serial), r->serial);
	buf_add(&w->idevid_issuer, r->idevid_issuer.data, r->idevid_issuer.len);
	X509_up_ref(r->pin);
	w->pin = r->pin;
}

static int
sign(const struct masa_voucher *v, const struct vch *w, struct buf *out,
    struct err *e)
{
	struct buf text AUTO_BUF = { 0 };

	vch_format(w, &text);
	if (cms_sign(nid_json_voucher(), buf_bytes(&text), v->signer, NULL, out,
		e) == -1)
		return -1;
	/* The signature's value is what CMS ends with. */
	if (v->fault == MASA_BAD_SIGNATURE)
		out->data[out->len - 1] ^= 1;
	return 0;
}

int
masa_voucher_make(const struct masa_voucher *v, struct buf *out, struct err *e)
{
	struct vch w = { 0 };
	int rc;

	fill(&w, v);
	rc = misbehave(&w, v, e);
	if (rc == 0)
		rc = sign(v, &w, out, e);
	vch_done(&w);
	return rc;
}
