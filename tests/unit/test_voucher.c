#include "voucher_text.h"

#include "common/pki/voucher.h"

/* ---- requests ----------------------------------------------------------- */

#define REQUEST(members) "{\"ietf-voucher-request:voucher\":{" members "}}"
#define SN		 "\"serial-number\":\"SN-1\""

static void
requests_are_taken_or_refused_by_member(void **state)
{
	const struct text_case *c = CASES({ "least", REQUEST(SN) },
	    { "unknown members", REQUEST(SN ",\"x\":[{}],\"nonced\":7") },
	    { "other top",
		"{\"y\":1,\"ietf-voucher-request:voucher\":{" SN "}}" },
	    { "nonce of either alphabet",
		REQUEST(SN ",\"nonce\":\"-_XE9+/=\"") },
	    { "assertion of a later revision",
		REQUEST(SN ",\"assertion\":\"agent-proximity\"") },
	    { "any date text", REQUEST(SN ",\"created-on\":\"2026-13\"") },
	    { "base64 without padding",
		REQUEST(SN ",\"prior-signed-voucher-request\":\"AAECAw\"") },
	    { "not JSON", "{", "voucher request: json: line 1" },
	    { "no text", "", "json: line 1" },
	    { "array", "[]", "RFC 7951 4: no object" },
	    { "empty object", "{}", "no object ietf-voucher-request:voucher" },
	    { "a voucher", "{\"ietf-voucher:voucher\":{" SN "}}",
		"no object ietf-voucher-request:voucher" },
	    { "top is text", "{\"ietf-voucher-request:voucher\":\"\"}",
		"no object" },
	    { "something behind", REQUEST(SN) "x", "json: line 1" },
	    { "no serial number", REQUEST("\"nonce\":\"AAAA\""),
		"RFC 8995 3.4: no serial-number" },
	    { "number for a serial number", REQUEST("\"serial-number\":1"),
		"serial-number: not a string" },
	    { "empty serial number", REQUEST("\"serial-number\":\"\""),
		"serial-number: empty" },
	    { "serial number of two lines",
		REQUEST("\"serial-number\":\"a\\nb\""),
		"serial-number: control" },
	    { "serial number with NUL",
		REQUEST("\"serial-number\":\"a\\u0000\""), "json: line 1" },
	    { "serial number twice", REQUEST(SN "," SN), "duplicate" },
	    { "number for a nonce", REQUEST(SN ",\"nonce\":12345678"),
		"nonce: not a string" },
	    { "null for a nonce", REQUEST(SN ",\"nonce\":null"),
		"nonce: not a string" },
	    { "empty nonce", REQUEST(SN ",\"nonce\":\"\""), "nonce: empty" },
	    { "nonce of other letters", REQUEST(SN ",\"nonce\":\"AA AA\""),
		"nonce: not base64" },
	    { "assertion is a number", REQUEST(SN ",\"assertion\":2"),
		"assertion: not a string" },
	    { "certificate in base64url",
		REQUEST(SN ",\"proximity-registrar-cert\":\"_-AA\""),
		"proximity-registrar-cert: not base64" },
	    { "empty octets", REQUEST(SN ",\"idevid-issuer\":\"\""),
		"idevid-issuer: empty" },
	    { "octets are a list",
		REQUEST(SN ",\"prior-signed-voucher-request\":[]"),
		"prior-signed-voucher-request: not a string" });
	(void)state;
	for (; c->what != NULL; c++) {
		struct vch_request v = { .assertion = 7777 };
		struct err e = ERR_INIT;
		int rc = vch_request_parse(text(c->in), &v, &e);

		assert_said(c, rc, &e);
		if (rc == -1)
			assert_int_equal((int)v.assertion, 7777);
		else
			vch_request_done(&v);
	}
}

static void
limits_of_text_are_exact(void **state)
{
	static const struct {
		const char *before, *after;
		char c;
		size_t most;
	} cases[] = {
		{ "{\"ietf-voucher-request:voucher\":{" SN ",\"nonce\":\"",
		    "\"}}", 'A', VCH_NONCE_MAX },
		{ "{\"ietf-voucher-request:voucher\":{\"serial-number\":\"",
		    "\"}}", 'S', VCH_SERIAL_MAX - 1 },
		{ "{\"ietf-voucher-request:voucher\":{" SN ",\"created-on\":\"",
		    "\"}}", '2', VCH_TIME_MAX - 1 },
	};
	struct buf in AUTO_BUF = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct vch_request v = { 0 };
		struct err e = ERR_INIT;

		filled(&in, cases[i].before, cases[i].c, cases[i].most,
		    cases[i].after);
		assert_int_equal(vch_request_parse(buf_bytes(&in), &v, &e), 0);
		vch_request_done(&v);
		filled(&in, cases[i].before, cases[i].c, cases[i].most + 1,
		    cases[i].after);
		assert_int_equal(vch_request_parse(buf_bytes(&in), &v, &e), -1);
		assert_non_null(strstr(e.msg, "too long"));
	}
	filled(&in, "{\"ietf-voucher-request:voucher\":{" SN "}}", ' ',
	    VCH_JSON_MAX, "");
	{
		struct vch_request v = { 0 };
		struct err e = ERR_INIT;

		assert_int_equal(vch_request_parse(buf_bytes(&in), &v, &e), -1);
		assert_non_null(strstr(e.msg, "limit 49152"));
	}
}

