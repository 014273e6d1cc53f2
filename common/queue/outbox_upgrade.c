/*
 * Stores of version 1: rows of 24 fields, words that were marks alone.
 * Of version 2: the device's octets once more beside the message that has them
 * in it; "tx" from digest to id, which is read as it is.
 */
#include <string.h>

#include "common/base/cbor.h"
#include "common/queue/outbox_int.h"

#define FIELDS_1 24
#define OCTETS_2 4
#define PART_MAX (256 * 1024)

static void
read_fate_1(struct cbor_in *in, struct outbox_entry *en)
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

/* What was a late answer stood where answers stand. */
static void
move_late(struct outbox_entry *en)
{
	if (!en->late)
		return;
	en->late_value = en->answer_value;
	en->answer_value = 0;
	en->answer_code = 0;
}

static int
entry_1(uint64_t id, struct bytes value, struct buf *ret, struct err *e)
{
	struct outbox_entry en = { .id = id };
	struct cbor_in in;

	cbor_read_init(&in, value, "row of version 1");
	cbor_read_array(&in, FIELDS_1);
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
	read_fate_1(&in, &en);
	if (cbor_read_end(&in, e) == -1)
		return err_prefix(e, "entry %llu", (unsigned long long)id);
	en.route = en.kind;
	move_late(&en);
	outbox_entry_encode(&en, ret);
	return 1;
}

/* What does not parse is left as it is: the survey buries it. */
static int
row_1(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	(void)e;
	if (db == DB_ROW && key.len == STORE_KEY_ID_LEN &&
	    entry_1(store_key_to_id(key), value, ret, NULL) == 1)
		return 1;
	buf_add(ret, value.p, value.len);
	return 1;
}

static int
words_1(struct bytes words, struct buf *ret, struct err *e)
{
	struct outbox_words w = { .watermark = 1 };
	struct outbox_peer *p;
	struct cbor_in in;
	size_t i;

	random_bytes(w.nonce_key, sizeof(w.nonce_key));
	if (words.len > 0) {
		cbor_read_init(&in, words, "marks of services");
		w.n_peers = cbor_read_array_upto(&in, 0, PEERS_MAX);
		for (i = 0; i < w.n_peers; i++) {
			p = &w.peers[i];
			cbor_read_array(&in, 3);
			cbor_read_text(&in, p->service, sizeof(p->service));
			cbor_read_fixed(&in, p->epoch, sizeof(p->epoch));
			p->seq = cbor_read_uint(&in, UINT64_MAX);
		}
		if (cbor_read_end(&in, e) == -1)
			return -1;
	}
	outbox_words_format(&w, ret);
	return 1;
}

static int
octets_2(struct bytes value, struct buf *ret)
{
	struct bytes octets, wrapped, header, sig;
	struct cbor_in in;

	cbor_read_init(&in, value, "octets of version 2");
	cbor_read_array(&in, OCTETS_2);
	octets = cbor_read_bytes(&in, PART_MAX);
	wrapped = cbor_read_bytes(&in, PART_MAX);
	header = cbor_read_bytes(&in, ENTRY_HEADER_MAX);
	sig = cbor_read_bytes(&in, PART_MAX);
	if (cbor_read_end(&in, NULL) == -1)
		return -1;
	outbox_octets_encode(octets, wrapped, header, sig, ret);
	return 1;
}

/* What does not parse is left as it is, here too. */
static int
row_2(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	(void)e;
	if (db == DB_ROW && key.len == OUTBOX_KEY_LEN &&
	    key.p[STORE_KEY_ID_LEN] == PART_OCTETS && octets_2(value, ret) == 1)
		return 1;
	buf_add(ret, value.p, value.len);
	return 1;
}

const struct store_upgrade outbox_upgrades[] = {
	{ 1, row_1, words_1 },
	{ 2, row_2, NULL },
	{ 0 },
};
