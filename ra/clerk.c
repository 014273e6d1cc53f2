#include "ra/clerk_int.h"

#include <string.h>
#include "common/base/log.h"
#include "ra/crlmaker.h"
#include "ra/known.h"
#include "ra/unwrap.h"

#define RETRY_MS  5000
#define HOLD_MS	  3600000
/* An entry's longest way, in seconds (DECISIONS 20). */
#define CARRY_MAX (30 * 86400)

static void clerk_turn(void *arg);

/* ---- the list ---------------------------------------------------------- */

void
work_reset(struct work *w)
{
	upstream_cancel(STEAL(w->ask));
	work_unslow(w);
	cmp_free(STEAL(w->m));
	verdict_done(&w->v);
	buf_done(&w->tbs);
	buf_done(&w->unsigned_cert);
	buf_done(&w->progress);
	buf_done(&w->cert);
	buf_done(&w->answer);
	if (w->stage == WORK_BUSY)
		w->clerk->busy--;
	w->stage = WORK_NEW;
	w->intend = (struct ledger_intend){ .id = 0 };
	w->settle = (struct ledger_settle){ .id = 0 };
	w->reason[0] = w->serial[0] = '\0';
}

void
work_again(struct work *w)
{
	work_reset(w);
	clerk_wake(w->clerk);
}

void
work_end(struct work *w)
{
	struct clerk *c = w->clerk;
	struct work **at = &c->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (c->end == &w->next)
		c->end = at;
	c->n--;
	work_reset(w);
	free(w);
	/* What waited for it may find its certificate now. */
	for (w = c->first; w != NULL; w = w->next)
		if (w->stage == WORK_WAITING)
			w->stage = WORK_VERIFIED;
	clerk_wake(c);
}

/* In the order of the cases, each once. */
static int
take_up(const struct ledger_case *is, void *arg)
{
	struct clerk *c = arg;
	struct work *w, **at = &c->first;

	c->seen = is->id;
	if (!service_sound(&c->ra->service, is->site))
		return 0;
	while (*at != NULL && (*at)->is.id < is->id)
		at = &(*at)->next;
	if (*at != NULL && (*at)->is.id == is->id)
		return 0;
	w = xcalloc(1, sizeof(*w));
	w->clerk = c;
	w->is = *is;
	w->next = *at;
	*at = w;
	if (w->next == NULL)
		c->end = &w->next;
	c->n++;
	return 0;
}

/* ---- reading a case ---------------------------------------------------- */

static int
load_part(struct work *w, enum ledger_part part, struct buf *ret, struct err *e)
{
	int rc =
	    ledger_part(w->clerk->ra->service.ledger, w->is.id, part, ret, e);

	if (rc == 0)
		return err_set(e, ERR_DAMAGE,
		    "ledger: case %llu: its octets are missing",
		    (unsigned long long)w->is.id);
	return rc == -1 ? -1 : 0;
}

int
work_load(struct work *w, struct err *e)
{
	struct buf header AUTO_BUF = { 0 }, octets AUTO_BUF = { 0 };

	/* Intake has found all of this well-formed. */
	if (ledger_get(w->clerk->ra->service.ledger, w->is.id, &w->is, e) !=
		1 ||
	    load_part(w, LEDGER_HEADER, &header, e) == -1 ||
	    load_part(w, LEDGER_OCTETS, &octets, e) == -1 ||
	    entry_header_parse(buf_bytes(&header), &w->h, e) == -1 ||
	    unwrap_stored(buf_bytes(&octets), &w->m, e) == -1)
		return -1;
	if (w->is.state != LEDGER_INTENT)
		return 0;
	if (known_facts(
		w->clerk->ra->service.ledger, w->is.id, &w->v.facts, e) == -1 ||
	    ledger_part(w->clerk->ra->service.ledger, w->is.id, LEDGER_PROGRESS,
		&w->progress, e) == -1)
		return -1;
	return load_part(w, LEDGER_TBS, &w->tbs, e) == -1
	    ? -1
	    : load_part(w, LEDGER_UNSIGNED, &w->unsigned_cert, e);
}

/* ---- superseding ------------------------------------------------------- */

/* The site's order; cases of two epochs are told apart by ours. */
static bool
is_older(const struct work *a, const struct work *b)
{
	if (memcmp(a->h.epoch, b->h.epoch, sizeof(a->h.epoch)) == 0)
		return a->h.id < b->h.id;
	return a->is.id < b->is.id;
}

static void
supersede(struct work *w)
{
	struct err why = ERR_INIT;

	w->settle.unless_intent = true;
	err_fail(&why, ERR_POLICY, CMP_BAD_REQUEST, "superseded");
	work_refuse(w, "superseded", &why);
}

