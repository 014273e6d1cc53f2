/* HELLO and WELCOME: how far both memories reach. */
#include "common/service/intake_int.h"

#include <string.h>
#include "common/service/standings.h"

struct greeting {
	struct service *service;
	struct wire_req *req;
	uint64_t tag;
	struct frame_hello h;
	unsigned version; /* spoken from here on */
	struct ledger_hello x;
};

/* DESIGN 7, rollback: whoever finds the other ahead of its own memory has been
 * rolled back. */
static void
hello_alarms(const struct greeting *g)
{
	const struct ledger_site *s = &g->x.known;

	if (g->x.suspended)
		log_event(LOG_ALARM, "link.rolled-back", "site", "%s",
		    g->h.site, "reason", "%s", s->why, NULL);
	else if (s->standing != LEDGER_SOUND)
		/* It asks every few seconds whether that has changed. */
		log_event(standings_heard(g->service->standings, g->h.site)
			? LOG_DEBUG
			: LOG_WARN,
		    "site.unsound", "site", "%s", g->h.site, "standing", "%s",
		    ledger_standing_name(s->standing), "reason", "%s", s->why,
		    NULL);
	if (g->h.site_next_id <= s->highest)
		log_event(LOG_ALARM, "link.site-rolled-back", "site", "%s",
		    g->h.site, "next-id", "%llu",
		    (unsigned long long)g->h.site_next_id, "seen", "%llu",
		    (unsigned long long)s->highest, NULL);
}

static int
hello_welcome(struct greeting *g, struct err *e)
{
	struct buf out AUTO_BUF = { 0 };
	struct frame_hello w = g->h;

	memcpy(
	    w.service_epoch, ledger_epoch(g->service->ledger), ENTRY_EPOCH_LEN);
	w.service_seq = g->x.known.seq;
	w.site_next_id = g->x.known.highest + 1;
	w.time = clock_now().time;
	w.credit = 32;
	w.version_low = w.version_high = g->version;
	w.recover = g->x.known.standing == LEDGER_RECOVERING;
	memset(&w.audit, 0, sizeof(w.audit));
	if (frame_hello(
		FRAME_WELCOME, g->tag, &w, g->service->signer, &out, e) == -1)
		return -1;
	wire_reply(g->req, buf_bytes(&out));
	return 0;
}

static void
hello_known(void *arg, const struct err *failed)
{
	struct ledger_hello *x = arg;
	struct greeting *g = x->user;
	struct err e = ERR_INIT;

	if (failed == NULL) {
		hello_alarms(g);
		service_heard(
		    g->service, g->h.site, x->known.standing == LEDGER_SOUND);
	}
	if (failed != NULL)
		intake_nack(g->req, g->tag, "ledger.failed", LOG_ERROR, failed);
	else if (hello_welcome(g, &e) == -1)
		intake_nack(
		    g->req, g->tag, "link.welcome-failed", LOG_ALARM, &e);
	else
		log_event(
		    x->known.standing == LEDGER_SOUND ? LOG_INFO : LOG_DEBUG,
		    "link.hello", "site", "%s", g->h.site, "seq", "%llu",
		    (unsigned long long)x->known.seq, NULL);
	free(g);
}

static int
hello_check(struct service *s, const struct wire_req *req,
    const struct frame *f, struct frame_hello *ret, struct err *e)
{
	X509 *cert;

	if (frame_hello_parse(f->u.hello.body, ret, e) == -1 ||
	    intake_check_site(req, ret->site, e) == -1)
		return -1;
	if (strcmp(ret->service, s->conf->name) != 0)
		return err_set(e, ERR_INPUT, "hello: for service %s, we are %s",
		    ret->service, s->conf->name);
	if ((cert = sites_find(s->sites, ret->site, &ret->signer, e)) == NULL)
		return -1;
	return sign_check(
	    cert, FRAME_HELLO_LABEL, f->u.hello.body, f->u.hello.sig, e);
}

void
intake_hello(struct service *s, struct wire_req *req, const struct frame *f)
{
	struct greeting *g = xcalloc(1, sizeof(*g));
	struct err e = ERR_INIT;

	if (hello_check(s, req, f, &g->h, &e) == -1 ||
	    frame_version(&g->h, &g->version, &e) == -1) {
		intake_nack(req, f->tag, "link.hello-refused", LOG_ALARM, &e);
		free(g);
		return;
	}
	g->service = s;
	g->req = req;
	g->tag = f->tag;
	g->x.site = g->h.site;
	memcpy(g->x.epoch, g->h.site_epoch, sizeof(g->x.epoch));
	memcpy(
	    g->x.service_epoch, g->h.service_epoch, sizeof(g->x.service_epoch));
	g->x.service_seq = g->h.service_seq;
	g->x.audit = g->h.audit;
	g->x.user = g;
	ledger_hello(s->ledger, &g->x, hello_known, loop_poster(s->loop));
}
