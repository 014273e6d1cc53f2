#include "ra/ra.h"

#include <signal.h>
#include <string.h>
#include "common/base/log.h"
#include "common/sys/daemon.h"
#include "ra/batches.h"
#include "ra/clerk.h"
#include "ra/control_api.h"
#include "ra/intake.h"

#define CONTROL_BODY_MAX 4096
#define CONTEXTS_SPARE	 16
#define CONTEXTS_MAX	 1024

/* ---- configuration ----------------------------------------------------- */

int
ra_configure(struct ra *r, const char *path, struct err *e)
{
	if (conf_load(path, ra_conf_table, &r->conf, e) == -1)
		return -1;
	if ((r->issuers = ossl_load_certs(r->conf.ca.certificate, e)) == NULL)
		return err_prefix(e, "ca.certificate");
	if (!cert_is_ca(ra_issuer(r)))
		return err_set(e, ERR_CONF, "ca.certificate: %s: not a CA",
		    r->conf.ca.certificate);
	return 0;
}

int
ra_start_ca(struct ra *r, struct err *e)
{
	return ca_start(r->conf.ca.key, ra_issuer(r), &r->ca, e);
}

/* ---- keys and trust ---------------------------------------------------- */

static uint64_t
judge_time(void)
{
	struct stamp now = clock_now();

	return now.quality == CLOCK_NONE ? 0 : now.time;
}

static int
load_intermediates(struct trust *t, const STACK_OF(X509) * v, struct err *e)
{
	for (int i = 0; i < sk_X509_num(v); i++)
		if (trust_add_intermediate(t, sk_X509_value(v, i), e) == -1)
			return -1;
	return 0;
}

static int
load_trust(struct ra *r, struct err *e)
{
	const struct ra_vendor *v = r->conf.vendors.v;

	r->vendors = trust_new();
	r->domain = trust_new();
	for (size_t i = 0; i < r->conf.vendors.n; i++)
		if (trust_add_file(r->vendors, v[i].name, v[i].anchor, e) == -1)
			return err_prefix(e, "vendors.%s", v[i].name);
	if (trust_add_file(r->domain, "domain", r->conf.domain_ca, e) == -1 ||
	    load_intermediates(r->domain, r->signer->chain, e) == -1 ||
	    load_intermediates(r->domain, r->issuers, e) == -1)
		return -1;
	if (r->conf.deny_list != NULL &&
	    (r->denied = denylist_load(r->conf.deny_list, e)) == NULL)
		return -1;
	return 0;
}

/* DESIGN 8a: what registrars look for in our certificate, and whether what we
 * issue would be believed. */
static int
check_identity(const struct ra *r, struct err *e)
{
	char name[33];
	const char *anchor;

	if (trust_check(r->domain, r->signer->cert, r->signer->chain,
		judge_time(), &anchor, NULL, e) == -1 ||
	    cert_service(r->signer->cert, name, e) == -1)
		return err_prefix(e, "certificate");
	if (strcmp(name, r->conf.name) != 0)
		return err_set(e, ERR_CONF,
		    "certificate: it is of service %s, we are %s", name,
		    r->conf.name);
	if (!cert_has_cmcra(r->signer->cert))
		return err_set(e, ERR_CONF, "certificate: lacks id-kp-cmcRA");
	return 0;
}

/* RFC 9483 3.3: an ip holds the chain of the new certificate. */
static void
load_answerer(struct ra *r)
{
	STACK_OF(X509) *more = sk_X509_new_null();

	r->answers.signer = r->signer;
	r->answers.more = more;
	for (int i = 0; i < sk_X509_num(r->issuers); i++) {
		X509 *x = sk_X509_value(r->issuers, i);
		bool there = false;

		for (int k = 0; k < sk_X509_num(r->signer->chain); k++)
			there |= X509_cmp(x,
				     sk_X509_value(r->signer->chain, k)) == 0;
		if (!there && (more == NULL || sk_X509_push(more, x) == 0))
			err_die("out of memory");
	}
}

int
ra_load(struct ra *r, struct err *e)
{
	r->signer = signer_load(r->conf.key, r->conf.certificate, e);
	if (r->signer == NULL || load_trust(r, e) == -1 ||
	    check_identity(r, e) == -1)
		return -1;
	load_answerer(r);
	r->sites = sites_new(r->conf.sites, r->domain);
	return 0;
}

