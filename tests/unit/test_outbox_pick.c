/* The outbox: what memory tells of entries without their rows. */
#include "outbox_damage.h"

static uint64_t
take_kind(const char *name, enum entry_kind kind, bool initial)
{
	struct outbox_accept a = request(name, name);

	a.kind = kind;
	a.initial = initial;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	return a.entry.id;
}

static uint64_t
take_step(const char *name, uint64_t parent)
{
	struct outbox_accept a = request(name, name);

	a.step = 1;
	a.initial = false;
	a.parent = parent;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	return a.entry.id;
}

/* Two of each class, in the wrong order. */
static void
classes(void **state)
{
	struct outbox_withdraw w = { 0 };
	struct outbox_checkpoint c = { 0 };

	(void)state;
	w.id = take("1", "1");
	assert_true(move(w.id, ENTRY_EV_HANDOUT));
	take_kind("2", ENTRY_TELEMETRY, false);
	take_kind("3", ENTRY_CMP, true);
	take_kind("4", ENTRY_VOUCHER, true);
	take_kind("5", ENTRY_CMP, false);
	take_kind("6", ENTRY_CMP, true);
	assert_int_equal(
	    WAIT_FOR(outbox_checkpoint, &c, checked).kind, ERR_NONE);
	assert_int_equal(c.id, 7);
	take_kind("8", ENTRY_VOUCHER, true);
	take_kind("9", ENTRY_CMP, false);
	assert_int_equal(
	    WAIT_FOR(outbox_withdraw, &w, withdrawn).kind, ERR_NONE);
	assert_int_equal(w.entry, 10);
	say((struct word){ 1, 3, BATCH_ANSWERED, "3", "ip" }); /* 11 */
	assert_int_equal(take_step("cc", 3), 12);
	for (int again = 0; again < 2; again++) {
		sendable_is(~0u, 0, false, "10 12 5 9 4 8 6 2 7 ");
		sendable_is(1u << ENTRY_CMP, 0, false, "10 12 5 9 6 ");
		sendable_is(1u << ENTRY_VOUCHER, 0, false, "4 8 ");
		sendable_is(1u << ENTRY_TELEMETRY | 1u << ENTRY_AUDIT, 0, false,
		    "2 7 ");
		/* From behind any of them. */
		sendable_is(~0u, 10, false, "12 5 9 4 8 6 2 7 ");
		sendable_is(~0u, 9, false, "4 8 6 2 7 ");
		sendable_is(~0u, 4, false, "8 6 2 7 ");
		sendable_is(~0u, 7, false, "");
		sendable_is(1u << ENTRY_VOUCHER, 5, false, "4 8 ");
		sendable_is(~0u, 11, false, "10 12 5 9 4 8 6 2 7 ");
		reopen();
	}
	/* From behind one that has left meanwhile, or ended. */
	assert_true(move(5, ENTRY_EV_HANDOUT));
	sendable_is(~0u, 5, false, "9 4 8 6 2 7 ");
	sendable_is(~0u, 0, true, "10 12 5 9 4 8 6 2 7 ");
	assert_true(move(9, ENTRY_EV_WITHDRAW));
	sendable_is(~0u, 9, true, "4 8 6 2 7 ");
}

/* A window is filled across classes, and the rest comes next. */
static void
a_window_at_a_time(void **state)
{
	uint64_t ids[64], seen[12], after = 0;
	size_t n, i, all = 0;

	(void)state;
	for (i = 0; i < 4; i++) {
		char a[8], b[8], c[8];

		snprintf(a, sizeof(a), "a%zu", i);
		snprintf(b, sizeof(b), "b%zu", i);
		snprintf(c, sizeof(c), "c%zu", i);
		take_kind(a, ENTRY_CMP, true);
		take_kind(b, ENTRY_VOUCHER, true);
		take_kind(c, ENTRY_CMP, false);
	}
	while ((n = outbox_sendable(box, ~0u, after, false, ids, 5)) > 0) {
		assert_true(all + n <= NELEMS(seen));
		for (i = 0; i < n; i++)
			seen[all++] = ids[i];
		after = ids[n - 1];
	}
	assert_int_equal(all, 12);
	for (i = 0; i < 12; i++)
		assert_int_equal(seen[i], (i % 4) * 3 + 3 - i / 4);
}

/* Its parent has no answer any more, and that only damage can do. */
static void
a_step_waits_for_its_parent(void **state)
{
	uint64_t id = take("ir", "dev"), step;
	struct outbox_move m = { .event = ENTRY_EV_HANDOUT, .n = 1 };
	struct err e = ERR_INIT;

	(void)state;
	say((struct word){ 1, id, BATCH_ANSWERED, "ir", "ip" });
	step = take_step("cc", id);
	sendable_is(~0u, 0, false, "3 ");
	assert_int_equal(step, 3);
	assert_int_equal(store_submit_wait(box->store, junk_job, &id, &e), 0);
	m.ids[0] = id;
	assert_int_equal(move_wait(&m).kind, ERR_NONE);
	state_is(id, ENTRY_DEAD);
	sendable_is(~0u, 0, false, "");
}