/* DECISIONS 6: a device's newer initial request ends its older one of this
 * site. */
static void
supersede_by(struct work *w)
{
	struct work *i;

	if (!w->v.initial)
		return;
	for (i = w->clerk->first; i != NULL; i = i->next) {
		if (i == w || !i->v.initial ||
		    (i->stage != WORK_VERIFIED && i->stage != WORK_WAITING) ||
		    strcmp(i->is.site, w->is.site) != 0 ||
		    !digest_eq(&i->v.device, &w->v.device))
			continue;
		if (is_older(w, i)) {
			supersede(w);
			return;
		}
		supersede(i);
	}
}

/* ---- judging ----------------------------------------------------------- */

/* When its site made the last checkpoint that we countersigned, if the case came
 * after that and the site's clock was being disciplined; else 0. */
static uint64_t
checkpoint_time(const struct work *w)
{
	struct ledger *l = w->clerk->ra->service.ledger;
	struct buf header AUTO_BUF = { 0 };
	struct entry_header h;
	struct ledger_site s;
	struct err no = ERR_INIT;
	uint64_t id;

	if (ledger_site(l, w->h.site, &s, &no) != 1 || s.audit_id == 0 ||
	    memcmp(s.epoch, w->h.epoch, sizeof(s.epoch)) != 0 ||
	    w->h.id < s.audit_id ||
	    ledger_find_entry(l, s.name, s.epoch, s.audit_id, &id, &no) != 1 ||
	    ledger_part(l, id, LEDGER_HEADER, &header, &no) != 1 ||
	    entry_header_parse(buf_bytes(&header), &h, &no) == -1 ||
	    h.received.quality != CLOCK_SYNC || h.received.time > w->is.stored)
		return 0;
	return h.received.time;
}

static uint64_t
work_earliest(const struct work *w)
{
	uint64_t stored = w->is.stored, checked = checkpoint_time(w);
	uint64_t carried = stored > CARRY_MAX ? stored - CARRY_MAX : 0;

	return checked > carried ? checked : carried;
}

/* rr and genm are answered at once, certificates when it is their turn. */
static void
work_granted(struct work *w)
{
	switch ((int)cmp_body(w->m)) {
	case CMP_RR:
		work_revoke(w);
		return;
	case CMP_GENM:
		work_inform(w);
		return;
	default:
		w->stage = WORK_VERIFIED;
		supersede_by(w);
	}
}

static void
work_judge(struct work *w, const struct stamp *now)
{
	struct ra *r = w->clerk->ra;
	struct judge j = { r->vendors, r->lists.denied, &r->plain,
		work_earliest(w), &r->conf.profiles, r->service.domain,
		known_by_ledger, r->service.ledger, r->lists.revoked,
		known_issued };
	struct err e = ERR_INIT;

	if (judge_request(&j, &w->h, w->m, now, &w->v, &e) == 0) {
		work_granted(w);
	} else if (e.kind == ERR_LOCAL) {
		work_stall(w, &e);
	} else if (e.kind == ERR_RETRY) {
		work_hold(w, &e);
	} else {
		work_refuse(w, "refused", &e);
	}
}

static void
work_look(struct work *w, const struct stamp *now)
{
	struct err e = ERR_INIT;

	if (work_load(w, &e) == -1)
		work_skip(w, &e);
	else if (w->is.state != LEDGER_OPEN && w->is.state != LEDGER_INTENT)
		work_end(w);
	else if (w->is.state == LEDGER_INTENT)
		work_resume(w);
	else if (w->is.withdrawn)
		work_give_up(w);
	else if (w->is.step > 0)
		work_judge_confirm(w);
	else
		work_judge(w, now);
}

/* ---- turns ------------------------------------------------------------- */

void
clerk_wake(struct clerk *c)
{
	if (c->posted)
		return;
	c->posted = true;
	loop_post(c->ra->service.loop, clerk_turn, c);
}

static void
clerk_retry(void *arg)
{
	struct clerk *c = arg;

	c->late = false;
	clerk_wake(c);
}

static void
clerk_wait(struct clerk *c)
{
	c->late = true;
	timer_set(c->retry, RETRY_MS);
}

void
work_stall(struct work *w, const struct err *e)
{
	struct clerk *c = w->clerk;

	if (e->kind != ERR_RETRY) {
		service_give_up(&c->ra->service, "clerk.failed", e);
		return;
	}
	log_err(LOG_ALARM, "clerk.stalled", e, "site", "%s", w->is.site, NULL);
	work_reset(w);
	clerk_wait(c);
}

void
work_hold(struct work *w, const struct err *e)
{
	struct clerk *c = w->clerk;

	log_err(LOG_WARN, "case.held", e, "case", "%llu",
	    (unsigned long long)w->is.id, "site", "%s", w->is.site, NULL);
	if (!c->holding)
		timer_set(c->held, HOLD_MS);
	c->holding = true;
	work_end(w);
}

