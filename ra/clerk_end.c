/* How cases end: refused, issued, confirmed. */
#include "ra/clerk_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/issue.h"
#include "common/service/pulls.h"

static struct post
work_poster(const struct work *w)
{
	return loop_poster(w->clerk->ra->service.loop);
}

static void
work_busy(struct work *w)
{
	if (w->stage != WORK_BUSY)
		w->clerk->busy++;
	w->stage = WORK_BUSY;
}

/* ---- answering --------------------------------------------------------- */

static void
refuse_tx(struct work *w)
{
	struct err e = ERR_INIT;

	w->v.in_body = false;
	w->serial[0] = '\0';
	w->settle.same = 0;
	buf_reset(&w->answer);
	buf_reset(&w->cert);
	err_fail(&e, ERR_POLICY, CMP_TRANSACTION_ID_IN_USE,
	    "RFC 9483 5.1: the transactionID is in use");
	work_refuse(w, "refused", &e);
}

/* The ledger knows better. */
static void
unsettled(struct work *w)
{
	if (w->settle.unsound)
		work_end(w);
	else if (w->settle.tx_in_use)
		refuse_tx(w);
	else
		work_again(w);
}

static void
settled(void *arg, const struct err *failed)
{
	struct ledger_settle *x = arg;
	struct work *w = x->user;
	char id[ENTRY_ID_TEXT];

	if (failed != NULL) {
		work_stall(w, failed);
		return;
	}
	if (!x->changed) {
		unsettled(w);
		return;
	}
	log_event(LOG_INFO, "entry.answered", "site", "%s", x->site, "id", "%s",
	    entry_id_format(id, w->h.epoch, w->h.id), "what", "%s", x->event,
	    "device", "%s", w->v.serial, "certificate", "%s", w->serial,
	    "reason", "%s", w->reason, NULL);
	pulls_wake(w->clerk->ra->service.pulls, x->site);
	work_end(w);
}

static void
work_settle(struct work *w, enum batch_code code, const char *event)
{
	bool unless_intent = w->settle.unless_intent;

	w->settle = (struct ledger_settle){
		.id = w->is.id,
		.code = code,
		.answer = buf_bytes(&w->answer),
		.reason = w->reason,
		.event = event,
		.unless_intent = unless_intent,
		.cert = buf_bytes(&w->cert),
		/* After an intent they are stored, and are not judged again. */
		.facts = w->is.state == LEDGER_OPEN ? &w->v.facts : NULL,
		.device = w->v.serial[0] != '\0' ? w->v.serial : NULL,
		.same = w->settle.same,
		.tx = w->settle.tx,
		.parent = w->settle.parent,
		.confirm = w->settle.confirm,
		.confirm_reason = w->settle.confirm_reason,
		.user = w,
	};
	work_busy(w);
	ledger_settle(
	    w->clerk->ra->service.ledger, &w->settle, settled, work_poster(w));
}

void
work_refuse(struct work *w, const char *event, const struct err *why)
{
	struct err e = ERR_INIT;

	entry_text(w->reason, sizeof(w->reason), why->msg);
	if (answer_refused(&w->clerk->ra->answers, w->m, w->v.in_body, why,
		&w->answer, &e) == -1)
		work_stall(w, &e);
	else
		work_settle(w, BATCH_REFUSED, event);
}

void
work_give_up(struct work *w)
{
	struct err why = ERR_INIT;

	err_fail(&why, ERR_POLICY, CMP_BAD_REQUEST, "withdrawn");
	work_refuse(w, "refused", &why);
}

void
work_confirm(struct work *w, uint64_t parent, const struct cmp_certconf *c)
{
	bool accepted = c->status != CMP_REJECTION;
	struct err e = ERR_INIT;

	if (answer_pkiconf(&w->clerk->ra->answers, w->m, &w->answer, &e) ==
	    -1) {
		work_stall(w, &e);
		return;
	}
	entry_text(w->reason, sizeof(w->reason), c->text);
	w->settle.parent = parent;
	w->settle.confirm = accepted ? LEDGER_CONFIRMED : LEDGER_REJECTED;
	w->settle.confirm_reason = w->reason;
	work_settle(w, BATCH_ANSWERED, accepted ? "confirmed" : "rejected");
}

/* ---- issuing ----------------------------------------------------------- */

static void
work_sign(struct work *w)
{
	struct err e = ERR_INIT;

	work_busy(w);
	if (ca_sign(w->clerk->ra->ca, w->is.id, buf_bytes(&w->tbs), &e) == -1)
		service_give_up(&w->clerk->ra->service, "ca.failed", &e);
}

void
work_resume(struct work *w)
{
	log_event(LOG_INFO, "entry.resumed", "site", "%s", w->is.site,
	    "certificate", "%s", w->is.serial, NULL);
	str_copy(w->serial, sizeof(w->serial), w->is.serial);
	str_copy(w->v.serial, sizeof(w->v.serial), w->is.device);
	work_sign(w);
}

