/* What a site in recovery knows of the entries that had left it. */
#include "common/service/ledger_int.h"

#include <string.h>
#include "common/service/words.h"

/* Nobody can prove what became of it. */
static int
doubt(struct store_txn *t, struct ledger_evidence *x, struct ledger_case *c,
    struct err *e)
{
	x->is = LEDGER_DOUBTED;
	if (x->repeatable)
		return 0;
	if (x->proof.device != NULL)
		entry_text(c->device, sizeof(c->device), x->proof.device);
	if (doubt_case(t, c, e) == -1)
		return -1;
	return note_site(t, c->id, "unknown", x->h, "", e);
}

static int
learn_confirm(
    struct store_txn *t, const struct ledger_evidence *x, struct err *e)
{
	const struct entry_header *h = x->h;
	struct row_key k = key_entry(INDEX_ENTRY, h->site, h->epoch, h->parent);
	uint64_t parent;
	int rc = 0;

	if (x->proof.confirm != LEDGER_UNCONFIRMED && h->parent != 0)
		rc = index_get(t, &k, &parent, e);
	return rc != 1 ? rc
		       : confirm_case(t, parent, x->proof.confirm, "device",
			     x->proof.confirm_reason, e);
}

static int
learn(struct store_txn *t, struct ledger_evidence *x, struct ledger_case *c,
    struct err *e)
{
	const struct ledger_proof *p = &x->proof;

	if (p->code == 0)
		return doubt(t, x, c, e);
	x->is = LEDGER_LEARNT;
	if (note_site(t, c->id, "proven", x->h,
		p->serial[0] != '\0' ? p->serial : p->reason, e) == -1 ||
	    prove_case(t, c, p, e) == -1)
		return -1;
	return learn_confirm(t, x, e);
}

/* A word of the site's about itself follows from it again. */
static int
learn_word(struct store_txn *t, struct ledger_evidence *x,
    struct ledger_case *c, struct err *e)
{
	struct buf answer AUTO_BUF = { 0 };
	const char *done, *why;
	uint64_t withdrawn;

	x->is = LEDGER_LEARNT;
	if (x->h->kind != ENTRY_WITHDRAW)
		done = "noted";
	else if (words_apply(t, x->h, x->octets, c->id, &done, &withdrawn, &why,
		     e) == -1)
		return -1;
	words_done(done, &answer);
	c->state = LEDGER_DONE;
	c->code = BATCH_ANSWERED;
	if (case_closed(t, c->id, e) == -1 || case_put(t, c, e) == -1)
		return -1;
	return part_put(t, c->id, LEDGER_ANSWER, buf_bytes(&answer), e);
}

static int
contradict(struct store_txn *t, struct ledger_evidence *x,
    const struct ledger_case *c, const char *why, struct err *e)
{
	x->is = LEDGER_CONTRADICTED;
	return note_site(t, c->id, "contradicted", x->h, why, e);
}

/* We have an answer: is it the one that the site has? */
static int
compare_done(struct store_txn *t, struct ledger_evidence *x,
    const struct ledger_case *c, struct err *e)
{
	struct row_key later = key_of_id(INDEX_LATER, c->id);
	struct buf ours AUTO_BUF = { 0 };

	x->is = LEDGER_KNOWN;
	if (!x->answered)
		return index_put(t, &later, c->id, e);
	if (x->proof.code == 0 || c->pruned)
		return 0;
	if (part_get(t, c->id, LEDGER_ANSWER, &ours, e) == -1)
		return -1;
	if (bytes_eq(buf_bytes(&ours), x->proof.answer))
		return 0;
	return contradict(t, x, c,
	    x->proof.serial[0] != '\0' ? x->proof.serial : "another answer", e);
}

static int
evidence_known(struct store_txn *t, struct ledger_evidence *x,
    struct ledger_case *c, struct err *e)
{
	if (!digest_eq(&c->once, &x->once))
		return contradict(t, x, c, "this id stood for other octets", e);
	if (strcmp(c->site, x->h->site) != 0)
		return contradict(t, x, c, "handled elsewhere", e);
	if (case_rename(t, c, x->h, e) == -1)
		return -1;
	if (c->state == LEDGER_DONE)
		return compare_done(t, x, c, e);
	if (c->state == LEDGER_OPEN || x->proof.code != 0)
		return learn(t, x, c, e);
	x->is = LEDGER_KNOWN;
	return 0;
}

static int
evidence_new(struct store_txn *t, struct ledger_evidence *x, struct err *e)
{
	struct ledger_case c;

	if (case_new(t, x->h, x->header, x->sig, x->octets, &x->once, &c, e) ==
	    -1)
		return -1;
	x->id = c.id;
	return words_kind(x->h->kind) ? learn_word(t, x, &c, e)
				      : learn(t, x, &c, e);
}

static int
evidence_find(struct store_txn *t, const struct ledger_evidence *x,
    uint64_t *ret, struct err *e)
{
	struct row_key once = key_index(INDEX_ONCE, &x->once);
	struct row_key entry =
	    key_entry(INDEX_ENTRY, x->h->site, x->h->epoch, x->h->id);
	int rc = index_get(t, &once, ret, e);

	return rc != 0 ? rc : index_get(t, &entry, ret, e);
}

/* What it once sent counts, so that ids that go back are noticed. */
static int
evidence_reach(struct store_txn *t, const struct entry_header *h, struct err *e)
{
	struct reach r = { .seq = 0 };

	if (reach_get(t, h->site, h->epoch, &r, e) == -1)
		return -1;
	if (h->id <= r.highest)
		return 0;
	r.highest = h->id;
	return reach_put(t, h->site, h->epoch, &r, e);
}

static int
job_evidence(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_evidence *x = arg;
	struct ledger_case c;
	struct site_row s;
	int rc;

	x->id = 0;
	x->is = LEDGER_NOT_ASKED;
	if (site_row_get(t, x->h->site, &s, e) == -1)
		return -1;
	if (s.standing != LEDGER_RECOVERING)
		return 0;
	if (evidence_reach(t, x->h, e) == -1 ||
	    (rc = evidence_find(t, x, &x->id, e)) == -1)
		return -1;
	if (rc == 0)
		return evidence_new(t, x, e);
	if (case_must(t, x->id, &c, e) == -1)
		return -1;
	return evidence_known(t, x, &c, e);
}

void
ledger_evidence(struct ledger *l, struct ledger_evidence *x, ledger_done done,
    struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_evidence, done, x, to);
}

int
ledger_evidence_wait(struct ledger *l, struct ledger_evidence *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_evidence, x, e);
}
