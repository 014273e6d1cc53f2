/* Entries as they come: new, again, in conflict; or refused for good. */
#include "common/service/ledger_int.h"

#include <string.h>
#include "common/base/str.h"
#include "common/service/words.h"

int
case_new(struct store_txn *t, const struct entry_header *h, struct bytes header,
    struct bytes sig, struct bytes octets, const struct digest *once,
    struct ledger_case *ret, struct err *e)
{
	struct ledger_case c = { .id = store_take_id(t),
		.site_id = h->id,
		.kind = h->kind,
		.step = h->step,
		.once = *once,
		.digest = h->digest,
		.stored = clock_now().time,
		.state = LEDGER_OPEN };
	struct row_key key = key_index(INDEX_ONCE, once);
	struct row_key open = key_of_id(INDEX_OPEN, c.id);
	struct row_key entry = key_entry(INDEX_ENTRY, h->site, h->epoch, h->id);
	struct row_key given = key_entry(INDEX_GIVEN, h->site, h->epoch, h->id);
	uint64_t by;
	int rc = index_get(t, &given, &by, e);

	str_copy(c.site, sizeof(c.site), h->site);
	memcpy(c.epoch, h->epoch, sizeof(c.epoch));
	c.changed = c.stored;
	c.withdrawn = rc == 1;
	if (rc == -1 || case_put(t, &c, e) == -1 ||
	    part_put(t, c.id, LEDGER_HEADER, header, e) == -1 ||
	    part_put(t, c.id, LEDGER_SIGNATURE, sig, e) == -1 ||
	    part_put(t, c.id, LEDGER_OCTETS, octets, e) == -1 ||
	    index_put(t, &key, c.id, e) == -1 ||
	    index_put(t, &open, c.id, e) == -1 ||
	    index_put(t, &entry, c.id, e) == -1 ||
	    note_site(t, c.id, "seen", h,
		c.withdrawn ? "after its withdrawal" : "", e) == -1)
		return -1;
	*ret = c;
	return 0;
}

int
case_rename(struct store_txn *t, struct ledger_case *c,
    const struct entry_header *h, struct err *e)
{
	struct row_key entry = key_entry(INDEX_ENTRY, h->site, h->epoch, h->id);

	if (c->site_id == h->id &&
	    memcmp(c->epoch, h->epoch, sizeof(c->epoch)) == 0)
		return 0;
	c->site_id = h->id;
	memcpy(c->epoch, h->epoch, sizeof(c->epoch));
	return case_put(t, c, e) == -1 ? -1 : index_put(t, &entry, c->id, e);
}

/* The answer of a case that is done, or that it is no longer kept. */
static int
news_of(struct store_txn *t, struct news *w, const struct ledger_case *c,
    struct err *e)
{
	struct buf answer AUTO_BUF = { 0 };
	struct ledger_case gone = *c;

	if (part_get(t, c->id, LEDGER_ANSWER, &answer, e) == -1)
		return -1;
	if (answer.len == 0) {
		gone.code = BATCH_REFUSED;
		str_copy(gone.reason, sizeof(gone.reason),
		    "answered long ago; the answer is no longer kept");
	}
	news_answer(w, &gone, buf_bytes(&answer));
	return 0;
}

/* A site's own word: done as it is stored.  The answer is its receipt. */
static int
receive_word(struct store_txn *t, struct ledger_receive *x,
    struct ledger_case *c, struct news *w, struct err *e)
{
	struct buf answer AUTO_BUF = { 0 };
	const char *done, *why;

	if (words_apply(
		t, x->h, x->octets, c->id, &done, &x->withdrawn, &why, e) == -1)
		return -1;
	words_done(done, &answer);
	c->state = LEDGER_DONE;
	c->code = BATCH_ANSWERED;
	if (case_closed(t, c->id, e) == -1 || case_put(t, c, e) == -1 ||
	    part_put(t, c->id, LEDGER_ANSWER, buf_bytes(&answer), e) == -1)
		return -1;
	news_answer(w, c, buf_bytes(&answer));
	x->suspended = why != NULL;
	return 0;
}

