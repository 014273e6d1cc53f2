/* PUT, PULL, GOT: the registrar's half of schemas/link.cddl, once both sides
 * have said that they are sound. */
#include "registrar/carry_int.h"

#include <string.h>
#include "common/base/log.h"

#define PULL_WAIT     20 /* seconds: also the heartbeat */
#define AGAIN_MS      3000
#define PATIENCE_MS   3600000
#define PULL_GAP_MS   1000 /* between empty answers that came too fast */
#define SESSION_LOOKS 10   /* of the watchdog before it barks */
#define PUSH_PART     4 /* of the window, is free before more is handed out */

struct registrar *
session_registrar(const struct session *s)
{
	return s->conn->carry->r;
}

static const char *
session_name(const struct session *s)
{
	return s->service != NULL ? s->service->name : NULL;
}

uint64_t
session_tag(struct session *s)
{
	return ++s->last_tag;
}

void
session_alarm(const struct session *s, const char *event, const struct err *e)
{
	log_err(LOG_ALARM, event, e, "service", "%s", session_name(s), NULL);
}

/* ---- PULL ------------------------------------------------------------- */

static void
session_pull(struct session *s)
{
	struct buf out AUTO_BUF = { 0 };

	if (!s->ready || s->pull_tag != 0)
		return;
	s->pull_tag = session_tag(s);
	s->pulled_at = clock_mono_ms();
	frame_pull(s->pull_tag, session_registrar(s)->conf.site, s->seq,
	    PULL_WAIT, &out);
	carry_send(s->conn, buf_bytes(&out));
}

static void
session_again(void *arg)
{
	struct session *s = arg;

	if (!s->up || s->recover.on)
		return;
	if (!s->ready) {
		session_hello(s);
		return;
	}
	s->resend = true;
	s->cursor = 0;
	session_pull(s);
	session_push(s);
}

void
session_later(struct session *s)
{
	timer_set(s->again, AGAIN_MS);
}

void
session_begin(struct session *s)
{
	s->ready = true;
	s->resend = true;
	s->cursor = 0;
	s->progress_at = clock_mono_ms();
	contact_link(&s->service->contact, true, clock_mono_ms());
	log_event(LOG_INFO, "link.ready", "service", "%s", s->service->name,
	    "window", "%zu", s->window, "seq", "%llu",
	    (unsigned long long)s->seq, NULL);
	session_pull(s);
	session_push(s);
	reference_ask_begin(s->ask);
}

/* ---- PUT -------------------------------------------------------------- */

struct handout {
	struct carry *carry;
	uint64_t conn;
	struct outbox_move move;
};

static int
session_put(struct session *s, uint64_t id, struct err *e)
{
	struct outbox_octets x = { 0 };
	struct buf out AUTO_BUF = { 0 };
	int rc = outbox_octets(session_registrar(s)->outbox, id, &x, e);

	if (rc == 0) {
		s->puts[s->n_puts] = session_tag(s);
		frame_put(s->puts[s->n_puts++], buf_bytes(&x.header),
		    x.wrapped.len > 0 ? buf_bytes(&x.wrapped)
				      : buf_bytes(&x.bytes),
		    buf_bytes(&x.sig), &out);
		carry_send(s->conn, buf_bytes(&out));
	}
	outbox_octets_done(&x);
	return rc;
}

/* Rule 2: "in flight" is on disk; only now the octets go. */
static void
session_handed(struct outbox_move *m, const struct err *e)
{
	struct handout *h = m->user;
	struct carry_conn *k = carry_find(h->carry, h->conn);
	struct err why = ERR_INIT;

	if (k == NULL) {
		free(h);
		return;
	}
	k->session.handing = false;
	if (e != NULL)
		session_alarm(&k->session, "queue.handout-failed", e);
	for (size_t i = 0; e == NULL && i < m->n; i++)
		if (m->moved[i] && k->session.ready &&
		    session_put(&k->session, m->ids[i], &why) == -1)
			session_alarm(&k->session, "queue.unreadable", &why);
	if (e == NULL)
		session_push(&k->session);
	free(h);
}

static size_t
session_pick(struct session *s, uint64_t *ids, size_t room)
{
	struct outbox *o = session_registrar(s)->outbox;
	size_t n = 0;

	if (s->resend) {
		n = outbox_sendable(
		    o, s->service->kinds, s->cursor, true, ids, room);
		if (n > 0)
			s->cursor = ids[n - 1];
		else
			s->resend = false;
	}
	if (n == 0)
		n = outbox_sendable(o, s->service->kinds, 0, false, ids, room);
	return n;
}

