/* The outbox: what comes in, what is refused, what it supersedes. */
#include "outbox_lab.h"

static void
a_whole_life(void **state)
{
	struct facts facts = { 0 };
	struct outbox_accept a = request("ir", "dev"), c = request("cc", "dev");
	struct outbox_octets x = { 0 };
	struct outbox_entry en;
	struct digest row = a.row;
	struct entry_header h;
	struct err e = ERR_INIT;
	uint64_t id, ids[4];

	(void)state;
	facts_set(&facts, "vendor", FACT_REGISTRAR, "acme");
	a.facts = &facts;
	a.wrapped = text("nested(ir)");
	assert_int_equal(outbox_find(box, &row, &en, &e), 0);
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	id = a.entry.id;
	assert_int_equal(id, 1);
	assert_int_equal(outbox_find(box, &row, &en, &e), 1);
	assert_int_equal(en.id, id);
	assert_string_equal(en.label, "dev");
	h = header_of(id);
	assert_string_equal(h.site, "substation-7");
	assert_memory_equal(h.epoch, outbox_epoch(box), ENTRY_EPOCH_LEN);
	assert_memory_equal(h.digest.b, en.digest.b, DIGEST_LEN);
	assert_int_equal(h.received.time, THEN);
	assert_int_equal(outbox_octets(box, id, &x, &e), 0);
	assert_true(bytes_eq(buf_bytes(&x.bytes), text("ir")));
	assert_true(bytes_eq(buf_bytes(&x.wrapped), text("nested(ir)")));
	assert_string_equal(facts_get(&x.facts, "vendor")->value, "acme");
	outbox_octets_done(&x);

	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 1);
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 0);
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_int_equal(entry(id).handouts, 2);
	assert_string_equal(entry(id).carrier, "link ra");
	answer_is(id, NULL);
	say((struct word){ 1, id, BATCH_STORED, "ir" });
	state_is(id, ENTRY_CUSTODY);
	say((struct word){ 2, id, BATCH_ANSWERED, "ir", "ip" });
	state_is(id, ENTRY_ANSWERED);
	assert_int_equal(entry(id).answer_code, BATCH_ANSWERED);
	answer_is(id, "ip");
	assert_true(move(id, ENTRY_EV_DELIVER));
	c.initial = false;
	c.step = 1;
	c.parent = id;
	c.parent_reason = "accepted by its device";
	assert_int_equal(accept_wait(&c).kind, ERR_NONE);
	state_is(id, ENTRY_CONFIRMED);
	assert_string_equal(entry(id).reason, "accepted by its device");
	assert_int_equal(header_of(c.entry.id).parent, id);
	history_is(
	    id, "accepted handed-out custody answered delivered confirmed");
	assert_int_equal(audit_records(), 7);
	assert_int_equal(counted(ENTRY_CONFIRMED), 1);
	assert_int_equal(counted(ENTRY_QUEUED), 1);
}

static void
the_same_octets_again(void **state)
{
	struct outbox_accept a = request("ir", "dev");
	uint64_t id = take("ir", "dev"), records = audit_records();

	(void)state;
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_true(a.replay);
	assert_int_equal(a.entry.id, id);
	assert_int_equal(a.entry.state, ENTRY_ANSWERED);
	assert_int_equal(audit_records(), records + 1);
	assert_int_equal(counted(ENTRY_QUEUED), 0);
}

static void
other_octets_in_one_transaction(void **state)
{
	struct outbox_accept a = request("ir", "dev");
	uint64_t id = take("ir", "dev");
	struct outbox_octets x = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	a.bytes = text("another ir");
	refuses(&a, ERR_POLICY, 1u << 21);
	assert_int_equal(audit_records(), 1);
	state_is(id, ENTRY_QUEUED);
	assert_int_equal(outbox_octets(box, id, &x, &e), 0);
	assert_true(bytes_eq(buf_bytes(&x.bytes), text("ir")));
	outbox_octets_done(&x);
}

