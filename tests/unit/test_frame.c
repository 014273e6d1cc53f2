/* Frames as they are written, read again. */
#include "frame_lab.h"

#include <string.h>

static void
put_comes_back_octet_for_octet(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };

	(void)state;
	frame_put(UINT64_MAX, B("head"), B("\0body"), B("sig"), &b);
	must_parse(&b, FRAME_PUT, UINT64_MAX, &f);
	assert_true(bytes_eq(f.u.put.header, B("head")));
	assert_true(bytes_eq(f.u.put.octets, B("\0body")));
	assert_true(bytes_eq(f.u.put.sig, B("sig")));
}

static void
small_frames_come_back(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };

	(void)state;
	frame_pull(7, "north", UINT64_MAX, 99, &b);
	must_parse(&b, FRAME_PULL, 7, &f);
	assert_string_equal(f.u.pull.site, "north");
	assert_int_equal(f.u.pull.since, UINT64_MAX);
	assert_int_equal(f.u.pull.wait, 20); /* more is not asked for */
	buf_reset(&b);
	frame_got(8, "north", 41, &b);
	must_parse(&b, FRAME_GOT, 8, &f);
	assert_string_equal(f.u.got.site, "north");
	assert_int_equal(f.u.got.upto, 41);
	buf_reset(&b);
	frame_ping(9, &b);
	must_parse(&b, FRAME_PING, 9, &f);
	buf_reset(&b);
	frame_link(true, "ra", &b);
	must_parse(&b, FRAME_LINK, 0, &f);
	assert_true(f.u.link.up);
	assert_string_equal(f.u.link.service, "ra");
	buf_reset(&b);
	frame_sent(10, &b);
	must_parse(&b, FRAME_SENT, 10, &f);
}

static void
nack_tells_any_reason_as_text(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };
	char reason[400];

	(void)state;
	frame_nack(1, 5, "store is full", &b);
	must_parse(&b, FRAME_NACK, 1, &f);
	assert_string_equal(f.u.nack.reason, "store is full");
	assert_int_equal(f.u.nack.retry_after, 5);
	buf_reset(&b);
	frame_nack(2, UINT32_MAX, "bad \xff octet", &b);
	must_parse(&b, FRAME_NACK, 2, &f);
	assert_string_equal(f.u.nack.reason, "bad ? octet");
	assert_int_equal(f.u.nack.retry_after, 86400);
	/* 159 octets cut the last of these two-octet characters in half. */
	memset(reason, 0, sizeof(reason));
	for (size_t i = 0; i < 198; i += 2)
		memcpy(reason + i, "\xc3\xa4", 2);
	buf_reset(&b);
	frame_nack(3, 0, reason, &b);
	must_parse(&b, FRAME_NACK, 3, &f);
	assert_int_equal(strlen(f.u.nack.reason), 159);
}

static void
batches_come_back_with_their_answers(void **state)
{
	struct bytes one[3] = { B("answer"), { NULL, 0 }, B("third") };
	struct frame_batch v[2] = {
		{ B("batch one"), B("sig one"), 3, one },
		{ B("batch two"), B("sig two"), 0, NULL },
	};
	struct buf b AUTO_BUF = { 0 }, none AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 }, g AUTO_FRAME = { 0 };

	(void)state;
	frame_answers(FRAME_ANSWERS, 3, v, 2, &b);
	must_parse(&b, FRAME_ANSWERS, 3, &f);
	assert_int_equal(f.u.answers.n, 2);
	assert_true(bytes_eq(f.u.answers.v[0].batch, B("batch one")));
	assert_true(bytes_eq(f.u.answers.v[1].sig, B("sig two")));
	assert_int_equal(f.u.answers.v[0].n, 3);
	assert_true(bytes_eq(f.u.answers.v[0].answers[0], one[0]));
	assert_int_equal(f.u.answers.v[0].answers[1].len, 0);
	assert_true(bytes_eq(f.u.answers.v[0].answers[2], one[2]));
	assert_int_equal(f.u.answers.v[1].n, 0);
	frame_answers(FRAME_ANSWERS, 3, NULL, 0, &none);
	must_parse(&none, FRAME_ANSWERS, 3, &g);
	assert_int_equal(g.u.answers.n, 0);
	assert_int_equal(b.len,
	    none.len + frame_batch_size(&v[0]) + frame_batch_size(&v[1]));
}

/* frame_batch_size is what fills an ANSWERS frame up to its limit, so every
 * width of a length must be counted right. */
