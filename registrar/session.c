/* HELLO, PUT, PULL, GOT: the registrar's half of schemas/link.cddl. */
#include "registrar/carry_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"

#define PULL_WAIT   20 /* seconds: also the heartbeat */
#define AGAIN_MS    3000
#define PATIENCE_MS 3600000
#define PULL_GAP_MS 1000 /* between empty answers that came too fast */

static struct registrar *
session_registrar(const struct session *s)
{
	return s->conn->carry->r;
}

static const char *
session_name(const struct session *s)
{
	return s->service != NULL ? s->service->name : NULL;
}

static uint64_t
session_tag(struct session *s)
{
	return ++s->last_tag;
}

static void
session_alarm(const struct session *s, const char *event, const struct err *e)
{
	log_err(LOG_ALARM, event, e, "service", "%s", session_name(s), NULL);
}

/* ---- HELLO, WELCOME --------------------------------------------------- */

static void
session_hello(struct session *s)
{
	struct registrar *r = session_registrar(s);
	struct frame_hello h = { .time = clock_now().time };
	struct outbox_peer peer = { 0 };
	struct outbox_counts counts;
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	str_copy(h.site, sizeof(h.site), r->conf.site);
	str_copy(h.service, sizeof(h.service), s->service->name);
	memcpy(h.site_epoch, outbox_epoch(r->outbox), ENTRY_EPOCH_LEN);
	outbox_count(r->outbox, &counts);
	h.site_next_id = counts.next_id;
	random_bytes(s->nonce, sizeof(s->nonce));
	memcpy(h.nonce, s->nonce, sizeof(s->nonce));
	if (outbox_peer(r->outbox, s->service->name, &peer, &e) == 0) {
		memcpy(h.service_epoch, peer.epoch, ENTRY_EPOCH_LEN);
		h.service_seq = peer.seq;
	}
	s->hello_tag = session_tag(s);
	if (frame_hello(FRAME_HELLO, s->hello_tag, &h, r->signer, &out, &e) ==
	    -1) {
		session_alarm(s, "carry.hello-failed", &e);
		return;
	}
	carry_send(s->conn, buf_bytes(&out));
}

static int
session_check_welcome(const struct session *s, const struct frame *f,
    struct frame_hello *h, struct err *e)
{
	const struct registrar *r = session_registrar(s);

	if (sign_check(s->service->cert, FRAME_HELLO_LABEL, f->u.hello.body,
		f->u.hello.sig, e) == -1 ||
	    frame_hello_parse(f->u.hello.body, h, e) == -1)
		return -1;
	if (memcmp(h->nonce, s->nonce, FRAME_NONCE_LEN) != 0)
		return err_set(e, ERR_TRUST, "welcome: nonce is not ours");
	if (strcmp(h->service, s->service->name) != 0 ||
	    strcmp(h->site, r->conf.site) != 0)
		return err_set(e, ERR_TRUST, "welcome: service %s to site %s",
		    h->service, h->site);
	if (memcmp(h->site_epoch, outbox_epoch(r->outbox), ENTRY_EPOCH_LEN) !=
	    0)
		return err_set(e, ERR_TRUST, "welcome: another epoch of ours");
	return 0;
}

/* Whoever finds the other ahead of its own memory was rolled back (DESIGN 7). */
static void
session_compare(struct session *s, const struct frame_hello *h)
{
	struct outbox_peer peer = { 0 };
	struct outbox_counts counts;
	struct registrar *r = session_registrar(s);
	struct err e = ERR_INIT;

	s->seq = 0;
	if (outbox_peer(r->outbox, s->service->name, &peer, &e) == 0 &&
	    memcmp(peer.epoch, h->service_epoch, ENTRY_EPOCH_LEN) == 0)
		s->seq = peer.seq;
	if (s->seq > h->service_seq) {
		err_set(&e, ERR_DAMAGE,
		    "service remembers batch %llu, we hold %llu",
		    (unsigned long long)h->service_seq,
		    (unsigned long long)s->seq);
		session_alarm(s, "link.service-rolled-back", &e);
	}
	outbox_count(r->outbox, &counts);
	if (h->site_next_id > counts.next_id) {
		err_set(&e, ERR_DAMAGE,
		    "service has seen id %llu, we are at %llu",
		    (unsigned long long)h->site_next_id - 1,
		    (unsigned long long)counts.next_id - 1);
		session_alarm(s, "link.site-rolled-back", &e);
	}
}

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

	if (!s->up)
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

