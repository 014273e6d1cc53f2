/*
 * A service's ledger under the script: two sites send requests, some twice;
 * the service intends, has signed and settles, or refuses; sites acknowledge.
 * The calls of one burst are about different cases.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "tests/fault/crash_book.h"

#define BURST 4

const char *const book_sites[BOOK_SITES] = { CRASH_SITE, "paris" };

struct call *
book_call(struct book *b, struct item *i)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->b = b;
	if ((c->i = i) != NULL) {
		c->site = i->site;
		i->busy = true;
	}
	return c;
}

void
book_called(struct call *c)
{
	ledger_batch_done(&c->receive.told);
	buf_done(&c->answer);
	buf_done(&c->cert);
	free(c);
}

void
book_mark(struct call *c, enum mark_what what)
{
	struct mark m = c->i->is;

	m.what = what;
	m.op = c->op;
	script_mark(&m);
}

static void
mark_batch(struct call *c, const struct ledger_batch *told)
{
	const struct mark m = { .what = MARK_BATCH,
		.op = c->op,
		.kind = c->site,
		.seq = told->seq,
		.hash = digest_of(told->batch.data, told->batch.len) };

	if (told->seq > c->b->told[c->site])
		c->b->told[c->site] = told->seq;
	script_mark(&m);
}

struct item *
book_in(struct book *b, enum ledger_state state)
{
	size_t at = script_random(b->s, BOOK_CASES);
	struct item *i;

	for (size_t k = 0; k < b->n; k++) {
		i = &b->v[(at + k) % b->n];
		if (!i->busy && i->is.id != 0 &&
		    (state == 0 || i->is.state == state))
			return i;
	}
	return NULL;
}

/* ---- receiving ---------------------------------------------------------- */

static void
received(void *x, const struct err *e)
{
	struct ledger_receive *r = x;
	struct call *c = r->user;

	script_done(c->b->s, e);
	if (r->met != (c->i->is.id == 0 ? LEDGER_NEW : LEDGER_AGAIN))
		script_fail("case %llu: met %d", (unsigned long long)r->id,
		    (int)r->met);
	if (c->i->is.id == 0) {
		c->i->is.id = r->id;
		c->i->is.state = LEDGER_OPEN;
		book_mark(c, MARK_CASE);
	}
	mark_batch(c, &r->told);
	book_called(c);
}

void
book_header(struct call *c)
{
	const struct item *i = c->i;

	str_copy(c->h.site, sizeof(c->h.site), book_sites[i->site]);
	memset(c->h.epoch, (int)i->site + 1, sizeof(c->h.epoch));
	c->h.id = i->is.seq;
	c->h.kind = ENTRY_CMP;
	c->h.digest = i->is.octets;
}

static void
receive_submit(struct call *c)
{
	struct item *i = c->i;

	book_header(c);
	c->receive = (struct ledger_receive){ .h = &c->h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.octets = buf_bytes(&i->octets),
		.once = i->is.row,
		.user = c };
	c->op = script_begin(c->b->s);
	ledger_receive(c->b->l, &c->receive, received, c->b->s->here);
}

struct item *
book_new(struct book *b, unsigned site)
{
	struct item *i = &b->v[b->n];

	if (b->n == BOOK_CASES)
		return NULL;
	b->n++;
	i->site = site;
	i->octets = script_octets(b->s, "request", 40, 6000);
	i->is.seq = ++b->next[site];
	i->is.octets = digest_of(i->octets.data, i->octets.len);
	i->is.row = entry_once(ENTRY_CMP, buf_bytes(&i->octets));
	return i;
}

static bool
do_receive(struct book *b)
{
	struct item *i = book_new(b, (unsigned)script_random(b->s, BOOK_SITES));

	if (i == NULL)
		return false;
	receive_submit(book_call(b, i));
	return true;
}

static bool
do_receive_again(struct book *b)
{
	struct item *i = book_in(b, 0);

	if (i == NULL)
		return false;
	receive_submit(book_call(b, i));
	return true;
}

/* ---- deciding ----------------------------------------------------------- */

static void
intended(void *x, const struct err *e)
{
	struct ledger_intend *n = x;
	struct call *c = n->user;

	script_done(c->b->s, e);
	if (n->is != LEDGER_INTENDED)
		script_fail(
		    "case %llu: not intended", (unsigned long long)c->i->is.id);
	c->i->is.state = LEDGER_INTENT;
	c->i->is.has |= MARK_HAS_TBS;
	c->i->is.hash = digest_of(c->i->tbs.data, c->i->tbs.len);
	/* Only now may a CA be asked; from here on there is a certificate. */
	book_mark(c, MARK_CASE);
	book_mark(c, MARK_SIGNED);
	book_called(c);
}

