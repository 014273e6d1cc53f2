#include "tests/unit/ledger_lab.h"

#include "common/service/ledger_certs.h"
#include "common/service/ledger_progress.h"

static void
test_stored_once(void **state)
{
	struct ledger_receive x;

	(void)state;
	receive("berlin", 7, "one", &x);
	assert_int_equal(x.met, LEDGER_NEW);
	assert_int_equal(x.id, 1);
	expect(&x.told, "berlin", 1, 7, BATCH_STORED);
	ledger_batch_done(&x.told);

	reopen();
	receive("berlin", 7, "one", &x);
	assert_int_equal(x.met, LEDGER_AGAIN);
	assert_int_equal(x.id, 1);
	expect(&x.told, "berlin", 2, 7, BATCH_DUPLICATE);
	ledger_batch_done(&x.told);
}

static void
test_other_site_conflicts(void **state)
{
	struct ledger_receive x;

	(void)state;
	store("berlin", 1, "one");
	receive("paris", 4, "one", &x);
	assert_int_equal(x.met, LEDGER_ELSEWHERE);
	assert_string_equal(x.first_site, "berlin");
	expect(&x.told, "paris", 1, 4, BATCH_CONFLICT);
	ledger_batch_done(&x.told);
	assert_string_equal(get(1).site, "berlin");
}

static void
test_id_for_other_octets_conflicts(void **state)
{
	struct ledger_receive x;

	(void)state;
	store("berlin", 1, "one");
	receive("berlin", 1, "two", &x);
	assert_int_equal(x.met, LEDGER_ID_REUSED);
	expect(&x.told, "berlin", 2, 1, BATCH_CONFLICT);
	ledger_batch_done(&x.told);
}

static void
test_intent_survives(void **state)
{
	struct buf tbs AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	store("berlin", 1, "one");
	store("berlin", 2, "two");
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_INTENDED);
	reopen();
	assert_int_equal(open_cases(), 12);
	assert_int_equal(get(1).state, LEDGER_INTENT);
	assert_string_equal(get(1).serial, "beef");
	assert_int_equal(ledger_part(ledger, 1, LEDGER_TBS, &tbs, &e), 1);
	assert_string_equal(buf_cstr(&tbs), "tbs");
	/* Never a second one. */
	assert_int_equal(intend(1, "tx", "f00d"), LEDGER_NOT_OPEN);
	assert_string_equal(get(1).serial, "beef");
	assert_true(settle((struct ledger_settle){ .id = 1,
	    .code = BATCH_ANSWERED,
	    .event = "issued",
	    .cert = bytes_of("cert", 4) }));
	assert_int_equal(open_cases(), 2);
	assert_int_equal(get(1).state, LEDGER_DONE);
}

/* Who was asked to do it may have done it. */
static void
test_a_doubt_is_for_people(void **state)
{
	struct ledger_doubt d = { .id = 1, .why = "no answer came" };
	struct ledger_resolve no = { .id = 1, .who = "me", .why = "looked" };
	struct err e = ERR_INIT;
	uint64_t id = 0;

	(void)state;
	store("berlin", 1, "one");
	assert_int_equal(intend(1, "tx", ""), LEDGER_INTENDED);
	assert_int_equal(ledger_doubt_wait(ledger, &d, &e), 0);
	assert_true(d.changed);
	reopen();
	assert_int_equal(get(1).state, LEDGER_UNKNOWN);
	assert_string_equal(get(1).reason, "no answer came");
	assert_int_equal(audited(1, "unknown"), 1);
	assert_int_equal(open_cases(), 0);
	assert_false(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	assert_int_equal(ledger_doubt_wait(ledger, &d, &e), 0);
	assert_false(d.changed);
	/* It was not: its own transaction does not stand in its way. */
	assert_int_equal(ledger_resolve_wait(ledger, &no, &e), 0);
	assert_string_equal(get(1).reason, "");
	assert_int_equal(intend(1, "tx", ""), LEDGER_INTENDED);
	assert_true(settle((struct ledger_settle){ .id = 1,
	    .code = BATCH_ANSWERED,
	    .event = "issued",
	    .serial = "cafe",
	    .cert = bytes_of("cert", 4) }));
	assert_string_equal(get(1).serial, "cafe");
	assert_int_equal(ledger_find_serial(ledger, "cafe", &id, &e), 1);
	assert_int_equal(id, 1);
	assert_int_equal(ledger_doubt_wait(ledger, &d, &e), 0);
	assert_false(d.changed);
}

/* ---- progress ---------------------------------------------------------- */

static bool
progress(const char *text)
{
	struct ledger_progress x = { .id = 1,
		.octets = bytes_of(text, strlen(text)) };
	struct err e = ERR_INIT;

	assert_int_equal(ledger_progress_wait(ledger, &x, &e), 0);
	return x.changed;
}

static void
expect_progress(const char *want)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	int rc = ledger_part(ledger, 1, LEDGER_PROGRESS, &got, &e);

	assert_int_equal(rc, want != NULL ? 1 : 0);
	assert_string_equal(buf_cstr(&got), want != NULL ? want : "");
}

