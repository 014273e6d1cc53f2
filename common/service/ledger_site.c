/* HELLO, GOT, and what is done when the memories of a site and of us differ. */
#include "common/service/ledger_int.h"

#include <stdio.h>
#include <string.h>

static const uint8_t unknown[ENTRY_EPOCH_LEN];

static bool
epoch_eq(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, ENTRY_EPOCH_LEN) == 0;
}

int
site_suspend(struct store_txn *t, const char *site, const uint8_t *knew,
    const char *why, struct err *e)
{
	char detail[200];
	struct site_row s;

	if (site_row_get(t, site, &s, e) == -1)
		return -1;
	s.standing = LEDGER_SUSPENDED;
	entry_text(s.why, sizeof(s.why), why);
	s.since = clock_now().time;
	memcpy(s.knew, knew, sizeof(s.knew));
	snprintf(detail, sizeof(detail), "%s: %s", site, s.why);
	if (site_row_put(t, site, &s, e) == -1)
		return -1;
	return note(t, 0, "site-suspended", "service", detail, e);
}

/* ---- an older copy ----------------------------------------------------- */

struct renewal {
	struct store_txn *t;
	const char *who;
};

static int
renew_site(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct renewal *r = arg;
	char name[ENTRY_NAME_MAX];

	(void)value;
	(void)damaged;
	/* A site's epochs stand behind its name, after a NUL. */
	if (key.len >= sizeof(name) || memchr(key.p, '\0', key.len) != NULL)
		return 0;
	memcpy(name, key.p, key.len);
	name[key.len] = '\0';
	return site_suspend(r->t, name, store_epoch(r->t),
	    "the ledger was put back to an older copy", e);
}

/* The epoch by which they know us is the old one, as long as we tell. */
static int
job_renew(struct store_txn *t, void *arg, struct err *e)
{
	struct renewal *r = arg;

	r->t = t;
	if (store_walk(t, DB_SITE, bytes_of("", 0), renew_site, r, e) == -1)
		return -1;
	store_new_epoch(t);
	return note(t, 0, "renewed", r->who, "", e);
}

int
ledger_renew(const struct store_conf *c, const char *who, struct err *e)
{
	struct renewal r = { .who = who };
	AUTO(store) s = NULL;

	return store_open(c, &s, e) == -1
	    ? -1
	    : store_submit_wait(s, job_renew, &r, e);
}

/* ---- HELLO ------------------------------------------------------------- */

/* DESIGN 7: whoever finds the other ahead of its own memory was rolled back. */
static int
hello_compare(struct store_txn *t, struct ledger_hello *x,
    const struct site_row *s, uint64_t seq, struct err *e)
{
	char why[LEDGER_REASON_MAX];
	bool ours = epoch_eq(x->service_epoch, x->ledger->epoch);

	/* In an epoch of ours that lives on we may be rolled back again. */
	if (s->standing != LEDGER_SOUND ||
	    epoch_eq(x->service_epoch, unknown) ||
	    (!ours && epoch_eq(x->service_epoch, s->knew)))
		return 0;
	if (!ours)
		snprintf(why, sizeof(why),
		    "it knows us in an epoch that is not ours");
	else if (x->service_seq > seq)
		snprintf(why, sizeof(why),
		    "it holds our batch %llu, we remember up to %llu",
		    (unsigned long long)x->service_seq,
		    (unsigned long long)seq);
	else
		return 0;
	x->suspended = true;
	return site_suspend(t, x->site, x->service_epoch, why, e);
}

/* Its audit head, which our next batch countersigns. */
static int
hello_audit(struct store_txn *t, const struct ledger_hello *x, struct reach *r,
    struct err *e)
{
	static const struct digest none;

	if (digest_eq(&x->audit, &none) || digest_eq(&x->audit, &r->audit))
		return 0;
	r->audit = x->audit;
	return reach_put(t, x->site, x->epoch, r, e);
}

static int
job_hello(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_hello *x = arg;
	struct reach r = { .seq = 0 };
	struct site_row s;
	int rc = site_row_get(t, x->site, &s, e);

	x->suspended = false;
	if (rc == -1)
		return -1;
	if (rc == 0 || !epoch_eq(s.epoch, x->epoch)) {
		memcpy(s.epoch, x->epoch, sizeof(s.epoch));
		if (site_row_put(t, x->site, &s, e) == -1)
			return -1;
	}
	if (reach_get(t, x->site, x->epoch, &r, e) == -1 ||
	    hello_audit(t, x, &r, e) == -1 ||
	    hello_compare(t, x, &s, r.seq, e) == -1)
		return -1;
	return site_get(t, x->site, &x->known, e) == -1 ? -1 : 0;
}

