/* The types, and how frames are read. */
#include "common/link/frame_int.h"

#include "common/base/str.h"

static void parse_hello(struct cbor_in *in, struct frame *f);
static void parse_put(struct cbor_in *in, struct frame *f);
static void parse_stored(struct cbor_in *in, struct frame *f);
static void parse_pull(struct cbor_in *in, struct frame *f);
static void parse_answers(struct cbor_in *in, struct frame *f);
static void parse_got(struct cbor_in *in, struct frame *f);
static void parse_nothing(struct cbor_in *in, struct frame *f);
static void parse_nack(struct cbor_in *in, struct frame *f);
static void parse_link(struct cbor_in *in, struct frame *f);
static void parse_evidence(struct cbor_in *in, struct frame *f);
static void parse_ask(struct cbor_in *in, struct frame *f);
static void parse_data(struct cbor_in *in, struct frame *f);

/* What follows the tag (schemas/link.cddl). */
static const struct {
	const char *name, *what;
	size_t items;
	void (*parse)(struct cbor_in *in, struct frame *f);
} types[FRAME_TYPE__MAX] = {
	[FRAME_HELLO] = { "HELLO", "frame HELLO", 2, parse_hello },
	[FRAME_WELCOME] = { "WELCOME", "frame WELCOME", 2, parse_hello },
	[FRAME_PUT] = { "PUT", "frame PUT", 3, parse_put },
	[FRAME_STORED] = { "STORED", "frame STORED", 1, parse_stored },
	[FRAME_PULL] = { "PULL", "frame PULL", 3, parse_pull },
	[FRAME_ANSWERS] = { "ANSWERS", "frame ANSWERS", 1, parse_answers },
	[FRAME_GOT] = { "GOT", "frame GOT", 2, parse_got },
	[FRAME_PING] = { "PING", "frame PING", 0, parse_nothing },
	[FRAME_NACK] = { "NACK", "frame NACK", 2, parse_nack },
	[FRAME_LINK] = { "LINK", "frame LINK", 2, parse_link },
	[FRAME_SENT] = { "SENT", "frame SENT", 0, parse_nothing },
	[FRAME_EVIDENCE] = { "EVIDENCE", "frame EVIDENCE", 5, parse_evidence },
	[FRAME_ASK] = { "ASK", "frame ASK", 4, parse_ask },
	[FRAME_DATA] = { "DATA", "frame DATA", 4, parse_data },
};

const char *
frame_type_name(enum frame_type t)
{
	if ((unsigned)t >= FRAME_TYPE__MAX || types[t].name == NULL)
		return "unknown";
	return types[t].name;
}

size_t
frame_items(enum frame_type t)
{
	return HEAD_ITEMS + types[t].items;
}

/* ---- reading ----------------------------------------------------------- */

/* The limit of the socket holds for every string in a frame too. */
static struct bytes
read_octets(struct cbor_in *in)
{
	return cbor_read_bytes(in, FRAME_MAX);
}

void
frame_read_name(struct cbor_in *in, char ret[ENTRY_NAME_MAX])
{
	cbor_read_text(in, ret, ENTRY_NAME_MAX);
	if (in->bad == NULL && !name_valid(ret))
		cbor_read_bad(in, "not a name");
}

/* The head of a frame up to its tag; 0 as type if the input is bad. */
static enum frame_type
read_start(struct cbor_in *in, struct bytes b, uint64_t *ret_tag)
{
	uint64_t type;
	size_t n;

	cbor_read_init(in, b, "frame");
	n = cbor_read_array_upto(in, HEAD_ITEMS, HEAD_ITEMS + BODY_ITEMS);
	if (cbor_read_uint(in, UINT64_MAX) != FRAME_VERSION)
		cbor_read_bad(in, "version is not 1");
	type = cbor_read_uint(in, UINT64_MAX);
	if (in->bad == NULL &&
	    (type >= FRAME_TYPE__MAX || types[type].name == NULL))
		cbor_read_bad(in, "unknown type");
	*ret_tag = cbor_read_uint(in, UINT64_MAX);
	if (in->bad != NULL)
		return 0;
	in->what = types[type].what;
	if (n != HEAD_ITEMS + types[type].items) {
		cbor_read_bad(in, "wrong number of items");
		return 0;
	}
	return (enum frame_type)type;
}

static int
check_size(struct bytes in, struct err *e)
{
	if (in.len <= FRAME_MAX)
		return 0;
	return err_set(
	    e, ERR_INPUT, "frame: %zu octets, limit %d", in.len, FRAME_MAX);
}

/* Why the reader stopped, whatever follows. */
static int
fail(struct cbor_in *in, struct err *e)
{
	return err_set(e, ERR_INPUT, "%s: octet %td: %s", in->what,
	    in->p - in->start, in->bad);
}

int
frame_parse(struct bytes b, struct frame *ret, struct err *e)
{
	struct frame f AUTO_FRAME = { 0 };
	struct cbor_in in;

	if (check_size(b, e) == -1)
		return -1;
	if ((f.type = read_start(&in, b, &f.tag)) == 0)
		return fail(&in, e);
	types[f.type].parse(&in, &f);
	if (cbor_read_end(&in, e) == -1)
		return -1;
	*ret = f;
	f = (struct frame){ 0 };
	return 0;
}

int
frame_peek(
    struct bytes b, enum frame_type *ret_type, uint64_t *ret_tag, struct err *e)
{
	enum frame_type type;
	struct cbor_in in;
	uint64_t tag;

	if (check_size(b, e) == -1)
		return -1;
	if ((type = read_start(&in, b, &tag)) == 0)
		return fail(&in, e);
	*ret_type = type;
	*ret_tag = tag;
	return 0;
}

