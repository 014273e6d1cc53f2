#include "registrar/vcall.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/cert_memo.h"
#include "common/pki/certfacts.h"
#include "common/pki/voucher.h"
#include "registrar/admit.h"
#include "registrar/ending.h"
#include "registrar/hold.h"
#include "registrar/prefetch.h"
#include "registrar/rvr.h"
#include "registrar/vjudge.h"

struct vcall {
	struct front *f;
	struct registrar *r;
	struct https_req *q;
	struct cms_signed cms;
	struct vch_request request;
	struct admit admit;
	struct digest row;
	struct buf rvr;
	struct outbox_accept accept;
	struct outbox_entry entry;
	struct hold hold;
	bool held; /* and nothing came */
};

static void
vcall_free(struct vcall *c)
{
	cms_signed_done(&c->cms);
	vch_request_done(&c->request);
	buf_done(&c->rvr);
	free(c);
}

/* ---- ends ------------------------------------------------------------- */

/* One plain line of UTF-8 (RFC 8995 5.6). */
static void
vcall_refuse(struct vcall *c, int status, const struct err *e)
{
	struct buf line AUTO_BUF = { 0 };

	atomic_fetch_add(&c->r->metrics.refused, 1);
	log_err(LOG_WARN, "voucher.refused", e, "status", "%d", status,
	    "device", "%s", c->admit.serial[0] != '\0' ? c->admit.serial : NULL,
	    "from", "%s", https_peer_addr(c->q), NULL);
	buf_printf(&line, "%s\n", e->msg);
	https_reply(c->q,
	    &(struct https_answer){ .status = status,
		.type = "text/plain; charset=utf-8",
		.body = buf_bytes(&line),
		.close = status == 401,
		.retry_after = status == 503
		    ? registrar_unavailable(c->r, ENTRY_VOUCHER)
		    : 0 });
	vcall_free(c);
}

/* RFC 8995 5.3 and 5.6, as far as the kind of an error decides it. */
static int
vcall_status(const struct err *e)
{
	switch ((int)e->kind) {
	case ERR_INPUT:
		return 400;
	case ERR_TRUST:
		return 403;
	case ERR_POLICY:
		return 404;
	default:
		return err_http_status(e->kind);
	}
}

/* RFC 8995 5.6: pending; the pledge asks again with the same octets. */
static void
vcall_later(struct vcall *c)
{
	https_reply(c->q,
	    &(struct https_answer){ .status = 202,
		.retry_after = registrar_again(c->r, ENTRY_VOUCHER,
		    c->r->conf.brski.retry_after,
		    c->r->conf.brski.retry_after_max) });
	vcall_free(c);
}

struct vdelivery {
	struct registrar *r;
	struct loop *loop;
	struct outbox_move move;
	char reason[200];
	struct buf answer; /* of an end */
	struct bytes answers[1];
};

static void
vdelivery_free(struct vdelivery *d)
{
	buf_done(&d->answer);
	free(d);
}

static void
vdelivery_done(struct outbox_move *m, const struct err *e)
{
	if (e != NULL)
		log_err(LOG_ERROR, "voucher.not-moved", e, NULL);
	vdelivery_free(m->user);
}

static void
vdelivery_move(struct vdelivery *d)
{
	outbox_move(
	    d->r->outbox, &d->move, vdelivery_done, loop_poster(d->loop));
}

static void
vdelivery_flushed(void *arg, bool ok)
{
	if (ok)
		vdelivery_move(arg);
	else
		vdelivery_free(arg);
}

static struct vdelivery *
vdelivery_new(
    const struct vcall *c, uint64_t id, enum entry_event ev, const char *reason)
{
	struct vdelivery *d = xcalloc(1, sizeof(*d));

	d->r = c->r;
	d->loop = c->f->loop;
	str_copy(d->reason, sizeof(d->reason), reason);
	d->move = (struct outbox_move){ .event = ev,
		.ids = { id },
		.n = 1,
		.who = "registrar",
		.carrier = "voucher",
		.reason = d->reason,
		.user = d };
	return d;
}

