/* What an entry says of itself: facts, and the header that is signed. */
#include "common/queue/entry.h"

#include <assert.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"

/* ---- facts ----------------------------------------------------------- */

void
entry_text(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src), i;
	bool utf8;

	if (n > size - 1)
		for (n = size - 1; n > 0 && ((uint8_t)src[n] & 0xc0) == 0x80;)
			n--;
	memset(dst, 0, size);
	memcpy(dst, src, n);
	utf8 = utf8_valid(dst, n);
	for (i = 0; i < n; i++)
		if ((uint8_t)dst[i] < 0x20 || dst[i] == 0x7f ||
		    ((uint8_t)dst[i] >= 0x80 && !utf8))
			dst[i] = '?';
}

const struct fact *
facts_get(const struct facts *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return &f->v[i];
	return NULL;
}

void
facts_set(
    struct facts *f, const char *name, enum fact_level level, const char *value)
{
	struct fact *v = (struct fact *)facts_get(f, name);

	if (v == NULL) {
		assert(f->n < FACTS_MAX && strlen(name) < FACT_NAME_MAX);
		v = &f->v[f->n++];
		str_copy(v->name, sizeof(v->name), name);
	}
	v->level = level;
	entry_text(v->value, sizeof(v->value), value);
}

void
facts_encode(const struct facts *f, struct buf *out)
{
	size_t i;

	cbor_write_array(out, f->n);
	for (i = 0; i < f->n; i++) {
		cbor_write_array(out, 3);
		cbor_write_text(out, f->v[i].name);
		cbor_write_uint(out, f->v[i].level);
		cbor_write_text(out, f->v[i].value);
	}
}

/* A name is what our own code writes: anything else is no fact of ours. */
static bool
fact_name_valid(const char *s)
{
	return s[0] != '\0' &&
	    s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-")] == '\0';
}

void
facts_read(struct cbor_in *in, struct facts *ret)
{
	size_t n = cbor_read_array_upto(in, 0, FACTS_MAX), i;
	struct fact v;

	memset(ret, 0, sizeof(*ret));
	for (i = 0; i < n && in->bad == NULL; i++) {
		cbor_read_array(in, 3);
		cbor_read_text(in, v.name, sizeof(v.name));
		v.level = (enum fact_level)cbor_read_uint(in, FACT__MAX - 1);
		cbor_read_text(in, v.value, sizeof(v.value));
		if (in->bad == NULL && !fact_name_valid(v.name))
			cbor_read_bad(in, "name of a fact is not plain");
		if (in->bad == NULL && facts_get(ret, v.name) != NULL)
			cbor_read_bad(in, "fact given twice");
		ret->v[ret->n++] = v;
	}
	if (in->bad != NULL)
		memset(ret, 0, sizeof(*ret));
}

/* ---- header ---------------------------------------------------------- */

void
entry_stamp_encode(const struct stamp *s, struct buf *out)
{
	cbor_write_array(out, 3);
	cbor_write_uint(out, s->time);
	cbor_write_uint(out, s->quality);
	cbor_write_uint(out, s->age);
}

void
entry_stamp_read(struct cbor_in *in, struct stamp *ret)
{
	cbor_read_array(in, 3);
	ret->time = cbor_read_uint(in, UINT64_MAX);
	ret->quality = (enum clock_quality)cbor_read_uint(in, CLOCK__MAX - 1);
	ret->age = cbor_read_uint(in, UINT64_MAX);
}

static void
header_encode(const struct entry_header *h, struct buf *out)
{
	cbor_write_array(out, 13);
	cbor_write_text(out, h->site);
	cbor_write_bytes(out, h->epoch, sizeof(h->epoch));
	cbor_write_uint(out, h->id);
	cbor_write_uint(out, h->kind);
	cbor_write_uint(out, h->step);
	cbor_write_bytes(out, h->digest.b, DIGEST_LEN);
	entry_stamp_encode(&h->received, out);
	cbor_write_uint(out, h->deadline);
	facts_encode(&h->facts, out);
	cbor_write_bytes(out, h->audit.b, DIGEST_LEN);
	cbor_write_uint(out, h->replaces);
	cbor_write_uint(out, h->parent);
	cbor_write_bytes(out, h->signer.b, DIGEST_LEN);
}

/* What the encoding allows and the meaning does not. */
static const char *
header_bad(const struct entry_header *h)
{
	if (!name_valid(h->site))
		return "site is not a name";
	if (h->id == 0)
		return "id is 0";
	if (h->kind == 0)
		return "kind is 0";
	if ((h->step > 0 || h->kind == ENTRY_WITHDRAW) != (h->parent > 0))
		return "a later step or a withdrawal needs a parent, and only "
		       "they have one";
	if (h->parent >= h->id || h->replaces >= h->id)
		return "parent or replaced entry is not older";
	return NULL;
}

int
entry_header_parse(struct bytes header, struct entry_header *ret, struct err *e)
{
	struct entry_header h = { 0 };
	struct cbor_in in;
	const char *bad;

	if (header.len > ENTRY_HEADER_MAX)
		return err_set(e, ERR_INPUT,
		    "entry header: %zu octets, limit %d", header.len,
		    ENTRY_HEADER_MAX);
	cbor_read_init(&in, header, "entry header");
	cbor_read_array(&in, 13);
	cbor_read_text(&in, h.site, sizeof(h.site));
	cbor_read_fixed(&in, h.epoch, sizeof(h.epoch));
	h.id = cbor_read_uint(&in, UINT64_MAX);
	h.kind = (enum entry_kind)cbor_read_uint(&in, ENTRY_KIND__MAX - 1);
	h.step = (unsigned)cbor_read_uint(&in, ENTRY_STEP_MAX);
	cbor_read_fixed(&in, h.digest.b, DIGEST_LEN);
	entry_stamp_read(&in, &h.received);
	h.deadline = cbor_read_uint(&in, UINT64_MAX);
	facts_read(&in, &h.facts);
	cbor_read_fixed(&in, h.audit.b, DIGEST_LEN);
	h.replaces = cbor_read_uint(&in, UINT64_MAX);
	h.parent = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, h.signer.b, DIGEST_LEN);
	if (cbor_read_end(&in, e) == -1)
		return -1;
	if ((bad = header_bad(&h)) != NULL)
		return err_set(e, ERR_INPUT, "entry header: %s", bad);
	*ret = h;
	return 0;
}

int
entry_header_sign(struct entry_header *h, const struct signer *s,
    struct buf *header, struct buf *sig, struct err *e)
{
	struct buf text AUTO_BUF = { 0 }, mark AUTO_BUF = { 0 };
	struct entry_header check;

	h->signer = s->id;
	header_encode(h, &text);
	/* Nothing is signed that the other side would not read. */
	if (entry_header_parse(buf_bytes(&text), &check, e) == -1)
		return err_set(e, ERR_LOCAL, "entry %llu: not signed: %s",
		    (unsigned long long)h->id,
		    e != NULL ? e->msg : "header does not parse");
	if (sign_data(s, ENTRY_LABEL, buf_bytes(&text), &mark, e) == -1)
		return -1;
	buf_add(header, text.data, text.len);
	buf_add(sig, mark.data, mark.len);
	return 0;
}
