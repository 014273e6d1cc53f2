/* Rollback: whose memory reaches further, what follows, and what ends it. */
#include "tests/unit/ledger_lab.h"

#include "common/queue/store.h"

static const uint8_t unknown[ENTRY_EPOCH_LEN];

/* HELLO of berlin, which knows us in this epoch up to this batch. */
static struct ledger_hello
hello_of(const uint8_t *service_epoch, uint64_t seq)
{
	struct ledger_hello x = { .site = "berlin", .service_seq = seq };
	struct err e = ERR_INIT;

	memcpy(x.epoch, lab->epoch, sizeof(x.epoch));
	memcpy(x.service_epoch, service_epoch, sizeof(x.service_epoch));
	assert_int_equal(ledger_hello_wait(ledger, &x, &e), 0);
	return x;
}

static struct ledger_recover
recover(const char *site)
{
	struct ledger_recover x = { .site = site, .who = "uid 0" };
	struct err e = ERR_INIT;

	assert_int_equal(ledger_recover_wait(ledger, &x, &e), 0);
	return x;
}

static struct ledger_got
got(uint64_t upto)
{
	struct ledger_got x = { .site = "berlin", .upto = upto };
	struct err e = ERR_INIT;

	assert_int_equal(ledger_got_wait(ledger, &x, &e), 0);
	return x;
}

static struct ledger_site
site(void)
{
	struct ledger_site s;
	struct err e = ERR_INIT;

	assert_int_equal(ledger_site(ledger, "berlin", &s, &e), 1);
	return s;
}

/* What was told is lost: berlin holds seven batches. */
static void
suspend(void)
{
	assert_true(hello_of(ledger_epoch(ledger), 7).suspended);
}

/* Of an entry with these octets; proof may be NULL. */
static struct ledger_evidence
evidence(uint64_t id, const char *octets, const struct ledger_proof *proof,
    bool answered)
{
	struct entry_header h = { .id = id, .kind = ENTRY_CMP };
	size_t n = strlen(octets);
	struct ledger_evidence x = { .h = &h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.octets = bytes_of(octets, n),
		.once = entry_once(ENTRY_CMP, bytes_of(octets, n)),
		.answered = answered };
	struct err e = ERR_INIT;

	str_copy(h.site, sizeof(h.site), "berlin");
	memcpy(h.epoch, lab->epoch, sizeof(h.epoch));
	h.digest = digest_of(octets, n);
	if (proof != NULL)
		x.proof = *proof;
	if (ledger_evidence_wait(ledger, &x, &e) == -1)
		fail_msg("%s", e.msg);
	x.h = NULL;
	return x;
}

static const struct ledger_proof issued = {
	.code = BATCH_ANSWERED,
	.answer = { (const uint8_t *)"ip", 2 },
	.cert = { (const uint8_t *)"cert", 4 },
	.reason = "",
	.device = "WB-7",
	.serial = "beef",
	.has_names = true,
	.tx = { { 1 } },
	.same = { { 2 } },
};

static const struct ledger_proof nothing;

static uint64_t
unknown_cases(void)
{
	struct err e = ERR_INIT;
	uint64_t sum = 0;

	assert_int_equal(
	    ledger_list_unknown(ledger, 0, 100, visit_open, &sum, &e), 0);
	return sum;
}

/* ---- HELLO ------------------------------------------------------------- */

static void
test_who_is_ahead(void **state)
{
	static const uint8_t strange[ENTRY_EPOCH_LEN] = { 1 };
	const uint8_t *ours = ledger_epoch(ledger);
	const struct {
		const char *what;
		const uint8_t *epoch;
		uint64_t seq;
		bool suspended;
	} cases[] = {
		{ "does not know us", unknown, 0, false },
		{ "has all but one", ours, 1, false },
		{ "has all", ours, 2, false },
		{ "has more", ours, 3, true },
		{ "knows another", strange, 0, true },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct ledger_hello x;

		lab->epoch
		    [0]++; /* counts from the start, but stays suspended */
		hello_of(unknown, 0);
		if (site().standing != LEDGER_SOUND) {
			recover("berlin");
			got(0);
		}
		{
			char octets[2][8] = { "0a", "0b" };

			octets[0][0] = octets[1][0] = (char)('0' + i);
			store("berlin", 1, octets[0]);
			store("berlin", 2, octets[1]);
		}
		x = hello_of(cases[i].epoch, cases[i].seq);
		if (x.suspended != cases[i].suspended)
			fail_msg("%s", cases[i].what);
		assert_int_equal(x.known.standing,
		    x.suspended ? LEDGER_SUSPENDED : LEDGER_SOUND);
	}
}

