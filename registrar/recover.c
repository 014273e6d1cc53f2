/*
 * A service that was put back to an older copy of its ledger, and asks for it
 * in its WELCOME, is told what it forgot: every entry of its kinds that had
 * left, in the order of ids, with the answer that we hold; then how many of its
 * batches we have (GOT), then HELLO.  Nothing else passes meanwhile.
 *
 * At most a window of EVIDENCE is out, and as much is in memory.  After a cut it
 * goes on where it was, if the service still knows that far.
 */
#include "registrar/carry_int.h"

#include <string.h>
#include "common/base/log.h"

static void recover_fill(void *arg);

/* ---- how far it got --------------------------------------------------- */

/* It is the same ledger as before the cut if it knows an id that only our
 * evidence can have told it.  Put back once more, it would not. */
static bool
recover_goes_on(const struct recovery *v, const struct frame_hello *h)
{
	return memcmp(v->epoch, h->service_epoch, ENTRY_EPOCH_LEN) == 0 &&
	    v->told >= v->outset && h->site_next_id > v->told;
}

void
recover_begin(struct session *s, const struct frame_hello *h)
{
	struct recovery *v = carry_recovery(s->conn->carry, s->service);
	struct recover *x = &s->recover;

	if (!recover_goes_on(v, h)) {
		memcpy(v->epoch, h->service_epoch, ENTRY_EPOCH_LEN);
		v->outset = h->site_next_id;
		v->told = v->next_told = 0;
		v->acks = 0;
	}
	if (s->window == 0)
		s->window = 1;
	*x = (struct recover){
		.on = true, .next = v->told + 1, .timer = x->timer
	};
	log_event(LOG_WARN, "link.recovery", "service", "%s", s->service->name,
	    "from", "%llu", (unsigned long long)x->next, NULL);
	recover_fill(s);
}

void
recover_stop(struct session *s)
{
	s->recover = (struct recover){ .timer = s->recover.timer };
	timer_clear(s->recover.timer);
}

void
recover_forget(struct recovery *v)
{
	*v = (struct recovery){ .alarmed = v->alarmed };
}

/*
 * Up to here all are acknowledged.  What is remembered for after a cut lags a
 * window behind: an older copy of the ledger made in mid-recovery may lack any
 * of the last window, but none before it.
 */
static void
recover_note(struct session *s)
{
	struct recovery *v = carry_recovery(s->conn->carry, s->service);
	struct recover *x = &s->recover;
	uint64_t low = x->next - 1;

	for (size_t i = 0; i < x->n; i++)
		if (x->out[i].id <= low)
			low = x->out[i].id - 1;
	if (++v->acks % SESSION_WINDOW != 0)
		return;
	v->told = v->next_told;
	v->next_told = low;
}

/* ---- evidence --------------------------------------------------------- */

struct page {
	unsigned kinds; /* that the service answers */
	size_t n;
	struct outbox_entry v[SESSION_WINDOW];
};

static void
recover_add(const struct outbox_entry *en, void *arg)
{
	struct page *p = arg;

	if ((p->kinds & (1U << en->route)) != 0)
		p->v[p->n++] = *en;
}

/* The service's answer, as far as there is one; ours is no evidence. */
static int
recover_answer(struct outbox *o, const struct outbox_entry *en, struct buf *ret,
    struct err *e)
{
	if (en->late_value != 0)
		return outbox_late(o, en, ret, e);
	if (en->answer_value == 0 || en->state == ENTRY_WITHDRAWN)
		return 0;
	return outbox_answer(o, en, ret, e);
}

static void
recover_send(struct session *s, const struct outbox_entry *en,
    const struct outbox_octets *o, struct bytes answer)
{
	struct recover *x = &s->recover;
	struct buf out AUTO_BUF = { 0 };
	struct frame_evidence ev = {
		.header = buf_bytes(&o->header),
		.octets =
		    buf_bytes(o->wrapped.len > 0 ? &o->wrapped : &o->bytes),
		.sig = buf_bytes(&o->sig),
		.state = en->state,
		.answer = answer,
	};

	x->out[x->n].tag = session_tag(s);
	x->out[x->n].id = en->id;
	frame_evidence(x->out[x->n++].tag, &ev, &out);
	carry_send(s->conn, buf_bytes(&out));
}

/* What was pruned or is damaged proves nothing any more. */
static void
recover_tell(struct session *s, const struct outbox_entry *en)
{
	struct outbox *o = session_registrar(s)->outbox;
	struct outbox_octets octets = { 0 };
	struct buf answer AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (en->pruned)
		return;
	if (outbox_octets(o, en->id, &octets, &e) == -1 ||
	    recover_answer(o, en, &answer, &e) == -1)
		session_alarm(s, "queue.unreadable", &e);
	else
		recover_send(s, en, &octets, buf_bytes(&answer));
	outbox_octets_done(&octets);
}