static void
batch_size_counts_every_width(void **state)
{
	static const size_t sizes[] = { 0, 1, 23, 24, 255, 256, 65535, 65536,
		100000 };
	static uint8_t zeros[100000];
	struct buf b AUTO_BUF = { 0 }, none AUTO_BUF = { 0 };

	(void)state;
	frame_answers(FRAME_ANSWERS, 1, NULL, 0, &none);
	for (size_t i = 0; i < NELEMS(sizes); i++) {
		struct bytes answers[30] = { { zeros, sizes[i] } };
		struct frame_batch v = { { zeros, sizes[i] }, B("s"), 30,
			answers };

		buf_reset(&b);
		frame_answers(FRAME_ANSWERS, 1, &v, 1, &b);
		assert_int_equal(b.len, none.len + frame_batch_size(&v));
	}
}

static void
stored_holds_one_batch(void **state)
{
	struct frame_batch v = { B("batch"), B("sig"), 0, NULL };
	struct buf b AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };

	(void)state;
	frame_answers(FRAME_STORED, 12, &v, 1, &b);
	must_parse(&b, FRAME_STORED, 12, &f);
	assert_int_equal(f.u.answers.n, 1);
	assert_true(bytes_eq(f.u.answers.v[0].batch, B("batch")));
}

static void
hello_comes_back_signed(void **state)
{
	AUTO(signer) s = new_signer();
	struct frame_hello h = { .site = "north",
		.service = "ra",
		.site_epoch = { 1 },
		.site_next_id = 500,
		.service_epoch = { 2 },
		.service_seq = 77,
		.nonce = { 3 },
		.time = 1700000000,
		.credit = 64,
		.recover = true,
		.audit = { { 5 } } };
	struct frame_hello got = { 0 };
	struct buf b AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(frame_hello(FRAME_WELCOME, 4, &h, s, &b, &e), 0);
	must_parse(&b, FRAME_WELCOME, 4, &f);
	assert_int_equal(sign_check(s->cert, FRAME_HELLO_LABEL, f.u.hello.body,
			     f.u.hello.sig, &e),
	    0);
	assert_int_equal(
	    sign_check(s->cert, BATCH_LABEL, f.u.hello.body, f.u.hello.sig, &e),
	    -1);
	assert_int_equal(frame_hello_parse(f.u.hello.body, &got, &e), 0);
	assert_true(digest_eq(&got.signer, &s->id));
	assert_int_equal(got.version_low, FRAME_VERSION_LOW);
	assert_int_equal(got.version_high, FRAME_VERSION_HIGH);
	assert_memory_equal(&got, &h, sizeof(h));
}

/* Peers of later builds say versions that this one does not know. */
static void
highest_version_in_common_is_chosen(void **state)
{
	static const struct {
		unsigned low, high;
		int rc;
		unsigned want;
	} cases[] = {
		{ 1, 1, 0, 1 },
		{ 1, 7, 0, 1 },
		{ 2, 2, -1, 7777 },
		{ 2, 65535, -1, 7777 },
	};
	AUTO(signer) s = new_signer();
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++) {
		struct frame_hello h = { .site = "north",
			.service = "ra",
			.version_low = cases[i].low,
			.version_high = cases[i].high };
		struct frame_hello got;
		struct buf b AUTO_BUF = { 0 };
		struct frame f AUTO_FRAME = { 0 };
		unsigned v = 7777;

		assert_int_equal(frame_hello(FRAME_HELLO, 1, &h, s, &b, &e), 0);
		must_parse(&b, FRAME_HELLO, 1, &f);
		assert_int_equal(
		    frame_hello_parse(f.u.hello.body, &got, &e), 0);
		assert_int_equal(frame_version(&got, &v, &e), cases[i].rc);
		assert_int_equal(v, cases[i].want);
		if (cases[i].rc == -1)
			assert_non_null(strstr(e.msg,
			    "no version in common: "
			    "2 to "));
	}
}

static void
evidence_comes_back_with_and_without_an_answer(void **state)
{
	struct frame_evidence x = { B("head"), B("body"), B("sig"),
		ENTRY_CUSTODY, { NULL, 0 } };
	struct buf b AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };

	(void)state;
	frame_evidence(5, &x, &b);
	must_parse(&b, FRAME_EVIDENCE, 5, &f);
	assert_true(bytes_eq(f.u.evidence.header, B("head")));
	assert_true(bytes_eq(f.u.evidence.octets, B("body")));
	assert_true(bytes_eq(f.u.evidence.sig, B("sig")));
	assert_int_equal(f.u.evidence.state, ENTRY_CUSTODY);
	assert_int_equal(f.u.evidence.answer.len, 0);
	x.state = ENTRY_CONFIRMED;
	x.answer = B("answer");
	buf_reset(&b);
	frame_evidence(6, &x, &b);
	must_parse(&b, FRAME_EVIDENCE, 6, &f);
	assert_int_equal(f.u.evidence.state, ENTRY_CONFIRMED);
	assert_true(bytes_eq(f.u.evidence.answer, B("answer")));
}

