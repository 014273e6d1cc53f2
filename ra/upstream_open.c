/* An upstream's credential, anchors and way there. */
#include "ra/upstream_int.h"

#include "common/base/file.h"

#define ANCHORS_MAX (256 * 1024)

int
upstream_wrap(const struct upstream *u, const struct cmp_msg *m,
    struct buf *ret, struct err *e)
{
	struct bytes der = cmp_der(m);

	if (u->conf->forward == UPSTREAM_NESTED)
		return cmp_nest(m, u->signer, ret, e);
	buf_add(ret, der.p, der.len);
	return 0;
}

bool
upstream_repeats(const struct upstream *u)
{
	return u->conf->idempotent;
}

bool
upstream_relays_confirm(const struct upstream *u)
{
	return u->conf->confirm == UPSTREAM_RELAY;
}

static int
open_fetcher(struct upstream *u, struct err *e)
{
	const struct upstream_conf *c = u->conf;
	struct buf anchors AUTO_BUF = { 0 };
	struct fetcher_conf f = {
		.client = u->signer,
		.server_name = c->server_name,
		.plain = true,
		.timeout_ms = (unsigned)c->timeout,
		.connections = 32,
	};

	if (c->tls_anchor != NULL &&
	    file_read(c->tls_anchor, ANCHORS_MAX, &anchors, e) == -1)
		return err_prefix(e, "ca.upstream.tls-anchor");
	f.anchors = buf_bytes(&anchors);
	u->fetcher = fetcher_new(u->loop, &f, e);
	return u->fetcher != NULL ? 0 : -1;
}

int
upstream_open(struct loop *l, const struct upstream_conf *c,
    const STACK_OF(X509) * issuers, struct upstream **ret, struct err *e)
{
	struct upstream *u = xcalloc(1, sizeof(*u));

	LIST_INIT(&u->asked);
	u->loop = l;
	u->conf = c;
	u->issuers = issuers;
	u->trust = trust_new();
	u->signer = signer_load(c->key, c->certificate, e);
	if (u->signer == NULL ||
	    trust_add_file(u->trust, "upstream", c->anchor, e) == -1 ||
	    open_fetcher(u, e) == -1) {
		upstream_free(u);
		return err_prefix(e, "ca.upstream");
	}
	*ret = u;
	return 0;
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	while (!LIST_EMPTY(&u->asked))
		upstream_cancel(LIST_FIRST(&u->asked));
	fetcher_free(u->fetcher);
	trust_free(u->trust);
	signer_free(u->signer);
	free(u);
}
