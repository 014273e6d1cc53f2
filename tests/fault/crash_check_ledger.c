/* Invariants I1 to I3, I5, I6 and I9 of a service's ledger that a power cut
 * left. */
#include "tests/fault/crash_truth.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "common/service/ledger.h"

#define SITES	 2
#define ONCE_MAX 1024

static const char *const sites[SITES] = { CRASH_SITE, "paris" };

struct check {
	const struct truth *t;
	const struct witness *w;
	struct ledger *l;
	struct err *e;
	struct ledger_case v[ONCE_MAX];
	size_t n;
};

/* I9 */
static int
open_left(struct check *c)
{
	struct ledger_conf conf = { .directory = c->w->store,
		.seal = c->w->seal,
		.map_size = CRASH_MAP,
		.service = CRASH_SERVICE,
		.signer = c->w->signer };

	if (ledger_open(&conf, &c->l, c->e) == -1)
		return err_prefix(c->e, "I9: it does not open");
	return 0;
}

static int
collect(const struct ledger_case *x, void *arg)
{
	struct check *c = arg;

	c->v[c->n++] = *x;
	return c->n == ONCE_MAX;
}

static bool
is_like(const struct mark *m, const void *arg)
{
	const struct ledger_case *x = arg;

	return m->state == (uint32_t)x->state && m->seq == x->site_id &&
	    digest_eq(&m->row, &x->once) && digest_eq(&m->octets, &x->digest);
}

/* A part is the one that was given, or not there if none was. */
static int
check_part(struct check *c, const struct mark *m, enum ledger_part part,
    bool given, const struct digest *want, const char *which)
{
	struct buf octets AUTO_BUF = { 0 };
	struct digest is;
	int rc = ledger_part(c->l, m->id, part, &octets, c->e);

	if (rc == -1)
		return err_prefix(c->e, "%s", which);
	is = digest_of(octets.data, octets.len);
	if (rc != (int)given || (given && !digest_eq(&is, want)))
		return err_set(
		    c->e, ERR_DAMAGE, "%s, or none where one was", which);
	return 0;
}

/* I2: a transaction leads to the one case that was meant. */
static int
check_tx(struct check *c, const struct mark *m)
{
	struct digest tx = digest_of(m->hash.b, DIGEST_LEN);
	uint64_t id = 0;

	if ((m->has & MARK_HAS_TBS) == 0)
		return 0;
	if (ledger_find_tx(c->l, &tx, &id, c->e) != 1 || id != m->id)
		return err_set(c->e, ERR_DAMAGE,
		    "I2: its transaction leads to case %llu",
		    (unsigned long long)id);
	return 0;
}

static int
check_case(struct check *c, const struct ledger_case *x)
{
	const struct mark *m = truth_match(c->t, MARK_CASE, x->id, is_like, x);
	const struct {
		enum ledger_part part;
		enum mark_has bit;
		const struct digest *want;
		const char *which;
	} parts[] = {
		{ LEDGER_TBS, MARK_HAS_TBS, &m->hash, "I2: another intent" },
		{ LEDGER_CERT, MARK_HAS_CERT, &m->wrapped,
		    "I2: another certificate" },
		{ LEDGER_ANSWER, MARK_HAS_ANSWER, &m->answer,
		    "I3: another answer" },
	};

	if (m == NULL)
		return err_set(c->e, ERR_DAMAGE,
		    "I5: stands as %s, which it was not told to be",
		    ledger_state_name(x->state));
	if (check_part(c, m, LEDGER_OCTETS, true, &m->octets,
		"I1: other octets") == -1 ||
	    check_tx(c, m) == -1)
		return -1;
	for (size_t i = 0; i < NELEMS(parts); i++)
		if (check_part(c, m, parts[i].part,
			(m->has & parts[i].bit) != 0, parts[i].want,
			parts[i].which) == -1)
			return -1;
	return 0;
}

