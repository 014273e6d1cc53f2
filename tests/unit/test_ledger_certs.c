/* The ledger's certificates: found, counted, revoked. */
#include "tests/unit/ledger_lab.h"

#include "common/service/ledger_certs.h"

/* A certificate of its own for case `id`. */
static struct bytes
certificate(struct buf *der)
{
	struct lab_want w = { .cn = "issued" };
	AUTO(X509) x = lab_cert(&w, lab->key, &lab->ca);

	ossl_cert_der(x, der);
	return buf_bytes(der);
}

/* Stored, intended with this serial number for that holder, issued. */
static uint64_t
issue(const char *octets, const char *serial, const char *holder,
    size_t max_live, uint64_t older, unsigned *ret_revoked)
{
	static uint64_t site_id;
	struct buf der AUTO_BUF = { 0 };
	struct digest d = digest_of(holder, strlen(holder));
	uint64_t id = store("berlin", ++site_id, octets);
	struct err e = ERR_INIT;
	struct facts f = { 0 };
	struct ledger_intend i = { .id = id,
		.tx = digest_of(octets, strlen(octets)),
		.tbs = bytes_of("tbs", 3),
		.unsigned_cert = bytes_of("unsigned", 8),
		.facts = &f,
		.device = "WB-1",
		.serial = serial,
		.holder = &d };
	struct ledger_settle x = { .id = id,
		.code = BATCH_ANSWERED,
		.answer = bytes_of("answer", 6),
		.reason = "",
		.event = "issued",
		.cert = certificate(&der),
		.max_live = max_live,
		.older = older };

	assert_int_equal(ledger_intend_wait(ledger, &i, &e), 0);
	assert_int_equal(i.is, LEDGER_INTENDED);
	assert_int_equal(ledger_settle_wait(ledger, &x, &e), 0);
	assert_true(x.changed);
	if (ret_revoked != NULL)
		*ret_revoked = x.revoked;
	return id;
}

static int
stands(uint64_t id)
{
	struct err e = ERR_INIT;

	return ledger_stands(ledger, id, &e);
}

static enum ledger_revoking
revoke_it(uint64_t id, unsigned reason)
{
	struct ledger_revoke x = {
		.id = id, .reason = reason, .who = "uid 0", .why = "stolen"
	};
	struct err e = ERR_INIT;

	assert_int_equal(ledger_revoke_wait(ledger, &x, &e), 0);
	return x.is;
}

static void
test_found_by_serial_number(void **state)
{
	struct err e = ERR_INIT;
	uint64_t id = 77, one;

	(void)state;
	hello("berlin");
	one = issue("a", "0a01", "w", 0, 0, NULL);
	assert_int_equal(ledger_find_serial(ledger, "0a01", &id, &e), 1);
	assert_int_equal(id, one);
	id = 77;
	assert_int_equal(ledger_find_serial(ledger, "0a02", &id, &e), 0);
	assert_int_equal(id, 77);
	assert_int_equal(stands(one), 1);
	assert_int_equal(stands(one + 1), 0);
}

static int
count_revoked(const struct ledger_revoked *r, void *arg)
{
	assert_string_not_equal(r->serial, "");
	assert_true(r->until > r->when);
	++*(unsigned *)arg;
	return 0;
}

static unsigned
revoked(void)
{
	struct err e = ERR_INIT;
	unsigned n = 0;

	assert_int_equal(ledger_list_revoked(ledger, count_revoked, &n, &e), 0);
	return n;
}

static void
test_revoked_for_good(void **state)
{
	struct ledger_revoked r = { 0 };
	struct err e = ERR_INIT;
	uint64_t one, two;

	(void)state;
	hello("berlin");
	one = issue("a", "0a01", "w", 0, 0, NULL);
	two = issue("b", "0a02", "w", 0, 0, NULL);
	assert_int_equal(ledger_revoked(ledger, one, &r, &e), 0);
	assert_int_equal(revoke_it(one, 1), LEDGER_REVOKED);
	assert_int_equal(revoke_it(one, 4), LEDGER_REVOKED_BEFORE);
	assert_int_equal(revoke_it(two + 1, 1), LEDGER_NO_CERTIFICATE);
	reopen();
	assert_int_equal(ledger_revoked(ledger, one, &r, &e), 1);
	assert_int_equal(r.reason, 1);
	assert_string_equal(r.serial, "0a01");
	assert_int_equal(stands(one), 0);
	assert_int_equal(stands(two), 1);
	assert_int_equal(revoked(), 1);
}