struct vnote {
	struct outbox_note note;
	char detail[64];
};

static void
vnote_done(struct outbox_note *n, const struct err *e)
{
	if (e != NULL)
		log_err(LOG_ERROR, "voucher.not-noted", e, NULL);
	free(n->user);
}

/* The entry's voucher, unchanged, as RFC 8995 5.6 wants it. */
static void
vcall_voucher(struct vcall *c, uint64_t id, struct bytes voucher)
{
	atomic_fetch_add(&c->r->metrics.vouchers_issued, 1);
	log_event(LOG_INFO, "voucher.delivered", "device", "%s",
	    c->admit.serial, NULL);
	https_reply(c->q,
	    &(struct https_answer){ .status = 200,
		.type = VCALL_TYPE,
		.body = voucher,
		.flushed = vdelivery_flushed,
		.arg = vdelivery_new(c, id, ENTRY_EV_DELIVER, "") });
	vcall_free(c);
}

/* In the trail of the request that it answers for now. */
static void
vcall_note_nonceless(struct vcall *c, uint64_t id)
{
	struct vnote *n;
	char text[ENTRY_ID_TEXT];

	if (front_noted(c->f, c->entry.id))
		return;
	n = xcalloc(1, sizeof(*n));
	snprintf(n->detail, sizeof(n->detail), "nonceless voucher %s on hand",
	    entry_id_format(text, outbox_epoch(c->r->outbox), id));
	n->note = (struct outbox_note){ .id = c->entry.id,
		.event = "used",
		.who = "registrar",
		.detail = n->detail,
		.user = n };
	outbox_note(
	    c->r->outbox, &n->note, vnote_done, loop_poster(c->f->loop));
}

static void
vcall_withhold(struct vcall *c, int status, const char *reason)
{
	struct err e = ERR_INIT;

	struct vdelivery *d =
	    vdelivery_new(c, c->entry.id, ENTRY_EV_WITHDRAW, reason);

	atomic_fetch_add(&c->r->metrics.vouchers_withheld, 1);
	err_set(&e, ERR_POLICY, "%s", reason);
	ending_voucher(status, reason, &d->answer);
	d->answers[0] = buf_bytes(&d->answer);
	d->move.answers = d->answers;
	vdelivery_move(d);
	vcall_refuse(c, status, &e);
}

static void
vcall_answered(struct vcall *c)
{
	struct buf octets AUTO_BUF = { 0 };
	struct vjudge j = { 0 };
	struct err e = ERR_INIT;

	if (outbox_answer(c->r->outbox, &c->entry, &octets, &e) == -1 ||
	    vjudge_answer(c->r, buf_bytes(&octets), &c->request,
		c->admit.signer, c->admit.vendor, &j, &e) == -1)
		vcall_refuse(c, 500, &e);
	else if (j.withhold)
		vcall_withhold(c, ending_status(buf_bytes(&octets)), j.reason);
	else
		vcall_voucher(c, c->entry.id, j.voucher);
}

/* The same status as when it was withheld. */
static void
vcall_ended(struct vcall *c)
{
	struct buf octets AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	int status = 406;

	if (c->entry.answer_value != 0 &&
	    outbox_answer(c->r->outbox, &c->entry, &octets, &e) == 0)
		status = ending_status(buf_bytes(&octets));
	err_set(&e, ERR_POLICY, "%s: %s", entry_state_name(c->entry.state),
	    c->entry.reason);
	vcall_refuse(c, status, &e);
}

/* No link to its service, or it had the time and did not answer. */
static bool
masa_out_of_reach(const struct vcall *c)
{
	const struct service *s = registrar_service(c->r, ENTRY_VOUCHER);

	return c->held || s == NULL || !atomic_load(&s->contact.up);
}

