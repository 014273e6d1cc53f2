#include "common/service/ledger_certs.h"

#include <stdio.h>
#include <string.h>
#include "common/base/cbor.h"
#include "common/base/str.h"
#include "common/service/ledger_int.h"

static struct row_key
key_text(enum index_word w, const char *text)
{
	struct digest d = digest_of(text, strlen(text));

	return key_index(w, &d);
}

/* ---- revocations ------------------------------------------------------- */

#define REVOKED_ITEMS 4

static int
revoked_get(
    struct store_txn *t, uint64_t id, struct ledger_revoked *ret, struct err *e)
{
	struct ledger_revoked r = { .id = id };
	struct buf row AUTO_BUF = { 0 };
	struct cbor_in in;
	int rc = part_get(t, id, LEDGER_REVOCATION, &row, e);

	if (rc != 1)
		return rc;
	cbor_read_init(&in, buf_bytes(&row), "ledger: revocation");
	cbor_read_array(&in, REVOKED_ITEMS);
	cbor_read_text(&in, r.serial, sizeof(r.serial));
	r.when = cbor_read_uint(&in, UINT64_MAX);
	r.until = cbor_read_uint(&in, UINT64_MAX);
	r.reason = (unsigned)cbor_read_uint(&in, 10);
	if (cbor_read_end(&in, e) == -1) {
		e->kind = ERR_DAMAGE;
		return -1;
	}
	*ret = r;
	return 1;
}

static int
revoked_put(struct store_txn *t, const struct ledger_revoked *r, struct err *e)
{
	struct row_key k = key_of_id(INDEX_REVOKED, r->id);
	struct buf row AUTO_BUF = { 0 };

	cbor_write_array(&row, REVOKED_ITEMS);
	cbor_write_text(&row, r->serial);
	cbor_write_uint(&row, r->when);
	cbor_write_uint(&row, r->until);
	cbor_write_uint(&row, r->reason);
	if (index_put(t, &k, r->id, e) == -1)
		return -1;
	return part_put(t, r->id, LEDGER_REVOCATION, buf_bytes(&row), e);
}

/* 0 if there is none. */
static int
certificate_end(struct store_txn *t, uint64_t id, uint64_t *ret, struct err *e)
{
	struct buf der AUTO_BUF = { 0 };
	AUTO(X509) x = NULL;
	uint64_t from;
	int rc = part_get(t, id, LEDGER_CERT, &der, e);

	*ret = 0;
	if (rc != 1)
		return rc;
	x = ossl_cert_parse(buf_bytes(&der), e);
	return x == NULL ? -1 : cert_validity(x, &from, ret, e);
}

int
case_stands(struct store_txn *t, uint64_t id, struct err *e)
{
	struct ledger_revoked r;
	struct ledger_case c;
	int rc = case_get(t, id, &c, e);

	if (rc != 1)
		return rc;
	if (c.state != LEDGER_DONE || c.code != BATCH_ANSWERED ||
	    c.serial[0] == '\0' || c.withdrawn || c.confirm == LEDGER_REJECTED)
		return 0;
	rc = revoked_get(t, id, &r, e);
	return rc == -1 ? -1 : rc == 0;
}

int
revoke_case(struct store_txn *t, uint64_t id, unsigned reason, const char *who,
    const char *why, struct err *e)
{
	struct ledger_revoked r = { .when = clock_now().time };
	struct ledger_case c;
	char detail[LEDGER_REASON_MAX + LEDGER_SERIAL_MAX];
	int rc = revoked_get(t, id, &r, e);

	if (rc != 0)
		return rc == -1 ? -1 : 0;
	if (case_must(t, id, &c, e) == -1 ||
	    certificate_end(t, id, &r.until, e) == -1)
		return -1;
	r.id = id;
	r.reason = reason;
	str_copy(r.serial, sizeof(r.serial), c.serial);
	snprintf(detail, sizeof(detail), "%s: %s", c.serial, why);
	if (revoked_put(t, &r, e) == -1 ||
	    note(t, id, "revoked", who, detail, e) == -1)
		return -1;
	return 1;
}

/* ---- who holds how many ------------------------------------------------ */

static struct row_key
key_holder(const struct digest *holder, uint64_t id)
{
	struct row_key k = key_index(INDEX_HOLDER, holder);
	struct bytes octets = store_key_id(k.b + k.len, id);

	k.len += octets.len;
	return k;
}

