#include "registrar/call_int.h"

#include <string.h>
#include "common/base/log.h"
#include "registrar/ending.h"
#include "registrar/nonce.h"

#define PKIXCMP "application/pkixcmp"

/* RFC 9811 3.1: every CMP reply is HTTP 200. */
static void
call_send_octets(struct call *c, struct bytes octets, bool close,
    void (*flushed)(void *arg, bool ok), void *arg)
{
	struct https_answer a = {
		.status = 200,
		.type = PKIXCMP,
		.body = octets,
		.close = close,
		.flushed = flushed,
		.arg = arg,
	};

	https_reply(c->q, &a);
	call_free(c);
}

static void
call_fail_http(
    struct call *c, int status, unsigned retry_after, const char *why)
{
	struct buf line AUTO_BUF = { 0 };

	atomic_fetch_add(&c->r->metrics.refused, 1);
	buf_printf(&line, "%s\n", why);
	https_reply(c->q,
	    &(struct https_answer){ .status = status,
		.type = "text/plain",
		.body = buf_bytes(&line),
		.retry_after = retry_after });
	call_free(c);
}

void
call_unreadable(struct call *c, const struct err *e)
{
	log_err(LOG_WARN, "cmp.unreadable", e, "from", "%s",
	    https_peer_addr(c->q), NULL);
	call_fail_http(c, 400, 0, e->msg);
}

void
call_not_stored(struct call *c, const struct err *e)
{
	if (e->kind != ERR_RETRY) {
		call_error(c, e);
		return;
	}
	log_err(LOG_ERROR, "cmp.unavailable", e, "device", "%s",
	    c->admit.serial, NULL);
	call_fail_http(c, 503, registrar_unavailable(c->r, ENTRY_CMP), e->msg);
}

/*
 * Our own message in answer to c->m.  With `chained` its senderNonce is one
 * that a later pollReq can prove (nonce.h).
 */
static void
call_send(struct call *c, struct bytes body, bool chained, bool close)
{
	struct buf out AUTO_BUF = { 0 };
	struct cmp_head h = { 0 };
	struct err e = ERR_INIT;
	uint8_t nonce[NONCE_LEN];
	struct stamp now = clock_now();

	cmp_head_reply(c->m, &h);
	if (chained) {
		nonce_make(outbox_nonce_key(c->r->outbox), &c->row, nonce);
		h.sender_nonce = bytes_of(nonce, sizeof(nonce));
	}
	if (now.quality == CLOCK_SYNC)
		h.message_time = now.time;
	if (cmp_build(&h, body, c->r->signer, NULL, &out, &e) == -1) {
		log_err(LOG_ERROR, "cmp.build-failed", &e, NULL);
		call_fail_http(c, 500, 0, "no answer could be made");
		return;
	}
	call_send_octets(c, buf_bytes(&out), close, NULL, NULL);
}

static void
call_note_refused(struct call *c, const struct err *e)
{
	atomic_fetch_add(&c->r->metrics.refused, 1);
	log_err(LOG_WARN, "cmp.refused", e, "what", "%s",
	    cmp_body_name(cmp_body(c->m)), "device", "%s",
	    c->admit.serial[0] != '\0' ? c->admit.serial : NULL, "from", "%s",
	    https_peer_addr(c->q), NULL);
}

void
call_error(struct call *c, const struct err *e)
{
	struct buf body AUTO_BUF = { 0 };

	call_note_refused(c, e);
	cmp_body_error(CMP_REJECTION, err_cmp_fail(e), e->msg, &body);
	call_send(c, buf_bytes(&body), false, true);
}

void
call_rejection(struct call *c, const struct err *e)
{
	struct buf body AUTO_BUF = { 0 };
	enum cmp_body type = cmp_body(c->m);

	call_note_refused(c, e);
	cmp_body_rejection(
	    type, type == CMP_P10CR ? -1 : 0, err_cmp_fail(e), e->msg, &body);
	call_send(c, buf_bytes(&body), false, true);
}

void
call_waiting(struct call *c)
{
	struct buf body AUTO_BUF = { 0 };

	cmp_body_waiting(cmp_body(c->m), c->want.id, &body);
	call_send(c, buf_bytes(&body), true, true);
}

/* DECISIONS 10: with a link up the first minute as configured, then doubling
 * with age; else when the link is likely to be up again. */
