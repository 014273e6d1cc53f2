/* Reference data at the site: what is believed of it, and what stays. */
#include "registrar/reference.h"
#include "tests/unit/carry_lab.h"

#include "common/base/cbor.h"

static struct forwarder fwd;

static int
setup(void **state)
{
	int rc = reg_lab_setup(state);
	struct reg_lab *g = *state;

	fwd_init(&fwd, g, "ra", g->l->service);
	fwd.asks = true;
	return rc;
}

static int
teardown(void **state)
{
	fwd_close(&fwd);
	return reg_lab_teardown(state);
}

/* ---- what a service would send ----------------------------------------- */

struct given {
	const char *service, *name; /* NULL: ra, as asked */
	struct bytes octets;
	uint64_t version, until;
	const struct signer *by; /* NULL: the service's */
	bool other_digest, other_signer, short_part;
};

static void
manifest_of(const struct given *x, struct buf *text, struct buf *sig)
{
	struct frame_manifest m = { .version = x->version,
		.made = clock_now().time - 60,
		.until = x->until,
		.size = x->octets.len,
		.digest = digest_of(x->octets.p, x->octets.len) };
	const struct signer *by = x->by != NULL ? x->by : fwd.key;
	struct err e = ERR_INIT;

	str_copy(m.service, sizeof(m.service),
	    x->service != NULL ? x->service : "ra");
	str_copy(m.name, sizeof(m.name),
	    x->name != NULL ? x->name : fwd.f.u.ask.name);
	m.digest.b[0] ^= x->other_digest;
	if (frame_manifest_sign(&m, by, text, sig, &e) == -1)
		fail_msg("%s", e.msg);
	if (!x->other_signer)
		return;
	/* Its last item, in a text that is signed all the same. */
	text->data[text->len - 1] ^= 1;
	buf_reset(sig);
	assert_int_equal(
	    sign_data(by, FRAME_DATA_LABEL, buf_bytes(text), sig, &e), 0);
}

static void
send_part(const struct given *x, uint64_t tag, unsigned part)
{
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	size_t from = (size_t)part * FRAME_PART, n = x->octets.len - from;

	manifest_of(x, &text, &sig);
	if (n > FRAME_PART)
		n = FRAME_PART;
	frame_data(tag, buf_bytes(&text), buf_bytes(&sig), part,
	    bytes_of(x->octets.p + from, n - x->short_part), &out);
	fwd_send(&fwd, &out);
}

static void
send_none(uint64_t tag)
{
	static const struct bytes none = { NULL, 0 };
	struct buf out AUTO_BUF = { 0 };

	frame_data(tag, none, none, 0, none, &out);
	fwd_send(&fwd, &out);
}

static void
expect_ask(const char *name, uint64_t have, unsigned part)
{
	fwd_expect(&fwd, FRAME_ASK);
	assert_string_equal(fwd.f.u.ask.site, LAB_SITE);
	assert_string_equal(fwd.f.u.ask.name, name);
	assert_int_equal(fwd.f.u.ask.have, have);
	assert_int_equal(fwd.f.u.ask.part, part);
}

/* An index of at most two names; NULL: not there. */
static void
give_index(uint64_t version, const char *first, uint64_t v1, const char *second,
    uint64_t v2)
{
	const char *const names[] = { first, second };
	const uint64_t versions[] = { v1, v2 };
	struct buf text AUTO_BUF = { 0 };
	struct given x = { .version = version };

	cbor_write_array(&text, (size_t)(first != NULL) + (second != NULL));
	for (size_t i = 0; i < NELEMS(names); i++) {
		if (names[i] == NULL)
			continue;
		cbor_write_array(&text, 2);
		cbor_write_text(&text, names[i]);
		cbor_write_uint(&text, versions[i]);
	}
	x.octets = buf_bytes(&text);
	send_part(&x, fwd.f.tag, 0);
}