/* Suspended stays suspended, whatever is said and however often we start. */
static void
test_suspended_until_recovered(void **state)
{
	(void)state;
	hello("berlin");
	suspend();
	reopen();
	assert_false(hello_of(unknown, 0).suspended);
	assert_int_equal(site().standing, LEDGER_SUSPENDED);
	assert_non_null(strstr(site().why, "batch 7"));
	assert_int_equal(audited(0, "site-suspended"), 1);
	assert_false(recover("paris").known);
	assert_int_equal(recover("berlin").was, LEDGER_SUSPENDED);
	assert_int_equal(recover("berlin").was, LEDGER_RECOVERING);
	assert_int_equal(site().standing, LEDGER_RECOVERING);
}

static void
test_nothing_of_the_suspended(void **state)
{
	struct ledger_receive x;

	(void)state;
	hello("berlin");
	store("berlin", 1, "one");
	store("berlin", 2, "two");
	assert_int_equal(intend(2, "tx", "beef"), LEDGER_INTENDED);
	suspend();
	receive("berlin", 3, "three", &x);
	assert_int_equal(x.met, LEDGER_NOT_NOW);
	assert_int_equal(x.told.n, 0);
	assert_int_equal(intend(1, "other", "cafe"), LEDGER_UNSOUND);
	assert_false(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	assert_int_equal(get(1).state, LEDGER_OPEN);
	assert_true(got(1).ignored);
	assert_int_equal(site().got, 0);
	/* Other sites go on. */
	assert_int_equal(store("paris", 1, "four"), 3);
	/* What was meant to exist may be signed; it is told later. */
	assert_true(settle((struct ledger_settle){
	    .id = 2, .code = BATCH_ANSWERED, .event = "issued" }));
	assert_int_equal(site().seq, 2);
}

/* ---- recovery ---------------------------------------------------------- */

static void
test_evidence_only_when_asked(void **state)
{
	(void)state;
	hello("berlin");
	assert_int_equal(
	    evidence(1, "one", &issued, true).is, LEDGER_NOT_ASKED);
	suspend();
	assert_int_equal(
	    evidence(1, "one", &issued, true).is, LEDGER_NOT_ASKED);
	assert_int_equal(open_cases(), 0);
}

/* A forgotten case is as it was, and is found by all its names. */
static void
test_proof_restores_the_case(void **state)
{
	struct buf part AUTO_BUF = { 0 };
	struct ledger_receive again;
	struct err e = ERR_INIT;
	uint64_t id = 0;

	(void)state;
	hello("berlin");
	suspend();
	recover("berlin");
	assert_int_equal(evidence(4, "one", &issued, true).is, LEDGER_LEARNT);
	assert_int_equal(get(1).state, LEDGER_DONE);
	assert_string_equal(get(1).serial, "beef");
	assert_string_equal(get(1).device, "WB-7");
	assert_int_equal(ledger_part(ledger, 1, LEDGER_CERT, &part, &e), 1);
	assert_int_equal(ledger_find_tx(ledger, &issued.tx, &id, &e), 1);
	assert_int_equal(ledger_find_same(ledger, &issued.same, &id, &e), 1);
	assert_int_equal(id, 1);
	assert_int_equal(open_cases(), 0);
	assert_int_equal(evidence(4, "one", &issued, true).is, LEDGER_KNOWN);
	assert_int_equal(audited(1, "proven"), 1);

	assert_true(got(7).recovered);
	assert_int_equal(site().standing, LEDGER_SOUND);
	assert_int_equal(site().seq, 7);
	receive("berlin", 4, "one", &again);
	assert_int_equal(again.met, LEDGER_AGAIN);
	assert_int_equal(again.told.seq, 8);
	assert_int_equal(again.told.n, 2);
	assert_true(
	    bytes_eq(buf_bytes(&again.told.answers[1]), bytes_of("ip", 2)));
	ledger_batch_done(&again.told);
}

static void
test_without_proof_unknown(void **state)
{
	struct ledger_receive again;

	(void)state;
	hello("berlin");
	store("berlin", 1, "one");
	suspend();
	recover("berlin");
	/* One we know, one that we forgot. */
	assert_int_equal(evidence(1, "one", NULL, false).is, LEDGER_DOUBTED);
	assert_int_equal(evidence(2, "two", NULL, false).is, LEDGER_DOUBTED);
	assert_int_equal(unknown_cases(), 12);
	assert_int_equal(open_cases(), 0);
	assert_true(got(7).recovered);
	reopen();
	assert_int_equal(unknown_cases(), 12);
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_NOT_OPEN);
	assert_false(settle((struct ledger_settle){
	    .id = 2, .code = BATCH_REFUSED, .event = "refused" }));
	/* It has a receipt, and no answer. */
	receive("berlin", 2, "two", &again);
	assert_int_equal(again.met, LEDGER_AGAIN);
	assert_int_equal(again.told.n, 1);
	ledger_batch_done(&again.told);
}