static void
clerk_unhold(void *arg)
{
	struct clerk *c = arg;

	c->holding = false;
	clerk_look_again(c);
}

void
work_skip(struct work *w, const struct err *e)
{
	log_err(LOG_ALARM, "ledger.damaged", e, "case", "%llu",
	    (unsigned long long)w->is.id, "site", "%s", w->is.site, NULL);
	work_end(w);
}

/* Rule 5: without a clock no date can be judged, so judging waits. */
static bool
clerk_can_see(struct clerk *c, const struct stamp *now)
{
	bool blind = now->quality < CLOCK_RTC;

	if (blind && !c->blind)
		log_event(LOG_ALARM, "clerk.no-clock", "reason", "%s",
		    "nothing is judged until the clock is set", NULL);
	c->blind = blind;
	if (blind)
		clerk_wait(c);
	return !blind;
}

static struct work *
clerk_next(struct clerk *c, enum work_stage stage)
{
	struct work *w = c->first;

	while (w != NULL && w->stage != stage)
		w = w->next;
	return w;
}

/* One case a turn, so that sites and commands get theirs between. */
static void
clerk_turn(void *arg)
{
	struct clerk *c = arg;
	struct stamp now = clock_now();
	uint64_t seen = c->seen;
	struct err e = ERR_INIT;
	struct work *w;

	c->posted = false;
	if (c->late || c->ra->service.failed || !clerk_can_see(c, &now))
		return;
	if (c->n < CLERK_AHEAD &&
	    ledger_list_open(c->ra->service.ledger, c->seen + 1,
		CLERK_AHEAD - c->n, take_up, c, &e) == -1) {
		service_give_up(&c->ra->service, "ledger.damaged", &e);
		return;
	}
	if ((w = clerk_next(c, WORK_NEW)) != NULL)
		work_look(w, &now);
	else if (c->busy < CLERK_WINDOW &&
	    (w = clerk_next(c, WORK_VERIFIED)) != NULL)
		work_grant(w);
	else if (c->seen == seen)
		return;
	clerk_wake(c);
}

/* ---- what it is told --------------------------------------------------- */

void
clerk_look_again(struct clerk *c)
{
	c->seen = 0;
	clerk_wake(c);
}

void
clerk_standing(struct clerk *c, const char *site)
{
	struct work *w, *next;

	if (service_sound(&c->ra->service, site)) {
		clerk_look_again(c);
		return;
	}
	for (w = c->first; w != NULL; w = next) {
		next = w->next;
		if (w->stage != WORK_BUSY && strcmp(w->is.site, site) == 0)
			work_end(w);
	}
}

/* One that is busy learns it from the ledger. */
void
clerk_withdrawn(struct clerk *c, uint64_t id)
{
	struct work *w = c->first;

	while (w != NULL && w->is.id != id)
		w = w->next;
	if (w != NULL && w->stage != WORK_BUSY)
		work_again(w);
	else if (w == NULL && c->holding)
		clerk_look_again(c);
}

/* ---- its life ---------------------------------------------------------- */

static void
on_signed(void *arg, uint64_t id, struct bytes sig)
{
	struct clerk *c = arg;
	struct work *w = c->first;

	if (id == CRLMAKER_ID) {
		crlmaker_signed(c->ra->crlmaker, sig);
		return;
	}
	while (w != NULL && (w->is.id != id || w->stage != WORK_BUSY))
		w = w->next;
	if (w != NULL)
		work_issue(w, sig);
}

static void
on_death(void *arg)
{
	struct clerk *c = arg;
	struct err e = ERR_INIT;

	err_set(&e, ERR_LOCAL, "ca: no child to sign");
	service_give_up(&c->ra->service, "ca.gone", &e);
}

int
clerk_open(struct ra *r, struct clerk **ret, struct err *e)
{
	struct clerk *c = xcalloc(1, sizeof(*c));

	c->ra = r;
	c->end = &c->first;
	c->retry = timer_new(r->service.loop, clerk_retry, c);
	c->held = timer_new(r->service.loop, clerk_unhold, c);
	if (r->ca != NULL &&
	    ca_attach(r->ca, r->service.loop, on_signed, on_death, c, e) ==
		-1) {
		clerk_free(c);
		return -1;
	}
	clerk_wake(c);
	*ret = c;
	return 0;
}

void
clerk_free(struct clerk *c)
{
	struct work *w;

	if (c == NULL)
		return;
	while ((w = c->first) != NULL) {
		c->first = w->next;
		work_reset(w);
		free(w);
	}
	timer_free(c->retry);
	timer_free(c->held);
	free(c);
}
