#include <assert.h>
#include <string.h>

#include "common/queue/outbox_int.h"

void
outbox_index_init(struct outbox_index *x)
{
	memset(x, 0, sizeof(*x));
	pthread_mutex_init(&x->lock, NULL);
	devices_init(&x->devices);
	names_init(&x->names);
}

static void
index_free(struct outbox_index *x)
{
	size_t i;

	for (i = 0; i < x->n_chunks; i++)
		free(x->chunks[i]);
	free(x->chunks);
	free(x->vendors.v);
	devices_done(&x->devices);
	names_done(&x->names);
}

void
outbox_index_done(struct outbox_index *x)
{
	index_free(x);
	pthread_mutex_destroy(&x->lock);
}

void
outbox_index_reset(struct outbox_index *x)
{
	pthread_mutex_lock(&x->lock);
	index_free(x);
	x->chunks = NULL;
	x->n_chunks = x->cap_chunks = x->gone = 0;
	x->vendors = (struct vendors){ 0 };
	devices_init(&x->devices);
	names_init(&x->names);
	x->open = 0;
	memset(&x->counts, 0, sizeof(x->counts));
	pthread_mutex_unlock(&x->lock);
}

/* ---- places ---------------------------------------------------------- */

const struct slot *
outbox_index_at(const struct outbox_index *x, uint32_t pos)
{
	uint32_t number = pos >> CHUNK_BITS, off = pos & (CHUNK_SLOTS - 1);
	const struct chunk *c;

	if (pos == POS_NONE || number < x->gone ||
	    number - x->gone >= x->n_chunks)
		return NULL;
	c = x->chunks[number - x->gone];
	return off >= c->first && off < c->n ? &c->v[off] : NULL;
}

uint64_t
outbox_index_id(const struct outbox_index *x, uint32_t pos)
{
	const struct chunk *c = outbox_chunk(x, pos);

	return c->base + c->v[pos & (CHUNK_SLOTS - 1)].id;
}

static uint32_t
position(const struct outbox_index *x, size_t chunk, uint32_t off)
{
	return ((uint32_t)chunk + x->gone) << CHUNK_BITS | off;
}

