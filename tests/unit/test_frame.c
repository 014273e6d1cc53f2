#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/str.h"
#include "common/link/frame.h"

#define B(s) ((struct bytes){ (const uint8_t *)(s), sizeof(s) - 1 })

static struct signer *
new_signer(void)
{
	AUTO(EVP_PKEY) key = ossl_new_key_p256();
	AUTO(X509) x = X509_new();

	assert_non_null(x);
	assert_true(X509_set_pubkey(x, key));
	assert_true(X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL);
	assert_true(X509_gmtime_adj(X509_getm_notAfter(x), 3600) != NULL);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return signer_new(key, x, NULL);
}

static void
must_parse(
    const struct buf *b, enum frame_type type, uint64_t tag, struct frame *ret)
{
	struct err e = ERR_INIT;
	enum frame_type peeked;
	uint64_t peeked_tag;

	if (frame_parse(buf_bytes(b), ret, &e) == -1)
		fail_msg("%s", e.msg);
	assert_int_equal(ret->type, type);
	assert_int_equal(ret->tag, tag);
	assert_int_equal(frame_peek(buf_bytes(b), &peeked, &peeked_tag, &e), 0);
	assert_int_equal(peeked, type);
	assert_int_equal(peeked_tag, tag);
}

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
		cmocka_unit_test(put_comes_back_octet_for_octet),
		cmocka_unit_test(small_frames_come_back),
		cmocka_unit_test(nack_tells_any_reason_as_text),
		cmocka_unit_test(batches_come_back_with_their_answers),
		cmocka_unit_test(batch_size_counts_every_width),
		cmocka_unit_test(stored_holds_one_batch),
		cmocka_unit_test(hello_comes_back_signed),
		cmocka_unit_test(highest_version_in_common_is_chosen),
		cmocka_unit_test(hello_with_versions_upside_down_is_refused),
		cmocka_unit_test(
		    evidence_comes_back_with_and_without_an_answer),
		cmocka_unit_test(evidence_is_of_entries_that_had_left),
		cmocka_unit_test(ask_and_data_come_back),
		cmocka_unit_test(names_of_data_are_plain),
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
