#include "common/service/ledger_rows.h"

#include <assert.h>
#include <string.h>
#include "common/base/cbor.h"

static void
key_add(struct row_key *k, const void *p, size_t n)
{
	assert(k->len + n <= sizeof(k->b));
	memcpy(k->b + k->len, p, n);
	k->len += n;
}

static void
key_add_id(struct row_key *k, uint64_t id)
{
	uint8_t b[STORE_KEY_ID_LEN];
	struct bytes octets = store_key_id(b, id);

	key_add(k, octets.p, octets.len);
}

struct row_key
key_case(uint64_t id)
{
	struct row_key k = { .len = 0 };

	key_add_id(&k, id);
	return k;
}

struct row_key
key_part(uint64_t id, enum ledger_part part)
{
	struct row_key k = key_case(id);
	uint8_t p = (uint8_t)part;

	key_add(&k, &p, 1);
	return k;
}

struct row_key
key_index(enum index_word w, const struct digest *d)
{
	struct row_key k = { .len = 0 };
	uint8_t word = (uint8_t)w;

	key_add(&k, &word, 1);
	key_add(&k, d->b, sizeof(d->b));
	return k;
}

struct row_key
key_of_id(enum index_word w, uint64_t id)
{
	struct row_key k = { .len = 0 };
	uint8_t word = (uint8_t)w;

	key_add(&k, &word, 1);
	key_add_id(&k, id);
	return k;
}

struct row_key
key_entry(
    enum index_word w, const char *site, const uint8_t *epoch, uint64_t id)
{
	struct row_key k = key_batch(site, epoch, id);
	struct digest d = digest_of(k.b, k.len);

	return key_index(w, &d);
}

struct row_key
key_site(const char *site)
{
	struct row_key k = { .len = 0 };

	key_add(&k, site, strlen(site));
	return k;
}

/* The NUL after the name keeps "a" and "ab" apart. */
struct row_key
key_reach(const char *site, const uint8_t *epoch)
{
	struct row_key k = { .len = 0 };

	key_add(&k, site, strlen(site) + 1);
	key_add(&k, epoch, ENTRY_EPOCH_LEN);
	return k;
}

struct row_key
key_batch(const char *site, const uint8_t *epoch, uint64_t seq)
{
	struct row_key k = key_reach(site, epoch);

	key_add_id(&k, seq);
	return k;
}

bool
key_same_site(struct bytes key, const struct row_key *of)
{
	return key.len == of->len &&
	    memcmp(key.p, of->b, of->len - STORE_KEY_ID_LEN) == 0;
}

uint64_t
key_batch_seq(struct bytes key)
{
	return store_key_to_id(
	    bytes_of(key.p + key.len - STORE_KEY_ID_LEN, STORE_KEY_ID_LEN));
}

/* ---- cases ------------------------------------------------------------- */

#define CASE_ITEMS 19
#define MORE_ITEMS 3
#define MORE_MAX   64

/* What the first ledgers had not: null if there is nothing of it. */
static void
more_encode(const struct ledger_case *c, struct buf *out)
{
	struct buf more AUTO_BUF = { 0 };

	if (!c->withdrawn && !c->pruned && c->same == 0) {
		cbor_write_null(out);
		return;
	}
	cbor_write_array(&more, MORE_ITEMS);
	cbor_write_bool(&more, c->withdrawn);
	cbor_write_bool(&more, c->pruned);
	cbor_write_uint(&more, c->same);
	cbor_write_bytes(out, more.data, more.len);
}

static int
more_decode(struct bytes more, struct ledger_case *c, struct err *e)
{
	struct cbor_in in;

	cbor_read_init(&in, more, "ledger: case");
	cbor_read_array(&in, MORE_ITEMS);
	c->withdrawn = cbor_read_bool(&in);
	c->pruned = cbor_read_bool(&in);
	c->same = cbor_read_uint(&in, UINT64_MAX);
	return cbor_read_end(&in, e);
}