static void
test_an_intent_is_no_doubt(void **state)
{
	(void)state;
	hello("berlin");
	store("berlin", 1, "one");
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_INTENDED);
	suspend();
	recover("berlin");
	assert_int_equal(evidence(1, "one", NULL, false).is, LEDGER_KNOWN);
	assert_int_equal(get(1).state, LEDGER_INTENT);
	assert_int_equal(open_cases(), 1);
}

static void
test_contradiction_is_an_alarm(void **state)
{
	(void)state;
	hello("berlin");
	store("berlin", 1, "one");
	store("paris", 1, "two");
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	suspend();
	recover("berlin");
	assert_int_equal(
	    evidence(1, "one", &issued, true).is, LEDGER_CONTRADICTED);
	assert_int_equal(get(1).code, BATCH_REFUSED);
	assert_int_equal(audited(1, "contradicted"), 1);
	assert_int_equal(
	    evidence(9, "two", &issued, true).is, LEDGER_CONTRADICTED);
	assert_int_equal(get(2).state, LEDGER_OPEN);
	assert_int_equal(
	    evidence(1, "other", &issued, true).is, LEDGER_CONTRADICTED);
}

/* The site lacks an answer that we have: under new numbers, once. */
static void
test_what_is_missing_is_told_anew(void **state)
{
	struct ledger_batch v[8];

	(void)state;
	hello("berlin");
	store("berlin", 1, "one");
	store("berlin", 2, "two");
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	assert_int_equal(intend(2, "tx", "beef"), LEDGER_INTENDED);
	suspend();
	assert_true(settle((struct ledger_settle){
	    .id = 2, .code = BATCH_ANSWERED, .event = "issued" }));
	recover("berlin");
	evidence(1, "one", NULL, false);
	evidence(2, "two", NULL, false);
	assert_true(got(7).recovered);
	assert_int_equal(batches("berlin", 0, 1 << 20, v, 8), 2);
	expect(&v[0], "berlin", 8, 1, BATCH_REFUSED);
	expect(&v[1], "berlin", 9, 2, BATCH_ANSWERED);
	batches_done(v, 2);
	/* From now on it is got as ever. */
	assert_false(got(9).recovered);
	assert_int_equal(site().got, 9);
}

/* What another site still waits for stays noted for it. */
static void
test_each_site_is_told_its_own(void **state)
{
	struct ledger_hello paris = { .site = "paris", .service_seq = 5 };
	struct ledger_got all = { .site = "paris", .upto = 5 };
	struct ledger_batch v[8];
	struct err e = ERR_INIT;

	(void)state;
	hello("berlin");
	hello("paris");
	store("berlin", 1, "one");
	store("paris", 1, "two");
	assert_int_equal(intend(1, "tx1", "beef"), LEDGER_INTENDED);
	assert_int_equal(intend(2, "tx2", "cafe"), LEDGER_INTENDED);
	suspend();
	memcpy(paris.epoch, lab->epoch, sizeof(paris.epoch));
	memcpy(paris.service_epoch, ledger_epoch(ledger), ENTRY_EPOCH_LEN);
	assert_int_equal(ledger_hello_wait(ledger, &paris, &e), 0);
	assert_true(paris.suspended);
	for (uint64_t id = 1; id <= 2; id++)
		assert_true(settle((struct ledger_settle){
		    .id = id, .code = BATCH_ANSWERED, .event = "issued" }));
	recover("berlin");
	recover("paris");
	assert_true(got(7).recovered);
	assert_int_equal(batches("berlin", 7, 1 << 20, v, 8), 1);
	expect(&v[0], "berlin", 8, 1, BATCH_ANSWERED);
	batches_done(v, 1);
	assert_int_equal(ledger_got_wait(ledger, &all, &e), 0);
	assert_int_equal(batches("paris", 0, 1 << 20, v, 8), 1);
	expect(&v[0], "paris", 6, 1, BATCH_ANSWERED);
	batches_done(v, 1);
}