/* ---- lists ------------------------------------------------------------- */

static void
select_is(const struct outbox_filter *f, const char *want)
{
	struct buf got AUTO_BUF = { 0 };
	uint64_t next = 7777;
	struct err e = ERR_INIT;

	assert_int_equal(
	    outbox_select(box, f, 0, 99, list_add, &got, &next, &e), 0);
	assert_string_equal(buf_cstr(&got), want);
	assert_int_equal(next, 0);
}

static void
two_days_old(struct outbox_entry *en)
{
	en->received.time -= 172800;
}

static void
what_matches(void **state)
{
	(void)state;
	take("1", "dev1");
	take("2", "dev2");
	take_kind("3", ENTRY_VOUCHER, true);
	take("4", "dev4");
	take("5", "dev1"); /* 1 is withdrawn */
	forge(2, two_days_old);
	assert_true(move(4, ENTRY_EV_HANDOUT));
	assert_true(hold(2, true));
	for (int again = 0; again < 2; again++) {
		select_is(&(struct outbox_filter){ 0 },
		    "1:withdrawn 2:queued 3:queued 4:in-flight 5:queued ");
		select_is(
		    &(struct outbox_filter){ .states = 1u << ENTRY_QUEUED },
		    "2:queued 3:queued 5:queued ");
		select_is(&(struct outbox_filter){ .states = 1u << ENTRY_QUEUED,
			      .kinds = 1u << ENTRY_CMP },
		    "2:queued 5:queued ");
		select_is(&(struct outbox_filter){ .older = THEN - 86400 },
		    "2:queued ");
		select_is(&(struct outbox_filter){ .label = "dev1" },
		    "1:withdrawn 5:queued ");
		select_is(&(struct outbox_filter){ .label = "dev9" }, "");
		select_is(&(struct outbox_filter){ .held = true }, "2:queued ");
		select_is(
		    &(struct outbox_filter){ .left = true }, "4:in-flight ");
		select_is(&(struct outbox_filter){ .late = true }, "");
		select_is(
		    &(struct outbox_filter){ .states = 1u << ENTRY_DEAD }, "");
		reopen();
	}
	assert_true(move(4, ENTRY_EV_WITHDRAW));
	say((struct word){ 1, 4, BATCH_ANSWERED, "4", "ip" });
	select_is(&(struct outbox_filter){ .late = true }, "4:withdrawn ");
	select_is(&(struct outbox_filter){ .left = true }, "4:withdrawn ");
}

/* Those that share a hash are told apart by their rows. */
static void
labels_that_look_alike(void **state)
{
	/* Known to collide in FNV-1a. */
	static const char *const twins[] = { "costarring", "liquid" };
	struct buf got AUTO_BUF = { 0 };

	(void)state;
	assert_int_equal(label_hash(twins[0]), label_hash(twins[1]));
	take("1", twins[0]);
	take("2", twins[1]);
	select_is(&(struct outbox_filter){ .label = twins[0] }, "1:queued ");
	select_is(&(struct outbox_filter){ .label = twins[1] }, "2:queued ");
}

static void
page_after_page(void **state)
{
	struct outbox_filter f = { .states = 1u << ENTRY_QUEUED };
	uint64_t next = 0, pages = 0;
	struct err e = ERR_INIT;
	struct buf got AUTO_BUF = { 0 };
	char name[16];
	int i;

	(void)state;
	conf.per_device_hour = 0;
	reopen();
	for (i = 1; i <= 200; i++) {
		snprintf(name, sizeof(name), "%d", i);
		take(name, name);
		if (i % 2 == 0)
			assert_true(move((uint64_t)i, ENTRY_EV_WITHDRAW));
	}
	do {
		buf_reset(&got);
		assert_int_equal(
		    outbox_select(box, &f, next, 30, list_add, &got, &next, &e),
		    0);
		snprintf(name, sizeof(name), "%d:", (int)pages * 60 + 1);
		assert_true(str_starts(buf_cstr(&got), name));
		pages++;
	} while (next != 0);
	assert_int_equal(pages, 4);
	assert_non_null(strstr(buf_cstr(&got), " 199:queued "));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(classes),
		T(a_window_at_a_time),
		T(a_step_waits_for_its_parent),
		T(what_matches),
		T(labels_that_look_alike),
		T(page_after_page),
	};

	return outbox_tests(tests, NELEMS(tests));
}