void
case_encode(const struct ledger_case *c, struct buf *out)
{
	cbor_write_array(out, CASE_ITEMS);
	cbor_write_uint(out, c->id);
	cbor_write_text(out, c->site);
	cbor_write_bytes(out, c->epoch, sizeof(c->epoch));
	cbor_write_uint(out, c->site_id);
	cbor_write_uint(out, c->kind);
	cbor_write_uint(out, c->step);
	cbor_write_bytes(out, c->once.b, sizeof(c->once.b));
	cbor_write_bytes(out, c->digest.b, sizeof(c->digest.b));
	cbor_write_uint(out, c->stored);
	cbor_write_uint(out, c->changed);
	cbor_write_uint(out, c->state);
	cbor_write_uint(out, c->code);
	cbor_write_text(out, c->reason);
	cbor_write_text(out, c->device);
	cbor_write_text(out, c->serial);
	cbor_write_uint(out, c->parent);
	cbor_write_uint(out, c->confirm);
	cbor_write_text(out, c->confirm_reason);
	more_encode(c, out);
}

int
case_decode(struct bytes row, struct ledger_case *ret, struct err *e)
{
	struct ledger_case c = { 0 };
	struct cbor_in in;
	struct bytes more;

	cbor_read_init(&in, row, "ledger: case");
	cbor_read_array(&in, CASE_ITEMS);
	c.id = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_text(&in, c.site, sizeof(c.site));
	cbor_read_fixed(&in, c.epoch, sizeof(c.epoch));
	c.site_id = cbor_read_uint(&in, UINT64_MAX);
	c.kind = (enum entry_kind)cbor_read_uint(&in, ENTRY_KIND__MAX - 1);
	c.step = (unsigned)cbor_read_uint(&in, UINT32_MAX);
	cbor_read_fixed(&in, c.once.b, sizeof(c.once.b));
	cbor_read_fixed(&in, c.digest.b, sizeof(c.digest.b));
	c.stored = cbor_read_uint(&in, UINT64_MAX);
	c.changed = cbor_read_uint(&in, UINT64_MAX);
	c.state = (enum ledger_state)cbor_read_uint(&in, LEDGER_STATE__MAX - 1);
	c.code = (enum batch_code)cbor_read_uint(&in, BATCH_CODE__MAX - 1);
	cbor_read_text(&in, c.reason, sizeof(c.reason));
	cbor_read_text(&in, c.device, sizeof(c.device));
	cbor_read_text(&in, c.serial, sizeof(c.serial));
	c.parent = cbor_read_uint(&in, UINT64_MAX);
	c.confirm =
	    (enum ledger_confirm)cbor_read_uint(&in, LEDGER_CONFIRM__MAX - 1);
	cbor_read_text(&in, c.confirm_reason, sizeof(c.confirm_reason));
	cbor_read_bytes_or_null(&in, MORE_MAX, &more);
	if (cbor_read_end(&in, e) == -1 ||
	    (more.len > 0 && more_decode(more, &c, e) == -1)) {
		e->kind = ERR_DAMAGE;
		return -1;
	}
	*ret = c;
	return 0;
}

/* ---- sites ------------------------------------------------------------- */

#define SITE_ITEMS  5
#define REACH_ITEMS 7

void
site_row_encode(const struct site_row *s, struct buf *out)
{
	cbor_write_array(out, SITE_ITEMS);
	cbor_write_bytes(out, s->epoch, sizeof(s->epoch));
	cbor_write_uint(out, s->standing);
	cbor_write_text(out, s->why);
	cbor_write_uint(out, s->since);
	cbor_write_bytes(out, s->knew, sizeof(s->knew));
}

int
site_row_decode(struct bytes row, struct site_row *ret, struct err *e)
{
	struct site_row s = { .since = 0 };
	struct cbor_in in;

	cbor_read_init(&in, row, "ledger: site");
	cbor_read_array(&in, SITE_ITEMS);
	cbor_read_fixed(&in, s.epoch, sizeof(s.epoch));
	s.standing =
	    (enum ledger_standing)cbor_read_uint(&in, LEDGER_STANDING__MAX - 1);
	cbor_read_text(&in, s.why, sizeof(s.why));
	s.since = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, s.knew, sizeof(s.knew));
	if (cbor_read_end(&in, e) == -1) {
		e->kind = ERR_DAMAGE;
		return -1;
	}
	*ret = s;
	return 0;
}

