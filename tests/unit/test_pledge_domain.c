/* What a device keeps of a voucher, of statuses, and of whom it talks to. */
#include "pledge_fake.h"

/* ---- the tests -------------------------------------------------------- */

static void
another_registrar_is_not_told_what_one_was_asked(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	begin_waiting(lab.registrar);
	start(lab.other, "v");
	assert_int_equal(run(pledge_enrol, 20, &e), -1);
	assert_int_equal(e.kind, ERR_TRUST);
	assert_string_equal(fake.trace, "");
	assert_true(state_is_empty());
	/* A new request is one for it; the pin is not. */
	assert_int_equal(run(pledge_enrol, 20, &e), -1);
	finish();
	assert_int_equal(e.kind, ERR_TRUST);
	assert_non_null(strstr(e.msg, "pinned-domain-cert"));
	assert_string_equal(fake.trace, "|gv-");
	assert_false(has("out.pin.pem"));
}

static void
a_voucher_once_learnt_is_not_asked_for_again(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	start(lab.registrar, "v");
	assert_int_equal(run(pledge_learn, 20, &e), 0);
	assert_string_equal(fake.trace, "|gv+");
	assert_true(has("out.voucher.vcj") && has("out.pin.pem"));
	assert_false(has("out.crt"));
	assert_int_equal(run(pledge_enrol, 20, &e), 0);
	finish();
	assert_string_equal(fake.trace, "|gv+|i|J");
	assert_true(str_starts(said, "resume: voucher is here\n"));
}

static void
a_status_that_was_not_sent_is_sent_later(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	start(lab.registrar, "v");
	assert_int_equal(run(pledge_learn, 20, &e), 0);
	/* As if the power had gone before it was. */
	assert_int_equal(unlink(path_of("state/voucher-status.json")), 0);
	assert_int_equal(run(pledge_enrol, 20, &e), 0);
	finish();
	assert_string_equal(fake.trace, "|gv+|+i|J");
}

/* The pin is the only anchor: what it does not vouch for is not even asked. */
static void
a_pinned_device_talks_to_its_domain_alone(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	start(lab.registrar, "v");
	assert_int_equal(run(pledge_learn, 20, &e), 0);
	finish();
	start(lab.other, "v");
	assert_int_equal(run(pledge_enrol, 20, &e), -1);
	finish();
	assert_int_equal(e.kind, ERR_TRUST);
	assert_string_equal(fake.trace, "");
	assert_false(has("out.crt"));
	/* But to all of it. */
	start(lab.second, "v");
	assert_int_equal(run(pledge_enrol, 20, &e), 0);
	finish();
	assert_string_equal(fake.trace, "|i|J");
}

static void
a_registrar_that_is_busy_or_away_is_asked_again_later(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	start(lab.registrar, "5");
	assert_int_equal(run(pledge_enrol, 1, &e), -1);
	assert_int_equal(e.kind, ERR_RETRY);
	assert_true(has("state/voucher-request.der"));
	loop_join(fake.l);
	https_close(fake.h);
	fake.h = NULL; /* its port stays in `proxy` */
	assert_int_equal(run(pledge_enrol, 1, &e), -1);
	assert_int_equal(e.kind, ERR_PEER);
	assert_true(has("state/voucher-request.der"));
	loop_free(fake.l);
	buf_done(&fake.first);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
		    another_registrar_is_not_told_what_one_was_asked, forget),
		cmocka_unit_test_teardown(
		    a_voucher_once_learnt_is_not_asked_for_again, forget),
		cmocka_unit_test_teardown(
		    a_status_that_was_not_sent_is_sent_later, forget),
		cmocka_unit_test_teardown(
		    a_pinned_device_talks_to_its_domain_alone, forget),
		cmocka_unit_test_teardown(
		    a_registrar_that_is_busy_or_away_is_asked_again_later,
		    forget),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
