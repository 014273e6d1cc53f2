#include <string.h>

#include "common/queue/outbox_int.h"

/*
 * The hashes of the last audit records, for services countersign our head and
 * tell it by its hash alone.  A ring by number: what a transaction that was
 * given up left behind is overwritten by the records that take its numbers.
 */
#define FORWARD_MAX 4096 /* records read after the last one countersigned */

static int
open_one(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct outbox *o = arg;
	uint64_t seq = store_key_to_id(key);
	/* Zeros are no record's. */
	struct digest hash = { 0 };

	(void)e;
	if (!damaged)
		hash = digest_of(value.p, value.len);
	o->ring[seq % TRAIL_RING] = hash;
	o->ring_holes |= damaged;
	return 0;
}

int
outbox_trail_open(struct outbox *o, struct store_txn *t, struct err *e)
{
	uint64_t head = store_audit_head(t)->seq;
	uint8_t key[STORE_KEY_ID_LEN];

	o->ring_from = head > TRAIL_RING ? head - TRAIL_RING + 1 : 1;
	/* Not known: one checkpoint too many does no harm. */
	o->telling = head;
	return store_walk(
	    t, DB_AUDIT, store_key_id(key, o->ring_from), open_one, o, e);
}

void
outbox_trail_add(struct outbox *o, const struct audit_record *r)
{
	o->ring[r->seq % TRAIL_RING] = r->hash;
	if (r->seq >= o->ring_from + TRAIL_RING)
		o->ring_from = r->seq - TRAIL_RING + 1;
}

struct forward {
	const struct digest *hash;
	uint64_t end; /* from there on the ring tells */
	size_t left;
	bool holes, all;
	uint64_t found;
};

static int
forward_one(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct digest d = digest_of(value.p, value.len);
	struct forward *f = arg;

	(void)e;
	if ((f->all = store_key_to_id(key) >= f->end))
		return 1;
	f->holes |= damaged;
	if (!damaged && digest_eq(&d, f->hash))
		f->found = store_key_to_id(key);
	return f->found != 0 || --f->left == 0;
}

/* In the ring, from this record to that one. */
static uint64_t
ring_find(const struct outbox *o, const struct digest *hash, uint64_t from,
    uint64_t to)
{
	/* No secret: not compared in constant time, for they are many. */
	for (; from <= to; from++)
		if (memcmp(&o->ring[from % TRAIL_RING], hash, sizeof(*hash)) ==
		    0)
			return from;
	return 0;
}

int
outbox_trail_find(struct outbox *o, struct store_txn *t,
    const struct digest *hash, uint64_t after, uint64_t *ret)
{
	struct forward f = {
		.hash = hash, .end = o->ring_from, .left = FORWARD_MAX
	};
	uint64_t head = store_audit_head(t)->seq, oldest = o->ring_from;
	uint64_t last = after < head ? after : head, seq;
	uint8_t key[STORE_KEY_ID_LEN];

	/* Headers tell of our head in the order in which they left: what is
	 * countersigned is soon after what was. */
	seq = ring_find(o, hash, last < oldest ? oldest : last + 1, head);
	if (seq == 0)
		seq = ring_find(o, hash, oldest, last);
	if (seq != 0) {
		*ret = seq;
		return 1;
	}
	if (after >= oldest - 1) /* all that could be it was looked at */
		return o->ring_holes ? -1 : 0;
	if (store_walk(t, DB_AUDIT, store_key_id(key, after + 1), forward_one,
		&f, NULL) == -1)
		return -1;
	if (f.found == 0)
		return f.all && !f.holes && !o->ring_holes ? 0 : -1;
	*ret = f.found;
	return 1;
}
