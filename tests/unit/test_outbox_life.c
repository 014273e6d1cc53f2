/* The outbox: what is in memory, told, and found again. */
#include "outbox_lab.h"

static void
sendable_in_order_and_filtered(void **state)
{
	struct outbox_accept v = request("v", "dev4");
	uint64_t a = take("1", "dev1"), b = take("2", "dev2");
	uint64_t c = take("3", "dev3"), ids[4] = { 0 };

	(void)state;
	v.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&v).kind, ERR_NONE);
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 4);
	/* A voucher goes before new enrolments. */
	assert_true(
	    ids[0] == v.entry.id && ids[1] == a && ids[2] == b && ids[3] == c);
	assert_int_equal(outbox_sendable(box, ~0u, a, false, ids, 2), 2);
	assert_true(ids[0] == b && ids[1] == c);
	assert_int_equal(
	    outbox_sendable(box, ~0u, v.entry.id, false, ids, 1), 1);
	assert_int_equal(ids[0], a);
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_VOUCHER, 0, false, ids, 4), 1);
	assert_int_equal(ids[0], v.entry.id);
	assert_true(move(a, ENTRY_EV_HANDOUT));
	assert_true(hold(b, true));
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_CMP, 0, false, ids, 4), 1);
	assert_int_equal(ids[0], c);
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_CMP, 0, true, ids, 4), 2);
	assert_true(ids[0] == a && ids[1] == c);
	reopen();
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_CMP, 0, true, ids, 4), 2);
	assert_true(ids[0] == a && ids[1] == c);
	say((struct word){ 1, a, BATCH_STORED, "1" });
	assert_int_equal(
	    outbox_sendable(box, 1u << ENTRY_CMP, 0, true, ids, 4), 1);
	assert_int_equal(ids[0], c);
}

static void
lists_pages(void **state)
{
	struct buf got AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	char name[16];
	int i;

	(void)state;
	for (i = 1; i <= 3; i++) {
		snprintf(name, sizeof(name), "%d", i);
		take(name, name);
	}
	say((struct word){ 1, 2, BATCH_ANSWERED, "2", "ip" }); /* takes id 4 */
	take("5", "5");
	assert_int_equal(outbox_list(box, 0, 99, list_add, &got, &e), 0);
	assert_string_equal(
	    buf_cstr(&got), "1:queued 2:answered 3:queued 5:queued ");
	buf_reset(&got);
	assert_int_equal(outbox_list(box, 2, 2, list_add, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), "2:answered 3:queued ");
	for (i = 6; i < 90; i++) {
		snprintf(name, sizeof(name), "%d", i);
		take(name, name);
	}
	buf_reset(&got);
	assert_int_equal(outbox_list(box, 88, 1000, list_add, &got, &e), 0);
	assert_string_equal(buf_cstr(&got), "88:queued 89:queued ");
	buf_reset(&got);
	assert_int_equal(outbox_list(box, 0, 70, list_add, &got, &e), 0);
	assert_non_null(strstr(buf_cstr(&got), " 71:queued "));
	assert_null(strstr(buf_cstr(&got), " 72:queued "));
}

static void
start_finds_everything_again(void **state)
{
	uint64_t a = take("1", "dev1"), b = take("2", "dev2");
	struct outbox_counts before, after;
	struct outbox_entry en;
	struct digest row = digest_text("2");
	struct err e = ERR_INIT;

	(void)state;
	assert_true(move(a, ENTRY_EV_HANDOUT));
	say((struct word){ 1, b, BATCH_ANSWERED, "2", "ip" });
	assert_true(hold(take("3", "dev3"), true));
	outbox_count(box, &before);
	assert_int_equal(before.by_state[ENTRY_INFLIGHT], 1);
	assert_int_equal(before.by_state[ENTRY_ANSWERED], 1);
	assert_int_equal(before.by_state[ENTRY_QUEUED], 1);
	assert_int_equal(before.held, 1);
	reopen();
	outbox_count(box, &after);
	assert_memory_equal(
	    before.by_state, after.by_state, sizeof(after.by_state));
	assert_int_equal(after.held, 1);
	assert_int_equal(outbox_find(box, &row, &en, &e), 1);
	assert_int_equal(en.id, b);
	answer_is(b, "ip");
	assert_int_equal(take("4", "dev4"), 5);
}

