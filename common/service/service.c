#include "common/service/service.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/pki/certfacts.h"
#include "common/service/control_api.h"
#include "common/service/intake.h"
#include "common/service/keeper.h"
#include "common/service/pulls.h"
#include "common/service/reference.h"
#include "common/service/standings.h"
#include "common/sys/daemon.h"

#define CONTROL_BODY_MAX LIMIT_SERVICE_BODY
#define CONTEXTS_SPARE	 16
#define CONTEXTS_MAX	 1024
#define SETTLE_TURNS	 100

/* ---- proofs ------------------------------------------------------------ */

void
service_proof_done(struct service_proof *p)
{
	buf_done(&p->answer);
	buf_done(&p->cert);
	*p = (struct service_proof){ 0 };
}

struct ledger_proof
service_proof_get(const struct service_proof *p)
{
	return (struct ledger_proof){
		.code = p->code,
		.answer = buf_bytes(&p->answer),
		.cert = buf_bytes(&p->cert),
		.reason = p->reason,
		.device = p->device,
		.serial = p->serial,
		.has_names = p->has_names,
		.tx = p->tx,
		.same = p->same,
		.confirm = p->confirm,
		.confirm_reason = p->confirm_reason,
		.revoke = p->revoke,
		.revoke_reason = p->revoke_reason,
	};
}

/* ---- sites ------------------------------------------------------------- */

bool
service_sound(const struct service *s, const char *site)
{
	return standings_sound(s->standings, site);
}

void
service_heard(struct service *s, const char *site, bool sound)
{
	if (standings_set(s->standings, site, sound))
		s->trade->standing(s, site);
}

/* ---- keys and trust ---------------------------------------------------- */

static int
load_intermediates(struct trust *t, const STACK_OF(X509) * v, struct err *e)
{
	for (int i = 0; i < sk_X509_num(v); i++)
		if (trust_add_intermediate(t, sk_X509_value(v, i), e) == -1)
			return -1;
	return 0;
}

/* DESIGN 8a: what registrars look for in our certificate. */
static int
check_identity(const struct service *s, struct err *e)
{
	char name[ENTRY_NAME_MAX];
	const char *anchor;

	if (trust_check(s->domain, s->signer->cert, s->signer->chain,
		clock_judge_time(), &anchor, NULL, e) == -1 ||
	    cert_service(s->signer->cert, name, e) == -1)
		return err_prefix(e, "certificate");
	if (strcmp(name, s->conf->name) != 0)
		return err_set(e, ERR_CONF,
		    "certificate: it is of service %s, we are %s", name,
		    s->conf->name);
	if (!cert_has_cmcra(s->signer->cert))
		return err_set(e, ERR_CONF, "certificate: lacks id-kp-cmcRA");
	return 0;
}

int
service_load(struct service *s, const struct service_conf *conf,
    const struct service_trade *trade, void *owner, const STACK_OF(X509) * more,
    struct err *e)
{
	s->conf = conf;
	s->trade = trade;
	s->owner = owner;
	s->domain = trust_new();
	s->signer = signer_load(conf->key, conf->certificate, e);
	if (s->signer == NULL ||
	    trust_add_file(s->domain, "domain", conf->domain_ca, e) == -1 ||
	    load_intermediates(s->domain, s->signer->chain, e) == -1 ||
	    load_intermediates(s->domain, more, e) == -1 ||
	    check_identity(s, e) == -1)
		return -1;
	s->sites = sites_new(conf->sites, s->domain);
	return 0;
}

/* ---- opening ----------------------------------------------------------- */

/* "ra.ready" and the like. */
static void
say(const struct service *s, const char *what)
{
	char event[64];

	snprintf(event, sizeof(event), "%s.%s", s->trade->program, what);
	log_event(LOG_INFO, event, "service", "%s", s->conf->name, NULL);
}

