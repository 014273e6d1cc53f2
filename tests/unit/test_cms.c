#include "tests/unit/cms_lab.h"

#include <openssl/err.h>

#define CONTENT "{\"ietf-voucher:voucher\":{}}\n"

static const struct bytes content = { (const uint8_t *)CONTENT,
	sizeof(CONTENT) - 1 };

/* Opens, with an output that shows whether it was touched. */
static int
open_it(struct bytes der, X509 *fallback, struct cms_signed *ret, struct err *e)
{
	struct cms_signed before = { .type = 7777 };
	int rc;

	*ret = before;
	*e = (struct err)ERR_INIT;
	rc = cms_open(der, fallback, ret, e);
	if (rc == -1) {
		assert_int_equal(ret->type, 7777);
		assert_null(ret->signer);
		assert_null(ret->certs);
		assert_int_equal(ret->content.len, 0);
		assert_int_not_equal(e->kind, ERR_NONE);
	} else {
		assert_int_equal(e->kind, ERR_NONE);
	}
	/* What failed on the way leaves nothing for the next caller. */
	assert_int_equal(ERR_peek_error(), 0);
	return rc;
}

static void
assert_opens(struct bytes der, X509 *fallback, const struct signer *s, int type)
{
	struct cms_signed c;
	struct err e;

	if (open_it(der, fallback, &c, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(c.type, type);
	assert_true(bytes_eq(buf_bytes(&c.content), content));
	assert_int_equal(X509_cmp(c.signer, s->cert), 0);
	cms_signed_done(&c);
}

static void
assert_refused(
    struct bytes der, X509 *fallback, enum err_kind kind, const char *reason)
{
	struct cms_signed c;
	struct err e;

	assert_int_equal(open_it(der, fallback, &c, &e), -1);
	assert_int_equal(e.kind, kind);
	if (strstr(e.msg, reason) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", reason, e.msg);
}

static void
sign_it(const struct signer *s, const STACK_OF(X509) * more, struct buf *out)
{
	struct err e = ERR_INIT;

	if (cms_sign(nid_json_voucher(), content, s, more, out, &e) == -1)
		fail_msg("%s", e.msg);
}

/* Whether OpenSSL agrees that it is signed. */
static bool
openssl_verifies(struct bytes der)
{
	const unsigned char *p = der.p;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)der.len);
	BIO *out = BIO_new(BIO_s_mem());
	char *text = NULL;
	bool ok;

	assert_non_null(cms);
	ok = CMS_verify(cms, NULL, NULL, NULL, out,
		 CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY) == 1 &&
	    BIO_get_mem_data(out, &text) == (long)content.len &&
	    memcmp(text, content.p, content.len) == 0;
	BIO_free(out);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return ok;
}

static void
each_sort_of_key_signs(void **state)
{
	static const struct {
		const char *type;
		size_t bits;
		bool openssl; /* 3.0 verifies it */
	} keys[] = {
		{ "RSA", 2048, true },
		{ "ED25519", 0, false },
		{ "ED448", 0, false },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < NELEMS(keys); i++) {
		AUTO(signer) s = lab_signer(f, keys[i].type, keys[i].bits);
		struct buf out AUTO_BUF = { 0 };

		sign_it(s, NULL, &out);
		assert_opens(buf_bytes(&out), NULL, s, nid_json_voucher());
		if (keys[i].openssl)
			assert_true(openssl_verifies(buf_bytes(&out)));
		/* The signature is the last of it. */
		out.data[out.len - 1] ^= 1;
		assert_refused(
		    buf_bytes(&out), NULL, ERR_TRUST, "does not hold");
	}
}

static void
what_is_signed_is_der_and_openssl_verifies_it(void **state)
{
	struct fixture *f = *state;
	struct buf out AUTO_BUF = { 0 };
	struct buf again AUTO_BUF = { 0 };
	const unsigned char *p;
	unsigned char *der = NULL;
	CMS_ContentInfo *cms;
	int len;

	buf_add_str(&again, "before");
	sign_it(f->device, NULL, &out);
	assert_true(openssl_verifies(buf_bytes(&out)));
	p = out.data;
	cms = d2i_CMS_ContentInfo(NULL, &p, (long)out.len);
	len = i2d_CMS_ContentInfo(cms, &der);
	assert_true(bytes_eq(bytes_of(der, (size_t)len), buf_bytes(&out)));
	OPENSSL_free(der);
	CMS_ContentInfo_free(cms);
	sign_it(f->device, NULL, &again);
	assert_memory_equal(again.data, "before", 6);
	assert_opens(bytes_of(again.data + 6, again.len - 6), NULL, f->device,
	    nid_json_voucher());
}

static void
certificates_come_once_each(void **state)
{
	struct fixture *f = *state;
	STACK_OF(X509) *more = sk_X509_new_null();
	struct buf out AUTO_BUF = { 0 };
	struct cms_signed c;
	struct err e;

	sk_X509_push(more, f->root);
	sk_X509_push(more, f->sub);
	sk_X509_push(more, f->device->cert);
	sign_it(f->device, more, &out);
	sk_X509_free(more);
	assert_int_equal(open_it(buf_bytes(&out), NULL, &c, &e), 0);
	/* Itself, the sub-CA of its chain, the root. */
	assert_int_equal(sk_X509_num(c.certs), 3);
	cms_signed_done(&c);
	assert_null(c.signer);
	cms_signed_done(&c);
}

static void
too_much_is_not_signed(void **state)
{
	struct fixture *f = *state;
	STACK_OF(X509) *more = sk_X509_new_null();
	struct buf big AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	X509 *x;
	int i;

	memset(buf_grow(&big, CMS_OCTETS_MAX), ' ', CMS_OCTETS_MAX);
	assert_int_equal(cms_sign(NID_pkcs7_data, buf_bytes(&big), f->device,
			     NULL, &out, &e),
	    -1);
	assert_int_equal(e.kind, ERR_INPUT);
	for (i = 0; i < CMS_CERTS_MAX - 1; i++) {
		x = fixture_cert("one more", f->new_key, f->sub, f->sub_key);
		sk_X509_push(more, x);
	}
	assert_int_equal(
	    cms_sign(NID_pkcs7_data, content, f->device, more, &out, &e), -1);
	assert_non_null(strstr(e.msg, "11 certificates, limit 10"));
	assert_int_equal(out.len, 0);
	x509s_free(more);
}

static void
what_others_write_is_opened_or_refused_by_name(void **state)
{
	struct fixture *f = *state;
	AUTO(signer) rsa = lab_signer(f, "RSA", 2048);
	const struct recipe *r;

	for (r = cms_recipes; r < cms_recipes + NELEMS(cms_recipes); r++) {
		const struct signer *s = r->rsa ? rsa : f->device;
		struct buf out AUTO_BUF = { 0 };

		lab_cms(r, s, f->ra, content, &out);
		assert_true(
		    (out.data[1] == 0x80) == ((r->flags & CMS_STREAM) != 0));
		if (r->rc == 0)
			assert_opens(buf_bytes(&out), NULL, s,
			    r->type != 0 ? r->type : nid_json_voucher());
		else
			assert_refused(
			    buf_bytes(&out), NULL, r->kind, r->reason);
	}
}

static void
signer_may_be_known_from_elsewhere(void **state)
{
	static const struct recipe bare = { .flags = CMS_NOCERTS };
	struct fixture *f = *state;
	struct buf out AUTO_BUF = { 0 };

	lab_cms(&bare, f->device, NULL, content, &out);
	assert_opens(
	    buf_bytes(&out), f->device->cert, f->device, nid_json_voucher());
	assert_refused(buf_bytes(&out), f->ra->cert, ERR_TRUST,
	    "certificate is not there");
}

/* Another key under the name and number of the signer. */
static void
signer_of_the_same_name_is_another(void **state)
{
	static const struct recipe bare = { .flags = CMS_NOCERTS };
	struct fixture *f = *state;
	AUTO(X509) twin = X509_dup(f->device->cert);
	struct buf out AUTO_BUF = { 0 };

	assert_int_equal(X509_set_pubkey(twin, f->new_key), 1);
	lab_cms(&bare, f->device, NULL, content, &out);
	assert_refused(buf_bytes(&out), twin, ERR_TRUST, "does not hold");
}

static void
weak_keys_are_refused_first(void **state)
{
	static const struct {
		const char *type, *group;
		size_t bits;
		const char *reason;
	} keys[] = {
		{ "RSA", NULL, 1024, "RSA of 1024 bits" },
		{ "EC", "secp256k1", 0, "curve secp256k1" },
	};
	static const struct recipe plain = { .name = "plain" };
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < NELEMS(keys); i++) {
		EVP_PKEY *key = keys[i].group != NULL
		    ? EVP_EC_gen(keys[i].group)
		    : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", keys[i].bits);
		AUTO(signer) s = fixture_signer(f, "weak", key);
		struct buf out AUTO_BUF = { 0 };

		lab_cms(&plain, s, NULL, content, &out);
		/* The signature is broken as well, but nobody gets that far. */
		out.data[out.len - 1] ^= 1;
		assert_refused(
		    buf_bytes(&out), NULL, ERR_TRUST, keys[i].reason);
	}
}

