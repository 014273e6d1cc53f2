#include "common/queue/audit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cbor.h"

/*
 * The row of a record is the text that is hashed: an array of label, previous
 * hash, seq, time, quality, age, entry, event, who, detail.  Its hash stands
 * in the next record, or, for the last, in the store's head.
 */
#define AUDIT_LABEL  "waybill-audit/1"
#define AUDIT_FIELDS 10

/* Peers had a part in some of it. */
static void
printable(char *s, size_t size)
{
	s[size - 1] = '\0';
	for (; *s != '\0'; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
}

void
audit_text(const struct audit_record *r, struct buf *out)
{
	cbor_write_array(out, AUDIT_FIELDS);
	cbor_write_text(out, AUDIT_LABEL);
	cbor_write_bytes(out, r->previous.b, DIGEST_LEN);
	cbor_write_uint(out, r->seq);
	cbor_write_uint(out, r->when.time);
	cbor_write_uint(out, r->when.quality);
	cbor_write_uint(out, r->when.age);
	cbor_write_uint(out, r->id);
	cbor_write_text(out, r->event);
	cbor_write_text(out, r->who);
	cbor_write_text(out, r->detail);
}

static int
record_parse(struct bytes text, struct audit_record *ret, struct err *e)
{
	struct audit_record r = { 0 };
	char label[sizeof(AUDIT_LABEL)];
	struct cbor_in in;

	cbor_read_init(&in, text, "audit record");
	cbor_read_array(&in, AUDIT_FIELDS);
	cbor_read_text(&in, label, sizeof(label));
	cbor_read_fixed(&in, r.previous.b, DIGEST_LEN);
	r.seq = cbor_read_uint(&in, UINT64_MAX);
	r.when.time = cbor_read_uint(&in, UINT64_MAX);
	r.when.quality = cbor_read_uint(&in, CLOCK__MAX - 1);
	r.when.age = cbor_read_uint(&in, UINT64_MAX);
	r.id = cbor_read_uint(&in, UINT64_MAX);
	cbor_read_text(&in, r.event, sizeof(r.event));
	cbor_read_text(&in, r.who, sizeof(r.who));
	cbor_read_text(&in, r.detail, sizeof(r.detail));
	if (cbor_read_end(&in, e) == -1)
		return -1;
	if (strcmp(label, AUDIT_LABEL) != 0)
		return err_set(e, ERR_INPUT, "audit record: another label");
	r.hash = digest_of(text.p, text.len);
	*ret = r;
	return 0;
}

int
audit_append(
    struct store_txn *t, unsigned db, struct audit_record *r, struct err *e)
{
	struct store_audit *head = store_audit_head(t);
	struct buf text AUTO_BUF = { 0 };
	uint8_t key[STORE_KEY_ID_LEN];

	assert(r->event[0] != '\0');
	printable(r->event, sizeof(r->event));
	printable(r->who, sizeof(r->who));
	printable(r->detail, sizeof(r->detail));
	r->seq = head->seq + 1;
	r->when = clock_now();
	r->previous = head->hash;
	audit_text(r, &text);
	r->hash = digest_of(text.data, text.len);
	if (store_put(t, db, store_key_id(key, r->seq), buf_bytes(&text), e) ==
	    -1)
		return err_prefix(e, "audit record %" PRIu64, r->seq);
	head->seq = r->seq;
	head->hash = r->hash;
	return 0;
}

/* Reads the row of a record; ERR_DAMAGE names it. */
static int
record_read(struct bytes key, struct bytes value, bool damaged,
    struct audit_record *ret, struct err *e)
{
	uint64_t seq = store_key_to_id(key);

	if (damaged || key.len != STORE_KEY_ID_LEN)
		return err_set(e, ERR_DAMAGE,
		    "audit record %" PRIu64 ": does not open", seq);
	if (record_parse(value, ret, NULL) == -1 || ret->seq != seq)
		return err_set(e, ERR_DAMAGE,
		    "audit record %" PRIu64 ": not one of its number", seq);
	return 0;
}

struct listing {
	uint64_t id;
	size_t left;
	audit_visit fn;
	void *arg;
};

static int
list_one(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct listing *l = arg;
	struct audit_record r;

	(void)e;
	if (record_read(key, value, damaged, &r, NULL) == -1)
		r = (struct audit_record){ .seq = store_key_to_id(key),
			.event = AUDIT_DAMAGED };
	else if (l->id != 0 && r.id != l->id)
		return 0;
	l->fn(&r, l->arg);
	return --l->left == 0;
}

static int
list_from(struct store_txn *t, unsigned db, struct bytes from,
    struct listing *l, struct err *e)
{
	return l->left == 0 ? 0 : store_walk(t, db, from, list_one, l, e);
}

int
audit_list(struct store_txn *t, unsigned db, uint64_t id, size_t max,
    audit_visit fn, void *arg, struct err *e)
{
	struct listing l = { id, max, fn, arg };

	return list_from(t, db, bytes_of(NULL, 0), &l, e);
}

int
audit_page(struct store_txn *t, unsigned db, uint64_t first, size_t max,
    audit_visit fn, void *arg, struct err *e)
{
	struct listing l = { 0, max, fn, arg };
	uint8_t key[STORE_KEY_ID_LEN];

	return list_from(t, db, store_key_id(key, first), &l, e);
}

static void
trouble(struct audit_chain *c, uint64_t seq, const char *what)
{
	snprintf(c->trouble, sizeof(c->trouble), "audit record %" PRIu64 ": %s",
	    seq, what);
}

void
audit_follow(struct audit_chain *c, const struct audit_record *r)
{
	if (c->trouble[0] != '\0')
		return;
	if (r->seq > c->seq + 1)
		trouble(c, c->seq + 1, "missing");
	else if (strcmp(r->event, AUDIT_DAMAGED) == 0)
		trouble(c, r->seq, "does not open");
	else if (!digest_eq(&r->previous, &c->hash))
		trouble(c, r->seq, "does not follow the one before");
	if (c->trouble[0] != '\0')
		return;
	c->seq = r->seq;
	c->hash = r->hash;
}

void
audit_follow_end(struct audit_chain *c, const struct store_audit *head)
{
	if (c->trouble[0] != '\0')
		return;
	if (c->seq < head->seq)
		trouble(c, c->seq + 1, "missing");
	else if (c->seq > head->seq || !digest_eq(&c->hash, &head->hash))
		trouble(c, c->seq, "the head knows another");
}

static int
verify_one(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct audit_chain *c = arg;
	struct audit_record r = { 0 };

	if (store_key_to_id(key) <= c->seq + 1 &&
	    record_read(key, value, damaged, &r, e) == -1)
		return -1;
	r.seq = store_key_to_id(key);
	audit_follow(c, &r);
	return c->trouble[0] == '\0' ? 0
				     : err_set(e, ERR_DAMAGE, "%s", c->trouble);
}

int
audit_verify(
    struct store_txn *t, unsigned db, uint64_t *ret_records, struct err *e)
{
	struct audit_chain c = { 0 };

	if (store_walk(t, db, bytes_of(NULL, 0), verify_one, &c, e) == -1)
		return -1;
	audit_follow_end(&c, store_audit_head(t));
	if (c.trouble[0] != '\0')
		return err_set(e, ERR_DAMAGE, "%s", c.trouble);
	*ret_records = c.seq;
	return 0;
}