static void
vcall_open(struct vcall *c)
{
	struct buf voucher AUTO_BUF = { 0 };
	struct outbox_entry en;

	if (masa_out_of_reach(c) &&
	    prefetch_take(c->r, &c->admit, &c->request, &voucher, &en)) {
		vcall_note_nonceless(c, en.id);
		vcall_voucher(c, en.id, buf_bytes(&voucher));
	} else {
		vcall_later(c);
	}
}

static void
vcall_by_state(struct vcall *c)
{
	if (registrar_deliverable(&c->entry))
		vcall_answered(c);
	else if (entry_terminal(c->entry.state))
		vcall_ended(c);
	else
		vcall_open(c);
}

/* ---- waiting ---------------------------------------------------------- */

static void
vcall_hold_over(void *owner, const struct outbox_entry *en, const struct err *e)
{
	struct vcall *c = owner;

	c->held = true;
	if (en == NULL) {
		vcall_refuse(c, 500, e);
		return;
	}
	c->entry = *en;
	vcall_by_state(c);
}

static void
vcall_hold_gone(void *owner)
{
	vcall_free(owner);
}

static void
vcall_wait(struct vcall *c)
{
	c->hold.owner = c;
	c->hold.over = vcall_hold_over;
	c->hold.gone = vcall_hold_gone;
	if (!hold_start(&c->hold, c->f, c->q, &c->entry, &c->row))
		vcall_by_state(c);
}

/* ---- accepting -------------------------------------------------------- */

static void
vcall_accepted(struct outbox_accept *a, const struct err *e)
{
	struct vcall *c = a->user;
	char id[ENTRY_ID_TEXT];

	if (e != NULL) {
		vcall_refuse(
		    c, e->kind == ERR_POLICY ? 403 : vcall_status(e), e);
		return;
	}
	c->entry = a->entry;
	if (!a->replay) {
		atomic_fetch_add(&c->r->metrics.accepted, 1);
		log_event(LOG_INFO, "queue.accepted", "id", "%s",
		    entry_id_format(
			id, outbox_epoch(c->r->outbox), c->entry.id),
		    "device", "%s", c->admit.serial, "vendor", "%s",
		    c->admit.vendor, "what", "%s", "voucher request", NULL);
	}
	vcall_wait(c);
}

static int
vcall_store(struct vcall *c, struct err *e)
{
	struct outbox_accept *a = &c->accept;
	struct bytes body = https_body(c->q);

	if (rvr_make(c->r, body, &c->request, c->admit.signer, c->admit.serial,
		&c->rvr, e) == -1)
		return -1;
	a->kind = ENTRY_VOUCHER;
	a->row = c->row;
	a->initial = true;
	a->device = cert_device(c->admit.signer, "");
	a->bytes = body;
	a->wrapped = buf_bytes(&c->rvr);
	a->facts = &c->admit.facts;
	a->label = c->admit.serial;
	a->vendor = c->admit.vendor;
	a->received = clock_now();
	if (a->received.quality >= CLOCK_RTC)
		a->deadline = a->received.time + c->r->conf.deadline / 1000;
	a->user = c;
	outbox_accept(c->r->outbox, a, vcall_accepted, loop_poster(c->f->loop));
	return 0;
}

/* The nonce is what tells one attempt of a pledge from the next. */
static struct digest
vcall_row(const struct vcall *c)
{
	struct digest spki = cert_spki_digest(c->admit.signer);
	struct digest whole =
	    digest_of(https_body(c->q).p, https_body(c->q).len);
	struct bytes tid = c->request.nonce[0] != '\0'
	    ? bytes_of(c->request.nonce, strlen(c->request.nonce))
	    : bytes_of(whole.b, 16);

	return entry_row(ENTRY_VOUCHER, &spki, tid, 0);
}

