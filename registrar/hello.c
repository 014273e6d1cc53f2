/*
 * HELLO and WELCOME: how far both memories reach, and what follows if one of
 * them reaches further than it can.  Whoever finds the other ahead of its own
 * memory was put back to an older copy (DESIGN 7).
 */
#include "registrar/carry_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"

static int
hello_fill(struct session *s, struct frame_hello *h, struct err *e)
{
	struct registrar *r = session_registrar(s);
	struct outbox_peer peer = { 0 };
	struct outbox_counts counts;
	struct store_audit head;

	str_copy(h->site, sizeof(h->site), r->conf.site);
	str_copy(h->service, sizeof(h->service), s->service->name);
	outbox_count(r->outbox, &counts);
	if (outbox_peer(r->outbox, s->service->name, &peer, e) == -1 ||
	    outbox_audit_head(r->outbox, &head, e) == -1)
		return -1;
	memcpy(h->site_epoch, outbox_epoch(r->outbox), ENTRY_EPOCH_LEN);
	h->site_next_id = counts.next_id;
	memcpy(h->service_epoch, peer.epoch, ENTRY_EPOCH_LEN);
	h->service_seq = peer.seq;
	random_bytes(s->nonce, sizeof(s->nonce));
	memcpy(h->nonce, s->nonce, sizeof(s->nonce));
	h->audit = head.hash;
	h->time = clock_now().time;
	return 0;
}

void
session_hello(struct session *s)
{
	struct registrar *r = session_registrar(s);
	struct frame_hello h = { 0 };
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	s->hello_tag = session_tag(s);
	if (hello_fill(s, &h, &e) == -1 ||
	    frame_hello(FRAME_HELLO, s->hello_tag, &h, r->signer, &out, &e) ==
		-1) {
		s->hello_tag = 0;
		session_alarm(s, "carry.hello-failed", &e);
		session_later(s);
		return;
	}
	carry_send(s->conn, buf_bytes(&out));
}

/* ---- WELCOME ---------------------------------------------------------- */

static int
welcome_check(const struct session *s, const struct frame *f,
    struct frame_hello *h, struct err *e)
{
	const struct registrar *r = session_registrar(s);
	unsigned version;

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
	if (h->version_low != h->version_high)
		return err_set(e, ERR_INPUT, "welcome: versions %u to %u",
		    h->version_low, h->version_high);
	return frame_version(h, &version, e);
}

/* Ids that we never gave, of this epoch: ours is an older copy, and new entries
 * would take ids that stand for others. */
static bool
welcome_site_behind(
    const struct session *s, const struct frame_hello *h, struct err *e)
{
	struct outbox_counts counts;

	outbox_count(session_registrar(s)->outbox, &counts);
	if (h->site_next_id <= counts.next_id)
		return false;
	err_set(e, ERR_DAMAGE,
	    "service %s has seen id %llu, we are at %llu: an older copy of "
	    "the outbox",
	    s->service->name, (unsigned long long)h->site_next_id - 1,
	    (unsigned long long)counts.next_id - 1);
	return true;
}

/* Batches that it never made, or another epoch than it had: its ledger is an
 * older copy, or a new one. */
static bool
welcome_service_behind(
    struct session *s, const struct frame_hello *h, struct err *e)
{
	static const uint8_t unknown[ENTRY_EPOCH_LEN];
	struct outbox_peer peer = { 0 };

	s->seq = 0;
	if (outbox_peer(
		session_registrar(s)->outbox, s->service->name, &peer, e) == -1)
		return true;
	if (memcmp(peer.epoch, unknown, sizeof(unknown)) == 0)
		return false;
	if (memcmp(peer.epoch, h->service_epoch, ENTRY_EPOCH_LEN) != 0) {
		err_set(e, ERR_DAMAGE,
		    "service %s has another ledger than the one we know",
		    s->service->name);
		return true;
	}
	s->seq = peer.seq;
	if (peer.seq <= h->service_seq)
		return false;
	err_set(e, ERR_DAMAGE, "service %s remembers batch %llu, we hold %llu",
	    s->service->name, (unsigned long long)h->service_seq,
	    (unsigned long long)peer.seq);
	return true;
}

/* Who was greeted while that was being committed is silenced too. */
static void
welcome_suspended(void *user, const struct err *e)
{
	if (e != NULL)
		log_err(LOG_ALARM, "link.not-suspended", e, NULL);
	carry_quiet(user);
}

/* Nothing new is accepted, and nothing passes, until `queue restore`. */
static void
welcome_suspend(struct session *s, const struct err *why)
{
	struct carry *c = s->conn->carry;

	session_alarm(s, "link.site-rolled-back", why);
	carry_quiet(c);
	outbox_suspend(
	    c->r->outbox, why->msg, welcome_suspended, c, loop_poster(c->loop));
}

/* It says so once, however often we ask whether it has been mended. */
static void
welcome_wary(struct session *s, const struct err *why)
{
	struct recovery *known = carry_recovery(s->conn->carry, s->service);

	if (!known->alarmed)
		session_alarm(s, "link.service-rolled-back", why);
	known->alarmed = true;
	session_later(s);
}

static void
session_compare(struct session *s, const struct frame_hello *h)
{
	struct registrar *r = session_registrar(s);
	char why[OUTBOX_WHY_MAX];
	struct err e = ERR_INIT;
	bool behind;

	if (welcome_site_behind(s, h, &e)) {
		welcome_suspend(s, &e);
		return;
	}
	if (outbox_suspended(r->outbox, why))
		return; /* carry_renewed says HELLO again */
	behind = welcome_service_behind(s, h, &e);
	if (h->recover) {
		recover_begin(s, h);
		return;
	}
	if (behind) {
		welcome_wary(s, &e);
		return;
	}
	carry_recovery(s->conn->carry, s->service)->alarmed = false;
	session_begin(s);
}

void
session_welcome(struct session *s, const struct frame *f)
{
	struct frame_hello h = { 0 };
	struct err e = ERR_INIT;

	s->hello_tag = 0;
	if (welcome_check(s, f, &h, &e) == -1) {
		session_alarm(s, "carry.forged", &e);
		session_later(s);
		return;
	}
	clock_confirm(h.time);
	memcpy(s->service_epoch, h.service_epoch, ENTRY_EPOCH_LEN);
	s->window = h.credit < SESSION_WINDOW ? h.credit : SESSION_WINDOW;
	session_compare(s, &h);
}