void
session_push(struct session *s)
{
	struct handout *h;
	size_t room;

	if (!s->ready || s->handing || s->n_puts >= s->window)
		return;
	room = s->window - s->n_puts;
	/* While most of them are still out, the next ones leave a few at a time:
	 * each hand-out is a commit. */
	if (s->n_puts > 0 && room < s->window / PUSH_PART)
		return;
	h = xcalloc(1, sizeof(*h));
	h->move.n = session_pick(s, h->move.ids, room);
	if (h->move.n == 0) {
		free(h);
		return;
	}
	h->carry = s->conn->carry;
	h->conn = s->conn->number;
	h->move.event = ENTRY_EV_HANDOUT;
	h->move.carrier = "link";
	h->move.who = s->service->name;
	h->move.user = h;
	s->handing = true;
	outbox_move(session_registrar(s)->outbox, &h->move, session_handed,
	    loop_poster(s->conn->carry->loop));
}

static bool
session_take_put(struct session *s, uint64_t tag)
{
	for (size_t i = 0; i < s->n_puts; i++)
		if (s->puts[i] == tag) {
			s->puts[i] = s->puts[--s->n_puts];
			return true;
		}
	return false;
}

/* ---- frames ----------------------------------------------------------- */

/* Other connections may speak for the same service: what this one was given and
 * did not bring home, they offer again.  Whether there is one. */
static bool
session_hand_on(const struct session *s, bool given)
{
	bool any = false;

	for (struct carry_conn *k = s->conn->carry->conns; k != NULL;
	     k = k->next) {
		struct session *o = &k->session;

		if (o == s || o->service != s->service || !o->ready)
			continue;
		any = true;
		if (!given)
			continue;
		o->resend = true;
		o->cursor = 0;
		session_push(o);
	}
	return any;
}

void
session_quiet(struct session *s)
{
	s->ready = s->resend = false;
	s->stale_tag = s->last_tag;
	s->hello_tag = s->pull_tag = 0;
	s->n_puts = 0;
	timer_clear(s->again);
	recover_stop(s);
	reference_ask_stop(s->ask);
	if (s->service != NULL)
		contact_link(&s->service->contact, session_hand_on(s, false),
		    clock_mono_ms());
}

void
session_restart(struct session *s)
{
	session_quiet(s);
	if (s->up)
		session_hello(s);
}

static void
session_link_down(struct session *s)
{
	bool given = s->ready;

	s->up = false;
	session_quiet(s);
	if (s->service != NULL)
		session_hand_on(s, given);
}

static struct service *
session_find_service(const struct session *s, const char *name)
{
	struct registrar *r = session_registrar(s);

	for (size_t i = 0; i < r->n_services; i++)
		if (strcmp(r->services[i].name, name) == 0)
			return &r->services[i];
	return NULL;
}

static int
session_link(struct session *s, const struct frame *f, struct err *e)
{
	struct service *v = session_find_service(s, f->u.link.service);

	if (v == NULL || (s->service != NULL && s->service != v))
		return err_set(e, ERR_INPUT, "link: service %s is not this one",
		    f->u.link.service);
	s->service = v;
	log_event(LOG_INFO, f->u.link.up ? "link.up" : "link.down", "service",
	    "%s", v->name, NULL);
	session_link_down(s);
	s->up = f->u.link.up;
	if (s->up)
		session_hello(s);
	return 0;
}

static void
session_unsolicited(struct session *s, const struct frame *f)
{
	struct err e = ERR_INIT;

	if (f->tag != 0 && f->tag <= s->stale_tag)
		return; /* asked before we began anew */
	err_set(&e, ERR_TRUST, "%s answers nothing that was asked",
	    frame_type_name(f->type));
	session_alarm(s, "carry.unsolicited", &e);
}

static void
session_hello_answered(struct session *s, const struct frame *f)
{
	if (s->hello_tag == 0 || f->tag != s->hello_tag)
		session_unsolicited(s, f);
	else
		session_welcome(s, f);
}

/* A peer may ask for patience, up to an hour, not for haste. */
static uint64_t
session_patience(unsigned retry_after)
{
	uint64_t ms = retry_after * 1000ULL;

	if (ms < AGAIN_MS)
		return AGAIN_MS;
	return ms < PATIENCE_MS ? ms : PATIENCE_MS;
}

static bool
session_take_asked(struct session *s, uint64_t tag)
{
	if (tag == 0)
		return false;
	if (tag == s->hello_tag)
		s->hello_tag = 0;
	else if (tag == s->pull_tag)
		s->pull_tag = 0;
	else if (tag == s->got_tag)
		s->got_tag = 0;
	else
		return session_take_put(s, tag) || recover_nack(s, tag);
	return true;
}

