#include "ra/ra.h"

#include "common/base/log.h"
#include "common/pki/certfacts.h"
#include "common/service/control_api.h"
#include "common/service/reference.h"
#include "ra/clerk.h"
#include "ra/control_revoke.h"
#include "ra/crlmaker.h"
#include "ra/info.h"
#include "ra/prove.h"
#include "ra/unwrap.h"

/* ---- configuration ----------------------------------------------------- */

int
ra_configure(struct ra *r, const char *path, struct err *e)
{
	if (conf_load(path, ra_conf_table, &r->conf, e) == -1 ||
	    ra_conf_check(&r->conf, e) == -1 ||
	    profile_check(&r->conf.profiles, e) == -1 ||
	    lists_check(&r->conf, e) == -1)
		return -1;
	if ((r->issuers = ossl_load_certs(r->conf.ca.certificate, e)) == NULL)
		return err_prefix(e, "ca.certificate");
	if (!cert_is_ca(ra_issuer(r)))
		return err_set(e, ERR_CONF, "ca.certificate: %s: not a CA",
		    r->conf.ca.certificate);
	return 0;
}

int
ra_start_ca(struct ra *r, bool no_sandbox, struct err *e)
{
	if (r->conf.ca.kind == RA_CA_CMP)
		return 0;
	return ca_start(r->conf.ca.key, ra_issuer(r), no_sandbox, &r->ca, e);
}

/* ---- keys and trust ---------------------------------------------------- */

static int
load_vendors(struct ra *r, struct err *e)
{
	const struct ra_vendor *v = r->conf.vendors.v;

	r->vendors = trust_new();
	for (size_t i = 0; i < r->conf.vendors.n; i++)
		if (trust_add_file(r->vendors, v[i].name, v[i].anchor, e) == -1)
			return err_prefix(e, "vendors.%s", v[i].name);
	return lists_load(&r->conf, &r->lists, e);
}

/* RFC 9483 4.3.2: links to the next root without it lead nowhere. */
static int
load_new_root(struct ra *r, struct err *e)
{
	struct {
		const char *key, *path;
		X509 **x;
	} files[] = {
		{ "new-root", r->conf.ca.new_root, &r->new_root },
		{ "new-with-old", r->conf.ca.new_with_old, &r->new_with_old },
		{ "old-with-new", r->conf.ca.old_with_new, &r->old_with_new },
	};

	for (size_t i = 0; i < NELEMS(files); i++)
		if (files[i].path != NULL &&
		    (*files[i].x = ossl_load_cert(files[i].path, e)) == NULL)
			return err_prefix(e, "ca.%s", files[i].key);
	if (r->new_root == NULL &&
	    (r->new_with_old != NULL || r->old_with_new != NULL))
		return err_set(e, ERR_CONF, "ca.new-root: missing");
	return 0;
}

/* What was issued before there were profiles. */
static void
load_plain(struct ra *r)
{
	static char usage[] = "digitalSignature", purpose[] = "clientAuth";
	static char *purposes[] = { purpose };

	r->plain = (struct profile){
		.organization = r->conf.ca.organization,
		.key_usage = usage,
		.ext_key_usage = { purposes, NELEMS(purposes) },
		.others = PROFILE_OTHERS_DROP,
		.lifetime = r->conf.ca.lifetime,
		.implicit_confirm = true,
	};
}

/* RFC 9483 3.3: an ip holds the chain of the new certificate. */
static void
load_answerer(struct ra *r)
{
	const struct signer *s = r->service.signer;
	STACK_OF(X509) *more = sk_X509_new_null();

	r->answers.signer = s;
	r->answers.more = more;
	r->answers.root = r->root;
	for (int i = 0; i < sk_X509_num(r->issuers); i++) {
		X509 *x = sk_X509_value(r->issuers, i);
		bool there = false;

		for (int k = 0; k < sk_X509_num(s->chain); k++)
			there |= X509_cmp(x, sk_X509_value(s->chain, k)) == 0;
		if (!there && (more == NULL || sk_X509_push(more, x) == 0))
			err_die("out of memory");
	}
}

/* ---- the trade --------------------------------------------------------- */

static void
on_stored(struct service *s, uint64_t id)
{
	struct ra *r = s->owner;

	(void)id;
	clerk_wake(r->clerk);
}

static void
on_withdrawn(struct service *s, uint64_t id)
{
	struct ra *r = s->owner;

	clerk_withdrawn(r->clerk, id);
}

static void
on_reopened(struct service *s, uint64_t id)
{
	struct ra *r = s->owner;

	(void)id;
	clerk_look_again(r->clerk);
}

static void
on_revoked(struct service *s)
{
	struct ra *r = s->owner;

	crlmaker_wake(r->crlmaker);
}

static void
on_standing(struct service *s, const char *site)
{
	struct ra *r = s->owner;

	clerk_standing(r->clerk, site);
}

/* DESIGN 13: parse first, swap whole, else keep the old one. */
static void
on_reload(struct service *s)
{
	struct lists fresh;
	struct ra *r = s->owner;
	struct err e = ERR_INIT;

	if (lists_load(&r->conf, &fresh, &e) == -1) {
		log_err(LOG_ALARM, "ra.reload-failed", &e, NULL);
		return;
	}
	lists_done(&r->lists);
	r->lists = fresh;
	if (lists_publish(&r->lists, &r->conf, s, &e) == -1)
		log_err(LOG_ALARM, "ra.not-published", &e, NULL);
	/* What waited for a list may have waited for this one. */
	clerk_look_again(r->clerk);
}

