/* Invariants I1, I3 to I6 and I9 of an outbox that a power cut left. */
#include "tests/fault/crash_truth.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "common/queue/outbox_int.h"

#define ALL	   SIZE_MAX
#define OF_DEVICES (1u << ENTRY_CMP | 1u << ENTRY_VOUCHER)

struct check {
	const struct truth *t;
	const struct witness *w;
	struct outbox *o;
	struct err *e;
	bool bad;
	size_t n; /* entries seen */
	uint64_t highest;
};

/* I9 */
static int
open_left(struct check *c)
{
	struct outbox_conf conf = { .store = { .dir = c->w->store,
					.map_size = CRASH_MAP },
		.site = CRASH_SITE,
		.signer = c->w->signer,
		.full_percent = 85 };

	if (outbox_open(&conf, &c->o, c->e) == -1)
		return err_prefix(c->e, "I9: it does not open");
	return 0;
}

static bool
is_like(const struct mark *m, const void *arg)
{
	const struct outbox_entry *en = arg;

	if (m->state != (uint32_t)en->state || m->kind != (uint32_t)en->kind ||
	    m->parent != en->parent)
		return false;
	/* Its end is all that is left of it. */
	if (en->pruned)
		return true;
	return ((m->has & MARK_IS_OURS) != 0 || digest_eq(&m->row, &en->row)) &&
	    ((m->has & MARK_HAS_ANSWER) != 0) == (en->answer_value != 0) &&
	    ((m->has & MARK_HAS_LATE) != 0) == (en->late_value != 0) &&
	    ((m->has & MARK_IS_HELD) != 0) == en->held;
}

/* It may have been: somebody asked for it. */
static bool
may_be_pruned(const struct check *c, enum entry_state state)
{
	for (size_t i = 0; entry_terminal(state) && i < c->t->n; i++)
		if (c->t->v[i].is.what == MARK_PRUNED &&
		    truth_possible(c->t, &c->t->v[i]))
			return true;
	return false;
}

/* I1: the device's octets, those that travel, and a header that is theirs. */
static int
check_octets(struct check *c, const struct mark *m)
{
	struct outbox_octets x = { 0 };
	struct entry_header h = { 0 };
	struct digest bytes, wrapped;
	int rc = 0;

	if (outbox_octets(c->o, m->id, &x, c->e) == -1)
		return err_prefix(c->e, "I1: octets");
	bytes = digest_of(x.bytes.data, x.bytes.len);
	wrapped = digest_of(x.wrapped.data, x.wrapped.len);
	if (!digest_eq(&bytes, &m->octets) ||
	    ((m->has & MARK_IS_OURS) == 0 && !digest_eq(&wrapped, &m->wrapped)))
		rc = err_set(c->e, ERR_DAMAGE, "I1: other octets");
	else if (entry_header_parse(buf_bytes(&x.header), &h, c->e) == -1)
		rc = err_prefix(c->e, "I1");
	else if (!digest_eq(&h.digest, &m->octets) || h.id != m->id)
		rc = err_set(c->e, ERR_DAMAGE, "I1: another's header");
	else if (m->id % 8 == c->w->random % 8 &&
	    sign_check(c->w->signer->cert, ENTRY_LABEL, buf_bytes(&x.header),
		buf_bytes(&x.sig), c->e) == -1)
		rc = err_prefix(c->e, "I1: header");
	outbox_octets_done(&x);
	return rc;
}

/* I3 */
static int
check_answer(
    struct check *c, const struct outbox_entry *en, const struct mark *m)
{
	struct buf answer AUTO_BUF = { 0 }, late AUTO_BUF = { 0 };
	struct digest d;

	if ((m->has & MARK_HAS_ANSWER) != 0) {
		if (outbox_answer(c->o, en, &answer, c->e) == -1)
			return err_prefix(c->e, "I3: answer");
		d = digest_of(answer.data, answer.len);
		if (!digest_eq(&d, &m->answer))
			return err_set(c->e, ERR_DAMAGE, "I3: another answer");
	}
	if ((m->has & MARK_HAS_LATE) == 0)
		return 0;
	if (outbox_late(c->o, en, &late, c->e) == -1)
		return err_prefix(c->e, "I3: late answer");
	d = digest_of(late.data, late.len);
	if (!digest_eq(&d, &m->hash))
		return err_set(c->e, ERR_DAMAGE, "I3: another late answer");
	return 0;
}