void
frame_done(struct frame *f)
{
	size_t i;

	if (f->type == FRAME_STORED || f->type == FRAME_ANSWERS) {
		for (i = 0; i < f->u.answers.n; i++)
			free(f->u.answers.v[i].answers);
		free(f->u.answers.v);
	}
	*f = (struct frame){ 0 };
}

static void
parse_nothing(struct cbor_in *in, struct frame *f)
{
	(void)in;
	(void)f;
}

static void
parse_hello(struct cbor_in *in, struct frame *f)
{
	f->u.hello.body = cbor_read_bytes(in, FRAME_SIGNED_MAX);
	f->u.hello.sig = cbor_read_bytes(in, FRAME_SIGNED_MAX);
}

static void
parse_put(struct cbor_in *in, struct frame *f)
{
	f->u.put.header = cbor_read_bytes(in, ENTRY_HEADER_MAX);
	f->u.put.octets = read_octets(in);
	f->u.put.sig = cbor_read_bytes(in, FRAME_SIGNED_MAX);
}

/* [batch, signature, [octets / null, ...]] */
static void
parse_batch(struct cbor_in *in, struct frame_batch *b)
{
	bool there;
	size_t i, n;

	cbor_read_array(in, 3);
	b->batch = cbor_read_bytes(in, BATCH_MAX);
	b->sig = cbor_read_bytes(in, FRAME_SIGNED_MAX);
	n = cbor_read_array_upto(in, 0, BATCH_ITEMS_MAX);
	if (n == 0)
		return;
	b->n = n;
	b->answers = xcalloc(n, sizeof(b->answers[0]));
	for (i = 0; i < n && in->bad == NULL; i++) {
		there = cbor_read_bytes_or_null(in, FRAME_MAX, &b->answers[i]);
		/* "none" has one form only */
		if (there && b->answers[i].len == 0)
			cbor_read_bad(in, "answer without octets");
	}
}

static void
parse_batches(struct cbor_in *in, struct frame *f, size_t min, size_t max)
{
	size_t i, n = cbor_read_array_upto(in, min, max);

	if (n == 0)
		return;
	f->u.answers.v = xcalloc(n, sizeof(f->u.answers.v[0]));
	f->u.answers.n = n;
	for (i = 0; i < n && in->bad == NULL; i++)
		parse_batch(in, &f->u.answers.v[i]);
}

static void
parse_stored(struct cbor_in *in, struct frame *f)
{
	parse_batches(in, f, 1, 1);
}

static void
parse_answers(struct cbor_in *in, struct frame *f)
{
	parse_batches(in, f, 0, FRAME_BATCHES);
}

static void
parse_pull(struct cbor_in *in, struct frame *f)
{
	frame_read_name(in, f->u.pull.site);
	f->u.pull.since = cbor_read_uint(in, UINT64_MAX);
	f->u.pull.wait = (unsigned)cbor_read_uint(in, WAIT_MAX);
}

static void
parse_got(struct cbor_in *in, struct frame *f)
{
	frame_read_name(in, f->u.got.site);
	f->u.got.upto = cbor_read_uint(in, UINT64_MAX);
}

static void
parse_nack(struct cbor_in *in, struct frame *f)
{
	f->u.nack.retry_after = (unsigned)cbor_read_uint(in, RETRY_MAX);
	cbor_read_text(in, f->u.nack.reason, sizeof(f->u.nack.reason));
}

static void
parse_link(struct cbor_in *in, struct frame *f)
{
	f->u.link.up = cbor_read_bool(in);
	frame_read_name(in, f->u.link.service);
}

bool
frame_evidence_state(enum entry_state s)
{
	return (s >= ENTRY_INFLIGHT && s <= ENTRY_REFUSED) ||
	    s == ENTRY_WITHDRAWN;
}

static void
parse_evidence(struct cbor_in *in, struct frame *f)
{
	struct frame_evidence *x = &f->u.evidence;
	bool there;

	x->header = cbor_read_bytes(in, ENTRY_HEADER_MAX);
	x->octets = read_octets(in);
	x->sig = cbor_read_bytes(in, FRAME_SIGNED_MAX);
	x->state = (enum entry_state)cbor_read_uint(in, ENTRY_STATE__MAX - 1);
	there = cbor_read_bytes_or_null(in, FRAME_MAX, &x->answer);
	if (in->bad == NULL && !frame_evidence_state(x->state))
		cbor_read_bad(in, "state of an entry that had not left");
	else if (there && x->answer.len == 0)
		cbor_read_bad(in, "answer without octets");
}

static void
parse_ask(struct cbor_in *in, struct frame *f)
{
	frame_read_name(in, f->u.ask.site);
	frame_read_data_name(in, f->u.ask.name);
	f->u.ask.have = cbor_read_uint(in, UINT64_MAX);
	f->u.ask.part = (unsigned)cbor_read_uint(in, FRAME_PARTS_MAX - 1);
}

static void
parse_data(struct cbor_in *in, struct frame *f)
{
	bool none;

	f->u.data.manifest = cbor_read_bytes(in, FRAME_SIGNED_MAX);
	f->u.data.sig = cbor_read_bytes(in, FRAME_SIGNED_MAX);
	f->u.data.part = (unsigned)cbor_read_uint(in, FRAME_PARTS_MAX - 1);
	f->u.data.octets = cbor_read_bytes(in, FRAME_PART);
	none = f->u.data.manifest.len == 0;
	if (in->bad == NULL &&
	    (none != (f->u.data.sig.len == 0) ||
		none != (f->u.data.octets.len == 0)))
		cbor_read_bad(in, "manifest, signature or octets missing");
	else if (none && f->u.data.part != 0)
		cbor_read_bad(in, "a part of nothing");
}
