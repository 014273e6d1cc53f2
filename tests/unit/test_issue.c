#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/pki/certfacts.h"
#include "common/pki/issue.h"
#include "common/pki/sign.h"
#include "common/pki/trust.h"

#define NOW 1800000000

AUTO_DEFINE(GENERAL_NAMES, GENERAL_NAMES, GENERAL_NAMES_free);

static EVP_PKEY *ca_key, *key;
static X509_NAME *ca_name, *name;
static X509 *ca;

static struct issue_spec
ca_spec(void)
{
	return (struct issue_spec){ .subject = ca_name,
		.pubkey = ca_key,
		.not_before = NOW,
		.not_after = ISSUE_FOREVER,
		.ca = true,
		.pathlen = 1,
		.key_usage = "critical,keyCertSign,cRLSign" };
}

static struct issue_spec
ee_spec(void)
{
	return (struct issue_spec){ .subject = name,
		.pubkey = key,
		.not_before = NOW,
		.not_after = NOW + 1000,
		.key_usage = "critical,digitalSignature",
		.ext_key_usage = "clientAuth,1.3.6.1.5.5.7.3.28",
		.san = "URI:urn:waybill:site:x,DNS:h.test,IP:::1" };
}

static int
make_ca(void **state)
{
	struct issue_spec spec;
	struct err e = ERR_INIT;

	(void)state;
	ca_key = ossl_new_key_p256();
	key = ossl_new_key_p256();
	ca_name = issue_name("CA", "Org", NULL);
	name = issue_name("site x", "Org", NULL);
	spec = ca_spec();
	ca = issue_cert(&spec, NULL, ca_key, &e);
	return ca == NULL ? -1 : 0;
}

static int
free_ca(void **state)
{
	(void)state;
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	X509_NAME_free(ca_name);
	X509_NAME_free(name);
	X509_free(ca);
	return 0;
}

static void
assert_chains(X509 *x)
{
	AUTO(trust) t = trust_new();
	const char *who = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(trust_add_cert(t, "ca", ca, &e), 0);
	if (trust_check(t, x, NULL, NOW, &who, NULL, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
assert_critical(X509 *x, int nid, bool want)
{
	int at = X509_get_ext_by_NID(x, nid, -1);

	assert_true(at >= 0);
	assert_int_equal(
	    X509_EXTENSION_get_critical(X509_get_ext(x, at)) != 0, want);
}

static void
ca_signs_itself(void **state)
{
	const ASN1_OCTET_STRING *aki = X509_get0_authority_key_id(ca);
	uint64_t from, to;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(X509_get_version(ca), 2);
	assert_int_equal(X509_self_signed(ca, 1), 1);
	assert_true(cert_is_ca(ca));
	assert_int_equal(X509_get_pathlen(ca), 1);
	assert_int_equal(
	    X509_get_key_usage(ca), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_critical(ca, NID_basic_constraints, true);
	assert_critical(ca, NID_key_usage, true);
	assert_int_equal(cert_validity(ca, &from, &to, &e), 0);
	assert_true(from == NOW && to == 253402300799);
	assert_non_null(aki);
	assert_true(bytes_eq(cert_ski(ca),
	    bytes_of(
		ASN1_STRING_get0_data(aki), (size_t)ASN1_STRING_length(aki))));
}

static void
certificate_says_what_was_specified(void **state)
{
	struct issue_spec spec = ee_spec();
	struct err e = ERR_INIT;
	AUTO(X509) x = issue_cert(&spec, ca, ca_key, &e);
	const ASN1_OCTET_STRING *aki;
	char site[33];

	(void)state;
	assert_non_null(x);
	assert_chains(x);
	assert_false(cert_is_ca(x));
	assert_true(cert_may_sign(x));
	assert_true(cert_has_cmcra(x));
	assert_true(cert_has_eku(x, NID_client_auth));
	assert_int_equal(cert_site(x, site, &e), 0);
	assert_string_equal(site, "x");
	assert_int_equal(X509_check_host(x, "h.test", 0, 0, NULL), 1);
	assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "127.0.0.1", 0), 0);
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), key), 1);
	assert_int_equal(X509_get_signature_nid(x), NID_ecdsa_with_SHA256);
	aki = X509_get0_authority_key_id(x);
	assert_true(bytes_eq(cert_ski(ca),
	    bytes_of(
		ASN1_STRING_get0_data(aki), (size_t)ASN1_STRING_length(aki))));
	assert_true(X509_get_ext_by_NID(x, nid_masa_url(), -1) < 0);
}

