#include "common/link/frame.h"

#include <assert.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"

#define HEAD_ITEMS 3 /* version, type, tag */
#define BODY_ITEMS 3 /* at most, behind them */
#define WAIT_MAX   LIMIT_FRAME_WAIT
#define RETRY_MAX  86400
#define CREDIT_MAX LIMIT_FRAME_CREDIT
#define WRAP_LEN   4

static void parse_hello(struct cbor_in *in, struct frame *f);
static void parse_put(struct cbor_in *in, struct frame *f);
static void parse_stored(struct cbor_in *in, struct frame *f);
static void parse_pull(struct cbor_in *in, struct frame *f);
static void parse_answers(struct cbor_in *in, struct frame *f);
static void parse_got(struct cbor_in *in, struct frame *f);
static void parse_nothing(struct cbor_in *in, struct frame *f);
static void parse_nack(struct cbor_in *in, struct frame *f);
static void parse_link(struct cbor_in *in, struct frame *f);

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
};

const char *
frame_type_name(enum frame_type t)
{
	if ((unsigned)t >= FRAME_TYPE__MAX || types[t].name == NULL)
		return "unknown";
	return types[t].name;
}

/* ---- reading ----------------------------------------------------------- */

/* The limit of the socket holds for every string in a frame too. */
static struct bytes
read_octets(struct cbor_in *in)
{
	return cbor_read_bytes(in, FRAME_MAX);
}

static void
read_name(struct cbor_in *in, char ret[ENTRY_NAME_MAX])
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
	    (type == 0 || type >= FRAME_TYPE__MAX || types[type].name == NULL))
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
	read_name(in, f->u.pull.site);
	f->u.pull.since = cbor_read_uint(in, UINT64_MAX);
	f->u.pull.wait = (unsigned)cbor_read_uint(in, WAIT_MAX);
}

static void
parse_got(struct cbor_in *in, struct frame *f)
{
	read_name(in, f->u.got.site);
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
	read_name(in, f->u.link.service);
}

int
frame_hello_parse(struct bytes body, struct frame_hello *ret, struct err *e)
{
	struct frame_hello h = { 0 };
	struct cbor_in in;

	if (body.len > FRAME_SIGNED_MAX)
		return err_set(e, ERR_INPUT, "hello: %zu octets, limit %d",
		    body.len, FRAME_SIGNED_MAX);
	cbor_read_init(&in, body, "hello");
	cbor_read_array(&in, 10);
	read_name(&in, h.site);
	read_name(&in, h.service);
	cbor_read_fixed(&in, h.site_epoch, sizeof(h.site_epoch));
	h.site_next_id = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, h.service_epoch, sizeof(h.service_epoch));
	h.service_seq = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, h.nonce, sizeof(h.nonce));
	h.time = cbor_read_uint(&in, UINT64_MAX);
	h.credit = (unsigned)cbor_read_uint(&in, CREDIT_MAX);
	cbor_read_fixed(&in, h.signer.b, sizeof(h.signer.b));
	if (cbor_read_end(&in, e) == -1)
		return -1;
	*ret = h;
	return 0;
}

/* ---- writing ----------------------------------------------------------- */

static void
write_start(enum frame_type type, uint64_t tag, struct buf *out)
{
	assert(types[type].name != NULL);
	cbor_write_array(out, HEAD_ITEMS + types[type].items);
	cbor_write_uint(out, FRAME_VERSION);
	cbor_write_uint(out, type);
	cbor_write_uint(out, tag);
}

static void
write_octets(struct buf *out, struct bytes b)
{
	cbor_write_bytes(out, b.p, b.len);
}

/* Names come from configuration and from certificates, checked there. */
static void
write_name(struct buf *out, const char *name)
{
	assert(name_valid(name));
	cbor_write_text(out, name);
}

static void
write_hello_body(const struct frame_hello *h, struct buf *out)
{
	assert(h->credit <= CREDIT_MAX);
	cbor_write_array(out, 10);
	write_name(out, h->site);
	write_name(out, h->service);
	cbor_write_bytes(out, h->site_epoch, sizeof(h->site_epoch));
	cbor_write_uint(out, h->site_next_id);
	cbor_write_bytes(out, h->service_epoch, sizeof(h->service_epoch));
	cbor_write_uint(out, h->service_seq);
	cbor_write_bytes(out, h->nonce, sizeof(h->nonce));
	cbor_write_uint(out, h->time);
	cbor_write_uint(out, h->credit);
	cbor_write_bytes(out, h->signer.b, sizeof(h->signer.b));
}

int
frame_hello(enum frame_type type, uint64_t tag, struct frame_hello *h,
    const struct signer *s, struct buf *out, struct err *e)
{
	struct buf body AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };

	assert(type == FRAME_HELLO || type == FRAME_WELCOME);
	h->signer = s->id;
	write_hello_body(h, &body);
	if (sign_data(s, FRAME_HELLO_LABEL, buf_bytes(&body), &sig, e) == -1)
		return -1;
	write_start(type, tag, out);
	write_octets(out, buf_bytes(&body));
	write_octets(out, buf_bytes(&sig));
	return 0;
}

