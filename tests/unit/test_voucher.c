#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/voucher.h"
#include "tests/unit/cmp_fixture.h"

/* One case of a parser: what it must say of a text. */
struct text_case {
	const char *what, *in;
	const char *reason; /* NULL: fine */
};

#define CASES(...) \
	(const struct text_case[]) \
	{ \
		__VA_ARGS__, \
		{ \
			NULL \
		} \
	}

static struct bytes
text(const char *s)
{
	return bytes_of(s, strlen(s));
}

static void
assert_said(const struct text_case *c, int rc, const struct err *e)
{
	if (c->reason == NULL) {
		if (rc == -1)
			fail_msg("%s: %s", c->what, e->msg);
		return;
	}
	if (rc == 0)
		fail_msg("%s: was taken", c->what);
	assert_int_equal(e->kind, ERR_INPUT);
	if (strstr(e->msg, c->reason) == NULL)
		fail_msg(
		    "%s: \"%s\" is not in \"%s\"", c->what, c->reason, e->msg);
}

/* n times c, quoted or not, in place of a %s. */
static void
filled(struct buf *out, const char *before, char c, size_t n, const char *after)
{
	buf_reset(out);
	buf_add_str(out, before);
	memset(buf_grow(out, n), c, n);
	buf_add_str(out, after);
}

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

/* ---- judging ------------------------------------------------------------ */

#define EXPIRES 1800000000

static void
vouchers_are_for_one_request_and_device(void **state)
{
	static const struct {
		const char *what, *said, *nonce, *serial;
		uint64_t expires, now;
		const char *reason; /* NULL: fine */
	} cases[] = {
		{ "nonce", "AAAA", "AAAA", "SN-1", 0, EXPIRES, NULL },
		{ "nonceless", "", "", "SN-1", EXPIRES, EXPIRES - 1, NULL },
		{ "no clock", "", "", "SN-1", EXPIRES, 0, NULL },
		{ "other nonce", "AAAA", "AAAB", "SN-1", 0, 0,
		    "RFC 8995 5.6.1: nonce differs" },
		{ "nonce of other case", "aaaa", "AAAA", "SN-1", 0, 0,
		    "nonce differs" },
		{ "longer nonce", "AAAAA", "AAAA", "SN-1", 0, 0,
		    "nonce differs" },
		{ "no nonce", "", "AAAA", "SN-1", 0, 0, "no nonce" },
		{ "nonce unasked for", "AAAA", "", "SN-1", 0, 0,
		    "none was asked" },
		{ "other device", "AAAA", "AAAA", "SN-2", 0, 0,
		    "serial-number SN-1, expected SN-2" },
		{ "longer number", "AAAA", "AAAA", "SN-12", 0, 0,
		    "serial-number" },
		{ "expired", "", "", "SN-1", EXPIRES, EXPIRES,
		    "expires-on: expired at 2027-01-15T08:00:00Z" },
		{ "expired with nonce", "AAAA", "AAAA", "SN-1", EXPIRES,
		    EXPIRES + 1, "expires-on" },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < NELEMS(cases); i++) {
		struct vch v = { .serial = "SN-1" };
		struct err e = ERR_INIT;
		int rc;

		v.expires_on = cases[i].expires;
		str_copy(v.nonce, sizeof(v.nonce), cases[i].said);
		rc = vch_check(&v, cases[i].nonce, cases[i].serial,
		    f->device->cert, cases[i].now, &e);
		if (rc != (cases[i].reason == NULL ? 0 : -1))
			fail_msg("%s: %s", cases[i].what, e.msg);
		if (rc == 0)
			continue;
		assert_int_equal(e.kind, ERR_TRUST);
		assert_non_null(strstr(e.msg, cases[i].reason));
		/* What is secret until it is used is not for logs. */
		assert_null(strstr(e.msg, "AAAA"));
	}
}

static int
check_issuer(struct bytes said, X509 *idevid)
{
	struct vch v = { .serial = "SN-1" };
	struct err e = ERR_INIT;
	int rc;

	buf_add(&v.idevid_issuer, said.p, said.len);
	rc = vch_check(&v, "", "SN-1", idevid, 0, &e);
	assert_int_equal(e.kind, rc == 0 ? ERR_NONE : ERR_TRUST);
	if (rc == -1)
		assert_non_null(strstr(e.msg, "idevid-issuer"));
	buf_done(&v.idevid_issuer);
	return rc;
}

