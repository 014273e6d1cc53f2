#include "registrar/sweep.h"

#include "common/base/log.h"
#include "registrar/ending.h"

#define EXPIRE_PORTION 32
#define PRUNE_PORTION  256
#define RECORDS_MANY   256 /* of the audit trail: worth a checkpoint */

struct sweep {
	struct registrar *r;
	struct loop *loop;
	struct timer *timer; /* NULL: nothing begins any more */
	struct outbox_move expire;
	struct buf answers[EXPIRE_PORTION];
	struct bytes borrowed[EXPIRE_PORTION];
	struct outbox_prune prune;
	struct outbox_checkpoint checkpoint;
	uint64_t told_at; /* monotonic: of the last checkpoint */
	uint64_t told;	  /* audit record that it was made after */
};

static void sweep_expire(struct sweep *s);
static void sweep_prune(struct sweep *s);
static void sweep_checkpoint(struct sweep *s);

static void
sweep_rest(struct sweep *s)
{
	if (s->timer != NULL)
		timer_set(s->timer, s->r->conf.sweep);
}

static void
sweep_failed(const char *what, const struct err *e)
{
	log_err(LOG_ERROR, "queue.sweep-failed", e, "what", "%s", what, NULL);
}

/* ---- expiry ------------------------------------------------------------ */

static void
sweep_log_expired(const struct sweep *s)
{
	char id[ENTRY_ID_TEXT];

	for (size_t i = 0; i < s->expire.n; i++)
		if (s->expire.moved[i])
			log_event(LOG_WARN, "queue.expired", "id", "%s",
			    entry_id_format(id, outbox_epoch(s->r->outbox),
				s->expire.ids[i]),
			    NULL);
}

static void
sweep_expired(struct outbox_move *m, const struct err *e)
{
	struct sweep *s = m->user;
	bool more = e == NULL && m->n == EXPIRE_PORTION && m->refused < m->n;

	for (size_t i = 0; i < m->n; i++)
		buf_done(&s->answers[i]);
	if (e != NULL)
		sweep_failed("expiry", e);
	else
		sweep_log_expired(s);
	if (more)
		sweep_expire(s);
	else
		sweep_prune(s);
}

/* Without an answer if the request is damaged: its end must come all the
 * same. */
static void
sweep_answer(struct sweep *s, size_t i)
{
	struct outbox_entry en;
	struct err e = ERR_INIT;

	if (outbox_get(s->r->outbox, s->expire.ids[i], &en, &e) != 1 ||
	    ending_answer(s->r, &en, ENTRY_EXPIRED, s->expire.reason,
		&s->answers[i], &e) == -1)
		sweep_failed("answer", &e);
	s->borrowed[i] = buf_bytes(&s->answers[i]);
}

static void
sweep_expire(struct sweep *s)
{
	uint64_t now = clock_judge_time();

	if (s->timer == NULL)
		return;
	s->expire = (struct outbox_move){ .event = ENTRY_EV_EXPIRE,
		.who = "registrar",
		.reason = "not answered in time",
		.answers = s->borrowed,
		.user = s };
	if (now != 0)
		s->expire.n = outbox_due(
		    s->r->outbox, now, s->expire.ids, EXPIRE_PORTION);
	if (s->expire.n == 0) {
		sweep_prune(s);
		return;
	}
	for (size_t i = 0; i < s->expire.n; i++)
		sweep_answer(s, i);
	outbox_move(
	    s->r->outbox, &s->expire, sweep_expired, loop_poster(s->loop));
}

/* ---- retention --------------------------------------------------------- */

static void
sweep_pruned(struct outbox_prune *p, const struct err *e)
{
	struct sweep *s = p->user;

	if (e != NULL)
		sweep_failed("pruning", e);
	else if (p->n > 0)
		log_event(
		    LOG_INFO, "queue.pruned", "entries", "%zu", p->n, NULL);
	if (e == NULL && p->n >= PRUNE_PORTION)
		sweep_prune(s);
	else
		sweep_checkpoint(s);
}

static void
sweep_prune(struct sweep *s)
{
	uint64_t now = clock_judge_time(), keep = s->r->conf.retention / 1000;

	if (s->timer == NULL)
		return;
	if (now <= keep) {
		sweep_checkpoint(s);
		return;
	}
	s->prune = (struct outbox_prune){
		.before = now - keep, .max = PRUNE_PORTION, .user = s
	};
	outbox_prune(
	    s->r->outbox, &s->prune, sweep_pruned, loop_poster(s->loop));
}

/* ---- checkpoints ------------------------------------------------------- */

static void
sweep_told(struct outbox_checkpoint *c, const struct err *e)
{
	struct sweep *s = c->user;

	if (e != NULL)
		sweep_failed("checkpoint", e);
	sweep_rest(s);
}

static bool
sweep_worth_telling(struct sweep *s, uint64_t now)
{
	struct store_audit head;
	struct err e = ERR_INIT;

	if (registrar_service(s->r, ENTRY_AUDIT) == NULL)
		return false;
	if (outbox_audit_head(s->r->outbox, &head, &e) == -1) {
		sweep_failed("audit head", &e);
		return false;
	}
	if (head.seq == s->told ||
	    (head.seq - s->told < RECORDS_MANY &&
		now - s->told_at < s->r->conf.checkpoint))
		return false;
	s->told = head.seq;
	s->told_at = now;
	return true;
}

static void
sweep_checkpoint(struct sweep *s)
{
	if (s->timer == NULL)
		return;
	if (!sweep_worth_telling(s, clock_mono_ms())) {
		sweep_rest(s);
		return;
	}
	s->checkpoint = (struct outbox_checkpoint){ .user = s };
	outbox_checkpoint(
	    s->r->outbox, &s->checkpoint, sweep_told, loop_poster(s->loop));
}

/* ---- life -------------------------------------------------------------- */

static void
sweep_begin(void *arg)
{
	sweep_expire(arg);
}

struct sweep *
sweep_open(struct registrar *r, struct loop *l)
{
	struct sweep *s = xcalloc(1, sizeof(*s));

	s->r = r;
	s->loop = l;
	s->timer = timer_new(l, sweep_begin, s);
	s->told_at = clock_mono_ms();
	timer_set(s->timer, 0);
	return s;
}

void
sweep_stop(struct sweep *s)
{
	if (s == NULL)
		return;
	timer_free(s->timer);
	s->timer = NULL;
}

void
sweep_free(struct sweep *s)
{
	if (s == NULL)
		return;
	sweep_stop(s);
	for (size_t i = 0; i < EXPIRE_PORTION; i++)
		buf_done(&s->answers[i]);
	free(s);
}
