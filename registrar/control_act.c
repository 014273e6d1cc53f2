/* POST /v1/queue/hold, release, withdraw, expire: what people decide about
 * entries.  In portions; who they are stands in the audit trail. */
#include <string.h>

#include "registrar/control_json.h"
#include "registrar/control_queue.h"
#include "registrar/ending.h"

#define ACT_IDS	    LIMIT_CONTROL_LIST
#define ACT_PORTION 32
#define REASON_MAX  160

struct act;

struct verb {
	enum entry_event event; /* ENTRY_EV__MAX: hold and release */
	bool hold;
	size_t portion;
	void (*submit)(struct act *a);
};

/* One command, answered when the last portion is committed. */
struct act {
	struct registrar *r;
	struct https_req *q;
	const struct verb *verb;
	char who[32], why[REASON_MAX];
	uint64_t *ids;
	size_t n, at;	  /* all of them; of those that were submitted */
	size_t under_way; /* the portion that is being committed */
	json_t *done, *refused;
	struct outbox_hold hold;
	struct outbox_move move;
	struct outbox_withdraw withdraw;
	struct buf answers[ACT_PORTION];
	struct bytes borrowed[ACT_PORTION];
};

static void
act_free(struct act *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < ACT_PORTION; i++)
		buf_done(&a->answers[i]);
	json_decref(a->done);
	json_decref(a->refused);
	free(a->ids);
	free(a);
}
AUTO_DEFINE(act, struct act, act_free);

static void
act_refuse(struct act *a, json_t *id, const char *why)
{
	json_array_append_new(a->refused,
	    json_pack("{s:o, s:o}", "id", id, "error", json_text(why)));
}

/* ---- why not ----------------------------------------------------------- */

static bool
act_has_left(const struct outbox_entry *en)
{
	return en->state != ENTRY_RECEIVED && en->state != ENTRY_QUEUED;
}

/* As it stands after the refusal: nobody else says. */
static void
act_reason(
    const struct act *a, const struct outbox_entry *en, char *ret, size_t size)
{
	enum entry_event ev = a->verb->event;

	if (entry_terminal(en->state) || en->state >= ENTRY_DELIVERED)
		snprintf(ret, size, "it is %s", entry_state_name(en->state));
	else if (ev == ENTRY_EV_WITHDRAW)
		snprintf(ret, size, "it is %s, and cannot be given up now",
		    entry_state_name(en->state));
	else if (act_has_left(en))
		snprintf(ret, size,
		    "it is %s: it has left, and only its service ends it "
		    "(or withdraw it)",
		    entry_state_name(en->state));
	else if (ev == ENTRY_EV_EXPIRE && en->held)
		snprintf(ret, size, "it is held");
	else if (ev == ENTRY_EV_EXPIRE && clock_judge_time() == 0)
		snprintf(ret, size, "the clock is not to be believed");
	else
		snprintf(ret, size, "it has just changed: try again");
}

static void
act_refused(struct act *a, uint64_t id)
{
	struct outbox_entry en;
	struct err e = ERR_INIT;
	int found = outbox_get(a->r->outbox, id, &en, &e);

	if (found == 1)
		act_reason(a, &en, e.msg, sizeof(e.msg));
	else if (found == 0)
		err_set(&e, ERR_INPUT, "there is none");
	act_refuse(a, json_id(a->r, id), e.msg);
}

/* ---- portions ---------------------------------------------------------- */

static void
act_end(struct act *a)
{
	control_json(a->q, 200,
	    json_pack("{s:O, s:O}", "done", a->done, "refused", a->refused));
	act_free(a);
}

static void
act_next(struct act *a)
{
	size_t left = a->n - a->at;

	if (left == 0) {
		act_end(a);
		return;
	}
	a->under_way = left < a->verb->portion ? left : a->verb->portion;
	a->verb->submit(a);
}

static void
act_committed(struct act *a, const bool *moved, const struct err *e)
{
	const uint64_t *ids = a->ids + a->at;

	for (size_t i = 0; i < a->under_way; i++) {
		buf_reset(&a->answers[i]);
		if (e != NULL)
			act_refuse(a, json_id(a->r, ids[i]), e->msg);
		else if (moved[i])
			json_array_append_new(a->done, json_id(a->r, ids[i]));
		else
			act_refused(a, ids[i]);
	}
	a->at += a->under_way;
	act_next(a);
}

/* ---- what is done ------------------------------------------------------ */

static void
act_held(struct outbox_hold *h, const struct err *e)
{
	act_committed(h->user, h->moved, e);
}

static void
act_hold(struct act *a)
{
	a->hold = (struct outbox_hold){ .n = a->under_way,
		.hold = a->verb->hold,
		.who = a->who,
		.why = a->why,
		.user = a };
	memcpy(a->hold.ids, a->ids + a->at, a->under_way * sizeof(*a->ids));
	outbox_hold(
	    a->r->outbox, &a->hold, act_held, loop_poster(https_loop(a->q)));
}

/* What the device is told; nothing if its request cannot be read, or is not
 * there at all. */
