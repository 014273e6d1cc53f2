/* What follows from a site's own words: withdrawals and checkpoints. */
#include "common/service/ledger_int.h"

#include <stdio.h>
#include <string.h>
#include "common/service/words.h"

/* ---- withdrawals ------------------------------------------------------- */

/* The copy may come later, by another carrier. */
static int
withdraw_absent(struct store_txn *t, const struct entry_header *h,
    const struct withdrawal *w, uint64_t id, const char **ret_done,
    struct err *e)
{
	struct row_key k = key_entry(INDEX_GIVEN, h->site, w->epoch, w->id);

	*ret_done = "not here yet; it will be refused when it comes";
	return index_put(t, &k, id, e);
}

/* As a certConf that rejects. */
static int
withdraw_issued(struct store_txn *t, struct ledger_case *c, struct err *e)
{
	c->confirm = LEDGER_REJECTED;
	entry_text(c->confirm_reason, sizeof(c->confirm_reason), "withdrawn");
	if (case_put(t, c, e) == -1)
		return -1;
	return note(t, c->id, ledger_confirm_name(c->confirm), "site",
	    c->confirm_reason, e);
}

static int
withdraw_case(struct store_txn *t, const struct entry_header *h,
    const struct withdrawal *w, struct ledger_case *c, const char **ret_done,
    struct err *e)
{
	static const char *const done[LEDGER_STATE__MAX] = {
		[LEDGER_OPEN] = "withdrawn before it was decided",
		[LEDGER_INTENT] = "its certificate will count as rejected",
		[LEDGER_DONE] = "it was answered before",
		[LEDGER_UNKNOWN] = "what became of it is not known",
	};
	bool issued = c->state == LEDGER_DONE && c->code == BATCH_ANSWERED &&
	    (c->serial[0] != '\0' || c->same != 0);

	*ret_done =
	    issued ? "its certificate counts as rejected" : done[c->state];
	c->withdrawn = true;
	c->changed = clock_now().time;
	if (case_put(t, c, e) == -1 ||
	    note_site(t, c->id, "withdrawn", h, w->reason, e) == -1)
		return -1;
	return issued ? withdraw_issued(t, c, e) : 0;
}

static int
withdraw(struct store_txn *t, const struct entry_header *h, struct bytes octets,
    uint64_t id, const char **ret_done, uint64_t *ret_withdrawn, struct err *e)
{
	struct withdrawal w;
	struct ledger_case c;
	struct row_key k;
	uint64_t target;
	int rc;

	if (withdrawal_parse(octets, &w, e) == -1)
		return -1;
	k = key_entry(INDEX_ENTRY, h->site, w.epoch, w.id);
	if ((rc = index_get(t, &k, &target, e)) == -1)
		return -1;
	if (rc == 0)
		return withdraw_absent(t, h, &w, id, ret_done, e);
	if (case_must(t, target, &c, e) == -1)
		return -1;
	if (!digest_eq(&c.digest, &w.digest) || words_kind(c.kind)) {
		*ret_done = "nothing: it names other octets than we have";
		return note_site(t, target, "withdraw-other", h, w.reason, e);
	}
	*ret_withdrawn = target;
	return withdraw_case(t, h, &w, &c, ret_done, e);
}

/* ---- checkpoints ------------------------------------------------------- */

/* An older entry that comes late says nothing; a newer one must not be behind
 * what an older one said. */
static int
checkpoint(struct store_txn *t, const struct entry_header *h,
    struct bytes octets, uint64_t id, const char **ret_done,
    const char **ret_why, struct err *e)
{
	static const uint8_t unknown[ENTRY_EPOCH_LEN];
	struct checkpoint c;
	char text[64];
	struct reach r = { .seq = 0 };

	if (checkpoint_parse(octets, &c, e) == -1 ||
	    reach_get(t, h->site, h->epoch, &r, e) == -1)
		return -1;
	snprintf(text, sizeof(text), "record %llu", (unsigned long long)c.seq);
	*ret_done = "noted";
	if (note_site(t, id, "checkpoint", h, text, e) == -1)
		return -1;
	if (h->id < r.check_id)
		return 0;
	if (c.seq < r.check_seq ||
	    (c.seq == r.check_seq && r.check_id != 0 &&
		!digest_eq(&c.hash, &r.check_hash))) {
		*ret_done = "noted; it goes back behind an earlier one";
		*ret_why = "its audit trail goes back behind a checkpoint";
		return site_suspend(t, h->site, unknown, *ret_why, e);
	}
	r.check_id = h->id;
	r.check_seq = c.seq;
	r.check_hash = c.hash;
	return reach_put(t, h->site, h->epoch, &r, e);
}

int
words_apply(struct store_txn *t, const struct entry_header *h,
    struct bytes octets, uint64_t id, const char **ret_done,
    uint64_t *ret_withdrawn, const char **ret_why, struct err *e)
{
	*ret_done = "";
	*ret_withdrawn = 0;
	*ret_why = NULL;
	return h->kind == ENTRY_WITHDRAW
	    ? withdraw(t, h, octets, id, ret_done, ret_withdrawn, e)
	    : checkpoint(t, h, octets, id, ret_done, ret_why, e);
}
