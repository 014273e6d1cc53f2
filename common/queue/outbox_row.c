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

#define ENTRY_FIELDS  30
#define OCTETS_FIELDS 6

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

/* A nested message has the device's octets in it: they are not written twice,
 * which is a page of 4 KiB less a commit. */
void
outbox_octets_encode(struct bytes octets, struct bytes wrapped,
    struct bytes header, struct bytes sig, struct buf *out)
{
	const uint8_t *in = octets.len == 0 || wrapped.len == 0
	    ? NULL
	    : memmem(wrapped.p, wrapped.len, octets.p, octets.len);

	cbor_write_array(out, OCTETS_FIELDS);
	cbor_write_bytes(out, octets.p, in != NULL ? 0 : octets.len);
	cbor_write_uint(out, in != NULL ? (uint64_t)(in - wrapped.p) : 0);
	cbor_write_uint(out, in != NULL ? octets.len : 0);
	cbor_write_bytes(out, wrapped.p, wrapped.len);
	cbor_write_bytes(out, header.p, header.len);
	cbor_write_bytes(out, sig.p, sig.len);
}

/* The device's octets and what travels. */
static void
read_octets(struct cbor_in *in, struct bytes *ret, struct bytes *ret_wrapped)
{
	struct bytes own = cbor_read_bytes(in, OCTETS_MAX), wrapped;
	uint64_t at = cbor_read_uint(in, OCTETS_MAX);
	uint64_t len = cbor_read_uint(in, OCTETS_MAX);

	wrapped = cbor_read_bytes(in, OCTETS_MAX);
	*ret = own;
	*ret_wrapped = wrapped;
	if (len == 0)
		return;
	if (own.len > 0 || at > wrapped.len || len > wrapped.len - at)
		cbor_read_bad(in, "octets that are not in what travels");
	else
		*ret = bytes_of(wrapped.p + at, len);
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
	cbor_read_array(&in, OCTETS_FIELDS);
	read_octets(&in, &octets, &wrapped);
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

/* Whose row it is stands in "tx" too: under the entry's id, or, before version
 * 3, the id under the digest. */
static int
tx_agrees(
    struct store_txn *t, uint64_t id, const struct digest *row, struct err *e)
{
	struct bytes name = bytes_of(row->b, DIGEST_LEN);
	struct buf value AUTO_BUF = { 0 };
	uint8_t key[STORE_KEY_ID_LEN];
	int rc = store_get(t, DB_TX, store_key_id(key, id), &value, e);

	if (rc == 1)
		return bytes_eq(buf_bytes(&value), name);
	if (rc == 0 && (rc = store_get(t, DB_TX, name, &value, e)) == 1)
		return store_key_to_id(buf_bytes(&value)) == id;
	return rc;
}

/* 1: it is the entry of this row, 0: it is not, -1.  ERR_DAMAGE: it is, and its
 * row does not open, or has vanished. */
static int
row_is(struct outbox *o, struct store_txn *t, uint64_t id,
    const struct digest *row, struct outbox_entry *ret, struct err *e)
{
	struct err own = ERR_INIT, *why = e != NULL ? e : &own;
	int rc = outbox_row_get(o, t, id, ret, why);

	if (rc == 1)
		return digest_eq(&ret->row, row) && !ret->pruned;
	if (rc == -1 && why->kind != ERR_DAMAGE)
		return -1;
	if (tx_agrees(t, id, row, NULL) != 1)
		return 0;
	return rc == -1
	    ? -1
	    : err_set(e, ERR_DAMAGE, "entry %llu: its row has vanished",
		  (unsigned long long)id);
}

int
outbox_row_find(struct outbox *o, struct store_txn *t, const struct digest *row,
    uint64_t *ret_id, struct outbox_entry *ret, struct err *e)
{
	uint64_t id = UINT64_MAX;
	int rc = 0;

	while (rc == 0 && (id = outbox_index_named(&o->index, row, id)) != 0) {
		*ret_id = id;
		rc = row_is(o, t, id, row, ret, e);
	}
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
	uint8_t key[STORE_KEY_ID_LEN];

	return store_put(t, DB_TX, store_key_id(key, en->id),
	    bytes_of(en->row.b, DIGEST_LEN), e);
}

int
outbox_tx_del(struct store_txn *t, const struct outbox_entry *en, struct err *e)
{
	uint8_t key[STORE_KEY_ID_LEN];

	if (store_del(t, DB_TX, store_key_id(key, en->id), e) == -1)
		return -1;
	return store_del(t, DB_TX, bytes_of(en->row.b, DIGEST_LEN), e);
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

struct owner {
	uint64_t id;
	struct digest *row;
};

/* Before version 3, under the digest. */
static int
own_digest(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	const struct owner *w = arg;

	(void)e;
	if (damaged || key.len != DIGEST_LEN || store_key_to_id(value) != w->id)
		return 0;
	memcpy(w->row->b, key.p, DIGEST_LEN);
	return 1;
}

/* Its row digest by "tx", if that has it. */
static void
buried_name(struct store_txn *t, uint64_t id, struct digest *ret)
{
	struct buf value AUTO_BUF = { 0 };
	struct owner w = { id, ret };
	uint8_t key[STORE_KEY_ID_LEN];
	int rc = store_get(t, DB_TX, store_key_id(key, id), &value, NULL);

	if (rc == 1 && value.len == DIGEST_LEN)
		memcpy(ret->b, value.data, DIGEST_LEN);
	/* Who is not found stays nameless. */
	if (rc != 1)
		rc = store_walk(
		    t, DB_TX, bytes_of(NULL, 0), own_digest, &w, NULL);
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
	else
		buried_name(t, id, &ret->row);
	buried_recover(t, ret);
	entry_text(ret->reason, sizeof(ret->reason), reason);
}
