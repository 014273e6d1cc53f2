#include "common/queue/outbox.h"

#include <string.h>

#include <openssl/crypto.h>

#include "common/base/str.h"
#include "common/queue/outbox_int.h"

#define LIST_CHUNK 64 /* entries in one read transaction */

static const char *const databases[] = {
	[DB_ROW] = "row",
	[DB_TX] = "tx",
	[DB_AUDIT] = "audit",
	[DB_REFERENCE] = "reference",
	NULL,
};

/* ---- open and close -------------------------------------------------- */

void
outbox_epoch_set(struct outbox *o, const uint8_t epoch[ENTRY_EPOCH_LEN])
{
	struct epoch *n = xcalloc(1, sizeof(*n));

	memcpy(n->b, epoch, sizeof(n->b));
	n->older = atomic_load(&o->epoch);
	atomic_store(&o->epoch, n);
}

static int
read_head(struct store_txn *t, void *arg, struct err *e)
{
	struct outbox *o = arg;
	struct outbox_words w;

	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	outbox_epoch_set(o, store_epoch(t));
	memcpy(o->nonce_key, w.nonce_key, sizeof(o->nonce_key));
	/* One that may not be written to has none to keep. */
	if (store_user(t).len == 0)
		random_bytes(o->nonce_key, sizeof(o->nonce_key));
	atomic_store(&o->floor, w.floor);
	atomic_store(&o->index.renewal, w.renewal);
	o->index.suspended = w.suspended[0] != '\0';
	str_copy(o->suspended, sizeof(o->suspended), w.suspended);
	OPENSSL_cleanse(w.nonce_key, sizeof(w.nonce_key));
	return outbox_trail_open(o, t, e);
}

/* A new store has no words yet. */
static int
make_words(struct store_txn *t, void *arg, struct err *e)
{
	struct outbox_words w;

	(void)arg;
	if (store_user(t).len > 0)
		return 0;
	if (outbox_words_read(t, &w, e) == -1)
		return -1;
	random_bytes(w.nonce_key, sizeof(w.nonce_key));
	outbox_words_write(t, &w);
	OPENSSL_cleanse(w.nonce_key, sizeof(w.nonce_key));
	return 0;
}

static void
outbox_free(struct outbox *o)
{
	struct epoch *x, *older;

	if (o == NULL)
		return;
	store_close(o->store);
	outbox_index_done(&o->index);
	for (x = atomic_load(&o->epoch); x != NULL; x = older) {
		older = x->older;
		free(x);
	}
	free(o->ring);
	OPENSSL_cleanse(o->nonce_key, sizeof(o->nonce_key));
	free(o);
}
AUTO_DEFINE(outbox, struct outbox, outbox_free);

static struct outbox *
outbox_new(const struct outbox_conf *c)
{
	struct outbox *o = xcalloc(1, sizeof(*o));

	outbox_index_init(&o->index);
	o->signer = c->signer;
	str_copy(o->site, sizeof(o->site), c->site);
	o->full_percent = c->full_percent;
	o->open_room = c->open_room;
	o->map_size = c->store.map_size > 0 ? c->store.map_size : 1;
	o->per_device_hour = c->per_device_hour;
	o->per_device_open = c->per_device_open;
	o->per_vendor_open = c->per_vendor_open;
	o->open = c->open;
	o->ring = xcalloc(TRAIL_RING, sizeof(*o->ring));
	return o;
}

void
outbox_store_conf(struct store_conf *ret)
{
	ret->databases = databases;
	ret->version = OUTBOX_VERSION;
	ret->upgrades = outbox_upgrades;
	ret->tolerant = true; /* the survey finds and buries what is missing */
}

int
outbox_open(const struct outbox_conf *c, struct outbox **ret, struct err *e)
{
	AUTO(outbox) o = outbox_new(c);
	struct store_conf sc = c->store;

	outbox_store_conf(&sc);
	if (store_open(&sc, &o->store, e) == -1 ||
	    (!store_read_only(o->store) &&
		store_submit_wait(o->store, make_words, NULL, e) == -1) ||
	    store_read(o->store, read_head, o, e) == -1 ||
	    outbox_survey(o, e) == -1)
		return err_prefix(e, "outbox %s", c->site);
	if (outbox_floor(o) != 0)
		clock_confirm(outbox_floor(o));
	*ret = STEAL(o);
	return 0;
}

void
outbox_flush(struct outbox *o)
{
	store_flush(o->store);
}

void
outbox_close(struct outbox *o)
{
	outbox_free(o);
}

const uint8_t *
outbox_epoch(const struct outbox *o)
{
	return atomic_load(&o->epoch)->b;
}

const uint8_t *
outbox_nonce_key(const struct outbox *o)
{
	return o->nonce_key;
}

uint64_t
outbox_floor(const struct outbox *o)
{
	return atomic_load(&o->floor);
}

char *
outbox_id(const struct outbox *o, char ret[ENTRY_ID_TEXT], uint64_t id)
{
	return entry_id_format(ret, outbox_epoch(o), id);
}

/* ---- what readers ask for -------------------------------------------- */

struct find {
	struct outbox *o;
	const struct digest *row; /* NULL: by id */
	uint64_t id;
	struct outbox_entry *ret;
	int rc;
};

static int
find_job(struct store_txn *t, void *arg, struct err *e)
{
	struct find *f = arg;

	f->rc = f->row != NULL
	    ? outbox_row_find(f->o, t, f->row, &f->id, f->ret, e)
	    : outbox_row_get(f->o, t, f->id, f->ret, e);
	return f->rc == -1 ? -1 : 0;
}

int
outbox_find(struct outbox *o, const struct digest *row,
    struct outbox_entry *ret, struct err *e)
{
	struct find f = { .o = o, .row = row, .ret = ret };

