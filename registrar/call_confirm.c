/*
 * certConf (RFC 9483 4.1.1, DECISIONS 15): an entry of its own, committed in
 * the transaction that moves its parent to confirmed, then pkiConf: ours after
 * a waiting (we sent the first response), the service's after a relay.
 */
#include "registrar/call_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"

static void
confirm_held(struct call *c)
{
	if (c->entry.answer_value != 0)
		call_relay(c, &c->entry);
	else
		call_pkiconf(c);
}

static void
confirm_stored(struct outbox_accept *a, const struct err *e)
{
	struct call *c = a->user;
	bool relayed = strcmp(c->entry.carrier, CALL_RELAYED) == 0;

	if (e != NULL) {
		call_not_stored(c, e);
		return;
	}
	log_event(LOG_INFO, "queue.confirmed", "device", "%s", c->admit.serial,
	    "rejected", "%s", a->parent_reason, NULL);
	c->entry = a->entry;
	if (relayed)
		call_hold(c, &a->entry.row, confirm_held);
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

static int
confirm_find(struct call *c, struct err *e)
{
	int found = outbox_find(c->r->outbox, &c->row, &c->entry, e);

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