static void
on_hangup(void *arg)
{
	struct service *s = arg;

	sites_reload(s->sites);
	if (s->trade->reload != NULL)
		s->trade->reload(s);
	say(s, "reloaded");
}

static int
open_ledger(struct service *s, struct err *e)
{
	struct ledger_conf c = {
		.directory = s->conf->store.directory,
		.seal = s->conf->store.seal,
		.map_size = s->conf->store.map_size,
		.service = s->conf->name,
		.signer = s->signer,
	};

	return ledger_open(&c, &s->ledger, e);
}

int
service_open(struct service *s, struct err *e)
{
	s->started = clock_mono_ms();
	if ((s->loop = loop_new(e)) == NULL || open_ledger(s, e) == -1)
		return -1;
	s->standings = standings_new();
	s->pulls = pulls_new(s);
	s->keeper = keeper_new(s);
	s->reference = reference_new(s);
	return loop_signal(s->loop, SIGHUP, on_hangup, s, e);
}

/* DECISIONS 12: each site holds one PULL and is in doubt about one more. */
static unsigned
count_contexts(const struct service *s)
{
	size_t n = 2 * sites_count(s->sites) + CONTEXTS_SPARE;

	return n < CONTEXTS_MAX ? (unsigned)n : CONTEXTS_MAX;
}

int
service_listen(struct service *s, struct err *e)
{
	const struct service_conf *conf = s->conf;
	struct wire_listen_conf c = {
		.urls = (const char *const *)conf->listen.v,
		.n = conf->listen.n,
		.tls = { conf->link.key, conf->link.certificate,
		    conf->link.ca },
		.contexts = count_contexts(s),
		.ipc_site = conf->ipc.site,
		.ipc_uid = conf->ipc.uid == UINT32_MAX ? geteuid()
						       : (uid_t)conf->ipc.uid,
	};

	if (wire_listen(s->loop, &c, intake_request, s, &s->wire, e) == -1)
		return -1;
	s->control = https_open_unix(s->loop, conf->control.socket,
	    CONTROL_BODY_MAX, control_request, s, e);
	return s->control != NULL ? 0 : -1;
}

/* ---- running ----------------------------------------------------------- */

void
service_give_up(struct service *s, const char *event, const struct err *e)
{
	log_err(LOG_ALARM, event, e, NULL);
	s->failed = true;
	loop_stop(s->loop);
}

int
service_run(struct service *s, struct err *e)
{
	char event[64];

	if (daemon_ready(s->loop, e) == -1)
		return -1;
	snprintf(event, sizeof(event), "%s.ready", s->trade->program);
	log_event(LOG_INFO, event, "service", "%s", s->conf->name, "listen",
	    "%s", s->conf->listen.v[0], "port", "%u", wire_port(s->wire), NULL);
	loop_run(s->loop);
	if (s->failed)
		return err_set(
		    e, ERR_LOCAL, "%s: cannot go on", s->trade->program);
	say(s, "stopping");
	return 0;
}

/* What was submitted is committed and told, which may submit more.  Sites may
 * still ask, so there is an end to it. */
static void
close_settle(struct service *s)
{
	unsigned i = s->ledger != NULL ? SETTLE_TURNS : 0;

	for (; i > 0; i--) {
		ledger_flush(s->ledger);
		if (loop_drain(s->loop) == 0)
			break;
	}
}

void
service_close(struct service *s)
{
	close_settle(s);
	pulls_free(STEAL(s->pulls));
	wire_close(STEAL(s->wire));
	https_close(STEAL(s->control));
	ledger_close(STEAL(s->ledger));
	keeper_free(STEAL(s->keeper));
	reference_free(STEAL(s->reference));
	standings_free(STEAL(s->standings));
}

void
service_done(struct service *s)
{
	loop_free(STEAL(s->loop));
	sites_free(STEAL(s->sites));
	trust_free(STEAL(s->domain));
	signer_free(STEAL(s->signer));
}
