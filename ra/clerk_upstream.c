/*
 * Cases that an upstream decides (ca.kind: cmp).  The intent holds the very
 * octets that are sent (in place of a TBS), and to whom (in place of the
 * certificate around it).  From its commit on the upstream may have them.
 */
#include "ra/clerk_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "ra/upstream.h"

static const struct upstream_told told_case;

/* ---- the window -------------------------------------------------------- */

/* What waits for days keeps nobody from being asked meanwhile. */
static void
on_waits(void *arg)
{
	struct work *w = arg;
	struct clerk *c = w->clerk;

	if (c->slow >= CLERK_SLOW)
		return;
	w->slow = true;
	c->slow++;
	c->busy--;
	c->n--;
	clerk_wake(c);
}

void
work_unslow(struct work *w)
{
	if (!w->slow)
		return;
	w->slow = false;
	w->clerk->slow--;
	w->clerk->busy++;
	w->clerk->n++;
}

/* ---- intents ----------------------------------------------------------- */

bool
work_is_upstreams(const struct work *w)
{
	/* A certificate begins with SEQUENCE, a URL does not. */
	return w->unsigned_cert.len > 0 && w->unsigned_cert.data[0] != 0x30;
}

int
work_upstream_build(struct work *w, struct err *e)
{
	const struct ra *r = w->clerk->ra;

	w->serial[0] = '\0';
	buf_add_str(&w->unsigned_cert, r->conf.ca.upstream.url);
	return upstream_wrap(r->upstream, w->m, &w->tbs, e);
}

/* ---- unknown ----------------------------------------------------------- */

static void
doubted(void *arg, const struct err *failed)
{
	struct ledger_doubt *x = arg;
	struct work *w = x->user;

	if (failed != NULL) {
		work_stall(w, failed);
		return;
	}
	log_event(LOG_ALARM, "case.unknown", "case", "%llu",
	    (unsigned long long)w->is.id, "site", "%s", w->is.site, "device",
	    "%s", w->v.serial, "reason", "%s", w->reason, "do", "%s",
	    "waybill ra resolve", NULL);
	work_end(w);
}

void
work_doubt(struct work *w, const char *why)
{
	entry_text(w->reason, sizeof(w->reason), why);
	w->doubt = (struct ledger_doubt){
		.id = w->is.id, .why = w->reason, .user = w
	};
	work_busy(w);
	ledger_doubt(w->clerk->ra->service.ledger, &w->doubt, doubted,
	    loop_poster(w->clerk->ra->service.loop));
}

/* ---- how far it has come ----------------------------------------------- */

static void
kept(void *arg, const struct err *failed)
{
	struct ledger_progress *x = arg;
	struct work *w = x->user;

	/* Without it a restart does not know; with us it goes on. */
	if (failed != NULL)
		log_err(LOG_ALARM, "upstream.not-kept", failed, "case", "%llu",
		    (unsigned long long)w->is.id, NULL);
	upstream_go_on(w->ask);
}

static void
on_progress(void *arg, struct bytes progress)
{
	struct work *w = arg;

	buf_reset(&w->progress);
	buf_add(&w->progress, progress.p, progress.len);
	w->keep = (struct ledger_progress){
		.id = w->is.id, .octets = buf_bytes(&w->progress), .user = w
	};
	ledger_progress(w->clerk->ra->service.ledger, &w->keep, kept,
	    loop_poster(w->clerk->ra->service.loop));
}

/* ---- asking ------------------------------------------------------------ */

static int
ask_upstream(struct work *w, const struct upstream_told *told, struct err *e)
{
	char name[ENTRY_ID_TEXT];
	struct upstream_question q = {
		.name = entry_id_format(name, w->h.epoch, w->h.id),
		.request = w->m,
		.octets = buf_bytes(&w->tbs),
		.progress = buf_bytes(&w->progress),
	};

	return upstream_ask(w->clerk->ra->upstream, &q, told, w, &w->ask, e);
}

