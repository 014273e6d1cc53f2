#include <assert.h>
#include <string.h>

#include "common/base/str.h"
#include "common/queue/outbox_int.h"

#define BLOCK_BITS    10
#define BLOCK_DEVICES (1u << BLOCK_BITS)
#define BUCKETS_FIRST 64

/* ---- devices --------------------------------------------------------- */

void
devices_init(struct devices *d)
{
	*d = (struct devices){ .n_buckets = BUCKETS_FIRST };
	d->buckets = xcalloc(d->n_buckets, sizeof(*d->buckets));
}

void
devices_done(struct devices *d)
{
	size_t i;

	for (i = 0; i < d->n_blocks; i++)
		free(d->blocks[i]);
	free(d->blocks);
	free(d->buckets);
}

struct device *
devices_at(const struct devices *d, uint32_t number)
{
	assert(number != DEVICE_NONE && number <= d->n);
	return &d->blocks[number >> BLOCK_BITS][number & (BLOCK_DEVICES - 1)];
}

/* The device is a SHA-256 already. */
static uint32_t *
bucket_of(const struct devices *d, const uint32_t hash[2])
{
	return &d->buckets[hash[0] & (d->n_buckets - 1)];
}

uint32_t
devices_find(const struct devices *d, const struct digest *device)
{
	const struct device *v;
	uint32_t hash[2], i;

	memcpy(hash, device->b, sizeof(hash));
	for (i = *bucket_of(d, hash); i != DEVICE_NONE; i = v->next) {
		v = devices_at(d, i);
		if (memcmp(v->hash, hash, sizeof(hash)) == 0)
			break;
	}
	return i;
}

static void
buckets_grow(struct devices *d)
{
	struct device *v;
	uint32_t i, *head;

	free(d->buckets);
	d->n_buckets *= 2;
	d->buckets = xcalloc(d->n_buckets, sizeof(*d->buckets));
	for (i = 1; i <= d->n; i++) {
		v = devices_at(d, i);
		head = bucket_of(d, v->hash);
		v->next = *head;
		*head = i;
	}
}

/* Blocks one by one: an array that doubles would for a moment take twice what
 * it needs. */
static struct device *
device_add(struct devices *d)
{
	size_t block = (d->n + 1) >> BLOCK_BITS;

	assert(d->n < UINT32_MAX - 1);
	if (block == d->n_blocks) {
		d->blocks =
		    xrealloc(d->blocks, (d->n_blocks + 1) * sizeof(*d->blocks));
		d->blocks[d->n_blocks++] =
		    xcalloc(BLOCK_DEVICES, sizeof(struct device));
	}
	d->n++;
	return devices_at(d, d->n);
}

uint32_t
devices_get(struct devices *d, const struct digest *device)
{
	uint32_t i = devices_find(d, device), *head;
	struct device *v;

	if (i != DEVICE_NONE)
		return i;
	v = device_add(d);
	memcpy(v->hash, device->b, sizeof(v->hash));
	memset(v->newest, 0xff, sizeof(v->newest));
	if (d->n > d->n_buckets) {
		buckets_grow(d);
		return d->n;
	}
	head = bucket_of(d, v->hash);
	v->next = *head;
	*head = d->n;
	return d->n;
}

/* Vouchers are asked for again and again, and so are certificates: each finds
 * its own without passing the others. */
unsigned
device_chain(enum entry_kind k)
{
	return k == ENTRY_CMP ? 0 : 1;
}

/* ---- vendors --------------------------------------------------------- */

unsigned
vendors_find(const struct vendors *v, const char *name)
{
	unsigned i;

	for (i = 1; name[0] != '\0' && i < v->n; i++)
		if (strcmp(v->v[i].name, name) == 0)
			return i;
	return 0;
}

/* Names come from the configuration, so they are few. */
unsigned
vendors_get(struct vendors *v, const char *name)
{
	unsigned i = vendors_find(v, name);

	if (i != 0 || name[0] == '\0' || v->n > VENDORS_MAX)
		return i;
	if (v->n == 0)
		v->n = 1;
	v->v = xrealloc(v->v, (v->n + 1) * sizeof(*v->v));
	v->v[0] = (struct vendor){ 0 };
	v->v[v->n] = (struct vendor){ 0 };
	str_copy(v->v[v->n].name, sizeof(v->v[v->n].name), name);
	return (unsigned)v->n++;
}
