/* Retention, the time floor, and ledgers of an older release. */
#include "tests/unit/ledger_lab.h"

#include "common/queue/store.h"
#include "common/service/ledger_rows.h"

#define DAY 86400ULL

static const struct ledger_keep keep = { 30 * DAY, 400 * DAY, 7 * DAY };

static struct ledger_prune
prune(uint64_t now, size_t rows)
{
	struct ledger_prune x = { .keep = keep, .rows = rows, .now = now };
	struct err e = ERR_INIT;

	if (ledger_prune_wait(ledger, &x, &e) == -1)
		fail_msg("%s", e.msg);
	return x;
}

static void
got(const char *site, uint64_t upto)
{
	struct ledger_got x = { .site = site, .upto = upto };
	struct err e = ERR_INIT;

	assert_int_equal(ledger_got_wait(ledger, &x, &e), 0);
}

static bool
has(uint64_t id, enum ledger_part part)
{
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	return ledger_part(ledger, id, part, &b, &e) == 1;
}

/* A case with a certificate that ends in ten days. */
static void
issue_for_ten_days(void)
{
	struct lab_want w = { .cn = "x", .to = clock_now().time + 10 * DAY };
	AUTO(X509) cert = lab_cert(&w, lab->key, &lab->ca);
	struct buf der AUTO_BUF = { 0 };

	ossl_cert_der(cert, &der);
	store("berlin", 1, "one");
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_INTENDED);
	assert_true(settle((struct ledger_settle){ .id = 1,
	    .code = BATCH_ANSWERED,
	    .event = "issued",
	    .cert = buf_bytes(&der) }));
}

/* ---- answers ----------------------------------------------------------- */

static void
test_answers_are_kept_beyond_their_certificate(void **state)
{
	uint64_t now = clock_now().time;
	struct digest tx = digest_of("tx", 2);
	struct err e = ERR_INIT;
	uint64_t id = 0;

	(void)state;
	issue_for_ten_days();
	assert_int_equal(prune(now + 39 * DAY, 100).cases, 0);
	assert_true(has(1, LEDGER_ANSWER));
	assert_int_equal(prune(now + 41 * DAY, 100).cases, 1);
	assert_false(has(1, LEDGER_ANSWER));
	assert_false(has(1, LEDGER_OCTETS));
	assert_true(get(1).pruned);
	/* For ever. */
	assert_true(has(1, LEDGER_CERT));
	assert_string_equal(get(1).serial, "beef");
	assert_int_equal(ledger_find_tx(ledger, &tx, &id, &e), 1);
	assert_int_equal(prune(now + 5000 * DAY, 100).cases, 0);
}

static void
test_refusals_are_kept_longer(void **state)
{
	uint64_t now = clock_now().time;

	(void)state;
	store("berlin", 1, "one");
	store("berlin", 2, "two");
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	assert_int_equal(prune(now + 399 * DAY, 100).cases, 0);
	assert_int_equal(prune(now + 401 * DAY, 100).cases, 1);
	/* What is open stays, however old. */
	assert_true(has(2, LEDGER_OCTETS));
	assert_int_equal(prune(now + 5000 * DAY, 100).cases, 0);
	assert_int_equal(open_cases(), 2);
}

/* Never a second time: what was asked is known when its answer is gone. */
static void
test_once_is_for_ever(void **state)
{
	struct ledger_receive x;

	(void)state;
	issue_for_ten_days();
	assert_int_equal(prune(clock_now().time + 41 * DAY, 100).cases, 1);
	receive("berlin", 9, "one", &x);
	assert_int_equal(x.met, LEDGER_AGAIN);
	{
		struct batch p AUTO_BATCH = parse(&x.told, "berlin");

		assert_int_equal(p.n, 2);
		assert_int_equal(p.items[1].code, BATCH_REFUSED);
		assert_false(p.items[1].has_answer);
		assert_non_null(strstr(p.items[1].reason, "no longer kept"));
	}
	ledger_batch_done(&x.told);
	assert_int_equal(open_cases(), 0);
}

/* A few rows at a time, from where the last look ended. */
static void
test_small_portions(void **state)
{
	uint64_t later = clock_now().time + 401 * DAY;
	char octets[8];
	size_t n = 0;

	(void)state;
	for (uint64_t i = 1; i <= 7; i++) {
		snprintf(octets, sizeof(octets), "n%d", (int)i);
		store("berlin", i, octets);
		assert_true(settle((struct ledger_settle){
		    .id = i, .code = BATCH_REFUSED, .event = "refused" }));
	}
	for (int turn = 0; turn < 3; turn++) {
		size_t some = prune(later, 3).cases;

		assert_true(some <= 3);
		n += some;
	}
	assert_int_equal(n, 7);
	assert_int_equal(audited(0, "pruned"), 3);
}