/* Up to a question after what is asked for first. */
static void
ask_certs(struct reg_lab *g, const struct reg_want *w, uint64_t version)
{
	reg_start(g, w);
	fwd_ready(&fwd);
	expect_ask("index", 0, 0);
	give_index(1, "ca-certs", version, NULL, 0);
	expect_ask("ca-certs", 0, 0);
}

/* What was sent has been worked off: it asks for nothing more, so the next thing
 * that comes is the HELLO of a link that is up again. */
static void
worked_off(void)
{
	fwd_silence(&fwd);
}

static bool
holds(struct reg_lab *g, const char *name, struct bytes want)
{
	struct buf got AUTO_BUF = { 0 };
	uint64_t age = 7777;

	if (!reference_get(&g->r, name, &got, &age)) {
		assert_int_equal(age, 7777);
		return false;
	}
	assert_in_range(age, 60, 120);
	return bytes_eq(buf_bytes(&got), want);
}

static void
await_held(struct reg_lab *g, const char *name, struct bytes want)
{
	uint64_t end = clock_mono_ms() + REG_WAIT_MS;

	while (!holds(g, name, want)) {
		if (clock_mono_ms() > end)
			fail_msg("%s did not come", name);
		poll(NULL, 0, 5);
	}
}

static const struct bytes certs = { (const uint8_t *)"a word", 6 };

/* ---- the tests --------------------------------------------------------- */

static void
a_piece_comes_in_parts_and_survives_a_restart(void **state)
{
	struct reg_lab *g = *state;
	struct buf big AUTO_BUF = { 0 };
	struct given x = { .version = 5 };

	memset(buf_grow(&big, 2 * FRAME_PART + 9), 'x', 2 * FRAME_PART + 9);
	x.octets = buf_bytes(&big);
	ask_certs(g, NULL, 5);
	send_part(&x, fwd.f.tag, 0);
	expect_ask("ca-certs", 0, 1);
	send_part(&x, fwd.f.tag, 1);
	expect_ask("ca-certs", 0, 2);
	assert_false(holds(g, "ca-certs", x.octets));
	send_part(&x, fwd.f.tag, 2);
	await_held(g, "ca-certs", x.octets);
	assert_int_equal(reg_logged(g, "event=reference.new"), 2);
	fwd_close(&fwd);
	reg_stop(g);
	reg_start(g, NULL);
	assert_true(holds(g, "ca-certs", x.octets));
	/* What it has is not asked for again. */
	fwd_ready(&fwd);
	expect_ask("index", 1, 0);
	give_index(2, "ca-certs", 6, NULL, 0);
	expect_ask("ca-certs", 5, 0);
}

static void
nothing_newer_keeps_what_is_there(void **state)
{
	struct reg_lab *g = *state;
	struct given x = { .version = 5, .octets = certs };

	ask_certs(g, NULL, 5);
	send_part(&x, fwd.f.tag, 0);
	await_held(g, "ca-certs", certs);
	fwd_silence(&fwd);
	fwd_greet(&fwd);
	expect_ask("index", 1, 0);
	send_none(fwd.f.tag);
	worked_off();
	assert_true(holds(g, "ca-certs", certs));
}

static void
only_the_services_word_is_believed(void **state)
{
	struct reg_lab *g = *state;
	const struct {
		const char *what, *says;
		struct given x;
	} cases[] = {
		{ "forged", "signature", { .by = g->masa_service } },
		{ "of another service", "of service masa",
		    { .service = "masa" } },
		{ "another name", "manifest: deny", { .name = "deny" } },
		{ "digest", "digest does not hold", { .other_digest = true } },
		{ "signer", "another signer", { .other_signer = true } },
		{ "short", "part 0 of 5 octets", { .short_part = true } },
	};

	ask_certs(g, NULL, 5);
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct given x = cases[i].x;

		x.version = 5;
		x.octets = certs;
		send_part(&x, fwd.f.tag, 0);
		fwd_silence(&fwd);
		if (reg_logged(g, "event=reference.refused") != i + 1 ||
		    reg_logged(g, cases[i].says) == 0)
			fail_msg("%s: not refused", cases[i].what);
		assert_false(holds(g, "ca-certs", certs));
		fwd_greet(&fwd);
		expect_ask("index", 1, 0);
		send_none(fwd.f.tag);
		expect_ask("ca-certs", 0, 0);
	}
}

