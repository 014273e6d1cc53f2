#include "registrar/vwatch.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "registrar/ending.h"
#include "registrar/vjudge.h"

struct verdict {
	struct registrar *r;
	struct outbox_move move;
	struct outbox_note note;
	char text[200];
	struct buf answer;
	struct bytes answers[1];
};

static void
verdict_free(struct verdict *v)
{
	buf_done(&v->answer);
	free(v);
}

static void
verdict_moved(struct outbox_move *m, const struct err *e)
{
	if (e != NULL)
		log_err(LOG_ERROR, "voucher.not-moved", e, NULL);
	verdict_free(m->user);
}

static void
verdict_noted(struct outbox_note *n, const struct err *e)
{
	if (e != NULL)
		log_err(LOG_ERROR, "voucher.not-noted", e, NULL);
	verdict_free(n->user);
}

/* The MASA's answer is kept beside what the device is told. */
static void
verdict_withhold(struct verdict *v, const struct outbox_entry *en,
    const struct vjudge *j, struct bytes answer)
{
	str_copy(v->text, sizeof(v->text), j->reason);
	log_event(LOG_WARN, "voucher.withheld", "device", "%s", en->label,
	    "reason", "%s", j->reason, NULL);
	ending_voucher(ending_status(answer), j->reason, &v->answer);
	v->answers[0] = buf_bytes(&v->answer);
	v->move = (struct outbox_move){ .event = ENTRY_EV_WITHDRAW,
		.ids = { en->id },
		.n = 1,
		.who = "registrar",
		.reason = v->text,
		.answers = v->answers,
		.user = v };
	outbox_move(
	    v->r->outbox, &v->move, verdict_moved, loop_poster(v->r->loops[0]));
}

static void
verdict_keep(struct registrar *r, const struct outbox_entry *en,
    const struct vjudge *j, struct bytes answer)
{
	struct verdict *v = xcalloc(1, sizeof(*v));

	v->r = r;
	if (j->withhold) {
		verdict_withhold(v, en, j, answer);
		return;
	}
	snprintf(v->text, sizeof(v->text), "audit log %s%s%s",
	    j->log_known ? "clean" : "unknown",
	    j->nonceless ? ", nonceless" : "",
	    j->truncated ? ", truncated" : "");
	v->note = (struct outbox_note){ .id = en->id,
		.event = "judged",
		.who = "registrar",
		.detail = v->text,
		.user = v };
	outbox_note(
	    r->outbox, &v->note, verdict_noted, loop_poster(r->loops[0]));
}

/* The request says what the voucher must say. */
static int
verdict_of(struct registrar *r, const struct outbox_octets *x,
    struct bytes answer, struct vjudge *ret, struct err *e)
{
	const struct fact *vendor = facts_get(&x->facts, "vendor");
	bool ours = facts_get(&x->facts, "prefetch") != NULL;
	struct cms_signed cms = { 0 };
	struct vch_request request = { 0 };
	int rc = -1;

	if (vendor == NULL)
		return err_set(e, ERR_LOCAL, "voucher: no vendor is known");
	if (cms_open(buf_bytes(&x->bytes), NULL, &cms, e) == 0 &&
	    vch_request_parse(buf_bytes(&cms.content), &request, e) == 0)
		rc = vjudge_answer(r, answer, &request,
		    ours ? NULL : cms.signer, vendor->value, ret, e);
	vch_request_done(&request);
	cms_signed_done(&cms);
	return rc;
}

static void
vwatch_judge(struct registrar *r, uint64_t id)
{
	struct outbox_entry en;
	struct outbox_octets x = { 0 };
	struct buf answer AUTO_BUF = { 0 };
	struct vjudge j = { 0 };
	struct err e = ERR_INIT;

	if (outbox_get(r->outbox, id, &en, &e) != 1 || en.kind != ENTRY_VOUCHER)
		return;
	if (outbox_octets(r->outbox, id, &x, &e) == -1 ||
	    outbox_answer(r->outbox, &en, &answer, &e) == -1 ||
	    verdict_of(r, &x, buf_bytes(&answer), &j, &e) == -1)
		log_err(LOG_ALARM, "voucher.not-judged", &e, "device", "%s",
		    en.label, NULL);
	else
		verdict_keep(r, &en, &j, buf_bytes(&answer));
	outbox_octets_done(&x);
}

static void
vwatch_moved(
    void *arg, uint64_t id, const struct digest *row, enum entry_state state)
{
	(void)row;
	if (state == ENTRY_ANSWERED)
		vwatch_judge(arg, id);
}

void
vwatch_open(struct registrar *r, struct loop *l)
{
	outbox_watch(r->outbox, vwatch_moved, r, loop_poster(l));
}