/* I2: no two cases of one request. */
static int
check_once(struct check *c)
{
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < i; k++)
			if (digest_eq(&c->v[i].once, &c->v[k].once))
				return err_set(c->e, ERR_DAMAGE,
				    "I2: cases %llu and %llu are one request",
				    (unsigned long long)c->v[k].id,
				    (unsigned long long)c->v[i].id);
	return 0;
}

/* I1, I2: whatever was told is there; for what was signed an intent. */
static int
check_told(struct check *c, const struct mark *m)
{
	struct ledger_case x;

	if (m->what == MARK_OPEN &&
	    memcmp(m->hash.b, ledger_epoch(c->l), ENTRY_EPOCH_LEN) != 0)
		return err_set(
		    c->e, ERR_DAMAGE, "I1: another ledger in its place");
	if (m->what == MARK_CASE && ledger_get(c->l, m->id, &x, c->e) != 1)
		return err_set(c->e, ERR_DAMAGE, "I1: case %llu is lost",
		    (unsigned long long)m->id);
	if (m->what == MARK_SIGNED &&
	    check_part(c, m, LEDGER_TBS, true, &m->hash,
		"I2: signed without this intent") == -1)
		return err_prefix(c->e, "case %llu", (unsigned long long)m->id);
	return 0;
}

static void
epoch_of(unsigned site, uint8_t ret[ENTRY_EPOCH_LEN])
{
	memset(ret, (int)site + 1, ENTRY_EPOCH_LEN);
}

/* I3: a batch that left is told again octet for octet. */
static int
check_batch(struct check *c, const struct mark *m)
{
	struct ledger_batch b = { 0 };
	struct ledger_site known = { .seq = 0 };
	uint8_t epoch[ENTRY_EPOCH_LEN];
	struct digest is;
	size_t n = 0;
	int rc = 0;

	epoch_of(m->kind, epoch);
	if (ledger_site(c->l, sites[m->kind], &known, c->e) == -1)
		return -1;
	if (known.seq < m->seq)
		return err_set(c->e, ERR_DAMAGE, "I3: batch %llu is forgotten",
		    (unsigned long long)m->seq);
	if (m->seq <= known.got)
		return 0;
	if (ledger_batches(c->l, sites[m->kind], epoch, m->seq - 1, SIZE_MAX,
		&b, 1, &n, c->e) == -1)
		return err_prefix(c->e, "I3: batch");
	is = digest_of(b.batch.data, b.batch.len);
	if (n != 1 || b.seq != m->seq || !digest_eq(&is, &m->hash))
		rc = err_set(c->e, ERR_DAMAGE, "I3: batch %llu is another",
		    (unsigned long long)m->seq);
	ledger_batch_done(&b);
	return rc;
}

static bool
is_standing(const struct mark *m, const void *arg)
{
	return m->state ==
	    (uint32_t)((const struct ledger_site *)arg)->standing;
}

/* A site that was suspended stays so: nothing of it may be decided. */
static int
check_standing(struct check *c, const struct mark *m)
{
	const char *name = sites[m->id - 1];
	struct ledger_site known = { .seq = 0 };

	if (ledger_site(c->l, name, &known, c->e) != 1)
		return err_set(
		    c->e, ERR_DAMAGE, "I2: site %s is forgotten", name);
	if (truth_match(c->t, MARK_STANDING, m->id, is_standing, &known) ==
	    NULL)
		return err_set(c->e, ERR_DAMAGE,
		    "I2: site %s is %s, which it was not told to be", name,
		    ledger_standing_name(known.standing));
	return 0;
}

static int
check_all_told(struct check *c)
{
	for (size_t i = 0; i < c->t->n; i++) {
		if (!truth_acked(c->t, &c->t->v[i]))
			break;
		if (check_told(c, &c->t->v[i].is) == -1 ||
		    (c->t->v[i].is.what == MARK_BATCH &&
			check_batch(c, &c->t->v[i].is) == -1) ||
		    (c->t->v[i].is.what == MARK_STANDING &&
			check_standing(c, &c->t->v[i].is) == -1))
			return -1;
	}
	return 0;
}

