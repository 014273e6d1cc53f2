/* What one device may take: the counts alone, then a registrar that keeps to
 * them on all its bases. */
#include "tests/unit/registrar_lab.h"

#include "common/base/limits.h"
#include "registrar/caps.h"

#define NAMELESS 64

static struct digest
id_of(unsigned n)
{
	return digest_of(&n, sizeof(n));
}

static struct caps *
caps_of(
    unsigned connections, unsigned requests, unsigned held, unsigned devices)
{
	struct caps_conf c = { .connections = connections,
		.requests = requests,
		.held = held,
		.nameless = NAMELESS,
		.devices = devices };

	return caps_new(&c);
}

/* ---- counts ------------------------------------------------------------ */

static void
connections_and_holds_are_counted_by_device(void **state)
{
	struct caps *c = caps_of(2, 10, 1, 100);
	struct digest a = id_of(1), b = id_of(2);

	(void)state;
	assert_true(caps_enter(c, &a));
	assert_true(caps_enter(c, &a));
	assert_false(caps_enter(c, &a));
	assert_true(caps_enter(c, &b));
	caps_leave(c, &a);
	assert_true(caps_enter(c, &a));
	assert_false(caps_enter(c, &a));

	assert_true(caps_hold(c, &a));
	assert_false(caps_hold(c, &a));
	assert_true(caps_hold(c, &b));
	caps_unhold(c, &a);
	assert_true(caps_hold(c, &a));
	caps_free(c);
}

static void
who_shows_no_certificate_is_never_held(void **state)
{
	struct caps *c = caps_of(1, 10, 1, 100);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_true(caps_enter(c, NULL));
	assert_false(caps_hold(c, NULL));
	for (int i = 0; i < 100; i++)
		caps_leave(c, NULL);
	assert_int_equal(caps_count(c), 0);
	caps_free(c);
}

static unsigned
taken(struct caps *c, const struct digest *id, uint64_t now)
{
	unsigned n = 0;

	while (n < 10000 && caps_request(c, id, now))
		n++;
	return n;
}

static void
requests_come_back_with_time(void **state)
{
	static const struct {
		uint64_t after;
		unsigned want;
	} cases[] = {
		{ 0, 20 },	/* two seconds' worth at once */
		{ 99, 0 },	/* not one whole request yet */
		{ 1, 1 },	/* now it is */
		{ 1000, 10 },	/* a second's */
		{ 1999, 19 },	/* nearly all */
		{ 3600000, 20 } /* never more than all */
	};
	struct caps *c = caps_of(1, 10, 1, 100);
	struct digest a = id_of(1), b = id_of(2);
	uint64_t now = clock_mono_ms();

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		now += cases[i].after;
		assert_int_equal(taken(c, &a, now), cases[i].want);
	}
	/* Another device has its own; those without one share theirs. */
	assert_int_equal(taken(c, &b, now), 20);
	assert_int_equal(taken(c, NULL, now), NAMELESS * LIMIT_DEVICE_BURST);
	assert_int_equal(taken(c, NULL, now + 1000), NAMELESS);
	caps_free(c);
}

static void
a_refusal_is_logged_once_a_minute(void **state)
{
	struct caps *c = caps_of(1, 10, 1, 100);
	struct digest a = id_of(1), b = id_of(2);
	uint64_t now = clock_mono_ms();

	(void)state;
	assert_true(caps_worth_a_line(c, &a, now));
	assert_false(caps_worth_a_line(c, &a, now + 1000));
	assert_true(caps_worth_a_line(c, &b, now + 1000));
	assert_true(caps_worth_a_line(c, NULL, now + 1000));
	assert_true(caps_worth_a_line(c, &a, now + 61000));
	caps_free(c);
}

/* However many certificates somebody makes: what is remembered is bounded, and
 * who is connected is not forgotten for it. */
