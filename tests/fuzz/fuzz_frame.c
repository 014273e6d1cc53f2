/* Frames from the other end of the link, and what they carry: entry headers,
 * HELLO's bodies, batches, manifests. */
#include <stdlib.h>

#include "common/link/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_header(struct bytes in)
{
	struct entry_header h;
	struct err e = ERR_INIT;

	if (entry_header_parse(in, &h, &e) == -1) {
		if (e.kind != ERR_INPUT)
			abort();
	} else if (h.facts.n > FACTS_MAX || h.step > ENTRY_STEP_MAX ||
	    in.len > ENTRY_HEADER_MAX)
		abort();
}

static void
read_batch(struct bytes in)
{
	struct batch b AUTO_BATCH = { 0 };
	struct err e = ERR_INIT;

	if (batch_parse(in, &b, &e) == -1) {
		if (e.kind != ERR_INPUT || b.items != NULL)
			abort();
	} else if (b.n == 0 || b.n > BATCH_ITEMS_MAX || b.seq == 0)
		abort();
}

static void
read_hello(struct bytes in)
{
	struct frame_hello h;
	struct err e = ERR_INIT;

	if (frame_hello_parse(in, &h, &e) == -1 && e.kind != ERR_INPUT)
		abort();
}

static void
read_manifest(struct bytes in)
{
	struct frame_manifest m;
	struct err e = ERR_INIT;

	if (frame_manifest_parse(in, &m, &e) == -1) {
		if (e.kind != ERR_INPUT)
			abort();
	} else if (m.size == 0 || m.size > FRAME_DATA_MAX ||
	    m.parts != frame_parts(m.size) || m.parts > FRAME_PARTS_MAX ||
	    m.version == 0)
		abort();
}

/* Bytes stay bytes: there is one encoding, so writing what was read gives the
 * octets that came in. */
static void
write_again(struct bytes in, const struct frame *f)
{
	struct buf out AUTO_BUF = { 0 };

	switch ((int)f->type) {
	case FRAME_PUT:
		frame_put(f->tag, f->u.put.header, f->u.put.octets,
		    f->u.put.sig, &out);
		break;
	case FRAME_STORED:
	case FRAME_ANSWERS:
		frame_answers(
		    f->type, f->tag, f->u.answers.v, f->u.answers.n, &out);
		break;
	case FRAME_GOT:
		frame_got(f->tag, f->u.got.site, f->u.got.upto, &out);
		break;
	case FRAME_PULL:
		frame_pull(f->tag, f->u.pull.site, f->u.pull.since,
		    f->u.pull.wait, &out);
		break;
	case FRAME_EVIDENCE:
		frame_evidence(f->tag, &f->u.evidence, &out);
		break;
	case FRAME_ASK:
		frame_ask(f->tag, f->u.ask.site, f->u.ask.name, f->u.ask.have,
		    f->u.ask.part, &out);
		break;
	case FRAME_DATA:
		frame_data(f->tag, f->u.data.manifest, f->u.data.sig,
		    f->u.data.part, f->u.data.octets, &out);
		break;
	case FRAME_LINK:
		/* Of this hop: always tag 0. */
		if (f->tag != 0)
			return;
		frame_link(f->u.link.up, f->u.link.service, &out);
		break;
	case FRAME_SENT:
		frame_sent(f->tag, &out);
		break;
	case FRAME_PING:
		frame_ping(f->tag, &out);
		break;
	default:
		return;
	}
	if (!bytes_eq(in, buf_bytes(&out)))
		abort();
}

static void
read_frame(struct bytes in)
{
	struct frame f AUTO_FRAME = { 0 };
	struct err e = ERR_INIT;
	enum frame_type type;
	uint64_t tag;

	if (frame_parse(in, &f, &e) == -1) {
		if (e.kind != ERR_INPUT)
			abort();
		return;
	}
	if (frame_peek(in, &type, &tag, &e) == -1 || type != f.type ||
	    tag != f.tag)
		abort();
	if (f.type == FRAME_HELLO || f.type == FRAME_WELCOME)
		read_hello(f.u.hello.body);
	if (f.type == FRAME_PUT)
		read_header(f.u.put.header);
	if (f.type == FRAME_EVIDENCE) {
		read_header(f.u.evidence.header);
		if (!frame_evidence_state(f.u.evidence.state))
			abort();
	}
	if (f.type == FRAME_DATA && f.u.data.manifest.len > 0)
		read_manifest(f.u.data.manifest);
	if (f.type == FRAME_STORED || f.type == FRAME_ANSWERS)
		for (size_t i = 0; i < f.u.answers.n; i++)
			read_batch(f.u.answers.v[i].batch);
	write_again(in, &f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size);
	struct buf stream AUTO_BUF = { 0 };
	struct bytes next;
	struct err e = ERR_INIT;

	read_frame(in);
	read_header(in);
	read_batch(in);
	read_hello(in);
	read_manifest(in);
	buf_add(&stream, data, size);
	if (frame_next(&stream, &next, &e) == 1)
		read_frame(next);
	return 0;
}