static void
intended(void *arg, const struct err *failed)
{
	struct ledger_intend *x = arg;
	struct work *w = x->user;

	if (failed != NULL) {
		work_stall(w, failed);
		return;
	}
	switch (x->is) {
	case LEDGER_INTENDED:
		w->is.state = LEDGER_INTENT;
		work_sign(w);
		return;
	case LEDGER_TX_IN_USE:
		refuse_tx(w);
		return;
	case LEDGER_GIVEN_UP:
	case LEDGER_NOT_OPEN:
	case LEDGER_SIGNER_FELL:
		work_again(w);
		return;
	case LEDGER_UNSOUND:
		work_end(w);
		return;
	}
}

static int
grant_build(struct work *w, struct err *e)
{
	struct ra *r = w->clerk->ra;
	X509 *issuer = ra_issuer(r);
	uint64_t now = clock_now().time, from, to;
	struct issue_spec spec = {
		.subject = w->v.subject,
		.pubkey = w->v.request.pubkey,
		.not_before = now - BACKDATE,
		.not_after = now + r->conf.ca.lifetime / 1000,
		.pathlen = -1,
		.key_usage = "critical,digitalSignature",
		.ext_key_usage = "clientAuth",
	};
	AUTO(X509) x = NULL;

	if (cert_validity(issuer, &from, &to, e) == -1)
		return -1;
	if (now > to)
		return err_set(e, ERR_LOCAL, "ca: its certificate has expired");
	/* A certificate that outlives its CA is none. */
	if (spec.not_after > to)
		spec.not_after = to;
	if ((x = issue_tbs(&spec, issuer, &w->tbs, e)) == NULL)
		return -1;
	ossl_cert_der(x, &w->unsigned_cert);
	cert_serial_hex(x, w->serial, sizeof(w->serial));
	return 0;
}

static void
work_intend(struct work *w)
{
	struct err e = ERR_INIT;

	if (grant_build(w, &e) == -1) {
		work_stall(w, &e);
		return;
	}
	w->same = same_key(w->is.site, &w->v.device, &w->v.request.tmpl);
	w->intend = (struct ledger_intend){
		.id = w->is.id,
		.tx = judge_tx(w->m, &w->v.spki),
		.tbs = buf_bytes(&w->tbs),
		.unsigned_cert = buf_bytes(&w->unsigned_cert),
		.facts = &w->v.facts,
		.device = w->v.serial,
		.serial = w->serial,
		.same = &w->same,
		.user = w,
	};
	work_busy(w);
	ledger_intend(
	    w->clerk->ra->service.ledger, &w->intend, intended, work_poster(w));
}

/* In a new message, the certificate that the case `id` was answered with. */
static void
work_give_same(struct work *w, uint64_t id)
{
	struct err e = ERR_INIT;
	AUTO(X509) cert = ossl_cert_parse(buf_bytes(&w->cert), &e);

	if (cert == NULL ||
	    answer_issued(&w->clerk->ra->answers, w->m, cert, &w->answer, &e) ==
		-1) {
		e.kind = ERR_LOCAL;
		work_stall(w, &e);
		return;
	}
	buf_reset(&w->cert); /* it is that case's */
	cert_serial_hex(cert, w->serial, sizeof(w->serial));
	w->settle.same = id;
	w->settle.tx = judge_tx(w->m, &w->v.spki);
	work_settle(w, BATCH_ANSWERED, "same-key");
}

void
work_grant(struct work *w)
{
	struct err e = ERR_INIT;
	uint64_t id = 0;

	switch (work_find_same(w, &id, &e)) {
	case SAME_NONE:
		work_intend(w);
		return;
	case SAME_FOUND:
		work_give_same(w, id);
		return;
	case SAME_COMING:
		w->stage = WORK_WAITING;
		return;
	case SAME_FAILED:
		work_stall(w, &e);
		return;
	}
}

static int
issue_build(struct work *w, struct bytes signature, struct err *e)
{
	struct ra *r = w->clerk->ra;
	AUTO(X509) x = ossl_cert_parse(buf_bytes(&w->unsigned_cert), e);
	AUTO(X509) cert = NULL;

	if (x == NULL || issue_finish(x, ra_issuer(r), signature, e) == -1)
		return -1;
	ossl_cert_der(x, &w->cert);
	/* What goes out is what a reader of these octets sees. */
	if ((cert = ossl_cert_parse(buf_bytes(&w->cert), e)) == NULL)
		return -1;
	return answer_issued(&r->answers, w->m, cert, &w->answer, e);
}

void
work_issue(struct work *w, struct bytes signature)
{
	struct err e = ERR_INIT;

	if (issue_build(w, signature, &e) == -1) {
		e.kind = ERR_LOCAL;
		work_stall(w, &e);
		return;
	}
	work_settle(w, BATCH_ANSWERED, "issued");
}
