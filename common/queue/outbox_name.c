#include <string.h>

#include "common/queue/outbox_int.h"

#define BUCKETS_FIRST 64

static uint32_t *
buckets_new(size_t n)
{
	uint32_t *b = xmalloc(n * sizeof(*b));

	memset(b, 0xff, n * sizeof(*b)); /* POS_NONE */
	return b;
}

void
names_init(struct names *v)
{
	*v = (struct names){ .n_buckets = BUCKETS_FIRST };
	v->buckets = buckets_new(v->n_buckets);
}

void
names_done(struct names *v)
{
	free(v->buckets);
}

/* The digest is a SHA-256 already. */
uint32_t
name_hash(const struct digest *row)
{
	uint32_t h;

	memcpy(&h, row->b, sizeof(h));
	return h;
}

bool
slot_named(const struct slot *s)
{
	return !s->nameless && !s->pruned;
}

static struct slot *
slot_at(const struct outbox_index *x, uint32_t pos)
{
	return &outbox_chunk(x, pos)->v[pos & (CHUNK_SLOTS - 1)];
}

static uint32_t *
bucket_of(const struct names *v, uint32_t name)
{
	return &v->buckets[name & (v->n_buckets - 1)];
}

static void
put(struct outbox_index *x, uint32_t pos)
{
	struct slot *s = slot_at(x, pos);
	uint32_t *head = bucket_of(&x->names, s->name);

	s->next = *head;
	*head = pos;
}

/* Twice as many; the slot that is being added is among those that are there. */
static void
buckets_grow(struct outbox_index *x)
{
	struct names *v = &x->names;
	uint32_t pos;

	free(v->buckets);
	v->n_buckets *= 2;
	v->buckets = buckets_new(v->n_buckets);
	for (pos = outbox_index_from(x, 0); pos != POS_NONE;
	     pos = outbox_index_skip(x, pos + 1))
		if (slot_named(slot_at(x, pos)))
			put(x, pos);
}

void
names_add(struct outbox_index *x, uint32_t pos)
{
	if (++x->names.n > x->names.n_buckets)
		buckets_grow(x);
	else
		put(x, pos);
}

void
names_remove(struct outbox_index *x, uint32_t pos)
{
	const struct slot *s = slot_at(x, pos);
	uint32_t *at = bucket_of(&x->names, s->name);

	while (*at != pos)
		at = &slot_at(x, *at)->next;
	*at = s->next;
	x->names.n--;
}

uint64_t
outbox_index_named(
    struct outbox_index *x, const struct digest *row, uint64_t below)
{
	uint32_t name = name_hash(row), pos;
	uint64_t id, found = 0;

	pthread_mutex_lock(&x->lock);
	for (pos = *bucket_of(&x->names, name); pos != POS_NONE;
	     pos = slot_at(x, pos)->next) {
		if (slot_at(x, pos)->name != name)
			continue;
		id = outbox_index_id(x, pos);
		if (id < below && id > found)
			found = id;
	}
	pthread_mutex_unlock(&x->lock);
	return found;
}
