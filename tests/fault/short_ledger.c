/* Thirty operations on a service's ledger. */
#include <stdio.h>
#include <string.h>

#include "common/base/str.h"
#include "common/service/ledger.h"
#include "tests/fault/short_run.h"

#define CASES	8
#define BATCHES 32
#define SITE	"berlin"

/* What is known of a case: states it may be in, as bits; 0: unused. */
struct told {
	uint32_t possible[CASES];
	uint64_t id[CASES];	      /* 0: not acknowledged */
	enum batch_code code[CASES];  /* of the answer that was acknowledged */
	struct digest batch[BATCHES]; /* by number; zeros: not told */
	uint64_t got;
};

enum what { HELLO, RECEIVE, INTEND, ISSUE, REFUSE, CONFIRM, GOT, REOPEN };

static const struct op {
	enum what what;
	unsigned who;
} script[] = {
	{ HELLO, 0 },
	{ RECEIVE, 0 },
	{ RECEIVE, 1 },
	{ RECEIVE, 2 },
	{ INTEND, 0 },
	{ ISSUE, 0 },
	{ RECEIVE, 0 },
	{ GOT, 3 },
	{ INTEND, 1 },
	{ REOPEN, 0 },
	{ ISSUE, 1 },
	{ REFUSE, 2 },
	{ RECEIVE, 6 },
	{ CONFIRM, 6 },
	{ RECEIVE, 3 },
	{ RECEIVE, 2 },
	{ INTEND, 3 },
	{ INTEND, 3 },
	{ HELLO, 0 },
	{ RECEIVE, 4 },
	{ REFUSE, 4 },
	{ ISSUE, 4 },
	{ ISSUE, 3 },
	{ GOT, 8 },
	{ REOPEN, 0 },
	{ RECEIVE, 3 },
	{ RECEIVE, 5 },
	{ INTEND, 5 },
	{ ISSUE, 5 },
	{ RECEIVE, 1 },
};

static const uint8_t epoch[ENTRY_EPOCH_LEN] = "a site's epoch";

struct service {
	const struct lab *l;
	struct told *told;
	struct ledger *ledger;
};

/* ---- what a case is made of ------------------------------------------- */

static struct buf
octets(const char *what, unsigned who)
{
	struct buf b = { 0 };

	for (unsigned i = 0; i < 1 + 90 * (who % 4); i++)
		buf_printf(&b, "%s of case %u, part %u. ", what, who, i);
	return b;
}

static struct digest
tx_of(unsigned who)
{
	return digest_of(&who, sizeof(who));
}

/* The certConf of case n is case n + 6. */
static unsigned
parent_of(unsigned who)
{
	return who - 6;
}

/* ---- calls ------------------------------------------------------------ */

static int
service_open(struct service *s, struct err *e)
{
	struct ledger_conf c = { .directory = s->l->store,
		.seal = s->l->seal,
		.map_size = SHORT_MAP,
		.service = "ra",
		.signer = s->l->signer };

	return ledger_open(&c, &s->ledger, e);
}

static bool
hello(struct service *s)
{
	struct ledger_hello x = { .site = SITE };

	memcpy(x.epoch, epoch, sizeof(epoch));
	return ledger_hello_wait(s->ledger, &x, NULL) == 0;
}

/* I3: a batch that was told is told again octet for octet. */
static int
same_batch(struct told *told, const struct ledger_batch *b)
{
	static const struct digest none;
	struct digest d = digest_of(b->batch.data, b->batch.len);

	if (b->seq >= BATCHES)
		return -1;
	if (digest_eq(&told->batch[b->seq], &none))
		told->batch[b->seq] = d;
	return digest_eq(&told->batch[b->seq], &d) ? 0 : -1;
}

static bool
receive(struct service *s, unsigned who)
{
	struct buf bytes AUTO_BUF = octets("request", who);
	struct entry_header h = { .id = 100 + who,
		.kind = ENTRY_CMP,
		.site = SITE,
		.digest = digest_of(bytes.data, bytes.len) };
	struct ledger_receive x = { .h = &h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.octets = buf_bytes(&bytes),
		.once = entry_once(ENTRY_CMP, buf_bytes(&bytes)) };

	memcpy(h.epoch, epoch, sizeof(epoch));
	if (ledger_receive_wait(s->ledger, &x, NULL) == -1)
		return false;
	if (same_batch(s->told, &x.told) == -1)
		err_die("a batch is told anew under an old number");
	ledger_batch_done(&x.told);
	if (who < CASES)
		s->told->id[who] = x.id;
	return true;
}

