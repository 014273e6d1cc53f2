/* What sites say of themselves: withdrawals and checkpoints; and certificates
 * that are given again. */
#include "tests/unit/ledger_lab.h"

#include "common/base/cbor.h"
#include "common/service/words.h"

/* Its own word as entry `id`; what was told stays in *x. */
static void
say(enum entry_kind kind, uint64_t id, const struct buf *octets,
    struct ledger_receive *x)
{
	struct entry_header h = { .id = id, .kind = kind };
	struct err e = ERR_INIT;

	str_copy(h.site, sizeof(h.site), "berlin");
	memcpy(h.epoch, lab->epoch, sizeof(h.epoch));
	h.digest = digest_of(octets->data, octets->len);
	*x = (struct ledger_receive){ .h = &h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.octets = buf_bytes(octets),
		.once = words_once(&h, buf_bytes(octets)) };
	if (words_check(&h, buf_bytes(octets), &e) == -1 ||
	    ledger_receive_wait(ledger, x, &e) == -1)
		fail_msg("%s", e.msg);
	x->h = NULL;
}

/* Whose answer is the whole batch, and says this. */
static void
expect_done(struct ledger_receive *x, uint64_t id, const char *text)
{
	struct buf want AUTO_BUF = { 0 };

	words_done(text, &want);
	expect(&x->told, "berlin", x->told.seq, id, BATCH_ANSWERED);
	assert_true(bytes_eq(buf_bytes(&x->told.answers[0]), buf_bytes(&want)));
	ledger_batch_done(&x->told);
}

static void
withdrawal(uint64_t target, const char *octets, struct buf *out)
{
	struct digest d = digest_of(octets, strlen(octets));

	cbor_write_array(out, 5);
	cbor_write_text(out, "waybill-withdraw/1");
	cbor_write_bytes(out, lab->epoch, sizeof(lab->epoch));
	cbor_write_uint(out, target);
	cbor_write_bytes(out, d.b, sizeof(d.b));
	cbor_write_text(out, "wrong plant");
}

/* Entry `id` withdraws entry `target`; the case it gave up. */
static uint64_t
withdraw(uint64_t id, uint64_t target, const char *octets, const char *done)
{
	struct buf text AUTO_BUF = { 0 };
	struct ledger_receive x;

	withdrawal(target, octets, &text);
	say(ENTRY_WITHDRAW, id, &text, &x);
	assert_int_equal(x.met, LEDGER_NEW);
	assert_int_equal(get(x.id).state, LEDGER_DONE);
	expect_done(&x, id, done);
	return x.withdrawn;
}

/* ---- withdrawals ------------------------------------------------------- */

static void
test_withdrawn_before_it_was_decided(void **state)
{
	(void)state;
	store("berlin", 1, "one");
	assert_int_equal(
	    withdraw(2, 1, "one", "withdrawn before it was decided"), 1);
	assert_true(get(1).withdrawn);
	assert_int_equal(get(1).state, LEDGER_OPEN);
	assert_int_equal(audited(1, "withdrawn"), 1);
	/* Nothing but a refusal is left to it. */
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_GIVEN_UP);
	assert_false(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_ANSWERED, .event = "voucher" }));
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	assert_int_equal(get(1).confirm, LEDGER_UNCONFIRMED);
}

static void
test_withdrawn_with_an_intent(void **state)
{
	(void)state;
	store("berlin", 1, "one");
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_INTENDED);
	assert_int_equal(
	    withdraw(2, 1, "one", "its certificate will count as rejected"), 1);
	assert_int_equal(get(1).confirm, LEDGER_UNCONFIRMED);
	assert_true(settle((struct ledger_settle){ .id = 1,
	    .code = BATCH_ANSWERED,
	    .event = "issued",
	    .cert = bytes_of("cert", 4) }));
	assert_int_equal(get(1).confirm, LEDGER_REJECTED);
	assert_string_equal(get(1).confirm_reason, "withdrawn");
	assert_int_equal(audited(1, "rejected"), 1);
}

static void
test_withdrawn_after_it_was_issued(void **state)
{
	(void)state;
	store("berlin", 1, "one");
	assert_int_equal(intend(1, "tx", "beef"), LEDGER_INTENDED);
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_ANSWERED, .event = "issued" }));
	assert_int_equal(
	    withdraw(2, 1, "one", "its certificate counts as rejected"), 1);
	assert_int_equal(get(1).confirm, LEDGER_REJECTED);
	assert_int_equal(audited(1, "rejected"), 1);
	/* A refusal has nothing to reject. */
	store("berlin", 3, "three");
	assert_true(settle((struct ledger_settle){
	    .id = 3, .code = BATCH_REFUSED, .event = "refused" }));
	assert_int_equal(withdraw(4, 3, "three", "it was answered before"), 3);
	assert_int_equal(get(3).confirm, LEDGER_UNCONFIRMED);
}

