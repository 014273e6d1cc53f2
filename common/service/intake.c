#include "common/service/intake.h"

#include <string.h>
#include "common/base/log.h"
#include "common/service/intake_int.h"
#include "common/service/pulls.h"
#include "common/service/reference.h"
#include "common/service/standings.h"
#include "common/service/words.h"

#define RETRY_AFTER  30 /* seconds, for what is not the peer's to change */
/* Entries are taken up to here; what is left is for their answers. */
#define FULL_PERCENT 85

/* ---- refusals ---------------------------------------------------------- */

void
intake_nack(struct wire_req *req, uint64_t tag, const char *event,
    enum log_level level, const struct err *e)
{
	struct buf out AUTO_BUF = { 0 };

	log_err(level, event, e, "site", "%s", wire_site(req), NULL);
	frame_nack(tag, RETRY_AFTER, e->msg, &out);
	wire_reply(req, buf_bytes(&out));
}

int
intake_check_site(const struct wire_req *req, const char *site, struct err *e)
{
	if (strcmp(site, wire_site(req)) == 0)
		return 0;
	log_event(LOG_ALARM, "link.wrong-site", "site", "%s", wire_site(req),
	    "claims", "%s", site, NULL);
	return err_set(e, ERR_POLICY, "frame: of site %s, the link's is %s",
	    site, wire_site(req));
}

/* ---- PUT --------------------------------------------------------------- */

/* One entry while it is committed; its octets stay the request's. */
struct put {
	struct service *service;
	struct wire_req *req;
	uint64_t tag;
	struct entry_header h;
	struct ledger_receive receive;
	struct ledger_refuse refuse;
	char reason[160];
};

static void
put_end(
    struct put *p, const struct ledger_batch *told, const struct err *failed)
{
	struct ledger_batch *b = (struct ledger_batch *)told;

	if (failed != NULL)
		intake_nack(p->req, p->tag, "ledger.failed", LOG_ERROR, failed);
	else
		pulls_reply_stored(p->req, p->tag, told);
	ledger_batch_done(b);
	free(p);
}

static void
put_log(const struct put *p, enum log_level level, const char *event,
    const char *reason)
{
	char id[ENTRY_ID_TEXT];

	log_event(level, event, "site", "%s", p->h.site, "id", "%s",
	    entry_id_format(id, p->h.epoch, p->h.id), "reason", "%s", reason,
	    NULL);
}

static void
put_stored(struct put *p)
{
	struct ledger_receive *x = &p->receive;
	struct service *s = p->service;

	if (x->suspended) {
		log_event(LOG_ALARM, "site.audit-goes-back", "site", "%s",
		    p->h.site, NULL);
		service_heard(s, p->h.site, false);
	}
	if (x->withdrawn != 0)
		s->trade->withdrawn(s, x->withdrawn);
	if (!words_kind(p->h.kind))
		s->trade->stored(s, x->id);
}

static void
put_received(void *arg, const struct err *failed)
{
	struct ledger_receive *x = arg;
	struct put *p = x->user;
	struct err e = ERR_INIT;

	if (failed == NULL && x->met == LEDGER_NOT_NOW) {
		err_set(&e, ERR_RETRY, "entry: its site is not sound");
		failed = &e;
	} else if (failed == NULL && x->met == LEDGER_NEW) {
		put_log(p, LOG_INFO, "entry.seen", "new");
		put_stored(p);
	} else if (failed == NULL && x->met == LEDGER_AGAIN) {
		put_log(p, LOG_INFO, "entry.seen", "again");
	} else if (failed == NULL) {
		log_event(LOG_ALARM, "entry.conflict", "site", "%s", p->h.site,
		    "first", "%s", x->first_site, "reason", "%s",
		    x->met == LEDGER_ELSEWHERE ? "handled elsewhere"
					       : "id stood for other octets",
		    NULL);
	}
	put_end(p, &x->told, failed);
}

static void
put_refused(void *arg, const struct err *failed)
{
	struct ledger_refuse *x = arg;
	struct put *p = x->user;
	struct err e = ERR_INIT;

	if (failed == NULL && x->not_now) {
		err_set(&e, ERR_RETRY, "entry: its site is not sound");
		failed = &e;
	}
	put_log(p, LOG_WARN, batch_code_name(x->code), p->reason);
	put_end(p, &x->told, failed);
}