static void
serial_numbers_are_long_positive_and_new(void **state)
{
	struct issue_spec spec = ee_spec();
	char last[64] = "", hex[64];
	struct err e = ERR_INIT;
	int i;

	(void)state;
	for (i = 0; i < 8; i++) {
		AUTO(X509) x = issue_cert(&spec, ca, ca_key, &e);

		assert_int_equal(ASN1_STRING_type(X509_get0_serialNumber(x)),
		    V_ASN1_INTEGER);
		cert_serial_hex(x, hex, sizeof(hex));
		assert_int_equal(strlen(hex), 32);
		assert_true(hex[0] >= '4' && hex[0] <= '7');
		assert_string_not_equal(hex, last);
		strcpy(last, hex);
	}
}

/* RFC 4108 5, octet by octet. */
static void
hardware_name_stands_beside_the_others(void **state)
{
	static const char want[] = "\x30\x10\x06\x0a\x2b\x06\x01\x04\x01\x81"
				   "\xfd\x59\x01\x01\x04\x02S1";
	struct issue_spec spec = ee_spec();
	struct err e = ERR_INIT;
	AUTO(GENERAL_NAMES) names = NULL;
	AUTO(X509) x = NULL;
	const GENERAL_NAME *n;
	ASN1_OBJECT *id;
	ASN1_TYPE *value;

	(void)state;
	spec.hw_type_oid = "1.3.6.1.4.1.32473.1.1";
	spec.hw_serial = bytes_of("S1", 2);
	x = issue_cert(&spec, ca, ca_key, &e);
	assert_non_null(x);
	assert_chains(x);
	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(names), 4);
	n = sk_GENERAL_NAME_value(names, 3);
	assert_int_equal(GENERAL_NAME_get0_otherName(n, &id, &value), 1);
	assert_int_equal(OBJ_obj2nid(id), nid_hardware_module_name());
	assert_int_equal(value->type, V_ASN1_SEQUENCE);
	assert_int_equal(value->value.sequence->length, sizeof(want) - 1);
	assert_memory_equal(
	    value->value.sequence->data, want, sizeof(want) - 1);
}

static void
device_certificate_holds_the_masa_url(void **state)
{
	struct issue_spec spec = ee_spec();
	struct err e = ERR_INIT;
	AUTO(X509) x = NULL;
	char url[64];

	(void)state;
	spec.san = NULL;
	spec.masa_url = "https://masa.test:9443";
	x = issue_cert(&spec, ca, ca_key, &e);
	assert_non_null(x);
	assert_int_equal(cert_masa_url(x, url, sizeof(url), &e), 0);
	assert_string_equal(url, "https://masa.test:9443");
	assert_critical(x, nid_masa_url(), false);
	assert_true(X509_get_ext_by_NID(x, NID_subject_alt_name, -1) < 0);
}

