#include "forwarder/pace.h"

static bool
is_entry(enum frame_type type)
{
	return type == FRAME_PUT || type == FRAME_EVIDENCE;
}

void
pace_init(struct pace *p, unsigned window)
{
	*p = (struct pace){ .window = window };
	LIST_INIT(&p->out);
	pace_up(p, 0);
}

void
pace_up(struct pace *p, uint64_t now)
{
	p->allowed = PACE_START < p->window ? PACE_START : p->window;
	p->heard_at = now;
	p->received = 0;
	p->took = 0;
}

bool
pace_room(const struct pace *p, enum frame_type type)
{
	return !is_entry(type) || p->entries < p->allowed;
}

void
pace_sent(struct pace *p, struct pace_request *r, enum frame_type type,
    size_t len, uint64_t now)
{
	r->type = type;
	r->len = len;
	r->sent_at = now;
	/* The service may keep a PULL open so long and tell nothing. */
	r->owed_at = now + (type == FRAME_PULL ? LIMIT_FRAME_WAIT * 1000 : 0);
	p->octets += len;
	p->entries += is_entry(type);
	LIST_INSERT_HEAD(&p->out, r, next);
}

/* One more for each that comes back quickly: twice as many each round.  A link
 * on which they take long has enough on it. */
static void
pace_learn(struct pace *p, uint64_t took)
{
	if (took <= PACE_QUICK_MS && p->allowed < p->window)
		p->allowed++;
	else if (took > PACE_SILENCE_MS && p->allowed > 1)
		p->allowed--;
}

/* The longest counts, and is forgotten slowly.  A PULL that was answered before
 * its time says nothing. */
static void
pace_remember(struct pace *p, const struct pace_request *r, uint64_t now)
{
	uint64_t took = now - r->owed_at + 1;

	if (now < r->owed_at)
		return;
	p->took -= p->took / 8;
	if (took > p->took)
		p->took = took;
}

static uint64_t
pace_patience(const struct pace *p)
{
	uint64_t slow = p->octets * 1000 / PACE_RATE;

	if (p->took > 0 && 4 * p->took < slow)
		slow = 4 * p->took;
	return PACE_SILENCE_MS + slow;
}

void
pace_end(struct pace *p, struct pace_request *r, bool replied, uint64_t now)
{
	LIST_REMOVE(r, next);
	p->octets -= r->len;
	p->entries -= is_entry(r->type);
	if (!replied)
		return;
	p->heard_at = now;
	pace_remember(p, r, now);
	if (is_entry(r->type))
		pace_learn(p, now - r->sent_at);
}

/* Since when a reply is owed, UINT64_MAX: none is yet. */
static uint64_t
pace_owed(const struct pace *p, uint64_t now)
{
	const struct pace_request *r;
	uint64_t first = UINT64_MAX;

	LIST_FOREACH(r, &p->out, next)
	if (r->owed_at <= now && r->owed_at < first)
		first = r->owed_at;
	return first;
}

bool
pace_silent(struct pace *p, uint64_t received, uint64_t now)
{
	uint64_t since = pace_owed(p, now);

	if (received != p->received)
		p->heard_at = now;
	p->received = received;
	if (since == UINT64_MAX)
		return false;
	if (since < p->heard_at)
		since = p->heard_at;
	return now - since > pace_patience(p);
}
