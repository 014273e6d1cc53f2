/* Frames as nobody should send them, and the framing around them. */
#include "frame_lab.h"

#include <string.h>

static void
hello_with_versions_upside_down_is_refused(void **state)
{
	static const struct {
		unsigned low, high;
	} bad[] = { { 0, 1 }, { 2, 1 } };
	AUTO(signer) s = new_signer();
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < NELEMS(bad); i++) {
		struct frame_hello h = { .site = "north",
			.service = "ra",
			.version_low = bad[i].low,
			.version_high = bad[i].high };
		struct frame_hello got = { .time = 7777 };
		struct buf b AUTO_BUF = { 0 };
		struct frame f AUTO_FRAME = { 0 };

		assert_int_equal(frame_hello(FRAME_HELLO, 1, &h, s, &b, &e), 0);
		must_parse(&b, FRAME_HELLO, 1, &f);
		assert_int_equal(
		    frame_hello_parse(f.u.hello.body, &got, &e), -1);
		assert_non_null(strstr(e.msg, "versions from 1"));
		assert_int_equal(got.time, 7777);
	}
}

static void
part_over_its_limit_is_refused(void **state)
{
	static const uint8_t head[] = { 0x87, 1, 14, 1, 0x41, 'm', 0x41, 's', 0,
		0x5a, 0, FRAME_PART >> 16, 0, 0 };
	struct buf b AUTO_BUF = { 0 };
	struct frame f = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	buf_add(&b, head, sizeof(head));
	memset(buf_grow(&b, FRAME_PART + 1), 0x33, FRAME_PART + 1);
	b.data[sizeof(head) - 1] = 1;
	assert_int_equal(frame_parse(buf_bytes(&b), &f, &e), -1);
	assert_non_null(strstr(e.msg, "over its limit"));
	b.data[sizeof(head) - 1] = 0;
	b.len--;
	if (frame_parse(buf_bytes(&b), &f, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(f.u.data.octets.len, FRAME_PART);
}

static void
manifest_counts_its_parts(void **state)
{
	static const struct {
		size_t size;
		unsigned parts;
	} cases[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ FRAME_PART, 1 },
		{ FRAME_PART + 1, 2 },
		{ FRAME_DATA_MAX, FRAME_PARTS_MAX },
		{ FRAME_DATA_MAX + 1, 0 },
	};
	AUTO(signer) s = new_signer();
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct frame_manifest m = { .service = "ra",
			.name = "crl",
			.version = 3,
			.made = 1700000000,
			.size = cases[i].size,
			.digest = { { 9 } } };
		struct frame_manifest got = { .version = 7777 };
		struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };

		assert_int_equal(frame_parts(cases[i].size), cases[i].parts);
		assert_int_equal(frame_manifest_sign(&m, s, &text, &sig, &e),
		    cases[i].parts > 0 ? 0 : -1);
		assert_int_equal(text.len > 0, cases[i].parts > 0);
		if (text.len == 0)
			continue;
		assert_int_equal(
		    frame_manifest_parse(buf_bytes(&text), &got, &e), 0);
		assert_memory_equal(&got, &m, sizeof(m));
		assert_int_equal(sign_check(s->cert, FRAME_DATA_LABEL,
				     buf_bytes(&text), buf_bytes(&sig), &e),
		    0);
		assert_int_equal(sign_check(s->cert, FRAME_HELLO_LABEL,
				     buf_bytes(&text), buf_bytes(&sig), &e),
		    -1);
		/* One part more than there is. */
		for (size_t at = 0; at < text.len; at++) {
			struct buf bad AUTO_BUF = bytes_dup(buf_bytes(&text));

			bad.data[at] ^= 1;
			if (frame_manifest_parse(buf_bytes(&bad), &got, &e) ==
			    0)
				assert_int_equal(
				    got.parts, frame_parts(got.size));
		}
	}
}

