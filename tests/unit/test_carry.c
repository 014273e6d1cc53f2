/* The carry socket: how entries leave, and whom the registrar believes. */
#include "registrar/carry_int.h"
#include "tests/unit/fwd_lab.h"

static void
enrol(struct reg_lab *g, const char *name, struct buf *request)
{
	cmp_free(fwd_enrol(g, name, request));
}

static bool
link_is_up(struct reg_lab *g, size_t service)
{
	return atomic_load(&g->r.services[service].contact.up);
}

/* ---- HELLO, WELCOME ---------------------------------------------------- */

static void
hello_tells_what_we_remember(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };
	struct store_audit head;
	struct err e = ERR_INIT;
	uint8_t nonce[FRAME_NONCE_LEN];
	static const uint8_t zeros[ENTRY_EPOCH_LEN];

	reg_start(g, NULL);
	enrol(g, "a", &request);
	fwd_connect(&fwd);
	fwd_link(&fwd, true);
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	assert_int_equal(fwd.hello.site_next_id, 2);
	assert_int_equal(fwd.hello.service_seq, 0);
	assert_memory_equal(fwd.hello.service_epoch, zeros, sizeof(zeros));
	assert_memory_equal(
	    fwd.hello.site_epoch, outbox_epoch(g->r.outbox), ENTRY_EPOCH_LEN);
	assert_int_equal(outbox_audit_head(g->r.outbox, &head, &e), 0);
	assert_true(digest_eq(&fwd.hello.audit, &head.hash));
	assert_int_equal(fwd.hello.version_low, FRAME_VERSION_LOW);
	assert_int_equal(fwd.hello.version_high, FRAME_VERSION_HIGH);
	memcpy(nonce, fwd.hello.nonce, sizeof(nonce));
	fwd_greet(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_settle(&fwd);
	/* Another nonce each time, and the receipt is remembered. */
	assert_memory_not_equal(fwd.hello.nonce, nonce, sizeof(nonce));
	assert_int_equal(fwd.hello.service_seq, 1);
	assert_memory_equal(
	    fwd.hello.service_epoch, fwd.epoch, ENTRY_EPOCH_LEN);
}

struct welcome_case {
	const char *what, *event;
	bool nonce, site, service, epoch, tag, twin, range, version;
};

static void
try_welcome(struct reg_lab *g, const struct welcome_case *c)
{
	struct frame_hello h = fwd_mirror(&fwd);
	unsigned before = reg_logged(g, c->event);

	h.nonce[15] ^= c->nonce;
	h.site_epoch[0] ^= c->epoch;
	if (c->site)
		str_copy(h.site, sizeof(h.site), "paris");
	if (c->service)
		str_copy(h.service, sizeof(h.service), "masa");
	h.version_high += c->range || c->version;
	h.version_low += c->version;
	fwd_welcome(&fwd, &h, fwd.hello_tag + c->tag,
	    c->twin ? g->masa_service : g->l->service);
	fwd_link(&fwd, false);
	fwd_link(&fwd, true);
	/* No PULL, no PUT: it was never ready. */
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	if (reg_logged(g, c->event) != before + 1)
		fail_msg("%s: no alarm", c->what);
	assert_false(link_is_up(g, 0));
}

static void
only_the_service_itself_is_welcome(void **state)
{
	static const struct welcome_case cases[] = {
		{ "nonce", "event=carry.forged", .nonce = true },
		{ "site", "event=carry.forged", .site = true },
		{ "service", "event=carry.forged", .service = true },
		{ "epoch", "event=carry.forged", .epoch = true },
		{ "signer", "event=carry.forged", .twin = true },
		{ "versions", "event=carry.forged", .range = true },
		{ "version", "event=carry.forged", .version = true },
		{ "tag", "event=carry.unsolicited", .tag = true },
	};
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };
	struct frame_hello old;

	reg_start(g, NULL);
	enrol(g, "a", &request);
	fwd_connect(&fwd);
	fwd_link(&fwd, true);
	fwd_expect(&fwd, FRAME_HELLO);
	fwd_take_hello(&fwd);
	for (size_t i = 0; i < NELEMS(cases); i++)
		try_welcome(g, &cases[i]);
	/* What was genuine for the HELLO before. */
	old = fwd_mirror(&fwd);
	fwd_settle(&fwd);
	fwd_welcome(&fwd, &old, fwd.hello_tag, g->l->service);
	fwd_settle(&fwd);
	assert_int_equal(reg_logged(g, "event=carry.forged"), 8);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_QUEUED);
	fwd_greet(&fwd);
	assert_true(link_is_up(g, 0));
	assert_false(link_is_up(g, 1));
}

/* ---- PUT, STORED ------------------------------------------------------- */

