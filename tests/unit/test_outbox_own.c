/* The outbox: what is asked on our own account, and what services say of it. */
#include "common/base/cbor.h"
#include "outbox_damage.h"

static struct outbox_withdraw
give_up(uint64_t id, const char *answer)
{
	struct outbox_withdraw w = { .id = id,
		.who = "uid 1000",
		.why = "a wrong device",
		.answer = text(answer) };

	assert_int_equal(
	    WAIT_FOR(outbox_withdraw, &w, withdrawn).kind, ERR_NONE);
	return w;
}

static struct bytes
octets_of(uint64_t id, struct outbox_octets *x)
{
	struct err e = ERR_INIT;

	assert_int_equal(outbox_octets(box, id, x, &e), 0);
	return buf_bytes(&x->bytes);
}

/* An item about an entry of ours, whose octets have no name. */
static struct outbox_batch
say_own(uint64_t seq, uint64_t id, enum batch_code code, const char *done)
{
	struct buf answer AUTO_BUF = { 0 };
	struct batch_item item = { .id = id, .code = code };
	struct batch batch = { .service = "ra", .seq = seq, .n = 1 };
	struct bytes octets;
	struct outbox_batch b = { .batch = &batch, .answers = &octets };

	if (done != NULL) {
		cbor_write_array(&answer, 2);
		cbor_write_text(&answer, "waybill-done/1");
		cbor_write_text(&answer, done);
		item.has_answer = true;
		item.answer = digest_of(answer.data, answer.len);
	}
	octets = buf_bytes(&answer);
	item.digest = entry(id).digest;
	batch.items = &item;
	assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	return b;
}

/* ---- withdraw ---------------------------------------------------------- */

static void
withdrawn_before_it_left(void **state)
{
	uint64_t id = take("ir", "dev");
	struct outbox_withdraw w = give_up(id, "no");

	(void)state;
	assert_true(w.withdrawn);
	assert_int_equal(w.entry, 0);
	state_is(id, ENTRY_WITHDRAWN);
	assert_string_equal(entry(id).reason, "a wrong device");
	answer_is(id, "no");
	sendable_is(~0u, 0, true, "");
	history_is(id, "accepted withdrawn");
	w = give_up(id, "no");
	assert_false(w.withdrawn);
	w = give_up(99, "no");
	assert_false(w.withdrawn);
}

static void
check_octets(uint64_t of, uint64_t by)
{
	struct digest of_digest = entry(of).digest, digest;
	uint8_t epoch[ENTRY_EPOCH_LEN];
	struct outbox_octets x = { 0 };
	char label[32], why[160];
	struct cbor_in in;
	struct err e;

	cbor_read_init(&in, octets_of(by, &x), "withdrawal");
	cbor_read_array(&in, 5);
	cbor_read_text(&in, label, sizeof(label));
	assert_string_equal(label, "waybill-withdraw/1");
	cbor_read_fixed(&in, epoch, sizeof(epoch));
	assert_memory_equal(epoch, outbox_epoch(box), sizeof(epoch));
	assert_int_equal(cbor_read_uint(&in, UINT64_MAX), of);
	cbor_read_fixed(&in, digest.b, DIGEST_LEN);
	assert_memory_equal(&digest, &of_digest, sizeof(digest));
	cbor_read_text(&in, why, sizeof(why));
	assert_string_equal(why, "a wrong device");
	assert_int_equal(cbor_read_end(&in, &e), 0);
	outbox_octets_done(&x);
}

static void
withdrawn_after_it_left(void **state)
{
	struct outbox_accept v = request("v", "dev");
	uint64_t id = take("ir", "dev");
	struct outbox_withdraw w;
	char want[32];

	(void)state;
	assert_true(move(id, ENTRY_EV_HANDOUT));
	v.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&v).kind, ERR_NONE);
	w = give_up(id, "no");
	assert_true(w.withdrawn);
	assert_int_not_equal(w.entry, 0);
	state_is(id, ENTRY_WITHDRAWN);
	assert_int_equal(entry(w.entry).kind, ENTRY_WITHDRAW);
	assert_int_equal(entry(w.entry).state, ENTRY_QUEUED);
	assert_string_equal(entry(w.entry).label, "dev");
	assert_int_equal(header_of(w.entry).parent, id);
	assert_int_equal(header_of(w.entry).step, 0);
	check_octets(id, w.entry);
	for (int again = 0; again < 2; again++) {
		/* To the services of its kind, before all else. */
		snprintf(want, sizeof(want), "%llu %llu ",
		    (unsigned long long)w.entry,
		    (unsigned long long)v.entry.id);
		sendable_is(~0u, 0, true, want);
		snprintf(
		    want, sizeof(want), "%llu ", (unsigned long long)w.entry);
		sendable_is(1u << ENTRY_CMP, 0, true, want);
		sendable_is(1u << ENTRY_WITHDRAW, 0, true, "");
		reopen();
	}
	/* It is no request of a device. */
	assert_int_equal(counts().open, 1);
	assert_false(give_up(w.entry, "").withdrawn);
}