static void
act_answer(struct act *a, size_t i, enum entry_state end)
{
	struct outbox_entry en;
	struct err e = ERR_INIT;

	if (outbox_get(a->r->outbox, a->ids[a->at + i], &en, &e) != 1 ||
	    ending_answer(a->r, &en, end, a->why, &a->answers[i], &e) == -1)
		buf_reset(&a->answers[i]);
	a->borrowed[i] = buf_bytes(&a->answers[i]);
}

static void
act_moved(struct outbox_move *m, const struct err *e)
{
	act_committed(m->user, m->moved, e);
}

static void
act_expire(struct act *a)
{
	a->move = (struct outbox_move){ .event = a->verb->event,
		.n = a->under_way,
		.who = a->who,
		.reason = a->why,
		.answers = a->borrowed,
		.user = a };
	memcpy(a->move.ids, a->ids + a->at, a->under_way * sizeof(*a->ids));
	for (size_t i = 0; i < a->under_way; i++)
		act_answer(a, i, ENTRY_EXPIRED);
	outbox_move(
	    a->r->outbox, &a->move, act_moved, loop_poster(https_loop(a->q)));
}

static void
act_withdrawn(struct outbox_withdraw *w, const struct err *e)
{
	act_committed(w->user, &w->withdrawn, e);
}

static void
act_withdraw(struct act *a)
{
	act_answer(a, 0, ENTRY_WITHDRAWN);
	a->withdraw = (struct outbox_withdraw){ .id = a->ids[a->at],
		.who = a->who,
		.why = a->why,
		.answer = a->borrowed[0],
		.user = a };
	outbox_withdraw(a->r->outbox, &a->withdraw, act_withdrawn,
	    loop_poster(https_loop(a->q)));
}

/* ---- commands ---------------------------------------------------------- */

/* Nobody gives up the giving up: the service must hear of it. */
static bool
act_must_go_on(const struct act *a, uint64_t id)
{
	struct outbox_entry en;
	struct err e = ERR_INIT;

	return a->verb->event != ENTRY_EV__MAX &&
	    outbox_get(a->r->outbox, id, &en, &e) == 1 &&
	    en.kind == ENTRY_WITHDRAW && !entry_terminal(en.state);
}

static void
act_id(struct act *a, const char *text)
{
	struct err e = ERR_INIT;
	uint64_t id;

	if (entry_id_parse(text, outbox_epoch(a->r->outbox), &id, &e) == -1)
		act_refuse(a, json_string(text), e.msg);
	else if (act_must_go_on(a, id))
		act_refuse(a, json_id(a->r, id), "it gives up another");
	else
		a->ids[a->n++] = id;
}

/* An id that cannot be one is refused like one that is not there. */
static int
act_ids(struct act *a, const json_t *ids, struct err *e)
{
	size_t n = json_array_size(ids);

	if (n < 1 || n > ACT_IDS)
		return err_set(e, ERR_INPUT, "ids: 1 to %d of them", ACT_IDS);
	a->ids = xcalloc(n, sizeof(*a->ids));
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(ids, i));

		if (text == NULL)
			return err_set(e, ERR_INPUT, "ids: one is no text");
		act_id(a, text);
	}
	return 0;
}

static int
act_read(struct act *a, const json_t *in, struct err *e)
{
	const char *why;
	json_t *ids;

	if (json_unpack((json_t *)in, "{s:o, s:s}", "ids", &ids, "reason",
		&why) == -1 ||
	    why[0] == '\0')
		return err_set(
		    e, ERR_INPUT, "wanted: {\"ids\": [...], \"reason\": TEXT}");
	entry_text(a->why, sizeof(a->why), why);
	return act_ids(a, ids, e);
}

static void
act_start(struct registrar *r, struct https_req *q, const struct verb *verb)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = json_parse(https_body(q), CONTROL_BODY_MAX, &e);
	AUTO(act) a = xcalloc(1, sizeof(*a));

	a->r = r;
	a->q = q;
	a->verb = verb;
	a->done = json_array();
	a->refused = json_array();
	control_who(q, a->who, sizeof(a->who));
	if (in == NULL || act_read(a, in, &e) == -1)
		control_error(q, 400, &e);
	else
		act_next(STEAL(a));
}

void
queue_hold(struct registrar *r, struct https_req *q, const char *rest)
{
	static const struct verb hold = { ENTRY_EV__MAX, true, ACT_PORTION,
		act_hold };

	(void)rest;
	act_start(r, q, &hold);
}

void
queue_release(struct registrar *r, struct https_req *q, const char *rest)
{
	static const struct verb release = { ENTRY_EV__MAX, false, ACT_PORTION,
		act_hold };

	(void)rest;
	act_start(r, q, &release);
}

void
queue_withdraw(struct registrar *r, struct https_req *q, const char *rest)
{
	static const struct verb withdraw = { ENTRY_EV_WITHDRAW, false, 1,
		act_withdraw };

	(void)rest;
	act_start(r, q, &withdraw);
}

void
queue_expire(struct registrar *r, struct https_req *q, const char *rest)
{
	static const struct verb expire = { ENTRY_EV_EXPIRE, false, ACT_PORTION,
		act_expire };

	(void)rest;
	act_start(r, q, &expire);
}