static void
vcall_find(struct vcall *c)
{
	struct digest digest =
	    digest_of(https_body(c->q).p, https_body(c->q).len);
	struct err e = ERR_INIT;
	int found;

	c->row = vcall_row(c);
	found = outbox_find(c->r->outbox, &c->row, &c->entry, &e);
	if (found == 1 && digest_eq(&c->entry.digest, &digest)) {
		vcall_wait(c);
		return;
	}
	if (found == 1)
		err_set(&e, ERR_TRUST,
		    "RFC 8995 5.6: this nonce belongs to another request");
	if (found != 0 || vcall_store(c, &e) == -1)
		vcall_refuse(c, vcall_status(&e), &e);
}

/* ---- checking --------------------------------------------------------- */

/* RFC 8995 5.2: what the pledge saw on this connection was us. */
static int
vcall_proximity(const struct vcall *c, struct err *e)
{
	struct buf own AUTO_BUF = { 0 };

	ossl_cert_der(c->r->signer->cert, &own);
	if (c->request.assertion != VCH_PROXIMITY)
		return err_set(
		    e, ERR_POLICY, "RFC 8995 5.2: assertion is not proximity");
	if (!bytes_eq(buf_bytes(&own), buf_bytes(&c->request.proximity)))
		return err_set(e, ERR_POLICY,
		    "RFC 8995 5.2: proximity-registrar-cert is not ours");
	return 0;
}

static int
vcall_read(struct vcall *c, int *ret_status, struct err *e)
{
	*ret_status = 401;
	if (https_peer_cert(c->q) == NULL)
		return err_set(e, ERR_POLICY,
		    "RFC 8995 5.1: no TLS client certificate was shown");
	*ret_status = 0;
	if (cms_open(https_body(c->q), https_peer_cert(c->q), &c->cms, e) == -1)
		return -1;
	*ret_status = 406;
	if (c->cms.type != nid_json_voucher() && c->cms.type != NID_pkcs7_data)
		return err_set(e, ERR_INPUT,
		    "RFC 8995 5.3: the signed content is no JSON voucher "
		    "request");
	*ret_status = 0;
	return vch_request_parse(buf_bytes(&c->cms.content), &c->request, e);
}

static int
vcall_check(struct vcall *c, int *ret_status, struct err *e)
{
	struct admit *a = &c->admit;

	if (vcall_read(c, ret_status, e) == -1)
		return -1;
	a->kind = ENTRY_VOUCHER;
	a->travels = true;
	a->signer = c->cms.signer;
	a->sent = c->cms.certs;
	a->tls_client = https_peer_cert(c->q);
	a->tls_sent = https_peer_chain(c->q);
	a->profile = "";
	if (admit_check(c->r, a, e) == -1)
		return -1;
	if (strcmp(c->request.serial, a->serial) != 0)
		return err_set(e, ERR_POLICY,
		    "RFC 8995 5.3: serial-number is not the IDevID's");
	*ret_status = 401;
	return vcall_proximity(c, e);
}

static bool
vcall_accepts(const struct https_req *q)
{
	const char *accept = https_header(q, "Accept");

	return accept == NULL || strstr(accept, VCALL_TYPE) != NULL ||
	    strstr(accept, "*/*") != NULL ||
	    strstr(accept, "application/*") != NULL;
}

void
vcall_start(struct front *f, struct https_req *q)
{
	struct vcall *c = xcalloc(1, sizeof(*c));
	struct err e = ERR_INIT;
	int status = 0;

	c->f = f;
	c->r = f->r;
	c->q = q;
	cert_memo_keep(https_peer_cert(q), https_peer_chain(q));
	if (!vcall_accepts(q)) {
		err_set(&e, ERR_INPUT,
		    "RFC 8995 5.3: only " VCALL_TYPE " is made here");
		vcall_refuse(c, 406, &e);
	} else if (vcall_check(c, &status, &e) == -1) {
		vcall_refuse(c, status != 0 ? status : vcall_status(&e), &e);
	} else {
		vcall_find(c);
	}
}
