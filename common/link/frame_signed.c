#include "common/link/frame_int.h"

#include <assert.h>
#include <string.h>
#include "common/base/str.h"

#define HELLO_ITEMS    13
#define MANIFEST_ITEMS 9

/* ---- HELLO, WELCOME ---------------------------------------------------- */

static void
read_versions(struct cbor_in *in, struct frame_hello *h)
{
	cbor_read_array(in, 2);
	h->version_low = (unsigned)cbor_read_uint(in, UINT16_MAX);
	h->version_high = (unsigned)cbor_read_uint(in, UINT16_MAX);
	if (in->bad == NULL &&
	    (h->version_low == 0 || h->version_low > h->version_high))
		cbor_read_bad(in, "versions from 1, the lowest first");
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
	cbor_read_array(&in, HELLO_ITEMS);
	frame_read_name(&in, h.site);
	frame_read_name(&in, h.service);
	cbor_read_fixed(&in, h.site_epoch, sizeof(h.site_epoch));
	h.site_next_id = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, h.service_epoch, sizeof(h.service_epoch));
	h.service_seq = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, h.nonce, sizeof(h.nonce));
	h.time = cbor_read_uint(&in, UINT64_MAX);
	h.credit = (unsigned)cbor_read_uint(&in, CREDIT_MAX);
	read_versions(&in, &h);
	h.recover = cbor_read_bool(&in);
	cbor_read_fixed(&in, h.audit.b, sizeof(h.audit.b));
	cbor_read_fixed(&in, h.signer.b, sizeof(h.signer.b));
	if (cbor_read_end(&in, e) == -1)
		return -1;
	*ret = h;
	return 0;
}

int
frame_version(const struct frame_hello *h, unsigned *ret, struct err *e)
{
	if (h->version_low > FRAME_VERSION_HIGH ||
	    h->version_high < FRAME_VERSION_LOW)
		return err_set(e, ERR_RETRY,
		    "no version in common: %u to %u, here %d to %d",
		    h->version_low, h->version_high, FRAME_VERSION_LOW,
		    FRAME_VERSION_HIGH);
	*ret = h->version_high < FRAME_VERSION_HIGH ? h->version_high
						    : FRAME_VERSION_HIGH;
	return 0;
}

static void
write_hello_body(const struct frame_hello *h, struct buf *out)
{
	assert(h->credit <= CREDIT_MAX);
	cbor_write_array(out, HELLO_ITEMS);
	frame_write_name(out, h->site);
	frame_write_name(out, h->service);
	cbor_write_bytes(out, h->site_epoch, sizeof(h->site_epoch));
	cbor_write_uint(out, h->site_next_id);
	cbor_write_bytes(out, h->service_epoch, sizeof(h->service_epoch));
	cbor_write_uint(out, h->service_seq);
	cbor_write_bytes(out, h->nonce, sizeof(h->nonce));
	cbor_write_uint(out, h->time);
	cbor_write_uint(out, h->credit);
	cbor_write_array(out, 2);
	cbor_write_uint(out, h->version_low);
	cbor_write_uint(out, h->version_high);
	cbor_write_bool(out, h->recover);
	cbor_write_bytes(out, h->audit.b, sizeof(h->audit.b));
	cbor_write_bytes(out, h->signer.b, sizeof(h->signer.b));
}

int
frame_hello(enum frame_type type, uint64_t tag, struct frame_hello *h,
    const struct signer *s, struct buf *out, struct err *e)
{
	struct buf body AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };

	assert(type == FRAME_HELLO || type == FRAME_WELCOME);
	if (h->version_high == 0) {
		h->version_low = FRAME_VERSION_LOW;
		h->version_high = FRAME_VERSION_HIGH;
	}
	h->signer = s->id;
	write_hello_body(h, &body);
	if (sign_data(s, FRAME_HELLO_LABEL, buf_bytes(&body), &sig, e) == -1)
		return -1;
	frame_write_start(type, tag, out);
	cbor_write_bytes(out, body.data, body.len);
	cbor_write_bytes(out, sig.data, sig.len);
	return 0;
}

/* ---- DATA's manifest --------------------------------------------------- */