/* The first place of needle, which is there. */
static uint8_t *
find(struct buf *in, const void *needle, size_t n)
{
	uint8_t *p = memmem(in->data, in->len, needle, n);

	assert_non_null(p);
	return p;
}

static void
signed_attributes_bind_type_and_content(void **state)
{
	/* id-ct-animaJSONVoucher; its last octet makes another type. */
	static const uint8_t oid[] = { 0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7,
		0x0d, 0x01, 0x09, 0x10, 0x01, 0x28 };
	struct fixture *f = *state;
	struct buf out AUTO_BUF = { 0 };

	sign_it(f->device, NULL, &out);
	find(&out, oid, sizeof(oid))[sizeof(oid) - 1] ^= 1;
	assert_refused(buf_bytes(&out), NULL, ERR_TRUST, "5652 11.1");
	find(&out, oid, sizeof(oid) - 1)[sizeof(oid) - 1] ^= 1;
	find(&out, CONTENT, sizeof(CONTENT) - 1)[2] ^= 1;
	assert_refused(buf_bytes(&out), NULL, ERR_TRUST, "5652 11.2");
}

/* RFC 5652 5.3: the algorithm of the signature has a weaker digest. */
static void
signature_and_content_have_one_digest(void **state)
{
	/* ecdsa-with-SHA256 within the SignerInfo comes last; SHA-1 is .1. */
	static const uint8_t oid[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
		0x04, 0x03, 0x02 };
	struct fixture *f = *state;
	struct buf out AUTO_BUF = { 0 };
	uint8_t *last = NULL, *p;

	sign_it(f->device, NULL, &out);
	p = find(&out, oid, sizeof(oid));
	for (; p != NULL;
	     p = memmem(
		 p + 1, out.len - (size_t)(p + 1 - out.data), oid, sizeof(oid)))
		last = p;
	last[sizeof(oid) - 1] = 0x03; /* SHA-384 */
	assert_refused(buf_bytes(&out), NULL, ERR_TRUST,
	    "digest of the signature is not the content's");
}