static void
what_is_remembered_is_bounded(void **state)
{
	struct caps *c = caps_of(1, 10, 1, 64);
	struct digest stays = id_of(0), id;
	uint64_t now = clock_mono_ms();

	(void)state;
	assert_true(caps_enter(c, &stays));
	for (unsigned i = 1; i < 5000; i++) {
		id = id_of(i);
		assert_true(caps_request(c, &id, now));
		assert_in_range(caps_count(c), 1, 64);
	}
	assert_int_equal(caps_count(c), 64);
	assert_false(caps_enter(c, &stays));
	/* All places taken by the connected: there is none for one more. */
	for (unsigned i = 1; i < 64; i++) {
		id = id_of(i);
		assert_true(caps_enter(c, &id));
	}
	id = id_of(64);
	assert_false(caps_enter(c, &id));
	assert_false(caps_request(c, &id, now));
	caps_leave(c, &stays);
	assert_true(caps_enter(c, &id));
	caps_free(c);
}

static void
who_is_long_gone_is_forgotten(void **state)
{
	struct caps *c = caps_of(1, 10, 1, 1000);
	struct digest id;
	uint64_t old = clock_mono_ms() - 5000;

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		id = id_of(i);
		assert_true(caps_request(c, &id, old));
	}
	for (unsigned i = 500; i < 1000; i++) {
		id = id_of(i);
		assert_true(caps_request(c, &id, old + 5000));
	}
	assert_in_range(caps_count(c), 500, 510);
	caps_free(c);
}

/* ---- a registrar ------------------------------------------------------- */

static void
too_many_requests_get_429(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .limits = "device-requests: 3" };
	struct reg_http h = { .client = g->l->device,
		.method = "GET",
		.path = "/.well-known/brski" };
	unsigned served = 0, refused = 0;

	reg_start(g, &want);
	for (int i = 0; i < 30; i++) {
		struct reg_reply p AUTO_REPLY = { 0 };

		reg_http(g, &h, &p);
		served += p.status == 200;
		if (p.status == 200)
			continue;
		refused++;
		assert_int_equal(p.status, 429);
		assert_true(reg_reply_has(&p, "Retry-After: 1\r\n"));
		assert_true(bytes_eq(p.body,
		    bytes_of("too many requests, ask more slowly\n", 35)));
	}
	/* The burst, and what came back meanwhile. */
	assert_in_range(served, 6, 25);
	assert_int_equal(served + refused, 30);
	assert_int_equal(reg_logged(g, "event=device.over-share"), 1);
	assert_int_equal(atomic_load(&g->r.metrics.requests_over), refused);
	/* Another device is not in its way. */
	h.client = g->sibling;
	struct reg_reply p AUTO_REPLY = { 0 };
	reg_http(g, &h, &p);
	assert_int_equal(p.status, 200);
}

static int
get_list(struct client *c)
{
	static const char get[] = "GET /.well-known/brski HTTP/1.1\r\n"
				  "Host: registrar\r\n\r\n";
	struct buf text AUTO_BUF = { 0 };
	int status = 0;

	client_send(c, get);
	sscanf(client_receive(c, &text), "HTTP/1.1 %d", &status);
	return status;
}

static void
a_fifth_connection_is_closed(void **state)
{
	struct reg_lab *g = *state;
	struct client c[4], more;
	char piece;

	reg_start(g, NULL);
	assert_true(g->r.n_bases > 1);
	for (size_t i = 0; i < NELEMS(c); i++) {
		reg_dial(g, &c[i], g->l->device);
		assert_int_equal(get_list(&c[i]), 200);
	}
	/* On whatever base. */
	for (int i = 0; i < 2; i++) {
		reg_dial(g, &more, g->l->device);
		assert_int_not_equal(SSL_read(more.ssl, &piece, 1), 1);
		client_close(&more);
	}
	assert_int_equal(atomic_load(&g->r.metrics.connections_over), 2);
	assert_int_equal(reg_logged(g, "event=device.over-share"), 1);
	reg_dial(g, &more, g->sibling);
	assert_int_equal(get_list(&more), 200);
	client_close(&more);
	reg_dial(g, &more, NULL);
	assert_int_equal(get_list(&more), 200);
	client_close(&more);
	for (size_t i = 0; i < NELEMS(c); i++) {
		assert_int_equal(get_list(&c[i]), 200);
		client_close(&c[i]);
	}
	/* They are counted out as soon as their ends were seen. */
	for (int i = 0; i < 500 && atomic_load(&g->r.connections) > 0; i++)
		poll(NULL, 0, 10);
	assert_int_equal(atomic_load(&g->r.connections), 0);
	reg_dial(g, &more, g->l->device);
	assert_int_equal(get_list(&more), 200);
	client_close(&more);
}