int
holder_put(struct store_txn *t, uint64_t id, const struct digest *holder,
    struct err *e)
{
	struct row_key k;

	if (holder == NULL)
		return 0;
	k = key_holder(holder, id);
	if (index_put(t, &k, id, e) == -1)
		return -1;
	return part_put(
	    t, id, LEDGER_HOLDER, bytes_of(holder->b, sizeof(holder->b)), e);
}

#define HELD_MAX 64

struct held {
	struct store_txn *t;
	struct row_key key; /* without the id */
	uint64_t now, but, v[HELD_MAX];
	size_t n;
};

static int
visit_held(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct held *h = arg;
	uint64_t id, end;
	int rc;

	(void)value;
	if (damaged || key.len != h->key.len + STORE_KEY_ID_LEN ||
	    memcmp(key.p, h->key.b, h->key.len) != 0)
		return 1;
	id = store_key_to_id(bytes_of(key.p + h->key.len, STORE_KEY_ID_LEN));
	if (id == h->but)
		return 0;
	if ((rc = case_stands(h->t, id, e)) == -1 ||
	    certificate_end(h->t, id, &end, e) == -1)
		return -1;
	if (rc == 1 && end >= h->now)
		h->v[h->n++] = id;
	return h->n == HELD_MAX;
}

int
supersede_held(struct store_txn *t, uint64_t id, uint64_t first, size_t max,
    const char *who, struct err *e)
{
	struct held h = { .t = t, .now = clock_now().time, .but = id };
	struct buf holder AUTO_BUF = { 0 };
	struct digest d;
	size_t left, i;
	int rc;

	if (max == 0 || (rc = part_get(t, id, LEDGER_HOLDER, &holder, e)) == 0)
		return 0;
	if (rc == -1)
		return -1;
	if (holder.len != sizeof(d.b))
		return err_set(e, ERR_DAMAGE, "ledger: case %llu: its holder",
		    (unsigned long long)id);
	memcpy(d.b, holder.data, sizeof(d.b));
	h.key = key_index(INDEX_HOLDER, &d);
	if (store_walk(t, DB_INDEX, row_key(&h.key), visit_held, &h, e) == -1)
		return -1;
	/* The one that was updated first, then the oldest. */
	for (i = 1; i < h.n; i++)
		if (h.v[i] == first) {
			memmove(h.v + 1, h.v, i * sizeof(h.v[0]));
			h.v[0] = first;
		}
	left = h.n + 1;
	for (i = 0, rc = 0; i < h.n && left > max; i++, left--, rc++)
		if (revoke_case(t, h.v[i], LEDGER_SUPERSEDED, who, "superseded",
			e) == -1)
			return -1;
	return rc;
}

/* ---- serial numbers ---------------------------------------------------- */

int
serial_put(struct store_txn *t, const char *serial, uint64_t id, struct err *e)
{
	struct row_key k = key_text(INDEX_SERIAL, serial);

	return serial[0] == '\0' ? 0 : index_put(t, &k, id, e);
}

#define INDEXED "serial numbers are in the index"

static int
index_one(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct store_txn *t = arg;
	struct ledger_case c;

	(void)key;
	/* Who reads it will say that it is damaged. */
	if (damaged || case_decode(value, &c, e) == -1)
		return 0;
	return serial_put(t, c.serial, c.id, e);
}

static int
job_index(struct store_txn *t, void *arg, struct err *e)
{
	struct row_key k = key_text(INDEX_NUMBER, INDEXED);

	(void)arg;
	if (store_walk(t, DB_CASE, bytes_of("", 0), index_one, t, e) == -1)
		return -1;
	return index_put(t, &k, 1, e);
}

static int
is_indexed(struct store_txn *t, void *arg, struct err *e)
{
	struct row_key k = key_text(INDEX_NUMBER, INDEXED);
	uint64_t number;
	int rc = index_get(t, &k, &number, e);

	*(bool *)arg = rc == 1;
	return rc == -1 ? -1 : 0;
}

int
serials_open(struct ledger *l, struct err *e)
{
	bool done = false;

	if (store_read(l->store, is_indexed, &done, e) == -1)
		return -1;
	if (done || store_read_only(l->store))
		return 0;
	return store_submit_wait(l->store, job_index, NULL, e);
}

/* ---- reading ----------------------------------------------------------- */

