#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/cbor.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/queue/entry.h"
#include "queue_signer.h"

static const uint8_t epoch[ENTRY_EPOCH_LEN] = { 0x3b, 0xc6, 0x40 };

/* tests/unit/golden/transitions.txt is what people read and review. */
static void
table_is_the_golden_one(void **state)
{
	struct buf got AUTO_BUF = { 0 }, want AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	entry_table(&got);
	if (file_read(GOLDEN "/transitions.txt", 65536, &want, &e) == -1)
		fail_msg("%s", e.msg);
	assert_string_equal(buf_cstr(&got), buf_cstr(&want));
}

static void
table_refuses_what_is_outside(void **state)
{
	(void)state;
	assert_int_equal(
	    entry_next(ENTRY_QUEUED, ENTRY_EV_HANDOUT), ENTRY_INFLIGHT);
	assert_int_equal(entry_next(ENTRY_STATE__MAX, 0), ENTRY_NONE);
	assert_int_equal(entry_next(ENTRY_QUEUED, ENTRY_EV__MAX), ENTRY_NONE);
	assert_int_equal(entry_next(ENTRY_NONE, ENTRY_EV_DIE), ENTRY_NONE);
	assert_string_equal(entry_state_name(ENTRY_STATE__MAX), "unknown");
	assert_string_equal(entry_kind_name(0), "unknown");
	assert_string_equal(entry_event_name(ENTRY_EV__MAX), "unknown");
}

/* No event leads out of an end, nor back to where an entry may still leave. */
static void
table_has_no_way_back(void **state)
{
	enum entry_state s, to;
	enum entry_event ev;

	(void)state;
	for (s = ENTRY_RECEIVED; s < ENTRY_STATE__MAX; s++)
		for (ev = 0; ev < ENTRY_EV__MAX; ev++) {
			if ((to = entry_next(s, ev)) == ENTRY_NONE)
				continue;
			assert_true(to >= s);
			if (entry_terminal(s))
				assert_int_equal(to, s);
		}
}

static void
ids_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t want;
		const char *why;
	} cases[] = {
		{ "7F3%-00012", 0, 12 },
		{ "7f3%-12", 0, 12 },
		{ "7F3%-000000000000012", 0, 12 },
		{ "7F3%-OOOl2", 0, 12 },
		{ "12", 0, 12 },
		{ "00012", 0, 12 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -1, 0, "not a number" },
		{ "7F3%-00021", -1, 0, "check character" },
		{ "7F3%-00013", -1, 0, "check character" },
		{ "F73%-00012", -1, 0, "check character" },
		{ "7F3%-", -1, 0, "not a number" },
		{ "7F3%-12 ", -1, 0, "not a number" },
		{ "7F3%-1-2", -1, 0, "not a number" },
		{ "7F3%-0x12", -1, 0, "not a number" },
		{ "7U3%-00012", -1, 0, "character 'U'" },
		{ "7F3-00012", -1, 0, "form" },
		{ "", -1, 0, "not a number" },
		{ "0", -1, 0, "not a number" },
		{ "-5", -1, 0, "form" },
		{ "everything", -1, 0, "not a number" },
	};
	char text[ENTRY_ID_TEXT], good[ENTRY_ID_TEXT], *p;
	struct err e;
	uint64_t got;
	size_t i;

	(void)state;
	assert_int_equal(memcmp(entry_id_format(good, epoch, 12), "7F3", 3), 0);
	assert_string_equal(good + 4, "-00012");
	for (i = 0; i < NELEMS(cases); i++) {
		str_copy(text, sizeof(text), cases[i].text);
		if ((p = strchr(text, '%')) != NULL)
			*p = good[3];
		got = 7777;
		assert_int_equal(
		    entry_id_parse(text, epoch, &got, &e), cases[i].rc);
		assert_int_equal(got, cases[i].rc == 0 ? cases[i].want : 7777);
		if (cases[i].rc == 0)
			continue;
		assert_int_equal(e.kind, ERR_INPUT);
		assert_non_null(strstr(e.msg, cases[i].why));
	}
}

static void
ids_of_another_epoch(void **state)
{
	static const uint8_t other[ENTRY_EPOCH_LEN] = { 0x3b, 0xc8, 0xff };
	char text[ENTRY_ID_TEXT];
	uint64_t got = 7777;
	struct err e;

	(void)state;
	entry_id_format(text, other, 12);
	assert_int_equal(entry_id_parse(text, epoch, &got, &e), -1);
	assert_non_null(strstr(e.msg, "another epoch"));
	assert_int_equal(got, 7777);
}