static void
sizes_and_ends_are_checked(void **state)
{
	/* ContentInfo of id-data with empty content. */
	static const uint8_t data[] = { 0x30, 0x0f, 0x06, 0x09, 0x2a, 0x86,
		0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01, 0xa0, 0x02, 0x04,
		0x00 };
	struct fixture *f = *state;
	struct buf out AUTO_BUF = { 0 };
	struct buf big AUTO_BUF = { 0 };
	size_t n;

	assert_refused(bytes_of(NULL, 0), NULL, ERR_INPUT, "0 octets");
	assert_refused(
	    bytes_of(data, sizeof(data)), NULL, ERR_INPUT, "not SignedData");
	sign_it(f->device, NULL, &out);
	for (n = 1; n < out.len; n++)
		assert_refused(bytes_of(out.data, n), NULL, ERR_INPUT,
		    "not a ContentInfo");
	buf_add(&out, "", 1);
	assert_refused(buf_bytes(&out), NULL, ERR_INPUT, "1 trailing octets");
	memset(buf_grow(&big, CMS_OCTETS_MAX + 1), 0x30, CMS_OCTETS_MAX + 1);
	assert_refused(buf_bytes(&big), NULL, ERR_INPUT, "limit 65536");
	big.len--;
	assert_refused(buf_bytes(&big), NULL, ERR_INPUT, "not a ContentInfo");
}

