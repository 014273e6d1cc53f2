/* How cases end: refused, issued, confirmed. */
#include "ra/clerk_int.h"

#include <stdio.h>
#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/issue.h"
#include "common/service/pulls.h"
#include "ra/crlmaker.h"
#include "ra/known.h"

static struct post
work_poster(const struct work *w)
{
	return loop_poster(w->clerk->ra->service.loop);
}

void
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
	/* revoked_before: judged anew, it is refused as such. */
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
	if (x->revoked > 0)
		crlmaker_wake(w->clerk->ra->crlmaker);
	work_end(w);
}

void
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
		.serial = w->settle.serial,
		.revoke = w->settle.revoke,
		.revoke_reason = w->settle.revoke_reason,
		.max_live = w->settle.max_live,
		.older = w->settle.older,
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

/* ---- terms ------------------------------------------------------------- */

/* What the answer needs to know of how the case was judged stands among the
 * facts: it may be written after a restart. */
static void
work_note_terms(struct work *w)
{
	char id[24];

	facts_set(&w->v.facts, "granted", FACT_END_TO_END,
	    w->v.grant.modified ? "with modifications" : "as asked");
	if (w->v.signer_case == 0)
		return;
	snprintf(id, sizeof(id), "%llu", (unsigned long long)w->v.signer_case);
	facts_set(&w->v.facts, "signer.case", FACT_END_TO_END, id);
}

static const char *
fact_value(const struct facts *facts, const char *name)
{
	const struct fact *f = facts_get(facts, name);

	return f != NULL && f->level == FACT_END_TO_END ? f->value : "";
}

/* A profile that is gone from the configuration meanwhile was the plain one. */
static const struct profile *
facts_profile(const struct ra *r, const struct facts *f)
{
	struct err no = ERR_INIT;
	const struct profile *p = profile_find(
	    &r->conf.profiles, &r->plain, fact_value(f, "profile"), &no);

	return p != NULL ? p : &r->plain;
}

static struct answer_terms
work_terms(const struct work *w)
{
	const struct profile *p = facts_profile(w->clerk->ra, &w->v.facts);

	return (struct answer_terms){
		.confirm = !p->implicit_confirm,
		.modified = strcmp(fact_value(&w->v.facts, "granted"),
				"with modifications") == 0,
		.ca_pubs = p->ca_pubs,
	};
}

static void
limit_by(struct work *w, const struct facts *f)
{
	struct err no = ERR_INIT;
	uint64_t id;

	w->settle.max_live = facts_profile(w->clerk->ra, f)->max_live;
	if (number_parse(
		fact_value(f, "signer.case"), 1, INT64_MAX, &id, &no) == 0)
		w->settle.older = id;
}

/* Who need not confirm has it now; else the older ones go when it does. */
static void
work_limit(struct work *w, const struct answer_terms *t)
{
	if (cmp_implicit_confirm(w->m) && !t->confirm)
		limit_by(w, &w->v.facts);
}

static void
work_limit_parent(struct work *w, uint64_t parent)
{
	struct facts f = { 0 };
	struct err e = ERR_INIT;

	if (known_facts(w->clerk->ra->service.ledger, parent, &f, &e) == 0)
		limit_by(w, &f);
}

/* ---- confirmations ----------------------------------------------------- */

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
	if (accepted)
		work_limit_parent(w, parent);
	work_settle(w, BATCH_ANSWERED, accepted ? "confirmed" : "rejected");
}

/* ---- issuing ----------------------------------------------------------- */