/* Believed as a delay of something that we asked, nothing else.  Whoever does
 * not let us PULL may want to be greeted anew: it may ask for evidence. */
static void
session_nack(struct session *s, const struct frame *f)
{
	bool pull = f->tag != 0 && f->tag == s->pull_tag;
	bool data = reference_ask_nack(s->ask, f->tag);
	struct err e = ERR_INIT;

	if (!data && !session_take_asked(s, f->tag)) {
		session_unsolicited(s, f);
		return;
	}
	err_set(&e, ERR_RETRY, "%s", f->u.nack.reason);
	log_err(
	    LOG_WARN, "link.nack", &e, "service", "%s", session_name(s), NULL);
	if (data)
		return;
	if (pull)
		session_quiet(s);
	timer_set(s->again, session_patience(f->u.nack.retry_after));
}

static void
session_batches(struct session *s, struct bytes octets, struct frame *f)
{
	bool asked = f->type == FRAME_STORED
	    ? session_take_put(s, f->tag)
	    : s->pull_tag != 0 && f->tag == s->pull_tag;

	if (!asked) {
		session_unsolicited(s, f);
		return;
	}
	if (f->type == FRAME_ANSWERS)
		s->pull_tag = 0;
	if (f->u.answers.n > 0)
		session_take(s, octets, f);
	else if (clock_mono_ms() - s->pulled_at < PULL_GAP_MS)
		timer_set(s->again, PULL_GAP_MS);
	else
		session_pull(s);
}

void
session_taken(struct session *s, enum frame_type type)
{
	struct buf out AUTO_BUF = { 0 };

	if (type == FRAME_ANSWERS && s->ready) {
		s->got_tag = session_tag(s);
		frame_got(
		    s->got_tag, session_registrar(s)->conf.site, s->seq, &out);
		carry_send(s->conn, buf_bytes(&out));
		session_pull(s);
	}
	session_push(s);
}

int
session_frame(struct session *s, struct bytes octets, struct err *e)
{
	struct frame f AUTO_FRAME = { 0 };

	if (frame_parse(octets, &f, e) == -1)
		return -1;
	if (s->service == NULL && f.type != FRAME_LINK)
		return err_set(e, ERR_INPUT, "carry: %s before LINK",
		    frame_type_name(f.type));
	switch ((int)f.type) {
	case FRAME_LINK:
		return session_link(s, &f, e);
	case FRAME_WELCOME:
		session_hello_answered(s, &f);
		return 0;
	case FRAME_STORED:
	case FRAME_ANSWERS:
		session_batches(s, octets, &f);
		return 0;
	case FRAME_NACK:
		session_nack(s, &f);
		return 0;
	case FRAME_PING:
		recover_ping(s, f.tag);
		return 0;
	case FRAME_DATA:
		if (!reference_ask_data(s->ask, &f))
			session_unsolicited(s, &f);
		return 0;
	case FRAME_SENT:
		return 0;
	default:
		return err_set(e, ERR_INPUT, "carry: %s is not a forwarder's",
		    frame_type_name(f.type));
	}
}

/* ---- the progress watchdog -------------------------------------------- */

static bool
session_has_backlog(const struct session *s)
{
	uint64_t id;

	return s->n_puts > 0 ||
	    outbox_sendable(session_registrar(s)->outbox, s->service->kinds, 0,
		true, &id, 1) > 0;
}

/* Sound on both sides, something to send, and nothing that a service said has
 * moved anything for so long. */
static void
session_watch(void *arg)
{
	struct session *s = arg;
	uint64_t now = clock_mono_ms(), stall = s->conn->carry->stall_ms;
	struct err e = ERR_INIT;

	timer_set(s->watchdog, stall / SESSION_LOOKS);
	if (!s->ready || !session_has_backlog(s)) {
		s->progress_at = now;
		return;
	}
	if (now - s->progress_at < stall)
		return;
	err_set(&e, ERR_RETRY, "no receipt for %llu s, %zu entries are out",
	    (unsigned long long)((now - s->progress_at) / 1000), s->n_puts);
	session_alarm(s, "link.no-progress", &e);
	session_restart(s);
}

void
session_open(struct session *s, struct carry_conn *k)
{
	s->conn = k;
	s->again = timer_new(k->carry->loop, session_again, s);
	s->watchdog = timer_new(k->carry->loop, session_watch, s);
	timer_set(s->watchdog, k->carry->stall_ms / SESSION_LOOKS);
	recover_open(s);
	s->ask = reference_ask_new(s);
}

void
session_close(struct session *s)
{
	session_link_down(s);
	timer_free(s->again);
	timer_free(s->watchdog);
	recover_close(s);
	reference_ask_free(s->ask);
}
