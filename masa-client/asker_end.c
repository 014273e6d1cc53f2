/* How cases end: with a voucher, or refused. */
#include "masa-client/asker_int.h"

#include "common/base/log.h"
#include "common/base/str.h"
#include "common/service/pulls.h"

#define STALL_MS 5000

static void work_submit(struct work *w);

static void
on_stalled(void *arg)
{
	work_submit(arg);
}

/* No room in the ledger: what is known is kept until there is. */
static void
work_stall(struct work *w, const struct err *e)
{
	struct service *s = &w->asker->masa->service;

	if (e->kind != ERR_RETRY) {
		service_give_up(s, "asker.failed", e);
		return;
	}
	log_err(
	    LOG_ALARM, "asker.stalled", e, "site", "%s", w->entry.site, NULL);
	timer_free(w->timer);
	w->timer = timer_new(s->loop, on_stalled, w);
	timer_set(w->timer, STALL_MS);
}

/* The ledger knows better. */
static void
unsettled(struct work *w, bool withdrawn)
{
	work_drop_job(w);
	if (withdrawn)
		work_refuse(w, "refused", 0, "withdrawn");
	else
		work_place(w, WORK_PARKED);
}

static void
settled(void *arg, const struct err *failed)
{
	struct ledger_settle *x = arg;
	struct work *w = x->user;
	char id[ENTRY_ID_TEXT];

	if (failed != NULL) {
		work_stall(w, failed);
		return;
	}
	if (!x->changed && (x->unsound || x->withdrawn)) {
		unsettled(w, x->withdrawn);
		return;
	}
	if (x->changed) {
		log_event(LOG_INFO, "entry.answered", "site", "%s", x->site,
		    "id", "%s",
		    entry_id_format(id, w->entry.epoch, w->entry.id), "what",
		    "%s", x->event, "device", "%s", w->serial, "reason", "%s",
		    x->reason, NULL);
		pulls_wake(w->asker->masa->service.pulls, x->site);
	}
	work_end(w);
}

static void
work_submit(struct work *w)
{
	struct service *s = &w->asker->masa->service;

	ledger_settle(
	    s->ledger, &w->job->settle, settled, loop_poster(s->loop));
}

static void
work_settle(struct work *w, enum batch_code code, const char *event)
{
	struct job *j = w->job;

	j->settle = (struct ledger_settle){
		.id = w->id,
		.code = code,
		.answer = buf_bytes(&j->out),
		.reason = j->reason,
		.event = event,
		.facts = j->request.facts.n > 0 ? &j->request.facts : NULL,
		.device = w->serial[0] != '\0' ? w->serial : NULL,
		.user = w,
	};
	work_place(w, WORK_SETTLING);
	work_submit(w);
}

void
work_answer(struct work *w)
{
	struct job *j = w->job;
	struct vch_answer a = {
		.status = 200,
		.voucher = buf_bytes(&j->voucher),
		.log_status = j->log_status,
		.log = buf_bytes(&j->log),
	};

	vch_answer_format(&a, &j->out);
	work_settle(w, BATCH_ANSWERED, "voucher");
}

void
work_refuse(
    struct work *w, const char *event, unsigned status, const char *reason)
{
	struct vch_answer a = { .status = status };
	struct buf text AUTO_BUF = { 0 };
	struct job *j;

	if (w->fetch != NULL)
		fetch_cancel(STEAL(w->fetch));
	if (w->timer != NULL)
		timer_clear(w->timer);
	if (w->job == NULL)
		w->job = xcalloc(1, sizeof(*w->job));
	j = w->job;
	buf_reset(&j->out);
	if (status != 0)
		buf_printf(&text, "MASA: %u %s", status, reason);
	else
		buf_add_str(&text, reason);
	entry_text(j->reason, sizeof(j->reason), buf_cstr(&text));
	str_copy(a.reason, sizeof(a.reason), reason);
	vch_answer_format(&a, &j->out);
	work_settle(w, BATCH_REFUSED, event);
}