static void
test_not_by_an_unset_clock(void **state)
{
	static const char *const qualities[] = { "none", "floor", "rtc" };

	(void)state;
	store("berlin", 1, "one");
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	for (size_t i = 0; i < NELEMS(qualities); i++) {
		struct ledger_prune x = { .keep = { 0, 0, 0 }, .rows = 100 };
		struct err e = ERR_INIT;

		setenv("WAYBILL_CLOCK", qualities[i], 1);
		assert_int_equal(ledger_prune_wait(ledger, &x, &e), 0);
		assert_int_equal(x.cases, i == 2);
		assert_int_equal(has(1, LEDGER_ANSWER), i < 2);
	}
	unsetenv("WAYBILL_CLOCK");
}

/* ---- batches ----------------------------------------------------------- */

static void
test_batches_that_were_got(void **state)
{
	uint64_t now = clock_now().time;
	struct ledger_hello renewed = { .site = "berlin", .epoch = { 9 } };
	struct ledger_receive again;
	struct ledger_batch v[8];
	struct err e = ERR_INIT;

	(void)state;
	hello("berlin");
	store("berlin", 1, "one");
	store("berlin", 2, "two");
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	got("berlin", 2);
	assert_int_equal(prune(now + 6 * DAY, 100).batches, 0);
	assert_int_equal(prune(now + 8 * DAY, 100).batches, 2);
	assert_int_equal(batches("berlin", 0, 1 << 20, v, 8), 1);
	expect(&v[0], "berlin", 3, 1, BATCH_REFUSED);
	batches_done(v, 1);
	/* Who lost all that was in them sends again, and has it again. */
	receive("berlin", 1, "one", &again);
	assert_int_equal(again.told.n, 2);
	ledger_batch_done(&again.told);
	/* Nobody asks for those of an epoch that is over. */
	assert_int_equal(ledger_hello_wait(ledger, &renewed, &e), 0);
	assert_int_equal(prune(now + 8 * DAY, 100).batches, 2);
}

/* ---- the time floor ---------------------------------------------------- */

static void
test_floor_survives(void **state)
{
	uint64_t now = clock_now().time, before;

	(void)state;
	ledger_floor(ledger, now + 400 * DAY);
	ledger_floor(ledger, now + 400 * DAY + 10); /* no news */
	before = clock_floor();
	assert_true(before < now + 300 * DAY);
	reopen();
	/* A word that was signed is believed up to a day. */
	assert_true(clock_floor() >= now + 399 * DAY);
}

/* ---- older ledgers ----------------------------------------------------- */

/* Version 1 held a site's epoch alone, and four numbers of it. */
static void
test_rows_of_version_1(void **state)
{
	const struct store_upgrade *up = ledger_upgrades;
	static const uint8_t epoch[ENTRY_EPOCH_LEN] = { 5 };
	/* [3, 2, 7, audit] */
	uint8_t old[4 + 2 + DIGEST_LEN] = { 0x84, 3, 2, 7, 0x58, 32, 0xaa };
	struct row_key site = key_site("berlin");
	struct row_key reach = key_reach("berlin", epoch);
	struct buf out AUTO_BUF = { 0 };
	struct site_row s;
	struct reach r;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(up->from, LEDGER_VERSION - 1);
	assert_int_equal(up->row(DB_SITE, row_key(&site),
			     bytes_of(epoch, sizeof(epoch)), &out, &e),
	    1);
	assert_int_equal(site_row_decode(buf_bytes(&out), &s, &e), 0);
	assert_int_equal(s.standing, LEDGER_SOUND);
	assert_memory_equal(s.epoch, epoch, sizeof(epoch));
	buf_reset(&out);
	assert_int_equal(up->row(DB_SITE, row_key(&reach),
			     bytes_of(old, sizeof(old)), &out, &e),
	    1);
	assert_int_equal(reach_decode(buf_bytes(&out), &r, &e), 0);
	assert_int_equal(r.seq, 3);
	assert_int_equal(r.got, 2);
	assert_int_equal(r.highest, 7);
	assert_int_equal(r.audit.b[0], 0xaa);
	assert_int_equal(r.check_id, 0);
	/* Others stay as they are; what is no row of the kind is damage. */
	buf_reset(&out);
	assert_int_equal(
	    up->row(DB_CASE, row_key(&site), bytes_of("case", 4), &out, &e), 1);
	assert_string_equal(buf_cstr(&out), "case");
	assert_int_equal(
	    up->row(DB_SITE, row_key(&site), bytes_of(epoch, 3), &out, &e), -1);
	assert_int_equal(e.kind, ERR_DAMAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers_are_kept_beyond_their_certificate),
		TEST(test_refusals_are_kept_longer),
		TEST(test_once_is_for_ever),
		TEST(test_small_portions),
		TEST(test_not_by_an_unset_clock),
		TEST(test_batches_that_were_got),
		TEST(test_rows_of_version_1),
		TEST(test_floor_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