static uint32_t
call_check_after(const struct call *c)
{
	uint64_t now = clock_now().time, ms = c->r->conf.cmp.check_after;
	uint64_t most = c->r->conf.cmp.check_after_max;
	uint64_t age =
	    now > c->entry.received.time ? now - c->entry.received.time : 0;
	const struct service *s = registrar_service(c->r, ENTRY_CMP);

	if (s == NULL || !atomic_load(&s->contact.up))
		return registrar_again(c->r, ENTRY_CMP, ms, most);
	for (; age >= 60 && ms < most; age /= 2)
		ms *= 2;
	return contact_spread(ms < most ? ms : most);
}

void
call_pollrep(struct call *c, long id)
{
	struct buf body AUTO_BUF = { 0 };

	cmp_body_pollrep(id, call_check_after(c), &body);
	call_send(c, buf_bytes(&body), true, true);
}

void
call_answer(struct call *c, struct bytes body)
{
	call_send(c, body, false, false);
}

void
call_pkiconf(struct call *c)
{
	struct buf body AUTO_BUF = { 0 };

	cmp_body_pkiconf(&body);
	call_answer(c, buf_bytes(&body));
}

/* ---- the final response ---------------------------------------------- */

struct delivery {
	struct registrar *r;
	struct loop *loop;
	struct outbox_move deliver, confirm;
	bool implicit;
	bool relayed;
};

static void
delivery_confirmed(struct outbox_move *m, const struct err *e)
{
	if (e != NULL)
		log_err(LOG_ERROR, "queue.confirm-failed", e, NULL);
	free(m->user);
}

static void
delivery_done(struct outbox_move *m, const struct err *e)
{
	struct delivery *d = m->user;

	if (e != NULL)
		log_err(LOG_ERROR, "queue.deliver-failed", e, NULL);
	if (!d->implicit || e != NULL) {
		free(d);
		return;
	}
	/* DECISIONS 15: implicit confirmation is the last octet's leaving. */
	d->confirm = (struct outbox_move){ .event = ENTRY_EV_CONFIRM,
		.ids = { m->ids[0] },
		.n = 1,
		.who = "registrar",
		.reason = "implicit confirmation",
		.user = d };
	outbox_move(d->r->outbox, &d->confirm, delivery_confirmed,
	    loop_poster(d->loop));
}

static void
delivery_flushed(void *arg, bool ok)
{
	struct delivery *d = arg;

	if (!ok) {
		free(d);
		return;
	}
	outbox_move(
	    d->r->outbox, &d->deliver, delivery_done, loop_poster(d->loop));
}

static struct delivery *
delivery_new(const struct call *c, bool implicit, bool relayed)
{
	struct delivery *d = xcalloc(1, sizeof(*d));

	d->r = c->r;
	d->loop = c->f->loop;
	d->implicit = implicit;
	d->deliver = (struct outbox_move){ .event = ENTRY_EV_DELIVER,
		.ids = { c->entry.id },
		.n = 1,
		.who = "registrar",
		.carrier = !relayed		    ? CALL_REPROTECTED
		    : cmp_body(c->m) == CMP_POLLREQ ? CALL_RELAYED_LATE
						    : CALL_RELAYED,
		.user = d };
	return d;
}

/*
 * As the service protected it where that answers this very message, else
 * (after polling) under our protection with the poll's nonce: OpenSSL before
 * 3.3 accepts nothing else (RFC 9483 5.1.5).  Devices that believe one
 * certificate alone want our protection in any case.
 */
static int
call_final_octets(struct call *c, const struct cmp_msg *ans, bool *ret_relayed,
    struct buf *out, struct err *e)
{
	struct stamp now = clock_now();

	*ret_relayed = c->r->conf.cmp.final != REG_FINAL_ALWAYS &&
	    (c->r->conf.cmp.final == REG_FINAL_RELAY ||
		bytes_eq(cmp_recip_nonce(ans), cmp_sender_nonce(c->m)));
	if (*ret_relayed) {
		buf_add(out, cmp_der(ans).p, cmp_der(ans).len);
		return 0;
	}
	return cmp_reprotect(ans, cmp_sender(c->m), cmp_sender_nonce(c->m),
	    now.quality == CLOCK_SYNC ? now.time : 0, c->r->signer, out, e);
}