static void
what_can_be_withdrawn(void **state)
{
	static const struct {
		enum batch_code code;
		bool deliver, want;
	} cases[] = {
		{ BATCH_STORED, false, true },
		{ BATCH_ANSWERED, false, true },
		{ BATCH_ANSWERED, true, false },
		{ BATCH_CONFLICT, false, false },
	};
	struct outbox_withdraw w;
	char name[8];
	uint64_t id;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		id = take(name, name);
		assert_true(move(id, ENTRY_EV_HANDOUT));
		say((struct word){ i + 1, id, cases[i].code, name,
		    cases[i].code == BATCH_ANSWERED ? "ip" : NULL });
		if (cases[i].deliver)
			assert_true(move(id, ENTRY_EV_DELIVER));
		w = give_up(id, "no");
		assert_int_equal(w.withdrawn, cases[i].want);
		assert_int_equal(w.entry != 0, cases[i].want);
		assert_int_equal(
		    entry(id).state == ENTRY_WITHDRAWN, cases[i].want);
	}
}

/* To who was asked for the voucher, not to who issues certificates. */
static void
a_voucher_is_withdrawn(void **state)
{
	struct outbox_accept v = request("v", "dev");

	(void)state;
	v.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&v).kind, ERR_NONE);
	assert_true(move(1, ENTRY_EV_HANDOUT));
	assert_int_equal(give_up(1, "no").entry, 3);
	for (int again = 0; again < 2; again++) {
		sendable_is(1u << ENTRY_VOUCHER, 0, true, "3 ");
		sendable_is(1u << ENTRY_CMP, 0, true, "");
		reopen();
	}
}

/* A voucher that was carried in: no service ever heard of it. */
static void
nobody_to_be_told(void **state)
{
	struct outbox_accept a = request("v", "dev");
	struct outbox_withdraw w;

	(void)state;
	a.kind = ENTRY_VOUCHER;
	a.answer = text("a voucher");
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	w = give_up(a.entry.id, "no");
	assert_true(w.withdrawn);
	assert_int_equal(w.entry, 0);
	answer_is(a.entry.id, "no");
}

/* What the service did first comes late, and stays here. */
static void
late_answer_of_a_withdrawn_one(void **state)
{
	uint64_t id = take("ir", "dev");

	(void)state;
	assert_true(move(id, ENTRY_EV_HANDOUT));
	give_up(id, "no");
	assert_int_equal(
	    say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" }).moved, 1);
	answer_is(id, "no");
	late_is(id, "ip");
	assert_int_equal(counts().late, 1);
	assert_false(move(id, ENTRY_EV_DELIVER));
	reopen();
	answer_is(id, "no");
	late_is(id, "ip");
}

/* A receipt is enough; what was done may be told then, or with it. */
static void
done_at_once(void **state)
{
	static const struct {
		enum batch_code code[2];
		const char *text[2], *reason;
		const char *history;
	} cases[] = {
		{ { BATCH_STORED }, { NULL }, "",
		    "accepted handed-out confirmed" },
		{ { BATCH_DUPLICATE, BATCH_ANSWERED }, { NULL, "never issued" },
		    "never issued", "accepted handed-out confirmed answered" },
		{ { BATCH_ANSWERED, BATCH_STORED }, { "revoked", NULL },
		    "revoked", "accepted handed-out confirmed" },
		{ { BATCH_ANSWERED, BATCH_ANSWERED }, { "revoked", "revoked" },
		    "revoked", "accepted handed-out confirmed" },
	};
	uint64_t seq = 0, id, by;
	char name[8];
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		id = take(name, name);
		assert_true(move(id, ENTRY_EV_HANDOUT));
		by = give_up(id, "no").entry;
		assert_true(move(by, ENTRY_EV_HANDOUT));
		for (k = 0; k < 2 && cases[i].code[k] != 0; k++)
			assert_int_equal(say_own(++seq, by, cases[i].code[k],
					     cases[i].text[k])
					     .alarms,
			    0);
		state_is(by, ENTRY_CONFIRMED);
		assert_string_equal(entry(by).reason, cases[i].reason);
		history_is(by, cases[i].history);
		answer_is(by, NULL);
		sendable_is(~0u, 0, true, "");
	}
	/* A refusal ends it as any other. */
	id = take("ir", "dev");
	assert_true(move(id, ENTRY_EV_HANDOUT));
	by = give_up(id, "no").entry;
	assert_true(move(by, ENTRY_EV_HANDOUT));
	say_own(++seq, by, BATCH_BAD_SCHEMA, NULL);
	state_is(by, ENTRY_REFUSED);
}

