#include "forwarder/lane.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/link/frame.h"
#include "forwarder/carry.h"
#include "forwarder/pace.h"

/* A link that moves may take so long for one reply: a frame of FRAME_MAX at
 * PACE_RATE, either way, in a second try's company.  One that does not move is
 * given up much sooner (pace.c). */
#define REPLY_MS       1200000
#define LOOK_MS	       1000
/* A backlog is what was sent lately: the registrar repeats what fails. */
#define LATELY_MS      60000
/* More than heartbeats bring while the watchdog waits: an answer on its way by
 * a slow link. */
#define MOVED_OCTETS   16384
#define OVERSIZE_RETRY 3600

/* What may pass, and which way. */
static const struct {
	bool out, back;
} relayed[FRAME_TYPE__MAX] = {
	[FRAME_HELLO] = { true, false },
	[FRAME_WELCOME] = { false, true },
	[FRAME_PUT] = { true, false },
	[FRAME_STORED] = { false, true },
	[FRAME_PULL] = { true, false },
	[FRAME_ANSWERS] = { false, true },
	[FRAME_GOT] = { true, false },
	[FRAME_PING] = { true, true },
	[FRAME_NACK] = { false, true },
	[FRAME_EVIDENCE] = { true, false },
	[FRAME_ASK] = { true, false },
	[FRAME_DATA] = { false, true },
};

struct lane {
	const char *name;
	struct wire_client *wire;
	struct carry *carry;
	bool up;
	struct pace pace;
	struct timer *look; /* set while anything is out */
	bool looking;

	uint64_t stall_ms;
	struct timer *watchdog; /* set while there is a backlog */
	bool watching;
	unsigned puts;	   /* out */
	uint64_t put_at;   /* the last one */
	uint64_t received; /* octets, when the watchdog was set */
};

struct request {
	struct pace_request pace; /* first */
	struct lane *lane;
	unsigned connection; /* of the carry socket it came by */
	uint64_t tag;
};

static void
lane_nack(
    struct lane *n, uint64_t tag, unsigned retry_after, const char *reason)
{
	struct buf out AUTO_BUF = { 0 };

	frame_nack(tag, retry_after, reason, &out);
	carry_send(n->carry, buf_bytes(&out));
}

static void
lane_tell(struct lane *n)
{
	struct buf out AUTO_BUF = { 0 };

	frame_link(n->up, n->name, &out);
	carry_send(n->carry, buf_bytes(&out));
}

/* ---- silence, and the watchdog (DESIGN 8) ------------------------------ */

static void
lane_look(void *arg)
{
	struct lane *n = arg;

	n->looking = n->up && !LIST_EMPTY(&n->pace.out);
	if (!n->looking)
		return;
	timer_set(n->look, LOOK_MS);
	if (!pace_silent(&n->pace, wire_received(n->wire), clock_mono_ms()))
		return;
	log_event(LOG_WARN, "link.silent", "service", "%s", n->name,
	    "octets-out", "%zu", n->pace.octets, NULL);
	wire_reconnect(n->wire);
}

static void
lane_watch(struct lane *n)
{
	if (n->watching)
		return;
	n->watching = true;
	n->received = wire_received(n->wire);
	timer_set(n->watchdog, n->stall_ms);
}

static void
lane_unwatch(struct lane *n)
{
	n->watching = false;
	timer_clear(n->watchdog);
}

/* A service's word that it has an entry: what is still out starts anew. */
static void
lane_receipt(struct lane *n)
{
	lane_unwatch(n);
	if (n->puts > 0)
		lane_watch(n);
}

/* Connected, entries were sent, and no receipt for any of them for so long. */
static void
lane_stalled(void *arg)
{
	struct lane *n = arg;
	uint64_t since = clock_mono_ms() - n->put_at;

	n->watching = false;
	if (!n->up || (n->puts == 0 && since > LATELY_MS))
		return;
	if (wire_received(n->wire) - n->received > MOVED_OCTETS) {
		lane_watch(n);
		return;
	}
	log_event(LOG_ALARM, "link.stalled", "service", "%s", n->name,
	    "outstanding", "%u", n->puts, NULL);
	wire_reconnect(n->wire);
}

/* ---- replies ----------------------------------------------------------- */

static void
request_nack(const struct request *q, const char *reason)
{
	if (q->connection == carry_number(q->lane->carry))
		lane_nack(q->lane, q->tag, 0, reason);
}

/* It must be an answer, and to this request; more is not looked at. */
static int
reply_check(const struct request *q, struct bytes reply,
    enum frame_type *ret_type, struct err *e)
{
	enum frame_type type;
	uint64_t tag;

	if (frame_peek(reply, &type, &tag, e) == -1)
		return -1;
	if (!relayed[type].back)
		return err_set(e, ERR_INPUT, "%s answers %s with %s",
		    q->lane->name, frame_type_name(q->pace.type),
		    frame_type_name(type));
	if (tag != q->tag)
		return err_set(
		    e, ERR_INPUT, "%s answers another tag", q->lane->name);
	*ret_type = type;
	return 0;
}

static void
reply_relay(const struct request *q, struct bytes reply)
{
	enum frame_type type = FRAME_NACK;
	struct err e = ERR_INIT;

	if (reply_check(q, reply, &type, &e) == 0) {
		if (type == FRAME_STORED)
			lane_receipt(q->lane);
		/* Tags of an older connection mean nothing on this one. */
		if (q->connection == carry_number(q->lane->carry))
			carry_send(q->lane->carry, reply);
		return;
	}
	log_err(LOG_ALARM, "link.bad_reply", &e, "service", "%s", q->lane->name,
	    NULL);
	request_nack(q, e.msg);
}