static void
superseded_before_it_left(void **state)
{
	struct outbox_accept a = request("ir2", "dev");
	uint64_t old = take("ir1", "dev"), other = take("ir1'", "dev'");
	struct outbox_entry en;
	char want[64], id[ENTRY_ID_TEXT];

	(void)state;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(a.superseded, old);
	assert_int_equal(a.entry.replaces, old);
	assert_int_equal(header_of(a.entry.id).replaces, 0);
	en = entry(old);
	assert_int_equal(en.state, ENTRY_WITHDRAWN);
	assert_int_equal(en.replaced_by, a.entry.id);
	entry_id_format(id, outbox_epoch(box), a.entry.id);
	snprintf(want, sizeof(want), "superseded by %s", id);
	assert_string_equal(en.reason, want);
	history_is(old, "accepted withdrawn");
	state_is(other, ENTRY_QUEUED);
}

static void
superseded_after_it_left(void **state)
{
	struct outbox_accept a = request("ir2", "dev"), b;
	uint64_t old = take("ir1", "dev");

	(void)state;
	assert_true(move(old, ENTRY_EV_HANDOUT));
	say((struct word){ 1, old, BATCH_STORED, "ir1" });
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(header_of(a.entry.id).replaces, old);
	state_is(old, ENTRY_WITHDRAWN);

	/* The same after a start, when the device is known from the walk. */
	reopen();
	assert_true(move(a.entry.id, ENTRY_EV_HANDOUT));
	b = request("ir3", "dev");
	assert_int_equal(accept_wait(&b).kind, ERR_NONE);
	assert_int_equal(b.superseded, a.entry.id);
	assert_int_equal(header_of(b.entry.id).replaces, a.entry.id);
}

/* A device's own, of one kind, newest first. */
static void
from_newest_to_oldest(void **state)
{
	struct outbox_accept v = request("v", "dev");
	struct digest device = v.device;
	struct outbox_entry en;
	struct err e = ERR_INIT;
	uint64_t one = take("ir1", "dev"), two, three;

	(void)state;
	take("ir1'", "dev'");
	two = take("ir2", "dev");
	v.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&v).kind, ERR_NONE);
	three = take("ir3", "dev");
	assert_int_equal(outbox_newest(box, ENTRY_CMP, &device, &en, &e), 1);
	assert_int_equal(en.id, three);
	assert_int_equal(outbox_older(box, &en, &en, &e), 1);
	assert_int_equal(en.id, two);
	assert_int_equal(outbox_older(box, &en, &en, &e), 1);
	assert_int_equal(en.id, one);
	assert_int_equal(outbox_older(box, &en, &en, &e), 0);
	assert_int_equal(en.id, one);
}

/* The same in memory, where digests are cut short, and another in its row. */
static void
anothers(struct outbox_entry *en)
{
	en->device.b[DIGEST_LEN - 1] ^= 1;
}

static void
devices_that_look_alike(void **state)
{
	struct outbox_accept a = request("ir3", "dev");
	struct digest device = a.device;
	uint64_t one = take("ir1", "dev"), two;
	struct outbox_entry en;
	struct err e = ERR_INIT;

	(void)state;
	two = take("ir2", "dev");
	forge(two, anothers);
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(a.superseded, 0);
	state_is(two, ENTRY_QUEUED);
	assert_int_equal(outbox_newest(box, ENTRY_CMP, &device, &en, &e), 1);
	assert_int_equal(en.id, a.entry.id);
	assert_int_equal(outbox_older(box, &en, &en, &e), 1);
	assert_int_equal(en.id, one);
	assert_int_equal(outbox_older(box, &en, &en, &e), 0);
}