/* Every single wrong digit, and every two neighbours exchanged. */
static void
ids_find_slips(void **state)
{
	char good[ENTRY_ID_TEXT], text[ENTRY_ID_TEXT], c;
	uint64_t got;
	struct err e;
	size_t i;

	(void)state;
	entry_id_format(good, epoch, 9081726354);
	for (i = 5; good[i] != '\0'; i++) {
		for (c = '0'; c <= '9'; c++) {
			strcpy(text, good);
			text[i] = c;
			assert_int_equal(entry_id_parse(text, epoch, &got, &e),
			    c == good[i] ? 0 : -1);
		}
		strcpy(text, good);
		if (good[i + 1] == '\0')
			break;
		text[i] = good[i + 1];
		text[i + 1] = good[i];
		assert_int_equal(entry_id_parse(text, epoch, &got, &e), -1);
	}
}

/* Computed by hand from the CBOR of DECISIONS 7. */
static void
keys_are_over_the_array(void **state)
{
	static const uint8_t once[] = "\x83\x6ewaybill-once/1\x01\x43"
				      "abc";
	uint8_t row[60] = "\x85\x6cwaybill-tx/1\x01\x58\x20";
	struct digest spki, got, want;

	(void)state;
	memset(spki.b, 0x5a, sizeof(spki.b));
	memset(row + 17, 0x5a, 32);
	memcpy(row + 49, "\x44tx01\x00", 6);
	got = entry_row(ENTRY_CMP, &spki, bytes_of("tx01", 4), 0);
	want = digest_of(row, 55);
	assert_true(digest_eq(&got, &want));
	got = entry_once(ENTRY_CMP, bytes_of("abc", 3));
	want = digest_of(once, sizeof(once) - 1);
	assert_true(digest_eq(&got, &want));
	got = entry_row(ENTRY_CMP, &spki, bytes_of("tx01", 4), 1);
	want = digest_of(row, 55);
	assert_false(digest_eq(&got, &want));
}

static void
facts_replace_cut_and_clean(void **state)
{
	struct facts f = { 0 };
	char value[FACT_VALUE_MAX + 10];

	(void)state;
	facts_set(&f, "vendor", FACT_REGISTRAR, "acme");
	facts_set(&f, "vendor", FACT_END_TO_END, "emca");
	assert_int_equal(f.n, 1);
	assert_string_equal(facts_get(&f, "vendor")->value, "emca");
	assert_int_equal(facts_get(&f, "vendor")->level, FACT_END_TO_END);
	assert_null(facts_get(&f, "profile"));
	/* Cut inside of a two-octet character: the whole character goes. */
	memset(value, 'a', sizeof(value));
	memcpy(value + FACT_VALUE_MAX - 2, "\xc3\xa9", 2);
	value[sizeof(value) - 1] = '\0';
	facts_set(&f, "vendor", FACT_CLAIMED, value);
	assert_int_equal(strlen(f.v[0].value), FACT_VALUE_MAX - 2);
	facts_set(&f, "vendor", FACT_CLAIMED, "gr\xfc\xdf");
	assert_string_equal(f.v[0].value, "gr??");
	facts_set(&f, "vendor", FACT_CLAIMED, "a\nb\x7f\xc3\xa9");
	assert_string_equal(f.v[0].value, "a?b?\xc3\xa9");
}

static void
facts_read_strictly(void **state)
{
	static const struct {
		const char *what;
		struct {
			const char *name;
			unsigned level;
		} v[2];
		int rc;
	} cases[] = {
		{ "plain", { { "vendor", 1 }, { "tls.same-signer", 2 } }, 0 },
		{ "twice", { { "vendor", 1 }, { "vendor", 2 } }, -1 },
		{ "no name", { { "", 1 }, { "x", 1 } }, -1 },
		{ "capital", { { "Vendor", 1 }, { "x", 1 } }, -1 },
		{ "level", { { "vendor", FACT__MAX }, { "x", 1 } }, -1 },
	};
	struct err e = ERR_INIT;
	struct cbor_in in;
	struct facts f;
	size_t i, k;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		struct buf b AUTO_BUF = { 0 };

		cbor_write_array(&b, 2);
		for (k = 0; k < 2; k++) {
			cbor_write_array(&b, 3);
			cbor_write_text(&b, cases[i].v[k].name);
			cbor_write_uint(&b, cases[i].v[k].level);
			cbor_write_text(&b, "v");
		}
		cbor_read_init(&in, buf_bytes(&b), cases[i].what);
		facts_read(&in, &f);
		assert_int_equal(cbor_read_end(&in, &e), cases[i].rc);
		assert_int_equal(f.n, cases[i].rc == 0 ? 2 : 0);
	}
}

