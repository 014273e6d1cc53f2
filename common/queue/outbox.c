#include "common/queue/outbox.h"

#include <assert.h>
#include <string.h>

#include "common/base/cbor.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/queue/outbox_int.h"

#define OCTETS_MAX (256 * 1024) /* of one part of an entry, or an answer */
#define LIST_CHUNK 64		/* entries in one read transaction */

static const char *const databases[] = {
	[DB_ROW] = "row",
	[DB_TX] = "tx",
	[DB_AUDIT] = "audit",
	NULL,
};

/* ---- open and close -------------------------------------------------- */

static int
read_epoch(struct store_txn *t, void *arg, struct err *e)
{
	struct outbox *o = arg;

	(void)e;
	memcpy(o->epoch, store_epoch(t), sizeof(o->epoch));
	return 0;
}

static void
outbox_free(struct outbox *o)
{
	if (o == NULL)
		return;
	store_close(o->store);
	outbox_index_done(&o->index);
	free(o);
}
AUTO_DEFINE(outbox, struct outbox, outbox_free);

int
outbox_open(const struct outbox_conf *c, struct outbox **ret, struct err *e)
{
	AUTO(outbox) o = xcalloc(1, sizeof(*o));
	struct store_conf sc = c->store;

	outbox_index_init(&o->index);
	o->signer = c->signer;
	str_copy(o->site, sizeof(o->site), c->site);
	o->full_percent = c->full_percent;
	o->per_device_hour = c->per_device_hour;
	sc.databases = databases;
	sc.tolerant = true; /* the survey finds and buries what is missing */
	if (store_open(&sc, &o->store, e) == -1 ||
	    store_read(o->store, read_epoch, o, e) == -1 ||
	    outbox_survey(o, e) == -1)
		return err_prefix(e, "outbox %s", c->site);
	*ret = STEAL(o);
	return 0;
}

static int
nothing(struct store_txn *t, void *arg, struct err *e)
{
	(void)t, (void)arg, (void)e;
	return 0;
}

void
outbox_flush(struct outbox *o)
{
	struct err e = ERR_INIT;

	if (store_submit_wait(o->store, nothing, NULL, &e) == -1)
		log_err(LOG_ERROR, "outbox.flush-failed", &e, NULL);
}

void
outbox_close(struct outbox *o)
{
	outbox_free(o);
}

const uint8_t *
outbox_epoch(const struct outbox *o)
{
	return o->epoch;
}

char *
outbox_id(const struct outbox *o, char ret[ENTRY_ID_TEXT], uint64_t id)
{
	return entry_id_format(ret, o->epoch, id);
}

/* ---- rows ------------------------------------------------------------ */

struct bytes
outbox_key(uint8_t key[OUTBOX_KEY_LEN], uint64_t id, enum outbox_part part)
{
	struct bytes k = store_key_id(key, id);

	if (part == PART_ENTRY)
		return k;
	key[STORE_KEY_ID_LEN] = (uint8_t)part;
	return bytes_of(key, OUTBOX_KEY_LEN);
}

void
outbox_entry_encode(const struct outbox_entry *en, struct buf *out)
{
	cbor_write_array(out, 24);
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
}

int
outbox_entry_decode(
    uint64_t id, struct bytes row, struct outbox_entry *ret, struct err *e)
{
	struct outbox_entry en = { .id = id };
	struct cbor_in in;

	cbor_read_init(&in, row, "row");
	cbor_read_array(&in, 24);
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
	if (cbor_read_end(&in, e) == -1)
		return err_set(e, ERR_DAMAGE, "entry %llu: %s",
		    (unsigned long long)id, e != NULL ? e->msg : "no row");
	*ret = en;
	return 0;
}

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

int
outbox_row_get(
    struct store_txn *t, uint64_t id, struct outbox_entry *ret, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };
	uint8_t key[OUTBOX_KEY_LEN];
	int rc;

	rc = store_get(t, DB_ROW, outbox_key(key, id, PART_ENTRY), &row, e);
	if (rc == 1 && outbox_entry_decode(id, buf_bytes(&row), ret, e) == -1)
		return -1;
	return rc;
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

/* ---- what readers ask for -------------------------------------------- */

struct find {
	const struct digest *row; /* NULL: by id */
	uint64_t id;
	struct outbox_entry *ret;
	int rc;
};

static int
find_job(struct store_txn *t, void *arg, struct err *e)
{
	struct find *f = arg;

	if (f->row != NULL &&
	    (f->rc = outbox_tx_get(t, f->row, &f->id, e)) != 1)
		return f->rc;
	f->rc = outbox_row_get(t, f->id, f->ret, e);
	if (f->rc == 0 && f->row != NULL)
		return err_set(e, ERR_DAMAGE,
		    "entry %llu: its row has vanished",
		    (unsigned long long)f->id);
	return f->rc == -1 ? -1 : 0;
}

int
outbox_find(struct outbox *o, const struct digest *row,
    struct outbox_entry *ret, struct err *e)
{
	struct find f = { .row = row, .ret = ret };

