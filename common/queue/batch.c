#include "common/queue/batch.h"

#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"

/* What a code says, and whether an answer's octets go with it. */
static const struct {
	const char *name;
	enum { NEVER, MAYBE, ALWAYS } answer;
} codes[BATCH_CODE__MAX] = {
	[BATCH_STORED] = { "stored", NEVER },
	[BATCH_DUPLICATE] = { "duplicate", NEVER },
	[BATCH_ANSWERED] = { "answered", ALWAYS },
	[BATCH_REFUSED] = { "refused", MAYBE },
	[BATCH_CONFLICT] = { "conflict", NEVER },
	[BATCH_TOO_LARGE] = { "too-large", NEVER },
	[BATCH_BAD_SCHEMA] = { "bad-schema", NEVER },
	[BATCH_NOT_AUTHORISED] = { "not-authorised", NEVER },
};

const char *
batch_code_name(enum batch_code c)
{
	if ((unsigned)c >= BATCH_CODE__MAX || codes[c].name == NULL)
		return "unknown";
	return codes[c].name;
}

void
batch_done(struct batch *b)
{
	free(b->items);
	memset(b, 0, sizeof(*b));
}

static void
item_encode(const struct batch_item *i, struct buf *out)
{
	cbor_write_array(out, 5);
	cbor_write_uint(out, i->id);
	cbor_write_uint(out, i->code);
	cbor_write_bytes(out, i->digest.b, DIGEST_LEN);
	cbor_write_bytes_or_null(
	    out, i->has_answer ? i->answer.b : NULL, DIGEST_LEN);
	cbor_write_text(out, i->reason);
}

static void
batch_encode(const struct batch *b, struct buf *out)
{
	size_t i;

	cbor_write_array(out, 9);
	cbor_write_text(out, b->service);
	cbor_write_bytes(out, b->service_epoch, sizeof(b->service_epoch));
	cbor_write_text(out, b->site);
	cbor_write_bytes(out, b->site_epoch, sizeof(b->site_epoch));
	cbor_write_uint(out, b->seq);
	cbor_write_array(out, b->n);
	for (i = 0; i < b->n; i++)
		item_encode(&b->items[i], out);
	cbor_write_bytes(out, b->audit_seen.b, DIGEST_LEN);
	cbor_write_uint(out, b->time);
	cbor_write_bytes(out, b->signer.b, DIGEST_LEN);
}

static void
item_read(struct cbor_in *in, struct batch_item *i)
{
	struct bytes answer;

	cbor_read_array(in, 5);
	i->id = cbor_read_uint(in, UINT64_MAX);
	i->code = (enum batch_code)cbor_read_uint(in, BATCH_CODE__MAX - 1);
	cbor_read_fixed(in, i->digest.b, DIGEST_LEN);
	i->has_answer = cbor_read_bytes_or_null(in, DIGEST_LEN, &answer);
	if (i->has_answer && answer.len == DIGEST_LEN)
		memcpy(i->answer.b, answer.p, DIGEST_LEN);
	else if (i->has_answer)
		cbor_read_bad(in, "digest of an answer of wrong length");
	cbor_read_text(in, i->reason, sizeof(i->reason));
	if (in->bad != NULL)
		return;
	if (i->id == 0 || i->code == 0)
		cbor_read_bad(in, "id or code is 0");
	else if (i->has_answer ? codes[i->code].answer == NEVER
			       : codes[i->code].answer == ALWAYS)
		cbor_read_bad(in, "code and answer do not fit");
}

static void
items_read(struct cbor_in *in, struct batch *b)
{
	size_t n = cbor_read_array_upto(in, 1, BATCH_ITEMS_MAX), i;

	if (in->bad != NULL)
		return;
	b->items = xcalloc(n, sizeof(*b->items));
	b->n = n;
	for (i = 0; i < n && in->bad == NULL; i++)
		item_read(in, &b->items[i]);
}

int
batch_parse(struct bytes text, struct batch *ret, struct err *e)
{
	struct batch b AUTO_BATCH = { 0 };
	struct cbor_in in;

	if (text.len > BATCH_MAX)
		return err_set(e, ERR_INPUT, "batch: %zu octets, limit %d",
		    text.len, BATCH_MAX);
	cbor_read_init(&in, text, "batch");
	cbor_read_array(&in, 9);
	cbor_read_text(&in, b.service, sizeof(b.service));
	cbor_read_fixed(&in, b.service_epoch, sizeof(b.service_epoch));
	cbor_read_text(&in, b.site, sizeof(b.site));
	cbor_read_fixed(&in, b.site_epoch, sizeof(b.site_epoch));
	b.seq = cbor_read_uint(&in, UINT64_MAX);
	items_read(&in, &b);
	cbor_read_fixed(&in, b.audit_seen.b, DIGEST_LEN);
	b.time = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, b.signer.b, DIGEST_LEN);
	if (cbor_read_end(&in, e) == -1)
		return -1;
	if (!name_valid(b.service) || !name_valid(b.site))
		return err_set(
		    e, ERR_INPUT, "batch: service or site is not a name");
	if (b.seq == 0)
		return err_set(e, ERR_INPUT, "batch: sequence starts at 1");
	*ret = b;
	b.items = NULL;
	return 0;
}

int
batch_sign(struct batch *b, const struct signer *s, struct buf *out,
    struct buf *sig, struct err *e)
{
	struct buf text AUTO_BUF = { 0 }, mark AUTO_BUF = { 0 };
	struct batch check AUTO_BATCH = { 0 };

	b->signer = s->id;
	batch_encode(b, &text);
	/* Nothing is signed that the other side would not read. */
	if (batch_parse(buf_bytes(&text), &check, e) == -1)
		return err_set(e, ERR_LOCAL, "batch %llu: not signed: %s",
		    (unsigned long long)b->seq,
		    e != NULL ? e->msg : "does not parse");
	if (sign_data(s, BATCH_LABEL, buf_bytes(&text), &mark, e) == -1)
		return -1;
	buf_add(out, text.data, text.len);
	buf_add(sig, mark.data, mark.len);
	return 0;
}
