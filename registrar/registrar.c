#include "registrar/registrar.h"

#include <string.h>
#include <sched.h>
#include <sys/stat.h>
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/pki/certfacts.h"
#include "common/pki/revocation.h"
#include "common/sys/daemon.h"
#include "registrar/caps.h"
#include "registrar/carry.h"
#include "registrar/control_api.h"
#include "registrar/control_json.h"
#include "registrar/front.h"
#include "registrar/reference.h"
#include "registrar/roles.h"
#include "registrar/sweep.h"
#include "registrar/vwatch.h"

/* ---- configuration ---------------------------------------------------- */

static int
configure_kinds(struct service *s, const struct conf_strs *kinds, struct err *e)
{
	for (size_t i = 0; i < kinds->n; i++) {
		unsigned bit = 0;

		for (int k = ENTRY_CMP; k < ENTRY_KIND__MAX; k++)
			if (strcmp(entry_kind_name(k), kinds->v[i]) == 0)
				bit = 1u << k;
		if (bit == 0)
			return err_set(e, ERR_CONF, "services.%s: no kind '%s'",
			    s->name, kinds->v[i]);
		s->kinds |= bit;
	}
	return 0;
}

static int
configure_service(struct registrar *r, struct service *s,
    const struct reg_service *c, struct err *e)
{
	char name[33];
	const char *anchor;
	AUTO(X509S) certs = ossl_load_certs(c->certificate, e);

	if (certs == NULL)
		return err_prefix(e, "services.%s", c->name);
	s->name = c->name;
	contact_init(&s->contact, clock_mono_ms());
	s->cert = sk_X509_shift(certs);
	if (cert_service(s->cert, name, e) == -1 ||
	    trust_check(r->domain, s->cert, certs, clock_judge_time(), &anchor,
		NULL, e) == -1)
		return err_prefix(e, "services.%s", c->name);
	if (strcmp(name, s->name) != 0)
		return err_set(e, ERR_CONF,
		    "services.%s: its certificate is of service %s", s->name,
		    name);
	return configure_kinds(s, &c->kinds, e);
}

static int
configure_services(struct registrar *r, struct err *e)
{
	const struct reg_service *c = r->conf.services.v;

	r->services = xcalloc(r->conf.services.n + 1, sizeof(*r->services));
	for (size_t i = 0; i < r->conf.services.n; i++) {
		r->n_services++;
		if (configure_service(r, &r->services[i], &c[i], e) == -1)
			return -1;
	}
	return 0;
}

static int
configure_vendor(struct registrar *r, const struct reg_vendor *v, struct err *e)
{
	const char *voucher =
	    v->voucher_anchor != NULL ? v->voucher_anchor : v->anchor;

	const struct revocation_vendor lists = { .name = v->name,
		.anchor = v->anchor,
		.sub_ca = v->sub_ca,
		.lists = (const char *const *)v->crl.v,
		.n = v->crl.n,
		.unknown = (enum revocation_unknown)v->crl_unknown };

	if (trust_add_file(r->vendors, v->name, v->anchor, e) == -1 ||
	    revocation_add(r->revoked, &lists, e) == -1)
		return -1;
	return trust_add_file(r->vouchers, v->name, voucher, e);
}

static int
configure_trust(struct registrar *r, struct err *e)
{
	const struct reg_vendor *v = r->conf.vendors.v;

	r->revoked = revocation_new();
	r->vendors = trust_new();
	r->vouchers = trust_new();
	r->domain = trust_new();
	for (size_t i = 0; i < r->conf.vendors.n; i++)
		if (configure_vendor(r, &v[i], e) == -1)
			return -1;
	/* A device that asks a hundred times is verified once. */
	trust_remember(r->vendors);
	if (trust_add_file(r->domain, "domain", r->conf.domain_ca, e) == -1)
		return -1;
	for (int i = 0; i < sk_X509_num(r->signer->chain); i++)
		if (trust_add_intermediate(
			r->domain, sk_X509_value(r->signer->chain, i), e) == -1)
			return -1;
	if (r->conf.deny_list != NULL &&
	    (r->denied = denylist_load(r->conf.deny_list, e)) == NULL)
		return -1;
	return 0;
}