/* By another carrier, a copy may come after its withdrawal. */
static void
test_withdrawn_before_it_came(void **state)
{
	(void)state;
	assert_int_equal(withdraw(2, 1, "one",
			     "not here yet; it will be refused when it comes"),
	    0);
	reopen();
	assert_int_equal(store("berlin", 1, "one"), 2);
	assert_true(get(2).withdrawn);
	assert_int_equal(intend(2, "tx", "beef"), LEDGER_GIVEN_UP);
	/* Its neighbours are not meant. */
	store("berlin", 3, "three");
	store("paris", 1, "four");
	assert_false(get(3).withdrawn);
	assert_false(get(4).withdrawn);
}

static void
test_withdrawal_must_name_the_octets(void **state)
{
	(void)state;
	store("berlin", 1, "one");
	assert_int_equal(withdraw(2, 1, "two",
			     "nothing: it names other octets than we have"),
	    0);
	assert_false(get(1).withdrawn);
	/* Nor can a word be taken back. */
	assert_int_equal(audited(1, "withdraw-other"), 1);
}

static void
test_word_again_has_one_effect(void **state)
{
	struct buf text AUTO_BUF = { 0 };
	struct ledger_receive x;

	(void)state;
	store("berlin", 1, "one");
	withdrawal(1, "one", &text);
	say(ENTRY_WITHDRAW, 2, &text, &x);
	expect_done(&x, 2, "withdrawn before it was decided");
	say(ENTRY_WITHDRAW, 2, &text, &x);
	assert_int_equal(x.met, LEDGER_AGAIN);
	assert_int_equal(x.withdrawn, 0);
	expect_done(&x, 2, "withdrawn before it was decided");
	assert_int_equal(audited(1, "withdrawn"), 1);
}

static void
test_words_are_read_strictly(void **state)
{
	struct buf good AUTO_BUF = { 0 };
	struct withdrawal w = { .id = 99 };
	struct checkpoint c;
	struct err e = ERR_INIT;

	(void)state;
	withdrawal(1, "one", &good);
	assert_int_equal(withdrawal_parse(buf_bytes(&good), &w, &e), 0);
	assert_int_equal(w.id, 1);
	assert_string_equal(w.reason, "wrong plant");
	w.id = 99;
	for (size_t n = 0; n < good.len; n++)
		assert_int_equal(
		    withdrawal_parse(bytes_of(good.data, n), &w, &e), -1);
	good.data[2] ^= 1; /* the label */
	assert_int_equal(withdrawal_parse(buf_bytes(&good), &w, &e), -1);
	assert_int_equal(w.id, 99);
	assert_int_equal(checkpoint_parse(buf_bytes(&good), &c, &e), -1);
}

/* ---- checkpoints ------------------------------------------------------- */

static bool
check(uint64_t id, uint64_t seq, uint8_t hash)
{
	struct digest d = { { hash } };
	struct buf text AUTO_BUF = { 0 };
	struct ledger_receive x;

	cbor_write_array(&text, 4);
	cbor_write_text(&text, "waybill-checkpoint/1");
	cbor_write_uint(&text, seq);
	cbor_write_bytes(&text, d.b, sizeof(d.b));
	cbor_write_uint(&text, 1700000000);
	say(ENTRY_AUDIT, id, &text, &x);
	assert_int_equal(x.met, LEDGER_NEW);
	assert_int_equal(x.told.n, 1);
	ledger_batch_done(&x.told);
	return x.suspended;
}

static struct ledger_site
site(void)
{
	struct ledger_site s;
	struct err e = ERR_INIT;

	assert_int_equal(ledger_site(ledger, "berlin", &s, &e), 1);
	return s;
}

static void
test_checkpoints_go_forward(void **state)
{
	(void)state;
	hello("berlin");
	assert_false(check(5, 10, 1));
	assert_false(check(7, 12, 2));
	assert_int_equal(site().audit_seq, 12);
	/* An older one that comes late says nothing. */
	assert_false(check(4, 3, 9));
	assert_int_equal(site().audit_seq, 12);
	assert_int_equal(site().standing, LEDGER_SOUND);
}

static void
test_checkpoint_that_goes_back(void **state)
{
	(void)state;
	hello("berlin");
	assert_false(check(5, 10, 1));
	assert_true(check(6, 9, 2));
	assert_int_equal(site().standing, LEDGER_SUSPENDED);
	assert_non_null(strstr(site().why, "audit"));
}

static void
test_checkpoint_that_forks(void **state)
{
	(void)state;
	hello("berlin");
	assert_false(check(5, 10, 1));
	assert_true(check(6, 10, 2));
	assert_int_equal(site().standing, LEDGER_SUSPENDED);
}

