/* EVIDENCE: what a site in recovery knows of the entries that had left it. */
#include "common/service/intake_int.h"
#include "common/service/words.h"

struct evidence {
	struct service *service;
	struct wire_req *req;
	uint64_t tag;
	struct entry_header h;
	struct service_proof proof;
	struct ledger_evidence x;
};

static void
evidence_free(struct evidence *v)
{
	service_proof_done(&v->proof);
	free(v);
}

static void
evidence_log(const struct evidence *v)
{
	static const struct {
		enum log_level level;
		const char *event;
	} said[] = {
		[LEDGER_LEARNT] = { LOG_INFO, "evidence.learnt" },
		[LEDGER_KNOWN] = { LOG_DEBUG, "evidence.known" },
		[LEDGER_DOUBTED] = { LOG_WARN, "evidence.unknown" },
		[LEDGER_CONTRADICTED] = { LOG_ALARM, "evidence.contradicts" },
		[LEDGER_NOT_ASKED] = { LOG_WARN, "evidence.not-asked" },
	};
	char id[ENTRY_ID_TEXT];

	log_event(said[v->x.is].level, said[v->x.is].event, "site", "%s",
	    v->h.site, "id", "%s", entry_id_format(id, v->h.epoch, v->h.id),
	    "case", "%llu", (unsigned long long)v->x.id, "certificate", "%s",
	    v->proof.serial, NULL);
}

static void
evidence_noted(void *arg, const struct err *failed)
{
	struct ledger_evidence *x = arg;
	struct evidence *v = x->user;
	struct err e = ERR_INIT;

	if (failed == NULL && x->is == LEDGER_NOT_ASKED) {
		err_set(&e, ERR_RETRY, "evidence: site %s is not recovering",
		    v->h.site);
		failed = &e;
	}
	if (failed == NULL || x->is == LEDGER_NOT_ASKED)
		evidence_log(v);
	if (failed == NULL && x->is == LEDGER_LEARNT && x->proof.revoke != 0)
		v->service->trade->revoked(v->service);
	if (failed != NULL)
		intake_nack(
		    v->req, v->tag, "evidence.refused", LOG_ERROR, failed);
	else
		intake_ping(v->req, v->tag);
	evidence_free(v);
}

static void
evidence_submit(
    struct evidence *v, const struct frame_evidence *f, struct bytes device)
{
	struct service *s = v->service;
	bool repeatable = s->trade->prove == NULL || v->h.step > 0;

	if (!words_kind(v->h.kind) && s->trade->prove != NULL)
		s->trade->prove(s, &v->h, device, f->answer, &v->proof);
	v->x = (struct ledger_evidence){
		.h = &v->h,
		.header = f->header,
		.sig = f->sig,
		.octets = f->octets,
		.once = intake_once(&v->h, device),
		.repeatable = repeatable,
		.answered = f->answer.len > 0,
		.proof = service_proof_get(&v->proof),
		.user = v,
	};
	ledger_evidence(s->ledger, &v->x, evidence_noted, loop_poster(s->loop));
}

/* Of no use, now or later: there can be no case of it. */
static void
evidence_useless(struct evidence *v, const struct err *e)
{
	log_err(
	    LOG_ALARM, "evidence.useless", e, "site", "%s", v->h.site, NULL);
	intake_ping(v->req, v->tag);
	evidence_free(v);
}

/* Asked for, answered, and to ask again does no harm: nothing is missing. */
static bool
evidence_needless(const struct evidence *v, const struct frame_evidence *f)
{
	return !words_kind(v->h.kind) && v->service->trade->prove == NULL &&
	    f->answer.len > 0;
}

void
intake_evidence(struct service *s, struct wire_req *req, const struct frame *f)
{
	const struct frame_evidence *ev = &f->u.evidence;
	struct evidence *v = xcalloc(1, sizeof(*v));
	struct buf device AUTO_BUF = { 0 };
	struct err e = ERR_INIT;
	enum batch_code code;
	X509 *cert;

	v->service = s;
	v->req = req;
	v->tag = f->tag;
	cert = intake_authentic(s, req, ev->header, ev->sig, &v->h, &e);
	if (cert == NULL) {
		intake_nack(req, f->tag, "evidence.refused", LOG_ALARM, &e);
		evidence_free(v);
	} else if (evidence_needless(v, ev)) {
		intake_ping(req, f->tag);
		evidence_free(v);
	} else if (intake_unwrap(
		       s, &v->h, cert, ev->octets, &device, &code, &e) == 0) {
		evidence_submit(v, ev, buf_bytes(&device));
	} else {
		evidence_useless(v, &e);
	}
}