static bool
intend(struct service *s, unsigned who)
{
	struct buf tbs AUTO_BUF = octets("intent", who);
	struct facts facts = { .n = 0 };
	struct ledger_intend x = { .id = s->told->id[who],
		.tx = tx_of(who),
		.tbs = buf_bytes(&tbs),
		.unsigned_cert = bytes_of("unsigned", 8),
		.facts = &facts,
		.device = "WB",
		.serial = "01" };

	return ledger_intend_wait(s->ledger, &x, NULL) == 0;
}

static bool
settle(struct service *s, const struct op *op)
{
	struct buf answer AUTO_BUF = octets("answer", op->who);
	struct ledger_settle x = { .id = s->told->id[op->who],
		.code = op->what == REFUSE ? BATCH_REFUSED : BATCH_ANSWERED,
		.answer = buf_bytes(&answer),
		.reason = "",
		.event = "settled" };

	if (op->what == ISSUE)
		x.cert = bytes_of("certificate", 11);
	if (op->what == CONFIRM) {
		x.parent = s->told->id[parent_of(op->who)];
		x.confirm = LEDGER_CONFIRMED;
		x.confirm_reason = "";
	}
	if (ledger_settle_wait(s->ledger, &x, NULL) == -1)
		return false;
	if (x.changed)
		s->told->code[op->who] = x.code;
	return true;
}

static void
got_done(void *x, const struct err *e)
{
	lab_wait_over(((struct ledger_got *)x)->user, e);
}

static bool
got(struct service *s, uint64_t upto)
{
	struct ledger_got x = {
		.site = SITE, .upto = upto, .user = lab_wait_new()
	};

	ledger_got(s->ledger, &x, got_done, lab_here);
	return lab_wait_for(x.user).kind == ERR_NONE;
}

/* ---- the script ------------------------------------------------------- */

#define BIT(state) (1u << LEDGER_##state)

/* The states that a call may lead to from these. */
static uint32_t
after(const struct op *op, uint32_t states)
{
	switch (op->what) {
	case RECEIVE:
		return states != 0 ? states : BIT(OPEN);
	case INTEND:
		return (states & ~BIT(OPEN)) |
		    ((states & BIT(OPEN)) != 0 ? BIT(INTENT) : 0);
	case ISSUE:
	case REFUSE:
	case CONFIRM:
		return BIT(DONE);
	case HELLO:
	case GOT:
	case REOPEN:
		break;
	}
	return states;
}

static bool
perform(struct service *s, const struct op *op)
{
	switch (op->what) {
	case HELLO:
		return hello(s);
	case RECEIVE:
		return receive(s, op->who);
	case INTEND:
		return intend(s, op->who);
	case ISSUE:
	case REFUSE:
	case CONFIRM:
		return settle(s, op);
	case GOT:
		return got(s, op->who);
	case REOPEN:
		break;
	}
	return true;
}

/* A case that was not acknowledged is not touched again. */
static void
step(struct service *s, const struct op *op)
{
	uint32_t *possible = &s->told->possible[op->who], will;

	if (op->what == HELLO || op->what == GOT) {
		perform(s, op);
		return;
	}
	if (op->what != RECEIVE && s->told->id[op->who] == 0)
		return;
	if (op->what == CONFIRM && s->told->id[parent_of(op->who)] == 0)
		return;
	will = after(op, *possible);
	*possible |= will;
	if (perform(s, op))
		*possible = will;
}

static int
run(const struct lab *l, void *told, struct err *e)
{
	struct service s = { .l = l, .told = told };

	if (service_open(&s, e) == -1)
		return -1;
	for (size_t i = 0; i < NELEMS(script); i++) {
		if (script[i].what != REOPEN) {
			step(&s, &script[i]);
			continue;
		}
		ledger_close(s.ledger);
		if (service_open(&s, e) == -1)
			return -1;
	}
	ledger_close(s.ledger);
	return 0;
}

/* ---- afterwards ------------------------------------------------------- */