static void
evidence_is_of_entries_that_had_left(void **state)
{
	static const bool left[ENTRY_STATE__MAX] = {
		[ENTRY_INFLIGHT] = true,
		[ENTRY_CUSTODY] = true,
		[ENTRY_ANSWERED] = true,
		[ENTRY_DELIVERED] = true,
		[ENTRY_CONFIRMED] = true,
		[ENTRY_REFUSED] = true,
		[ENTRY_WITHDRAWN] = true,
	};
	uint8_t in[] = { 0x88, 1, 12, 1, 0x40, 0x40, 0x40, 0, 0xf6 };
	struct frame f = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	for (uint8_t s = 0; s < ENTRY_STATE__MAX; s++) {
		in[7] = s;
		assert_int_equal(frame_evidence_state(s), left[s]);
		assert_int_equal(frame_parse(bytes_of(in, sizeof(in)), &f, &e),
		    left[s] ? 0 : -1);
	}
}

static void
ask_and_data_come_back(void **state)
{
	struct buf b AUTO_BUF = { 0 };
	struct frame f AUTO_FRAME = { 0 };

	(void)state;
	frame_ask(3, "north", "crl", UINT64_MAX, 127, &b);
	must_parse(&b, FRAME_ASK, 3, &f);
	assert_string_equal(f.u.ask.site, "north");
	assert_string_equal(f.u.ask.name, "crl");
	assert_int_equal(f.u.ask.have, UINT64_MAX);
	assert_int_equal(f.u.ask.part, 127);
	buf_reset(&b);
	frame_data(3, B("manifest"), B("sig"), 2, B("octets"), &b);
	must_parse(&b, FRAME_DATA, 3, &f);
	assert_true(bytes_eq(f.u.data.manifest, B("manifest")));
	assert_true(bytes_eq(f.u.data.sig, B("sig")));
	assert_int_equal(f.u.data.part, 2);
	assert_true(bytes_eq(f.u.data.octets, B("octets")));
	buf_reset(&b);
	frame_data(4, B(""), B(""), 0, B(""), &b);
	must_parse(&b, FRAME_DATA, 4, &f);
	assert_int_equal(f.u.data.manifest.len, 0);
}

static void
names_of_data_are_plain(void **state)
{
	static const struct {
		const char *name;
		bool fine;
	} cases[] = {
		{ "ca-certs", true },
		{ "template/Default_1.2", true },
		{ "", false },
		{ "template/", false },
		{ "/default", false },
		{ "template/.hidden", false },
		{ "template/..", false },
		{ "a/b/c", false },
		{ "Template", false },
		{ "template/a b", false },
		{ "abcdefghijklmnopqrstuvwxyzabcdef/x", true },
		{ "abcdefghijklmnopqrstuvwxyzabcdefg/x", false },
	};
	char longest[FRAME_DATA_NAME + 1];

	(void)state;
	for (size_t i = 0; i < NELEMS(cases); i++)
		if (frame_data_name(cases[i].name) != cases[i].fine)
			fail_msg("'%s'", cases[i].name);
	memset(longest, 'x', sizeof(longest));
	longest[1] = '/';
	longest[FRAME_DATA_NAME - 1] = '\0';
	assert_true(frame_data_name(longest));
	longest[FRAME_DATA_NAME - 1] = 'x';
	longest[FRAME_DATA_NAME] = '\0';
	assert_false(frame_data_name(longest));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_comes_back_octet_for_octet),
		cmocka_unit_test(small_frames_come_back),
		cmocka_unit_test(nack_tells_any_reason_as_text),
		cmocka_unit_test(batches_come_back_with_their_answers),
		cmocka_unit_test(batch_size_counts_every_width),
		cmocka_unit_test(stored_holds_one_batch),
		cmocka_unit_test(hello_comes_back_signed),
		cmocka_unit_test(highest_version_in_common_is_chosen),
		cmocka_unit_test(
		    evidence_comes_back_with_and_without_an_answer),
		cmocka_unit_test(evidence_is_of_entries_that_had_left),
		cmocka_unit_test(ask_and_data_come_back),
		cmocka_unit_test(names_of_data_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
