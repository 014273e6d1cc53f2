#include "masa-client/masa.h"

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/service/control_api.h"
#include "common/sys/control_json.h"
#include "masa-client/asker.h"
#include "masa-client/judge.h"

#define ANCHORS_MAX LIMIT_MASA_ANCHORS

/* ---- configuration ----------------------------------------------------- */

int
masa_configure(struct masa *m, const char *path, struct err *e)
{
	if (conf_load(path, masa_conf_table, &m->conf, e) == -1)
		return -1;
	if (m->conf.masa.retry_min > m->conf.masa.retry_max)
		return err_set(
		    e, ERR_CONF, "masa.retry-min: longer than masa.retry-max");
	return 0;
}

/* ---- keys and trust ---------------------------------------------------- */

/* Read here, so that a file that is wrong is told before it is needed. */
static int
load_tls_anchor(const struct masa_vendor *v, struct buf *ret, struct err *e)
{
	AUTO(X509S) certs = NULL;

	if (v->tls_anchor == NULL)
		return 0;
	if ((certs = ossl_load_certs(v->tls_anchor, e)) == NULL)
		return -1;
	return file_read(v->tls_anchor, ANCHORS_MAX, ret, e);
}

static int
load_lists(struct masa *m, const struct masa_vendor *v, struct err *e)
{
	const struct revocation_vendor lists = { .name = v->name,
		.anchor = v->anchor,
		.sub_ca = v->sub_ca,
		.lists = (const char *const *)v->crl.v,
		.n = v->crl.n,
		.unknown = (enum revocation_unknown)v->crl_unknown };

	return revocation_add(m->revoked, &lists, e);
}

static int
load_vendors(struct masa *m, struct err *e)
{
	const struct masa_vendor *v = m->conf.vendors.v;

	m->vendors = trust_new();
	m->revoked = revocation_new();
	m->anchors = xcalloc(m->conf.vendors.n + 1, sizeof(*m->anchors));
	for (size_t i = 0; i < m->conf.vendors.n; i++) {
		if (trust_add_file(m->vendors, v[i].name, v[i].anchor, e) ==
			-1 ||
		    load_tls_anchor(&v[i], &m->anchors[i], e) == -1)
			return err_prefix(e, "vendors.%s", v[i].name);
		if (load_lists(m, &v[i], e) == -1)
			return -1;
	}
	return 0;
}

/* ---- the trade --------------------------------------------------------- */

static void
on_stored(struct service *s, uint64_t id)
{
	struct masa *m = s->owner;

	(void)id;
	asker_wake(m->asker);
}

static void
on_withdrawn(struct service *s, uint64_t id)
{
	struct masa *m = s->owner;

	asker_withdrawn(m->asker, id);
}

static void
on_standing(struct service *s, const char *site)
{
	struct masa *m = s->owner;

	asker_standing(m->asker, site);
}

static void
on_status(struct service *s, json_t *j)
{
	struct masa *m = s->owner;
	struct asker_counts n;

	asker_count(m->asker, &n);
	json_object_set_new(j, "asking", json_integer((json_int_t)n.asking));
	json_object_set_new(j, "waiting", json_integer((json_int_t)n.waiting));
}

static void
get_asking(struct service *s, struct https_req *q, const char *rest)
{
	struct masa *m = s->owner;
	json_t *v = json_array();

	(void)rest;
	asker_list(m->asker, v);
	control_json(q, 200, json_pack("{s:o}", "asking", v));
}

static const struct control_route routes[] = {
	{ "/v1/asking", HTTPS_GET, get_asking },
	{ .path = NULL },
};

static const struct service_trade trade = {
	.program = "masa-client",
	.kinds = 1U << ENTRY_VOUCHER,
	.unwrap = judge_unwrap,
	.stored = on_stored,
	.withdrawn = on_withdrawn,
	.standing = on_standing,
	.status = on_status,
	.routes = routes,
};

/* ---- its life ---------------------------------------------------------- */

int
masa_load(struct masa *m, struct err *e)
{
	if (service_load(&m->service, &m->conf.service, &trade, m, NULL, e) ==
		-1 ||
	    load_vendors(m, e) == -1)
		return -1;
	m->client = signer_load(m->conf.masa.key, m->conf.masa.certificate, e);
	return m->client != NULL ? 0 : err_prefix(e, "masa");
}

/* The asker before the wire: it is told of what is stored. */
int
masa_open(struct masa *m, struct err *e)
{
	if (service_open(&m->service, e) == -1 ||
	    asker_open(m, &m->asker, e) == -1)
		return -1;
	return service_listen(&m->service, e);
}

int
masa_run(struct masa *m, struct err *e)
{
	return service_run(&m->service, e);
}

void
masa_close(struct masa *m)
{
	service_close(&m->service);
	asker_free(m->asker);
	service_done(&m->service);
	for (size_t i = 0; m->anchors != NULL && i < m->conf.vendors.n; i++)
		buf_done(&m->anchors[i]);
	free(m->anchors);
	trust_free(m->vendors);
	revocation_free(m->revoked);
	signer_free(m->client);
	conf_free(masa_conf_table, &m->conf);
}
