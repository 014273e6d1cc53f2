/* How cases are decided: intended, answered, proven, resolved. */
#include "common/service/ledger_int.h"

#include <stdio.h>
#include <string.h>
#include "common/base/str.h"

int
case_closed(struct store_txn *t, uint64_t id, struct err *e)
{
	struct row_key open = key_of_id(INDEX_OPEN, id);
	struct row_key unknown = key_of_id(INDEX_UNKNOWN, id);
	struct row_key progress = key_part(id, LEDGER_PROGRESS);

	if (index_del(t, &open, e) == -1 || index_del(t, &unknown, e) == -1)
		return -1;
	return store_del(t, DB_OCTETS, row_key(&progress), e);
}

/* ---- intents ----------------------------------------------------------- */

static int
intend_case(struct store_txn *t, const struct ledger_intend *x,
    struct ledger_case *c, struct err *e)
{
	struct row_key tx = key_index(INDEX_TX, &x->tx), same;

#ifdef MUTANT_NO_INTENT
	return 0; /* the CA is asked all the same */
#endif
	c->state = LEDGER_INTENT;
	c->changed = clock_now().time;
	entry_text(c->device, sizeof(c->device), x->device);
	str_copy(c->serial, sizeof(c->serial), x->serial);
	if (x->same != NULL) {
		same = key_index(INDEX_SAME, x->same);
		if (index_put(t, &same, c->id, e) == -1)
			return -1;
	}
	if (case_put(t, c, e) == -1 || index_put(t, &tx, c->id, e) == -1 ||
	    serial_put(t, c->serial, c->id, e) == -1 ||
	    holder_put(t, c->id, x->holder, e) == -1 ||
	    part_put(t, c->id, LEDGER_TBS, x->tbs, e) == -1 ||
	    part_put(t, c->id, LEDGER_UNSIGNED, x->unsigned_cert, e) == -1 ||
	    facts_put(t, c->id, x->facts, e) == -1)
		return -1;
	return note(t, c->id, "intent", x->ledger->service, x->serial, e);
}

static int
job_intend(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_intend *x = arg;
	struct row_key tx = key_index(INDEX_TX, &x->tx);
	struct ledger_case c;
	uint64_t other;
	int sound, used, stands = 1;

	if (case_must(t, x->id, &c, e) == -1 ||
	    (sound = site_sound(t, c.site, e)) == -1 ||
	    (x->signer != 0 && (stands = case_stands(t, x->signer, e)) == -1) ||
	    (used = index_get(t, &tx, &other, e)) == -1)
		return -1;
	if (c.state != LEDGER_OPEN)
		x->is = LEDGER_NOT_OPEN;
	else if (sound == 0)
		x->is = LEDGER_UNSOUND;
	else if (c.withdrawn)
		x->is = LEDGER_GIVEN_UP;
	else if (used == 1 && other != c.id) /* its own: it was unknown once */
		x->is = LEDGER_TX_IN_USE;
	else if (stands == 0)
		x->is = LEDGER_SIGNER_FELL;
	else
		x->is = LEDGER_INTENDED;
	return x->is == LEDGER_INTENDED ? intend_case(t, x, &c, e) : 0;
}

/* ---- answers ----------------------------------------------------------- */

int
confirm_case(struct store_txn *t, uint64_t id, enum ledger_confirm is,
    const char *who, const char *reason, struct err *e)
{
	struct ledger_case c;

	if (case_must(t, id, &c, e) == -1)
		return -1;
	c.confirm = is;
	entry_text(c.confirm_reason, sizeof(c.confirm_reason), reason);
	c.changed = clock_now().time;
	if (case_put(t, &c, e) == -1 ||
	    note(t, id, ledger_confirm_name(is), who, c.confirm_reason, e) ==
		-1)
		return -1;
	/* It speaks of the one certificate that both were given. */
	return c.same == 0 ? 0 : confirm_case(t, c.same, is, who, reason, e);
}

/* A certConf's word about the case it belongs to. */
static int
settle_parent(struct store_txn *t, const struct ledger_settle *x, struct err *e)
{
	if (x->parent == 0)
		return 0;
	return confirm_case(t, x->parent, x->confirm, "device",
	    x->confirm_reason != NULL ? x->confirm_reason : "", e);
}

/* The certificate of a case that is withdrawn counts as rejected. */
static int
settle_withdrawn(
    struct store_txn *t, const struct ledger_case *c, struct err *e)
{
	if (!c->withdrawn || c->code != BATCH_ANSWERED || c->serial[0] == '\0')
		return 0;
	return confirm_case(t, c->id, LEDGER_REJECTED, "site", "withdrawn", e);
}

static int
settle_case(struct store_txn *t, const struct ledger_settle *x,
    struct ledger_case *c, struct err *e)
{
	struct row_key tx = key_index(INDEX_TX, &x->tx);
	char same[32];