static void
signature_of_another_process_fits(void **state)
{
	struct issue_spec spec = ee_spec();
	struct err e = ERR_INIT;
	struct buf tbs AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	AUTO(X509) x = NULL;
	AUTO(X509) again = NULL;
	struct buf der AUTO_BUF = { 0 };
	struct bytes unsigned_cert;
	size_t len;

	(void)state;
	x = issue_tbs(&spec, ca, &tbs, &e);
	assert_non_null(x);
	assert_int_equal(
	    EVP_DigestSignInit(ctx, NULL, sign_md(ca_key), NULL, ca_key), 1);
	assert_int_equal(EVP_DigestSign(ctx, NULL, &len, tbs.data, tbs.len), 1);
	buf_grow(&sig, len);
	assert_int_equal(
	    EVP_DigestSign(ctx, sig.data, &len, tbs.data, tbs.len), 1);
	EVP_MD_CTX_free(ctx);
	sig.data[len - 1] ^= 1;
	ossl_cert_der(x, &der);
	unsigned_cert = buf_bytes(&der);
	assert_null(
	    issue_finish(unsigned_cert, ca, bytes_of(sig.data, len), &e));
	assert_int_equal(e.kind, ERR_TRUST);
	assert_null(issue_finish(unsigned_cert, ca, bytes_of(NULL, 0), &e));
	assert_null(issue_finish(buf_bytes(&sig), ca, buf_bytes(&sig), &e));
	sig.data[len - 1] ^= 1;
	again = issue_finish(unsigned_cert, ca, bytes_of(sig.data, len), &e);
	assert_non_null(again);
	assert_chains(again);
	/* What others will read is what was signed. */
	buf_reset(&der);
	ossl_cert_der(again, &der);
	assert_non_null(memmem(der.data, der.len, tbs.data, tbs.len));
	assert_true(cert_has_cmcra(again));
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(again), spec.pubkey), 1);
}

static void
wrong_key_cannot_issue(void **state)
{
	struct issue_spec spec = ee_spec();
	struct err e = ERR_INIT;

	(void)state;
	assert_null(issue_cert(&spec, ca, key, &e));
	assert_int_equal(e.kind, ERR_LOCAL);
	assert_null(issue_cert(&spec, NULL, ca_key, &e));
	assert_int_equal(e.kind, ERR_LOCAL);
}

static void
impossible_specifications_are_refused(void **state)
{
	struct issue_spec cases[8];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++)
		cases[i] = ee_spec();
	cases[0].not_after = cases[0].not_before - 1;
	cases[1].not_after = 253402300800; /* year 10000 */
	cases[2].san = "IP:h.test";
	cases[3].san = "DNS";
	cases[4].key_usage = "signEverything";
	cases[5].ext_key_usage = "not an oid";
	cases[6].hw_type_oid = "hardware";
	cases[7].san = "DNS:a,dirName:section";
	for (i = 0; i < NELEMS(cases); i++) {
		struct err e = ERR_INIT;
		struct buf tbs AUTO_BUF = { 0 };

		assert_null(issue_cert(&cases[i], ca, ca_key, &e));
		assert_int_equal(e.kind, ERR_INPUT);
		assert_null(issue_tbs(&cases[i], ca, &tbs, &e));
		assert_int_equal(tbs.len, 0);
	}
}

static void
assert_subject(const X509_NAME *n, const char *want)
{
	struct issue_spec spec = ee_spec();
	struct err e = ERR_INIT;
	AUTO(X509) x = NULL;
	char got[256];

	spec.subject = n;
	x = issue_cert(&spec, ca, ca_key, &e);
	assert_non_null(x);
	assert_string_equal(cert_subject_text(x, got, sizeof(got)), want);
}