static void
session_unsolicited(struct session *s, const struct frame *f)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_TRUST, "%s answers nothing that was asked",
	    frame_type_name(f->type));
	session_alarm(s, "carry.unsolicited", &e);
}

static void
session_welcome(struct session *s, const struct frame *f)
{
	struct frame_hello h = { 0 };
	struct err e = ERR_INIT;

	if (s->hello_tag == 0 || f->tag != s->hello_tag) {
		session_unsolicited(s, f);
		return;
	}
	s->hello_tag = 0;
	if (session_check_welcome(s, f, &h, &e) == -1) {
		session_alarm(s, "carry.forged", &e);
		session_later(s);
		return;
	}
	memcpy(s->service_epoch, h.service_epoch, ENTRY_EPOCH_LEN);
	session_compare(s, &h);
	s->window = h.credit < SESSION_WINDOW ? h.credit : SESSION_WINDOW;
	s->ready = true;
	s->resend = true;
	s->cursor = 0;
	contact_link(&s->service->contact, true, clock_mono_ms());
	log_event(LOG_INFO, "link.ready", "service", "%s", s->service->name,
	    "window", "%zu", s->window, "seq", "%llu",
	    (unsigned long long)s->seq, NULL);
	session_pull(s);
	session_push(s);
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

static void
session_link_down(struct session *s)
{
	bool given = s->ready;

	s->up = s->ready = s->resend = false;
	s->hello_tag = s->pull_tag = 0;
	s->n_puts = 0;
	timer_clear(s->again);
	if (s->service != NULL)
		contact_link(&s->service->contact,
		    session_hand_on(s, given), clock_mono_ms());
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

/* A peer may ask for patience, up to an hour, not for haste. */
static uint64_t
session_patience(unsigned retry_after)
{
	uint64_t ms = retry_after * 1000ULL;

	if (ms < AGAIN_MS)
		return AGAIN_MS;
	return ms < PATIENCE_MS ? ms : PATIENCE_MS;
}

/* Believed as a delay of something that we asked, nothing else. */
static void
session_nack(struct session *s, const struct frame *f)
{
	struct err e = ERR_INIT;

	if (f->tag != 0 && f->tag == s->hello_tag)
		s->hello_tag = 0;
	else if (f->tag != 0 && f->tag == s->pull_tag)
		s->pull_tag = 0;
	else if (!session_take_put(s, f->tag)) {
		session_unsolicited(s, f);
		return;
	}
	err_set(&e, ERR_RETRY, "%s", f->u.nack.reason);
	log_err(
	    LOG_WARN, "link.nack", &e, "service", "%s", session_name(s), NULL);
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
		frame_got(session_tag(s), session_registrar(s)->conf.site,
		    s->seq, &out);
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
		session_welcome(s, &f);
		return 0;
	case FRAME_STORED:
	case FRAME_ANSWERS:
		session_batches(s, octets, &f);
		return 0;
	case FRAME_NACK:
		session_nack(s, &f);
		return 0;
	case FRAME_SENT:
	case FRAME_PING:
		return 0;
	default:
		return err_set(e, ERR_INPUT, "carry: %s is not a forwarder's",
		    frame_type_name(f.type));
	}
}

void
session_open(struct session *s, struct carry_conn *k)
{
	s->conn = k;
	s->again = timer_new(k->carry->loop, session_again, s);
}

void
session_close(struct session *s)
{
	session_link_down(s);
	timer_free(s->again);
}
