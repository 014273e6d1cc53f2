/* What of a question must outlive us: CBOR [1, due, message, final]. */
#include "ra/upstream_int.h"

#include "common/base/cbor.h"

#define PROGRESS_ITEMS 4
#define PROGRESS_IS    1

void
upstream_progress_encode(const struct upstream_progress *p, struct buf *out)
{
	cbor_write_array(out, PROGRESS_ITEMS);
	cbor_write_uint(out, PROGRESS_IS);
	cbor_write_uint(out, p->due);
	cbor_write_bytes(out, p->message.p, p->message.len);
	if (p->final.len > 0)
		cbor_write_bytes(out, p->final.p, p->final.len);
	else
		cbor_write_null(out);
}

int
upstream_progress_decode(
    struct bytes in, struct upstream_progress *ret, struct err *e)
{
	struct upstream_progress p = { .due = 0 };
	struct cbor_in c;

	cbor_read_init(&c, in, "upstream: progress");
	cbor_read_array(&c, PROGRESS_ITEMS);
	if (cbor_read_uint(&c, PROGRESS_IS) != PROGRESS_IS)
		cbor_read_bad(&c, "of another kind");
	p.due = cbor_read_uint(&c, UINT64_MAX);
	p.message = cbor_read_bytes(&c, CMP_MAX);
	cbor_read_bytes_or_null(&c, CMP_MAX, &p.final);
	if (cbor_read_end(&c, e) == -1)
		return -1;
	*ret = p;
	return 0;
}