/* All was told and heard. */
static void
recover_got(struct session *s)
{
	struct buf out AUTO_BUF = { 0 };

	s->recover.got_tag = session_tag(s);
	frame_got(
	    s->recover.got_tag, session_registrar(s)->conf.site, s->seq, &out);
	carry_send(s->conn, buf_bytes(&out));
}

static unsigned
recover_states(void)
{
	unsigned mask = 0;

	for (enum entry_state i = 0; i < ENTRY_STATE__MAX; i++)
		if (frame_evidence_state(i))
			mask |= 1U << i;
	return mask;
}

static void
recover_page(struct session *s, const struct page *p, uint64_t next)
{
	struct recover *x = &s->recover;

	for (size_t i = 0; i < p->n; i++)
		recover_tell(s, &p->v[i]);
	x->end = next == 0;
	if (!x->end)
		x->next = next;
	if (x->end && x->n == 0)
		recover_got(s);
	else if (!x->end && x->n == 0)
		timer_set(x->timer, 1); /* none of them could be read */
}

static void
recover_fill(void *arg)
{
	struct session *s = arg;
	struct recover *x = &s->recover;
	struct outbox_filter f = { .left = true };
	struct page *p;
	struct err e = ERR_INIT;
	uint64_t next;

	if (!x->on || x->end || x->n >= s->window)
		return;
	p = xcalloc(1, sizeof(*p));
	/* The trail's head it will hear again. */
	p->kinds = s->service->kinds & ~(1U << ENTRY_AUDIT);
	f.kinds = p->kinds | 1U << ENTRY_WITHDRAW;
	f.states = recover_states();
	if (outbox_select(session_registrar(s)->outbox, &f, x->next,
		s->window - x->n, recover_add, p, &next, &e) == 0) {
		recover_page(s, p, next);
	} else {
		session_alarm(s, "link.recovery-failed", &e);
		session_later(s);
	}
	free(p);
}

/* ---- what comes back -------------------------------------------------- */

static bool
recover_take(struct recover *x, uint64_t tag)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->out[i].tag == tag) {
			x->out[i] = x->out[--x->n];
			return true;
		}
	return false;
}

/* Whose next batch is counted from where we are. */
struct meeting {
	struct carry *carry;
	uint64_t conn;
	struct outbox_meet meet;
};

static void
recover_met(struct outbox_meet *m, const struct err *e)
{
	struct meeting *g = m->user;
	struct carry_conn *k = carry_find(g->carry, g->conn);

	free(g);
	if (e != NULL)
		log_err(LOG_ERROR, "link.recovery-failed", e, NULL);
	if (k != NULL && k->session.recover.on)
		session_restart(&k->session);
}

/* Its ledger may be another than the one whose batches we know. */
static void
recover_over(struct session *s)
{
	struct meeting *g = xcalloc(1, sizeof(*g));

	log_event(LOG_INFO, "link.recovered", "service", "%s", s->service->name,
	    "seq", "%llu", (unsigned long long)s->seq, NULL);
	recover_forget(carry_recovery(s->conn->carry, s->service));
	g->carry = s->conn->carry;
	g->conn = s->conn->number;
	g->meet.service = s->service->name;
	memcpy(g->meet.epoch, s->service_epoch, ENTRY_EPOCH_LEN);
	g->meet.user = g;
	outbox_meet(session_registrar(s)->outbox, &g->meet, recover_met,
	    loop_poster(s->conn->carry->loop));
}

void
recover_ping(struct session *s, uint64_t tag)
{
	struct recover *x = &s->recover;

	if (!x->on)
		return;
	if (x->got_tag != 0 && tag == x->got_tag) {
		recover_over(s);
		return;
	}
	if (!recover_take(x, tag))
		return;
	recover_note(s);
	if (x->end && x->n == 0)
		recover_got(s);
	else
		recover_fill(s);
}

bool
recover_nack(struct session *s, uint64_t tag)
{
	struct recover *x = &s->recover;

	if (!x->on ||
	    !((x->got_tag != 0 && tag == x->got_tag) || recover_take(x, tag)))
		return false;
	recover_stop(s); /* HELLO takes it up where it was */
	return true;
}

void
recover_open(struct session *s)
{
	s->recover.timer = timer_new(s->conn->carry->loop, recover_fill, s);
}

void
recover_close(struct session *s)
{
	timer_free(s->recover.timer);
}
