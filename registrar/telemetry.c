#include "registrar/telemetry.h"

#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/pki/certfacts.h"
#include "common/pki/voucher.h"
#include "registrar/admit.h"
#include "registrar/prefetch.h"
#include "registrar/reference.h"

#define SCAN_MAX 512 /* entries looked through for an LDevID's enrolment */

/* ---- who reports ------------------------------------------------------ */

struct reporter {
	X509 *cert;
	const char *anchor; /* its vendor, or the domain's */
	char serial[CERT_TEXT_MAX];
	bool ldevid; /* came with the new certificate */
};

static int
reporter_check(const struct registrar *r, const struct https_req *q,
    struct reporter *ret, struct err *e)
{
	enum revocation_word w;

	if ((ret->cert = https_peer_cert(q)) == NULL)
		return err_set(
		    e, ERR_POLICY, "no TLS client certificate was shown");
	ret->ldevid = trust_check(r->domain, ret->cert, https_peer_chain(q),
			  clock_judge_time(), &ret->anchor, NULL, e) == 0;
	if (!ret->ldevid &&
	    trust_check(r->vendors, ret->cert, https_peer_chain(q),
		clock_judge_time(), &ret->anchor, NULL, e) == -1)
		return -1;
	if (reference_denied(r, ret->cert, e) == -1 ||
	    (ret->ldevid && admit_ldevid(r, ret->cert, &w, e) == -1))
		return -1;
	return cert_subject_serial(ret->cert, ret->serial, e);
}

/* ---- which entry it is about ------------------------------------------ */

struct scan {
	const char *serial;
	struct outbox_entry found; /* id 0: none */
};

static void
scan_entry(const struct outbox_entry *en, void *arg)
{
	struct scan *s = arg;

	if (en->kind == ENTRY_CMP && en->step == 0 &&
	    registrar_deliverable(en) && strcmp(en->label, s->serial) == 0)
		s->found = *en;
}

/* An LDevID does not say which IDevID asked for it, but its serialNumber is
 * that device's (the RA sees to it): the newest delivery to that device. */
static int
find_enrolment(struct registrar *r, const struct reporter *who,
    struct outbox_entry *ret, struct err *e)
{
	struct scan s = { .serial = who->serial };
	struct outbox_counts n;
	uint64_t first;

	outbox_count(r->outbox, &n);
	first = n.next_id > SCAN_MAX ? n.next_id - SCAN_MAX : 1;
	if (outbox_list(r->outbox, first, SCAN_MAX, scan_entry, &s, e) == -1)
		return -1;
	*ret = s.found;
	return s.found.id != 0;
}

/* ---- the two reports -------------------------------------------------- */

struct report {
	struct front *f;
	struct https_req *q;
	struct reporter who;
	struct vch_status status;
	struct outbox_entry entry;
	struct outbox_note note;
	struct outbox_move move;
	char detail[256];
};

static void
report_refuse(struct report *p, int status, const struct err *e)
{
	log_err(LOG_WARN, "telemetry.refused", e, "from", "%s",
	    https_peer_addr(p->q), NULL);
	https_reply_text(p->q, status, "%s", e->msg);
	free(p);
}

static void
report_stored(struct report *p, const struct err *e)
{
	if (e != NULL) {
		report_refuse(p, err_http_status(e->kind), e);
		return;
	}
	https_reply(p->q, &(struct https_answer){ .status = 200 });
	free(p);
}

static void
report_noted(struct outbox_note *n, const struct err *e)
{
	report_stored(n->user, e);
}

static void
report_moved(struct outbox_move *m, const struct err *e)
{
	report_stored(m->user, e);
}

static int
report_read(struct report *p, struct err *e)
{
	struct bytes body = https_body(p->q);

	if (reporter_check(p->f->r, p->q, &p->who, e) == -1 ||
	    vch_status_parse(body, &p->status, e) == -1)
		return -1;
	snprintf(p->detail, sizeof(p->detail), "%s%s%s%s",
	    p->status.status ? "success" : "failure",
	    p->status.reason[0] != '\0' ? ": " : "", p->status.reason,
	    p->who.ldevid ? " (with its LDevID)" : "");
	return 0;
}

static void
report_log(const struct report *p, const char *event, atomic_ullong *failed)
{
	log_event(p->status.status ? LOG_INFO : LOG_WARN, event, "device", "%s",
	    p->who.serial, "report", "%s", p->detail, NULL);
	if (p->status.version > 1)
		log_event(LOG_WARN, "telemetry.version", "device", "%s",
		    p->who.serial, "version", "%u", p->status.version, NULL);
	if (!p->status.status)
		atomic_fetch_add(failed, 1);
}

static struct report *
report_new(struct front *f, struct https_req *q)
{
	struct report *p = xcalloc(1, sizeof(*p));
	struct err e = ERR_INIT;

	p->f = f;
	p->q = q;
	if (report_read(p, &e) == 0)
		return p;
	report_refuse(p, e.kind == ERR_INPUT ? 400 : 403, &e);
	return NULL;
}

/* The voucher it has: its newest request's, or, if that was not delivered, the
 * one that was on hand. */
static int
find_voucher(struct registrar *r, const struct reporter *who,
    struct outbox_entry *ret, struct err *e)
{
	struct digest device = cert_device(who->cert, "");
	struct outbox_entry given;
	int found = outbox_newest(r->outbox, ENTRY_VOUCHER, &device, ret, e);

	if (found != 1 || entry_terminal(ret->state) ||
	    ret->state == ENTRY_DELIVERED)
		return found;
	found = prefetch_given(r, who->anchor, who->serial, &given, e);
	if (found == 1)
		*ret = given;
	return found == -1 ? -1 : 1;
}

/* The first report ends the voucher's entry (as certConf does for CMP); a
 * repeat changes nothing, and is answered alike. */
void
telemetry_voucher(struct front *f, struct https_req *q)
{
	struct report *p = report_new(f, q);
	struct err e = ERR_INIT;
	int found;

	if (p == NULL)
		return;
	found = find_voucher(f->r, &p->who, &p->entry, &e);
	if (found == 0)
		err_set(&e, ERR_INPUT, "no voucher was asked for here");
	if (found != 1) {
		report_refuse(p, found == 0 ? 404 : 500, &e);
		return;
	}
	report_log(p, "voucher.status", &f->r->metrics.voucher_status_failed);
	p->move = (struct outbox_move){ .event = ENTRY_EV_CONFIRM,
		.ids = { p->entry.id },
		.n = 1,
		.who = p->who.serial,
		.reason = p->detail,
		.user = p };
	outbox_move(f->r->outbox, &p->move, report_moved, loop_poster(f->loop));
}

void
telemetry_enrol(struct front *f, struct https_req *q)
{
	struct report *p = report_new(f, q);
	struct err e = ERR_INIT;
	int found;

	if (p == NULL)
		return;
	found = find_enrolment(f->r, &p->who, &p->entry, &e);
	if (found == -1) {
		report_refuse(p, 500, &e);
		return;
	}
	report_log(p, "enrol.status", &f->r->metrics.enrol_status_failed);
	if (found == 0 || front_noted(f, p->entry.id)) {
		report_stored(p, NULL);
		return;
	}
	p->note = (struct outbox_note){ .id = p->entry.id,
		.event = "enrol-status",
		.who = p->who.serial,
		.detail = p->detail,
		.user = p };
	outbox_note(f->r->outbox, &p->note, report_noted, loop_poster(f->loop));
}