/* Each file's first certificate. */
static int
configure_lras(struct registrar *r, struct err *e)
{
	const struct conf_strs *files = &r->conf.cmp.lra;

	r->lras = sk_X509_new_null();
	for (size_t i = 0; i < files->n; i++) {
		AUTO(X509S) certs = ossl_load_certs(files->v[i], e);

		if (certs == NULL)
			return err_prefix(e, "cmp.lra");
		sk_X509_push(r->lras, sk_X509_shift(certs));
	}
	return 0;
}

/* Our certificate must say what services will look for (DESIGN 8a). */
static int
configure_identity(struct registrar *r, struct err *e)
{
	char name[33];
	const char *anchor;

	if (trust_check(r->domain, r->signer->cert, r->signer->chain,
		clock_judge_time(), &anchor, NULL, e) == -1 ||
	    cert_site(r->signer->cert, name, e) == -1)
		return err_prefix(e, "certificate");
	if (strcmp(name, r->conf.site) != 0)
		return err_set(e, ERR_CONF,
		    "certificate: it is of site %s, we are %s", name,
		    r->conf.site);
	if (!cert_has_cmcra(r->signer->cert))
		return err_set(e, ERR_CONF, "certificate: lacks id-kp-cmcRA");
	return 0;
}

int
registrar_configure(struct registrar *r, const char *path, struct err *e)
{
	if (conf_load(path, reg_conf_table, &r->conf, e) == -1 ||
	    roles_check(&r->conf, e) == -1)
		return -1;
	r->signer = signer_load(r->conf.key, r->conf.certificate, e);
	if (r->signer == NULL || configure_trust(r, e) == -1 ||
	    configure_identity(r, e) == -1 || configure_services(r, e) == -1 ||
	    configure_lras(r, e) == -1)
		return -1;
	if (r->conf.listen.n > REG_LISTEN_MAX)
		return err_set(e, ERR_CONF, "listen: at most %d addresses",
		    REG_LISTEN_MAX);
	return 0;
}

/* ---- opening ---------------------------------------------------------- */

static int
open_outbox(struct registrar *r, struct err *e)
{
	struct outbox_conf c = {
		.store = { .dir = r->conf.store.directory,
		    .map_size = r->conf.store.map_size,
		    .seal = r->conf.store.seal },
		.site = r->conf.site,
		.signer = r->signer,
		.full_percent = 85,
		.open_room = 8192,
		.per_device_hour = (unsigned)r->conf.limits.device_hour,
		.per_device_open = (unsigned)r->conf.limits.device_open,
		.per_vendor_open = (unsigned)r->conf.limits.vendor_open,
		.open = (unsigned)r->conf.limits.open,
	};

	return outbox_open(&c, &r->outbox, e);
}