/* The last chunk with a base <= id, or the first one. */
static size_t
chunk_from(const struct outbox_index *x, uint64_t id)
{
	size_t lo = 0, hi = x->n_chunks, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (x->chunks[mid]->base <= id)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

uint32_t
outbox_index_skip(const struct outbox_index *x, uint32_t pos)
{
	uint32_t off = pos & (CHUNK_SLOTS - 1);
	size_t i;

	if (pos == POS_NONE)
		return POS_NONE;
	if (pos >> CHUNK_BITS < x->gone) {
		pos = x->gone << CHUNK_BITS;
		off = 0;
	}
	for (i = (pos >> CHUNK_BITS) - x->gone; i < x->n_chunks; i++, off = 0) {
		if (off < x->chunks[i]->first)
			off = x->chunks[i]->first;
		if (off < x->chunks[i]->n)
			return position(x, i, off);
	}
	return POS_NONE;
}

uint32_t
outbox_index_from(const struct outbox_index *x, uint64_t id)
{
	size_t i = chunk_from(x, id);
	const struct chunk *c;
	uint32_t lo, hi, mid;

	if (x->n_chunks == 0)
		return POS_NONE;
	c = x->chunks[i];
	for (lo = c->first, hi = c->n; lo < hi;) {
		mid = lo + (hi - lo) / 2;
		if (c->base + c->v[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < c->n)
		return position(x, i, lo);
	return i + 1 < x->n_chunks ? outbox_index_skip(x, position(x, i + 1, 0))
				   : POS_NONE;
}

uint32_t
outbox_index_pos(const struct outbox_index *x, uint64_t id)
{
	uint32_t pos = outbox_index_from(x, id);

	return pos != POS_NONE && outbox_index_id(x, pos) == id ? pos
								: POS_NONE;
}

const struct slot *
outbox_index_get(const struct outbox_index *x, uint64_t id)
{
	return outbox_index_at(x, outbox_index_pos(x, id));
}

/* ---- what a slot tells ----------------------------------------------- */

/* FNV-1a: nobody gains by two labels that look alike, the row tells. */
uint32_t
label_hash(const char *label)
{
	uint32_t h = 2166136261u;

	for (; *label != '\0'; label++)
		h = (h ^ (uint8_t)*label) * 16777619u;
	return h;
}

static uint32_t
seconds(uint64_t time)
{
	return time < UINT32_MAX ? (uint32_t)time : UINT32_MAX;
}

bool
slot_open(const struct slot *s)
{
	return outbox_open_state((enum entry_state)s->state);
}

/* What the quotas count: a device's own first steps. */
static bool
slot_counts(const struct slot *s)
{
	return slot_open(s) && !s->step && s->kind != ENTRY_WITHDRAW &&
	    s->kind != ENTRY_AUDIT;
}

static enum lane
slot_lane(const struct slot *s)
{
	static const uint8_t lanes[ENTRY_KIND__MAX] = {
		[ENTRY_CMP] = LANE_ENROL,
		[ENTRY_VOUCHER] = LANE_VOUCHER,
		[ENTRY_TELEMETRY] = LANE_TELEMETRY,
		[ENTRY_AUDIT] = LANE_AUDIT,
	};

	if (s->kind == ENTRY_WITHDRAW || s->step)
		return s->route == ENTRY_VOUCHER ? LANE_LAST_VOUCHER
						 : LANE_LAST_CMP;
	if (s->kind == ENTRY_CMP && !s->initial)
		return LANE_RENEWAL;
	return (enum lane)lanes[s->kind];
}

unsigned
slot_set(const struct slot *s)
{
	enum entry_state state = (enum entry_state)s->state;

	if (s->pending || s->held || s->kind == 0 || state == ENTRY_RECEIVED ||
	    !slot_open(s))
		return SET_NONE;
	if (state == ENTRY_QUEUED || s->resend)
		return SET_FRESH(slot_lane(s));
	if (state == ENTRY_INFLIGHT || s->unsure)
		return SET_AGAIN(slot_lane(s));
	return SET_NONE;
}

struct slot
outbox_slot_of(struct outbox_index *x, const struct outbox_entry *en)
{
	static const struct digest none;
	uint64_t parent = en->parent != 0 ? en->id - en->parent : 0;

	return (struct slot){ .parent = seconds(parent),
		.received = seconds(en->received.time),
		.deadline = seconds(en->deadline),
		.changed = seconds(en->changed),
		.older = POS_NONE,
		.label = label_hash(en->label),
		.name = name_hash(&en->row),
		.state = en->state,
		.kind = en->kind,
		.route = en->route,
		.step = en->step > 0,
		.initial = en->initial,
		.held = en->held,
		.late = en->late,
		.left = outbox_left(en),
		.resend =
		    outbox_open_state(en->state) && en->renewal != x->renewal,
		.unsure = en->unsure,
		.pruned = en->pruned,
		.nameless = digest_eq(&en->row, &none),
		.vendor = vendors_get(&x->vendors, en->vendor) };
}

/* ---- sums ------------------------------------------------------------ */

static void
lower(uint32_t *least, uint32_t v)
{
	if (v < *least)
		*least = v;
}

/* Puts a slot in the sums of its chunk, device and vendor, or takes it out. */
static void
sum(struct outbox_index *x, uint32_t pos, bool in)
{
	struct chunk *c = outbox_chunk(x, pos);
	uint32_t off = pos & (CHUNK_SLOTS - 1), by = in ? 1 : UINT32_MAX;
	const struct slot *s = &c->v[off];
	unsigned set = slot_set(s);

	c->in_state[s->state] = (uint16_t)(c->in_state[s->state] + by);
	if (set != SET_NONE) {
		c->in_set[set] = (uint16_t)(c->in_set[set] + by);
		c->set[set][off / 64] ^= UINT64_C(1) << off % 64;
	}
	if (slot_named(s))
		(in ? names_add : names_remove)(x, pos);
	if (slot_counts(s)) {
		x->open += in ? 1 : UINT64_MAX;
		if (s->device != DEVICE_NONE)
			devices_at(&x->devices, s->device)->open += by;
		if (s->vendor != 0)
			x->vendors.v[s->vendor].open += by;
	}
	if (in && s->deadline != 0 &&
	    (s->state == ENTRY_RECEIVED || s->state == ENTRY_QUEUED))
		lower(&c->due, s->deadline);
	if (in && entry_terminal((enum entry_state)s->state) && !s->pruned)
		lower(&c->ended, s->changed);
}

void
outbox_slot_replace(struct outbox_index *x, uint32_t pos, const struct slot *s)
{
	sum(x, pos, false);
	outbox_chunk(x, pos)->v[pos & (CHUNK_SLOTS - 1)] = *s;
	sum(x, pos, true);
}

void
outbox_slot_count(struct outbox_counts *c, const struct slot *s, int by)
{
	c->by_state[s->state] += (uint64_t)by;
	c->held += s->held ? (uint64_t)by : 0;
	c->late += s->late ? (uint64_t)by : 0;
	c->resend += s->resend ? (uint64_t)by : 0;
	c->open += slot_counts(s) ? (uint64_t)by : 0;
}

/* ---- slots come and go ------------------------------------------------ */

static struct chunk *
chunk_add(struct outbox_index *x, uint64_t base)
{
	struct chunk *c = xcalloc(1, sizeof(*c));

	if (x->n_chunks == x->cap_chunks) {
		x->cap_chunks = x->cap_chunks == 0 ? 16 : 2 * x->cap_chunks;
		x->chunks =
		    xrealloc(x->chunks, x->cap_chunks * sizeof(*x->chunks));
	}
	assert(x->n_chunks + x->gone < POS_NONE >> CHUNK_BITS);
	c->base = base;
	c->due = c->ended = UINT32_MAX;
	return x->chunks[x->n_chunks++] = c;
}

/* The chunk where the next slot goes: ids are told as a distance of 32 bits. */
static struct chunk *
chunk_last(struct outbox_index *x, uint64_t id)
{
	struct chunk *c = x->n_chunks > 0 ? x->chunks[x->n_chunks - 1] : NULL;

	if (c == NULL || c->n == CHUNK_SLOTS || id - c->base > UINT32_MAX)
		return chunk_add(x, id);
	assert(c->n == 0 || c->base + c->v[c->n - 1].id < id);
	return c;
}

static uint32_t *
chain_of(struct outbox_index *x, const struct slot *s)
{
	return &devices_at(&x->devices, s->device)
		    ->newest[device_chain((enum entry_kind)s->kind)];
}

uint32_t
outbox_slot_add(struct outbox_index *x, const struct outbox_entry *en,
    const struct slot *like)
{
	static const struct digest none;
	struct chunk *c = chunk_last(x, en->id);
	uint32_t pos = position(x, x->n_chunks - 1, c->n);
	struct slot *s = &c->v[c->n++];

	*s = *like;
	s->id = (uint32_t)(en->id - c->base);
	if (!digest_eq(&en->device, &none))
		s->device = devices_get(&x->devices, &en->device);
	if (s->initial && s->device != DEVICE_NONE) {
		s->older = *chain_of(x, s);
		*chain_of(x, s) = pos;
	}
	sum(x, pos, true);
	return pos;
}

/* The last one, which heads its chain. */
void
outbox_slot_remove(struct outbox_index *x, uint32_t pos)
{
	struct chunk *c = outbox_chunk(x, pos);
	const struct slot *s = &c->v[pos & (CHUNK_SLOTS - 1)];

	assert(c == x->chunks[x->n_chunks - 1] && s == &c->v[c->n - 1]);
	sum(x, pos, false);
	if (s->initial && s->device != DEVICE_NONE)
		*chain_of(x, s) = s->older;
	/* A chunk that lost its first ones stays: their places may still be
	 * named, and must not be anybody else's. */
	if (--c->n > 0)
		return;
	free(c);
	x->n_chunks--;
}

void
outbox_index_load(struct outbox_index *x, const struct outbox_entry *en)
{
	struct slot s;

	pthread_mutex_lock(&x->lock);
	s = outbox_slot_of(x, en);
	outbox_slot_add(x, en, &s);
	outbox_slot_count(&x->counts, &s, 1);
	pthread_mutex_unlock(&x->lock);
}

/* Those of ids below this. */
void
outbox_index_drop(struct outbox_index *x, uint64_t below)
{
	struct chunk *c;
	uint32_t pos;

	pthread_mutex_lock(&x->lock);
	while ((pos = outbox_index_from(x, 0)) != POS_NONE &&
	    outbox_index_id(x, pos) < below) {
		c = outbox_chunk(x, pos);
		outbox_slot_count(
		    &x->counts, &c->v[pos & (CHUNK_SLOTS - 1)], -1);
		sum(x, pos, false);
		c->first = (pos & (CHUNK_SLOTS - 1)) + 1;
		if (c->first < CHUNK_SLOTS)
			continue;
		free(c);
		x->gone++;
		memmove(x->chunks, x->chunks + 1,
		    --x->n_chunks * sizeof(*x->chunks));
	}
	pthread_mutex_unlock(&x->lock);
}

/* Those that are open and older than this id are to be resent. */
void
outbox_index_renew(struct outbox_index *x, uint64_t below)
{
	const struct slot *s;
	struct slot now;
	uint32_t pos;

	pthread_mutex_lock(&x->lock);
	for (pos = outbox_index_skip(x, x->gone << CHUNK_BITS);
	     pos != POS_NONE && outbox_index_id(x, pos) < below;
	     pos = outbox_index_skip(x, pos + 1)) {
		s = outbox_index_at(x, pos);
		if (!slot_open(s) || s->resend)
			continue;
		now = *s;
		now.resend = true;
		now.unsure = false;
		outbox_slot_replace(x, pos, &now);
		x->counts.resend++;
	}
	pthread_mutex_unlock(&x->lock);
}

/* ---- by device -------------------------------------------------------- */

static uint32_t
chain_skip(const struct outbox_index *x, uint32_t pos, enum entry_kind k,
    uint64_t below)
{
	const struct slot *s;

	for (; (s = outbox_index_at(x, pos)) != NULL; pos = s->older)
		if (s->kind == k && s->initial &&
		    outbox_index_id(x, pos) < below)
			return pos;
	return POS_NONE;
}

uint32_t
outbox_index_newest(const struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t below)
{
	uint32_t d = devices_find(&x->devices, device);

	if (d == DEVICE_NONE)
		return POS_NONE;
	return chain_skip(
	    x, devices_at(&x->devices, d)->newest[device_chain(k)], k, below);
}

uint64_t
outbox_index_before(struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t below)
{
	uint64_t id = 0;
	uint32_t pos;

	pthread_mutex_lock(&x->lock);
	pos = outbox_index_newest(x, k, device, below);
	if (pos != POS_NONE)
		id = outbox_index_id(x, pos);
	pthread_mutex_unlock(&x->lock);
	return id;
}

/* A clock that was set back leaves times ahead of now: those do not count, or
 * the device would have to wait for them to come. */
unsigned
outbox_index_recent(const struct outbox_index *x, enum entry_kind k,
    const struct digest *device, uint64_t now, unsigned max)
{
	uint32_t pos = outbox_index_newest(x, k, device, UINT64_MAX);
	const struct slot *s;
	unsigned n = 0;

	while (n < max && (s = outbox_index_at(x, pos)) != NULL) {
		if ((uint64_t)s->received + RECENT_WINDOW <= now)
			break;
		if (s->received < now + RECENT_WINDOW)
			n++;
		pos = chain_skip(x, s->older, k, UINT64_MAX);
	}
	return n;
}