/* ---- checkpoints ------------------------------------------------------- */

static uint64_t
checkpoint(void)
{
	struct outbox_checkpoint c = { .id = 7777 };

	assert_int_equal(
	    WAIT_FOR(outbox_checkpoint, &c, checked).kind, ERR_NONE);
	return c.id;
}

static void
checkpoint_when_there_is_news(void **state)
{
	struct store_audit head;
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;
	struct digest hash;
	char label[32];
	struct cbor_in in;
	uint64_t a, b;

	(void)state;
	assert_int_equal(checkpoint(), 0); /* an empty trail */
	take("ir", "dev");
	assert_int_equal(outbox_audit_head(box, &head, &e), 0);
	assert_int_equal(head.seq, 1);
	a = checkpoint();
	assert_int_equal(entry(a).kind, ENTRY_AUDIT);
	assert_int_equal(header_of(a).parent, 0);
	assert_memory_equal(header_of(a).audit.b, head.hash.b, DIGEST_LEN);
	cbor_read_init(&in, octets_of(a, &x), "checkpoint");
	cbor_read_array(&in, 4);
	cbor_read_text(&in, label, sizeof(label));
	assert_string_equal(label, "waybill-checkpoint/1");
	assert_int_equal(cbor_read_uint(&in, UINT64_MAX), 1);
	cbor_read_fixed(&in, hash.b, DIGEST_LEN);
	assert_memory_equal(&hash, &head.hash, sizeof(hash));
	cbor_read_uint(&in, UINT64_MAX);
	assert_int_equal(cbor_read_end(&in, &e), 0);
	outbox_octets_done(&x);
	/* Its own records are no news. */
	assert_int_equal(checkpoint(), 0);
	take("ir'", "dev'");
	b = checkpoint();
	assert_true(b > a);
	/* Of the one that never left nobody will hear. */
	state_is(a, ENTRY_WITHDRAWN);
	sendable_is(1u << ENTRY_AUDIT, 0, true, "4 ");
	assert_int_equal(b, 4);
	assert_true(move(b, ENTRY_EV_HANDOUT));
	say_own(1, b, BATCH_STORED, NULL);
	state_is(b, ENTRY_CONFIRMED);
	assert_int_equal(checkpoint(), 0);
}

/* ---- countersigned heads ----------------------------------------------- */

static struct outbox_batch
seen(uint64_t seq, uint64_t id, const struct digest *head, uint64_t time)
{
	struct batch_item item = {
		.id = id, .code = BATCH_STORED, .digest = entry(id).digest
	};
	struct batch batch = {
		.service = "ra", .seq = seq, .n = 1, .time = time
	};
	struct bytes none = { NULL, 0 };
	struct outbox_batch b = { .batch = &batch, .answers = &none };

	batch.items = &item;
	batch.audit_seen = *head;
	assert_int_equal(batch_wait(&b).kind, ERR_NONE);
	return b;
}

static struct store_audit
head_now(void)
{
	struct store_audit head = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(outbox_audit_head(box, &head, &e), 0);
	return head;
}

