#include "masa-client/asker_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/service/claims.h"
#include "masa-client/address.h"

#define STALL_MS 5000
#define LIST_MAX 1000

static void asker_turn(void *arg);

/* ---- lists ------------------------------------------------------------- */

static void
work_unplace(struct work *w)
{
	switch (w->stage) {
	case WORK_FRESH:
		TAILQ_REMOVE(&w->asker->fresh, w, place);
		w->asker->n_fresh--;
		break;
	case WORK_READY:
		TAILQ_REMOVE(&w->maker->ready, w, place);
		break;
	case WORK_LATE:
		TAILQ_REMOVE(&w->maker->late, w, place);
		break;
	case WORK_ASKING:
		w->maker->asking--;
		break;
	case WORK_SETTLING:
	case WORK_PARKED:
	case WORK_STAGE__MAX:
		break;
	}
}

void
work_place(struct work *w, enum work_stage stage)
{
	work_unplace(w);
	w->stage = stage;
	if (stage == WORK_FRESH) {
		TAILQ_INSERT_TAIL(&w->asker->fresh, w, place);
		w->asker->n_fresh++;
	} else if (stage == WORK_READY)
		TAILQ_INSERT_TAIL(&w->maker->ready, w, place);
	else if (stage == WORK_LATE)
		TAILQ_INSERT_TAIL(&w->maker->late, w, place);
	else if (stage == WORK_ASKING)
		w->maker->asking++;
}

void
work_drop_job(struct work *w)
{
	struct job *j = STEAL(w->job);

	if (j == NULL)
		return;
	buf_done(&j->octets);
	buf_done(&j->voucher);
	buf_done(&j->log);
	buf_done(&j->out);
	free(j->url);
	free(j);
}

static void
work_free(struct work *w)
{
	work_unplace(w);
	TAILQ_REMOVE(&w->asker->all, w, all);
	if (w->maker != NULL)
		LIST_REMOVE(w, kin);
	if (w->fetch != NULL)
		fetch_cancel(w->fetch);
	timer_free(w->timer);
	work_drop_job(w);
	free(w);
}

void
work_end(struct work *w)
{
	struct asker *a = w->asker;

	work_free(w);
	asker_wake(a);
}

void
work_skip(struct work *w, const struct err *e)
{
	log_err(LOG_ALARM, "ledger.damaged", e, "case", "%llu",
	    (unsigned long long)w->id, "site", "%s", w->entry.site, NULL);
	work_end(w);
}

static int
take_up(const struct ledger_case *is, void *arg)
{
	struct asker *a = arg;
	struct work *w = xcalloc(1, sizeof(*w));

	w->asker = a;
	w->id = is->id;
	w->withdrawn = is->withdrawn;
	str_copy(w->entry.site, sizeof(w->entry.site), is->site);
	memcpy(w->entry.epoch, is->epoch, sizeof(w->entry.epoch));
	w->entry.id = is->site_id;
	w->stage = WORK_FRESH;
	TAILQ_INSERT_TAIL(&a->all, w, all);
	TAILQ_INSERT_TAIL(&a->fresh, w, place);
	a->n_fresh++;
	a->seen = is->id;
	return 0;
}

/* ---- judging ----------------------------------------------------------- */

static int
load_part(struct work *w, enum ledger_part part, struct buf *ret, struct err *e)
{
	int rc =
	    ledger_part(w->asker->masa->service.ledger, w->id, part, ret, e);

	if (rc == 0)
		return err_set(e, ERR_DAMAGE,
		    "ledger: case %llu: its octets are missing",
		    (unsigned long long)w->id);
	return rc == -1 ? -1 : 0;
}

static struct maker *
find_maker(struct asker *a, const char *name, struct err *e)
{
	for (size_t i = 0; i < a->masa->conf.vendors.n; i++)
		if (strcmp(a->makers[i].conf->name, name) == 0)
			return &a->makers[i];
	err_set(e, ERR_POLICY, "vendor %s is not known here", name);
	return NULL;
}

static int
judge(struct work *w, const struct entry_header *h, const struct stamp *now,
    struct maker **ret_maker, struct err *e)
{
	const struct masa *m = w->asker->masa;
	struct job *j = w->job;

	if (judge_request(m->vendors, m->revoked, h, buf_bytes(&j->octets), now,
		&j->request, e) == -1 ||
	    (*ret_maker = find_maker(w->asker, j->request.vendor, e)) == NULL ||
	    claims_deadline(h, now, e) == -1)
		return -1;
	return target_find((*ret_maker)->conf, j->request.url, &j->target, e);
}

