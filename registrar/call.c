#include "registrar/call_int.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/cert_memo.h"
#include "common/pki/certfacts.h"
#include "registrar/nonce.h"

void
call_free(struct call *c)
{
	cmp_request_done(&c->want);
	buf_done(&c->wrapped);
	cmp_free(c->m);
	free(c);
}

/* RFC 9483 3.3: what opens a transaction shows its signer and the chain; later
 * the certificate of the handshake does. */
static X509 *
call_signer(const struct call *c, struct err *e)
{
	const struct admit *a = &c->admit;
	X509 *shown = a->through || a->travels ? NULL : a->tls_client;

	return cmp_find_signer(c->m, shown, e);
}

/* Who speaks, and may they: before any body is looked at. */
static int
call_admit(struct call *c, enum admit_as as, struct err *e)
{
	struct admit *a = &c->admit;

	a->kind = ENTRY_CMP;
	a->as = as;
	a->through = call_from_lra(c);
	a->travels = cmp_is_first(cmp_body(c->m));
	a->tls_client = https_peer_cert(c->q);
	a->tls_sent = https_peer_chain(c->q);
	a->sent = cmp_extra_certs(c->m);
	a->profile = c->profile;
	if (a->tls_client == NULL)
		return err_fail(e, ERR_POLICY, CMP_NOT_AUTHORIZED,
		    "no TLS client certificate was shown");
	/* A weak key is told as such, not as a chain that cannot be built. */
	if ((a->signer = call_signer(c, e)) == NULL ||
	    key_check(X509_get0_pubkey(a->signer), e) == -1 ||
	    admit_check(c->r, a, e) == -1 ||
	    cmp_verify(c->m, a->signer, e) == -1)
		return -1;
	c->spki = cert_spki_digest(a->signer);
	c->row = entry_row(ENTRY_CMP, &c->spki, cmp_transaction_id(c->m), 0);
	return 0;
}

/* DECISIONS 7: certProfile, else the path's name; both and different is an
 * error. */
static int
call_profile(struct call *c, struct err *e)
{
	const char *in_header = cmp_profile(c->m);

	if (in_header[0] == '\0')
		return 0;
	if (c->profile[0] != '\0' && strcmp(c->profile, in_header) != 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "certProfile differs from the path's profile");
	str_copy(c->profile, sizeof(c->profile), in_header);
	return 0;
}

/* ---- waiting for the entry to move ------------------------------------ */

static void
call_hold_over(void *owner, const struct outbox_entry *en, const struct err *e)
{
	struct call *c = owner;

	if (en == NULL) {
		call_error(c, e);
		return;
	}
	c->entry = *en;
	c->held_done(c);
}

/* The entry stays, the call ends. */
static void
call_hold_gone(void *owner)
{
	call_free(owner);
}

void
call_hold(
    struct call *c, const struct digest *row, void (*done)(struct call *c))
{
	c->held_done = done;
	c->hold.owner = c;
	c->hold.over = call_hold_over;
	c->hold.gone = call_hold_gone;
	if (!hold_start(&c->hold, c->f, c->q, &c->entry, row))
		done(c);
}

/* ---- requests --------------------------------------------------------- */

/* What a request is told, by what is known of its entry. */
static void
call_by_state(struct call *c)
{
	if (registrar_deliverable(&c->entry))
		call_final(c);
	else if (entry_terminal(c->entry.state))
		call_ended(c);
	else
		call_waiting(c);
}

static void
call_note_accepted(struct call *c)
{
	char id[ENTRY_ID_TEXT];

	atomic_fetch_add(&c->r->metrics.accepted, 1);
	log_event(LOG_INFO, "queue.accepted", "id", "%s",
	    entry_id_format(id, outbox_epoch(c->r->outbox), c->entry.id),
	    "device", "%s", c->admit.serial, "vendor", "%s", c->admit.vendor,
	    "what", "%s", cmp_body_name(cmp_body(c->m)), "replaces", "%llu",
	    (unsigned long long)c->accept.superseded, NULL);
}

static void
call_accepted(struct outbox_accept *a, const struct err *e)
{
	struct call *c = a->user;

	if (e != NULL) {
		call_not_stored(c, e);
		return;
	}
	c->entry = a->entry;
	if (!a->replay)
		call_note_accepted(c);
	call_hold(c, &c->row, call_by_state);
}

static int
call_store(struct call *c, struct err *e)
{
	struct outbox_accept *a = &c->accept;

	if (cmp_nest(c->m, c->r->signer, &c->wrapped, e) == -1)
		return -1;
	a->kind = ENTRY_CMP;
	a->row = c->row;
	/* What an enrolled device asks for ends nothing else of its. */
	a->initial = !c->admit.ldevid && cmp_body(c->m) != CMP_GENM;
	a->device = cert_device(c->admit.signer, c->profile);
	a->bytes = cmp_der(c->m);
	a->wrapped = buf_bytes(&c->wrapped);
	a->facts = &c->admit.facts;
	a->label = c->admit.serial;
	a->vendor = c->admit.vendor;
	a->received = clock_now();
	if (a->received.quality >= CLOCK_RTC)
		a->deadline = a->received.time + c->r->conf.deadline / 1000;
	a->user = c;
	outbox_accept(c->r->outbox, a, call_accepted, loop_poster(c->f->loop));
	return 0;
}

