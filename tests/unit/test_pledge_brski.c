/* How a device ends, waits, and is started again while it waits. */
#include "pledge_fake.h"

/* ---- the tests -------------------------------------------------------- */

static const struct {
	const char *what, *script;
	bool refuse;
	int taken; /* status for telemetry; 0: 200 */
	enum err_kind kind;
	const char *trace, *msg; /* msg: part of the message */
} cases[] = {
	{ "at once", "v", .trace = "|gv+i|J" },
	{ "the registrar closes while it waits", "cv", .trace = "|gc|v+i|J" },
	{ "not now", "5v", .trace = "|g5v+i|J" },
	{ "nobody wants telemetry", "v", .taken = 404, .trace = "|gv+i|J" },
	{ "turned away", "4", .kind = ERR_POLICY, .trace = "|g4",
	    .msg = "registrar: HTTP 403: not one of ours" },
	{ "the pin of another domain", "p", .kind = ERR_TRUST, .trace = "|gp-",
	    .msg = "pinned-domain-cert: RFC 8995 5.6.2" },
	{ "a voucher of another device", "s", .kind = ERR_TRUST,
	    .trace = "|gs-", .msg = "serial-number" },
	{ "a voucher for another request", "n", .kind = ERR_TRUST,
	    .trace = "|gn-", .msg = "nonce" },
	{ "a voucher of another maker", "m", .kind = ERR_TRUST, .trace = "|gm-",
	    .msg = "signer" },
	{ "no certificate", "v", .refuse = true, .kind = ERR_POLICY,
	    .trace = "|gv+xF", .msg = "refused: no room" },
};

static void
check_case(size_t i)
{
	struct err e = ERR_INIT;
	int rc;

	print_message("%s\n", cases[i].what);
	forget(NULL);
	start(lab.registrar, cases[i].script);
	fake.refuse = cases[i].refuse;
	if (cases[i].taken != 0)
		fake.taken = cases[i].taken;
	rc = run(pledge_enrol, 20, &e);
	finish();
	assert_string_equal(fake.trace, cases[i].trace);
	assert_int_equal(e.kind, rc == 0 ? e.kind : cases[i].kind);
	assert_int_equal(rc, cases[i].kind == ERR_NONE ? 0 : -1);
	if (cases[i].msg != NULL && strstr(e.msg, cases[i].msg) == NULL)
		fail_msg("no '%s' in '%s'", cases[i].msg, e.msg);
	assert_int_equal(has("out.crt"), rc == 0);
	assert_true(state_is_empty());
}

static void
each_answer_has_its_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++)
		check_case(i);
}

static void
a_wait_keeps_the_connection_and_each_step_is_said(void **state)
{
	struct err e = ERR_INIT;
	AUTO(X509) pin = NULL;

	(void)state;
	start(lab.registrar, "wv");
	assert_int_equal(run(pledge_enrol, 20, &e), 0);
	finish();
	assert_string_equal(fake.trace, "|gwv+i|J");
	assert_true(str_starts(said,
	    "voucher asked\nvoucher waiting: again in 1 s\n"
	    "voucher accepted: pinned CN=Domain Root,O=Lab\n"
	    "voucher status sent\nstart: ir\nconfirmed: implicitly\n"
	    "enrolled: "));
	assert_non_null(strstr(said, "\nenrolment status sent\n"));
	assert_true(has("out.voucher.vcj"));
	pin = ossl_load_cert(path_of("out.pin.pem"), &e);
	assert_non_null(pin);
	assert_int_equal(X509_cmp(pin, lab.domain.cert), 0);
}

static void
what_waits_goes_on_with_the_same_octets(void **state)
{
	struct buf before AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	begin_waiting(lab.registrar);
	assert_int_equal(file_read(path_of("state/voucher-request.der"),
			     CMS_OCTETS_MAX, &before, &e),
	    0);
	start(lab.registrar, "v");
	buf_add(&fake.first, before.data, before.len);
	assert_int_equal(run(pledge_enrol, 20, &e), 0);
	finish();
	assert_string_equal(fake.trace, "|v+i|J");
	assert_true(str_starts(said, "resume: same voucher request again\n"));
}

static void
an_accepted_voucher_may_end_while_cmp_waits(void **state)
{
	struct buf request AUTO_BUF = { 0 };
	struct buf json AUTO_BUF = { 0 };
	struct buf der AUTO_BUF = { 0 };
	struct vch v = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	start(lab.registrar, "v");
	assert_int_equal(run(pledge_learn, 20, &e), 0);
	assert_int_equal(file_read(path_of("state/voucher-request.der"),
			     CMS_OCTETS_MAX, &request, &e),
	    0);
	lab_voucher(buf_bytes(&request), lab.domain.cert, &v);
	v.nonce[0] = '\0';
	v.expires_on = clock_now().time - 10;
	vch_format(&v, &json);
	vch_done(&v);
	lab_sign(nid_json_voucher(), buf_bytes(&json), lab.masa, &der);
	write_file("state/voucher.vcj", &der);
	assert_int_equal(run(pledge_enrol, 20, &e), 0);
	finish();
	assert_string_equal(fake.trace, "|gv+|i|J");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(each_answer_has_its_end, forget),
		cmocka_unit_test_teardown(
		    a_wait_keeps_the_connection_and_each_step_is_said, forget),
		cmocka_unit_test_teardown(
		    what_waits_goes_on_with_the_same_octets, forget),
		cmocka_unit_test_teardown(
		    an_accepted_voucher_may_end_while_cmp_waits, forget),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
