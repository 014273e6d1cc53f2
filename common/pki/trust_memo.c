#include "common/pki/trust_memo.h"

#include <pthread.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/limits.h"

#define SETS 256
#define WAYS 4

/* Each question has one set, and shares it: who comes later takes the place
 * that was taken first. */
struct memo {
	struct digest asked;
	uint64_t since; /* monotonic milliseconds; 0: nothing is here */
	uint64_t at;
	int anchor;
};

struct trust_memo {
	pthread_mutex_t lock;
	struct memo places[SETS][WAYS];
};

struct trust_memo *
trust_memo_new(void)
{
	struct trust_memo *m = xcalloc(1, sizeof(*m));

	pthread_mutex_init(&m->lock, NULL);
	return m;
}

void
trust_memo_free(struct trust_memo *m)
{
	if (m == NULL)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static struct memo *
set_of(struct trust_memo *m, const struct digest *asked)
{
	return m->places[asked->b[0] % SETS];
}

/* Its own place in the set, or the one to be given up for it. */
static struct memo *
place_of(struct memo *set, const struct digest *asked)
{
	struct memo *oldest = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (memcmp(&set[i].asked, asked, sizeof(*asked)) == 0)
			return &set[i];
		if (set[i].since < oldest->since)
			oldest = &set[i];
	}
	return oldest;
}

/* Both clocks must agree that it is not old: the one may stand still while the
 * machine sleeps, the other may be set. */
static bool
is_fresh(const struct memo *p, uint64_t at)
{
	if (p->since == 0 ||
	    clock_mono_ms() - p->since > LIMIT_CHAIN_REMEMBERED * 1000)
		return false;
	if (at == 0 || p->at == 0)
		return at == p->at;
	return at >= p->at && at - p->at <= LIMIT_CHAIN_REMEMBERED;
}

bool
trust_memo_find(struct trust_memo *m, const struct digest *asked, uint64_t at,
    int *ret_anchor)
{
	const struct memo *p;
	bool found;

	pthread_mutex_lock(&m->lock);
	p = place_of(set_of(m, asked), asked);
	found =
	    is_fresh(p, at) && memcmp(&p->asked, asked, sizeof(*asked)) == 0;
	if (found)
		*ret_anchor = p->anchor;
	pthread_mutex_unlock(&m->lock);
	return found;
}

void
trust_memo_keep(
    struct trust_memo *m, const struct digest *asked, uint64_t at, int anchor)
{
	pthread_mutex_lock(&m->lock);
	*place_of(set_of(m, asked), asked) = (struct memo){ .asked = *asked,
		.since = clock_mono_ms(),
		.at = at,
		.anchor = anchor };
	pthread_mutex_unlock(&m->lock);
}