static void
idevid_issuer_is_read_in_three_ways(void **state)
{
	struct fixture *f = *state;
	X509 *idevid = f->device->cert;
	AUTO(X509) bare = X509_dup(f->device->cert);
	struct bytes id = cert_ski(f->sub);
	struct buf value AUTO_BUF = { 0 };
	struct buf element AUTO_BUF = { 0 };
	struct buf none AUTO_BUF = { 0 };

	vch_idevid_issuer(idevid, &value);
	/* Nothing to compare it with. */
	assert_int_equal(check_issuer(buf_bytes(&value), NULL), 0);
	/* SEQUENCE { [0] keyIdentifier } */
	assert_int_equal(value.len, 4 + id.len);
	assert_int_equal(value.data[0], 0x30);
	assert_memory_equal(value.data + 4, id.p, id.len);
	buf_add(&element, "\x04", 1);
	buf_add(&element, &(uint8_t){ (uint8_t)value.len }, 1);
	buf_add(&element, value.data, value.len);
	assert_int_equal(check_issuer(buf_bytes(&value), idevid), 0);
	assert_int_equal(check_issuer(buf_bytes(&element), idevid), 0);
	assert_int_equal(check_issuer(id, idevid), 0);
	assert_int_equal(
	    check_issuer(bytes_of(value.data, value.len - 1), idevid), -1);
	assert_int_equal(check_issuer(bytes_of(id.p, id.len - 1), idevid), -1);
	/* Issued by the root, which has another key. */
	assert_int_equal(check_issuer(buf_bytes(&value), f->sub), -1);
	X509_EXTENSION_free(X509_delete_ext(
	    bare, X509_get_ext_by_NID(bare, NID_authority_key_identifier, -1)));
	vch_idevid_issuer(bare, &none);
	assert_int_equal(none.len, 0);
	assert_int_equal(check_issuer(buf_bytes(&value), bare), -1);
}

/* ---- audit logs --------------------------------------------------------- */

#define EVENT(members) \
	"{\"date\":\"2019-05-15T17:25:55.644-04:00\"," \
	"\"domainID\":\"BduJhdHPpfhQLyponf48JzXSGZ8=\"" members "}"
#define LOG(events) "{\"version\":\"1\",\"events\":[" events "]}"

static void
audit_logs_are_taken_with_numbers_or_strings(void **state)
{
	static const char in[] = "{\"version\":\"1\",\"events\":[" EVENT(
	    ",\"nonce\":\"VOUFT-WwrEv0\",\"assertion\":\"proximity\","
	    "\"truncated\":\"0\"") "," EVENT(",\"nonce\":null,\"assertion\":"
					     "\"verified\"") "," EVENT("") "],"
									   "\"t"
									   "run"
									   "cat"
									   "ion"
									   "\":"
									   "{\""
									   "non"
									   "ced"
									   " du"
									   "pli"
									   "cat"
									   "es"
									   "\":"
									   "\"0"
									   "\","
									   "\"n"
									   "onc"
									   "ele"
									   "ss "
									   "dup"
									   "lic"
									   "ate"
									   "s\""
									   ":0,"
									   "\"a"
									   "rbi"
									   "tra"
									   "ry"
									   "\":"
									   "\"0"
									   "\"}"
									   "}";
	struct err e = ERR_INIT;
	struct vch_log l;

	(void)state;
	assert_int_equal(vch_log_parse(text(in), &l, &e), 0);
	assert_int_equal(l.version, 1);
	assert_int_equal(l.n, 3);
	assert_false(l.truncated);
	assert_string_equal(l.events[0].date, "2019-05-15T17:25:55.644-04:00");
	assert_string_equal(l.events[0].domain, "BduJhdHPpfhQLyponf48JzXSGZ8=");
	assert_int_equal(l.events[0].assertion, VCH_PROXIMITY);
	assert_false(l.events[0].nonceless);
	assert_true(l.events[1].nonceless);
	assert_int_equal(l.events[1].assertion, VCH_VERIFIED);
	/* No nonce told is no nonce. */
	assert_true(l.events[2].nonceless);
	assert_int_equal(l.events[2].assertion, VCH_NO_ASSERTION);
	vch_log_done(&l);
	assert_int_equal(l.n, 0);
}