/* 30000 levels of indefinite length must end by the parser's limit, not by
 * that of the stack. */
static void
deep_ber_is_refused(void **state)
{
	struct buf deep AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 30000; i++)
		buf_add(&deep, "\x30\x80", 2);
	assert_refused(buf_bytes(&deep), NULL, ERR_INPUT, "not a ContentInfo");
	buf_reset(&deep);
	buf_add(&deep,
	    "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
	    "\xa0\x80",
	    15);
	for (i = 0; i < 30000; i++)
		buf_add(&deep, "\x24\x80", 2);
	assert_refused(buf_bytes(&deep), NULL, ERR_INPUT, "not a ContentInfo");
}

static void
too_many_certificates_are_refused(void **state)
{
	static const struct recipe plain = { .name = "plain" };
	struct fixture *f = *state;
	struct buf out AUTO_BUF = { 0 };
	struct buf more AUTO_BUF = { 0 };
	const unsigned char *p;
	unsigned char *der = NULL;
	CMS_ContentInfo *cms;
	int i, len;

	lab_cms(&plain, f->device, NULL, content, &out);
	p = out.data;
	cms = d2i_CMS_ContentInfo(NULL, &p, (long)out.len);
	for (i = 1; i <= CMS_CERTS_MAX; i++) {
		AUTO(X509) x =
		    fixture_cert("one more", f->new_key, f->sub, f->sub_key);

		der = NULL;
		len = i2d_CMS_ContentInfo(cms, &der);
		assert_opens(bytes_of(der, (size_t)len), NULL, f->device,
		    nid_json_voucher());
		OPENSSL_free(der);
		assert_int_equal(CMS_add1_cert(cms, x), 1);
	}
	der = NULL;
	len = i2d_CMS_ContentInfo(cms, &der);
	buf_add(&more, der, (size_t)len);
	OPENSSL_free(der);
	CMS_ContentInfo_free(cms);
	assert_refused(
	    buf_bytes(&more), NULL, ERR_INPUT, "11 certificates, limit 10");
}

/* Whatever octet is changed: refused, or the same content by the same key. */
static void
no_changed_octet_changes_what_was_said(void **state)
{
	struct fixture *f = *state;
	struct buf out AUTO_BUF = { 0 };
	struct cms_signed c;
	size_t i, refused = 0;
	struct err e;

	sign_it(f->device, NULL, &out);
	for (i = 0; i < out.len; i++) {
		out.data[i] ^= 0x01;
		if (open_it(buf_bytes(&out), NULL, &c, &e) == 0) {
			assert_int_equal(c.type, nid_json_voucher());
			assert_true(bytes_eq(buf_bytes(&c.content), content));
			assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(c.signer),
					     f->device->key),
			    1);
			cms_signed_done(&c);
		} else {
			refused++;
		}
		out.data[i] ^= 0x01;
	}
	/* What may change is inside of certificates. */
	assert_true(refused > content.len + 64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sort_of_key_signs),
		cmocka_unit_test(what_is_signed_is_der_and_openssl_verifies_it),
		cmocka_unit_test(certificates_come_once_each),
		cmocka_unit_test(too_much_is_not_signed),
		cmocka_unit_test(
		    what_others_write_is_opened_or_refused_by_name),
		cmocka_unit_test(signer_may_be_known_from_elsewhere),
		cmocka_unit_test(signer_of_the_same_name_is_another),
		cmocka_unit_test(weak_keys_are_refused_first),
		cmocka_unit_test(signed_attributes_bind_type_and_content),
		cmocka_unit_test(signature_and_content_have_one_digest),
		cmocka_unit_test(sizes_and_ends_are_checked),
		cmocka_unit_test(deep_ber_is_refused),
		cmocka_unit_test(too_many_certificates_are_refused),
		cmocka_unit_test(no_changed_octet_changes_what_was_said),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
