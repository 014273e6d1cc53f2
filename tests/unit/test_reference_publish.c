/* Reference data at the service: versions, signatures, what sites are told. */
#include "tests/unit/ledger_lab.h"

#include <poll.h>

#include "common/base/cbor.h"
#include "common/service/reference.h"

static struct service_conf conf = { .name = (char *)(uintptr_t) "ra" };
static struct service svc;

static void
svc_open(void)
{
	struct err e = ERR_INIT;

	svc = (struct service){
		.conf = &conf, .signer = lab->service, .ledger = ledger
	};
	assert_non_null(svc.loop = loop_new(&e));
	svc.reference = reference_new(&svc);
}

static void
svc_close(void)
{
	ledger_close(STEAL(ledger));
	reference_free(svc.reference);
	loop_free(svc.loop);
}

static int
begin(void **state)
{
	setenv("WAYBILL_CLOCK", "rtc", 1);
	assert_int_equal(setup(state), 0);
	svc_open();
	return 0;
}

static int
end(void **state)
{
	svc_close();
	return teardown(state);
}

static void
restart(void)
{
	svc_close();
	reopen();
	svc_open();
}

static void
stop(void *arg)
{
	loop_stop(arg);
}

/* Commits, and the index after them. */
static void
settle_down(void)
{
	struct timer *t = timer_new(svc.loop, stop, svc.loop);

	timer_set(t, 400);
	loop_run(svc.loop);
	timer_free(t);
}

static void
publish(const char *name, const char *text, uint64_t until)
{
	struct err e = ERR_INIT;

	if (reference_publish(
		&svc, name, bytes_of(text, strlen(text)), until, &e) == -1)
		fail_msg("%s", e.msg);
}

struct told {
	struct frame_manifest m; /* version 0: nothing newer */
	struct buf octets;
};