/* I4: a certConf is there only with a request that it has confirmed. */
static int
check_step(struct check *c, const struct outbox_entry *en)
{
	struct outbox_entry parent;
	int rc;

	if (en->step == 0)
		return 0;
	rc = outbox_get(c->o, en->parent, &parent, c->e);
	if (rc == 0 && may_be_pruned(c, ENTRY_CONFIRMED))
		return 0;
	if (rc != 1 || parent.state != ENTRY_CONFIRMED)
		return err_set(c->e, ERR_DAMAGE,
		    "I4: step %u of entry %llu, which is not confirmed",
		    en->step, (unsigned long long)en->parent);
	return 0;
}

static int
check_found(struct check *c, const struct outbox_entry *en)
{
	struct outbox_entry other;

	if (outbox_find(c->o, &en->row, &other, c->e) != 1 ||
	    other.id != en->id)
		return err_set(
		    c->e, ERR_DAMAGE, "I1: its transaction does not find it");
	return 0;
}

static int
check_entry(struct check *c, const struct outbox_entry *en)
{
	const struct mark *m =
	    truth_match(c->t, MARK_ENTRY, en->id, is_like, en);

	/* I5, and no state that nobody asked for */
	if (m == NULL)
		return err_set(c->e, ERR_DAMAGE,
		    "I5: stands as %s%s, which it was not told to be",
		    entry_state_name(en->state),
		    en->answer_value != 0 ? " with an answer" : "");
	if (en->pruned)
		return may_be_pruned(c, en->state)
		    ? 0
		    : err_set(c->e, ERR_DAMAGE, "I1: pruned, unasked");
	if (check_octets(c, m) == -1 || check_answer(c, en, m) == -1 ||
	    check_step(c, en) == -1 || check_found(c, en) == -1)
		return -1;
	return 0;
}

static void
see_entry(const struct outbox_entry *en, void *arg)
{
	struct check *c = arg;

	c->n++;
	c->highest = en->id;
	if (!c->bad && check_entry(c, en) == -1) {
		err_prefix(c->e, "entry %llu", (unsigned long long)en->id);
		c->bad = true;
	}
}

/* I1: an entry that was acknowledged is there, or it had ended and was pruned. */
static int
check_there(struct check *c, const struct mark *m)
{
	struct outbox_entry en;
	int rc = outbox_get(c->o, m->id, &en, c->e);

	if (rc == 1 ||
	    (rc == 0 && may_be_pruned(c, (enum entry_state)m->state)))
		return 0;
	/* What it was before it ended does not count. */
	for (size_t i = 0; rc == 0 && i < c->t->n; i++) {
		const struct mark *x = &c->t->v[i].is;

		if (x->what == MARK_ENTRY && x->id == m->id &&
		    truth_possible(c->t, &c->t->v[i]) &&
		    may_be_pruned(c, (enum entry_state)x->state))
			return 0;
	}
	return err_set(c->e, ERR_DAMAGE, "I1: entry %llu is lost",
	    (unsigned long long)m->id);
}

static int
check_all_there(struct check *c)
{
	for (size_t i = 0; i < c->t->n; i++) {
		if (!truth_acked(c->t, &c->t->v[i]))
			break;
		if (c->t->v[i].is.what == MARK_ENTRY &&
		    check_there(c, &c->t->v[i].is) == -1)
			return -1;
	}
	return 0;
}

/* ---- the outbox as a whole ------------------------------------------------ */

struct whole {
	struct outbox_peer peer;
	bool suspended;
	const uint8_t *epoch;
};

static bool
is_peer(const struct mark *m, const void *arg)
{
	return ((const struct whole *)arg)->peer.seq == m->seq;
}

static bool
is_suspended(const struct mark *m, const void *arg)
{
	return ((const struct whole *)arg)->suspended == (m->state == 1);
}

static bool
is_epoch(const struct mark *m, const void *arg)
{
	return memcmp(((const struct whole *)arg)->epoch, m->hash.b,
		   ENTRY_EPOCH_LEN) == 0;
}

/* Nothing of this kind has been told yet. */
static bool
never_told(const struct truth *t, enum mark_what what)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].is.what == what && truth_acked(t, &t->v[i]))
			return false;
	return true;
}

static int
check_whole(struct check *c)
{
	static const struct {
		enum mark_what what;
		bool (*like)(const struct mark *m, const void *arg);
		const char *wrong;
	} parts[] = {
		{ MARK_OPEN, is_epoch, "I1: another outbox in its place" },
		{ MARK_PEER, is_peer, "I1: the service's mark is another" },
		{ MARK_SUSPENDED, is_suspended,
		    "I5: suspended, or not, against what was told" },
	};
	char why[OUTBOX_WHY_MAX];
	struct whole w = { .suspended = outbox_suspended(c->o, why),
		.epoch = outbox_epoch(c->o) };

	if (outbox_peer(c->o, CRASH_SERVICE, &w.peer, c->e) == -1)
		return -1;
	for (size_t i = 0; i < NELEMS(parts); i++)
		if (!never_told(c->t, parts[i].what) &&
		    truth_match(c->t, parts[i].what, 0, parts[i].like, &w) ==
			NULL)
			return err_set(c->e, ERR_DAMAGE, "%s", parts[i].wrong);
	return 0;
}

