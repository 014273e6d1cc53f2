/* What is said around a voucher: audit logs, status, answers. */
#include "voucher_text.h"

#include "common/pki/voucher.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(audit_logs_are_taken_with_numbers_or_strings),
		cmocka_unit_test(missing_events_are_told),
		cmocka_unit_test(audit_logs_are_refused_by_member),
		cmocka_unit_test(events_have_a_limit),
		cmocka_unit_test(status_is_taken_or_refused),
		cmocka_unit_test(reasons_stay_one_printable_line),
		cmocka_unit_test(answers_are_written_as_read),
		cmocka_unit_test(answers_are_refused),
		cmocka_unit_test(any_reason_makes_a_readable_answer),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