/* An intent is no certificate yet. */
static void
test_intent_is_not_revoked(void **state)
{
	uint64_t id;

	(void)state;
	hello("berlin");
	id = store("berlin", 500, "x");
	assert_int_equal(intend(id, "tx", "0b"), LEDGER_INTENDED);
	assert_int_equal(revoke_it(id, 1), LEDGER_NO_CERTIFICATE);
	assert_int_equal(stands(id), 0);
}

/* rr: revoked and answered in one commit, once. */
static void
test_rr(void **state)
{
	struct ledger_settle x = { .code = BATCH_ANSWERED,
		.answer = bytes_of("rp", 2),
		.reason = "",
		.event = "revoked",
		.revoke_reason = 1 };
	struct ledger_settle again = x;
	struct err e = ERR_INIT;

	(void)state;
	hello("berlin");
	x.revoke = again.revoke = issue("a", "0a01", "w", 0, 0, NULL);
	x.id = store("berlin", 600, "rr");
	again.id = store("berlin", 601, "rr again");
	assert_int_equal(ledger_settle_wait(ledger, &x, &e), 0);
	assert_true(x.changed);
	assert_int_equal(x.revoked, 1);
	assert_int_equal(ledger_settle_wait(ledger, &again, &e), 0);
	assert_false(again.changed);
	assert_true(again.revoked_before);
	assert_int_equal(get(again.id).state, LEDGER_OPEN);
	assert_int_equal(revoked(), 1);
}

/* Whose certificate fell meanwhile gets none. */
static void
test_signer_fell(void **state)
{
	struct facts f = { 0 };
	struct ledger_intend i = { .tx = digest_of("t", 1),
		.tbs = bytes_of("tbs", 3),
		.unsigned_cert = bytes_of("unsigned", 8),
		.facts = &f,
		.device = "WB-1",
		.serial = "0a02" };
	struct err e = ERR_INIT;

	(void)state;
	hello("berlin");
	i.signer = issue("a", "0a01", "w", 0, 0, NULL);
	i.id = store("berlin", 700, "kur");
	assert_int_equal(revoke_it(i.signer, 1), LEDGER_REVOKED);
	assert_int_equal(ledger_intend_wait(ledger, &i, &e), 0);
	assert_int_equal(i.is, LEDGER_SIGNER_FELL);
	assert_int_equal(get(i.id).state, LEDGER_OPEN);
}

/* At most two: the one that is replaced goes first, then the oldest; others'
 * stay. */
static void
test_so_many_at_most(void **state)
{
	uint64_t a, b, c, d, other;
	unsigned n = 9;

	(void)state;
	hello("berlin");
	other = issue("o", "0c01", "x", 0, 0, NULL);
	a = issue("a", "0a01", "w", 2, 0, &n);
	assert_int_equal(n, 0);
	b = issue("b", "0a02", "w", 2, 0, &n);
	assert_int_equal(n, 0);
	c = issue("c", "0a03", "w", 2, b, &n);
	assert_int_equal(n, 1);
	assert_int_equal(stands(b), 0);
	assert_int_equal(stands(a), 1);
	d = issue("d", "0a04", "w", 2, 0, &n);
	assert_int_equal(n, 1);
	assert_int_equal(stands(a), 0);
	assert_int_equal(stands(c), 1);
	assert_int_equal(stands(d), 1);
	assert_int_equal(stands(other), 1);
}

static void
test_numbers_grow(void **state)
{
	struct ledger_number x = { .name = "crl" }, y = { .name = "other" };
	struct err e = ERR_INIT;

	(void)state;
	for (uint64_t want = 1; want < 4; want++) {
		assert_int_equal(ledger_number_wait(ledger, &x, &e), 0);
		assert_int_equal(x.number, want);
		reopen();
	}
	assert_int_equal(ledger_number_wait(ledger, &y, &e), 0);
	assert_int_equal(y.number, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_found_by_serial_number),
		TEST(test_revoked_for_good),
		TEST(test_intent_is_not_revoked),
		TEST(test_rr),
		TEST(test_signer_fell),
		TEST(test_so_many_at_most),
		TEST(test_numbers_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