/* The head that HELLO tells is countersigned by the next batch. */
static void
test_hello_head_is_countersigned(void **state)
{
	struct ledger_hello x = { .site = "berlin", .audit = { { 7 } } };
	struct ledger_receive r;
	struct err e = ERR_INIT;

	(void)state;
	memcpy(x.epoch, lab->epoch, sizeof(x.epoch));
	store("berlin", 5, "five"); /* its header's head is older */
	assert_int_equal(ledger_hello_wait(ledger, &x, &e), 0);
	receive("berlin", 4, "four", &r);
	{
		struct batch p AUTO_BATCH = parse(&r.told, "berlin");

		assert_true(digest_eq(&p.audit_seen, &x.audit));
	}
	ledger_batch_done(&r.told);
}

/* ---- the same certificate ---------------------------------------------- */

static void
give(uint64_t id, uint64_t of, const char *tx, struct ledger_settle *x)
{
	struct err e = ERR_INIT;

	*x = (struct ledger_settle){ .id = id,
		.code = BATCH_ANSWERED,
		.answer = bytes_of("again", 5),
		.reason = "",
		.event = "same-key",
		.same = of,
		.tx = digest_of(tx, strlen(tx)) };
	if (ledger_settle_wait(ledger, x, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
issue_one(void)
{
	store("berlin", 1, "one");
	assert_int_equal(intend(1, "tx1", "beef"), LEDGER_INTENDED);
	assert_true(settle((struct ledger_settle){ .id = 1,
	    .code = BATCH_ANSWERED,
	    .event = "issued",
	    .cert = bytes_of("cert", 4) }));
}

static void
test_same_certificate_is_given(void **state)
{
	struct digest tx = digest_of("tx2", 3);
	struct ledger_settle x;
	struct err e = ERR_INIT;
	uint64_t id = 0;

	(void)state;
	issue_one();
	store("berlin", 2, "two");
	give(2, 1, "tx2", &x);
	assert_true(x.changed);
	assert_int_equal(get(2).same, 1);
	assert_string_equal(get(2).serial, "");
	assert_int_equal(ledger_find_tx(ledger, &tx, &id, &e), 1);
	assert_int_equal(id, 2);
	/* Who rejects it in the second transaction rejects the one there is. */
	store("berlin", 3, "certConf");
	assert_true(settle((struct ledger_settle){ .id = 3,
	    .code = BATCH_ANSWERED,
	    .event = "rejected",
	    .parent = 2,
	    .confirm = LEDGER_REJECTED,
	    .confirm_reason = "no room" }));
	assert_int_equal(get(2).confirm, LEDGER_REJECTED);
	assert_int_equal(get(1).confirm, LEDGER_REJECTED);
	/* And nobody is given it any more. */
	store("berlin", 4, "four");
	give(4, 1, "tx4", &x);
	assert_false(x.changed);
	assert_false(x.tx_in_use);
}

static void
test_withdrawn_certificate_is_not_given(void **state)
{
	struct ledger_settle x;

	(void)state;
	store("berlin", 1, "one");
	assert_int_equal(intend(1, "tx1", "beef"), LEDGER_INTENDED);
	store("berlin", 2, "two");
	/* Not before there is one. */
	give(2, 1, "tx2", &x);
	assert_false(x.changed);
	assert_true(settle((struct ledger_settle){
	    .id = 1, .code = BATCH_REFUSED, .event = "refused" }));
	withdraw(3, 1, "one", "it was answered before");
	assert_int_equal(get(1).confirm, LEDGER_UNCONFIRMED);
	give(2, 1, "tx2", &x);
	assert_false(x.changed);
	assert_int_equal(get(2).state, LEDGER_OPEN);
}

static void
test_same_certificate_in_a_used_transaction(void **state)
{
	struct ledger_settle x;

	(void)state;
	issue_one();
	store("berlin", 2, "two");
	give(2, 1, "tx1", &x);
	assert_false(x.changed);
	assert_true(x.tx_in_use);
	assert_int_equal(get(2).state, LEDGER_OPEN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_withdrawn_before_it_was_decided),
		TEST(test_withdrawn_with_an_intent),
		TEST(test_withdrawn_after_it_was_issued),
		TEST(test_withdrawn_before_it_came),
		TEST(test_withdrawal_must_name_the_octets),
		TEST(test_word_again_has_one_effect),
		TEST(test_words_are_read_strictly),
		TEST(test_checkpoints_go_forward),
		TEST(test_checkpoint_that_goes_back),
		TEST(test_checkpoint_that_forks),
		TEST(test_hello_head_is_countersigned),
		TEST(test_same_certificate_is_given),
		TEST(test_withdrawn_certificate_is_not_given),
		TEST(test_same_certificate_in_a_used_transaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