static void
not_superseded(void **state)
{
	struct outbox_accept a = request("ir2", "dev"), v = request("v", "dev");
	struct outbox_accept later = request("ir3", "dev");
	uint64_t old = take("ir1", "dev");

	(void)state;
	say((struct word){ 1, old, BATCH_ANSWERED, "ir1", "ip" });
	a.superseded = 7777;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(a.superseded, 0);
	state_is(old, ENTRY_ANSWERED);
	v.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&v).kind, ERR_NONE);
	assert_int_equal(v.superseded, 0);
	later.initial = false;
	assert_int_equal(accept_wait(&later).kind, ERR_NONE);
	assert_int_equal(later.superseded, 0);
	state_is(a.entry.id, ENTRY_QUEUED);
}

static void
full_store_takes_only_what_finishes(void **state)
{
	struct outbox_accept again = request("ir", "dev");
	struct outbox_accept other = request("ir2", "dev2");
	struct outbox_accept c = request("cc", "dev");
	uint64_t id = take("ir", "dev");

	(void)state;
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	conf.full_percent = 0;
	reopen();
	refuses(&other, ERR_RETRY, 1u << 24);
	assert_int_equal(accept_wait(&again).kind, ERR_NONE);
	assert_true(again.replay);
	c.step = 1;
	c.initial = false;
	c.parent = id;
	assert_int_equal(accept_wait(&c).kind, ERR_NONE);
}

/* DECISIONS 15: in one transaction, or not at all. */
static void
confirmation_moves_its_parent(void **state)
{
	struct outbox_accept c = request("cc", "dev");
	uint64_t id = take("ir", "dev"), ids[4];

	(void)state;
	c.initial = false;
	c.step = 1;
	c.parent = 99;
	refuses(&c, ERR_POLICY, 1u << 2);
	c.parent = id;
	refuses(&c, ERR_POLICY, 1u << 2);
	state_is(id, ENTRY_QUEUED);
	assert_int_equal(audit_records(), 1);
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	assert_int_equal(accept_wait(&c).kind, ERR_NONE);
	state_is(id, ENTRY_CONFIRMED);
	history_is(id, "accepted answered delivered confirmed");
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 1);
	assert_int_equal(ids[0], c.entry.id);
	c = request("cc'", "dev");
	c.initial = false;
	c.step = 1;
	c.parent = id;
	refuses(&c, ERR_POLICY, 1u << 2);
}

/* Peers' text goes through our rows and the signed header. */
static void
text_in_any_code(void **state)
{
	struct facts facts = { 0 };
	struct outbox_accept a = request("ir", "\xff\xfe\n\"dev\"");
	uint64_t id;

	(void)state;
	facts_set(&facts, "idevid.serial", FACT_END_TO_END, "\xc3(");
	a.facts = &facts;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	id = a.entry.id;
	reopen();
	assert_string_equal(entry(id).label, "???\"dev\"");
	assert_string_equal(header_of(id).facts.v[0].value, "?(");
}

/* A voucher that was carried in: nobody is asked, also after a new start. */
static void
what_comes_with_its_answer_never_leaves(void **state)
{
	struct outbox_accept a = request("carried", "dev-1");
	uint64_t ids[4];
	struct err e;

	(void)state;
	a.answer = text("its answer");
	e = accept_wait(&a);
	assert_int_equal(e.kind, ERR_NONE);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(entry(a.entry.id).state, ENTRY_ANSWERED);
		assert_int_equal(entry(a.entry.id).answer_code, BATCH_ANSWERED);
		answer_is(a.entry.id, "its answer");
		assert_int_equal(
		    outbox_sendable(box, ~0u, 0, true, ids, NELEMS(ids)), 0);
		assert_false(move(a.entry.id, ENTRY_EV_HANDOUT));
		reopen();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_whole_life),
		T(the_same_octets_again),
		T(other_octets_in_one_transaction),
		T(superseded_before_it_left),
		T(superseded_after_it_left),
		T(from_newest_to_oldest),
		T(devices_that_look_alike),
		T(not_superseded),
		T(full_store_takes_only_what_finishes),
		T(confirmation_moves_its_parent),
		T(text_in_any_code),
		T(what_comes_with_its_answer_never_leaves),
	};

	return outbox_tests(tests, NELEMS(tests));
}