static void
a_head_is_countersigned(void **state)
{
	uint64_t id = take("1", "dev1");
	struct store_audit one = head_now(), two;
	struct digest none = { 0 }, other = digest_text("another chain");
	struct buf log AUTO_BUF = { 0 };

	(void)state;
	take("2", "dev2");
	two = head_now();
	assert_int_equal(seen(1, id, &none, 0).alarms, 0);
	assert_int_equal(peer("ra").seen.seq, 0);
	assert_int_equal(seen(2, id, &two.hash, 0).alarms, 0);
	assert_int_equal(peer("ra").seen.seq, two.seq);
	/* An older one is no news, and no harm. */
	assert_int_equal(seen(3, id, &one.hash, 0).alarms, 0);
	assert_int_equal(peer("ra").seen.seq, two.seq);
	listen_start();
	assert_int_equal(seen(4, id, &other, 0).alarms, 1);
	listen_end(&log);
	assert_non_null(strstr((char *)log.data, "event=audit.forked"));
	assert_int_equal(peer("ra").seen.seq, two.seq);
	reopen();
	assert_memory_equal(
	    peer("ra").seen.hash.b, two.hash.b, sizeof(two.hash.b));
	/* Heads of before the start are known as well. */
	two = head_now();
	assert_int_equal(seen(5, id, &two.hash, 0).alarms, 0);
	assert_int_equal(peer("ra").seen.seq, two.seq);
	/* It has seen all there is to tell. */
	assert_int_equal(checkpoint(), 0);
	take("3", "dev3");
	assert_int_not_equal(checkpoint(), 0);
}

static int
note_job(struct store_txn *t, void *arg, struct err *e)
{
	unsigned *n = arg, i;

	for (i = 0; i < *n; i++)
		if (outbox_audit(box, t, 0, ENTRY_CMP, "noted", NULL, "", e) ==
		    -1)
			return -1;
	return 0;
}

/* Longer than what is in memory: the old ones are read again, a few at once. */
static void
a_head_of_long_ago(void **state)
{
	struct digest other = digest_text("another chain");
	unsigned many = TRAIL_RING + 10;
	struct store_audit one;
	struct err e = ERR_INIT;
	uint64_t id;

	(void)state;
	conf.store.map_size = 8 * MAP;
	reopen();
	id = take("1", "dev1");
	one = head_now();
	assert_int_equal(store_submit_wait(box->store, note_job, &many, &e), 0);
	assert_int_equal(seen(1, id, &one.hash, 0).alarms, 0);
	assert_int_equal(peer("ra").seen.seq, one.seq);
	assert_int_equal(seen(2, id, &other, 0).alarms, 1);
	/* What lies between is too much to be read: nobody knows. */
	assert_int_equal(store_submit_wait(box->store, note_job, &many, &e), 0);
	assert_int_equal(seen(3, id, &other, 0).alarms, 0);
	reopen();
	assert_int_equal(seen(4, id, &other, 0).alarms, 0);
	one = head_now();
	assert_int_equal(seen(5, id, &one.hash, 0).alarms, 0);
	assert_int_equal(peer("ra").seen.seq, one.seq);
}

/* ---- time --------------------------------------------------------------- */

static void
a_signed_time_is_kept(void **state)
{
	uint64_t id = take("1", "dev1"), time = clock_now().time;
	struct digest none = { 0 }, before, after;

	(void)state;
	assert_int_equal(outbox_floor(box), 0);
	seen(1, id, &none, time);
	assert_int_equal(outbox_floor(box), time);
	/* Not each minute is worth a commit. */
	before = file_digest();
	seen(1, id, &none, time + 3599);
	after = file_digest();
	assert_memory_equal(&before, &after, sizeof(after));
	assert_int_equal(outbox_floor(box), time);
	seen(2, id, &none, time + 3600);
	reopen();
	assert_int_equal(outbox_floor(box), time + 3600);
	assert_true(clock_floor() >= time + 3600 - 86400);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(withdrawn_before_it_left),
		T(withdrawn_after_it_left),
		T(what_can_be_withdrawn),
		T(a_voucher_is_withdrawn),
		T(nobody_to_be_told),
		T(late_answer_of_a_withdrawn_one),
		T(done_at_once),
		T(checkpoint_when_there_is_news),
		T(a_head_is_countersigned),
		T(a_head_of_long_ago),
		T(a_signed_time_is_kept),
	};

	return outbox_tests(tests, NELEMS(tests));
}