static bool
do_intend(struct book *b)
{
	struct item *i = book_in(b, LEDGER_OPEN);
	struct digest tbs;
	struct call *c;

	if (i == NULL)
		return false;
	c = book_call(b, i);
	i->tbs = script_octets(b->s, "to be signed", 200, 1500);
	tbs = digest_of(i->tbs.data, i->tbs.len);
	facts_set(&c->facts, "vendor", FACT_END_TO_END, "acme");
	c->intend = (struct ledger_intend){ .id = i->is.id,
		.tx = digest_of(tbs.b, DIGEST_LEN),
		.tbs = buf_bytes(&i->tbs),
		.unsigned_cert = bytes_of("unsigned", 8),
		.facts = &c->facts,
		.device = "WB-1",
		.serial = "01",
		.user = c };
	c->op = script_begin(b->s);
	ledger_intend(b->l, &c->intend, intended, b->s->here);
	return true;
}

static void
settled(void *x, const struct err *e)
{
	struct ledger_settle *t = x;
	struct call *c = t->user;

	script_done(c->b->s, e);
	if (!t->changed)
		script_fail(
		    "case %llu: not settled", (unsigned long long)c->i->is.id);
	c->i->is.state = LEDGER_DONE;
	c->i->is.has |= MARK_HAS_ANSWER;
	c->i->is.answer = digest_of(t->answer.p, t->answer.len);
	if (t->cert.len > 0) {
		c->i->is.has |= MARK_HAS_CERT;
		c->i->is.wrapped = digest_of(t->cert.p, t->cert.len);
	}
	book_mark(c, MARK_CASE);
	book_called(c);
}

static bool
settle_one(struct book *b, enum ledger_state from, enum batch_code code)
{
	struct item *i = book_in(b, from);
	struct call *c;

	if (i == NULL)
		return false;
	c = book_call(b, i);
	c->answer = script_octets(b->s, "answer", 30, 9000);
	if (code == BATCH_ANSWERED)
		c->cert = script_octets(b->s, "certificate", 300, 1500);
	c->settle = (struct ledger_settle){ .id = i->is.id,
		.code = code,
		.answer = buf_bytes(&c->answer),
		.cert = buf_bytes(&c->cert),
		.reason = code == BATCH_REFUSED ? "not on the list" : "",
		.event = code == BATCH_REFUSED ? "refused" : "issued",
		.user = c };
	c->op = script_begin(b->s);
	ledger_settle(b->l, &c->settle, settled, b->s->here);
	return true;
}

static bool
do_issue(struct book *b)
{
	return settle_one(b, LEDGER_INTENT, BATCH_ANSWERED);
}

static bool
do_refuse(struct book *b)
{
	return settle_one(b, LEDGER_OPEN, BATCH_REFUSED);
}

/* ---- sites --------------------------------------------------------------- */

static void
acknowledged(void *x, const struct err *e)
{
	struct call *c = ((struct ledger_got *)x)->user;

	script_done(c->b->s, e);
	book_called(c);
}

static bool
do_got(struct book *b)
{
	unsigned site = (unsigned)script_random(b->s, BOOK_SITES);
	struct call *c = book_call(b, NULL);

	c->got = (struct ledger_got){
		.site = book_sites[site], .upto = b->told[site], .user = c
	};
	c->op = script_begin(b->s);
	ledger_got(b->l, &c->got, acknowledged, b->s->here);
	return true;
}

/* ---- the run -------------------------------------------------------------- */

static const struct {
	unsigned weight;
	book_start start;
	bool alone;
} calls[] = {
	{ 18, do_receive },
	{ 6, do_receive_again },
	{ 15, do_intend },
	{ 15, do_issue },
	{ 3, do_refuse },
	{ 3, do_got },
	{ 2, book_resolve },
	{ 2, book_reopen, .alone = true },
	{ 2, book_rollback, .alone = true },
};

/* Nothing else may be under way. */
static void
burst_over(struct book *b)
{
	script_wait(b->s);
	for (size_t i = 0; i < b->n; i++)
		b->v[i].busy = false;
}

static void
start_one(struct book *b)
{
	uint64_t all = 0, pick;
	size_t i;

	for (i = 0; i < NELEMS(calls); i++)
		all += calls[i].weight;
	pick = script_random(b->s, all);
	for (i = 0; pick >= calls[i].weight; i++)
		pick -= calls[i].weight;
	if (calls[i].alone)
		burst_over(b);
	calls[i].start(b);
	if (calls[i].alone)
		burst_over(b);
}

static void
burst(struct book *b)
{
	uint64_t n = 1 + script_random(b->s, BURST);

	for (; n > 0 && b->s->op < b->s->ops; n--)
		start_one(b);
	burst_over(b);
}

void
script_ledger(struct script *s)
{
	struct mark opened = { .what = MARK_OPEN };
	struct book *b = xcalloc(1, sizeof(*b));

	b->s = s;
	book_open(b);
	memcpy(opened.hash.b, ledger_epoch(b->l), ENTRY_EPOCH_LEN);
	script_mark(&opened);
	book_greet(b);
	while (s->op < s->ops)
		burst(b);
	ledger_close(b->l);
	for (size_t i = 0; i < b->n; i++) {
		buf_done(&b->v[i].octets);
		buf_done(&b->v[i].tbs);
	}
	free(b);
}