static struct entry_header
example(void)
{
	struct entry_header h = { .site = "substation-7",
		.id = 12,
		.kind = ENTRY_CMP,
		.step = 1,
		.received = { 1800000000, CLOCK_RTC, 7 },
		.deadline = 1802592000,
		.replaces = 3,
		.parent = 11 };

	memcpy(h.epoch, epoch, sizeof(epoch));
	memset(h.digest.b, 1, DIGEST_LEN);
	memset(h.audit.b, 2, DIGEST_LEN);
	facts_set(&h.facts, "vendor", FACT_REGISTRAR, "acme");
	facts_set(&h.facts, "profile", FACT_END_TO_END, "");
	return h;
}

static void
header_goes_round(void **state)
{
	AUTO(signer) s = queue_signer("registrar");
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct entry_header h = example(), got;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(entry_header_sign(&h, s, &text, &sig, &e), 0);
	assert_int_equal(sign_check(s->cert, ENTRY_LABEL, buf_bytes(&text),
			     buf_bytes(&sig), &e),
	    0);
	assert_int_equal(sign_check(s->cert, "waybill-batch/1",
			     buf_bytes(&text), buf_bytes(&sig), &e),
	    -1);
	assert_int_equal(entry_header_parse(buf_bytes(&text), &got, &e), 0);
	assert_true(digest_eq(&got.signer, &s->id));
	assert_string_equal(got.site, h.site);
	assert_memory_equal(got.epoch, epoch, sizeof(epoch));
	assert_int_equal(got.id, 12);
	assert_int_equal(got.kind, ENTRY_CMP);
	assert_int_equal(got.step, 1);
	assert_true(digest_eq(&got.digest, &h.digest));
	assert_memory_equal(&got.received, &h.received, sizeof(h.received));
	assert_int_equal(got.deadline, h.deadline);
	assert_memory_equal(&got.facts, &h.facts, sizeof(h.facts));
	assert_true(digest_eq(&got.audit, &h.audit));
	assert_int_equal(got.replaces, 3);
	assert_int_equal(got.parent, 11);
}

static void
header_cut_anywhere_is_refused(void **state)
{
	AUTO(signer) s = queue_signer("registrar");
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct entry_header h = example(), got, before;
	struct err e = ERR_INIT;
	size_t n;

	(void)state;
	assert_int_equal(entry_header_sign(&h, s, &text, &sig, &e), 0);
	memset(&got, 0x77, sizeof(got));
	before = got;
	for (n = 0; n < text.len; n++) {
		/* A copy of its own, so that reading on would be seen. */
		struct buf cut AUTO_BUF = bytes_dup(bytes_of(text.data, n));

		assert_int_equal(
		    entry_header_parse(buf_bytes(&cut), &got, &e), -1);
		assert_int_equal(e.kind, ERR_INPUT);
	}
	buf_add(&text, "", 1);
	assert_int_equal(entry_header_parse(buf_bytes(&text), &got, &e), -1);
	assert_memory_equal(&got, &before, sizeof(got));
}

/* What would not be read is not signed, and leaves nothing behind. */
static void
header_without_sense_is_not_signed(void **state)
{
	AUTO(signer) s = queue_signer("registrar");
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct entry_header bad[6];
	struct err e = ERR_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(bad); i++)
		bad[i] = example();
	strcpy(bad[0].site, "Not a name");
	bad[1].id = 0;
	bad[2].kind = 0;
	bad[3].parent = 0;
	bad[4].replaces = bad[4].id;
	bad[5].step = ENTRY_STEP_MAX + 1;
	for (i = 0; i < NELEMS(bad); i++) {
		assert_int_equal(
		    entry_header_sign(&bad[i], s, &text, &sig, &e), -1);
		assert_int_equal(e.kind, ERR_LOCAL);
	}
	assert_int_equal(text.len + sig.len, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_the_golden_one),
		cmocka_unit_test(table_refuses_what_is_outside),
		cmocka_unit_test(table_has_no_way_back),
		cmocka_unit_test(ids_as_people_write_them),
		cmocka_unit_test(ids_of_another_epoch),
		cmocka_unit_test(ids_find_slips),
		cmocka_unit_test(keys_are_over_the_array),
		cmocka_unit_test(facts_replace_cut_and_clean),
		cmocka_unit_test(facts_read_strictly),
		cmocka_unit_test(header_goes_round),
		cmocka_unit_test(header_cut_anywhere_is_refused),
		cmocka_unit_test(header_without_sense_is_not_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