static void
ask(const char *name, uint64_t have, unsigned part, struct told *ret)
{
	struct frame q = { .type = FRAME_ASK, .tag = 9 };
	struct frame f AUTO_FRAME = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	str_copy(q.u.ask.name, sizeof(q.u.ask.name), name);
	q.u.ask.have = have;
	q.u.ask.part = part;
	reference_answer(svc.reference, &q, &out);
	if (frame_parse(buf_bytes(&out), &f, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(f.type, FRAME_DATA);
	assert_int_equal(f.tag, 9);
	*ret = (struct told){ .m = { .version = 0 } };
	if (f.u.data.manifest.len == 0)
		return;
	if (sign_check(lab->service->cert, FRAME_DATA_LABEL, f.u.data.manifest,
		f.u.data.sig, &e) == -1 ||
	    frame_manifest_parse(f.u.data.manifest, &ret->m, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(ret->m.name, name);
	assert_string_equal(ret->m.service, "ra");
	ret->octets = bytes_dup(f.u.data.octets);
}

static uint64_t
version_of(const char *name)
{
	struct told t;

	ask(name, 0, 0, &t);
	buf_done(&t.octets);
	return t.m.version;
}

/* ---- the tests --------------------------------------------------------- */

static void
nothing_is_told_before_it_is_committed(void **state)
{
	struct told t;

	(void)state;
	publish("crl", "a list", 1900000000);
	assert_int_equal(version_of("crl"), 0);
	settle_down();
	ask("crl", 0, 0, &t);
	assert_int_equal(t.m.until, 1900000000);
	assert_in_range(t.m.version, clock_now().time - 5, clock_now().time);
	assert_true(bytes_eq(buf_bytes(&t.octets), bytes_of("a list", 6)));
	buf_done(&t.octets);
	ask("crl", t.m.version, 0, &t);
	assert_int_equal(t.m.version, 0);
	ask("deny", 0, 0, &t);
	assert_int_equal(t.m.version, 0);
}

static void
a_version_stays_until_something_changes(void **state)
{
	uint64_t first, second;

	(void)state;
	publish("crl", "a list", 1900000000);
	settle_down();
	assert_true((first = version_of("crl")) > 0);
	publish("crl", "a list", 1900000000);
	settle_down();
	assert_int_equal(version_of("crl"), first);
	restart();
	publish("crl", "a list", 1900000000);
	assert_int_equal(version_of("crl"), first);
	publish("crl", "another", 1900000000);
	settle_down();
	assert_true((second = version_of("crl")) > first);
	publish("crl", "another", 1900000001);
	settle_down();
	assert_true(version_of("crl") > second);
}

/* The ledger was put back: a site knows of a version that it does not. */
static void
who_was_put_back_goes_on_behind_what_sites_have(void **state)
{
	uint64_t first, later;

	(void)state;
	publish("crl", "a list", 1900000000);
	settle_down();
	first = version_of("crl");
	poll(NULL, 0, 1100);
	later = clock_now().time - 1;
	if (later <= first)
		later = first + 1;
	poll(NULL, 0, 2100);
	ask("crl", later, 0, &(struct told){ .m = { .version = 0 } });
	settle_down();
	assert_true(version_of("crl") > later);
	/* Not as often as it likes. */
	first = version_of("crl");
	poll(NULL, 0, 2100);
	ask("crl", first + 1, 0, &(struct told){ .m = { .version = 0 } });
	settle_down();
	assert_int_equal(version_of("crl"), first);
}

static void
a_version_that_is_no_time_yet_is_a_liars(void **state)
{
	uint64_t first;

	(void)state;
	publish("crl", "a list", 1900000000);
	settle_down();
	first = version_of("crl");
	ask("crl", UINT64_MAX - 1, 0, &(struct told){ .m = { .version = 0 } });
	settle_down();
	assert_int_equal(version_of("crl"), first);
}

static void
parts_make_the_whole(void **state)
{
	struct buf big AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	struct told t;
	size_t n = 0;

	(void)state;
	memset(buf_grow(&big, 2 * FRAME_PART + 5), 'z', 2 * FRAME_PART + 5);
	assert_int_equal(
	    reference_publish(&svc, "crl", buf_bytes(&big), 0, &e), 0);
	settle_down();
	for (unsigned part = 0; part < 3; part++) {
		ask("crl", 0, part, &t);
		assert_int_equal(t.m.parts, 3);
		assert_int_equal(t.octets.len, part < 2 ? FRAME_PART : 5);
		n += t.octets.len;
		buf_done(&t.octets);
	}
	assert_int_equal(n, big.len);
	/* Its manifest tells how many there are. */
	ask("crl", 0, 3, &t);
	assert_int_equal(t.octets.len, FRAME_PART);
	buf_done(&t.octets);
	/* Nobody said for how long. */
	assert_int_equal(t.m.until, t.m.made + REFERENCE_TERM);
}

static void
index_of(char *ret, size_t size)
{
	char name[FRAME_DATA_NAME];
	struct cbor_in in;
	struct told t;
	struct err e = ERR_INIT;
	size_t n;

	ask(REFERENCE_INDEX, 0, 0, &t);
	cbor_read_init(&in, buf_bytes(&t.octets), "index");
	n = cbor_read_array_upto(&in, 0, 8);
	*ret = '\0';
	while (n-- > 0) {
		cbor_read_array(&in, 2);
		cbor_read_text(&in, name, sizeof(name));
		if (cbor_read_uint(&in, UINT64_MAX) != version_of(name))
			fail_msg("%s: another version", name);
		snprintf(ret + strlen(ret), size - strlen(ret), "%s ", name);
	}
	assert_int_equal(cbor_read_end(&in, &e), 0);
	buf_done(&t.octets);
}

static void
the_index_lists_what_there_is(void **state)
{
	char text[200];
	uint64_t before;

	(void)state;
	settle_down();
	index_of(text, sizeof(text));
	assert_string_equal(text, "");
	publish("crl", "a list", 0);
	publish("template/pump", "a template", 0);
	settle_down();
	index_of(text, sizeof(text));
	assert_non_null(strstr(text, "crl "));
	assert_non_null(strstr(text, "template/pump "));
	before = version_of(REFERENCE_INDEX);
	reference_withdraw(&svc, "crl");
	reference_withdraw(&svc, "nothing");
	settle_down();
	index_of(text, sizeof(text));
	assert_string_equal(text, "template/pump ");
	assert_true(version_of(REFERENCE_INDEX) > before);
	assert_int_equal(version_of("crl"), 0);
}

static void
names_and_sizes_are_checked(void **state)
{
	static const char *const names[] = { "", "index", "../x", "Crl" };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < NELEMS(names); i++)
		assert_int_equal(
		    reference_publish(&svc, names[i], bytes_of("x", 1), 0, &e),
		    -1);
	assert_int_equal(
	    reference_publish(&svc, "crl", bytes_of("", 0), 0, &e), -1);
	assert_int_equal(e.kind, ERR_INPUT);
}

#define REFERENCE_TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REFERENCE_TEST(nothing_is_told_before_it_is_committed),
		REFERENCE_TEST(a_version_stays_until_something_changes),
		REFERENCE_TEST(who_was_put_back_goes_on_behind_what_sites_have),
		REFERENCE_TEST(a_version_that_is_no_time_yet_is_a_liars),
		REFERENCE_TEST(parts_make_the_whole),
		REFERENCE_TEST(the_index_lists_what_there_is),
		REFERENCE_TEST(names_and_sizes_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