static size_t
count_bases(const struct registrar *r)
{
	cpu_set_t set;
	size_t n = r->conf.threads;

	if (n == 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
		n = (size_t)CPU_COUNT(&set);
	return n == 0 ? 1 : n > REG_BASES_MAX ? REG_BASES_MAX : n;
}

static int
open_bases(struct registrar *r, struct err *e)
{
	size_t n = count_bases(r);

	for (size_t i = 0; i < n; i++) {
		if ((r->loops[i] = loop_new(e)) == NULL)
			return -1;
		r->n_bases++;
		if (front_open(r, r->loops[i], &r->fronts[i], e) == -1)
			return -1;
	}
	return 0;
}

static void
open_caps(struct registrar *r)
{
	struct caps_conf c = {
		.connections = (unsigned)r->conf.limits.device_connections,
		.requests = (unsigned)r->conf.limits.device_requests,
		.held = (unsigned)r->conf.limits.device_held,
		.nameless = (unsigned)r->conf.limits.nameless_requests,
		/* More than can be connected: room for a new one is never
		 * missing. */
		.devices = 2 * (unsigned)r->conf.limits.connections,
	};

	r->caps = caps_new(&c);
}

int
registrar_open(struct registrar *r, struct err *e)
{
	r->started = clock_mono_ms();
	contact_init(&r->nobody, r->started);
	open_caps(r);
	finals_init(&r->finals);
	if (open_outbox(r, e) == -1 || open_bases(r, e) == -1 ||
	    reference_open(r, r->loops[0], &r->reference, e) == -1 ||
	    carry_open(r, r->loops[0], &r->carry, e) == -1)
		return -1;
	vwatch_open(r, r->loops[0]);
	r->sweep = sweep_open(r, r->loops[0]);
	r->control = https_open_unix(r->loops[0], r->conf.control.socket,
	    CONTROL_BODY_MAX, control_request, r, e);
	if (r->control == NULL)
		return -1;
	/* The kernel tells us each peer's uid: roles.h decides. */
	if (roles_any(&r->conf) && chmod(r->conf.control.socket, 0666) == -1)
		return err_errno(
		    e, ERR_LOCAL, "control socket %s", r->conf.control.socket);
	return 0;
}

int
registrar_run(struct registrar *r, struct err *e)
{
	for (size_t i = 1; i < r->n_bases; i++)
		if (loop_spawn(r->loops[i], e) == -1)
			return -1;
	if (daemon_ready(r->loops[0], e) == -1)
		return -1;
	log_event(LOG_INFO, "registrar.ready", "site", "%s", r->conf.site,
	    "listen", "%s", r->conf.listen.v[0], "bases", "%zu", r->n_bases,
	    NULL);
	loop_run(r->loops[0]);
	log_event(LOG_INFO, "registrar.stopping", NULL);
	return 0;
}

/* What was submitted is committed and told, which may submit more; nobody is
 * left to begin anything new, so it ends. */
static void
close_settle(struct registrar *r)
{
	size_t n = r->outbox != NULL ? 1 : 0;

	while (n > 0) {
		outbox_flush(r->outbox);
		n = 0;
		for (size_t i = 0; i < r->n_bases; i++)
			n += loop_drain(r->loops[i]);
	}
}

/* Bases first, so that nobody is left to be told; then what they used. */
void
registrar_close(struct registrar *r)
{
	for (size_t i = 1; i < r->n_bases; i++)
		loop_join(r->loops[i]);
	for (size_t i = 0; i < r->n_bases; i++)
		front_stop(r->fronts[i]);
	sweep_stop(r->sweep);
	reference_stop(r->reference);
	carry_stop(r->carry);
	https_close(r->control);
	close_settle(r);
	outbox_close(r->outbox);
	for (size_t i = 0; i < r->n_bases; i++)
		front_free(r->fronts[i]);
	sweep_free(r->sweep);
	carry_free(r->carry);
	reference_free(r->reference);
	for (size_t i = 0; i < r->n_bases; i++)
		loop_free(r->loops[i]);
	caps_free(r->caps);
	for (size_t i = 0; i < r->n_services; i++)
		X509_free(r->services[i].cert);
	free(r->services);
	sk_X509_pop_free(r->lras, X509_free);
	denylist_free(r->denied);
	revocation_free(r->revoked);
	trust_free(r->vendors);
	trust_free(r->vouchers);
	trust_free(r->domain);
	signer_free(r->signer);
	conf_free(reg_conf_table, &r->conf);
}

struct service *
registrar_service(const struct registrar *r, enum entry_kind kind)
{
	for (size_t i = 0; i < r->n_services; i++)
		if (r->services[i].kinds & (1u << kind))
			return &r->services[i];
	return NULL;
}

unsigned
registrar_again(const struct registrar *r, enum entry_kind kind, uint64_t soon,
    uint64_t late)
{
	const struct service *s = registrar_service(r, kind);

	return contact_wait(
	    s != NULL ? &s->contact : &r->nobody, clock_mono_ms(), soon, late);
}

unsigned
registrar_unavailable(const struct registrar *r, enum entry_kind kind)
{
	return registrar_again(r, kind, r->conf.cmp.check_after, CONTACT_MOST);
}

bool
registrar_deliverable(const struct outbox_entry *en)
{
	return en->answer_value != 0 &&
	    (en->state == ENTRY_ANSWERED || en->state == ENTRY_DELIVERED ||
		en->state == ENTRY_CONFIRMED);
}