void
call_enter(struct call *c)
{
	struct err e = ERR_INIT;
	struct digest digest = digest_of(cmp_der(c->m).p, cmp_der(c->m).len);
	int found = outbox_find(c->r->outbox, &c->row, &c->entry, &e);

	if (found == 1 && digest_eq(&c->entry.digest, &digest)) {
		call_hold(c, &c->row, call_by_state);
		return;
	}
	if (found == 1)
		err_fail(&e, ERR_POLICY, CMP_TRANSACTION_ID_IN_USE,
		    "transactionID is in use by another request");
	if (found != 0)
		call_error(c, &e);
	else if (admit_new(c->r, &c->admit, &e) == -1)
		call_revoked(c, &e);
	else if (call_store(c, &e) == -1)
		call_error(c, &e);
}

/* RFC 9483 3.5: the path of the signer's certificate does not hold; 4.2 has
 * another word for what is revoked already. */
void
call_revoked(struct call *c, struct err *e)
{
	if (e->fail == CMP_CERT_REVOKED && cmp_body(c->m) == CMP_RR) {
		call_rejection(c, e);
		return;
	}
	e->fail = CMP_SIGNER_NOT_TRUSTED;
	call_error(c, e);
}

void
call_request(struct call *c)
{
	struct err e = ERR_INIT;

	if (cmp_read_request(c->m, &c->want, &e) == -1)
		call_rejection(c, &e);
	else
		call_enter(c);
}

/*
 * What is polled for: the request, or the certConf after it.  The nonce that
 * the poll answers is bound to the row of one of them.
 */
static int
poll_find(struct call *c, struct err *e)
{
	const uint8_t *key = outbox_nonce_key(c->r->outbox);
	struct bytes nonce = cmp_recip_nonce(c->m);
	struct outbox_entry conf;
	int found = outbox_find(c->r->outbox, &c->row, &c->entry, e);

	if (found == -1)
		return -1;
	if (found == 0)
		return err_fail(e, ERR_INPUT, CMP_BAD_REQUEST,
		    "no transaction of this device has this transactionID");
	if (nonce_check(key, &c->row, nonce))
		return 0;
	if (!call_confirm_find(c, &conf) || !nonce_check(key, &conf.row, nonce))
		return err_fail(e, ERR_INPUT, CMP_BAD_RECIPIENT_NONCE,
		    "recipNonce is none of ours in this transaction");
	c->entry = conf;
	c->row = conf.row;
	return 0;
}

/* RFC 9483 4.4: answered from what is stored; writes nothing. */
static void
call_poll(struct call *c)
{
	struct err e = ERR_INIT;
	long id;

	if (cmp_read_pollreq(c->m, &id, &e) == -1 || poll_find(c, &e) == -1)
		call_error(c, &e);
	else if (c->entry.step > 0)
		call_confirm_poll(c, id);
	else if (registrar_deliverable(&c->entry))
		call_final(c);
	else if (entry_terminal(c->entry.state))
		call_ended(c);
	else
		call_pollrep(c, id);
}

/* RFC 9483 3.6.1: answered and logged, not sent upstream. */
static void
call_device_error(struct call *c)
{
	struct cmp_response what = { 0 };
	struct err e = ERR_INIT;

	if (cmp_read_error(c->m, &what, &e) == -1) {
		call_error(c, &e);
		return;
	}
	log_event(LOG_WARN, "cmp.device-error", "device", "%s", c->admit.serial,
	    "reason", "%s", what.text, NULL);
	cmp_response_done(&what);
	call_pkiconf(c);
}

static const struct {
	enum cmp_body body;
	enum admit_as as; /* later messages: by whom the first one was */
	void (*handle)(struct call *c);
} handlers[] = {
	{ CMP_IR, ADMIT_IDEVID, call_request },
	{ CMP_CR, ADMIT_LDEVID, call_request },
	{ CMP_P10CR, ADMIT_IDEVID, call_request },
	{ CMP_KUR, ADMIT_LDEVID, call_renew },
	{ CMP_RR, ADMIT_LDEVID, call_revoke },
	/* A template is of use before there is an LDevID. */
	{ CMP_GENM, ADMIT_EITHER, call_info },
	{ CMP_POLLREQ, ADMIT_EITHER, call_poll },
	{ CMP_CERTCONF, ADMIT_EITHER, call_certconf },
	{ CMP_ERROR, ADMIT_EITHER, call_device_error },
};

void
call_dispatch(struct call *c)
{
	struct err e = ERR_INIT;
	enum cmp_body body = cmp_body(c->m);

	if (body == CMP_NESTED) {
		call_nested(c);
		return;
	}
	for (size_t i = 0; i < NELEMS(handlers); i++) {
		if (handlers[i].body != body)
			continue;
		if (cmp_check_header(c->m, &e) == -1 ||
		    call_profile(c, &e) == -1 ||
		    call_admit(c, handlers[i].as, &e) == -1)
			call_error(c, &e);
		else
			handlers[i].handle(c);
		return;
	}
	err_fail(&e, ERR_INPUT, CMP_BAD_REQUEST,
	    "body type %s (%d) is not spoken here", cmp_body_name(body),
	    (int)body);
	call_error(c, &e);
}

void
call_start(struct front *f, struct https_req *q, const char *path_profile)
{
	struct call *c = xcalloc(1, sizeof(*c));
	struct err e = ERR_INIT;

	c->f = f;
	c->r = f->r;
	c->q = q;
	str_copy(c->profile, sizeof(c->profile), path_profile);
	/* Most show the same certificates again in the message. */
	cert_memo_keep(https_peer_cert(q), https_peer_chain(q));
	if (cmp_parse(https_body(q), &c->m, &e) == 0)
		call_dispatch(c);
	else if ((c->m = cmp_parse_refused(https_body(q))) != NULL)
		call_error(c, &e);
	else
		call_unreadable(c, &e);
}
