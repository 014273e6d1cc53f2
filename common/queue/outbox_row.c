#include <assert.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/queue/outbox_int.h"

#define OCTETS_MAX (256 * 1024) /* of one part of an entry, or an answer */

struct bytes
outbox_key(uint8_t key[OUTBOX_KEY_LEN], uint64_t id, enum outbox_part part)
{
	struct bytes k = store_key_id(key, id);

	if (part == PART_ENTRY)
		return k;
	key[STORE_KEY_ID_LEN] = (uint8_t)part;
	return bytes_of(key, OUTBOX_KEY_LEN);
}

/* ---- the part that changes -------------------------------------------- */

#define ENTRY_FIELDS 30

void
outbox_entry_encode(const struct outbox_entry *en, struct buf *out)
{
	cbor_write_array(out, ENTRY_FIELDS);
	cbor_write_uint(out, en->kind);
	cbor_write_uint(out, en->step);
	cbor_write_uint(out, en->state);
	cbor_write_bool(out, en->initial);
	cbor_write_bytes(out, en->row.b, DIGEST_LEN);
	cbor_write_bytes(out, en->device.b, DIGEST_LEN);
	cbor_write_bytes(out, en->digest.b, DIGEST_LEN);
	cbor_write_text(out, en->label);
	cbor_write_uint(out, en->parent);
	cbor_write_uint(out, en->replaces);
	cbor_write_uint(out, en->replaced_by);
	cbor_write_bool(out, en->held);
	cbor_write_text(out, en->held_who);
	cbor_write_text(out, en->held_why);
	cbor_write_uint(out, en->held_since);
	entry_stamp_encode(&en->received, out);
	cbor_write_uint(out, en->deadline);
	cbor_write_uint(out, en->changed);
	cbor_write_uint(out, en->handouts);
	cbor_write_text(out, en->carrier);
	cbor_write_uint(out, en->answer_value);
	cbor_write_uint(out, en->answer_code);
	cbor_write_bool(out, en->late);
	cbor_write_text(out, en->reason);
	cbor_write_uint(out, en->route);
	cbor_write_text(out, en->vendor);
	cbor_write_uint(out, en->late_value);
	cbor_write_uint(out, en->renewal);
	cbor_write_bool(out, en->unsure);
	cbor_write_bool(out, en->pruned);
}

/* What stands in the second half: how the entry fared. */
static void
read_fate(struct cbor_in *in, struct outbox_entry *en)
{
	en->held = cbor_read_bool(in);
	cbor_read_text(in, en->held_who, sizeof(en->held_who));
	cbor_read_text(in, en->held_why, sizeof(en->held_why));
	en->held_since = cbor_read_uint(in, UINT64_MAX);
	entry_stamp_read(in, &en->received);
	en->deadline = cbor_read_uint(in, UINT64_MAX);
	en->changed = cbor_read_uint(in, UINT64_MAX);
	en->handouts = (unsigned)cbor_read_uint(in, UINT32_MAX);
	cbor_read_text(in, en->carrier, sizeof(en->carrier));
	en->answer_value = cbor_read_uint(in, UINT64_MAX);
	en->answer_code =
	    (enum batch_code)cbor_read_uint(in, BATCH_CODE__MAX - 1);
	en->late = cbor_read_bool(in);
	cbor_read_text(in, en->reason, sizeof(en->reason));
	en->route = (enum entry_kind)cbor_read_uint(in, ENTRY_KIND__MAX - 1);
	cbor_read_text(in, en->vendor, sizeof(en->vendor));
	en->late_value = cbor_read_uint(in, UINT64_MAX);
	en->renewal = (unsigned)cbor_read_uint(in, UINT32_MAX);
	en->unsure = cbor_read_bool(in);
	en->pruned = cbor_read_bool(in);
}