static void
a_lower_version_is_refused(void **state)
{
	static const struct bytes older = { (const uint8_t *)"older", 5 };
	struct reg_lab *g = *state;
	struct given x = { .version = 5, .octets = certs };
	const uint64_t versions[] = { 4, 5 };

	ask_certs(g, NULL, 5);
	send_part(&x, fwd.f.tag, 0);
	await_held(g, "ca-certs", certs);
	for (size_t i = 0; i < NELEMS(versions); i++) {
		struct given y = { .version = versions[i], .octets = older };

		fwd_silence(&fwd);
		fwd_greet(&fwd);
		expect_ask("index", 1 + i, 0);
		give_index(2 + i, "ca-certs", 9, NULL, 0);
		expect_ask("ca-certs", 5, 0);
		send_part(&y, fwd.f.tag, 0);
		worked_off();
		assert_true(holds(g, "ca-certs", certs));
		assert_int_equal(
		    reg_logged(g, "event=reference.refused"), i + 1);
		fwd_greet(&fwd);
		expect_ask("index", 2 + i, 0);
	}
}

static void
one_that_changes_while_it_comes_begins_anew(void **state)
{
	struct reg_lab *g = *state;
	struct buf big AUTO_BUF = { 0 };
	struct given x = { .version = 5 };

	memset(buf_grow(&big, FRAME_PART + 1), 'x', FRAME_PART + 1);
	x.octets = buf_bytes(&big);
	ask_certs(g, NULL, 5);
	send_part(&x, fwd.f.tag, 0);
	expect_ask("ca-certs", 0, 1);
	x.version = 6;
	big.data[0] = 'y';
	send_part(&x, fwd.f.tag, 1);
	expect_ask("ca-certs", 0, 0);
	send_part(&x, fwd.f.tag, 0);
	expect_ask("ca-certs", 0, 1);
	send_part(&x, fwd.f.tag, 1);
	await_held(g, "ca-certs", x.octets);
}

static void
what_the_index_no_longer_lists_is_given_up(void **state)
{
	struct reg_lab *g = *state;
	struct given x = { .version = 5, .octets = certs };

	ask_certs(g, NULL, 5);
	send_part(&x, fwd.f.tag, 0);
	await_held(g, "ca-certs", certs);
	fwd_silence(&fwd);
	fwd_greet(&fwd);
	expect_ask("index", 1, 0);
	give_index(2, NULL, 0, NULL, 0);
	for (unsigned i = 0; holds(g, "ca-certs", certs) && i < 1000; i++)
		poll(NULL, 0, 5);
	assert_false(holds(g, "ca-certs", certs));
	fwd_close(&fwd);
	reg_stop(g);
	reg_start(g, NULL);
	assert_false(holds(g, "ca-certs", certs));
}

/* Whether the lab's device is denied. */
static bool
is_denied(struct reg_lab *g)
{
	struct err e = ERR_INIT;

	return reference_denied(&g->r, g->l->device->cert, &e) == -1;
}

