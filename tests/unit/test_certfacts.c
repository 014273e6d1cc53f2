#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"

#define NOW 1800000000

static EVP_PKEY *key;

static int
make_key(void **state)
{
	(void)state;
	key = ossl_new_key_p256();
	return 0;
}

static int
free_key(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

static X509 *
certify(struct issue_spec spec)
{
	AUTO(X509_NAME) plain = issue_name("plain", NULL, NULL);
	struct err e = ERR_INIT;
	X509 *x;

	spec.pubkey = key;
	if (spec.subject == NULL)
		spec.subject = plain;
	if (spec.not_after == 0) {
		spec.not_before = NOW;
		spec.not_after = ISSUE_FOREVER;
	}
	x = issue_cert(&spec, NULL, key, &e);
	if (x == NULL)
		fail_msg("%s", e.msg);
	return x;
}

#define CERTIFY(...) certify((struct issue_spec){ __VA_ARGS__ })

/* A subject with these serialNumbers, of any octets. */
static X509 *
with_serials(const char *a, int a_len, const char *b)
{
	AUTO(X509_NAME) name = issue_name("device", "Vendor", NULL);

	if (a != NULL)
		assert_int_equal(X509_NAME_add_entry_by_NID(name,
				     NID_serialNumber, V_ASN1_PRINTABLESTRING,
				     (const unsigned char *)a, a_len, -1, 0),
		    1);
	if (b != NULL)
		assert_int_equal(X509_NAME_add_entry_by_NID(name,
				     NID_serialNumber, V_ASN1_PRINTABLESTRING,
				     (const unsigned char *)b, -1, -1, 0),
		    1);
	return CERTIFY(.subject = name);
}

static void
subject_serial_is_one_printable_string(void **state)
{
	char longest[CERT_TEXT_MAX], too_long[CERT_TEXT_MAX + 1];
	const struct {
		const char *a;
		int len;
		const char *b;
		const char *want; /* NULL: refused */
	} cases[] = {
		{ "SN-0001", 7, NULL, "SN-0001" },
		{ "a b'()+,-./:=?Z9", 16, NULL, "a b'()+,-./:=?Z9" },
		{ longest, CERT_TEXT_MAX - 1, NULL, longest },
		{ NULL, 0, NULL, NULL },
		{ "", 0, NULL, NULL },
		{ "SN-1", 4, "SN-2", NULL },
		{ "SN-1", 4, "SN-1", NULL },
		{ "SN\0X", 4, NULL, NULL },
		{ "SN_1", 4, NULL, NULL },
		{ "SN\n1", 4, NULL, NULL },
		{ "SN\xc3\xa9", 4, NULL, NULL },
		{ too_long, CERT_TEXT_MAX, NULL, NULL },
	};
	size_t i;

	(void)state;
	memset(longest, '7', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memset(too_long, '7', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(X509) x = NULL;
		char got[CERT_TEXT_MAX] = "untouched";
		struct err e = ERR_INIT;
		int rc;

		x = with_serials(cases[i].a, cases[i].len, cases[i].b);
		rc = cert_subject_serial(x, got, &e);
		assert_int_equal(rc, cases[i].want != NULL ? 0 : -1);
		assert_string_equal(got, rc == 0 ? cases[i].want : "untouched");
		assert_int_equal(e.kind, rc == 0 ? ERR_NONE : ERR_INPUT);
	}
}

/* The extension with any content. */
static void
add_masa(X509 *x, const void *der, int len)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext;

	ASN1_OCTET_STRING_set(value, der, len);
	ext = X509_EXTENSION_create_by_NID(NULL, nid_masa_url(), 0, value);
	assert_int_equal(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(value);
}

static void
masa_url_is_one_ia5string(void **state)
{
	static const struct {
		const char *der;
		int len;
		int rc;
	} cases[] = {
		{ "\x16\x06m.test", 8, 0 },
		{ "\x16\x06m.tes", 7, -1 },
		{ "\x16\x06m.test!", 9, -1 },
		{ "\x0c\x06m.test", 8, -1 },
		{ "\x16\x00", 2, -1 },
		{ "\x16\x06m.te\0t", 8, -1 },
		{ "\x16\x06m.te t", 8, -1 },
		{ "\x16\x06m.te\xff"
		  "t",
		    8, -1 },
		{ "", 0, -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(X509) x = CERTIFY(.pathlen = -1);
		char got[16] = "untouched";
		struct err e = ERR_INIT;

		add_masa(x, cases[i].der, cases[i].len);
		assert_int_equal(
		    cert_masa_url(x, got, sizeof(got), &e), cases[i].rc);
		assert_string_equal(
		    got, cases[i].rc == 0 ? "m.test" : "untouched");
		assert_int_equal(
		    e.kind, cases[i].rc == 0 ? ERR_NONE : ERR_INPUT);
	}
}

static void
masa_url_is_there_once_and_fits(void **state)
{
	AUTO(X509) none = CERTIFY(.pathlen = -1);
	AUTO(X509) one = CERTIFY(.masa_url = "https://masa.test/x");
	AUTO(X509) two = CERTIFY(.masa_url = "https://masa.test/x");
	char got[64] = "untouched";
	struct err e = ERR_INIT;

	(void)state;
	add_masa(two, "\x16\x01m", 3);
	assert_int_equal(cert_masa_url(none, got, sizeof(got), &e), -1);
	assert_int_equal(cert_masa_url(two, got, sizeof(got), &e), -1);
	assert_int_equal(cert_masa_url(one, got, 19, &e), -1);
	assert_string_equal(got, "untouched");
	assert_int_equal(cert_masa_url(one, got, 20, &e), 0);
	assert_string_equal(got, "https://masa.test/x");
}

static void
site_is_one_valid_urn(void **state)
{
	static const struct {
		const char *san, *site, *service; /* NULL: refused */
	} cases[] = {
		{ "URI:urn:waybill:site:north-7,DNS:h.test", "north-7", NULL },
		{ "URI:urn:waybill:service:ra", NULL, "ra" },
		{ "URI:urn:waybill:site:a,URI:urn:waybill:service:b", "a",
		    "b" },
		{ "URI:urn:waybill:site:a,URI:urn:waybill:site:b", NULL, NULL },
		{ "URI:urn:waybill:site:a,URI:urn:waybill:site:a", NULL, NULL },
		{ "URI:urn:waybill:site:a,URI:urn:waybill:site:", NULL, NULL },
		{ "URI:urn:waybill:site:", NULL, NULL },
		{ "URI:urn:waybill:site:North", NULL, NULL },
		{ "URI:urn:waybill:site:a/b", NULL, NULL },
		{ "URI:urn:waybill:site:a2345678901234567890123456789012",
		    "a2345678901234567890123456789012", NULL },
		{ "URI:urn:waybill:site:a23456789012345678901234567890123",
		    NULL, NULL },
		{ "DNS:urn.waybill.site", NULL, NULL },
		{ "URI:xurn:waybill:site:a", NULL, NULL },
		{ NULL, NULL, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(X509) x = CERTIFY(.san = cases[i].san);
		char site[33] = "untouched", service[33] = "untouched";
		struct err e = ERR_INIT;

		assert_int_equal(
		    cert_site(x, site, &e), cases[i].site != NULL ? 0 : -1);
		assert_string_equal(
		    site, cases[i].site != NULL ? cases[i].site : "untouched");
		if (cases[i].site == NULL)
			assert_int_equal(e.kind, ERR_TRUST);
		assert_int_equal(cert_service(x, service, &e),
		    cases[i].service != NULL ? 0 : -1);
		assert_string_equal(service,
		    cases[i].service != NULL ? cases[i].service : "untouched");
	}
}

/* The NUL must not end the name: "a" is not what the CA wrote. */
static void
site_with_a_nul_is_refused(void **state)
{
	AUTO(X509) x = CERTIFY(.pathlen = -1);
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *uri = ASN1_IA5STRING_new();
	char got[33] = "untouched";
	struct err e = ERR_INIT;

	(void)state;
	ASN1_STRING_set(uri, "urn:waybill:site:a\0b", 20);
	GENERAL_NAME_set0_value(name, GEN_URI, uri);
	sk_GENERAL_NAME_push(names, name);
	X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0);
	GENERAL_NAMES_free(names);
	assert_int_equal(cert_site(x, got, &e), -1);
	assert_string_equal(got, "untouched");
}

static void
usages_are_read(void **state)
{
	AUTO(X509) ra = CERTIFY(.key_usage = "critical,digitalSignature",
	    .ext_key_usage = "serverAuth,1.3.6.1.5.5.7.3.28");
	AUTO(X509) ca = CERTIFY(.ca = true, .pathlen = 0,
	    .key_usage = "critical,keyCertSign,cRLSign");
	AUTO(X509) plain = CERTIFY(.ext_key_usage = "anyExtendedKeyUsage");

	(void)state;
	assert_true(cert_has_cmcra(ra));
	assert_true(cert_has_eku(ra, NID_server_auth));
	assert_false(cert_has_eku(ra, NID_client_auth));
	assert_true(cert_may_sign(ra));
	assert_false(cert_is_ca(ra));
	assert_false(cert_has_cmcra(ca));
	assert_false(cert_may_sign(ca));
	assert_true(cert_is_ca(ca));
	assert_false(cert_has_cmcra(plain));
	assert_true(cert_may_sign(plain));
	assert_false(cert_is_ca(plain));
}

static void
key_usage_alone_makes_no_ca(void **state)
{
	AUTO(X509) x = CERTIFY(.key_usage = "keyCertSign,digitalSignature");

	(void)state;
	assert_int_not_equal(X509_check_ca(x), 0);
	assert_false(cert_is_ca(x));
}

/* DECISIONS 7, built here by hand for a one-octet serial number. */
static void
device_is_issuer_serial_and_profile(void **state)
{
	AUTO(X509) x = CERTIFY(.pathlen = -1);
	struct buf want AUTO_BUF = { 0 }, issuer AUTO_BUF = { 0 };
	struct digest md, got;

	(void)state;
	ASN1_INTEGER_set(X509_get_serialNumber(x), 0x7f);
	ossl_name_der(X509_get_issuer_name(x), &issuer);
	assert_true(issuer.len < 24);
	buf_add(&want, "\x83", 1);
	*buf_grow(&want, 1) = (uint8_t)(0x40 + issuer.len);
	want.len = 2;
	buf_add(&want, issuer.data, issuer.len);
	buf_add(&want, "\x41\x7f\x62tl", 5);
	md = digest_of(want.data, want.len);
	got = cert_device(x, "tl");
	assert_true(digest_eq(&md, &got));
	got = cert_device(x, "");
	assert_false(digest_eq(&md, &got));
}

static void
texts_are_printable_and_bounded(void **state)
{
	AUTO(X509_NAME) name = issue_name("d\xc3\xa9vice", "A, B", "SN-1");
	AUTO(X509) x = CERTIFY(.subject = name);
	char text[CERT_TEXT_MAX], small[6];

	(void)state;
	assert_string_equal(cert_subject_text(x, text, sizeof(text)),
	    "serialNumber=SN-1,CN=d\\C3\\A9vice,O=A\\, B");
	assert_string_equal(cert_issuer_text(x, text, sizeof(text)),
	    "serialNumber=SN-1,CN=d\\C3\\A9vice,O=A\\, B");
	assert_string_equal(
	    cert_subject_text(x, small, sizeof(small)), "seria");
	ASN1_INTEGER_set(X509_get_serialNumber(x), 0xABCD01);
	assert_string_equal(cert_serial_hex(x, text, sizeof(text)), "abcd01");
	assert_string_equal(cert_serial_hex(x, small, sizeof(small)), "abcd");
}

static void
ski_is_borrowed_or_empty(void **state)
{
	AUTO(X509) x = CERTIFY(.pathlen = -1);
	AUTO(X509) bare = X509_dup(x);
	int at = X509_get_ext_by_NID(bare, NID_subject_key_identifier, -1);
	struct bytes ski = cert_ski(x);

	(void)state;
	assert_int_equal(ski.len, 20);
	X509_EXTENSION_free(X509_delete_ext(bare, at));
	assert_int_equal(cert_ski(bare).len, 0);
}

static void
validity_reaches_year_9999(void **state)
{
	AUTO(X509) x = CERTIFY(.not_before = NOW, .not_after = ISSUE_FOREVER);
	AUTO(X509) y = CERTIFY(.not_before = 0, .not_after = 2524608000);
	uint64_t from = 7, to = 7;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(cert_validity(x, &from, &to, &e), 0);
	assert_true(from == NOW);
	assert_true(to == 253402300799);
	assert_int_equal(cert_validity(y, &from, &to, &e), 0);
	assert_true(from == 0);
	assert_true(to == 2524608000); /* GeneralizedTime from here on */
	from = to = 7;
	assert_int_equal(
	    ASN1_STRING_set(X509_getm_notAfter(y), "20501399", 8), 1);
	assert_int_equal(cert_validity(y, &from, &to, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
	assert_true(from == 7 && to == 7);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(subject_serial_is_one_printable_string),
		cmocka_unit_test(masa_url_is_one_ia5string),
		cmocka_unit_test(masa_url_is_there_once_and_fits),
		cmocka_unit_test(site_is_one_valid_urn),
		cmocka_unit_test(site_with_a_nul_is_refused),
		cmocka_unit_test(usages_are_read),
		cmocka_unit_test(key_usage_alone_makes_no_ca),
		cmocka_unit_test(device_is_issuer_serial_and_profile),
		cmocka_unit_test(texts_are_printable_and_bounded),
		cmocka_unit_test(ski_is_borrowed_or_empty),
		cmocka_unit_test(validity_reaches_year_9999),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