static void
on_reply(void *arg, struct bytes reply, const struct err *e)
{
	struct request *q = arg;
	struct lane *n = q->lane;

	pace_end(&n->pace, &q->pace, e == NULL, clock_mono_ms());
	if (q->pace.type == FRAME_PUT)
		n->puts--;
	if (e == NULL)
		reply_relay(q, reply);
	else
		request_nack(q, e->msg);
	free(q);
	carry_resume(n->carry);
}

/* ---- requests ---------------------------------------------------------- */

static void
lane_sent(struct lane *n, const struct request *q)
{
	struct buf out AUTO_BUF = { 0 };

	frame_sent(q->tag, &out);
	carry_send(n->carry, buf_bytes(&out));
	if (!n->looking)
		timer_set(n->look, LOOK_MS);
	n->looking = true;
	if (q->pace.type != FRAME_PUT)
		return;
	n->puts++;
	n->put_at = q->pace.sent_at;
	lane_watch(n);
}

static void
lane_send(
    struct lane *n, struct bytes frame, enum frame_type type, uint64_t tag)
{
	struct request *q = xcalloc(1, sizeof(*q));
	struct err e = ERR_INIT;

	q->lane = n;
	q->connection = carry_number(n->carry);
	q->tag = tag;
	if (wire_send(n->wire, frame, REPLY_MS, on_reply, q, &e) == -1) {
		lane_nack(n, tag, 0, e.msg);
		free(q);
		return;
	}
	pace_sent(&n->pace, &q->pace, type, frame.len, clock_mono_ms());
	lane_sent(n, q);
}

static enum carry_verdict
on_frame(void *arg, struct bytes frame, struct err *e)
{
	struct lane *n = arg;
	enum frame_type type;
	char reason[64];
	uint64_t tag;

	if (frame_peek(frame, &type, &tag, e) == -1)
		return CARRY_REFUSED;
	if (!relayed[type].out) {
		err_set(e, ERR_INPUT, "carry: %s is not for a service",
		    frame_type_name(type));
		return CARRY_REFUSED;
	}
	if (!n->up) {
		snprintf(reason, sizeof(reason), "link to %s is down", n->name);
		lane_nack(n, tag, 0, reason);
		return CARRY_TAKEN;
	}
	if (wire_room(n->wire) == 0 || !pace_room(&n->pace, type))
		return CARRY_WAIT;
	lane_send(n, frame, type, tag);
	return CARRY_TAKEN;
}

/* Never sent: the service would close the link on it. */
static int
on_oversize(void *arg, size_t len, struct bytes head, struct err *e)
{
	struct lane *n = arg;
	enum frame_type type;
	char reason[64];
	uint64_t tag;

	if (frame_peek(head, &type, &tag, e) == -1)
		return -1;
	snprintf(reason, sizeof(reason), "frame of %zu octets, limit %d", len,
	    FRAME_MAX);
	log_event(LOG_ALARM, "carry.oversize", "service", "%s", n->name, "type",
	    "%s", frame_type_name(type), "reason", "%s", reason, NULL);
	lane_nack(n, tag, OVERSIZE_RETRY, reason);
	return 0;
}

/* ---- both ends --------------------------------------------------------- */

static void
on_carry(void *arg)
{
	lane_tell(arg);
}

static void
on_link(void *arg, bool up)
{
	struct lane *n = arg;

	n->up = up;
	log_event(up ? LOG_INFO : LOG_WARN, up ? "link.up" : "link.down",
	    "service", "%s", n->name, NULL);
	lane_unwatch(n);
	if (up)
		pace_up(&n->pace, clock_mono_ms());
	lane_tell(n);
	carry_resume(n->carry);
}

static uid_t
uid_of(uint64_t configured)
{
	return configured == FWD_UID_OWN ? geteuid() : (uid_t)configured;
}

static int
lane_dial(struct lane *n, struct loop *l, const struct fwd_conf *c,
    const struct fwd_service *s, struct err *e)
{
	struct wire_client_conf wire = {
		.url = s->url,
		.service = s->name,
		.tls = { c->link.key, c->link.certificate, c->link.ca },
		.ipc_uid = uid_of(s->ipc_uid),
		.window = (unsigned)c->window,
		.reconnect_min_ms = (unsigned)c->reconnect.min,
		.reconnect_max_ms = (unsigned)c->reconnect.max,
	};

	return wire_dial(l, &wire, on_link, n, &n->wire, e);
}

int
lane_open(struct loop *l, const struct fwd_conf *c, const struct fwd_service *s,
    struct lane **ret, struct err *e)
{
	AUTO(lane) n = xcalloc(1, sizeof(*n));
	struct carry_conf carry = { .name = s->name,
		.path = c->carry,
		.uid = uid_of(c->carry_uid),
		.opened = on_carry,
		.frame = on_frame,
		.oversize = on_oversize,
		.arg = n };

	n->name = s->name;
	n->stall_ms = c->watchdog;
	n->watchdog = timer_new(l, lane_stalled, n);
	n->look = timer_new(l, lane_look, n);
	pace_init(&n->pace, (unsigned)c->window);
	n->carry = carry_new(l, &carry);
	if (lane_dial(n, l, c, s, e) == -1)
		return -1;
	*ret = STEAL(n);
	return 0;
}

/* The wire first: it ends what is outstanding, through us. */
void
lane_close(struct lane *n)
{
	if (n == NULL)
		return;
	wire_hangup(n->wire);
	carry_free(n->carry);
	timer_free(n->watchdog);
	timer_free(n->look);
	free(n);
}