int
outbox_entry_decode(
    uint64_t id, struct bytes row, struct outbox_entry *ret, struct err *e)
{
	struct outbox_entry en = { .id = id };
	struct cbor_in in;

	cbor_read_init(&in, row, "row");
	cbor_read_array(&in, ENTRY_FIELDS);
	en.kind = (enum entry_kind)cbor_read_uint(&in, ENTRY_KIND__MAX - 1);
	en.step = (unsigned)cbor_read_uint(&in, ENTRY_STEP_MAX);
	en.state = (enum entry_state)cbor_read_uint(&in, ENTRY_STATE__MAX - 1);
	en.initial = cbor_read_bool(&in);
	cbor_read_fixed(&in, en.row.b, DIGEST_LEN);
	cbor_read_fixed(&in, en.device.b, DIGEST_LEN);
	cbor_read_fixed(&in, en.digest.b, DIGEST_LEN);
	cbor_read_text(&in, en.label, sizeof(en.label));
	en.parent = cbor_read_uint(&in, UINT64_MAX);
	en.replaces = cbor_read_uint(&in, UINT64_MAX);
	en.replaced_by = cbor_read_uint(&in, UINT64_MAX);
	read_fate(&in, &en);
	if (en.state == ENTRY_NONE)
		cbor_read_bad(&in, "entry without a state");
	if (in.bad == NULL && en.parent >= id && en.parent != 0)
		cbor_read_bad(&in, "entry older than its parent");
	if (cbor_read_end(&in, e) == -1)
		return err_set(e, ERR_DAMAGE, "entry %llu: %s",
		    (unsigned long long)id, e != NULL ? e->msg : "no row");
	*ret = en;
	return 0;
}

bool
outbox_open_state(enum entry_state s)
{
	return s == ENTRY_RECEIVED || s == ENTRY_QUEUED ||
	    s == ENTRY_INFLIGHT || s == ENTRY_CUSTODY;
}

bool
outbox_left(const struct outbox_entry *en)
{
	return en->handouts > 0 || en->state == ENTRY_INFLIGHT ||
	    en->state == ENTRY_CUSTODY;
}

/* ---- the part that stays ---------------------------------------------- */

void
outbox_octets_encode(struct bytes octets, struct bytes wrapped,
    struct bytes header, struct bytes sig, struct buf *out)
{
	cbor_write_array(out, 4);
	cbor_write_bytes(out, octets.p, octets.len);
	cbor_write_bytes(out, wrapped.p, wrapped.len);
	cbor_write_bytes(out, header.p, header.len);
	cbor_write_bytes(out, sig.p, sig.len);
}

void
outbox_octets_done(struct outbox_octets *x)
{
	buf_done(&x->bytes);
	buf_done(&x->wrapped);
	buf_done(&x->header);
	buf_done(&x->sig);
}

int
outbox_octets_decode(uint64_t id, struct bytes row, struct outbox_octets *ret,
    struct entry_header *ret_header, struct err *e)
{
	struct bytes octets, wrapped, header, sig;
	struct entry_header h;
	struct cbor_in in;

	cbor_read_init(&in, row, "octets");
	cbor_read_array(&in, 4);
	octets = cbor_read_bytes(&in, OCTETS_MAX);
	wrapped = cbor_read_bytes(&in, OCTETS_MAX);
	header = cbor_read_bytes(&in, ENTRY_HEADER_MAX);
	sig = cbor_read_bytes(&in, OCTETS_MAX);
	if (cbor_read_end(&in, e) == -1 ||
	    entry_header_parse(header, &h, e) == -1)
		return err_set(e, ERR_DAMAGE, "entry %llu: %s",
		    (unsigned long long)id, e != NULL ? e->msg : "no octets");
	*ret = (struct outbox_octets){ bytes_dup(octets), bytes_dup(wrapped),
		bytes_dup(header), bytes_dup(sig), h.facts };
	if (ret_header != NULL)
		*ret_header = h;
	return 0;
}

/* ---- in a transaction -------------------------------------------------- */