static void
work_sign(struct work *w)
{
	struct err e = ERR_INIT;

	if (w->clerk->ra->upstream != NULL) {
		work_upstream(w);
		return;
	}
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
	if (w->clerk->ra->upstream != NULL)
		work_upstream_resume(w);
	else if (work_is_upstreams(w))
		work_doubt(w, "it was sent to an upstream of then");
	else
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
	const struct profile *p = w->v.profile;
	struct buf usage AUTO_BUF = { 0 }, purposes AUTO_BUF = { 0 };
	struct issue_spec spec = {
		.subject = w->v.grant.subject,
		.pubkey = w->v.request.pubkey,
		.not_before = now - BACKDATE,
		.not_after = now + p->lifetime / 1000,
		.pathlen = -1,
		.san =
		    w->v.grant.san.len > 0 ? buf_cstr(&w->v.grant.san) : NULL,
	};
	AUTO(X509) x = NULL;

	buf_printf(&usage, "critical,%s", p->key_usage);
	profile_ext_key_usage(p, &purposes);
	spec.key_usage = buf_cstr(&usage);
	spec.ext_key_usage = purposes.len > 0 ? buf_cstr(&purposes) : NULL;

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

void
work_intend(struct work *w)
{
	bool upstream = w->clerk->ra->upstream != NULL;
	bool revocation = cmp_body(w->m) == CMP_RR;
	struct err e = ERR_INIT;

	if ((upstream ? work_upstream_build(w, &e) : grant_build(w, &e)) ==
	    -1) {
		work_stall(w, &e);
		return;
	}
	w->same = same_key(w->is.site, &w->v.device, &w->v.request.tmpl);
	work_note_terms(w);
	w->intend = (struct ledger_intend){
		.id = w->is.id,
		.tx = judge_tx(w->m, &w->v.spki),
		.tbs = buf_bytes(&w->tbs),
		.unsigned_cert = buf_bytes(&w->unsigned_cert),
		.facts = &w->v.facts,
		.device = w->v.serial,
		.serial = w->serial,
		.same = revocation ? NULL : &w->same,
		.holder = revocation ? NULL : &w->v.holder,
		.signer = w->v.signer_case,
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

	struct answer_terms t = { .confirm = false };

	work_note_terms(w);
	t = work_terms(w);
	if (cert == NULL ||
	    answer_issued(
		&w->clerk->ra->answers, w->m, cert, &t, &w->answer, &e) == -1) {
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
issue_build(struct work *w, struct bytes signature,
    const struct answer_terms *t, struct err *e)
{
	struct ra *r = w->clerk->ra;
	AUTO(X509) cert = issue_finish(
	    buf_bytes(&w->unsigned_cert), ra_issuer(r), signature, e);

	if (cert == NULL)
		return -1;
	ossl_cert_der(cert, &w->cert);
	return answer_issued(&r->answers, w->m, cert, t, &w->answer, e);
}

void
work_issue(struct work *w, struct bytes signature)
{
	struct answer_terms t = work_terms(w);
	struct err e = ERR_INIT;

	if (issue_build(w, signature, &t, &e) == -1) {
		e.kind = ERR_LOCAL;
		work_stall(w, &e);
		return;
	}
	work_limit(w, &t);
	work_settle(w, BATCH_ANSWERED, "issued");
}

void
work_issued(struct work *w, const struct upstream_answer *a)
{
	struct ra *r = w->clerk->ra;
	struct answer_terms t = work_terms(w);
	struct err e = ERR_INIT;

	t.modified = a->modified || answer_differs(w->m, a->cert);
	/* The device's certConf must fit there as well as here. */
	if (upstream_relays_confirm(r->upstream)) {
		t.confirm = !a->implicit;
		t.sender_nonce = a->sender_nonce;
	}
	ossl_cert_der(a->cert, &w->cert);
	cert_serial_hex(a->cert, w->serial, sizeof(w->serial));
	if (answer_issued(&r->answers, w->m, a->cert, &t, &w->answer, &e) ==
	    -1) {
		e.kind = ERR_LOCAL;
		work_stall(w, &e);
		return;
	}
	w->settle.serial = w->serial;
	work_limit(w, &t);
	work_settle(w, BATCH_ANSWERED, "issued");
}