/* Whether the device has nothing more to say (RFC 9483 4.1.1): what issues a
 * certificate is confirmed, unless the answer says that it need not be. */
static bool
final_closes(const struct call *c, const struct cmp_msg *ans)
{
	enum cmp_body b = cmp_body(ans);

	return (b != CMP_IP && b != CMP_CP && b != CMP_KUP) ||
	    cmp_implicit_confirm(ans) || c->entry.answer_code == BATCH_REFUSED;
}

void
call_final(struct call *c)
{
	struct buf octets AUTO_BUF = { 0 };
	struct buf out AUTO_BUF = { 0 };
	AUTO(cmp_msg) ans = NULL;
	struct err e = ERR_INIT;
	struct delivery *d;
	bool relayed, closes;

	if (outbox_answer(c->r->outbox, &c->entry, &octets, &e) == -1 ||
	    cmp_parse(buf_bytes(&octets), &ans, &e) == -1 ||
	    call_final_octets(c, ans, &relayed, &out, &e) == -1) {
		call_error(c, &e);
		return;
	}
	closes = final_closes(c, ans);
	d = delivery_new(c, closes, relayed);
	if (strcmp(d->deliver.carrier, CALL_RELAYED) == 0)
		finals_relayed(&c->r->finals, c->entry.id);
	/* A certConf to come finds us on another connection, also if we ended
	 * in between: clients do not ask again on one that is gone. */
	call_send_octets(c, buf_bytes(&out), !closes, delivery_flushed, d);
}

static int
confirmed_octets(struct call *c, struct buf *out, struct err *e)
{
	struct buf octets AUTO_BUF = { 0 };
	AUTO(cmp_msg) ans = NULL;
	struct stamp now = clock_now();

	if (outbox_answer(c->r->outbox, &c->entry, &octets, e) == -1)
		return -1;
	if (c->relayed) {
		buf_add(out, octets.data, octets.len);
		return 0;
	}
	if (cmp_parse(buf_bytes(&octets), &ans, e) == -1)
		return -1;
	return cmp_reprotect(ans, cmp_sender(c->m), cmp_sender_nonce(c->m),
	    now.quality == CLOCK_SYNC ? now.time : 0, c->r->signer, out, e);
}

void
call_confirmed(struct call *c)
{
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (confirmed_octets(c, &out, &e) == -1)
		call_error(c, &e);
	else
		call_send_octets(c, buf_bytes(&out), false, NULL, NULL);
}

/* ---- ends that we made ourselves -------------------------------------- */

/* As stored, for this very message. */
static int
ended_stored(struct call *c, struct buf *out, struct err *e)
{
	struct buf octets AUTO_BUF = { 0 };
	AUTO(cmp_msg) ans = NULL;
	bool relayed;

	if (outbox_answer(c->r->outbox, &c->entry, &octets, e) == -1 ||
	    cmp_parse(buf_bytes(&octets), &ans, e) == -1)
		return -1;
	return call_final_octets(c, ans, &relayed, out, e);
}

/* As it would have been stored: answers the request, not this message. */
static int
ended_made(struct call *c, struct buf *out, struct err *e)
{
	struct buf octets AUTO_BUF = { 0 };
	AUTO(cmp_msg) ans = NULL;
	bool relayed;

	if (ending_answer(c->r, &c->entry, c->entry.state, c->entry.reason,
		&octets, e) == -1 ||
	    cmp_parse(buf_bytes(&octets), &ans, e) == -1)
		return -1;
	return call_final_octets(c, ans, &relayed, out, e);
}

/* Rule 4: the end is the answer; a rejection of the original request.  A dead
 * entry may have no octets left that could be answered. */
void
call_ended(struct call *c)
{
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT, why = ERR_INIT;
	bool stored = c->entry.answer_code == BATCH_REFUSED;

	err_fail(&e, ERR_POLICY, ending_fail(c->entry.state), "%s: %s",
	    entry_state_name(c->entry.state), c->entry.reason);
	if ((!stored || ended_stored(c, &out, &why) == -1) &&
	    ended_made(c, &out, &why) == -1) {
		call_error(c, &e);
		return;
	}
	call_note_refused(c, &e);
	call_send_octets(c, buf_bytes(&out), true, NULL, NULL);
}