int
outbox_row_get(struct outbox *o, struct store_txn *t, uint64_t id,
    struct outbox_entry *ret, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];
	int rc;

	if (id == 0)
		return 0; /* the head's */
	rc = store_get(t, DB_ROW, outbox_key(key, id, PART_ENTRY), &row, e);
	if (rc != 1)
		return rc;
	if (outbox_entry_decode(id, buf_bytes(&row), ret, e) == -1)
		return -1;
	ret->resend = outbox_open_state(ret->state) &&
	    ret->renewal != atomic_load(&o->index.renewal);
	return 1;
}

int
outbox_tx_get(
    struct store_txn *t, const struct digest *row, uint64_t *ret, struct err *e)
{
	struct buf id AUTO_BUF = { 0 };
	int rc;

	rc = store_get(t, DB_TX, bytes_of(row->b, DIGEST_LEN), &id, e);
	if (rc == 1)
		*ret = store_key_to_id(buf_bytes(&id));
	return rc;
}

int
outbox_octets_get(struct store_txn *t, uint64_t id, struct outbox_octets *ret,
    struct entry_header *ret_header, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];
	int rc;

	rc = store_get(t, DB_ROW, outbox_key(key, id, PART_OCTETS), &row, e);
	if (rc == 1 &&
	    outbox_octets_decode(id, buf_bytes(&row), ret, ret_header, e) == -1)
		return -1;
	return rc;
}

int
outbox_row_put(struct outbox *o, struct store_txn *t,
    const struct outbox_entry *en, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];

	outbox_entry_encode(en, &row);
	if (store_put(t, DB_ROW, outbox_key(key, en->id, PART_ENTRY),
		buf_bytes(&row), e) == -1)
		return -1;
	outbox_index_set(&o->index, t, en);
	return 0;
}

int
outbox_tx_put(struct store_txn *t, const struct outbox_entry *en, struct err *e)
{
	uint8_t id[STORE_KEY_ID_LEN];

	return store_put(t, DB_TX, bytes_of(en->row.b, DIGEST_LEN),
	    store_key_id(id, en->id), e);
}

/* Arrives out of the entries' order: under a number of its own it is put at
 * the end, which touches half the pages. */
int
outbox_answer_put(
    struct store_txn *t, struct bytes answer, uint64_t *ret, struct err *e)
{
	uint64_t id = store_take_id(t);
	uint8_t key[OUTBOX_KEY_LEN];

	if (store_put(t, DB_ROW, outbox_key(key, id, PART_ANSWER), answer, e) ==
	    -1)
		return -1;
	*ret = id;
	return 0;
}

int
outbox_octets_put(struct outbox *o, struct store_txn *t, struct entry_header *h,
    struct bytes bytes, struct bytes wrapped, struct err *e)
{
	struct buf text AUTO_BUF = { 0 }, sig AUTO_BUF = { 0 };
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];

	str_copy(h->site, sizeof(h->site), o->site);
	memcpy(h->epoch, store_epoch(t), sizeof(h->epoch));
	if (entry_header_sign(h, o->signer, &text, &sig, e) == -1)
		return -1;
	outbox_octets_encode(
	    bytes, wrapped, buf_bytes(&text), buf_bytes(&sig), &row);
	return store_put(
	    t, DB_ROW, outbox_key(key, h->id, PART_OCTETS), buf_bytes(&row), e);
}

/* The octets and their header still tell much. */
static void
buried_recover(struct store_txn *t, struct outbox_entry *en)
{
	struct entry_header h;
	struct outbox_octets x;

	if (outbox_octets_get(t, en->id, &x, &h, NULL) != 1)
		return;
	outbox_octets_done(&x);
	en->kind = en->route = h.kind;
	en->step = h.step;
	en->digest = h.digest;
	en->received = h.received;
	en->deadline = h.deadline;
	en->parent = h.parent;
	en->replaces = h.replaces;
}

void
outbox_buried(struct store_txn *t, uint64_t id, const struct digest *row,
    const char *reason, struct outbox_entry *ret)
{
	*ret = (struct outbox_entry){
		.id = id, .state = ENTRY_DEAD, .changed = clock_now().time
	};

	if (row != NULL)
		ret->row = *row;
	buried_recover(t, ret);
	entry_text(ret->reason, sizeof(ret->reason), reason);
}
