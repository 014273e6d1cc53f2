#include "registrar/caps.h"

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>
#include "common/base/clock.h"
#include "common/base/limits.h"

#define BUCKET_BITS 10
#define BUCKETS	    (1 << BUCKET_BITS)
#define LINE_MS	    60000

/* Requests are counted in thousandths: what a millisecond gives at one a
 * second. */
#define WHOLE 1000

struct share {
	uint64_t left; /* thousandths of a request */
	uint64_t at;   /* when that was so; 0: never, all is left */
	uint64_t told; /* when a refusal was logged; 0: never */
};

struct device {
	LIST_ENTRY(device) bucket;
	TAILQ_ENTRY(device) idle; /* while nothing is open */
	struct digest id;
	unsigned connections, held;
	struct share share;
};

struct caps {
	struct caps_conf conf;
	uint64_t secret; /* so that nobody can choose his bucket */
	pthread_mutex_t lock;
	LIST_HEAD(, device) buckets[BUCKETS];
	TAILQ_HEAD(, device) idle; /* longest idle first */
	size_t n;
	struct share nameless;
};

struct caps *
caps_new(const struct caps_conf *conf)
{
	struct caps *c = xcalloc(1, sizeof(*c));

	c->conf = *conf;
	random_bytes(&c->secret, sizeof(c->secret));
	c->secret |= 1;
	pthread_mutex_init(&c->lock, NULL);
	TAILQ_INIT(&c->idle);
	return c;
}

static void
device_free(struct caps *c, struct device *d)
{
	LIST_REMOVE(d, bucket);
	c->n--;
	free(d);
}

void
caps_free(struct caps *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (!LIST_EMPTY(&c->buckets[i]))
			device_free(c, LIST_FIRST(&c->buckets[i]));
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static size_t
bucket_of(const struct caps *c, const struct digest *id)
{
	uint64_t v;

	memcpy(&v, id->b, sizeof(v));
	return (v * c->secret) >> (64 - BUCKET_BITS);
}

static struct device *
find(struct caps *c, const struct digest *id)
{
	struct device *d;

	LIST_FOREACH(d, &c->buckets[bucket_of(c, id)], bucket)
	if (memcmp(&d->id, id, sizeof(*id)) == 0)
		return d;
	return NULL;
}

static bool
is_idle(const struct device *d)
{
	return d->connections == 0 && d->held == 0;
}

/* Its bucket is full again: forgetting it gives it nothing. */
static bool
is_stale(const struct device *d, uint64_t now)
{
	return now - d->share.at > LIMIT_DEVICE_BURST * 1000;
}

/* Two go for each that comes, so that what a flood left behind shrinks; room
 * is made even of those that are not stale. */
static void
make_room(struct caps *c)
{
	uint64_t now = clock_mono_ms();

	for (int i = 0; i < 2; i++) {
		struct device *d = TAILQ_FIRST(&c->idle);

		if (d == NULL || (!is_stale(d, now) && c->n < c->conf.devices))
			return;
		TAILQ_REMOVE(&c->idle, d, idle);
		device_free(c, d);
	}
}

static struct device *
find_or_add(struct caps *c, const struct digest *id)
{
	struct device *d = find(c, id);

	if (d != NULL)
		return d;
	make_room(c);
	if (c->n >= c->conf.devices)
		return NULL;
	d = xcalloc(1, sizeof(*d));
	d->id = *id;
	LIST_INSERT_HEAD(&c->buckets[bucket_of(c, id)], d, bucket);
	TAILQ_INSERT_TAIL(&c->idle, d, idle);
	c->n++;
	return d;
}

/* One more of what `field` counts, if that is below most. */
static bool
take(struct caps *c, const struct digest *id, size_t field, unsigned most)
{
	struct device *d;
	unsigned *count;
	bool ok;

	pthread_mutex_lock(&c->lock);
	d = find_or_add(c, id);
	count = d == NULL ? NULL : (unsigned *)((char *)d + field);
	ok = count != NULL && *count < most;
	if (ok) {
		if (is_idle(d))
			TAILQ_REMOVE(&c->idle, d, idle);
		++*count;
	}
	pthread_mutex_unlock(&c->lock);
	return ok;
}

static void
give(struct caps *c, const struct digest *id, size_t field)
{
	struct device *d;

	pthread_mutex_lock(&c->lock);
	/* It is there: who has something open is not forgotten. */
	if ((d = find(c, id)) == NULL)
		abort();
	--*(unsigned *)((char *)d + field);
	if (is_idle(d))
		TAILQ_INSERT_TAIL(&c->idle, d, idle);
	pthread_mutex_unlock(&c->lock);
}

bool
caps_enter(struct caps *c, const struct digest *id)
{
	return id == NULL ||
	    take(c, id, offsetof(struct device, connections),
		c->conf.connections);
}

void
caps_leave(struct caps *c, const struct digest *id)
{
	if (id != NULL)
		give(c, id, offsetof(struct device, connections));
}

bool
caps_hold(struct caps *c, const struct digest *id)
{
	return id != NULL &&
	    take(c, id, offsetof(struct device, held), c->conf.held);
}

void
caps_unhold(struct caps *c, const struct digest *id)
{
	give(c, id, offsetof(struct device, held));
}

static bool
share_take(struct share *s, unsigned a_second, uint64_t now)
{
	uint64_t most = (uint64_t)a_second * LIMIT_DEVICE_BURST * WHOLE;
	uint64_t since = now - s->at;

	/* Long ago: no product that could overflow. */
	if (s->at == 0 || since > LIMIT_DEVICE_BURST * 1000)
		s->left = most;
	else
		s->left += since * a_second;
	if (s->left > most)
		s->left = most;
	s->at = now;
	if (s->left < WHOLE)
		return false;
	s->left -= WHOLE;
	return true;
}

/* NULL: no room to remember this device. */
static struct share *
share_of(struct caps *c, const struct digest *id)
{
	struct device *d;

	if (id == NULL)
		return &c->nameless;
	d = find_or_add(c, id);
	return d == NULL ? NULL : &d->share;
}

bool
caps_request(struct caps *c, const struct digest *id, uint64_t now)
{
	struct share *s;
	bool ok;

	pthread_mutex_lock(&c->lock);
	s = share_of(c, id);
	ok = s != NULL &&
	    share_take(
		s, id == NULL ? c->conf.nameless : c->conf.requests, now);
	pthread_mutex_unlock(&c->lock);
	return ok;
}

bool
caps_worth_a_line(struct caps *c, const struct digest *id, uint64_t now)
{
	struct share *s;
	bool first;

	pthread_mutex_lock(&c->lock);
	s = share_of(c, id);
	first = s != NULL && (s->told == 0 || now - s->told > LINE_MS);
	if (first)
		s->told = now;
	pthread_mutex_unlock(&c->lock);
	return first;
}

size_t
caps_count(struct caps *c)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = c->n;
	pthread_mutex_unlock(&c->lock);
	return n;
}