/* I6 */
static int
verify_audit(struct store_txn *t, void *arg, struct err *e)
{
	uint64_t *n = arg;

	return audit_verify(t, DB_AUDIT, n, e);
}

/* ---- the work goes on ---------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t over_cond = PTHREAD_COND_INITIALIZER;

struct going {
	bool over;
	struct err e;
};

static void
here(void *to, void (*fn)(void *arg), void *arg)
{
	(void)to;
	fn(arg);
}

static void
accepted(struct outbox_accept *a, const struct err *e)
{
	struct going *g = a->user;

	pthread_mutex_lock(&lock);
	g->over = true;
	if (e != NULL)
		g->e = *e;
	pthread_cond_signal(&over_cond);
	pthread_mutex_unlock(&lock);
}

static int
accept_wait(struct check *c, struct outbox_accept *a)
{
	struct going g = { .e = ERR_INIT };

	a->user = &g;
	outbox_accept(c->o, a, accepted, (struct post){ here, NULL });
	pthread_mutex_lock(&lock);
	while (!g.over)
		pthread_cond_wait(&over_cond, &lock);
	pthread_mutex_unlock(&lock);
	if (g.e.kind != ERR_NONE)
		*c->e = g.e;
	return g.e.kind == ERR_NONE ? 0 : -1;
}

/* What was accepted comes again: no second entry. */
static int
go_on_replay(struct check *c, const struct outbox_entry *en)
{
	struct outbox_octets x = { 0 };
	struct outbox_accept a = { .kind = en->kind,
		.step = en->step,
		.row = en->row,
		.parent = en->parent,
		.received = clock_now() };
	int rc = outbox_octets(c->o, en->id, &x, c->e);

	a.bytes = buf_bytes(&x.bytes);
	if (rc == 0 && (rc = accept_wait(c, &a)) == 0 &&
	    (!a.replay || a.entry.id != en->id))
		rc = err_set(c->e, ERR_DAMAGE,
		    "I2: entry %llu was taken for new when it came again",
		    (unsigned long long)en->id);
	outbox_octets_done(&x);
	return rc;
}

/* And what is new finds its place behind all others. */
static int
go_on_new(struct check *c)
{
	static const char text[] = "a request after the power cut";
	struct facts facts = { 0 };
	struct outbox_accept a = { .kind = ENTRY_VOUCHER,
		.row = digest_of(text, sizeof(text)),
		.bytes = bytes_of(text, sizeof(text)),
		.facts = &facts,
		.label = "WB-new",
		.received = clock_now() };

	if (accept_wait(c, &a) == -1)
		return err_prefix(c->e, "I9: nothing new is taken");
	if (a.replay || a.entry.id <= c->highest)
		return err_set(c->e, ERR_DAMAGE, "I9: id %llu was used before",
		    (unsigned long long)a.entry.id);
	return 0;
}

static int
go_on(struct check *c)
{
	struct outbox_entry en;
	uint64_t n = 0;

	char why[OUTBOX_WHY_MAX];

	if (c->highest != 0 &&
	    outbox_get(c->o, 1 + c->w->random % c->highest, &en, c->e) == 1 &&
	    !en.pruned && (1u << en.kind & OF_DEVICES) != 0 &&
	    go_on_replay(c, &en) == -1)
		return -1;
	if (!outbox_suspended(c->o, why) && go_on_new(c) == -1)
		return -1;
	outbox_close(STEAL(c->o));
	if (open_left(c) == -1)
		return err_prefix(c->e, "the second time");
	return store_read(c->o->store, verify_audit, &n, c->e);
}

int
check_outbox(const struct truth *t, const struct witness *w, struct err *e)
{
	struct check c = { .t = t, .w = w, .e = e };
	uint64_t n = 0;
	int rc = -1;

	if (open_left(&c) == -1)
		return -1;
	if (outbox_list(c.o, 1, ALL, see_entry, &c, e) == -1)
		err_prefix(e, "I1: list");
	else if (!c.bad && check_all_there(&c) == 0 && check_whole(&c) == 0) {
		rc = store_read(c.o->store, verify_audit, &n, e);
		if (rc == -1)
			err_prefix(e, "I6");
	}
	if (rc == 0 && w->on)
		rc = go_on(&c);
	outbox_close(c.o);
	return rc;
}