static void
on_status(struct service *s, json_t *j)
{
	char issuer[CERT_TEXT_MAX];
	struct ra *r = s->owner;

	json_object_set_new(j, "issuer",
	    json_string(
		cert_subject_text(ra_issuer(r), issuer, sizeof(issuer))));
}

/* A certificate that was sent. */
static bool
is_issued(const struct ledger_case *c)
{
	return c->serial[0] != '\0' && c->code == BATCH_ANSWERED;
}

static int
add_certificate(
    struct service *s, const struct ledger_case *c, json_t *j, struct err *e)
{
	struct buf der AUTO_BUF = { 0 }, pem AUTO_BUF = { 0 };
	AUTO(X509) x = NULL;

	if (ledger_part(s->ledger, c->id, LEDGER_CERT, &der, e) != 1 ||
	    (x = ossl_cert_parse(buf_bytes(&der), e)) == NULL)
		return -1;
	ossl_cert_pem(x, &pem);
	return json_object_set_new(
	    j, "certificate", json_string(buf_cstr(&pem)));
}

static void
get_issued(struct service *s, struct https_req *q, const char *rest)
{
	static const struct control_list issued = { "issued", is_issued,
		add_certificate };

	(void)rest;
	control_reply_list(s, q, &issued);
}

static const struct control_route routes[] = {
	{ "/v1/issued", HTTPS_GET, get_issued },
	{ "/v1/revoke", HTTPS_POST, control_revoke },
	{ .path = NULL },
};

static const struct service_trade trade = {
	.program = "ra",
	.kinds = 1U << ENTRY_CMP,
	.unwrap = unwrap_cmp,
	.stored = on_stored,
	.withdrawn = on_withdrawn,
	.reopened = on_reopened,
	.standing = on_standing,
	.prove = prove_answer,
	.resolve = prove_outcome,
	.revoked = on_revoked,
	.reload = on_reload,
	.status = on_status,
	.routes = routes,
};

/* ---- its life ---------------------------------------------------------- */

int
ra_load(struct ra *r, struct err *e)
{
	if (service_load(&r->service, &r->conf.service, &trade, r, r->issuers,
		e) == -1 ||
	    load_vendors(r, e) == -1 ||
	    (r->root = ossl_load_cert(r->conf.service.domain_ca, e)) == NULL ||
	    load_new_root(r, e) == -1)
		return -1;
	load_plain(r);
	load_answerer(r);
	return 0;
}

static int
publish_one(
    struct ra *r, const char *name, const struct buf *value, struct err *e)
{
	if (value->len == 0) {
		reference_withdraw(&r->service, name);
		return 0;
	}
	return reference_publish(&r->service, name, buf_bytes(value), 0, e);
}

/* What registrars tell devices without us (RFC 9483 4.3). */
static int
publish_info(struct ra *r, struct err *e)
{
	struct buf certs AUTO_BUF = { 0 }, root AUTO_BUF = { 0 };
	struct buf plain AUTO_BUF = { 0 };
	const struct profile *v = r->conf.profiles.v;
	char name[sizeof(PROFILE_TEMPLATE) + CMP_PROFILE_MAX];

	info_ca_certs(r, &certs);
	info_root_update(r, &root);
	info_template(&r->plain, &plain);
	if (publish_one(r, "ca-certs", &certs, e) == -1 ||
	    publish_one(r, "root-update", &root, e) == -1 ||
	    publish_one(r, "template", &plain, e) == -1)
		return -1;
	for (size_t i = 0; i < r->conf.profiles.n; i++) {
		struct buf one AUTO_BUF = { 0 };

		info_template(&v[i], &one);
		snprintf(name, sizeof(name), PROFILE_TEMPLATE "%s", v[i].name);
		if (publish_one(r, name, &one, e) == -1)
			return -1;
	}
	return 0;
}

static int
open_upstream(struct ra *r, struct err *e)
{
	if (r->conf.ca.kind != RA_CA_CMP)
		return 0;
	return upstream_open(
	    r->service.loop, &r->conf.ca.upstream, r->issuers, &r->upstream, e);
}

/* The clerk before the wire: it is told of what is stored. */
int
ra_open(struct ra *r, struct err *e)
{
	if (service_open(&r->service, e) == -1 ||
	    lists_publish(&r->lists, &r->conf, &r->service, e) == -1 ||
	    open_upstream(r, e) == -1 || clerk_open(r, &r->clerk, e) == -1)
		return -1;
	/* An upstream makes its own. */
	if (r->upstream == NULL)
		r->crlmaker = crlmaker_new(r);
	if (publish_info(r, e) == -1)
		return -1;
	return service_listen(&r->service, e);
}

int
ra_run(struct ra *r, struct err *e)
{
	return service_run(&r->service, e);
}

void
ra_close(struct ra *r)
{
	service_close(&r->service);
	clerk_free(r->clerk);
	upstream_free(r->upstream);
	crlmaker_free(r->crlmaker);
	ca_stop(r->ca);
	service_done(&r->service);
	sk_X509_free(r->answers.more);
	lists_done(&r->lists);
	trust_free(r->vendors);
	X509_free(r->root);
	X509_free(r->new_root);
	X509_free(r->new_with_old);
	X509_free(r->old_with_new);
	buf_done(&r->crl);
	x509s_free(r->issuers);
	conf_free(ra_conf_table, &r->conf);
}
