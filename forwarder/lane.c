#include "forwarder/lane.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/link/frame.h"
#include "forwarder/carry.h"

#define TIMEOUT_MS 15000
#define PULL_MS	   (20000 + TIMEOUT_MS) /* the longest wait asked for */
/* A backlog is what was sent lately: the registrar repeats what fails. */
#define LATELY_MS  60000

/* What may pass, which way, and how long an answer may take. */
static const struct {
	bool out, back;
	unsigned timeout_ms;
} relayed[FRAME_TYPE__MAX] = {
	[FRAME_HELLO] = { true, false, TIMEOUT_MS },
	[FRAME_WELCOME] = { false, true, 0 },
	[FRAME_PUT] = { true, false, TIMEOUT_MS },
	[FRAME_STORED] = { false, true, 0 },
	[FRAME_PULL] = { true, false, PULL_MS },
	[FRAME_ANSWERS] = { false, true, 0 },
	[FRAME_GOT] = { true, false, TIMEOUT_MS },
	[FRAME_PING] = { true, true, TIMEOUT_MS },
	[FRAME_NACK] = { false, true, 0 },
};

struct lane {
	const char *name;
	struct wire_client *wire;
	struct carry *carry;
	bool up;
	uint64_t stall_ms;
	struct timer *watchdog; /* set while a PUT waits for its reply */
	bool watching;
	unsigned puts; /* outstanding */
	uint64_t put_at;
};

struct request {
	struct lane *lane;
	unsigned connection; /* of the carry socket it came by */
	uint64_t tag;
	enum frame_type type;
};

static void
lane_nack(struct lane *n, uint64_t tag, const char *reason)
{
	struct buf out AUTO_BUF = { 0 };

	frame_nack(tag, 0, reason, &out);
	carry_send(n->carry, buf_bytes(&out));
}

static void
lane_tell(struct lane *n)
{
	struct buf out AUTO_BUF = { 0 };

	frame_link(n->up, n->name, &out);
	carry_send(n->carry, buf_bytes(&out));
}

/* ---- the watchdog (DESIGN 8) ------------------------------------------- */

static void
lane_watch(struct lane *n)
{
	n->put_at = clock_mono_ms();
	if (n->watching)
		return;
	n->watching = true;
	timer_set(n->watchdog, n->stall_ms);
}

static void
lane_unwatch(struct lane *n)
{
	n->watching = false;
	timer_clear(n->watchdog);
}

/* Connected, entries were sent, and no reply to any of them for so long. */
static void
lane_stalled(void *arg)
{
	struct lane *n = arg;
	uint64_t since = clock_mono_ms() - n->put_at;

	n->watching = false;
	if (!n->up || (n->puts == 0 && since > LATELY_MS))
		return;
	log_event(LOG_ALARM, "link.stalled", "service", "%s", n->name,
	    "outstanding", "%u", n->puts, NULL);
	wire_reconnect(n->wire);
}

/* ---- replies ----------------------------------------------------------- */

/* It must be an answer, and to this request; more is not looked at. */
static int
reply_check(const struct request *q, struct bytes reply, struct err *e)
{
	enum frame_type type;
	uint64_t tag;

	if (frame_peek(reply, &type, &tag, e) == -1)
		return -1;
	if (!relayed[type].back)
		return err_set(e, ERR_INPUT, "%s answers %s with %s",
		    q->lane->name, frame_type_name(q->type),
		    frame_type_name(type));
	if (tag != q->tag)
		return err_set(
		    e, ERR_INPUT, "%s answers another tag", q->lane->name);
	return 0;
}

static void
reply_relay(const struct request *q, struct bytes reply)
{
	struct err e = ERR_INIT;

	if (reply_check(q, reply, &e) == 0) {
		carry_send(q->lane->carry, reply);
		return;
	}
	log_err(LOG_ALARM, "link.bad_reply", &e, "service", "%s", q->lane->name,
	    NULL);
	lane_nack(q->lane, q->tag, e.msg);
}

static void
on_reply(void *arg, struct bytes reply, const struct err *e)
{
	struct request *q = arg;
	struct lane *n = q->lane;

	if (q->type == FRAME_PUT)
		n->puts--;
	if (q->type == FRAME_PUT && e == NULL)
		lane_unwatch(n);
	/* Tags of an older connection mean nothing on this one. */
	if (q->connection == carry_number(n->carry)) {
		if (e == NULL)
			reply_relay(q, reply);
		else
			lane_nack(n, q->tag, e->msg);
	}
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
	if (q->type != FRAME_PUT)
		return;
	n->puts++;
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
	q->type = type;
	if (wire_send(n->wire, frame, relayed[type].timeout_ms, on_reply, q,
		&e) == -1) {
		lane_nack(n, tag, e.msg);
		free(q);
		return;
	}
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
		lane_nack(n, tag, reason);
		return CARRY_TAKEN;
	}
	if (wire_room(n->wire) == 0)
		return CARRY_WAIT;
	lane_send(n, frame, type, tag);
	return CARRY_TAKEN;
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
		.arg = n };

	n->name = s->name;
	n->stall_ms = c->watchdog;
	n->watchdog = timer_new(l, lane_stalled, n);
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
	free(n);
}
