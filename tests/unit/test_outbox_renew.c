/* The outbox: suspended, it takes nothing new; renewed, it begins again. */
#include "outbox_damage.h"

static void
suspended_until_renewed(void **state)
{
	struct outbox_accept again = request("ir", "dev");
	struct outbox_accept other = request("ir2", "dev2");
	struct outbox_accept c = request("cc", "dev3");
	struct outbox_withdraw w = { 0 };
	uint64_t id = take("ir", "dev"), answered = take("ir3", "dev3"), ids[4];
	struct outbox_checkpoint k = { 0 };
	char why[OUTBOX_WHY_MAX];
	struct err e;

	(void)state;
	say((struct word){ 1, answered, BATCH_ANSWERED, "ir3", "ip" });
	assert_false(outbox_suspended(box, why));
	assert_string_equal(why, "");
	TURN(outbox_suspend, "the service knows a later id");
	TURN(outbox_suspend, "another reason");
	c.step = 1;
	c.initial = false;
	c.parent = answered;
	for (int i = 0; i < 2; i++) {
		assert_true(outbox_suspended(box, why));
		assert_string_equal(why, "the service knows a later id");
		e = accept_wait(&other);
		assert_int_equal(e.kind, ERR_RETRY);
		assert_non_null(strstr(e.msg, "waybill queue restore"));
		/* It would get an id that the service knows for another. */
		assert_int_equal(accept_wait(&c).kind, ERR_RETRY);
		assert_int_equal(accept_wait(&again).kind, ERR_NONE);
		assert_true(again.replay);
		assert_int_equal(outbox_sendable(box, ~0u, 0, true, ids, 4), 0);
		w = (struct outbox_withdraw){ .id = answered };
		assert_int_equal(
		    WAIT_FOR(outbox_withdraw, &w, withdrawn).kind, ERR_RETRY);
		assert_false(w.withdrawn);
		state_is(answered, ENTRY_ANSWERED);
		assert_int_equal(
		    WAIT_FOR(outbox_checkpoint, &k, checked).kind, ERR_NONE);
		assert_int_equal(k.id, 0);
		reopen();
	}
	history_is(0, "accepted accepted answered suspended");
	TURN(outbox_renew, "uid 1000");
	assert_false(outbox_suspended(box, why));
	assert_int_equal(accept_wait(&other).kind, ERR_NONE);
	reopen();
	assert_false(outbox_suspended(box, why));
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 2);
	assert_int_equal(ids[0], id);
}

static bool
epoch_is(const uint8_t a[ENTRY_EPOCH_LEN])
{
	return memcmp(a, outbox_epoch(box), ENTRY_EPOCH_LEN) == 0;
}

/* One in each state, 1 to 6; 7 comes later. */
static void
what_is_open_is_sent_again(void **state)
{
	uint8_t old[ENTRY_EPOCH_LEN], key[OUTBOX_NONCE_KEY];
	const uint8_t *before;
	char name[8];
	uint64_t i;

	(void)state;
	memcpy(old, outbox_epoch(box), sizeof(old));
	memcpy(key, outbox_nonce_key(box), sizeof(key));
	before = outbox_epoch(box);
	for (i = 1; i <= 6; i++) {
		snprintf(name, sizeof(name), "%llu", (unsigned long long)i);
		take(name, name);
		if (i > 1)
			assert_true(move(i, ENTRY_EV_HANDOUT));
	}
	say((struct word){ 1, 3, BATCH_STORED, "3" });
	say((struct word){ 2, 4, BATCH_CONFLICT, "4" });
	assert_true(move(5, ENTRY_EV_WITHDRAW));
	say((struct word){ 3, 6, BATCH_ANSWERED, "6", "ip" });
	TURN(outbox_renew, "uid 1000");
	assert_false(epoch_is(old));
	/* Who had asked before still reads what it was. */
	assert_memory_equal(before, old, sizeof(old));
	assert_memory_equal(outbox_nonce_key(box), key, sizeof(key));
	history_is(0,
	    "accepted accepted handed-out accepted handed-out accepted "
	    "handed-out accepted handed-out accepted handed-out custody "
	    "refused withdrawn answered renewed");
	for (int again = 0; again < 2; again++) {
		assert_int_equal(counts().resend, 3);
		sendable_is(~0u, 0, false, "1 2 3 ");
		assert_true(entry(3).resend && !entry(4).resend &&
		    !entry(5).resend && !entry(6).resend);
		assert_memory_equal(header_of(1).epoch, old, sizeof(old));
		assert_false(epoch_is(old));
		reopen();
	}
	assert_memory_equal(outbox_nonce_key(box), key, sizeof(key));
	assert_int_equal(peer("ra").seq, 0);
	assert_int_equal(peer("ra").epoch[0], 0);
	assert_int_equal(take("8", "8"), 8);
	assert_true(epoch_is(header_of(8).epoch));
	assert_false(entry(8).resend);
}

