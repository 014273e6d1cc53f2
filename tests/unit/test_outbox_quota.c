/* The outbox: so many are open, of whom. */
#include "outbox_lab.h"

static struct outbox_accept
of_vendor(const char *name, const char *device, const char *vendor)
{
	struct outbox_accept a = request(name, device);

	a.vendor = vendor;
	return a;
}

static void
takes(struct outbox_accept a)
{
	struct err e = accept_wait(&a);

	if (e.kind != ERR_NONE)
		fail_msg("%s", e.msg);
}

/* The message names the quota. */
static void
full(struct outbox_accept a, const char *which)
{
	struct err e = accept_wait(&a);

	assert_int_equal(e.kind, ERR_RETRY);
	assert_int_equal(err_cmp_fail(&e), 1u << 24);
	if (strstr(e.msg, which) == NULL)
		fail_msg("%s", e.msg);
}

static void
so_many_of_a_device(void **state)
{
	struct outbox_accept v = request("v", "dev"), r = request("r", "dev");
	struct outbox_accept c = request("cc", "dev");
	uint64_t id;

	(void)state;
	conf.per_device_open = 2;
	reopen();
	id = take("ir", "dev");
	v.kind = ENTRY_VOUCHER;
	takes(v);
	r.initial = false;
	full(r, "device dev: 2 requests open, limit 2");
	/* A newer one takes the older one's place. */
	id = take("ir2", "dev");
	takes(request("ir'", "dev'"));
	reopen();
	full(r, "device dev: 2 requests open, limit 2");
	/* What is answered is open no more; what finishes passes. */
	say((struct word){ 1, id, BATCH_ANSWERED, "ir2", "ip" });
	takes(r);
	full(request("ir3", "dev"), "device dev");
	c.step = 1;
	c.initial = false;
	c.parent = id;
	takes(c);
	assert_int_equal(counts().open, 3);
}

static void
so_many_of_a_vendor(void **state)
{
	uint64_t ids[4];

	(void)state;
	conf.per_vendor_open = 2;
	reopen();
	takes(of_vendor("1", "dev1", "acme"));
	takes(of_vendor("2", "dev2", "acme"));
	takes(of_vendor("3", "dev3", "other"));
	takes(of_vendor("4", "dev4", NULL));
	takes(of_vendor("5", "dev5", NULL));
	takes(of_vendor("6", "dev6", NULL));
	full(of_vendor("7", "dev7", "acme"),
	    "vendor acme: 2 requests open, limit 2");
	reopen();
	full(of_vendor("7", "dev7", "acme"), "vendor acme");
	takes(of_vendor("1'", "dev1", "acme")); /* supersedes */
	takes(of_vendor("8", "dev8", "other"));
	assert_int_equal(outbox_sendable(box, ~0u, 0, false, ids, 1), 1);
	assert_int_equal(ids[0], 2);
	assert_true(move(2, ENTRY_EV_WITHDRAW));
	takes(of_vendor("7", "dev7", "acme"));
	assert_string_equal(entry(7).vendor, "acme");
}

static void
so_many_in_all(void **state)
{
	struct outbox_accept v = request("v", "dev");
	struct outbox_withdraw w = { .id = 1 };

	(void)state;
	conf.open = 3;
	reopen();
	take("1", "dev1");
	take("2", "dev2");
	v.kind = ENTRY_VOUCHER;
	takes(v);
	full(request("4", "dev4"), "queue: 3 requests open, limit 3");
	reopen();
	full(request("4", "dev4"), "queue");
	takes(request("1'", "dev1"));
	/* What we ask ourselves does not count. */
	w.id = 2;
	assert_true(move(2, ENTRY_EV_HANDOUT));
	assert_int_equal(
	    WAIT_FOR(outbox_withdraw, &w, withdrawn).kind, ERR_NONE);
	takes(request("5", "dev5"));
	full(request("6", "dev6"), "queue");
}

/* All of one transaction count, and none of one that was given up. */
static void
quotas_see_what_is_not_committed(void **state)
{
	struct gate g = GATE;
	struct outbox_accept a[4];
	struct result r[4] = { 0 };
	struct post none = { 0 };
	char names[4][8];
	struct inbox in;
	uint64_t first;
	size_t i, ok = 0;

	(void)state;
	conf.open = 3;
	reopen();
	first = take("ir", "another");
	inbox_init(&in);
	store_submit(box->store, gate_job, NULL, &g, none);
	gate_reached(&g);
	store_submit(box->store, failing_job, NULL, &first, none);
	for (i = 0; i < NELEMS(a); i++) {
		snprintf(names[i], sizeof(names[i]), "%zu", i);
		a[i] = request(names[i], names[i]);
		a[i].user = &r[i];
		outbox_accept(
		    box, &a[i], accepted, (struct post){ inbox_post, &in });
	}
	gate_open(&g);
	for (i = 0; i < NELEMS(a); i++)
		inbox_run(&in);
	inbox_done(&in);
	for (i = 0; i < NELEMS(a); i++)
		ok += r[i].e.kind == ERR_NONE;
	assert_int_equal(ok, 2);
	assert_int_equal(counts().open, 3);
	assert_int_equal(counted(ENTRY_QUEUED), 3);
}

static void
a_device_has_so_many_an_hour(void **state)
{
	struct outbox_accept fourth = request("4", "dev");

	(void)state;
	conf.per_device_hour = 3;
	reopen();
	take("1", "dev");
	take("2", "dev");
	reopen(); /* the walk remembers */
	take("3", "dev");
	refuses(&fourth, ERR_RETRY, 1u << 24);
	take("1'", "another");
	fourth.kind = ENTRY_VOUCHER;
	assert_int_equal(accept_wait(&fourth).kind, ERR_NONE);
	fourth = request("5", "dev");
	fourth.received.time += 3599;
	refuses(&fourth, ERR_RETRY, 1u << 24);
	fourth.received.time += 1;
	assert_int_equal(accept_wait(&fourth).kind, ERR_NONE);
}

/* A device must not wait until a clock that was set back has caught up. */
static void
a_clock_set_back_counts_anew(void **state)
{
	struct outbox_accept a = request("2", "dev");

	(void)state;
	conf.per_device_hour = 1;
	reopen();
	take("1", "dev");
	a.received.time -= 10;
	refuses(&a, ERR_RETRY, 1u << 24);
	a.received.time -= 86400;
	assert_int_equal(accept_wait(&a).kind, ERR_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(so_many_of_a_device),
		T(so_many_of_a_vendor),
		T(so_many_in_all),
		T(quotas_see_what_is_not_committed),
		T(a_device_has_so_many_an_hour),
		T(a_clock_set_back_counts_anew),
	};

	return outbox_tests(tests, NELEMS(tests));
}