int
work_judge(struct work *w, const struct stamp *now, struct err *e)
{
	struct buf header AUTO_BUF = { 0 };
	struct entry_header h;
	struct maker *maker = NULL;
	struct err why = ERR_INIT;
	int rc;

	work_drop_job(w);
	w->job = xcalloc(1, sizeof(*w->job));
	/* Intake has found all of this well-formed. */
	if (load_part(w, LEDGER_HEADER, &header, e) == -1 ||
	    load_part(w, LEDGER_OCTETS, &w->job->octets, e) == -1 ||
	    entry_header_parse(buf_bytes(&header), &h, e) == -1)
		return -1;
	rc = judge(w, &h, now, &maker, &why);
	str_copy(w->serial, sizeof(w->serial), w->job->request.serial);
	if (rc == -1) {
		work_refuse(w, "refused", 0, why.msg);
		return 1;
	}
	w->device = w->job->request.device;
	if (w->maker == NULL) {
		/* Of fresh, which asks for no maker. */
		LIST_INSERT_HEAD(
		    &w->asker->devices[(w->device.b[0] << 8 | w->device.b[1]) %
			ASKER_BUCKETS],
		    w, kin);
		w->maker = maker;
	}
	return 0;
}

/* ---- superseding ------------------------------------------------------- */

/* The site's order; cases of two epochs are told apart by ours. */
static bool
is_older(const struct work *a, const struct work *b)
{
	if (memcmp(a->entry.epoch, b->entry.epoch, ENTRY_EPOCH_LEN) == 0)
		return a->entry.id < b->entry.id;
	return a->id < b->id;
}

/* A device's newer request ends its older one of this site; 1 if w is the
 * older. */
static int
supersede_by(struct work *w)
{
	struct work *i, *next;

	for (i = LIST_NEXT(w, kin); i != NULL; i = next) {
		next = LIST_NEXT(i, kin);
		if (i->stage == WORK_SETTLING ||
		    strcmp(i->entry.site, w->entry.site) != 0 ||
		    !digest_eq(&i->device, &w->device))
			continue;
		if (is_older(w, i)) {
			work_refuse(w, "superseded", 0, "superseded");
			return 1;
		}
		work_refuse(i, "superseded", 0, "superseded");
	}
	return 0;
}

/* ---- turns ------------------------------------------------------------- */

void
asker_wake(struct asker *a)
{
	if (a->posted)
		return;
	a->posted = true;
	loop_post(a->masa->service.loop, asker_turn, a);
}

static void
asker_retry(void *arg)
{
	struct asker *a = arg;

	a->late = false;
	asker_wake(a);
}

/* Rule 5: without a clock no date can be judged, so judging waits. */
static bool
asker_can_see(struct asker *a, const struct stamp *now)
{
	bool blind = now->quality < CLOCK_RTC;

	if (blind && !a->blind)
		log_event(LOG_ALARM, "asker.no-clock", "reason", "%s",
		    "nothing is asked until the clock is set", NULL);
	a->blind = blind;
	if (blind) {
		a->late = true;
		timer_set(a->retry, STALL_MS);
	}
	return !blind;
}

/* Looked at once when it comes, so that it ends an older one at once. */
static void
work_look(struct work *w, const struct stamp *now)
{
	struct err e = ERR_INIT;
	int rc;

	if (!service_sound(&w->asker->masa->service, w->entry.site)) {
		work_place(w, WORK_PARKED);
		return;
	}
	if (w->withdrawn) {
		work_refuse(w, "refused", 0, "withdrawn");
		return;
	}
	if ((rc = work_judge(w, now, &e)) == -1) {
		work_skip(w, &e);
		return;
	}
	if (rc == 1 || supersede_by(w) == 1)
		return;
	if (w->job->request.held) {
		work_hold(w);
		return;
	}
	work_place(w, WORK_READY);
	if (w->maker->asking < ASKER_WINDOW)
		work_ask(w);
	else
		work_drop_job(w);
}

static void
work_resume(struct work *w, const struct stamp *now)
{
	struct err e = ERR_INIT;
	int rc = 0;

	/* A voucher that waits for its log stays as it came. */
	if (w->job == NULL)
		rc = work_judge(w, now, &e);
	if (rc == -1)
		work_skip(w, &e);
	else if (rc == 0 && w->job->request.held)
		work_hold(w);
	else if (rc == 0)
		work_ask(w);
}

static struct work *
next_ready(struct asker *a)
{
	for (size_t i = 0; i < a->masa->conf.vendors.n; i++) {
		struct maker *k = &a->makers[i];

		if (k->asking < ASKER_WINDOW && !TAILQ_EMPTY(&k->ready))
			return TAILQ_FIRST(&k->ready);
	}
	return NULL;
}