static void
an_entry_leaves_after_its_hand_out(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };
	struct outbox_octets x = { 0 };
	struct entry_header h;
	struct err e = ERR_INIT;

	reg_start(g, NULL);
	fwd_ready(&fwd);
	enrol(g, "a", &request);
	fwd_expect(&fwd, FRAME_PUT);
	/* Committed before the first octet left: no waiting for it here. */
	assert_int_equal(reg_entry(g, 1).state, ENTRY_INFLIGHT);
	assert_int_equal(reg_entry(g, 1).handouts, 1);
	assert_string_equal(reg_entry(g, 1).carrier, "link");
	h = fwd_header(&fwd);
	assert_int_equal(h.id, 1);
	assert_int_equal(h.kind, ENTRY_CMP);
	assert_int_equal(outbox_octets(g->r.outbox, 1, &x, &e), 0);
	assert_true(bytes_eq(fwd.f.u.put.octets, buf_bytes(&x.wrapped)));
	assert_true(bytes_eq(fwd.f.u.put.header, buf_bytes(&x.header)));
	outbox_octets_done(&x);
	fwd_stored(&fwd, 1);
	assert_int_equal(reg_entry(g, 1).answer_value, 0);
}

static void
no_more_leaves_than_there_is_credit(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(names); i++) {
		struct buf request AUTO_BUF = { 0 };

		enrol(g, names[i], &request);
	}
	fwd.credit = 2;
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	assert_int_equal(fwd_header(&fwd).id, 1);
	fwd_expect(&fwd, FRAME_PUT);
	assert_int_equal(fwd_header(&fwd).id, 2);
	for (uint64_t id = 3; id <= 5; id++) {
		assert_int_equal(reg_entry(g, id).state, ENTRY_QUEUED);
		fwd_stored(&fwd, id - 1);
		fwd_expect(&fwd, FRAME_PUT);
		assert_int_equal(fwd_header(&fwd).id, id);
	}
}

static void
each_service_gets_its_kind(void **state)
{
	struct reg_lab *g = *state;
	struct forwarder masa;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	fwd_init(&masa, g, "masa", g->masa_service);
	fwd_ready(&masa);
	enrol(g, "a", &request);
	fwd_ready(&fwd);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_link(&masa, false);
	fwd_link(&masa, true);
	fwd_expect(&masa, FRAME_HELLO);
	fwd_close(&masa);
}

/* What a lost connection had is offered again, octet for octet. */
static void
a_lost_connection_loses_nothing(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 };
	struct buf header AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };

	reg_start(g, NULL);
	enrol(g, "a", &request);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	header = bytes_dup(fwd.f.u.put.header);
	octets = bytes_dup(fwd.f.u.put.octets);
	fwd_close(&fwd);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	assert_true(bytes_eq(fwd.f.u.put.header, buf_bytes(&header)));
	assert_true(bytes_eq(fwd.f.u.put.octets, buf_bytes(&octets)));
	assert_int_equal(reg_entry(g, 1).handouts, 2);
	/* The same on a connection that stays, link down in between. */
	fwd_settle(&fwd);
	fwd_greet(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	assert_true(bytes_eq(fwd.f.u.put.octets, buf_bytes(&octets)));
	/* And after a restart. */
	reg_stop(g);
	fwd_close(&fwd);
	reg_start(g, NULL);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	assert_true(bytes_eq(fwd.f.u.put.header, buf_bytes(&header)));
	fwd_stored(&fwd, 1);
	/* What has its receipt is not offered again. */
	fwd_settle(&fwd);
	fwd_greet(&fwd);
	fwd_link(&fwd, false);
	fwd_link(&fwd, true);
	fwd_expect(&fwd, FRAME_HELLO);
}

static void
another_connection_takes_over(void **state)
{
	struct reg_lab *g = *state;
	struct forwarder second;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	enrol(g, "a", &request);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	fwd_init(&second, g, "ra", g->l->service);
	fwd_ready(&second);
	/* In flight: a new connection offers it as well. */
	fwd_expect(&second, FRAME_PUT);
	fwd_close(&fwd);
	fwd_expect(&second, FRAME_PUT);
	assert_int_equal(fwd_header(&second).id, 1);
	assert_true(link_is_up(g, 0));
	fwd_stored(&second, 1);
	fwd_close(&second);
}

/* What one connection had is not handed to the other when all end. */
static void
connections_end_with_the_registrar(void **state)
{
	struct reg_lab *g = *state;
	struct forwarder second;
	struct buf request AUTO_BUF = { 0 };

	reg_start(g, NULL);
	enrol(g, "a", &request);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	fwd_init(&second, g, "ra", g->l->service);
	fwd_ready(&second);
	fwd_expect(&second, FRAME_PUT);
	reg_stop(g);
	assert_int_equal(fwd_next(&fwd), 0);
	assert_int_equal(fwd_next(&second), 0);
	fwd_close(&second);
	fwd_close(&fwd);
	reg_start(g, NULL);
	assert_int_equal(reg_entry(g, 1).handouts, 2);
}