static int
receive_new(struct store_txn *t, struct ledger_receive *x, struct err *e)
{
	const struct entry_header *h = x->h;
	struct ledger_case c;
	struct news w = { .n = 0 };

	if (case_new(t, h, x->header, x->sig, x->octets, &x->once, &c, e) == -1)
		return -1;
	x->met = LEDGER_NEW;
	x->id = c.id;
	if (words_kind(h->kind)) {
		if (receive_word(t, x, &c, &w, e) == -1)
			return -1;
	} else {
		news_add(&w, h->id, BATCH_STORED, &h->digest, "");
	}
	return tell(t, x->ledger, h->site, h->epoch, h, &w, &x->told, e);
}

/* The receipt again, and the answer if there is one: what the site has lost it
 * shall have.  From now on it is told under the id it used last. */
static int
receive_again(struct store_txn *t, struct ledger_receive *x,
    struct ledger_case *c, struct err *e)
{
	const struct entry_header *h = x->h;
	struct news w = { .n = 0 };

	x->met = LEDGER_AGAIN;
	if (case_rename(t, c, h, e) == -1)
		return -1;
	if (!words_kind(h->kind))
		news_add(&w, h->id, BATCH_DUPLICATE, &h->digest, "");
	if ((c->state == LEDGER_DONE && news_of(t, &w, c, e) == -1) ||
	    note_site(t, c->id, "seen-again", h, "", e) == -1)
		return -1;
	return tell(t, x->ledger, h->site, h->epoch, h, &w, &x->told, e);
}

static int
receive_conflict(struct store_txn *t, struct ledger_receive *x,
    enum ledger_met met, const char *reason, struct err *e)
{
	const struct entry_header *h = x->h;
	struct news w = { .n = 0 };

	x->met = met;
	news_add(&w, h->id, BATCH_CONFLICT, &h->digest, reason);
	if (note_site(t, x->id, "conflict", h, reason, e) == -1)
		return -1;
	return tell(t, x->ledger, h->site, h->epoch, h, &w, &x->told, e);
}

/* 1: some case has these octets, or this id of the site's; 0: none. */
static int
receive_find(struct store_txn *t, struct ledger_receive *x,
    struct ledger_case *ret, struct err *e)
{
	struct row_key once = key_index(INDEX_ONCE, &x->once);
	struct row_key entry =
	    key_entry(INDEX_ENTRY, x->h->site, x->h->epoch, x->h->id);
	int rc = index_get(t, &once, &x->id, e);

	if (rc == 0)
		rc = index_get(t, &entry, &x->id, e);
	if (rc != 1)
		return rc;
	if (case_must(t, x->id, ret, e) == -1)
		return -1;
	str_copy(x->first_site, sizeof(x->first_site), ret->site);
	return 1;
}

static int
job_receive(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_receive *x = arg;
	struct ledger_case c;
	int rc;

	ledger_batch_done(&x->told);
	x->withdrawn = 0;
	x->suspended = false;
	x->met = LEDGER_NOT_NOW;
	if ((rc = site_sound(t, x->h->site, e)) != 1)
		return rc;
	if ((rc = receive_find(t, x, &c, e)) == -1)
		return -1;
	if (rc == 0)
		return receive_new(t, x, e);
	if (!digest_eq(&c.once, &x->once))
		return receive_conflict(t, x, LEDGER_ID_REUSED,
		    "this id stood for other octets", e);
	if (strcmp(c.site, x->h->site) != 0)
		return receive_conflict(
		    t, x, LEDGER_ELSEWHERE, "handled elsewhere", e);
	return receive_again(t, x, &c, e);
}

static int
job_refuse(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_refuse *x = arg;
	const struct entry_header *h = x->h;
	struct news w = { .n = 0 };
	int rc;

	ledger_batch_done(&x->told);
	if ((rc = site_sound(t, h->site, e)) == -1)
		return -1;
	x->not_now = rc == 0;
	if (x->not_now)
		return 0;
	news_add(&w, h->id, x->code, &h->digest, x->reason);
	if (note_site(t, 0, batch_code_name(x->code), h, x->reason, e) == -1)
		return -1;
	return tell(t, x->ledger, h->site, h->epoch, h, &w, &x->told, e);
}

/* ---- what callers call ------------------------------------------------- */

void
ledger_receive(struct ledger *l, struct ledger_receive *x, ledger_done done,
    struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_receive, done, x, to);
}

int
ledger_receive_wait(struct ledger *l, struct ledger_receive *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_receive, x, e);
}

void
ledger_refuse(
    struct ledger *l, struct ledger_refuse *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_refuse, done, x, to);
}