void
frame_put(uint64_t tag, struct bytes header, struct bytes octets,
    struct bytes sig, struct buf *out)
{
	write_start(FRAME_PUT, tag, out);
	write_octets(out, header);
	write_octets(out, octets);
	write_octets(out, sig);
}

/* RFC 8949 4.2.1: what the shortest head takes. */
static size_t
head_size(uint64_t v)
{
	return v < 24	      ? 1
	    : v <= UINT8_MAX  ? 2
	    : v <= UINT16_MAX ? 3
	    : v <= UINT32_MAX ? 5
			      : 9;
}

static size_t
octets_size(struct bytes b)
{
	return head_size(b.len) + b.len;
}

size_t
frame_batch_size(const struct frame_batch *b)
{
	size_t i, n = 1 + octets_size(b->batch) + octets_size(b->sig);

	n += head_size(b->n);
	for (i = 0; i < b->n; i++)
		n += octets_size(b->answers[i]); /* null is one octet too */
	return n;
}

static void
write_batch(struct buf *out, const struct frame_batch *b)
{
	size_t i;

	cbor_write_array(out, 3);
	write_octets(out, b->batch);
	write_octets(out, b->sig);
	cbor_write_array(out, b->n);
	for (i = 0; i < b->n; i++)
		cbor_write_bytes_or_null(out,
		    b->answers[i].len > 0 ? b->answers[i].p : NULL,
		    b->answers[i].len);
}

void
frame_answers(enum frame_type type, uint64_t tag, const struct frame_batch *v,
    size_t n, struct buf *out)
{
	size_t i;

	assert((type == FRAME_STORED && n == 1) ||
	    (type == FRAME_ANSWERS && n <= FRAME_BATCHES));
	write_start(type, tag, out);
	cbor_write_array(out, n);
	for (i = 0; i < n; i++)
		write_batch(out, &v[i]);
}

void
frame_pull(uint64_t tag, const char *site, uint64_t since, unsigned wait,
    struct buf *out)
{
	write_start(FRAME_PULL, tag, out);
	write_name(out, site);
	cbor_write_uint(out, since);
	cbor_write_uint(out, wait < WAIT_MAX ? wait : WAIT_MAX);
}

void
frame_got(uint64_t tag, const char *site, uint64_t upto, struct buf *out)
{
	write_start(FRAME_GOT, tag, out);
	write_name(out, site);
	cbor_write_uint(out, upto);
}

void
frame_ping(uint64_t tag, struct buf *out)
{
	write_start(FRAME_PING, tag, out);
}

/* A reason may be cut anywhere or quote what is not UTF-8: then '?' stands
 * for every octet that is not ASCII, so that the reader takes the frame. */
void
frame_nack(
    uint64_t tag, unsigned retry_after, const char *reason, struct buf *out)
{
	char text[sizeof(((struct frame *)NULL)->u.nack.reason)];
	size_t i;

	str_copy(text, sizeof(text), reason);
	if (!utf8_valid(text, strlen(text)))
		for (i = 0; text[i] != '\0'; i++)
			if ((unsigned char)text[i] >= 0x80)
				text[i] = '?';
	write_start(FRAME_NACK, tag, out);
	cbor_write_uint(out, retry_after < RETRY_MAX ? retry_after : RETRY_MAX);
	cbor_write_text(out, text);
}

void
frame_link(bool up, const char *service, struct buf *out)
{
	write_start(FRAME_LINK, 0, out);
	cbor_write_bool(out, up);
	write_name(out, service);
}

void
frame_sent(uint64_t tag, struct buf *out)
{
	write_start(FRAME_SENT, tag, out);
}

/* ---- the carry socket's framing ---------------------------------------- */

void
frame_wrap(struct bytes frame, struct buf *out)
{
	uint8_t *p;

	assert(frame.len > 0 && frame.len <= FRAME_MAX);
	p = buf_grow(out, WRAP_LEN);
	p[0] = (uint8_t)(frame.len >> 24);
	p[1] = (uint8_t)(frame.len >> 16);
	p[2] = (uint8_t)(frame.len >> 8);
	p[3] = (uint8_t)frame.len;
	buf_add(out, frame.p, frame.len);
}

int
frame_next(const struct buf *in, struct bytes *ret, struct err *e)
{
	const uint8_t *p = in->data;
	uint32_t n;

	if (in->len < WRAP_LEN)
		return 0;
	n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
	    p[3];
	if (n == 0 || n > FRAME_MAX)
		return err_set(e, ERR_INPUT,
		    "carry: frame of %u octets, allowed 1 to %d", n, FRAME_MAX);
	if (in->len - WRAP_LEN < n)
		return 0;
	*ret = bytes_of(p + WRAP_LEN, n);
	return 1;
}