/* ---- opening ----------------------------------------------------------- */

/* DESIGN 13: parse first, swap whole, else keep the old one. */
static void
on_hangup(void *arg)
{
	struct denylist *fresh = NULL;
	struct ra *r = arg;
	struct err e = ERR_INIT;

	sites_reload(r->sites);
	if (r->conf.deny_list != NULL &&
	    (fresh = denylist_load(r->conf.deny_list, &e)) == NULL) {
		log_err(LOG_ALARM, "ra.reload-failed", &e, NULL);
		return;
	}
	denylist_free(r->denied);
	r->denied = fresh;
	log_event(LOG_INFO, "ra.reloaded", NULL);
}

static int
open_ledger(struct ra *r, struct err *e)
{
	struct ledger_conf c = {
		.directory = r->conf.store.directory,
		.seal = r->conf.store.seal,
		.map_size = r->conf.store.map_size,
		.service = r->conf.name,
		.signer = r->signer,
	};

	return ledger_open(&c, &r->ledger, e);
}

/* DECISIONS 12: each site holds one PULL and is in doubt about one more. */
static unsigned
count_contexts(const struct ra *r)
{
	size_t n = 2 * sites_count(r->sites) + CONTEXTS_SPARE;

	return n < CONTEXTS_MAX ? (unsigned)n : CONTEXTS_MAX;
}

static int
open_wire(struct ra *r, struct err *e)
{
	struct wire_listen_conf c = {
		.urls = (const char *const *)r->conf.listen.v,
		.n = r->conf.listen.n,
		.tls = { r->conf.link.key, r->conf.link.certificate,
		    r->conf.link.ca },
		.contexts = count_contexts(r),
		.ipc_site = r->conf.ipc.site,
		.ipc_uid = r->conf.ipc.uid == UINT32_MAX
		    ? geteuid()
		    : (uid_t)r->conf.ipc.uid,
	};

	return wire_listen(r->loop, &c, intake_request, r, &r->wire, e);
}

/* The store before the wire, or nobody could be told "stored". */
int
ra_open(struct ra *r, struct err *e)
{
	r->started = clock_mono_ms();
	if ((r->loop = loop_new(e)) == NULL || open_ledger(r, e) == -1 ||
	    clerk_open(r, &r->clerk, e) == -1)
		return -1;
	r->pulls = pulls_new(r);
	if (loop_signal(r->loop, SIGHUP, on_hangup, r, e) == -1 ||
	    open_wire(r, e) == -1)
		return -1;
	r->control = https_open_unix(r->loop, r->conf.control.socket,
	    CONTROL_BODY_MAX, control_request, r, e);
	return r->control != NULL ? 0 : -1;
}

void
ra_give_up(struct ra *r, const char *event, const struct err *e)
{
	log_err(LOG_ALARM, event, e, NULL);
	r->failed = true;
	loop_stop(r->loop);
}

int
ra_run(struct ra *r, struct err *e)
{
	if (daemon_ready(r->loop, e) == -1)
		return -1;
	log_event(LOG_INFO, "ra.ready", "service", "%s", r->conf.name, "listen",
	    "%s", r->conf.listen.v[0], "port", "%u", wire_port(r->wire), NULL);
	loop_run(r->loop);
	if (r->failed)
		return err_set(e, ERR_LOCAL, "ra: cannot go on");
	log_event(LOG_INFO, "ra.stopping", NULL);
	return 0;
}

/* Those who ask first, then what they were told from. */
void
ra_close(struct ra *r)
{
	pulls_free(r->pulls);
	wire_close(r->wire);
	https_close(r->control);
	ledger_close(r->ledger);
	clerk_free(r->clerk);
	ca_stop(r->ca);
	loop_free(r->loop);
	sites_free(r->sites);
	sk_X509_free(r->answers.more);
	denylist_free(r->denied);
	trust_free(r->vendors);
	trust_free(r->domain);
	signer_free(r->signer);
	x509s_free(r->issuers);
	conf_free(ra_conf_table, &r->conf);
}
