/*
 * A ledger's sites under the script: they greet it, know more of it than it
 * does, tell what it forgot; people resolve what nobody knows.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fault/crash_book.h"

#define LOST 20 /* batches of a future that is lost */

void
book_open(struct book *b)
{
	const struct ledger_conf conf = { .directory = b->s->store,
		.seal = b->s->seal,
		.map_size = CRASH_MAP,
		.service = CRASH_SERVICE,
		.signer = b->s->signer };
	struct err e = ERR_INIT;

	if (ledger_open(&conf, &b->l, &e) == -1)
		script_fail("%s", e.msg);
}

static void
mark_standing(struct call *c, enum ledger_standing is)
{
	const struct mark m = { .what = MARK_STANDING,
		.op = c->op,
		.id = c->site + 1,
		.state = is };

	script_mark(&m);
}

static void
greeted(void *x, const struct err *e)
{
	const struct ledger_hello *h = x;
	struct call *c = h->user;

	script_done(c->b->s, e);
	if (h->suspended != (h->service_seq != 0))
		script_fail("site %s: %s", h->site,
		    h->suspended ? "suspended" : "not suspended");
	mark_standing(c, h->suspended ? LEDGER_SUSPENDED : LEDGER_SOUND);
	book_called(c);
}

/* seq: of the last batch it holds; 0: it knows nobody. */
static void
hello(struct book *b, unsigned site, uint64_t seq)
{
	struct call *c = book_call(b, NULL);

	c->site = site;
	c->hello = (struct ledger_hello){
		.site = book_sites[site], .service_seq = seq, .user = c
	};
	memset(c->hello.epoch, (int)site + 1, sizeof(c->hello.epoch));
	if (seq != 0)
		memcpy(c->hello.service_epoch, ledger_epoch(b->l),
		    sizeof(c->hello.service_epoch));
	c->op = script_begin(b->s);
	ledger_hello(b->l, &c->hello, greeted, b->s->here);
}

void
book_greet(struct book *b)
{
	for (unsigned site = 0; site < BOOK_SITES; site++)
		hello(b, site, 0);
	script_wait(b->s);
}

bool
book_reopen(struct book *b)
{
	script_begin(b->s);
	ledger_close(b->l);
	book_open(b);
	b->s->waiting--;
	book_greet(b);
	return true;
}

/* ---- the service was rolled back ------------------------------------------ */

static void
recovering(void *x, const struct err *e)
{
	const struct ledger_recover *r = x;
	struct call *c = r->user;

	script_done(c->b->s, e);
	if (!r->known || r->was != LEDGER_SUSPENDED)
		script_fail("site %s: not suspended", r->site);
	mark_standing(c, LEDGER_RECOVERING);
	book_called(c);
}

static void
recover(struct book *b, unsigned site)
{
	struct call *c = book_call(b, NULL);

	c->site = site;
	c->recover = (struct ledger_recover){
		.site = book_sites[site], .who = "uid 1000", .user = c
	};
	c->op = script_begin(b->s);
	ledger_recover(b->l, &c->recover, recovering, b->s->here);
}

static void
learnt(void *x, const struct err *e)
{
	const struct ledger_evidence *v = x;
	struct call *c = v->user;
	struct mark *is = &c->i->is;

	script_done(c->b->s, e);
	if (v->is != (v->answered ? LEDGER_LEARNT : LEDGER_DOUBTED))
		script_fail("evidence of %llu: %d", (unsigned long long)is->seq,
		    (int)v->is);
	is->id = v->id;
	is->state = v->answered ? LEDGER_DONE : LEDGER_UNKNOWN;
	if (v->answered) {
		is->has = MARK_HAS_ANSWER | MARK_HAS_CERT;
		is->answer = digest_of(c->answer.data, c->answer.len);
		is->wrapped = digest_of(c->cert.data, c->cert.len);
	}
	book_mark(c, MARK_CASE);
	book_called(c);
}

/* An entry that the ledger forgot, with the answer that we gave or without. */
static void
testify(struct book *b, unsigned site, bool answered)
{
	struct item *i = book_new(b, site);
	struct call *c;

	if (i == NULL)
		script_fail("too many cases");
	c = book_call(b, i);
	book_header(c);
	c->evidence = (struct ledger_evidence){ .h = &c->h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.octets = buf_bytes(&i->octets),
		.once = i->is.row,
		.answered = answered,
		.proof = { .reason = "", .device = "WB-1", .serial = "03" },
		.user = c };
	if (answered) {
		c->answer = script_octets(b->s, "answer", 30, 3000);
		c->cert = script_octets(b->s, "certificate", 300, 1500);
		c->evidence.proof.code = BATCH_ANSWERED;
		c->evidence.proof.answer = buf_bytes(&c->answer);
		c->evidence.proof.cert = buf_bytes(&c->cert);
	}
	c->op = script_begin(b->s);
	ledger_evidence(b->l, &c->evidence, learnt, b->s->here);
}

static void
recovered(void *x, const struct err *e)
{
	const struct ledger_got *g = x;
	struct call *c = g->user;

	script_done(c->b->s, e);
	if (!g->recovered)
		script_fail("site %s: not recovered", g->site);
	c->b->told[c->site] = g->upto;
	mark_standing(c, LEDGER_SOUND);
	book_called(c);
}

static void
end_evidence(struct book *b, unsigned site, uint64_t upto)
{
	struct call *c = book_call(b, NULL);

	c->site = site;
	c->got = (struct ledger_got){
		.site = book_sites[site], .upto = upto, .user = c
	};
	c->op = script_begin(b->s);
	ledger_got(b->l, &c->got, recovered, b->s->here);
}

/* From the HELLO that shows it to the end of the evidence. */
bool
book_rollback(struct book *b)
{
	unsigned site = (unsigned)script_random(b->s, BOOK_SITES);
	struct ledger_site known = { .seq = 0 };
	struct err e = ERR_INIT;

	if (ledger_site(b->l, book_sites[site], &known, &e) == -1)
		script_fail("%s", e.msg);
	hello(b, site, known.seq + LOST);
	script_wait(b->s);
	recover(b, site);
	script_wait(b->s);
	testify(b, site, true);
	testify(b, site, false);
	script_wait(b->s);
	end_evidence(b, site, known.seq + LOST);
	script_wait(b->s);
	return true;
}

/* ---- what nobody knows ------------------------------------------------------ */

static void
resolved(void *x, const struct err *e)
{
	const struct ledger_resolve *r = x;
	struct call *c = r->user;

	script_done(c->b->s, e);
	if (!r->changed)
		script_fail(
		    "case %llu: not resolved", (unsigned long long)r->id);
	c->i->is.state = LEDGER_OPEN;
	book_mark(c, MARK_CASE);
	book_called(c);
}

bool
book_resolve(struct book *b)
{
	struct item *i = book_in(b, LEDGER_UNKNOWN);
	struct call *c;

	if (i == NULL)
		return false;
	c = book_call(b, i);
	c->resolve = (struct ledger_resolve){ .id = i->is.id,
		.who = "uid 1000",
		.why = "the script",
		.user = c };
	c->op = script_begin(b->s);
	ledger_resolve(b->l, &c->resolve, resolved, b->s->here);
	return true;
}