static void
octets_are_what_base64_says(void **state)
{
	static const struct {
		const char *in;
		const char *want; /* NULL: refused */
		size_t n;
	} cases[] = {
		{ "AA==", "\0", 1 },
		{ "AA", "\0", 1 },
		{ "AAE=", "\0\1", 2 },
		{ "AAE", "\0\1", 2 },
		{ "AAEC", "\0\1\2", 3 },
		{ "+/+/", "\xfb\xff\xbf", 3 },
		{ "A" },
		{ "AAAAA" },
		{ "AA=" },
		{ "AAE==" },
		{ "AAEC=" },
		{ "AA==AA==" },
		{ "AA=A" },
		{ "====" },
		{ "-_-_" },
		{ "AA\\nAA" },
		{ " AAAA" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf in AUTO_BUF = { 0 };
		struct vch_request v = { 0 };
		struct err e = ERR_INIT;
		int rc;

		buf_printf(
		    &in, REQUEST(SN ",\"idevid-issuer\":\"%s\""), cases[i].in);
		rc = vch_request_parse(buf_bytes(&in), &v, &e);
		if (rc != (cases[i].want != NULL ? 0 : -1))
			fail_msg("%s: %d %s", cases[i].in, rc, e.msg);
		if (rc == -1)
			continue;
		assert_true(bytes_eq(buf_bytes(&v.idevid_issuer),
		    bytes_of(cases[i].want, cases[i].n)));
		vch_request_done(&v);
	}
}

static void
requests_are_written_as_read(void **state)
{
	struct vch_request v = { .created_on = "2026-11-02T03:04:05Z",
		.assertion = VCH_PROXIMITY,
		.nonce = "-_XE9zK9q8Ll1qylMtLKeg",
		.serial = "JADA123456789" };
	struct vch_request got = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	buf_add(&v.idevid_issuer, "issuer", 6);
	buf_add(&v.proximity, "certificate", 11);
	buf_add(&v.prior, "\0\1\2\3", 4);
	vch_request_format(&v, &out);
	assert_string_equal(buf_cstr(&out),
	    "{\"ietf-voucher-request:voucher\":{"
	    "\"assertion\":\"proximity\","
	    "\"created-on\":\"2026-11-02T03:04:05Z\","
	    "\"idevid-issuer\":\"aXNzdWVy\","
	    "\"nonce\":\"-_XE9zK9q8Ll1qylMtLKeg\","
	    "\"prior-signed-voucher-request\":\"AAECAw==\","
	    "\"proximity-registrar-cert\":\"Y2VydGlmaWNhdGU=\","
	    "\"serial-number\":\"JADA123456789\"}}\n");
	assert_int_equal(vch_request_parse(buf_bytes(&out), &got, &e), 0);
	assert_string_equal(got.created_on, v.created_on);
	assert_int_equal(got.assertion, VCH_PROXIMITY);
	assert_string_equal(got.nonce, v.nonce);
	assert_string_equal(got.serial, v.serial);
	assert_true(bytes_eq(
	    buf_bytes(&got.idevid_issuer), buf_bytes(&v.idevid_issuer)));
	assert_true(
	    bytes_eq(buf_bytes(&got.proximity), buf_bytes(&v.proximity)));
	assert_true(bytes_eq(buf_bytes(&got.prior), buf_bytes(&v.prior)));
	vch_request_done(&got);
	vch_request_done(&v);
	/* What is not there is not written. */
	str_copy(v.serial, sizeof(v.serial), "1");
	buf_reset(&out);
	vch_request_format(&v, &out);
	assert_string_equal(buf_cstr(&out),
	    "{\"ietf-voucher-request:voucher\":{\"serial-number\":\"1\"}}\n");
}

/* ---- vouchers ----------------------------------------------------------- */

/* A voucher's text: these members, and the pin if there is a %s for it. */
static void
voucher_text(
    struct fixture *f, const char *before, const char *after, struct buf *out)
{
	struct buf der AUTO_BUF = { 0 };

	ossl_cert_der(f->root, &der);
	buf_reset(out);
	buf_add_str(out, "{\"ietf-voucher:voucher\":{");
	buf_add_str(out, before);
	buf_add_str(out, ",\"pinned-domain-cert\":\"");
	base64_format(out, der.data, der.len);
	buf_add_str(out, "\"");
	buf_add_str(out, after);
	buf_add_str(out, "}}");
}

#define MADE "\"created-on\":\"2026-11-02T03:04:05Z\""
#define HOW  "\"assertion\":\"logged\""
#define ALL  MADE "," HOW "," SN

static void
vouchers_are_taken_or_refused_by_member(void **state)
{
	const struct text_case *c =
	    CASES({ "least", ALL }, { "nonce", ALL ",\"nonce\":\"AAAA\"" },
		{ "members of others",
		    ALL ",\"domain-cert-revocation-checks\":false,"
			"\"last-renewal-date\":\"2026-11-02T03:04:05Z\"" },
		{ "no date", HOW "," SN, "RFC 8366 5.3: no created-on" },
		{ "no assertion", MADE "," SN, "RFC 8366 5.3: no assertion" },
		{ "no serial number", MADE "," HOW,
		    "RFC 8366 5.3: no serial-number" },
		{ "date that is none", ALL ",\"expires-on\":\"tomorrow\"",
		    "expires-on: not a date" },
		{ "another pin", ALL ",\"pinned-domain-cert\":\"AAAA\"",
		    "duplicate" });
	struct fixture *f = *state;
	struct buf in AUTO_BUF = { 0 };

	for (; c->what != NULL; c++) {
		struct vch v = { .expires_on = 7777 };
		struct err e = ERR_INIT;
		int rc;

		voucher_text(f, c->in, "", &in);
		rc = vch_parse(buf_bytes(&in), &v, &e);
		assert_said(c, rc, &e);
		if (rc == -1) {
			assert_int_equal(v.expires_on, 7777);
			assert_null(v.pin);
			continue;
		}
		assert_int_equal(v.assertion, VCH_LOGGED);
		assert_int_equal(X509_cmp(v.pin, f->root), 0);
		vch_done(&v);
	}
}

static void
pin_is_one_certificate(void **state)
{
	const struct text_case *c =
	    CASES({ "none", "\"x\":1", "RFC 8366 5.3: no pinned-domain-cert" },
		{ "a key in its place", "\"pinned-domain-pubk\":\"AAAA\"",
		    "no pinned-domain-cert" },
		{ "other octets", "\"pinned-domain-cert\":\"AAAA\"",
		    "pinned-domain-cert: not a certificate" },
		{ "no octets", "\"pinned-domain-cert\":\"\"",
		    "pinned-domain-cert: empty" },
		{ "null", "\"pinned-domain-cert\":null", "not a string" });
	struct fixture *f = *state;
	struct buf der AUTO_BUF = { 0 };
	struct buf in AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch v = { 0 };

	for (; c->what != NULL; c++) {
		buf_reset(&in);
		buf_printf(
		    &in, "{\"ietf-voucher:voucher\":{" ALL ",%s}}", c->in);
		assert_said(c, vch_parse(buf_bytes(&in), &v, &e), &e);
	}
	/* One octet behind it. */
	ossl_cert_der(f->root, &der);
	buf_add(&der, "", 1);
	buf_reset(&in);
	buf_add_str(&in,
	    "{\"ietf-voucher:voucher\":{" ALL ",\"pinned-domain-cert\":\"");
	base64_format(&in, der.data, der.len);
	buf_add_str(&in, "\"}}");
	assert_int_equal(vch_parse(buf_bytes(&in), &v, &e), -1);
	assert_non_null(strstr(e.msg, "not a certificate"));
}

static void
dates_of_rfc_3339_become_seconds(void **state)
{
	static const struct {
		const char *in;
		uint64_t want; /* 0: refused */
	} cases[] = {
		{ "2026-11-02T03:04:05Z", 1793588645 },
		{ "2026-11-02t03:04:05z", 1793588645 },
		{ "2026-11-02 03:04:05Z", 1793588645 },
		{ "2026-11-02T03:04:05.999Z", 1793588645 },
		{ "2026-11-02T05:04:05+02:00", 1793588645 },
		{ "2026-11-01T23:04:05.644-04:00", 1793588645 },
		{ "2026-11-02T03:04:05-00:00", 1793588645 },
		{ "2028-02-29T00:00:00Z", 1835395200 },
		{ "2016-12-31T23:59:60Z", 1483228800 },
		{ "1970-01-01T00:00:01Z", 1 },
		{ "9999-12-31T23:59:59Z", 253402300799 },
		{ "1970-01-01T00:00:00Z" }, /* 0 would mean: none */
		{ "1970-01-01T01:00:00+02:00" },
		{ "1969-12-31T23:59:59Z" },
		{ "2026-02-29T00:00:00Z" },
		{ "2026-02-30T23:59:60Z" },
		{ "2026-13-01T00:00:00Z" },
		{ "2026-00-01T00:00:00Z" },
		{ "2026-11-31T00:00:00Z" },
		{ "2026-11-00T00:00:00Z" },
		{ "2026-11-02T24:00:00Z" },
		{ "2026-11-02T03:60:05Z" },
		{ "2026-11-02T03:04:61Z" },
		{ "2026-11-02T03:04:05" },
		{ "2026-11-02T03:04:05.Z" },
		{ "2026-11-02T03:04:05+0200" },
		{ "2026-11-02T03:04:05+24:00" },
		{ "2026-11-02T03:04:05Zx" },
		{ "2026-11-02T03:04Z" },
		{ "2026-11-02" },
		{ "+026-11-02T03:04:05Z" },
		{ "20261102T030405Z" },
		{ "" },
	};
	struct fixture *f = *state;
	struct buf in AUTO_BUF = { 0 };
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		struct buf member AUTO_BUF = { 0 };
		struct vch v = { .expires_on = 0 };
		struct err e = ERR_INIT;
		int rc;

		buf_printf(&member, ",\"expires-on\":\"%s\"", cases[i].in);
		voucher_text(f, ALL, buf_cstr(&member), &in);
		rc = vch_parse(buf_bytes(&in), &v, &e);
		if (rc != (cases[i].want != 0 ? 0 : -1) ||
		    v.expires_on != cases[i].want)
			fail_msg("%s: %d %ju", cases[i].in, rc,
			    (uintmax_t)v.expires_on);
		vch_done(&v);
	}
}