static void
names_are_built_or_refused(void **state)
{
	static const char text64[] =
	    "1234567890123456789012345678901234567890123456789012345678901234";
	static const struct {
		const char *cn, *o, *serial, *want;
	} cases[] = {
		{ "a", "c", "b", "serialNumber=b,CN=a,O=c" },
		{ "a", NULL, NULL, "CN=a" },
		{ NULL, NULL, NULL, "" },
		{ NULL, "\xc3\xa9", NULL, "O=\\C3\\A9" },
		{ "a", NULL, "b_c", NULL },
		{ "", NULL, NULL, NULL },
		{ "\xff", NULL, NULL, NULL },
		{ text64, NULL, text64, "" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		AUTO(X509_NAME) n = NULL;

		n = issue_name(cases[i].cn, cases[i].o, cases[i].serial);
		assert_int_equal(n != NULL, cases[i].want != NULL);
		if (n == NULL || cases[i].cn == text64)
			continue;
		assert_subject(n, cases[i].want);
	}
	assert_null(issue_name(
	    "12345678901234567890123456789012345678901234567890123456789012345",
	    NULL, NULL));
}

static void
request_is_signed_with_its_names(void **state)
{
	struct err e = ERR_INIT;
	AUTO(X509_REQ) r =
	    issue_request(key, name, "URI:urn:waybill:site:x,DNS:h", &e);
	AUTO(X509_REQ) plain = issue_request(key, name, NULL, &e);
	STACK_OF(X509_EXTENSION) * exts;
	AUTO(GENERAL_NAMES) names = NULL;

	(void)state;
	assert_non_null(r);
	assert_int_equal(X509_REQ_verify(r, key), 1);
	assert_int_equal(X509_REQ_verify(r, ca_key), 0);
	assert_int_equal(X509_NAME_cmp(X509_REQ_get_subject_name(r), name), 0);
	exts = X509_REQ_get_extensions(r);
	names = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	assert_int_equal(sk_GENERAL_NAME_num(names), 2);
	assert_non_null(plain);
	assert_int_equal(X509_REQ_verify(plain, key), 1);
	assert_null(issue_request(key, name, "IP:x", &e));
	assert_int_equal(e.kind, ERR_INPUT);
}

static void
hosts_are_names_or_addresses(void **state)
{
	static const struct {
		const char *host;
		bool ok;
	} cases[] = {
		{ "localhost", true },
		{ "h.example.com", true },
		{ "xn--bcher-kva.example", true },
		{ "3com.example", true },
		{ "127.0.0.1", true },
		{ "::1", true },
		{ "2001:db8::7", true },
		{ "a12345678901234567890123456789012345678901234567890123456789"
		  "012.x",
		    true },
		{ "a12345678901234567890123456789012345678901234567890123456789"
		  "0123.x",
		    false },
		{ "", false },
		{ ".", false },
		{ "a..b", false },
		{ "a.", false },
		{ "-a", false },
		{ "a-.b", false },
		{ "a_b", false },
		{ "*.example", false },
		{ "a,DNS:b", false },
		{ "a b", false },
		{ "a\n", false },
		{ "h\xc3\xa9.test", false },
		{ "10.0.0.256", false },
		{ "1.2.3", false },
		{ "fe80::1%eth0", false },
		{ "[::1]", false },
		{ "::1:x", false },
		{ "h:80", false },
	};
	char name254[255];
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++)
		if (issue_host_valid(cases[i].host) != cases[i].ok)
			fail_msg("\"%s\"", cases[i].host);
	/* "aa.a.a ... .a" */
	for (i = 0; i < sizeof(name254) - 1; i++)
		name254[i] = i == 0 || i % 2 == 1 ? 'a' : '.';
	name254[254] = '\0';
	assert_false(issue_host_valid(name254));
	assert_true(issue_host_valid(name254 + 1));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ca_signs_itself),
		cmocka_unit_test(certificate_says_what_was_specified),
		cmocka_unit_test(serial_numbers_are_long_positive_and_new),
		cmocka_unit_test(hardware_name_stands_beside_the_others),
		cmocka_unit_test(device_certificate_holds_the_masa_url),
		cmocka_unit_test(signature_of_another_process_fits),
		cmocka_unit_test(wrong_key_cannot_issue),
		cmocka_unit_test(impossible_specifications_are_refused),
		cmocka_unit_test(names_are_built_or_refused),
		cmocka_unit_test(request_is_signed_with_its_names),
		cmocka_unit_test(hosts_are_names_or_addresses),
	};

	return cmocka_run_group_tests(tests, make_ca, free_ca);
}