static int
same(struct service *s, unsigned who, const struct ledger_case *c,
    enum ledger_part part, const char *what, struct err *e)
{
	struct buf want AUTO_BUF = octets(what, who);
	struct buf have AUTO_BUF = { 0 };
	int rc = ledger_part(s->ledger, c->id, part, &have, e);

	if (rc == -1)
		return -1;
	if (rc == 1 && bytes_eq(buf_bytes(&have), buf_bytes(&want)))
		return 0;
	return err_set(e, ERR_LOCAL, "case %u: %s %s", who,
	    rc == 1 ? "another" : "no", what);
}

/* I1, I3, I5 */
static int
check_case(struct service *s, unsigned who, size_t *found, struct err *e)
{
	struct ledger_case c;
	uint64_t id = 0;
	int rc = ledger_find_entry(s->ledger, SITE, epoch, 100 + who, &id, e);

	if (rc == 1)
		rc = ledger_get(s->ledger, id, &c, e);
	if (rc == -1)
		return -1;
	if (rc == 0 || (s->told->id[who] != 0 && s->told->id[who] != id))
		return s->told->id[who] == 0
		    ? 0
		    : err_set(e, ERR_LOCAL, "case %u: acknowledged, yet absent",
			  who);
	++*found;
	if ((s->told->possible[who] >> c.state & 1) == 0)
		return err_set(e, ERR_LOCAL, "case %u: %s, not of %#x", who,
		    ledger_state_name(c.state), s->told->possible[who]);
	if (s->told->code[who] != 0 && c.code != s->told->code[who])
		return err_set(e, ERR_LOCAL, "case %u: another word", who);
	if (same(s, who, &c, LEDGER_OCTETS, "request", e) == -1)
		return -1;
	if (c.state == LEDGER_INTENT &&
	    same(s, who, &c, LEDGER_TBS, "intent", e) == -1)
		return -1;
	if (c.state != LEDGER_DONE)
		return 0;
	return same(s, who, &c, LEDGER_ANSWER, "answer", e);
}

/* I3: what was told stands under its number; none is missing between. */
static int
check_batches(struct service *s, struct err *e)
{
	static const struct digest none;
	struct ledger_batch b[BATCHES];
	size_t i, n = 0;
	int rc = 0;

	if (ledger_batches(
		s->ledger, SITE, epoch, 0, 1 << 20, b, BATCHES, &n, e) == -1)
		return -1;
	for (i = 0; i < n; i++) {
		if (b[i].seq != i + 1 || same_batch(s->told, &b[i]) == -1)
			rc = err_set(e, ERR_LOCAL, "batch %zu: another", i + 1);
		ledger_batch_done(&b[i]);
	}
	for (i = n + 1; i < BATCHES; i++)
		if (!digest_eq(&s->told->batch[i], &none))
			rc = err_set(
			    e, ERR_LOCAL, "batch %zu: told, yet absent", i);
	return rc;
}

static int
count(const struct ledger_case *c, void *arg)
{
	(void)c;
	++*(size_t *)arg;
	return 0;
}

static int
check_all(struct service *s, struct err *e)
{
	size_t found = 0, all = 0;
	uint64_t records;

	for (unsigned who = 0; who < CASES; who++)
		if (check_case(s, who, &found, e) == -1)
			return -1;
	if (ledger_list(s->ledger, 1, SIZE_MAX, count, &all, e) == -1)
		return -1;
	/* I2: one case for the octets of each request, however often it came. */
	if (all != found)
		return err_set(
		    e, ERR_LOCAL, "%zu cases, %zu are known", all, found);
	if (check_batches(s, e) == -1)
		return -1;
	return ledger_audit_verify(s->ledger, &records, e);
}

static int
check(const struct lab *l, const void *told, struct err *e)
{
	struct told copy = *(const struct told *)told;
	struct service s = { .l = l, .told = &copy };
	int rc;

	if (service_open(&s, e) == -1)
		return -1;
	rc = check_all(&s, e);
	if (rc == 0 && (!hello(&s) || !receive(&s, CASES)))
		rc = err_set(e, ERR_LOCAL, "takes nothing more");
	ledger_close(s.ledger);
	return rc;
}

const struct short_run short_ledger = {
	"ledger",
	sizeof(struct told),
	run,
	check,
};
