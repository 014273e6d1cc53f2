/*
 * Reference data, kept so that a restart has it.  A piece is a row with what a
 * service signed, and rows of its octets: all of one commit.
 */
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/log.h"
#include "common/queue/outbox_int.h"

#define PART	   (128 * 1024) /* octets of a row */
#define SIGNED_MAX 1024
#define HEAD_ITEMS 4

/* The piece's key, then the number of the row: 0 is the signed one. */
#define KEY_LEN (DIGEST_LEN + 1)

struct key {
	uint8_t b[KEY_LEN];
};

static struct key
key_of(const struct outbox_reference *x, size_t row)
{
	struct buf text AUTO_BUF = { 0 };
	struct digest d;
	struct key k;

	cbor_write_array(&text, 2);
	cbor_write_text(&text, x->service);
	cbor_write_text(&text, x->name);
	d = digest_of(text.data, text.len);
	memcpy(k.b, d.b, sizeof(d.b));
	k.b[DIGEST_LEN] = (uint8_t)row;
	return k;
}

static struct bytes
key_bytes(const struct key *k)
{
	return bytes_of(k->b, sizeof(k->b));
}

/* ---- writing ----------------------------------------------------------- */

struct reference_job {
	struct outbox *o;
	struct outbox_reference *x;
	void (*done)(struct outbox_reference *x, const struct err *e);
	struct store_txn *t; /* while rows are dropped */
};

static int
drop_row(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	const struct reference_job *j = arg;
	struct key first = key_of(j->x, 0);

	(void)value;
	(void)damaged;
	if (key.len != KEY_LEN || memcmp(key.p, first.b, DIGEST_LEN) != 0)
		return 1;
	return store_del(j->t, DB_REFERENCE, key, e) == -1 ? -1 : 0;
}

static int
put_row(struct store_txn *t, const struct outbox_reference *x, size_t row,
    struct bytes value, struct err *e)
{
	struct key k = key_of(x, row);

	return store_put(t, DB_REFERENCE, key_bytes(&k), value, e);
}

static int
put_piece(struct store_txn *t, const struct outbox_reference *x, struct err *e)
{
	struct buf head AUTO_BUF = { 0 };
	struct bytes left = x->octets;
	size_t row = 0, n;

	cbor_write_array(&head, HEAD_ITEMS);
	cbor_write_text(&head, x->service);
	cbor_write_text(&head, x->name);
	cbor_write_bytes(&head, x->manifest.p, x->manifest.len);
	cbor_write_bytes(&head, x->sig.p, x->sig.len);
	if (put_row(t, x, row, buf_bytes(&head), e) == -1)
		return -1;
	for (; left.len > 0; left = bytes_of(left.p + n, left.len - n)) {
		n = left.len < PART ? left.len : PART;
		if (put_row(t, x, ++row, bytes_of(left.p, n), e) == -1)
			return -1;
	}
	return 0;
}

static int
reference_run(struct store_txn *t, void *arg, struct err *e)
{
	struct reference_job *j = arg;
	struct key first = key_of(j->x, 0);

	j->t = t;
	if (store_walk(t, DB_REFERENCE, key_bytes(&first), drop_row, j, e) ==
	    -1)
		return -1;
	if (j->x->octets.len > 0 && put_piece(t, j->x, e) == -1)
		return -1;
	return outbox_audit(j->o, t, 0, ENTRY_CMP,
	    j->x->octets.len > 0 ? "reference" : "reference-gone",
	    j->x->service, j->x->name, e);
}

static void
reference_over(void *arg, const struct err *e)
{
	struct reference_job *j = arg;

	j->done(j->x, e);
	free(j);
}

void
outbox_reference(struct outbox *o, struct outbox_reference *x,
    void (*done)(struct outbox_reference *x, const struct err *e),
    struct post to)
{
	struct reference_job *j = xmalloc(sizeof(*j));

	*j = (struct reference_job){ .o = o, .x = x, .done = done };
	store_submit(o->store, reference_run, reference_over, j, to);
}

/* ---- reading ----------------------------------------------------------- */

struct gather {
	void (*fn)(const struct outbox_reference *x, void *arg);
	void *arg;
	struct digest key;
	struct buf head, octets;
};

/* What was put together so far is whole, as far as rows go. */
static int
gather_end(struct gather *g, struct err *e)
{
	char service[ENTRY_NAME_MAX], name[OUTBOX_REFERENCE_NAME];
	struct outbox_reference x = { .service = service, .name = name };
	struct cbor_in in;

	if (g->head.len > 0) {
		cbor_read_init(&in, buf_bytes(&g->head), "reference data");
		cbor_read_array(&in, HEAD_ITEMS);
		cbor_read_text(&in, service, sizeof(service));
		cbor_read_text(&in, name, sizeof(name));
		x.manifest = cbor_read_bytes(&in, SIGNED_MAX);
		x.sig = cbor_read_bytes(&in, SIGNED_MAX);
		if (cbor_read_end(&in, e) == -1)
			return -1;
		x.octets = buf_bytes(&g->octets);
		g->fn(&x, g->arg);
	}
	buf_reset(&g->head);
	buf_reset(&g->octets);
	return 0;
}

/* A row that does not open is left out: then the digest does not hold. */
static int
gather_row(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct gather *g = arg;

	if (key.len != KEY_LEN)
		return 0;
	if (memcmp(g->key.b, key.p, DIGEST_LEN) != 0) {
		if (gather_end(g, e) == -1)
			return -1;
		memcpy(g->key.b, key.p, DIGEST_LEN);
	}
	if (damaged)
		log_event(LOG_ALARM, "reference.damaged", NULL);
	else if (key.p[DIGEST_LEN] == 0)
		buf_add(&g->head, value.p, value.len);
	else
		buf_add(&g->octets, value.p, value.len);
	return 0;
}

static int
gather_all(struct store_txn *t, void *arg, struct err *e)
{
	struct gather *g = arg;

	if (store_walk(t, DB_REFERENCE, bytes_of(NULL, 0), gather_row, g, e) ==
	    -1)
		return -1;
	return gather_end(g, e);
}

int
outbox_references(struct outbox *o,
    void (*fn)(const struct outbox_reference *x, void *arg), void *arg,
    struct err *e)
{
	struct gather g = { .fn = fn, .arg = arg };
	int rc = store_read(o->store, gather_all, &g, e);

	buf_done(&g.head);
	buf_done(&g.octets);
	return rc;
}