static void
a_deny_list_counts_when_it_is_whole_and_can_be_read(void **state)
{
	static const char good[] = "subject-serial WB-0001\n", bad[] = "who?\n";
	struct reg_lab *g = *state;
	struct given x = { .version = 1,
		.octets = { (const uint8_t *)good, sizeof(good) - 1 } };
	struct given y = { .version = 2,
		.octets = { (const uint8_t *)bad, sizeof(bad) - 1 } };
	struct lab_ask want = { .cn = "dev" };
	struct buf request AUTO_BUF = { 0 };
	struct cmp_msg *m;

	reg_start(g, NULL);
	fwd_ready(&fwd);
	expect_ask("index", 0, 0);
	give_index(1, "deny", 1, NULL, 0);
	expect_ask("deny", 0, 0);
	assert_false(is_denied(g));
	send_part(&x, fwd.f.tag, 0);
	await_held(g, "deny", x.octets);
	assert_true(is_denied(g));
	fwd_silence(&fwd);
	lab_request(g->l, &want, &request);
	m = reg_cmp_at(g, g->l->device, REG_CMP, &request);
	reg_expect_refused(
	    "denied", m, CMP_ERROR, CMP_NOT_AUTHORIZED, "deny list");
	cmp_free(m);
	fwd_greet(&fwd);
	expect_ask("index", 1, 0);
	give_index(2, "deny", 2, NULL, 0);
	expect_ask("deny", 1, 0);
	send_part(&y, fwd.f.tag, 0);
	worked_off();
	assert_true(is_denied(g));
	assert_int_equal(reg_logged(g, "event=reference.refused"), 1);
}

static void
what_is_stale_is_told(void **state)
{
	struct reg_lab *g = *state;
	struct given x = {
		.version = 5, .octets = certs, .until = clock_now().time - 1
	};
	struct buf out AUTO_BUF = { 0 };
	json_t *j;

	ask_certs(g, NULL, 5);
	send_part(&x, fwd.f.tag, 0);
	await_held(g, "ca-certs", certs);
	j = reference_json(&g->r);
	assert_int_equal(json_array_size(j), 2);
	for (size_t i = 0; i < 2; i++) {
		json_t *one = json_array_get(j, i);
		bool is_certs =
		    strcmp(json_string_value(json_object_get(one, "name")),
			"ca-certs") == 0;

		assert_int_equal(
		    json_is_true(json_object_get(one, "stale")), is_certs);
	}
	json_decref(j);
	reference_metrics(&g->r, &out);
	assert_non_null(strstr(buf_cstr(&out),
	    "waybill_reference_version{service=\"ra\",name=\"ca-certs\"} 5\n"));
	fwd_close(&fwd);
	reg_stop(g);
	reg_start(g, NULL);
	assert_int_equal(reg_logged(g, "event=reference.stale"), 1);
	/* It holds all the same. */
	assert_true(holds(g, "ca-certs", certs));
}

static void
a_service_that_says_later_is_asked_later(void **state)
{
	struct reg_lab *g = *state;
	struct buf out AUTO_BUF = { 0 };

	reg_start(g, NULL);
	fwd_ready(&fwd);
	expect_ask("index", 0, 0);
	frame_nack(fwd.f.tag, 5, "busy", &out);
	fwd_send(&fwd, &out);
	worked_off();
	assert_int_equal(reg_logged(g, "event=link.nack"), 1);
	assert_int_equal(reg_logged(g, "unsolicited"), 0);
	/* Data that nobody asked for is none. */
	fwd_greet(&fwd);
	expect_ask("index", 0, 0);
	send_none(fwd.f.tag + 1000);
	worked_off();
	assert_int_equal(reg_logged(g, "event=carry.unsolicited"), 1);
}

/* It may have been a moment too early. */
static void
a_service_that_had_nothing_is_soon_asked_once_more(void **state)
{
	struct reg_lab *g = *state;

	reg_start(g, NULL);
	fwd_ready(&fwd);
	expect_ask("index", 0, 0);
	send_none(fwd.f.tag);
	expect_ask("index", 0, 0);
	send_none(fwd.f.tag);
	worked_off();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_piece_comes_in_parts_and_survives_a_restart),
		TEST(nothing_newer_keeps_what_is_there),
		TEST(only_the_services_word_is_believed),
		TEST(a_lower_version_is_refused),
		TEST(one_that_changes_while_it_comes_begins_anew),
		TEST(what_the_index_no_longer_lists_is_given_up),
		TEST(a_deny_list_counts_when_it_is_whole_and_can_be_read),
		TEST(what_is_stale_is_told),
		TEST(a_service_that_says_later_is_asked_later),
		TEST(a_service_that_had_nothing_is_soon_asked_once_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
