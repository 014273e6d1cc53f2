#include "common/service/keeper.h"

#include "common/base/log.h"

#define TURN_MS	  10000
#define TURN_ROWS 512 /* looked at: a millisecond or two */

struct keeper {
	struct service *service;
	struct timer *timer;
	struct ledger_prune prune;
};

static void
keeper_later(struct keeper *k)
{
	timer_set(k->timer, TURN_MS);
}

static void
pruned(void *arg, const struct err *failed)
{
	struct ledger_prune *x = arg;
	struct keeper *k = x->user;

	if (failed != NULL)
		log_err(LOG_ERROR, "ledger.not-pruned", failed, NULL);
	else
		log_event(LOG_INFO, "ledger.pruned", "answers", "%zu", x->cases,
		    "batches", "%zu", x->batches, NULL);
	keeper_later(k);
}

static void
keeper_turn(void *arg)
{
	struct keeper *k = arg;
	struct service *s = k->service;
	struct stamp now = clock_now();

	/* Another's word for the time is no better than its own clock. */
	if (now.quality == CLOCK_SYNC)
		ledger_floor(s->ledger, now.time);
	if (!ledger_prune(s->ledger, &k->prune, pruned, loop_poster(s->loop)))
		keeper_later(k);
}

struct keeper *
keeper_new(struct service *s)
{
	const struct service_conf *c = s->conf;
	struct keeper *k = xcalloc(1, sizeof(*k));

	k->service = s;
	k->prune = (struct ledger_prune){
		.keep = { c->retention.certificates / 1000,
		    c->retention.others / 1000, c->retention.batches / 1000 },
		.rows = TURN_ROWS,
		.user = k,
	};
	k->timer = timer_new(s->loop, keeper_turn, k);
	keeper_later(k);
	return k;
}

void
keeper_free(struct keeper *k)
{
	if (k == NULL)
		return;
	timer_free(k->timer);
	free(k);
}