static void
handed_out_under_the_new_epoch(void **state)
{
	uint64_t a = take("1", "1"), b = take("2", "2");
	struct digest digest = entry(b).digest;

	(void)state;
	assert_true(move(b, ENTRY_EV_HANDOUT));
	say((struct word){ 1, b, BATCH_STORED, "2" });
	TURN(outbox_renew, "uid 1000");
	assert_true(move(a, ENTRY_EV_HANDOUT));
	state_is(a, ENTRY_INFLIGHT);
	assert_true(epoch_is(header_of(a).epoch));
	sendable_is(~0u, 0, false, "2 ");
	assert_true(move(b, ENTRY_EV_HANDOUT));
	state_is(b, ENTRY_CUSTODY);
	assert_int_equal(entry(b).handouts, 2);
	assert_true(epoch_is(header_of(b).epoch));
	assert_memory_equal(header_of(b).digest.b, digest.b, DIGEST_LEN);
	assert_int_equal(header_of(b).received.time, THEN);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(counts().resend, 0);
		sendable_is(~0u, 0, false, "");
		/* If it was lost on its way, nobody knows it by its new id: so
		 * it is offered until a receipt says otherwise. */
		sendable_is(~0u, 0, true, "1 2 ");
		reopen();
	}
	assert_int_equal(
	    say((struct word){ 1, b, BATCH_DUPLICATE, "2" }).moved, 1);
	assert_false(entry(b).unsure);
	sendable_is(~0u, 0, true, "1 ");
	assert_int_equal(
	    say((struct word){ 2, b, BATCH_DUPLICATE, "2" }).ignored, 1);
	/* Once more. */
	TURN(outbox_renew, "uid 1000");
	sendable_is(~0u, 0, false, "1 2 ");
}

/* What cannot be signed anew must not stand in the way of others. */
static void
octets_lost_meanwhile(void **state)
{
	uint64_t a = take("1", "1"), b = take("2", "2");
	struct outbox_move m = {
		.event = ENTRY_EV_HANDOUT, .ids = { a, b }, .n = 2
	};
	struct buf log AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	TURN(outbox_renew, "uid 1000");
	assert_int_equal(
	    store_submit_wait(box->store, junk_octets_job, &a, &e), 0);
	listen_start();
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	listen_end(&log);
	assert_int_equal(alarms(&log), 1);
	assert_true(!m.moved[0] && m.moved[1]);
	state_is(a, ENTRY_DEAD);
	assert_int_equal(entry(a).handouts, 0);
	sendable_is(~0u, 0, false, "");
}

static int
renew_and_fail(struct store_txn *t, void *arg, struct err *e)
{
	struct outbox_words w;

	(void)arg;
	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	w.renewal++;
	store_new_epoch(t);
	outbox_words_write(t, &w);
	return err_set(e, ERR_LOCAL, "on purpose");
}

static void
not_half_a_renewal(void **state)
{
	uint8_t old[ENTRY_EPOCH_LEN];
	struct err e = ERR_INIT;

	(void)state;
	take("1", "1");
	memcpy(old, outbox_epoch(box), sizeof(old));
	assert_int_equal(
	    store_submit_wait(box->store, renew_and_fail, NULL, &e), -1);
	for (int again = 0; again < 2; again++) {
		assert_true(epoch_is(old));
		assert_int_equal(counts().resend, 0);
		reopen();
	}
}

/* The withdrawal names the epoch under which the entry left. */
static void
given_up_between(void **state)
{
	struct outbox_withdraw w = { .id = 1, .why = "no" };
	uint8_t old[ENTRY_EPOCH_LEN];
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	memcpy(old, outbox_epoch(box), sizeof(old));
	take("1", "1");
	assert_true(move(1, ENTRY_EV_HANDOUT));
	TURN(outbox_renew, "uid 1000");
	assert_int_equal(
	    WAIT_FOR(outbox_withdraw, &w, withdrawn).kind, ERR_NONE);
	assert_int_equal(outbox_octets(box, w.entry, &x, &e), 0);
	assert_non_null(memmem(x.bytes.data, x.bytes.len, old, sizeof(old)));
	outbox_octets_done(&x);
	assert_true(epoch_is(header_of(w.entry).epoch));
	sendable_is(~0u, 0, true, "2 ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(suspended_until_renewed),
		T(what_is_open_is_sent_again),
		T(handed_out_under_the_new_epoch),
		T(octets_lost_meanwhile),
		T(not_half_a_renewal),
		T(given_up_between),
	};

	return outbox_tests(tests, NELEMS(tests));
}