/* Octets as a peer could send them, and the clause they must be refused by. */
static const struct {
	const char *what;
	struct bytes in;
	const char *why;
} hostile[] = {
	{ "nothing", { NULL, 0 }, "ends too early" },
	{ "not an array", B("\x01"), "expected an array" },
	{ "array of two", B("\x82\x01\x08"), "array of wrong length" },
	{ "version 2", B("\x83\x02\x08\x01"), "version is not 1" },
	{ "type 0", B("\x83\x01\x00\x01"), "unknown type" },
	{ "type 15", B("\x83\x01\x0f\x01"), "unknown type" },
	{ "type 2^32 + 8", B("\x83\x01\x1b\0\0\0\1\0\0\0\x08\x01"),
	    "unknown type" },
	{ "type as text", B("\x83\x01\x61x\x01"), "unsigned integer" },
	{ "long tag", B("\x83\x01\x08\x18\x01"), "longer than shortest" },
	{ "ping with a body", B("\x84\x01\x08\x01\x01"),
	    "frame PING: octet 4: wrong number of items" },
	{ "octets trail", B("\x83\x01\x08\x01\x00"), "octets trail" },
	{ "pull of no site", B("\x86\x01\x05\x01\x60\x00\x00"), "not a name" },
	{ "pull of ../x", B("\x86\x01\x05\x01\x64../x\x00\x00"), "not a name" },
	{ "pull of 21 s", B("\x86\x01\x05\x01\x61n\x00\x15"), "out of range" },
	{ "stored of nothing", B("\x84\x01\x04\x01\x80"),
	    "array of wrong length" },
	{ "stored of two", B("\x84\x01\x04\x01\x82"), "array of wrong length" },
	{ "65 batches", B("\x84\x01\x06\x01\x98\x41"),
	    "array of wrong length" },
	{ "257 answers",
	    B("\x84\x01\x06\x01\x81\x83\x41"
	      "b\x41s\x99\x01\x01"),
	    "array of wrong length" },
	{ "an empty answer",
	    B("\x84\x01\x06\x01\x81\x83\x41"
	      "b\x41s\x81\x40"),
	    "answer without octets" },
	{ "batch cut short",
	    B("\x84\x01\x06\x01\x81\x83\x41"
	      "b\x41s\x82\x41\x01"),
	    "ends too early" },
	{ "nack for a day and more",
	    B("\x85\x01\x09\x01\x1a\x00\x01\x51\x81\x60"), "out of range" },
	{ "nack not in UTF-8", B("\x85\x01\x09\x01\x00\x61\xff"), "UTF-8" },
	{ "evidence of what never left",
	    B("\x88\x01\x0c\x01\x40\x40\x40\x02\xf6"), "had not left" },
	{ "evidence with an empty answer",
	    B("\x88\x01\x0c\x01\x40\x40\x40\x05\x40"),
	    "answer without octets" },
	{ "evidence without an answer", B("\x87\x01\x0c\x01\x40\x40\x40\x03"),
	    "wrong number of items" },
	{ "ask for part 128", B("\x87\x01\x0d\x01\x61n\x61x\x00\x18\x80"),
	    "out of range" },
	{ "ask for a path", B("\x87\x01\x0d\x01\x61n\x62./\x00\x00"),
	    "not a name" },
	{ "data without manifest", B("\x87\x01\x0e\x01\x40\x40\x00\x41\x01"),
	    "missing" },
	{ "data without octets", B("\x87\x01\x0e\x01\x41m\x41s\x00\x40"),
	    "missing" },
	{ "data without signature", B("\x87\x01\x0e\x01\x41m\x40\x00\x41o"),
	    "missing" },
	{ "part 1 of nothing", B("\x87\x01\x0e\x01\x40\x40\x01\x40"),
	    "a part of nothing" },
	{ "link of 1", B("\x85\x01\x0a\x00\x01\x61r"), "true or false" },
};

