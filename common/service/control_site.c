/* The control API's half for sites: how they stand, and recovery. */
#include <string.h>
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/service/control_api.h"
#include "common/service/standings.h"

/* ---- GET /v1/sites ----------------------------------------------------- */

struct listing {
	const struct service *service;
	json_t *sites;
};

static int
add_site(const struct ledger_site *i, void *arg)
{
	struct listing *l = arg;
	char epoch[2 * ENTRY_EPOCH_LEN + 1];

	json_array_append_new(l->sites,
	    json_pack("{s:s, s:s, s:o, s:o, s:b, s:s, s:I, s:I, s:I, s:I}",
		"site", i->name, "standing", ledger_standing_name(i->standing),
		"why", json_text(i->why), "since", control_json_time(i->since),
		"heard", standings_heard(l->service->standings, i->name),
		"epoch", hex_format(epoch, i->epoch, sizeof(i->epoch)),
		"batches", (json_int_t)i->seq, "acknowledged",
		(json_int_t)i->got, "highest", (json_int_t)i->highest,
		"audit_seen", (json_int_t)i->audit_seq));
	return 0;
}

void
control_sites(struct service *s, struct https_req *q, const char *rest)
{
	AUTO(json_t) sites = json_array();
	struct listing l = { s, sites };
	struct err e = ERR_INIT;

	(void)rest;
	if (ledger_list_sites(s->ledger, add_site, &l, &e) == -1)
		control_reply_error(q, &e);
	else
		control_json(q, 200, json_pack("{s:O}", "sites", sites));
}

/* ---- POST /v1/recover -------------------------------------------------- */

struct recover {
	struct https_req *q;
	char site[ENTRY_NAME_MAX], who[32];
	struct ledger_recover x;
};

static void
recover_reply(struct recover *r, const struct err *failed)
{
	struct err e = ERR_INIT;

	if (failed != NULL)
		e = *failed;
	else if (!r->x.known)
		err_set(&e, ERR_INPUT, "site %s never said HELLO", r->site);
	else if (r->x.was == LEDGER_SOUND)
		err_set(&e, ERR_POLICY, "site %s is sound", r->site);
	if (e.kind != ERR_NONE) {
		control_reply_error(r->q, &e);
		return;
	}
	log_event(LOG_WARN, "site.recovering", "site", "%s", r->site, "who",
	    "%s", r->who, NULL);
	control_json(r->q, 200,
	    json_pack("{s:s, s:s, s:s}", "site", r->site, "was",
		ledger_standing_name(r->x.was), "standing",
		ledger_standing_name(LEDGER_RECOVERING)));
}

static void
recovering(void *arg, const struct err *failed)
{
	struct ledger_recover *x = arg;

	recover_reply(x->user, failed);
	free(x->user);
}

void
control_recover(struct service *s, struct https_req *q, const char *rest)
{
	struct err e = ERR_INIT;
	AUTO(json_t) in = control_body(q, &e);
	struct recover *r;
	const char *site;

	(void)rest;
	if (in == NULL || json_unpack(in, "{s:s}", "site", &site) == -1 ||
	    !name_valid(site)) {
		err_set(&e, ERR_INPUT, "wanted: {\"site\": NAME}");
		control_reply_error(q, &e);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->q = q;
	str_copy(r->site, sizeof(r->site), site);
	control_who(q, r->who, sizeof(r->who));
	r->x = (struct ledger_recover){
		.site = r->site, .who = r->who, .user = r
	};
	ledger_recover(s->ledger, &r->x, recovering, loop_poster(s->loop));
}