	if (store_read(o->store, find_job, &f, e) == -1)
		return -1;
	return f.rc;
}

int
outbox_get(
    struct outbox *o, uint64_t id, struct outbox_entry *ret, struct err *e)
{
	struct find f = { .o = o, .id = id, .ret = ret };

	if (store_read(o->store, find_job, &f, e) == -1)
		return -1;
	return f.rc;
}

/* Memory has a device's digest cut short, so the row decides. */
static int
find_older(struct outbox *o, enum entry_kind kind, const struct digest *device,
    uint64_t below, struct outbox_entry *ret, struct err *e)
{
	struct outbox_entry en;
	int rc = 0;

	while ((below = outbox_index_before(&o->index, kind, device, below)) !=
	    0) {
		if ((rc = outbox_get(o, below, &en, e)) == -1)
			return -1;
		if (rc == 1 && digest_eq(&en.device, device)) {
			*ret = en;
			return 1;
		}
	}
	return 0;
}

int
outbox_newest(struct outbox *o, enum entry_kind kind,
    const struct digest *device, struct outbox_entry *ret, struct err *e)
{
	return find_older(o, kind, device, UINT64_MAX, ret, e);
}

int
outbox_older(struct outbox *o, const struct outbox_entry *than,
    struct outbox_entry *ret, struct err *e)
{
	const struct digest device = than->device;

	return find_older(o, than->kind, &device, than->id, ret, e);
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

static int
answer_read(struct outbox *o, uint64_t id, uint64_t value, struct buf *ret,
    struct err *e)
{
	struct buf answer AUTO_BUF = { 0 };
	char text[ENTRY_ID_TEXT];

	if (value == 0)
		return err_set(e, ERR_WAITING, "entry %s: no answer yet",
		    outbox_id(o, text, id));
	if (value_read(o, value, PART_ANSWER, &answer, e) == -1)
		return -1;
	buf_add(ret, answer.data, answer.len);
	return 0;
}

int
outbox_answer(struct outbox *o, const struct outbox_entry *en, struct buf *ret,
    struct err *e)
{
	return answer_read(o, en->id, en->answer_value, ret, e);
}

int
outbox_late(struct outbox *o, const struct outbox_entry *en, struct buf *ret,
    struct err *e)
{
	return answer_read(o, en->id, en->late_value, ret, e);
}

/* ---- lists ------------------------------------------------------------ */

struct page {
	struct outbox *o;
	uint64_t ids[LIST_CHUNK];
	size_t n;
	struct outbox_entry v[LIST_CHUNK]; /* id 0: not committed yet */
};

/* A row that does not open is shown as what the next start makes of it. */
static int
page_job(struct store_txn *t, void *arg, struct err *e)
{
	struct page *p = arg;
	size_t i;
	int rc;

	for (i = 0; i < p->n; i++) {
		p->v[i] = (struct outbox_entry){ 0 };
		rc = outbox_row_get(p->o, t, p->ids[i], &p->v[i], e);
		if (rc == -1 && e->kind != ERR_DAMAGE)
			return -1;
		if (rc == -1)
			p->v[i] = (struct outbox_entry){ .id = p->ids[i],
				.state = ENTRY_DEAD,
				.reason = "damaged" };
	}
	return 0;
}

/* What the slot told may be of a change that is not committed, or of another
 * label's hash. */
static bool
matches(const struct outbox_entry *en, const struct outbox_filter *f)
{
	return en->id != 0 &&
	    (f->states == 0 || (f->states & 1u << en->state) != 0) &&
	    (f->kinds == 0 || (f->kinds & 1u << en->kind) != 0) &&
	    (f->older == 0 || en->received.time < f->older) &&
	    (f->label == NULL || strcmp(f->label, en->label) == 0) &&
	    (!f->held || en->held) && (!f->late || en->late) &&
	    (!f->left || outbox_left(en));
}

/* Visits after each page's transaction has ended: a visitor may be slow. */
static int
select_pages(struct outbox *o, const struct outbox_filter *f, struct page *p,
    uint64_t *next, size_t max, outbox_visit fn, void *arg, struct err *e)
{
	size_t want, i;

	while (max > 0) {
		want = max < LIST_CHUNK ? max : LIST_CHUNK;
		p->n = outbox_index_match(&o->index, f, next, p->ids, want);
		if (p->n > 0 && store_read(o->store, page_job, p, e) == -1)
			return -1;
		for (i = 0; i < p->n; i++)
			if (matches(&p->v[i], f)) {
				fn(&p->v[i], arg);
				max--;
			}
		if (*next == 0)
			break;
	}
	return 0;
}

int
outbox_select(struct outbox *o, const struct outbox_filter *f, uint64_t first,
    size_t max, outbox_visit fn, void *arg, uint64_t *ret_next, struct err *e)
{
	AUTO(void) mem = xcalloc(1, sizeof(struct page));
	struct page *p = mem;
	struct err own = ERR_INIT;

	p->o = o;
	if (select_pages(o, f, p, &first, max, fn, arg, e != NULL ? e : &own) ==
	    -1)
		return -1;
	if (ret_next != NULL)
		*ret_next = first;
	return 0;
}

int
outbox_list(struct outbox *o, uint64_t first, size_t max, outbox_visit fn,
    void *arg, struct err *e)
{
	static const struct outbox_filter all;

	return outbox_select(o, &all, first, max, fn, arg, NULL, e);
}

static int
audit_head_job(struct store_txn *t, void *arg, struct err *e)
{
	(void)e;
	*(struct store_audit *)arg = *store_audit_head(t);
	return 0;
}

int
outbox_audit_head(struct outbox *o, struct store_audit *ret, struct err *e)
{
	return store_read(o->store, audit_head_job, ret, e);
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