bool
frame_data_name(const char *s)
{
	static const char more[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	const char *slash = strchr(s, '/');
	char first[ENTRY_NAME_MAX];
	size_t n = slash == NULL ? strlen(s) : (size_t)(slash - s);

	if (n >= sizeof(first) || strlen(s) >= FRAME_DATA_NAME)
		return false;
	memcpy(first, s, n);
	first[n] = '\0';
	if (!name_valid(first))
		return false;
	return slash == NULL ||
	    (slash[1] != '\0' && slash[1] != '.' &&
		slash[1 + strspn(slash + 1, more)] == '\0');
}

void
frame_read_data_name(struct cbor_in *in, char ret[FRAME_DATA_NAME])
{
	cbor_read_text(in, ret, FRAME_DATA_NAME);
	if (in->bad == NULL && !frame_data_name(ret))
		cbor_read_bad(in, "not a name");
}

unsigned
frame_parts(size_t size)
{
	return size <= FRAME_DATA_MAX
	    ? (unsigned)((size + FRAME_PART - 1) / FRAME_PART)
	    : 0;
}

int
frame_manifest_parse(
    struct bytes text, struct frame_manifest *ret, struct err *e)
{
	struct frame_manifest m = { 0 };
	struct cbor_in in;

	if (text.len > FRAME_SIGNED_MAX)
		return err_set(e, ERR_INPUT, "manifest: %zu octets, limit %d",
		    text.len, FRAME_SIGNED_MAX);
	cbor_read_init(&in, text, "manifest");
	cbor_read_array(&in, MANIFEST_ITEMS);
	frame_read_name(&in, m.service);
	frame_read_data_name(&in, m.name);
	m.version = cbor_read_uint(&in, UINT64_MAX);
	m.made = cbor_read_uint(&in, UINT64_MAX);
	m.until = cbor_read_uint(&in, UINT64_MAX);
	m.parts = (unsigned)cbor_read_uint(&in, FRAME_PARTS_MAX);
	m.size = (size_t)cbor_read_uint(&in, FRAME_DATA_MAX);
	cbor_read_fixed(&in, m.digest.b, sizeof(m.digest.b));
	cbor_read_fixed(&in, m.signer.b, sizeof(m.signer.b));
	if (cbor_read_end(&in, e) == -1)
		return -1;
	if (m.version == 0)
		return err_set(e, ERR_INPUT, "manifest: version is 0");
	if (m.parts == 0 || m.parts != frame_parts(m.size))
		return err_set(e, ERR_INPUT, "manifest: %u parts of %zu octets",
		    m.parts, m.size);
	*ret = m;
	return 0;
}

static void
manifest_encode(const struct frame_manifest *m, struct buf *out)
{
	cbor_write_array(out, MANIFEST_ITEMS);
	frame_write_name(out, m->service);
	cbor_write_text(out, m->name);
	cbor_write_uint(out, m->version);
	cbor_write_uint(out, m->made);
	cbor_write_uint(out, m->until);
	cbor_write_uint(out, m->parts);
	cbor_write_uint(out, m->size);
	cbor_write_bytes(out, m->digest.b, sizeof(m->digest.b));
	cbor_write_bytes(out, m->signer.b, sizeof(m->signer.b));
}

int
frame_manifest_sign(struct frame_manifest *m, const struct signer *s,
    struct buf *out, struct buf *sig, struct err *e)
{
	struct buf text AUTO_BUF = { 0 }, mark AUTO_BUF = { 0 };
	struct frame_manifest check;

	m->signer = s->id;
	m->parts = frame_parts(m->size);
	manifest_encode(m, &text);
	/* Nothing is signed that the other side would not read. */
	if (frame_manifest_parse(buf_bytes(&text), &check, e) == -1)
		return err_set(e, ERR_LOCAL, "manifest %s: not signed: %s",
		    m->name, e != NULL ? e->msg : "does not parse");
	if (sign_data(s, FRAME_DATA_LABEL, buf_bytes(&text), &mark, e) == -1)
		return -1;
	buf_add(out, text.data, text.len);
	buf_add(sig, mark.data, mark.len);
	return 0;
}
