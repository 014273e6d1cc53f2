/* certConf (RFC 9483 4.1.1): whose certificate it speaks of, and what it says
 * of it. */
#include "ra/clerk_int.h"
#include "ra/unwrap.h"

/* What the certConf is held against. */
struct origin {
	struct ledger_case is;
	struct cmp_msg *request, *answer;
	X509 *cert;
};

static void
origin_done(struct origin *o)
{
	cmp_free(o->request);
	cmp_free(o->answer);
	X509_free(o->cert);
}

/*
 * By the site's word for the parent, which is only a hint: the transaction and
 * the signer are compared later.  Else by the transaction, if the signer's
 * certificate came along.  1 found, 0 absent, -1.
 */
static int
origin_find(struct work *w, uint64_t *ret, struct err *e)
{
	struct ledger *l = w->clerk->ra->service.ledger;
	struct err no = ERR_INIT;
	struct digest tx, spki;
	X509 *signer;
	int rc = 0;

	if (w->h.parent != 0)
		rc = ledger_find_entry(
		    l, w->h.site, w->h.epoch, w->h.parent, ret, e);
	if (rc != 0)
		return rc;
	if ((signer = cmp_find_signer(w->m, NULL, &no)) == NULL)
		return 0;
	spki = cert_spki_digest(signer);
	tx = judge_tx(w->m, &spki);
	return ledger_find_tx(l, &tx, ret, e);
}

/* 1 if the case is one whose certificate waits to be confirmed. */
static int
origin_load(struct ra *r, uint64_t id, struct origin *o, struct err *e)
{
	struct buf answer AUTO_BUF = { 0 }, cert AUTO_BUF = { 0 };
	struct buf octets AUTO_BUF = { 0 };
	struct ledger *l = r->service.ledger;

	if (ledger_get(l, id, &o->is, e) != 1)
		return -1;
	if (o->is.code != BATCH_ANSWERED || o->is.pruned ||
	    (o->is.serial[0] == '\0' && o->is.same == 0) ||
	    o->is.confirm != LEDGER_UNCONFIRMED)
		return 0;
	if (ledger_part(l, id, LEDGER_ANSWER, &answer, e) != 1 ||
	    ledger_part(l, o->is.same != 0 ? o->is.same : id, LEDGER_CERT,
		&cert, e) != 1 ||
	    ledger_part(l, id, LEDGER_OCTETS, &octets, e) != 1 ||
	    unwrap_stored(buf_bytes(&octets), &o->request, e) == -1 ||
	    cmp_parse(buf_bytes(&answer), &o->answer, e) == -1 ||
	    (o->cert = ossl_cert_parse(buf_bytes(&cert), e)) == NULL)
		return -1;
	return 1;
}

static void
refuse_unknown(struct work *w)
{
	struct err why = ERR_INIT;

	err_fail(&why, ERR_INPUT, CMP_BAD_REQUEST,
	    "certConf: no certificate of this transaction waits for it");
	work_refuse(w, "refused", &why);
}

static void
confirm_with(struct work *w, const struct origin *o)
{
	struct cmp_certconf c;
	struct err e = ERR_INIT;

	if (judge_confirm(&w->h, w->m, o->request, &w->v, &c, &e) == -1 ||
	    judge_confirmed(w->m, &c, o->answer, o->cert, &e) == -1)
		work_refuse(w, "refused", &e);
	else
		work_confirm_upstream(w, o->is.id, &c, o->answer);
}

void
work_judge_confirm(struct work *w)
{
	struct origin o = { .request = NULL };
	struct err e = ERR_INIT;
	uint64_t parent = 0;
	int rc = 0;

	if (cmp_body(w->m) == CMP_CERTCONF)
		rc = origin_find(w, &parent, &e);
	if (rc == 1)
		rc = origin_load(w->clerk->ra, parent, &o, &e);
	if (rc == -1) {
		work_skip(w, &e);
	} else if (rc == 0) {
		refuse_unknown(w);
	} else {
		confirm_with(w, &o);
	}
	origin_done(&o);
}