/* ---- recovery ---------------------------------------------------------- */

static int
job_recover(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_recover *x = arg;
	struct site_row s;
	int rc = site_row_get(t, x->site, &s, e);

	if (rc == -1)
		return -1;
	x->known = rc == 1;
	x->was = s.standing;
	if (!x->known || s.standing != LEDGER_SUSPENDED)
		return 0;
	s.standing = LEDGER_RECOVERING;
	s.since = clock_now().time;
	if (site_row_put(t, x->site, &s, e) == -1)
		return -1;
	return note(t, 0, "site-recovering", x->who, x->site, e);
}

struct sweep {
	struct store_txn *t;
	struct ledger *ledger;
	const char *site;
	struct row_key from;
};

static int
drop_batch(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct sweep *w = arg;

	(void)value;
	(void)damaged;
	if (!key_same_site(key, &w->from))
		return 1;
	return store_del(w->t, DB_BATCH, key, e);
}

static int
tell_one(struct bytes key, struct bytes value, bool damaged, void *arg,
    struct err *e)
{
	struct sweep *w = arg;
	struct ledger_case c;

	(void)damaged; /* the key says it too */
	(void)value;
	if (key.len == 0 || key.p[0] != INDEX_LATER)
		return 1;
	if (case_must(w->t, store_key_to_id(bytes_of(key.p + 1, key.len - 1)),
		&c, e) == -1)
		return -1;
	if (strcmp(c.site, w->site) != 0)
		return 0;
	if (store_del(w->t, DB_INDEX, key, e) == -1)
		return -1;
	return tell_case(w->t, w->ledger, &c, e);
}

/*
 * Batches of a future that is lost are numbered up to x->upto, and those that
 * we remember are not what the site holds under their numbers: so none stays,
 * and what the site has no answer to is told anew.
 */
static int
got_recovered(struct store_txn *t, struct ledger_got *x, struct site_row *s,
    struct reach *r, struct err *e)
{
	struct sweep w = { t, x->ledger, x->site,
		key_batch(x->site, s->epoch, 0) };
	struct row_key later = key_of_id(INDEX_LATER, 0);

	s->standing = LEDGER_SOUND;
	s->why[0] = '\0';
	s->since = clock_now().time;
	r->seq = r->got = x->upto;
	r->check_id = r->check_seq = 0;
	if (site_row_put(t, x->site, s, e) == -1 ||
	    reach_put(t, x->site, s->epoch, r, e) == -1 ||
	    note(t, 0, "site-recovered", "service", x->site, e) == -1)
		return -1;
	if (store_walk(t, DB_BATCH, row_key(&w.from), drop_batch, &w, e) == -1)
		return -1;
	return store_walk(t, DB_INDEX, row_key(&later), tell_one, &w, e);
}

static int
job_got(struct store_txn *t, void *arg, struct err *e)
{
	struct ledger_got *x = arg;
	struct reach r = { .seq = 0 };
	struct site_row s;
	int rc = site_row_get(t, x->site, &s, e);

	x->recovered = x->ignored = false;
	if (rc == 1 && reach_get(t, x->site, s.epoch, &r, e) == -1)
		rc = -1;
	if (rc != 1)
		return rc;
	x->recovered = s.standing == LEDGER_RECOVERING;
	x->ignored = s.standing == LEDGER_SUSPENDED;
	if (x->recovered)
		return got_recovered(t, x, &s, &r, e);
	/* What was never made cannot have been got; alarms are the caller's. */
	if (x->ignored || x->upto <= r.got || x->upto > r.seq)
		return 0;
	r.got = x->upto;
	return reach_put(t, x->site, s.epoch, &r, e);
}

/* ---- what callers call ------------------------------------------------- */

void
ledger_hello(
    struct ledger *l, struct ledger_hello *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_hello, done, x, to);
}

int
ledger_hello_wait(struct ledger *l, struct ledger_hello *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_hello, x, e);
}

void
ledger_recover(struct ledger *l, struct ledger_recover *x, ledger_done done,
    struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_recover, done, x, to);
}

int
ledger_recover_wait(struct ledger *l, struct ledger_recover *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_recover, x, e);
}

void
ledger_got(
    struct ledger *l, struct ledger_got *x, ledger_done done, struct post to)
{
	x->ledger = l;
	store_submit(l->store, job_got, done, x, to);
}

int
ledger_got_wait(struct ledger *l, struct ledger_got *x, struct err *e)
{
	x->ledger = l;
	return store_submit_wait(l->store, job_got, x, e);
}