static void
hostile_frames_are_refused(void **state)
{
	struct frame f, before;
	struct err e;

	(void)state;
	memset(&before, 0x77, sizeof(before));
	for (size_t i = 0; i < NELEMS(hostile); i++) {
		e = (struct err)ERR_INIT;
		memcpy(&f, &before, sizeof(f));
		if (frame_parse(hostile[i].in, &f, &e) != -1)
			fail_msg("%s: accepted", hostile[i].what);
		assert_int_equal(e.kind, ERR_INPUT);
		if (strstr(e.msg, hostile[i].why) == NULL)
			fail_msg("%s: %s", hostile[i].what, e.msg);
		assert_memory_equal(&f, &before, sizeof(f));
	}
}

/* The reader sees an allocation of exactly the octets there are, so that a
 * step behind them is seen by the sanitizers. */
static void
every_cut_is_refused(void **state)
{
	struct bytes answers[2] = { B("answer"), { NULL, 0 } };
	struct frame_batch v = { B("batch"), B("sig"), 2, answers };
	struct buf b AUTO_BUF = { 0 };
	struct frame f = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	frame_answers(FRAME_ANSWERS, 300, &v, 1, &b);
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *cut = xmalloc(n);

		memcpy(cut, b.data, n);
		assert_int_equal(frame_parse(bytes_of(cut, n), &f, &e), -1);
		assert_int_equal(f.type, 0);
		free(cut);
	}
}

static void
oversize_is_refused_unread(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	enum frame_type type = FRAME_GOT;
	struct frame f = { 0 };
	struct err e = ERR_INIT;
	uint64_t tag = 7;

	(void)state;
	memset(buf_grow(&b, FRAME_MAX + 1), 0x83, FRAME_MAX + 1);
	assert_int_equal(frame_parse(buf_bytes(&b), &f, &e), -1);
	assert_string_equal(e.msg, "frame: 262145 octets, limit 262144");
	assert_int_equal(frame_peek(buf_bytes(&b), &type, &tag, &e), -1);
	assert_int_equal(type, FRAME_GOT);
	assert_int_equal(tag, 7);
}

static void
carry_framing_waits_for_whole_frames(void **state)
{
	struct buf all AUTO_BUF = { 0 }, in AUTO_BUF = { 0 };
	struct bytes got = { NULL, 7777 };
	struct err e = ERR_INIT;

	(void)state;
	frame_wrap(B("first"), &all);
	frame_wrap(B("2"), &all);
	for (size_t i = 0; i < 8; i++) {
		buf_add(&in, all.data + i, 1);
		assert_int_equal(frame_next(&in, &got, &e), 0);
		assert_int_equal(got.len, 7777);
	}
	buf_add(&in, all.data + 8, all.len - 8);
	assert_int_equal(frame_next(&in, &got, &e), 1);
	assert_true(bytes_eq(got, B("first")));
	buf_drop(&in, 4 + got.len);
	assert_int_equal(frame_next(&in, &got, &e), 1);
	assert_true(bytes_eq(got, B("2")));
	buf_drop(&in, 4 + got.len);
	assert_int_equal(frame_next(&in, &got, &e), 0);
}

static void
carry_framing_refuses_lengths(void **state)
{
	static const struct {
		const char *what;
		struct bytes in;
		int rc;
	} cases[] = {
		{ "empty", B("\0\0\0\0"), -1 },
		{ "the most", B("\0\x04\0\0"), 0 },
		{ "one more", B("\0\x04\0\1"), -1 },
		{ "all ones", B("\xff\xff\xff\xff"), -1 },
	};
	struct bytes got = { NULL, 7777 };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct buf in AUTO_BUF = bytes_dup(cases[i].in);

		assert_int_equal(frame_next(&in, &got, &e), cases[i].rc);
		assert_int_equal(got.len, 7777);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_with_versions_upside_down_is_refused),
		cmocka_unit_test(part_over_its_limit_is_refused),
		cmocka_unit_test(manifest_counts_its_parts),
		cmocka_unit_test(hostile_frames_are_refused),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(oversize_is_refused_unread),
		cmocka_unit_test(carry_framing_waits_for_whole_frames),
		cmocka_unit_test(carry_framing_refuses_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