static void
ask(struct work *w, const struct upstream_told *told)
{
	struct err e = ERR_INIT;

	work_busy(w);
	if (ask_upstream(w, told, &e) == -1) {
		e.kind = ERR_LOCAL; /* it was judged before */
		work_stall(w, &e);
	}
}

void
work_upstream(struct work *w)
{
	ask(w, &told_case);
}

/* What an rr was judged to want, which is not judged again. */
static void
load_revocation(struct work *w)
{
	const struct fact *f = facts_get(&w->v.facts, "signer.case");
	struct cmp_revocation rr;
	struct err no = ERR_INIT;
	uint64_t id;

	if (cmp_body(w->m) != CMP_RR || cmp_read_rr(w->m, &rr, &no) == -1 ||
	    f == NULL || f->level != FACT_END_TO_END ||
	    number_parse(f->value, 1, INT64_MAX, &id, &no) == -1)
		return;
	w->v.signer_case = id;
	w->v.reason = rr.reason;
}

/* It had said "waiting", or was being told that its certificate has come. */
static void
go_on(struct work *w)
{
	struct err e = ERR_INIT;

	work_busy(w);
	if (ask_upstream(w, &told_case, &e) == -1)
		work_doubt(w, e.msg);
	else
		on_waits(w);
}

void
work_upstream_resume(struct work *w)
{
	const struct ra *r = w->clerk->ra;

	load_revocation(w);
	if (!work_is_upstreams(w))
		work_doubt(w, "it was meant for a CA of our own");
	else if (w->progress.len > 0)
		go_on(w);
	else if (upstream_repeats(r->upstream) &&
	    strcmp(buf_cstr(&w->unsigned_cert), r->conf.ca.upstream.url) == 0)
		work_upstream(w);
	else
		work_doubt(w, "we ended before the upstream's answer came");
}

static void
on_end(void *arg, const struct upstream_answer *a)
{
	struct work *w = arg;

	w->ask = NULL;
	work_unslow(w);
	switch (a->is) {
	case UPSTREAM_DONE:
		if (a->cert != NULL)
			work_issued(w, a);
		else
			work_revoked(w);
		return;
	case UPSTREAM_REFUSED:
		w->v.in_body = a->in_body;
		work_refuse(w, "refused", a->why);
		return;
	case UPSTREAM_UNKNOWN:
		work_doubt(w, a->why->msg);
		return;
	}
}

static const struct upstream_told told_case = { on_end, on_waits, on_progress };

/* ---- confirmations ----------------------------------------------------- */

static void
on_confirm_end(void *arg, const struct upstream_answer *a)
{
	struct work *w = arg;

	w->ask = NULL;
	work_unslow(w);
	if (a->is == UPSTREAM_DONE) {
		work_confirm(w, w->confirm.parent, &w->confirm.status);
		return;
	}
	log_err(LOG_ALARM, "upstream.not-confirmed", a->why, "case", "%llu",
	    (unsigned long long)w->confirm.parent, "device", "%s", w->v.serial,
	    NULL);
	work_refuse(w, "refused", a->why);
}

static const struct upstream_told told_confirm = { on_confirm_end, on_waits,
	NULL };

void
work_confirm_upstream(struct work *w, uint64_t parent,
    const struct cmp_certconf *c, const struct cmp_msg *answer)
{
	const struct upstream *u = w->clerk->ra->upstream;
	struct err e = ERR_INIT;

	if (u == NULL || !upstream_relays_confirm(u) ||
	    cmp_implicit_confirm(answer)) {
		if (u != NULL && c->status == CMP_REJECTION)
			log_event(LOG_ALARM, "upstream.not-told", "case",
			    "%llu", (unsigned long long)parent, "device", "%s",
			    w->v.serial, "reason", "%s",
			    "the device rejects what was confirmed there",
			    NULL);
		work_confirm(w, parent, c);
		return;
	}
	w->confirm.parent = parent;
	w->confirm.status = *c;
	if (upstream_wrap(u, w->m, &w->tbs, &e) == -1)
		work_stall(w, &e);
	else
		ask(w, &told_confirm);
}