/* One case a turn, so that sites and commands get theirs between. */
static void
asker_turn(void *arg)
{
	struct asker *a = arg;
	struct service *s = &a->masa->service;
	struct stamp now = clock_now();
	struct err e = ERR_INIT;
	struct work *w;

	a->posted = false;
	if (a->late || s->failed || !asker_can_see(a, &now))
		return;
	if (a->n_fresh < ASKER_AHEAD &&
	    ledger_list_open(s->ledger, a->seen + 1, ASKER_AHEAD - a->n_fresh,
		take_up, a, &e) == -1) {
		service_give_up(s, "ledger.damaged", &e);
		return;
	}
	if ((w = TAILQ_FIRST(&a->fresh)) != NULL)
		work_look(w, &now);
	else if ((w = next_ready(a)) != NULL)
		work_resume(w, &now);
	else
		return;
	asker_wake(a);
}

/* ---- what it is told --------------------------------------------------- */

/* One that is no longer sound has its cases parked as their turn comes. */
void
asker_standing(struct asker *a, const char *site)
{
	struct work *w;

	if (!service_sound(&a->masa->service, site))
		return;
	TAILQ_FOREACH(w, &a->all, all)
	if (w->stage == WORK_PARKED && strcmp(w->entry.site, site) == 0)
		work_place(w, WORK_FRESH);
	asker_wake(a);
}

/* One that is with the ledger learns it there. */
void
asker_withdrawn(struct asker *a, uint64_t id)
{
	struct work *w;

	TAILQ_FOREACH(w, &a->all, all)
	if (w->id == id)
		break;
	if (w == NULL)
		return;
	w->withdrawn = true;
	if (w->stage != WORK_SETTLING && w->stage != WORK_PARKED)
		work_refuse(w, "refused", 0, "withdrawn");
}

/* ---- what is asked of it ----------------------------------------------- */

void
asker_count(const struct asker *a, struct asker_counts *ret)
{
	const struct work *w;

	*ret = (struct asker_counts){ 0, 0 };
	TAILQ_FOREACH(w, &a->all, all)
	if (w->stage == WORK_ASKING)
		ret->asking++;
	else
		ret->waiting++;
}

void
asker_list(const struct asker *a, json_t *ret)
{
	char id[ENTRY_ID_TEXT];
	const struct work *w;

	TAILQ_FOREACH(w, &a->all, all)
	{
		if (json_array_size(ret) == LIST_MAX)
			return;
		json_array_append_new(ret,
		    json_pack("{s:I, s:s, s:s, s:s, s:s, s:i, s:b, s:s}",
			"case", (json_int_t)w->id, "site", w->entry.site,
			"entry",
			entry_id_format(id, w->entry.epoch, w->entry.id),
			"device", w->serial, "vendor",
			w->maker != NULL ? w->maker->conf->name : "", "tries",
			(int)w->tries, "asking", w->stage == WORK_ASKING, "why",
			w->why));
	}
}

/* ---- its life ---------------------------------------------------------- */

static int
open_makers(struct asker *a, struct err *e)
{
	const struct masa *m = a->masa;
	const struct masa_vendor *v = m->conf.vendors.v;

	for (size_t i = 0; i < m->conf.vendors.n; i++) {
		struct maker *k = &a->makers[i];
		struct fetcher_conf c = {
			.client = m->client,
			.anchors = buf_bytes(&m->anchors[i]),
			.walled =
			    v[i].allow_private ? NULL : address_is_private,
			.timeout_ms = (unsigned)m->conf.masa.timeout,
			.connections = ASKER_WINDOW,
		};

		k->conf = &v[i];
		TAILQ_INIT(&k->ready);
		TAILQ_INIT(&k->late);
		if ((k->fetcher = fetcher_new(m->service.loop, &c, e)) == NULL)
			return -1;
	}
	return 0;
}

int
asker_open(struct masa *m, struct asker **ret, struct err *e)
{
	struct asker *a = xcalloc(1, sizeof(*a));

	a->masa = m;
	a->makers = xcalloc(m->conf.vendors.n + 1, sizeof(*a->makers));
	TAILQ_INIT(&a->all);
	TAILQ_INIT(&a->fresh);
	a->retry = timer_new(m->service.loop, asker_retry, a);
	if (open_makers(a, e) == -1) {
		asker_free(a);
		return -1;
	}
	asker_wake(a);
	*ret = a;
	return 0;
}

void
asker_free(struct asker *a)
{
	if (a == NULL)
		return;
	while (!TAILQ_EMPTY(&a->all))
		work_free(TAILQ_FIRST(&a->all));
	for (size_t i = 0; i < a->masa->conf.vendors.n; i++)
		fetcher_free(a->makers[i].fetcher);
	free(a->makers);
	timer_free(a->retry);
	free(a);
}