/* A new ledger: the site knows another epoch, and starts to count anew. */
static void
test_another_epoch_is_forgiven_once(void **state)
{
	static const uint8_t lost[ENTRY_EPOCH_LEN] = { 1 };
	static const uint8_t other[ENTRY_EPOCH_LEN] = { 2 };

	(void)state;
	assert_true(hello_of(lost, 7).suspended);
	recover("berlin");
	assert_true(got(0).recovered);
	assert_false(hello_of(lost, 7).suspended);
	assert_int_equal(site().standing, LEDGER_SOUND);
	assert_int_equal(site().seq, 0);
	assert_true(hello_of(other, 0).suspended);
}

/* The epoch that it knew us by is ours still: what it knows counts as ever. */
static void
test_put_back_twice(void **state)
{
	(void)state;
	hello("berlin");
	suspend();
	recover("berlin");
	assert_true(got(7).recovered);
	assert_false(hello_of(ledger_epoch(ledger), 7).suspended);
	assert_true(hello_of(ledger_epoch(ledger), 8).suspended);
}

/* A copy that is put in place on purpose: nobody can tell what it forgot. */
static void
test_renewed_ledger(void **state)
{
	struct store_conf c = { .dir = lab_path(lab, "store"),
		.seal = lab_path(lab, "seal.key"),
		.map_size = MAP };
	uint8_t before[ENTRY_EPOCH_LEN];
	struct ledger_batch v[4];
	struct err e = ERR_INIT;

	(void)state;
	hello("berlin");
	store("berlin", 1, "one");
	memcpy(before, ledger_epoch(ledger), sizeof(before));
	ledger_close(STEAL(ledger));
	ledger_store_conf(&c);
	if (ledger_renew(&c, "uid 0", &e) == -1)
		fail_msg("%s", e.msg);
	reopen();
	assert_memory_not_equal(before, ledger_epoch(ledger), sizeof(before));
	assert_int_equal(audited(0, "renewed"), 1);
	assert_int_equal(site().standing, LEDGER_SUSPENDED);
	/* Also of a site that knows of no batch. */
	assert_false(hello_of(unknown, 0).suspended);
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_UNSOUND);
	recover("berlin");
	assert_int_equal(evidence(1, "one", NULL, false).is, LEDGER_DOUBTED);
	assert_true(got(0).recovered);
	/* None of the other epoch is left. */
	assert_int_equal(batches("berlin", 0, 1 << 20, v, 4), 0);
	assert_false(hello_of(before, 1).suspended);
	assert_int_equal(site().standing, LEDGER_SOUND);
}

/* ---- unknown outcomes -------------------------------------------------- */

static bool
resolve(uint64_t id, const struct ledger_proof *proof)
{
	struct ledger_resolve x = {
		.id = id, .proof = *proof, .who = "uid 0", .why = "looked it up"
	};
	struct err e = ERR_INIT;

	if (ledger_resolve_wait(ledger, &x, &e) == -1)
		fail_msg("%s", e.msg);
	return x.changed;
}

static void
test_resolve(void **state)
{
	struct ledger_batch v[4];

	(void)state;
	hello("berlin");
	suspend();
	recover("berlin");
	evidence(1, "one", NULL, false);
	evidence(2, "two", NULL, false);
	got(7);
	assert_true(resolve(1, &issued));
	assert_int_equal(get(1).state, LEDGER_DONE);
	assert_int_equal(audited(1, "resolved-issued"), 1);
	assert_int_equal(batches("berlin", 7, 1 << 20, v, 4), 1);
	expect(&v[0], "berlin", 8, 1, BATCH_ANSWERED);
	batches_done(v, 1);
	assert_true(resolve(2, &nothing));
	assert_int_equal(get(2).state, LEDGER_OPEN);
	assert_int_equal(audited(2, "resolved-not-issued"), 1);
	assert_int_equal(open_cases(), 2);
	assert_int_equal(unknown_cases(), 0);
	assert_int_equal(intend(2, "new", "cafe"), LEDGER_INTENDED);
	/* Once. */
	assert_false(resolve(1, &nothing));
	assert_false(resolve(2, &issued));
	assert_string_equal(get(1).serial, "beef");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_who_is_ahead),
		TEST(test_suspended_until_recovered),
		TEST(test_nothing_of_the_suspended),
		TEST(test_evidence_only_when_asked),
		TEST(test_proof_restores_the_case),
		TEST(test_without_proof_unknown),
		TEST(test_an_intent_is_no_doubt),
		TEST(test_contradiction_is_an_alarm),
		TEST(test_what_is_missing_is_told_anew),
		TEST(test_each_site_is_told_its_own),
		TEST(test_another_epoch_is_forgiven_once),
		TEST(test_put_back_twice),
		TEST(test_renewed_ledger),
		TEST(test_resolve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