	snprintf(
	    same, sizeof(same), "as case %llu", (unsigned long long)x->same);
	c->state = LEDGER_DONE;
	c->code = x->code;
	c->changed = clock_now().time;
	c->parent = x->parent;
	c->same = x->same;
	entry_text(c->reason, sizeof(c->reason), x->reason);
	if (x->device != NULL)
		entry_text(c->device, sizeof(c->device), x->device);
	if (x->serial != NULL)
		str_copy(c->serial, sizeof(c->serial), x->serial);
	if ((x->same != 0 && index_put(t, &tx, c->id, e) == -1) ||
	    case_put(t, c, e) == -1 ||
	    part_put(t, c->id, LEDGER_ANSWER, x->answer, e) == -1 ||
	    part_put(t, c->id, LEDGER_CERT, x->cert, e) == -1 ||
	    (x->serial != NULL && serial_put(t, c->serial, c->id, e) == -1) ||
	    facts_put(t, c->id, x->facts, e) == -1 ||
	    case_closed(t, c->id, e) == -1)
		return -1;
	return note(t, c->id, x->event, x->ledger->service,
	    c->reason[0] != '\0' ? c->reason
		: x->same != 0	 ? same
				 : c->serial,
	    e);
}

/* Whether another case's certificate may still be given: not if it was rejected
 * or given up meanwhile, nor if the transaction has another case. */
static int
settle_same(struct store_txn *t, struct ledger_settle *x, struct err *e)
{
	struct row_key tx = key_index(INDEX_TX, &x->tx);
	struct ledger_case c;
	uint64_t other;
	int used;

	if (x->same == 0)
		return 1;
	if (case_must(t, x->same, &c, e) == -1 ||
	    (used = index_get(t, &tx, &other, e)) == -1)
		return -1;
	x->tx_in_use = used == 1 && other != x->id;
	return !x->tx_in_use && c.state == LEDGER_DONE && !c.withdrawn &&
	    c.confirm != LEDGER_REJECTED;
}

/* Whether what an rr wants revoked is not so yet. */
static int
settle_revoke(struct store_txn *t, struct ledger_settle *x, struct err *e)
{
	int stands = 1;

	if (x->revoke != 0 && (stands = case_stands(t, x->revoke, e)) == -1)
		return -1;
	x->revoked_before = stands == 0;
	return stands;
}

/* 1 if the case may be answered so. */
static int
settle_may(struct store_txn *t, struct ledger_settle *x,
    const struct ledger_case *c, struct err *e)
{
	int sound;

	x->unsound = x->withdrawn = x->tx_in_use = x->revoked_before = false;
	x->revoked = 0;
	if (c->state == LEDGER_INTENT)
		return !x->unless_intent;
	if (c->state != LEDGER_OPEN)
		return 0;
	if ((sound = site_sound(t, c->site, e)) == -1)
		return -1;
	x->unsound = sound == 0;
	x->withdrawn = c->withdrawn && x->code == BATCH_ANSWERED;
	if (x->unsound || x->withdrawn)
		return 0;
	return x->revoke != 0 ? settle_revoke(t, x, e) : settle_same(t, x, e);
}

/* What is revoked by it; the case is answered. */
static int
settle_certificates(struct store_txn *t, struct ledger_settle *x, struct err *e)
{
	uint64_t now_held = x->parent != 0 ? x->parent : x->id;
	int rc;

	if (x->revoke != 0) {
		rc = revoke_case(
		    t, x->revoke, x->revoke_reason, "device", "rr", e);
		x->revoked = rc == 1;
		return rc == -1 ? -1 : 0;
	}
	if (x->max_live == 0 || (rc = case_stands(t, now_held, e)) == 0)
		return 0;
	if (rc == 1)
		rc = supersede_held(
		    t, now_held, x->older, x->max_live, x->ledger->service, e);
	x->revoked = rc > 0 ? (unsigned)rc : 0;
	return rc == -1 ? -1 : 0;
}

static int
job_settle(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_settle *x = arg;
	struct news w = { .n = 0 };
	struct ledger_case c;
	int may;

	if (case_must(t, x->id, &c, e) == -1 ||
	    (may = settle_may(t, x, &c, e)) == -1)
		return -1;
	str_copy(x->site, sizeof(x->site), c.site);
	x->changed = may == 1;
	if (!x->changed)
		return 0;
	if (settle_case(t, x, &c, e) == -1 || settle_parent(t, x, e) == -1 ||
	    settle_withdrawn(t, &c, e) == -1 ||
	    settle_certificates(t, x, e) == -1)
		return -1;
	news_answer(&w, &c, x->answer);
	return tell(t, x->ledger, c.site, c.epoch, NULL, &w, NULL, e);
}