static void
connections_have_a_limit_in_all(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .limits = "connections: 16" };
	struct client c[16], more;
	struct front *f;

	reg_start(g, &want);
	for (size_t i = 0; i < NELEMS(c); i++) {
		reg_dial(g, &c[i], NULL);
		assert_int_equal(get_list(&c[i]), 200);
	}
	for (size_t i = 0; i < 2 * g->r.n_bases; i++) {
		f = g->r.fronts[i % g->r.n_bases];
		client_dial(&more, https_port(f->servers[0]), NULL);
		assert_int_not_equal(SSL_connect(more.ssl), 1);
		client_close(&more);
	}
	for (size_t i = 0; i < NELEMS(c); i++)
		client_close(&c[i]);
}

/* Sent, and held; the answer is not read. */
static void
ask(struct reg_lab *g, struct client *c, const struct signer *device,
    const struct buf *request)
{
	struct reg_http h = { .path = REG_CMP,
		.type = REG_CMP_TYPE,
		.body = buf_bytes(request) };

	reg_dial(g, c, device);
	reg_http_send(c, &h);
}

static uint64_t
answered_after(struct client *c)
{
	struct reg_reply p AUTO_REPLY = { 0 };
	uint64_t began = clock_mono_ms();

	reg_http_receive(c, &p);
	assert_int_equal(p.status, 200);
	return clock_mono_ms() - began;
}

static void
one_request_of_a_device_is_held(void **state)
{
	struct reg_lab *g = *state;
	struct reg_want want = { .cmp = "hold: 2s" };
	struct lab_ask mine = { .cn = "dev" }, other = { .cn = "dev" };
	struct buf one AUTO_BUF = { 0 }, two AUTO_BUF = { 0 };
	struct client held, again, sibling;

	reg_start(g, &want);
	atomic_store(&g->r.services[0].contact.up, true);
	lab_request(g->l, &mine, &one);
	other.device = g->sibling;
	lab_request(g->l, &other, &two);
	ask(g, &held, g->l->device, &one);
	for (int i = 0; i < 500 && reg_next_id(g) < 2; i++)
		poll(NULL, 0, 10);
	reg_await(g, 1, ENTRY_QUEUED);
	ask(g, &again, g->l->device, &one);
	assert_in_range(answered_after(&again), 0, 900);
	ask(g, &sibling, g->sibling, &two);
	assert_in_range(answered_after(&sibling), 1500, 4000);
	answered_after(&held);
	client_close(&held);
	client_close(&again);
	client_close(&sibling);
	/* That one is over: the next is held, also after a client has gone. */
	for (int i = 0; i < 2; i++) {
		ask(g, &held, g->l->device, &one);
		if (i == 1)
			assert_in_range(answered_after(&held), 1500, 4000);
		else
			poll(NULL, 0, 200);
		client_close(&held);
		for (int n = 0; n < 500 && atomic_load(&g->r.connections) > 0;
		     n++)
			poll(NULL, 0, 10);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, reg_lab_setup, reg_lab_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_and_holds_are_counted_by_device),
		cmocka_unit_test(who_shows_no_certificate_is_never_held),
		cmocka_unit_test(requests_come_back_with_time),
		cmocka_unit_test(a_refusal_is_logged_once_a_minute),
		cmocka_unit_test(what_is_remembered_is_bounded),
		cmocka_unit_test(who_is_long_gone_is_forgotten),
		T(too_many_requests_get_429),
		T(a_fifth_connection_is_closed),
		T(connections_have_a_limit_in_all),
		T(one_request_of_a_device_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
