#include "registrar/contact.h"

#include "common/base/digest.h"

#define FLAP 1000 /* ms */

void
contact_init(struct contact *c, uint64_t now)
{
	atomic_store(&c->up, false);
	atomic_store(&c->known, false);
	atomic_store(&c->since, now);
	atomic_store(&c->gap, 0);
}

/* A quarter of the newest: one odd day does not move what is usual far. */
static void
contact_gap(struct contact *c, uint64_t gap)
{
	uint64_t usual = atomic_load(&c->gap);

	if (gap >= FLAP)
		atomic_store(&c->gap, usual == 0 ? gap : (3 * usual + gap) / 4);
}

void
contact_link(struct contact *c, bool up, uint64_t now)
{
	uint64_t since = atomic_load(&c->since);

	if (up == atomic_load(&c->up))
		return;
	/* What passed before the first contact is no gap between two. */
	if (up && atomic_exchange(&c->known, true))
		contact_gap(c, now > since ? now - since : 0);
	atomic_store(&c->since, now);
	atomic_store(&c->up, up);
}

static uint64_t
contact_away(const struct contact *c, uint64_t now)
{
	uint64_t since = atomic_load(&c->since);

	return !atomic_load(&c->up) && now > since ? now - since : 0;
}

bool
contact_last(const struct contact *c, uint64_t now, uint64_t *ret)
{
	if (!atomic_load(&c->known))
		return false;
	*ret = contact_away(c, now);
	return true;
}

uint64_t
contact_estimate(const struct contact *c, uint64_t now)
{
	uint64_t away = contact_away(c, now), gap = atomic_load(&c->gap), ms;

	if (atomic_load(&c->up))
		return 0;
	ms = away < gap ? gap - away : away - gap;
	if (ms < CONTACT_LEAST)
		return CONTACT_LEAST;
	return ms < CONTACT_MOST ? ms : CONTACT_MOST;
}

unsigned
contact_spread(uint64_t ms)
{
	uint16_t dice;

	random_bytes(&dice, sizeof(dice));
	ms = ms * 3 / 4 + ms * dice / (2 * UINT16_MAX);
	return ms < 1000 ? 1 : (unsigned)((ms + 500) / 1000);
}

unsigned
contact_wait(
    const struct contact *c, uint64_t now, uint64_t soon, uint64_t late)
{
	uint64_t ms = contact_estimate(c, now);

	if (ms > late)
		ms = late;
	return contact_spread(ms > soon ? ms : soon);
}