	if (store_read(o->store, find_job, &f, e) == -1)
		return -1;
	return f.rc;
}

int
outbox_get(
    struct outbox *o, uint64_t id, struct outbox_entry *ret, struct err *e)
{
	struct find f = { .id = id, .ret = ret };

	if (store_read(o->store, find_job, &f, e) == -1)
		return -1;
	return f.rc;
}

int
outbox_newest(struct outbox *o, enum entry_kind kind,
    const struct digest *device, struct outbox_entry *ret, struct err *e)
{
	uint64_t id = outbox_index_before(&o->index, kind, device, UINT64_MAX);

	return id == 0 ? 0 : outbox_get(o, id, ret, e);
}

int
outbox_older(struct outbox *o, const struct outbox_entry *than,
    struct outbox_entry *ret, struct err *e)
{
	uint64_t id =
	    outbox_index_before(&o->index, than->kind, &than->device, than->id);

	return id == 0 ? 0 : outbox_get(o, id, ret, e);
}

struct value {
	uint64_t id;
	enum outbox_part part;
	struct buf out;
};

static int
value_job(struct store_txn *t, void *arg, struct err *e)
{
	struct value *v = arg;
	uint8_t key[OUTBOX_KEY_LEN];
	int rc;

	buf_reset(&v->out);
	rc = store_get(t, DB_ROW, outbox_key(key, v->id, v->part), &v->out, e);
	if (rc == 0)
		return err_set(e, ERR_INPUT, "entry %llu: not in the store",
		    (unsigned long long)v->id);
	return rc == 1 ? 0 : -1;
}

static int
value_read(struct outbox *o, uint64_t id, enum outbox_part part,
    struct buf *ret, struct err *e)
{
	struct value v = { .id = id, .part = part };

	if (store_read(o->store, value_job, &v, e) == -1) {
		buf_done(&v.out);
		return -1;
	}
	*ret = v.out;
	return 0;
}

int
outbox_octets(
    struct outbox *o, uint64_t id, struct outbox_octets *ret, struct err *e)
{
	struct buf row AUTO_BUF = { 0 };

	if (value_read(o, id, PART_OCTETS, &row, e) == -1)
		return -1;
	return outbox_octets_decode(id, buf_bytes(&row), ret, NULL, e);
}

int
outbox_answer(struct outbox *o, const struct outbox_entry *en, struct buf *ret,
    struct err *e)
{
	struct buf answer AUTO_BUF = { 0 };
	char id[ENTRY_ID_TEXT];

	if (en->answer_value == 0)
		return err_set(e, ERR_WAITING, "entry %s: no answer yet",
		    outbox_id(o, id, en->id));
	if (value_read(o, en->answer_value, PART_ANSWER, &answer, e) == -1)
		return -1;
	buf_add(ret, answer.data, answer.len);
	return 0;
}

struct chunk {
	uint64_t ids[LIST_CHUNK];
	size_t n;
	struct outbox_entry v[LIST_CHUNK]; /* id 0: not committed yet */
};

/* A row that does not open is shown as what the next start makes of it. */
static int
chunk_job(struct store_txn *t, void *arg, struct err *e)
{
	struct chunk *c = arg;
	size_t i;
	int rc;

	for (i = 0; i < c->n; i++) {
		c->v[i] = (struct outbox_entry){ 0 };
		rc = outbox_row_get(t, c->ids[i], &c->v[i], e);
		if (rc == -1 && e->kind != ERR_DAMAGE)
			return -1;
		if (rc == -1)
			c->v[i] = (struct outbox_entry){ .id = c->ids[i],
				.state = ENTRY_DEAD,
				.reason = "damaged" };
	}
	return 0;
}

/* Visits after each chunk's transaction has ended: a visitor may be slow. */
int
outbox_list(struct outbox *o, uint64_t first, size_t max, outbox_visit fn,
    void *arg, struct err *e)
{
	AUTO(void) mem = xcalloc(1, sizeof(struct chunk));
	struct chunk *c = mem;
	struct err own = ERR_INIT;
	size_t want, i;

	if (e == NULL)
		e = &own;
	while (max > 0) {
		want = max < LIST_CHUNK ? max : LIST_CHUNK;
		c->n = outbox_index_ids(&o->index, first, c->ids, want);
		if (c->n == 0)
			break;
		if (store_read(o->store, chunk_job, c, e) == -1)
			return -1;
		for (i = 0; i < c->n; i++)
			if (c->v[i].id != 0)
				fn(&c->v[i], arg);
		max -= c->n;
		first = c->ids[c->n - 1] + 1;
	}
	return 0;
}

struct history {
	uint64_t id;
	size_t max;
	audit_visit fn;
	void *arg;
};

static int
history_job(struct store_txn *t, void *arg, struct err *e)
{
	struct history *h = arg;

	return audit_list(t, DB_AUDIT, h->id, h->max, h->fn, h->arg, e);
}

int
outbox_history(struct outbox *o, uint64_t id, size_t max, audit_visit fn,
    void *arg, struct err *e)
{
	struct history h = { id, max, fn, arg };

	return store_read(o->store, history_job, &h, e);
}
