#include "common/link/frame_int.h"

#include <assert.h>
#include <string.h>

#include "common/base/str.h"

#define WRAP_LEN 4

void
frame_write_start(enum frame_type type, uint64_t tag, struct buf *out)
{
	cbor_write_array(out, frame_items(type));
	cbor_write_uint(out, FRAME_VERSION);
	cbor_write_uint(out, type);
	cbor_write_uint(out, tag);
}

static void
write_octets(struct buf *out, struct bytes b)
{
	cbor_write_bytes(out, b.p, b.len);
}

void
frame_write_name(struct buf *out, const char *name)
{
	assert(name_valid(name));
	cbor_write_text(out, name);
}

void
frame_put(uint64_t tag, struct bytes header, struct bytes octets,
    struct bytes sig, struct buf *out)
{
	frame_write_start(FRAME_PUT, tag, out);
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
	frame_write_start(type, tag, out);
	cbor_write_array(out, n);
	for (i = 0; i < n; i++)
		write_batch(out, &v[i]);
}

void
frame_pull(uint64_t tag, const char *site, uint64_t since, unsigned wait,
    struct buf *out)
{
	frame_write_start(FRAME_PULL, tag, out);
	frame_write_name(out, site);
	cbor_write_uint(out, since);
	cbor_write_uint(out, wait < WAIT_MAX ? wait : WAIT_MAX);
}

void
frame_got(uint64_t tag, const char *site, uint64_t upto, struct buf *out)
{
	frame_write_start(FRAME_GOT, tag, out);
	frame_write_name(out, site);
	cbor_write_uint(out, upto);
}

void
frame_ping(uint64_t tag, struct buf *out)
{
	frame_write_start(FRAME_PING, tag, out);
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
	frame_write_start(FRAME_NACK, tag, out);
	cbor_write_uint(out, retry_after < RETRY_MAX ? retry_after : RETRY_MAX);
	cbor_write_text(out, text);
}

/* Octets of a PUT, an answer that some batch brought, and small change. */
_Static_assert(
    LIMIT_CMP_NESTED + BATCH_MAX + ENTRY_HEADER_MAX + FRAME_SIGNED_MAX + 64 <
	FRAME_MAX,
    "an EVIDENCE may be too large");

void
frame_evidence(uint64_t tag, const struct frame_evidence *x, struct buf *out)
{
	assert(frame_evidence_state(x->state));
	frame_write_start(FRAME_EVIDENCE, tag, out);
	write_octets(out, x->header);
	write_octets(out, x->octets);
	write_octets(out, x->sig);
	cbor_write_uint(out, x->state);
	cbor_write_bytes_or_null(
	    out, x->answer.len > 0 ? x->answer.p : NULL, x->answer.len);
}

void
frame_ask(uint64_t tag, const char *site, const char *name, uint64_t have,
    unsigned part, struct buf *out)
{
	frame_write_start(FRAME_ASK, tag, out);
	assert(frame_data_name(name));
	frame_write_name(out, site);
	cbor_write_text(out, name);
	cbor_write_uint(out, have);
	cbor_write_uint(out, part);
}

void
frame_data(uint64_t tag, struct bytes manifest, struct bytes sig, unsigned part,
    struct bytes octets, struct buf *out)
{
	assert(part < FRAME_PARTS_MAX && octets.len <= FRAME_PART);
	frame_write_start(FRAME_DATA, tag, out);
	write_octets(out, manifest);
	write_octets(out, sig);
	cbor_write_uint(out, part);
	write_octets(out, octets);
}

void
frame_link(bool up, const char *service, struct buf *out)
{
	frame_write_start(FRAME_LINK, 0, out);
	cbor_write_bool(out, up);
	frame_write_name(out, service);
}

void
frame_sent(uint64_t tag, struct buf *out)
{
	frame_write_start(FRAME_SENT, tag, out);
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