struct watched {
	unsigned n;
	uint64_t id;
	enum entry_state told, stored;
};

/* Runs in the committer, at once: what it reads must be committed. */
static void
at_once(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static void
see(void *arg, uint64_t id, const struct digest *row, enum entry_state s)
{
	struct watched *w = arg;
	struct outbox_entry en = { 0 };
	struct err e;

	w->n++;
	w->id = id;
	w->told = s;
	if (outbox_find(box, row, &en, &e) == 1)
		w->stored = en.state;
}

static void
watchers_hear_after_the_commit(void **state)
{
	struct watched w = { 0 };
	struct err e = ERR_INIT;
	uint64_t id;

	(void)state;
	outbox_watch(box, see, &w, (struct post){ at_once });
	id = take("ir", "dev");
	assert_int_equal(w.n, 1);
	assert_int_equal(w.id, id);
	assert_int_equal(w.told, ENTRY_QUEUED);
	assert_int_equal(w.stored, ENTRY_QUEUED);
	assert_true(move(id, ENTRY_EV_HANDOUT));
	assert_int_equal(w.n, 2);
	assert_int_equal(w.stored, ENTRY_INFLIGHT);
	assert_true(move(id, ENTRY_EV_HANDOUT)); /* no other state */
	assert_int_equal(w.n, 2);
	assert_int_equal(
	    store_submit_wait(box->store, failing_job, &id, &e), -1);
	assert_int_equal(w.n, 2);
	take("ir2", "dev"); /* withdraws the first */
	assert_int_equal(w.n, 4);
}

static void
what_failed_leaves_no_trace(void **state)
{
	uint64_t id = take("ir", "dev"), ids[4];
	struct outbox_accept a = request("ir2", "dev");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
	    store_submit_wait(box->store, failing_job, &id, &e), -1);
	assert_string_equal(e.msg, "on purpose");
	assert_int_equal(counted(ENTRY_WITHDRAWN), 0);
	assert_int_equal(counted(ENTRY_QUEUED), 1);
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 4), 1);
	assert_int_equal(ids[0], id);
	assert_int_equal(audit_records(), 1);
	/* The device's newest is the first one again. */
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
	assert_int_equal(a.superseded, id);
	assert_int_equal(a.entry.id, id + 1);
}

/* Accepted and a second job in one transaction, which then stands still. */
static void
nothing_is_seen_before_the_commit(void **state)
{
	struct gate first = GATE, second = GATE;
	struct outbox_accept a = request("ir", "dev");
	struct buf got AUTO_BUF = { 0 };
	struct post none = { 0 };
	struct result r = { 0 };
	struct err e = ERR_INIT;
	uint64_t ids[4], queued;
	struct inbox in;
	size_t sendable;
	int rc;

	(void)state;
	inbox_init(&in);
	a.user = &r;
	store_submit(box->store, gate_job, NULL, &first, none);
	gate_reached(&first);
	outbox_accept(box, &a, accepted, (struct post){ inbox_post, &in });
	store_submit(box->store, gate_job, NULL, &second, none);
	gate_open(&first);
	gate_reached(&second);
	sendable = outbox_sendable(box, ~0u, 0, true, ids, 4);
	queued = counted(ENTRY_QUEUED);
	rc = outbox_list(box, 0, 9, list_add, &got, &e);
	gate_open(&second);
	inbox_run(&in);
	inbox_done(&in);
	assert_int_equal(a.entry.id, 1);
	assert_int_equal(sendable, 0);
	assert_int_equal(queued, 0);
	assert_int_equal(rc, 0);
	assert_int_equal(got.len, 0);
	assert_int_equal(outbox_sendable(box, ~0u, 0, true, ids, 4), 1);
	assert_int_equal(counted(ENTRY_QUEUED), 1);
}