/* ---- doubts ------------------------------------------------------------ */

int
doubt_case(struct store_txn *t, struct ledger_case *c, struct err *e)
{
	struct row_key k = key_of_id(INDEX_UNKNOWN, c->id);

	c->state = LEDGER_UNKNOWN;
	c->changed = clock_now().time;
	if (case_closed(t, c->id, e) == -1 || case_put(t, c, e) == -1)
		return -1;
	return index_put(t, &k, c->id, e);
}

static int
job_doubt(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_doubt *x = arg;
	struct ledger_case c;

	if (case_must(t, x->id, &c, e) == -1)
		return -1;
	x->changed = c.state == LEDGER_OPEN || c.state == LEDGER_INTENT;
	if (!x->changed)
		return 0;
	entry_text(c.reason, sizeof(c.reason), x->why);
	if (doubt_case(t, &c, e) == -1)
		return -1;
	return note(t, c.id, "unknown", x->ledger->service, c.reason, e);
}

/* ---- proofs ------------------------------------------------------------ */

static int
prove_names(struct store_txn *t, uint64_t id, const struct ledger_proof *p,
    struct err *e)
{
	struct row_key tx = key_index(INDEX_TX, &p->tx);
	struct row_key same = key_index(INDEX_SAME, &p->same);

	if (!p->has_names)
		return 0;
	return index_put(t, &tx, id, e) == -1 ? -1 : index_put(t, &same, id, e);
}

int
prove_case(struct store_txn *t, struct ledger_case *c,
    const struct ledger_proof *p, struct err *e)
{
	c->state = LEDGER_DONE;
	c->code = p->code;
	c->changed = clock_now().time;
	entry_text(c->reason, sizeof(c->reason), p->reason);
	if (p->device[0] != '\0')
		entry_text(c->device, sizeof(c->device), p->device);
	str_copy(c->serial, sizeof(c->serial), p->serial);
	if (case_put(t, c, e) == -1 ||
	    part_put(t, c->id, LEDGER_ANSWER, p->answer, e) == -1 ||
	    part_put(t, c->id, LEDGER_CERT, p->cert, e) == -1 ||
	    serial_put(t, c->serial, c->id, e) == -1 ||
	    prove_names(t, c->id, p, e) == -1 ||
	    (p->revoke != 0 &&
		revoke_case(
		    t, p->revoke, p->revoke_reason, "device", "rr", e) == -1))
		return -1;
	return case_closed(t, c->id, e) == -1 ? -1 : settle_withdrawn(t, c, e);
}

static int
reopen_case(struct store_txn *t, struct ledger_case *c, struct err *e)
{
	struct row_key open = key_of_id(INDEX_OPEN, c->id);

	c->state = LEDGER_OPEN;
	c->changed = clock_now().time;
	c->reason[0] = '\0';
	if (case_closed(t, c->id, e) == -1 || case_put(t, c, e) == -1)
		return -1;
	return index_put(t, &open, c->id, e);
}

static int
job_resolve(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_resolve *x = arg;
	static const char *const events[2][2] = { { "resolved-not-issued",
						      "resolved-issued" },
		{ "resolved-not-revoked", "resolved-revoked" } };
	bool done = x->proof.code != 0;
	struct ledger_case c;

	if (case_must(t, x->id, &c, e) == -1)
		return -1;
	str_copy(x->site, sizeof(x->site), c.site);
	x->changed = c.state == LEDGER_UNKNOWN;
	if (!x->changed)
		return 0;
	if (note(t, c.id, events[x->revocation][done], x->who, x->why, e) == -1)
		return -1;
	if (!done)
		return reopen_case(t, &c, e);
	if (prove_case(t, &c, &x->proof, e) == -1)
		return -1;
	return tell_case(t, x->ledger, &c, e);
}

/* ---- what callers call ------------------------------------------------- */

void
ledger_intend(
    struct ledger *l, struct ledger_intend *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_intend, done, x, to);
}

int
ledger_intend_wait(struct ledger *l, struct ledger_intend *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_intend, x, e);
}

void
ledger_settle(
    struct ledger *l, struct ledger_settle *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_settle, done, x, to);
}

int
ledger_settle_wait(struct ledger *l, struct ledger_settle *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_settle, x, e);
}

void
ledger_doubt(
    struct ledger *l, struct ledger_doubt *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_doubt, done, x, to);
}

int
ledger_doubt_wait(struct ledger *l, struct ledger_doubt *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_doubt, x, e);
}

void
ledger_resolve(struct ledger *l, struct ledger_resolve *x, ledger_done done,
    struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_resolve, done, x, to);
}

int
ledger_resolve_wait(struct ledger *l, struct ledger_resolve *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_resolve, x, e);
}