static void
missing_events_are_told(void **state)
{
	static const struct {
		const char *in;
		bool want;
	} cases[] = {
		{ LOG(""), false },
		{ "{\"version\":2,\"events\":[],\"truncation\":{}}", false },
		{ LOG(EVENT(",\"truncated\":\"1\"")), true },
		{ LOG(EVENT(",\"truncated\":3") "," EVENT("")), true },
		{ "{\"version\":1,\"events\":[],\"truncation\":"
		  "{\"nonced duplicates\":1}}",
		    true },
		{ "{\"version\":1,\"events\":[],\"truncation\":"
		  "{\"nonceless duplicates\":\"1\"}}",
		    true },
		{ "{\"version\":1,\"events\":[],\"truncation\":"
		  "{\"arbitrary\":\"2\"}}",
		    true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct err e = ERR_INIT;
		struct vch_log l;

		if (vch_log_parse(text(cases[i].in), &l, &e) == -1)
			fail_msg("%s: %s", cases[i].in, e.msg);
		assert_int_equal(l.truncated, cases[i].want);
		vch_log_done(&l);
	}
}

static void
audit_logs_are_refused_by_member(void **state)
{
	const struct text_case *c = CASES(
	    { "not JSON", "<html>", "audit log: json" },
	    { "array", "[]", "no version" },
	    { "no version", "{\"events\":[]}", "RFC 8995 5.8.1: no version" },
	    { "version is a word", "{\"version\":\"one\",\"events\":[]}",
		"version: not a number" },
	    { "version is a fraction", "{\"version\":1.0,\"events\":[]}",
		"version: not a number" },
	    { "version below zero", "{\"version\":-1,\"events\":[]}",
		"version: out of range" },
	    { "version beyond", "{\"version\":4294967296,\"events\":[]}",
		"version: out of range" },
	    { "no events", "{\"version\":1}", "no array events" },
	    { "events is an object", "{\"version\":1,\"events\":{}}",
		"no array events" },
	    { "event is text", LOG("\"x\""), "event is no object" },
	    { "event without a date", LOG("{\"domainID\":\"A\"}"),
		"event: RFC 8995 5.8.1: no date" },
	    { "event without domain", LOG("{\"date\":\"A\"}"), "no domainID" },
	    { "second event", LOG(EVENT("") ",{}"), "no date" },
	    { "nonce is a number", LOG(EVENT(",\"nonce\":7")),
		"nonce: neither" },
	    { "assertion is a number", LOG(EVENT(",\"assertion\":7")),
		"assertion: not a string" },
	    { "truncated is true", LOG(EVENT(",\"truncated\":true")),
		"truncated: not a number" },
	    { "truncation is a number",
		"{\"version\":1,\"events\":[],\"truncation\":1}",
		"truncation is no object" },
	    { "truncation of words",
		"{\"version\":1,\"events\":[],\"truncation\":"
		"{\"arbitrary\":\"many\"}}",
		"arbitrary: not a number" });
	(void)state;
	for (; c->what != NULL; c++) {
		struct vch_log l = { .version = 7777 };
		struct err e = ERR_INIT;

		assert_said(c, vch_log_parse(text(c->in), &l, &e), &e);
		assert_int_equal(l.version, 7777);
		assert_null(l.events);
	}
}

static void
events_have_a_limit(void **state)
{
	struct buf in AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_log l;
	int n, i;

	(void)state;
	for (n = VCH_LOG_EVENTS_MAX; n <= VCH_LOG_EVENTS_MAX + 1; n++) {
		buf_reset(&in);
		buf_add_str(&in, "{\"version\":1,\"events\":[");
		for (i = 0; i < n; i++)
			buf_printf(&in,
			    "%s{\"date\":\"d\",\"domainID\":\"%d\"}",
			    i > 0 ? "," : "", i);
		buf_add_str(&in, "]}");
		if (n == VCH_LOG_EVENTS_MAX) {
			assert_int_equal(
			    vch_log_parse(buf_bytes(&in), &l, &e), 0);
			assert_string_equal(l.events[255].domain, "255");
			vch_log_done(&l);
		} else {
			assert_int_equal(
			    vch_log_parse(buf_bytes(&in), &l, &e), -1);
			assert_non_null(strstr(e.msg, "257 events, limit 256"));
		}
	}
}

static void
domain_is_known_by_its_key_identifier(void **state)
{
	struct fixture *f = *state;
	AUTO(X509) bare = X509_dup(f->root);
	struct bytes ski = cert_ski(f->root);
	struct digest spki = spki_digest(X509_get0_pubkey(f->root));
	struct buf want AUTO_BUF = { 0 };
	struct buf got AUTO_BUF = { 0 };

	base64_format(&want, ski.p, ski.len);
	vch_domain_id(f->root, &got);
	assert_string_equal(buf_cstr(&got), buf_cstr(&want));
	X509_EXTENSION_free(X509_delete_ext(
	    bare, X509_get_ext_by_NID(bare, NID_subject_key_identifier, -1)));
	buf_reset(&got);
	vch_domain_id(bare, &got);
	buf_reset(&want);
	base64_format(&want, spki.b, sizeof(spki.b));
	assert_string_equal(buf_cstr(&got), buf_cstr(&want));
}

/* ---- status and answer -------------------------------------------------- */

static void
status_is_taken_or_refused(void **state)
{
	const struct text_case *c =
	    CASES({ "good", "{\"version\":1,\"status\":true}" },
		{ "version as text, context",
		    "{\"version\":\"1\",\"status\":true,"
		    "\"reason-context\":{\"a\":[1]}}" },
		{ "no version", "{\"status\":true}",
		    "status: RFC 8995 5.7: no version" },
		{ "no status", "{\"version\":1}", "no status" },
		{ "status is text", "{\"version\":1,\"status\":\"true\"}",
		    "status: neither true nor false" },
		{ "reason is a number",
		    "{\"version\":1,\"status\":true,\"reason\":1}",
		    "reason: not a string" },
		{ "not JSON", "ok", "status: json" });
	(void)state;
	for (; c->what != NULL; c++) {
		struct vch_status s = { .version = 7777 };
		struct err e = ERR_INIT;
		int rc = vch_status_parse(text(c->in), &s, &e);

		assert_said(c, rc, &e);
		assert_int_equal(s.version, rc == 0 ? 1 : 7777);
		assert_true(s.status == (rc == 0));
	}
}

static void
reasons_stay_one_printable_line(void **state)
{
	struct buf in AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct vch_status s;

	(void)state;
	assert_int_equal(
	    vch_status_parse(text("{\"version\":1,\"status\":false,"
				  "\"reason\":\"bad\\nvoucher \\u00e9\"}"),
		&s, &e),
	    0);
	assert_false(s.status);
	assert_string_equal(s.reason, "bad?voucher ??");
	vch_status_format(&s, &out);
	assert_string_equal(buf_cstr(&out),
	    "{\"reason\":\"bad?voucher ??\",\"status\":false,"
	    "\"version\":1}\n");
	filled(&in, "{\"version\":1,\"status\":false,\"reason\":\"", 'x', 5000,
	    "\"}");
	assert_int_equal(vch_status_parse(buf_bytes(&in), &s, &e), 0);
	assert_int_equal(strlen(s.reason), sizeof(s.reason) - 1);
	s = (struct vch_status){ .status = true, .version = 1 };
	buf_reset(&out);
	vch_status_format(&s, &out);
	assert_string_equal(
	    buf_cstr(&out), "{\"status\":true,\"version\":1}\n");
}

static void
answers_are_written_as_read(void **state)
{
	static const struct vch_answer answers[] = {
		{ .status = 200,
		    .voucher = { (const uint8_t *)"voucher", 7 },
		    .log_status = 200,
		    .log = { (const uint8_t *)"{}", 2 } },
		{ .status = 403, .reason = "not yours" },
		{ .status = 200, .voucher = { (const uint8_t *)"v", 1 } },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(answers); i++) {
		const struct vch_answer *a = &answers[i];
		struct buf out AUTO_BUF = { 0 };
		struct err e = ERR_INIT;
		struct vch_answer got;

		vch_answer_format(a, &out);
		assert_int_equal(
		    vch_answer_parse(buf_bytes(&out), &got, &e), 0);
		assert_int_equal(got.status, a->status);
		assert_string_equal(got.reason, a->reason);
		assert_true(bytes_eq(got.voucher, a->voucher));
		assert_true((got.voucher.p == NULL) == (a->voucher.p == NULL));
		assert_int_equal(got.log_status, a->log_status);
		assert_true(bytes_eq(got.log, a->log));
		assert_true((got.log.p == NULL) == (a->log.p == NULL));
		for (size_t n = 0; n < out.len; n++) {
			got.status = 7777;
			assert_int_equal(
			    vch_answer_parse(bytes_of(out.data, n), &got, &e),
			    -1);
			assert_int_equal(got.status, 7777);
		}
	}
}

static void
answers_are_refused(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *reason;
	} cases[] = {
		{ "\x86\x02\x18\xc8\x60\xf6\x00\xf6", 8, "format unknown" },
		{ "\x85\x01\x18\xc8\x60\xf6\x00", 7, "wrong length" },
		{ "\x86\x01\x19\x03\xe8\x60\xf6\x00\xf6", 9, "out of range" },
		{ "\x86\x01\x18\xc8\x61\xff\xf6\x00\xf6", 9, "UTF-8" },
		{ "\x86\x01\x18\xc8\x60\x60\x00\xf6", 8, "octet string" },
		{ "\x86\x01\x18\xc8\x60\xf6\x00\xf6\x00", 9, "trail" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct vch_answer a = { .status = 7777 };
		struct err e = ERR_INIT;

		assert_int_equal(
		    vch_answer_parse(bytes_of(cases[i].in, cases[i].n), &a, &e),
		    -1);
		assert_int_equal(e.kind, ERR_INPUT);
		assert_int_equal(a.status, 7777);
		if (strstr(e.msg, cases[i].reason) == NULL)
			fail_msg("%s: %s", cases[i].reason, e.msg);
	}
}

/* What a MASA says in other letters must not make the answer unreadable. */
static void
any_reason_makes_a_readable_answer(void **state)
{
	struct vch_answer a = { .status = 404 }, got;
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	str_copy(a.reason, sizeof(a.reason), "caf\xe9\n");
	vch_answer_format(&a, &out);
	assert_int_equal(vch_answer_parse(buf_bytes(&out), &got, &e), 0);
	assert_string_equal(got.reason, "caf??");
}

/* Under one root with its MASA a maker has all its devices. */
static void
vouchers_are_not_a_devices_to_sign(void **state)
{
	static const struct {
		const char *what, *serial, *masa_url;
		int rc;
	} cases[] = {
		{ "a MASA", NULL, NULL, 0 },
		{ "an IDevID", "SN-1", "https://masa.example", -1 },
		{ "an IDevID without a MASA", "SN-1", NULL, -1 },
		{ "one that names a MASA", NULL, "https://masa.example", -1 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < NELEMS(cases); i++) {
		AUTO(X509_NAME) name = issue_name("x", "o", cases[i].serial);
		struct issue_spec spec = {
			.subject = name,
			.pubkey = f->new_key,
			.not_before = 1500000000,
			.not_after = 4000000000,
			.key_usage = "critical,digitalSignature",
			.masa_url = cases[i].masa_url,
		};
		struct err e = ERR_INIT;
		AUTO(X509) x = issue_cert(&spec, f->sub, f->sub_key, &e);

		assert_non_null(x);
		if (vch_check_signer(x, &e) != cases[i].rc)
			fail_msg("%s", cases[i].what);
		assert_int_equal(
		    e.kind, cases[i].rc == 0 ? ERR_NONE : ERR_TRUST);
	}
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
		cmocka_unit_test(vouchers_are_for_one_request_and_device),
		cmocka_unit_test(vouchers_are_not_a_devices_to_sign),
		cmocka_unit_test(idevid_issuer_is_read_in_three_ways),
		cmocka_unit_test(audit_logs_are_taken_with_numbers_or_strings),
		cmocka_unit_test(missing_events_are_told),
		cmocka_unit_test(audit_logs_are_refused_by_member),
		cmocka_unit_test(events_have_a_limit),
		cmocka_unit_test(domain_is_known_by_its_key_identifier),
		cmocka_unit_test(status_is_taken_or_refused),
		cmocka_unit_test(reasons_stay_one_printable_line),
		cmocka_unit_test(answers_are_written_as_read),
		cmocka_unit_test(answers_are_refused),
		cmocka_unit_test(any_reason_makes_a_readable_answer),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
