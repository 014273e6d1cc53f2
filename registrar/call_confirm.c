/*
 * certConf (RFC 9483 4.1.1, DECISIONS 15): an entry of its own, committed in
 * the transaction that moves its parent to confirmed, then pkiConf under whose
 * protection the first response was: ours after a waiting, the service's after
 * a relay.  With `certconf: delay` it is the service's word in any case: the
 * device waits for it, and polls in the certConf's own row.
 */
#include "registrar/call_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"

/* What the service said of it, if it may be told. */
static bool
confirm_answered(const struct call *c)
{
	return registrar_deliverable(&c->entry);
}

static void
confirm_held(struct call *c)
{
	if (confirm_answered(c))
		call_confirmed(c);
	else if (c->r->conf.cmp.certconf == REG_CERTCONF_LOCAL)
		call_pkiconf(c);
	else if (entry_terminal(c->entry.state))
		call_ended(c);
	else
		call_waiting(c);
}

static void
confirm_stored(struct outbox_accept *a, const struct err *e)
{
	struct call *c = a->user;

	if (e != NULL) {
		call_not_stored(c, e);
		return;
	}
	log_event(LOG_INFO, "queue.confirmed", "device", "%s", c->admit.serial,
	    "rejected", "%s", a->parent_reason, NULL);
	c->entry = a->entry;
	c->row = a->entry.row;
	if (c->relayed || c->r->conf.cmp.certconf == REG_CERTCONF_DELAY)
		call_hold(c, &c->row, confirm_held);
	else
		call_pkiconf(c);
}

static int
confirm_store(struct call *c, struct err *e)
{
	struct outbox_accept *a = &c->accept;

	if (cmp_nest(c->m, c->r->signer, &c->wrapped, e) == -1)
		return -1;
	a->kind = ENTRY_CMP;
	a->step = 1;
	a->row = entry_row(ENTRY_CMP, &c->spki, cmp_transaction_id(c->m), 1);
	a->device = c->entry.device;
	a->bytes = cmp_der(c->m);
	a->wrapped = buf_bytes(&c->wrapped);
	a->facts = &c->admit.facts;
	a->label = c->admit.serial;
	a->vendor = c->admit.vendor;
	a->received = clock_now();
	a->parent = c->entry.id;
	a->user = c;
	outbox_accept(c->r->outbox, a, confirm_stored, loop_poster(c->f->loop));
	return 0;
}

/* Hash, id and nonce are those of the certificate that we delivered. */
static int
confirm_check(struct call *c, struct cmp_certconf *conf, struct err *e)
{
	struct buf octets AUTO_BUF = { 0 };
	AUTO(cmp_msg) ans = NULL;
	struct cmp_response got = { 0 };
	int rc = -1;

	if (outbox_answer(c->r->outbox, &c->entry, &octets, e) == -1 ||
	    cmp_parse(buf_bytes(&octets), &ans, e) == -1 ||
	    cmp_read_response(ans, &got, e) == -1)
		return -1;
	if (got.cert == NULL)
		err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "no certificate was issued in this transaction");
	else if (!bytes_eq(cmp_recip_nonce(c->m), cmp_sender_nonce(ans)))
		err_fail(e, ERR_INPUT, CMP_BAD_RECIPIENT_NONCE,
		    "recipNonce is not the final response's senderNonce");
	else if (conf->id != 0 && conf->id != got.id)
		err_fail(e, ERR_INPUT, CMP_BAD_REQUEST, "certReqId %ld differs",
		    conf->id);
	else
		rc = cmp_check_certhash(conf, got.cert, e);
	cmp_response_done(&got);
	return rc;
}

static bool
was_relayed(const struct call *c, const struct outbox_entry *request)
{
	return strcmp(request->carrier, CALL_RELAYED) == 0 ||
	    finals_was_relayed(&c->r->finals, request->id);
}

static int
confirm_find(struct call *c, struct err *e)
{
	int found = outbox_find(c->r->outbox, &c->row, &c->entry, e);

	c->relayed = found == 1 && was_relayed(c, &c->entry);
	if (found == 0 || (found == 1 && !registrar_deliverable(&c->entry)))
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "nothing is there to be confirmed in this transaction");
	return found == 1 ? 0 : -1;
}

void
call_certconf(struct call *c)
{
	struct cmp_certconf conf = { 0 };
	struct err e = ERR_INIT;

	if (cmp_read_certconf(c->m, &conf, &e) == -1 ||
	    confirm_find(c, &e) == -1 || confirm_check(c, &conf, &e) == -1) {
		call_error(c, &e);
		return;
	}
	if (conf.status == CMP_REJECTION) {
		str_copy(c->reject, sizeof(c->reject),
		    conf.text[0] != '\0' ? conf.text : "device rejected it");
		c->accept.parent_reason = c->reject;
	}
	if (confirm_store(c, &e) == -1)
		call_error(c, &e);
}

bool
call_confirm_find(struct call *c, struct outbox_entry *ret)
{
	struct digest row =
	    entry_row(ENTRY_CMP, &c->spki, cmp_transaction_id(c->m), 1);
	struct err e = ERR_INIT;

	return outbox_find(c->r->outbox, &row, ret, &e) == 1;
}

void
call_confirm_poll(struct call *c, long id)
{
	struct outbox_entry request;
	struct err e = ERR_INIT;
	int found = outbox_get(c->r->outbox, c->entry.parent, &request, &e);

	c->relayed = found == 1 && was_relayed(c, &request);
	if (confirm_answered(c))
		call_confirmed(c);
	else if (entry_terminal(c->entry.state))
		call_ended(c);
	else
		call_pollrep(c, id);
}