/* The last word of it stands beside the intent, and goes with it. */
static void
test_progress(void **state)
{
	struct ledger_doubt d = { .id = 1, .why = "no answer came" };
	struct ledger_resolve no = { .id = 1, .who = "me", .why = "looked" };
	struct err e = ERR_INIT;

	(void)state;
	store("berlin", 1, "one");
	assert_false(progress("before"));
	assert_int_equal(intend(1, "tx", ""), LEDGER_INTENDED);
	expect_progress(NULL);
	assert_true(progress("one"));
	assert_true(progress("two"));
	reopen();
	expect_progress("two");
	assert_int_equal(ledger_doubt_wait(ledger, &d, &e), 0);
	expect_progress(NULL);
	assert_false(progress("unknown"));
	assert_int_equal(ledger_resolve_wait(ledger, &no, &e), 0);
	assert_int_equal(intend(1, "tx", ""), LEDGER_INTENDED);
	expect_progress(NULL);
	assert_true(progress("three"));
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	expect_progress(NULL);
	assert_false(progress("after"));
}

static void
test_one_answer(void **state)
{
	struct ledger_settle refuse = { .id = 1,
		.code = BATCH_REFUSED,
		.event = "refused",
		.reason = "first" };
	struct ledger_batch v[4];

	(void)state;
	store("berlin", 1, "one");
	assert_true(settle(refuse));
	refuse.reason = "second";
	assert_false(settle(refuse));
	assert_string_equal(get(1).reason, "first");
	assert_int_equal(batches("berlin", 0, 1 << 20, v, 4), 2);
	batches_done(v, 2);
}

static void
test_supersede_only_before_intent(void **state)
{
	struct ledger_settle x = { .code = BATCH_REFUSED,
		.event = "superseded",
		.reason = "superseded",
		.unless_intent = true };

	(void)state;
	store("berlin", 1, "one");
	store("berlin", 2, "two");
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_INTENDED);
	x.id = 1;
	assert_false(settle(x));
	assert_int_equal(get(1).state, LEDGER_INTENT);
	x.id = 2;
	assert_true(settle(x));
}

static void
test_transaction_in_use(void **state)
{
	struct digest tx = digest_of("tx", 2);
	struct err e = ERR_INIT;
	uint64_t id = 0;

	(void)state;
	store("berlin", 1, "one");
	store("berlin", 2, "two");
	assert_int_equal(ledger_find_tx(ledger, &tx, &id, &e), 0);
	assert_int_equal(intend(1, "tx", "a"), LEDGER_INTENDED);
	assert_int_equal(intend(2, "tx", "b"), LEDGER_TX_IN_USE);
	assert_int_equal(get(2).state, LEDGER_OPEN);
	assert_int_equal(ledger_find_tx(ledger, &tx, &id, &e), 1);
	assert_int_equal(id, 1);
}

/* The receipt again and the stored answer, octet for octet. */
static void
test_answer_goes_along_again(void **state)
{
	struct digest d = digest_of("answer", 6);
	struct ledger_receive x;

	(void)state;
	store("berlin", 1, "one");
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	receive("berlin", 9, "one", &x);
	assert_int_equal(x.met, LEDGER_AGAIN);
	{
		struct batch p AUTO_BATCH = parse(&x.told, "berlin");

		assert_int_equal(p.n, 2);
		assert_int_equal(p.items[0].code, BATCH_DUPLICATE);
		assert_int_equal(p.items[1].code, BATCH_REFUSED);
		assert_int_equal(p.items[1].id, 9);
		assert_true(digest_eq(&p.items[1].answer, &d));
	}
	assert_int_equal(x.told.n, 2);
	assert_true(
	    bytes_eq(buf_bytes(&x.told.answers[1]), bytes_of("answer", 6)));
	ledger_batch_done(&x.told);
}

/* An entry that came twice is answered under the id the site used last. */
static void
test_latest_id_is_told(void **state)
{
	struct ledger_receive x;
	struct ledger_batch v[4];
	struct err e = ERR_INIT;
	uint64_t id = 0;

	(void)state;
	store("berlin", 1, "one");
	receive("berlin", 5, "one", &x);
	ledger_batch_done(&x.told);
	assert_int_equal(
	    ledger_find_entry(ledger, "berlin", lab->epoch, 5, &id, &e), 1);
	assert_int_equal(id, 1);
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_ANSWERED, .event = "issued" }));
	assert_int_equal(batches("berlin", 2, 1 << 20, v, 4), 1);
	expect(&v[0], "berlin", 3, 5, BATCH_ANSWERED);
	batches_done(v, 1);
}