static void
a_refusal_for_now_is_tried_again(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	uint64_t before, tag;

	reg_start(g, NULL);
	enrol(g, "a", &request);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	tag = fwd.f.tag;
	frame_nack(tag, 0, "busy", &out);
	fwd_send(&fwd, &out);
	before = clock_mono_ms();
	fwd_expect(&fwd, FRAME_PUT);
	/* A peer may ask for patience, not for haste. */
	assert_true(clock_mono_ms() - before > 2000);
	assert_int_not_equal(fwd.f.tag, tag);
	assert_int_equal(fwd_header(&fwd).id, 1);
	fwd_stored(&fwd, 1);
}

/* ---- PULL, GOT --------------------------------------------------------- */

static void
answers_are_got_and_asked_for_again(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, answer AUTO_BUF = { 0 };
	struct fwd_issue x = { 0 };

	reg_start(g, NULL);
	enrol(g, "a", &request);
	fwd_ready(&fwd);
	assert_int_equal(fwd.f.u.pull.since, 0);
	assert_string_equal(fwd.f.u.pull.site, LAB_SITE);
	assert_int_equal(fwd_custody(&fwd), 1);
	fwd_issue(&fwd, &request, &x, &answer);
	fwd_answer(&fwd, 1, BATCH_ANSWERED, buf_bytes(&answer));
	fwd_expect(&fwd, FRAME_GOT);
	assert_int_equal(fwd.f.u.got.upto, 2);
	/* GOT follows the commit. */
	assert_int_equal(reg_entry(g, 1).state, ENTRY_ANSWERED);
	fwd_expect(&fwd, FRAME_PULL);
	assert_int_equal(fwd.f.u.pull.since, 2);
	X509_free(x.cert);
}

/* ---- what is no forwarder ---------------------------------------------- */

static void
expect_hung_up(struct reg_lab *g, const char *what, unsigned alarms)
{
	if (fwd_next(&fwd) != 0)
		fail_msg("%s: the connection stays", what);
	fwd_close(&fwd);
	if (reg_logged(g, "event=carry.bad-peer") != alarms)
		fail_msg("%s: no alarm", what);
}

/* A frame that only a registrar says, or nobody. */
static void
bad_frame(int which, struct buf *out)
{
	struct bytes none = bytes_of("x", 1);

	switch (which) {
	case 0:
		frame_put(7, none, none, none, out);
		break;
	case 1:
		frame_pull(7, LAB_SITE, 0, 20, out);
		break;
	case 2:
		frame_got(7, LAB_SITE, 0, out);
		break;
	case 3:
		frame_link(true, "nobody", out);
		break;
	case 4: /* another service than before */
		frame_link(true, "masa", out);
		break;
	case 5: /* an unknown type */
		buf_add(out, "\x83\x01\x18\x63\x07", 5);
		break;
	case 6: /* another version */
		buf_add(out, "\x83\x02\x08\x07", 4);
		break;
	default:
		buf_add_str(out, "GET / HTTP/1.1");
	}
}

static void
who_speaks_otherwise_is_hung_up_on(void **state)
{
	struct reg_lab *g = *state;
	struct buf out AUTO_BUF = { 0 };
	unsigned alarms = 0;
	char what[16];

	reg_start(g, NULL);
	for (int i = 0; i < 8; i++) {
		fwd_connect(&fwd);
		fwd_link(&fwd, true);
		fwd_expect(&fwd, FRAME_HELLO);
		bad_frame(i, &out);
		fwd_send(&fwd, &out);
		snprintf(what, sizeof(what), "frame %d", i);
		expect_hung_up(g, what, ++alarms);
	}
	fwd_connect(&fwd);
	frame_ping(1, &out);
	fwd_send(&fwd, &out);
	expect_hung_up(g, "PING before LINK", ++alarms);
	fwd_connect(&fwd);
	fwd_write(&fwd, bytes_of("\0\0\0\0", 4));
	expect_hung_up(g, "an empty frame", ++alarms);
	fwd_connect(&fwd);
	fwd_write(&fwd, bytes_of("\x00\x04\x00\x01", 4));
	expect_hung_up(g, "a frame too long", ++alarms);
	/* Nothing of that is in the way of one who speaks well. */
	fwd_ready(&fwd);
	assert_true(link_is_up(g, 0));
}