/* ---- the work goes on ---------------------------------------------------- */

/* I2: its site sends it again. */
static int
go_on_receive(struct check *c, const struct ledger_case *x)
{
	struct buf octets AUTO_BUF = { 0 };
	struct entry_header h = {
		.id = x->site_id, .kind = ENTRY_CMP, .digest = x->digest
	};
	struct ledger_receive r = { .h = &h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.once = x->once };
	struct ledger_site known;
	int rc;

	str_copy(h.site, sizeof(h.site), x->site);
	memcpy(h.epoch, x->epoch, sizeof(h.epoch));
	if (ledger_part(c->l, x->id, LEDGER_OCTETS, &octets, c->e) == -1)
		return -1;
	r.octets = buf_bytes(&octets);
	rc = ledger_receive_wait(c->l, &r, c->e);
	ledger_batch_done(&r.told);
	/* Of a site that is not sound nothing is taken. */
	if (rc == 0 && r.met == LEDGER_NOT_NOW &&
	    ledger_site(c->l, x->site, &known, c->e) == 1 &&
	    known.standing != LEDGER_SOUND)
		return 0;
	if (rc == 0 && (r.met != LEDGER_AGAIN || r.id != x->id))
		rc = err_set(c->e, ERR_DAMAGE,
		    "I2: case %llu was taken for new when it came again",
		    (unsigned long long)x->id);
	return rc;
}

/* I2: whoever judges it again gets no second intent. */
static int
go_on_intend(struct check *c, const struct ledger_case *x)
{
	static const char text[] = "another thing to be signed";
	struct facts facts = { 0 };
	struct ledger_intend n = { .id = x->id,
		.tx = digest_of(text, sizeof(text)),
		.tbs = bytes_of(text, sizeof(text)),
		.unsigned_cert = bytes_of(text, sizeof(text)),
		.facts = &facts,
		.device = "WB-1",
		.serial = "02" };

	if (x->state == LEDGER_OPEN)
		return 0;
	if (ledger_intend_wait(c->l, &n, c->e) == -1)
		return -1;
	if (n.is != LEDGER_NOT_OPEN)
		return err_set(c->e, ERR_DAMAGE,
		    "I2: case %llu could be intended twice",
		    (unsigned long long)x->id);
	return 0;
}

static int
go_on(struct check *c)
{
	const struct ledger_case *x;
	uint64_t n = 0;

	if (c->n > 0) {
		x = &c->v[c->w->random % c->n];
		if (go_on_intend(c, x) == -1 || go_on_receive(c, x) == -1)
			return -1;
	}
	ledger_close(STEAL(c->l));
	if (open_left(c) == -1)
		return err_prefix(c->e, "the second time");
	return ledger_audit_verify(c->l, &n, c->e);
}

static int
check_cases(struct check *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (check_case(c, &c->v[i]) == -1)
			return err_prefix(
			    c->e, "case %llu", (unsigned long long)c->v[i].id);
	return check_once(c);
}

int
check_ledger(const struct truth *t, const struct witness *w, struct err *e)
{
	struct check *c = xcalloc(1, sizeof(*c));
	uint64_t n = 0;
	int rc = -1;

	c->t = t;
	c->w = w;
	c->e = e;
	if (open_left(c) == -1)
		;
	else if (ledger_list(c->l, 1, ONCE_MAX, collect, c, e) == -1)
		err_prefix(e, "I1: list");
	else if (check_cases(c) == 0 && check_all_told(c) == 0) {
		if ((rc = ledger_audit_verify(c->l, &n, e)) == -1)
			err_prefix(e, "I6");
		else if (w->on)
			rc = go_on(c);
	}
	ledger_close(c->l);
	free(c);
	return rc;
}