static void
test_batches_are_resent_identical(void **state)
{
	struct ledger_batch a[4], b[4];

	(void)state;
	store("berlin", 1, "one");
	store("paris", 1, "other");
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_ANSWERED, .event = "issued" }));
	assert_int_equal(batches("berlin", 0, 1 << 20, a, 4), 2);
	reopen();
	assert_int_equal(batches("berlin", 0, 1 << 20, b, 4), 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(b[i].seq, i + 1);
		assert_true(
		    bytes_eq(buf_bytes(&a[i].batch), buf_bytes(&b[i].batch)));
		assert_true(
		    bytes_eq(buf_bytes(&a[i].sig), buf_bytes(&b[i].sig)));
	}
	assert_true(
	    bytes_eq(buf_bytes(&b[1].answers[0]), bytes_of("answer", 6)));
	batches_done(a, 2);
	batches_done(b, 2);
}

static void
test_batches_fit(void **state)
{
	char octets[8];
	struct ledger_batch v[8];
	size_t i, one;

	(void)state;
	for (i = 1; i <= 5; i++) {
		snprintf(octets, sizeof(octets), "n%zu", i);
		store("berlin", i, octets);
	}
	assert_int_equal(batches("berlin", 0, 1 << 20, v, 3), 3);
	assert_int_equal(v[2].seq, 3);
	one = v[0].batch.len + v[0].sig.len + 64 + 16;
	batches_done(v, 3);
	assert_int_equal(batches("berlin", 3, 1 << 20, v, 8), 2);
	assert_int_equal(v[0].seq, 4);
	batches_done(v, 2);
	assert_int_equal(batches("berlin", 0, 2 * one + 20, v, 8), 2);
	batches_done(v, 2);
	/* The first always goes. */
	assert_int_equal(batches("berlin", 0, 1, v, 8), 1);
	batches_done(v, 1);
	assert_int_equal(batches("berlin", 5, 1 << 20, v, 8), 0);
	assert_int_equal(batches("berl", 0, 1 << 20, v, 8), 0);
}

static void
test_sites_are_remembered(void **state)
{
	struct ledger_hello again = { .site = "berlin", .epoch = { 1 } };
	struct ledger_site s = { .seq = 99 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(ledger_site(ledger, "berlin", &s, &e), 0);
	assert_int_equal(s.seq, 99);
	hello("berlin");
	store("berlin", 3, "one");
	assert_int_equal(ledger_site(ledger, "berlin", &s, &e), 1);
	assert_memory_equal(s.epoch, lab->epoch, ENTRY_EPOCH_LEN);
	assert_int_equal(s.seq, 1);
	assert_int_equal(s.highest, 3);
	/* A new epoch counts from the start, and the old one's batches stay. */
	assert_int_equal(ledger_hello_wait(ledger, &again, &e), 0);
	assert_int_equal(again.known.seq, 0);
	assert_int_equal(again.known.highest, 0);
	hello("berlin");
	assert_int_equal(ledger_site(ledger, "berlin", &s, &e), 1);
	assert_int_equal(s.seq, 1);
}

static void
test_confirmation_reaches_its_parent(void **state)
{
	(void)state;
	store("berlin", 1, "ir");
	store("berlin", 2, "certConf");
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_INTENDED);
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_ANSWERED, .event = "issued" }));
	assert_int_equal(get(1).confirm, LEDGER_UNCONFIRMED);
	assert_true(settle((struct ledger_settle){ .id = 2,
	    .code = BATCH_ANSWERED,
	    .event = "rejected",
	    .parent = 1,
	    .confirm = LEDGER_REJECTED,
	    .confirm_reason = "no room" }));
	assert_int_equal(get(1).confirm, LEDGER_REJECTED);
	assert_string_equal(get(1).confirm_reason, "no room");
	assert_int_equal(get(2).parent, 1);
}

static void
count_record(const struct audit_record *r, void *arg)
{
	(void)r;
	++*(int *)arg;
}

static void
test_every_step_is_audited(void **state)
{
	struct err e = ERR_INIT;
	uint64_t all = 0;
	int n = 0;

	(void)state;
	store("berlin", 1, "one");
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_INTENDED);
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_ANSWERED, .event = "issued" }));
	store("berlin", 2, "two");
	assert_int_equal(ledger_audit(ledger, 1, 100, count_record, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(ledger_audit_verify(ledger, &all, &e), 0);
	assert_int_equal(all, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_stored_once),
		TEST(test_other_site_conflicts),
		TEST(test_id_for_other_octets_conflicts),
		TEST(test_intent_survives),
		TEST(test_a_doubt_is_for_people),
		TEST(test_progress),
		TEST(test_one_answer),
		TEST(test_supersede_only_before_intent),
		TEST(test_transaction_in_use),
		TEST(test_answer_goes_along_again),
		TEST(test_latest_id_is_told),
		TEST(test_batches_are_resent_identical),
		TEST(test_batches_fit),
		TEST(test_sites_are_remembered),
		TEST(test_confirmation_reaches_its_parent),
		TEST(test_every_step_is_audited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