static void
what_was_not_asked_for_changes_nothing(void **state)
{
	struct reg_lab *g = *state;
	struct buf request AUTO_BUF = { 0 }, out AUTO_BUF = { 0 };
	struct fwd_batch x;

	reg_start(g, NULL);
	enrol(g, "a", &request);
	fwd_ready(&fwd);
	fwd_expect(&fwd, FRAME_PUT);
	x = fwd_batch(&fwd, 1, BATCH_STORED, bytes_of(NULL, 0));
	fwd_send_batch(&fwd, FRAME_STORED, fwd.f.tag + 100, &x);
	fwd_send_batch(&fwd, FRAME_ANSWERS, fwd.pull_tag + 100, &x);
	frame_nack(0, 3600, "sleep well", &out);
	fwd_send(&fwd, &out);
	frame_nack(fwd.f.tag + 100, 3600, "sleep well", &out);
	fwd_send(&fwd, &out);
	frame_ping(5, &out);
	fwd_send(&fwd, &out);
	frame_sent(5, &out);
	fwd_send(&fwd, &out);
	fwd_settle(&fwd);
	assert_int_equal(reg_logged(g, "event=carry.unsolicited"), 4);
	assert_int_equal(reg_entry(g, 1).state, ENTRY_INFLIGHT);
	assert_int_equal(fwd.hello.service_seq, 0);
}

/* One connection a service is usual, eight are the most. */
static void
connections_are_few(void **state)
{
	struct reg_lab *g = *state;
	struct forwarder all[8];

	reg_start(g, NULL);
	for (size_t i = 0; i < NELEMS(all); i++) {
		fwd_init(&all[i], g, "ra", g->l->service);
		fwd_ready(&all[i]);
	}
	fwd_connect(&fwd);
	assert_int_equal(fwd_next(&fwd), 0);
	assert_int_equal(reg_logged(g, "event=carry.refused"), 1);
	fwd_close(&fwd);
	for (size_t i = 0; i < NELEMS(all); i++)
		fwd_close(&all[i]);
	for (uint64_t end = clock_mono_ms() + REG_WAIT_MS; link_is_up(g, 0);
	     poll(NULL, 0, 1))
		assert_true(clock_mono_ms() < end);
	fwd_ready(&fwd);
	assert_true(link_is_up(g, 0));
}

/* Eight that say nothing, or nothing whole, do not keep a forwarder out for
 * long; one that has said LINK may be silent. */
static void
silence_makes_room(void **state)
{
	struct reg_lab *g = *state;
	struct forwarder all[8];

	reg_start(g, NULL);
	g->r.carry->link_ms = 300;
	for (size_t i = 0; i < NELEMS(all); i++) {
		fwd_init(&all[i], g, "ra", g->l->service);
		if (i == 0)
			fwd_ready(&all[i]);
		else
			fwd_connect(&all[i]);
	}
	fwd_write(&all[1], bytes_of("\0\0\1", 3));
	fwd_connect(&fwd);
	assert_int_equal(fwd_next(&fwd), 0);
	assert_int_equal(reg_logged(g, "event=carry.refused"), 1);
	fwd_close(&fwd);
	for (size_t i = 1; i < NELEMS(all); i++)
		assert_int_equal(fwd_next(&all[i]), 0);
	assert_int_equal(reg_logged(g, "event=carry.silent"), 7);
	fwd_ready(&fwd);
	assert_true(link_is_up(g, 0));
	for (size_t i = 0; i < NELEMS(all); i++)
		fwd_close(&all[i]);
}

/* DECISIONS 11: another user's forwarder is none. */
static void
another_uid_is_refused(void **state)
{
	struct reg_lab *g = *state;

	if (getuid() != 0)
		skip();
	reg_start(g, NULL);
	if (chmod(g->l->dir, 0711) != 0 ||
	    chmod(g->r.conf.carry.socket, 0666) != 0 || seteuid(65534) != 0)
		skip();
	fwd_connect(&fwd);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(fwd_next(&fwd), 0);
	assert_int_equal(reg_logged(g, "event=carry.refused"), 1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(hello_tells_what_we_remember),
		T(only_the_service_itself_is_welcome),
		T(an_entry_leaves_after_its_hand_out),
		T(no_more_leaves_than_there_is_credit),
		T(each_service_gets_its_kind),
		T(a_lost_connection_loses_nothing),
		T(another_connection_takes_over),
		T(connections_end_with_the_registrar),
		T(a_refusal_for_now_is_tried_again),
		T(answers_are_got_and_asked_for_again),
		T(who_speaks_otherwise_is_hung_up_on),
		T(what_was_not_asked_for_changes_nothing),
		T(connections_are_few),
		T(silence_makes_room),
		T(another_uid_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
