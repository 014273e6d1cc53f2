/* Versions of the reference data that was published. */
#include "common/service/ledger_int.h"

#include <stdio.h>
#include <string.h>
#include "common/base/cbor.h"

#define ROW_ITEMS 4

static struct bytes
row_name(const char *name)
{
	return bytes_of(name, strlen(name));
}

static void
row_encode(const struct ledger_reference *r, struct buf *out)
{
	cbor_write_array(out, ROW_ITEMS);
	cbor_write_uint(out, r->version);
	cbor_write_uint(out, r->made);
	cbor_write_uint(out, r->until);
	cbor_write_bytes(out, r->digest.b, sizeof(r->digest.b));
}

static int
row_decode(struct bytes row, struct ledger_reference *ret, struct err *e)
{
	struct ledger_reference r = { .version = 0 };
	struct cbor_in in;

	cbor_read_init(&in, row, "ledger: reference");
	cbor_read_array(&in, ROW_ITEMS);
	r.version = cbor_read_uint(&in, UINT64_MAX);
	r.made = cbor_read_uint(&in, UINT64_MAX);
	r.until = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, r.digest.b, sizeof(r.digest.b));
	if (cbor_read_end(&in, e) == -1) {
		e->kind = ERR_DAMAGE;
		return -1;
	}
	*ret = r;
	return 0;
}

struct look {
	const char *name;
	struct ledger_reference *ret;
	int found;
};

static int
look(struct store_txn *t, void *arg, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	struct look *l = arg;

	l->found = store_get(t, DB_REFERENCE, row_name(l->name), &row, e);
	if (l->found == 1 && row_decode(buf_bytes(&row), l->ret, e) == -1)
		l->found = -1;
	return l->found == -1 ? -1 : 0;
}

int
ledger_reference(struct ledger *l, const char *name,
    struct ledger_reference *ret, struct err *e)
{
	struct look x = { .name = name, .ret = ret };

	return store_read(l->store, look, &x, e) == -1 ? -1 : x.found;
}

static int
job_refer(struct store_txn *t, void *arg, struct err *e)
{
	const struct ledger_refer *x = arg;
	struct buf row AUTO_BUF = { 0 };
	char text[128];

	row_encode(&x->is, &row);
	snprintf(text, sizeof(text), "%s, version %llu", x->name,
	    (unsigned long long)x->is.version);
	if (store_put(t, DB_REFERENCE, row_name(x->name), buf_bytes(&row), e) ==
	    -1)
		return -1;
	return note(t, 0, "published", x->ledger->service, text, e);
}

void
ledger_refer(
    struct ledger *l, struct ledger_refer *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_refer, done, x, to);
}