X509 *
intake_authentic(struct service *s, const struct wire_req *req,
    struct bytes header, struct bytes sig, struct entry_header *ret,
    struct err *e)
{
	X509 *cert;

	if (entry_header_parse(header, ret, e) == -1 ||
	    intake_check_site(req, ret->site, e) == -1 ||
	    (cert = sites_find(s->sites, ret->site, &ret->signer, e)) == NULL ||
	    sign_check(cert, ENTRY_LABEL, header, sig, e) == -1)
		return NULL;
	return cert;
}

/* Its memory and ours may differ, or they do. */
static int
check_sound(const struct service *s, const char *site, struct err *e)
{
	if (service_sound(s, site))
		return 0;
	return err_set(e, ERR_RETRY, "site %s: %s", site,
	    standings_heard(s->standings, site)
		? "suspended: waybill ra recover"
		: "no HELLO since we started");
}

static X509 *
put_authentic(struct service *s, const struct wire_req *req,
    const struct frame *f, struct entry_header *ret, struct err *e)
{
	struct ledger_site known;
	X509 *cert;
	int rc;

	if ((cert = intake_authentic(
		 s, req, f->u.put.header, f->u.put.sig, ret, e)) == NULL ||
	    check_sound(s, ret->site, e) == -1)
		return NULL;
	if (ledger_used_percent(s->ledger) >= FULL_PERCENT) {
		err_set(e, ERR_RETRY, "entry: the ledger is full");
		return NULL;
	}
	if ((rc = ledger_site(s->ledger, ret->site, &known, e)) == -1)
		return NULL;
	/* Its receipt would go where nobody reads: an older copy of the site
	 * may still be on its way. */
	if (rc == 0 || memcmp(known.epoch, ret->epoch, ENTRY_EPOCH_LEN) != 0) {
		err_set(e, ERR_RETRY, "entry: of another epoch than HELLO's");
		return NULL;
	}
	return cert;
}

struct digest
intake_once(const struct entry_header *h, struct bytes device)
{
	return words_kind(h->kind) ? words_once(h, device)
				   : entry_once(h->kind, device);
}

static void
put_store(struct put *p, const struct frame *f, struct bytes inner)
{
	struct service *s = p->service;

	p->receive = (struct ledger_receive){
		.h = &p->h,
		.header = f->u.put.header,
		.sig = f->u.put.sig,
		.octets = f->u.put.octets,
		.once = intake_once(&p->h, inner),
		.user = p,
	};
	ledger_receive(
	    s->ledger, &p->receive, put_received, loop_poster(s->loop));
}

/* Nothing is kept of it. */
static void
put_nack(struct put *p, const struct err *e)
{
	if (e->kind == ERR_RETRY)
		intake_nack(p->req, p->tag, "entry.later", LOG_WARN, e);
	else
		intake_nack(p->req, p->tag, "entry.refused", LOG_ALARM, e);
	free(p);
}

static void
put_refuse(struct put *p, enum batch_code code, const struct err *e)
{
	struct service *s = p->service;

	entry_text(p->reason, sizeof(p->reason), e->msg);
	p->refuse = (struct ledger_refuse){
		.h = &p->h,
		.code = code,
		.reason = p->reason,
		.user = p,
	};
	ledger_refuse(s->ledger, &p->refuse, put_refused, loop_poster(s->loop));
}

int
intake_unwrap(const struct service *s, const struct entry_header *h, X509 *cert,
    struct bytes octets, struct buf *ret, enum batch_code *ret_code,
    struct err *e)
{
	if (words_kind(h->kind)) {
		*ret_code = BATCH_BAD_SCHEMA;
		if (words_check(h, octets, e) == -1)
			return -1;
		buf_add(ret, octets.p, octets.len);
		return 0;
	}
	*ret_code = BATCH_NOT_AUTHORISED;
	if ((s->trade->kinds & (1U << h->kind)) == 0)
		return err_set(e, ERR_POLICY, "entry: kind %s is not ours",
		    entry_kind_name(h->kind));
	return s->trade->unwrap(h, cert, octets, ret, ret_code, e);
}

static void
take_put(struct service *s, struct wire_req *req, const struct frame *f)
{
	struct put *p = xcalloc(1, sizeof(*p));
	struct buf device AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	enum batch_code code;
	X509 *cert;

	p->service = s;
	p->req = req;
	p->tag = f->tag;
	if ((cert = put_authentic(s, req, f, &p->h, &e)) == NULL) {
		put_nack(p, &e);
	} else if (intake_unwrap(s, &p->h, cert, f->u.put.octets, &device,
		       &code, &e) == 0) {
		put_store(p, f, buf_bytes(&device));
	} else if (e.kind == ERR_LOCAL || e.kind == ERR_RETRY) {
		put_nack(p, &e);
	} else {
		put_refuse(p, code, &e);
	}
}