static void
vouchers_are_written_as_read(void **state)
{
	struct fixture *f = *state;
	struct vch v = { .created_on = "2026-11-02T03:04:05Z",
		.expires_on = 1793588645,
		.assertion = VCH_VERIFIED,
		.nonce = "AAAA",
		.serial = "SN \"1\"",
		.pin = f->root };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch got;

	buf_add(&v.idevid_issuer, "issuer", 6);
	vch_format(&v, &out);
	assert_non_null(
	    strstr(buf_cstr(&out), "\"expires-on\":\"2026-11-02T03:04:05Z\""));
	assert_int_equal(vch_parse(buf_bytes(&out), &got, &e), 0);
	assert_string_equal(got.created_on, v.created_on);
	assert_int_equal(got.expires_on, v.expires_on);
	assert_int_equal(got.assertion, VCH_VERIFIED);
	assert_string_equal(got.nonce, "AAAA");
	assert_string_equal(got.serial, "SN \"1\"");
	assert_true(bytes_eq(
	    buf_bytes(&got.idevid_issuer), buf_bytes(&v.idevid_issuer)));
	assert_int_equal(X509_cmp(got.pin, f->root), 0);
	vch_done(&got);
	assert_null(got.pin);
	buf_done(&v.idevid_issuer);
}

static void
assertions_have_names(void **state)
{
	(void)state;
	assert_string_equal(vch_assertion_name(VCH_NO_ASSERTION), "none");
	assert_string_equal(vch_assertion_name(VCH_VERIFIED), "verified");
	assert_string_equal(vch_assertion_name(VCH_LOGGED), "logged");
	assert_string_equal(vch_assertion_name(VCH_PROXIMITY), "proximity");
	assert_string_equal(vch_assertion_name(VCH_OTHER), "other");
	assert_string_equal(
	    vch_assertion_name((enum vch_assertion)99), "other");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_taken_or_refused_by_member),
		cmocka_unit_test(limits_of_text_are_exact),
		cmocka_unit_test(octets_are_what_base64_says),
		cmocka_unit_test(requests_are_written_as_read),
		cmocka_unit_test(vouchers_are_taken_or_refused_by_member),
		cmocka_unit_test(pin_is_one_certificate),
		cmocka_unit_test(dates_of_rfc_3339_become_seconds),
		cmocka_unit_test(vouchers_are_written_as_read),
		cmocka_unit_test(assertions_have_names),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
