/*
 * DESIGN 7: the same key pair in a new transaction gets the certificate already
 * issued, if the same device asks the same of the same site, and the
 * certificate still holds and is not too old.  Proof of possession was verified
 * anew.
 */
#include "ra/clerk_int.h"

#include "common/base/cbor.h"

#define SAME_LABEL "waybill-ra-same/1"

struct digest
same_key(
    const char *site, const struct digest *device, const struct digest *tmpl)
{
	struct buf text AUTO_BUF = { 0 };

	cbor_write_array(&text, 4);
	cbor_write_text(&text, SAME_LABEL);
	cbor_write_text(&text, site);
	cbor_write_bytes(&text, device->b, sizeof(device->b));
	cbor_write_bytes(&text, tmpl->b, sizeof(tmpl->b));
	return digest_of(text.data, text.len);
}

static bool
in_work(const struct clerk *c, uint64_t id)
{
	const struct work *w = c->first;

	while (w != NULL && w->is.id != id)
		w = w->next;
	return w != NULL;
}

/* Neither rejected nor given up. */
static bool
still_stands(const struct ledger_case *c)
{
	return c->state == LEDGER_DONE && c->code == BATCH_ANSWERED &&
	    c->serial[0] != '\0' && !c->withdrawn &&
	    c->confirm != LEDGER_REJECTED;
}

bool
same_is_fresh(uint64_t from, uint64_t to, uint64_t now, uint64_t window)
{
	return now >= from && now <= to && now - from <= window + BACKDATE;
}

static int
is_fresh(const struct ra *r, struct bytes der, struct err *e)
{
	uint64_t from, to;
	AUTO(X509) x = ossl_cert_parse(der, e);

	if (x == NULL || cert_validity(x, &from, &to, e) == -1)
		return -1;
	return same_is_fresh(
	    from, to, clock_now().time, r->conf.same_key / 1000);
}

static enum same
take_certificate(struct work *w, uint64_t id, struct err *e)
{
	struct ra *r = w->clerk->ra;
	struct buf der AUTO_BUF = { 0 };
	int rc = ledger_part(r->service.ledger, id, LEDGER_CERT, &der, e);

	if (rc == 1)
		rc = is_fresh(r, buf_bytes(&der), e);
	if (rc == -1)
		return SAME_FAILED;
	if (rc == 0)
		return SAME_NONE;
	buf_reset(&w->cert);
	buf_add(&w->cert, der.data, der.len);
	return SAME_FOUND;
}

enum same
work_find_same(struct work *w, uint64_t *ret_id, struct err *e)
{
	struct ra *r = w->clerk->ra;
	struct digest same =
	    same_key(w->is.site, &w->v.device, &w->v.request.tmpl);
	struct ledger_case c;
	int rc = 0;

	if (r->conf.same_key != 0)
		rc = ledger_find_same(r->service.ledger, &same, ret_id, e);
	if (rc == 1)
		rc = ledger_get(r->service.ledger, *ret_id, &c, e);
	if (rc == -1)
		return SAME_FAILED;
	if (rc == 0)
		return SAME_NONE;
	if (c.state == LEDGER_INTENT && in_work(w->clerk, c.id))
		return SAME_COMING;
	return still_stands(&c) ? take_certificate(w, c.id, e) : SAME_NONE;
}