/* ---- PULL, GOT, PING --------------------------------------------------- */

static void
take_pull(struct service *s, struct wire_req *req, const struct frame *f)
{
	struct err e = ERR_INIT;

	if (intake_check_site(req, f->u.pull.site, &e) == -1 ||
	    check_sound(s, f->u.pull.site, &e) == -1)
		intake_nack(req, f->tag, "link.pull-refused", LOG_WARN, &e);
	else
		pulls_add(s->pulls, req, f);
}

void
intake_ping(struct wire_req *req, uint64_t tag)
{
	struct buf out AUTO_BUF = { 0 };

	frame_ping(tag, &out);
	wire_reply(req, buf_bytes(&out));
}

struct got {
	struct wire_req *req;
	uint64_t tag;
	char site[ENTRY_NAME_MAX];
	struct ledger_got x;
};

static void
got_noted(void *arg, const struct err *failed)
{
	struct ledger_got *x = arg;
	struct got *g = x->user;
	struct err e = ERR_INIT;

	if (failed == NULL && x->recovered)
		log_event(LOG_WARN, "site.recovered", "site", "%s", g->site,
		    "seq", "%llu", (unsigned long long)x->upto, NULL);
	if (failed == NULL && x->ignored) {
		err_set(&e, ERR_RETRY, "site %s: suspended", g->site);
		failed = &e;
	}
	if (failed != NULL)
		intake_nack(g->req, g->tag, "ledger.failed", LOG_ERROR, failed);
	else
		intake_ping(g->req, g->tag);
	free(g);
}

static void
take_got(struct service *s, struct wire_req *req, const struct frame *f)
{
	struct err e = ERR_INIT;
	struct got *g;

	if (intake_check_site(req, f->u.got.site, &e) == -1) {
		intake_nack(req, f->tag, "link.got-refused", LOG_WARN, &e);
		return;
	}
	g = xcalloc(1, sizeof(*g));
	g->req = req;
	g->tag = f->tag;
	memcpy(g->site, f->u.got.site, sizeof(g->site));
	g->x = (struct ledger_got){
		.site = g->site, .upto = f->u.got.upto, .user = g
	};
	ledger_got(s->ledger, &g->x, got_noted, loop_poster(s->loop));
}

static void
take_ping(struct service *s, struct wire_req *req, const struct frame *f)
{
	(void)s;
	intake_ping(req, f->tag);
}

static void
take_ask(struct service *s, struct wire_req *req, const struct frame *f)
{
	struct buf out AUTO_BUF = { 0 };
	struct err e = ERR_INIT;

	if (intake_check_site(req, f->u.ask.site, &e) == -1) {
		intake_nack(req, f->tag, "link.ask-refused", LOG_WARN, &e);
		return;
	}
	reference_answer(s->reference, f, &out);
	wire_reply(req, buf_bytes(&out));
}

/* ---- any frame --------------------------------------------------------- */

/* Deny by default: a type without a row is refused. */
static void (*const takers[FRAME_TYPE__MAX])(
    struct service *s, struct wire_req *req, const struct frame *f) = {
	[FRAME_HELLO] = intake_hello,
	[FRAME_PUT] = take_put,
	[FRAME_PULL] = take_pull,
	[FRAME_GOT] = take_got,
	[FRAME_PING] = take_ping,
	[FRAME_ASK] = take_ask,
	[FRAME_EVIDENCE] = intake_evidence,
};

void
intake_request(struct wire_req *req, void *arg)
{
	struct frame f AUTO_FRAME = { 0 };
	struct err e = ERR_INIT;
	struct service *s = arg;

	if (frame_parse(wire_body(req), &f, &e) == -1) {
		intake_nack(req, 0, "link.bad-frame", LOG_ALARM, &e);
		return;
	}
	if (takers[f.type] == NULL) {
		err_set(&e, ERR_INPUT, "frame: %s is not a site's",
		    frame_type_name(f.type));
		intake_nack(req, f.tag, "link.bad-frame", LOG_ALARM, &e);
		return;
	}
	takers[f.type](s, req, &f);
}