struct asking {
	struct store_txn *t;
	const char *serial;
	uint64_t id;
	struct ledger_revoked revoked;
	int (*fn)(const struct ledger_revoked *r, void *arg);
	void *arg;
	int rc;
};

static int
ask_serial(struct store_txn *t, void *arg, struct err *e)
{
	struct asking *a = arg;
	struct row_key k = key_text(INDEX_SERIAL, a->serial);

	return (a->rc = index_get(t, &k, &a->id, e)) == -1 ? -1 : 0;
}

static int
ask_revoked(struct store_txn *t, void *arg, struct err *e)
{
	struct asking *a = arg;

	return (a->rc = revoked_get(t, a->id, &a->revoked, e)) == -1 ? -1 : 0;
}

static int
ask_stands(struct store_txn *t, void *arg, struct err *e)
{
	struct asking *a = arg;

	return (a->rc = case_stands(t, a->id, e)) == -1 ? -1 : 0;
}

static int
visit_revoked(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct asking *a = arg;
	uint64_t id = store_key_to_id(value);
	int rc;

	if (key.len == 0 || key.p[0] != INDEX_REVOKED)
		return 1;
	if (damaged || (rc = revoked_get(a->t, id, &a->revoked, e)) == 0)
		return err_set(e, ERR_DAMAGE,
		    "ledger: a revocation is missing, or its row damaged");
	return rc == -1 ? -1 : a->fn(&a->revoked, a->arg) != 0;
}

static int
list_revoked(struct store_txn *t, void *arg, struct err *e)
{
	struct row_key k = key_of_id(INDEX_REVOKED, 0);
	struct asking *a = arg;

	a->t = t;
	return store_walk(t, DB_INDEX, row_key(&k), visit_revoked, a, e);
}

int
ledger_find_serial(
    struct ledger *l, const char *serial, uint64_t *ret, struct err *e)
{
	struct asking a = { .serial = serial };

	if (store_read(l->store, ask_serial, &a, e) == -1)
		return -1;
	if (a.rc == 1)
		*ret = a.id;
	return a.rc;
}

int
ledger_revoked(
    struct ledger *l, uint64_t id, struct ledger_revoked *ret, struct err *e)
{
	struct asking a = { .id = id };

	if (store_read(l->store, ask_revoked, &a, e) == -1)
		return -1;
	if (a.rc == 1)
		*ret = a.revoked;
	return a.rc;
}

int
ledger_stands(struct ledger *l, uint64_t id, struct err *e)
{
	struct asking a = { .id = id };

	return store_read(l->store, ask_stands, &a, e) == -1 ? -1 : a.rc;
}

int
ledger_list_revoked(struct ledger *l,
    int (*fn)(const struct ledger_revoked *r, void *arg), void *arg,
    struct err *e)
{
	struct asking a = { .fn = fn, .arg = arg };

	return store_read(l->store, list_revoked, &a, e);
}

/* ---- writing ----------------------------------------------------------- */

static int
job_revoke(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_revoke *x = arg;
	struct ledger_case c;
	int rc = case_get(t, x->id, &c, e);

	if (rc == -1)
		return -1;
	/* An intent may yet become a certificate, or have become one. */
	x->is = LEDGER_NO_CERTIFICATE;
	if (rc == 0 || c.state != LEDGER_DONE || c.code != BATCH_ANSWERED ||
	    c.serial[0] == '\0')
		return 0;
	str_copy(x->serial, sizeof(x->serial), c.serial);
	rc = revoke_case(t, x->id, x->reason, x->who, x->why, e);
	x->is = rc == 1 ? LEDGER_REVOKED : LEDGER_REVOKED_BEFORE;
	return rc == -1 ? -1 : 0;
}

static int
job_number(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_number *x = arg;
	struct row_key k = key_text(INDEX_NUMBER, x->name);
	uint64_t last = 0;

	if (index_get(t, &k, &last, e) == -1)
		return -1;
	x->number = last + 1;
	return index_put(t, &k, x->number, e);
}

void
ledger_revoke(
    struct ledger *l, struct ledger_revoke *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_revoke, done, x, to);
}

int
ledger_revoke_wait(struct ledger *l, struct ledger_revoke *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_revoke, x, e);
}

void
ledger_number(
    struct ledger *l, struct ledger_number *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_number, done, x, to);
}

int
ledger_number_wait(struct ledger *l, struct ledger_number *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_number, x, e);
}