void
reach_encode(const struct reach *r, struct buf *out)
{
	cbor_write_array(out, REACH_ITEMS);
	cbor_write_uint(out, r->seq);
	cbor_write_uint(out, r->got);
	cbor_write_uint(out, r->highest);
	cbor_write_bytes(out, r->audit.b, sizeof(r->audit.b));
	cbor_write_uint(out, r->check_id);
	cbor_write_uint(out, r->check_seq);
	cbor_write_bytes(out, r->check_hash.b, sizeof(r->check_hash.b));
}

int
reach_decode(struct bytes row, struct reach *ret, struct err *e)
{
	struct reach r = { 0 };
	struct cbor_in in;

	cbor_read_init(&in, row, "ledger: site");
	cbor_read_array(&in, REACH_ITEMS);
	r.seq = cbor_read_uint(&in, UINT64_MAX);
	r.got = cbor_read_uint(&in, UINT64_MAX);
	r.highest = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, r.audit.b, sizeof(r.audit.b));
	r.check_id = cbor_read_uint(&in, UINT64_MAX);
	r.check_seq = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, r.check_hash.b, sizeof(r.check_hash.b));
	if (cbor_read_end(&in, e) == -1) {
		e->kind = ERR_DAMAGE;
		return -1;
	}
	*ret = r;
	return 0;
}

/* ---- batches ----------------------------------------------------------- */

void
batch_row_encode(const struct batch_row *b, struct buf *out)
{
	cbor_write_array(out, 3);
	cbor_write_bytes(out, b->batch.p, b->batch.len);
	cbor_write_bytes(out, b->sig.p, b->sig.len);
	cbor_write_array(out, b->n);
	for (size_t i = 0; i < b->n; i++)
		cbor_write_uint(out, b->answers[i]);
}

int
batch_row_decode(struct bytes row, struct batch_row *ret, struct err *e)
{
	struct batch_row b = { .n = 0 };
	struct cbor_in in;

	cbor_read_init(&in, row, "ledger: batch");
	cbor_read_array(&in, 3);
	b.batch = cbor_read_bytes(&in, BATCH_MAX);
	b.sig = cbor_read_bytes(&in, BATCH_MAX);
	b.n = cbor_read_array_upto(&in, 1, BATCH_ITEMS_MAX);
	for (size_t i = 0; i < b.n; i++)
		b.answers[i] = cbor_read_uint(&in, UINT64_MAX);
	if (cbor_read_end(&in, e) == -1) {
		e->kind = ERR_DAMAGE;
		return -1;
	}
	*ret = b;
	return 0;
}

/* ---- older ledgers ----------------------------------------------------- */

/* Version 1: a site's epoch alone, and how far without a checkpoint. */
static int
reach_decode_1(struct bytes row, struct reach *ret, struct err *e)
{
	struct reach r = { 0 };
	struct cbor_in in;

	cbor_read_init(&in, row, "ledger: site");
	cbor_read_array(&in, 4);
	r.seq = cbor_read_uint(&in, UINT64_MAX);
	r.got = cbor_read_uint(&in, UINT64_MAX);
	r.highest = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_fixed(&in, r.audit.b, sizeof(r.audit.b));
	if (cbor_read_end(&in, e) == -1) {
		e->kind = ERR_DAMAGE;
		return -1;
	}
	*ret = r;
	return 0;
}

static int
upgrade_1(unsigned db, struct bytes key, struct bytes value, struct buf *ret,
    struct err *e)
{
	struct site_row s = { .standing = LEDGER_SOUND };
	struct reach r;

	if (db != DB_SITE) {
		buf_add(ret, value.p, value.len);
		return 1;
	}
	if (memchr(key.p, '\0', key.len) != NULL) {
		if (reach_decode_1(value, &r, e) == -1)
			return -1;
		reach_encode(&r, ret);
		return 1;
	}
	if (value.len != sizeof(s.epoch))
		return err_set(e, ERR_DAMAGE,
		    "ledger: site: epoch of %zu "
		    "octets",
		    value.len);
	memcpy(s.epoch, value.p, sizeof(s.epoch));
	site_row_encode(&s, ret);
	return 1;
}

const struct store_upgrade ledger_upgrades[] = {
	{ 1, upgrade_1, NULL },
	{ 0, NULL, NULL },
};