/* Accepts that share a transaction with a job that fails run twice. */
static void
neighbours_of_a_failure(void **state)
{
	struct gate g = GATE;
	struct outbox_accept a[100];
	struct result r[100] = { 0 };
	uint64_t first = take("ir", "another");
	char names[100][16];
	struct inbox in;
	size_t i;

	(void)state;
	inbox_init(&in);
	store_submit(box->store, gate_job, NULL, &g, (struct post){ 0 });
	for (i = 0; i < NELEMS(a); i++) {
		snprintf(names[i], sizeof(names[i]), "%zu", i);
		a[i] = request(names[i], i % 2 == 0 ? "dev" : names[i]);
		a[i].received.time += i * 3600;
		a[i].user = &r[i];
		if (i == 70)
			store_submit(box->store, failing_job, NULL, &first,
			    (struct post){ 0 });
		outbox_accept(
		    box, &a[i], accepted, (struct post){ inbox_post, &in });
	}
	gate_open(&g);
	for (i = 0; i < NELEMS(a); i++)
		inbox_run(&in);
	inbox_done(&in);
	for (i = 0; i < NELEMS(a); i++) {
		assert_true(r[i].over);
		assert_int_equal(r[i].e.kind, ERR_NONE);
		assert_int_equal(a[i].entry.id, first + 1 + i);
	}
	assert_int_equal(counted(ENTRY_QUEUED), 52);
	assert_int_equal(counted(ENTRY_WITHDRAWN), 49);
	assert_int_equal(audit_records(), 150);
	reopen();
	assert_int_equal(counted(ENTRY_QUEUED), 52);
}

#define THREADS 8
#define EACH	4

struct crowd {
	unsigned n;
	uint64_t ids[EACH];
};

static void *
crowd_run(void *arg)
{
	struct crowd *c = arg;
	struct outbox_accept a[EACH];
	struct result r[EACH] = { 0 };
	char names[EACH][32];
	struct outbox_counts counts;
	uint64_t ids[8];
	struct inbox in;
	int i;

	inbox_init(&in);
	for (i = 0; i < EACH; i++) {
		snprintf(names[i], sizeof(names[i]), "%u/%d", c->n, i);
		a[i] = request(names[i], names[i]);
		a[i].user = &r[i];
		outbox_accept(
		    box, &a[i], accepted, (struct post){ inbox_post, &in });
		outbox_count(box, &counts);
		outbox_sendable(box, ~0u, 0, true, ids, NELEMS(ids));
	}
	for (i = 0; i < EACH; i++)
		inbox_run(&in);
	for (i = 0; i < EACH; i++)
		c->ids[i] =
		    r[i].over && r[i].e.kind == ERR_NONE ? a[i].entry.id : 0;
	return NULL;
}

static void
many_at_once(void **state)
{
	bool seen[THREADS * EACH + 1] = { false };
	uint64_t ids[THREADS * EACH + 1];
	pthread_t threads[THREADS];
	struct crowd c[THREADS];
	int i, k;

	(void)state;
	for (i = 0; i < THREADS; i++) {
		c[i].n = (unsigned)i;
		pthread_create(&threads[i], NULL, crowd_run, &c[i]);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < EACH; k++) {
			assert_in_range(c[i].ids[k], 1, THREADS * EACH);
			assert_false(seen[c[i].ids[k]]);
			seen[c[i].ids[k]] = true;
		}
	assert_int_equal(counted(ENTRY_QUEUED), THREADS * EACH);
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, NELEMS(ids)),
	    THREADS * EACH);
	assert_int_equal(audit_records(), THREADS * EACH);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(sendable_in_order_and_filtered),
		T(lists_pages),
		T(start_finds_everything_again),
		T(watchers_hear_after_the_commit),
		T(what_failed_leaves_no_trace),
		T(nothing_is_seen_before_the_commit),
		T(neighbours_of_a_failure),
		T(many_at_once),
	};

	return outbox_tests(tests, NELEMS(tests));
}
