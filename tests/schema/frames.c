/*
 * Frames for the schemas' test: makes one of each type, and says of frames what
 * the programs say of them.
 *
 *   frames make DIR    DIR/TYPE.cbor
 *   frames check       each line of hex from standard input: "ok" or why not
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/link/frame.h"
#include "tests/unit/queue_signer.h"

/* ---- make -------------------------------------------------------------- */

static const char *top;

static void
must(int rc, const struct err *e)
{
	if (rc == -1)
		err_die(e->msg);
}

static void
keep(const char *name, struct buf *b)
{
	char file[64];
	struct err e = ERR_INIT;

	snprintf(file, sizeof(file), "%s.cbor", name);
	AUTO(char) path = path_join(top, file);
	must(file_write(path, 0644, buf_bytes(b), &e), &e);
	buf_reset(b);
}

static void
make_hello(const struct signer *s)
{
	struct frame_hello h = { .site = "north",
		.service = "ra",
		.site_next_id = 13,
		.service_seq = 70000,
		.time = 1800000000,
		.audit = { { 1 } } };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	must(frame_hello(FRAME_HELLO, 1, &h, s, &out, &e), &e);
	keep("hello", &out);
	h.credit = 64;
	h.recover = true;
	must(frame_hello(FRAME_WELCOME, UINT64_MAX, &h, s, &out, &e), &e);
	keep("welcome", &out);
}

static void
make_entry(const struct signer *s)
{
	struct entry_header h = { .site = "north",
		.id = 12,
		.kind = ENTRY_CMP,
		.received = { .time = 1800000000, .quality = CLOCK_RTC },
		.deadline = 1802592000,
		.replaces = 3 };
	struct frame_evidence x = { .octets = bytes_of("octets", 6),
		.state = ENTRY_CUSTODY };
	struct buf header AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	facts_set(&h.facts, "idevid.subject-serial", FACT_END_TO_END, "SN-1");
	facts_set(&h.facts, "profile", FACT_CLAIMED, "");
	must(entry_header_sign(&h, s, &header, &sig, &e), &e);
	x.header = buf_bytes(&header);
	x.sig = buf_bytes(&sig);
	frame_put(300, x.header, x.octets, x.sig, &out);
	keep("put", &out);
	frame_evidence(7, &x, &out);
	keep("evidence", &out);
	x.state = ENTRY_CONFIRMED;
	x.answer = bytes_of("answer", 6);
	frame_evidence(8, &x, &out);
	keep("evidence-answered", &out);
}

static void
make_batch(const struct signer *s)
{
	struct bytes answers[3] = { { NULL, 0 }, bytes_of("answer", 6) };
	struct batch_item items[3] = {
		{ .id = 12, .code = BATCH_STORED },
		{ .id = 13, .code = BATCH_ANSWERED, .has_answer = true },
		{ .id = 14, .code = BATCH_REFUSED, .reason = "no such vendor" },
	};
	struct batch b = { .service = "ra",
		.site = "north",
		.seq = 1,
		.time = 1800000000,
		.n = 3,
		.items = items };
	struct frame_batch f = { .n = 3, .answers = answers };
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	items[1].answer = digest_of(answers[1].p, answers[1].len);
	must(batch_sign(&b, s, &text, &sig, &e), &e);
	f.batch = buf_bytes(&text);
	f.sig = buf_bytes(&sig);
	frame_answers(FRAME_ANSWERS, 2, &f, 1, &out);
	keep("answers", &out);
	frame_answers(FRAME_ANSWERS, 2, NULL, 0, &out);
	keep("answers-none", &out);
	frame_answers(FRAME_STORED, 2, &f, 1, &out);
	keep("stored", &out);
}

static void
make_data(const struct signer *s)
{
	struct frame_manifest m = { .service = "ra",
		.name = "crl",
		.version = 9,
		.made = 1800000000,
		.until = 1800600000,
		.size = FRAME_PART + 1 };
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	must(frame_manifest_sign(&m, s, &text, &sig, &e), &e);
	frame_data(
	    5, buf_bytes(&text), buf_bytes(&sig), 1, bytes_of("x", 1), &out);
	keep("data", &out);
	frame_data(
	    5, bytes_of("", 0), bytes_of("", 0), 0, bytes_of("", 0), &out);
	keep("data-none", &out);
	frame_ask(5, "north", "crl", 8, 1, &out);
	keep("ask", &out);
}

static void
make_small(void)
{
	struct buf out AUTO_BUF = { 0 };

	frame_pull(4, "north", 7, 20, &out);
	keep("pull", &out);
	frame_got(5, "north", 8, &out);
	keep("got", &out);
	frame_ping(0, &out);
	keep("ping", &out);
	frame_nack(6, 30, "store is full", &out);
	keep("nack", &out);
	frame_link(true, "ra", &out);
	keep("link", &out);
	frame_sent(9, &out);
	keep("sent", &out);
}

static int
make(const char *dir)
{
	AUTO(signer) s = queue_signer("frames");

	top = dir;
	make_hello(s);
	make_entry(s);
	make_batch(s);
	make_data(s);
	make_small();
	return 0;
}

/* ---- check ------------------------------------------------------------- */

static int
check_hello(const struct frame *f, struct err *e)
{
	struct frame_hello h;

	return frame_hello_parse(f->u.hello.body, &h, e);
}

static int
check_put(const struct frame *f, struct err *e)
{
	struct entry_header h;

	return entry_header_parse(f->u.put.header, &h, e);
}

static int
check_evidence(const struct frame *f, struct err *e)
{
	struct entry_header h;

	return entry_header_parse(f->u.evidence.header, &h, e);
}

static int
check_batches(const struct frame *f, struct err *e)
{
	for (size_t i = 0; i < f->u.answers.n; i++) {
		struct batch b AUTO_BATCH = { 0 };

		if (batch_parse(f->u.answers.v[i].batch, &b, e) == -1)
			return -1;
	}
	return 0;
}

static int
check_data(const struct frame *f, struct err *e)
{
	struct frame_manifest m;

	return f->u.data.manifest.len == 0
	    ? 0
	    : frame_manifest_parse(f->u.data.manifest, &m, e);
}

/* What is in the octet strings of a frame. */
static int (*const deeper[FRAME_TYPE__MAX])(
    const struct frame *f, struct err *e) = {
	[FRAME_HELLO] = check_hello,
	[FRAME_WELCOME] = check_hello,
	[FRAME_PUT] = check_put,
	[FRAME_STORED] = check_batches,
	[FRAME_ANSWERS] = check_batches,
	[FRAME_EVIDENCE] = check_evidence,
	[FRAME_DATA] = check_data,
};

static int
check_frame(struct bytes in, struct err *e)
{
	struct frame f AUTO_FRAME = { 0 };

	if (frame_parse(in, &f, e) == -1)
		return -1;
	return deeper[f.type] != NULL ? deeper[f.type](&f, e) : 0;
}

static void
check_line(const char *hex)
{
	struct buf b AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	size_t n = strlen(hex) / 2;

	must(hex_parse(hex, buf_grow(&b, n), n, &e), &e);
	printf("%s\n", check_frame(buf_bytes(&b), &e) == 0 ? "ok" : e.msg);
}

static int
check(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		check_line(line);
	}
	free(line);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "make") == 0)
		return make(argv[2]);
	if (argc == 2 && strcmp(argv[1], "check") == 0)
		return check();
	fprintf(stderr, "usage: frames make DIR | check\n");
	return 2;
}
