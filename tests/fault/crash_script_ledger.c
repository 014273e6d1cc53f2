/*
 * A service's ledger under the script: two sites send requests, some twice;
 * the service intends, has signed and settles, or refuses; sites acknowledge.
 * The calls of one burst are about different cases.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/service/ledger.h"
#include "tests/fault/crash_script.h"

#define CASES_MAX 1024
#define SITES	  2
#define BURST	  4

static const char *const sites[SITES] = { CRASH_SITE, "paris" };

struct item {
	struct mark is;
	unsigned site;
	struct buf octets, tbs;
	bool busy;
};

struct book {
	struct script *s;
	struct ledger *l;
	struct item v[CASES_MAX];
	size_t n;
	uint64_t next[SITES]; /* the site's own ids */
	uint64_t told[SITES]; /* highest batch seen */
};

/* One call under way, with all that it borrows. */
struct call {
	struct book *b;
	unsigned op;
	struct item *i;
	unsigned site;
	struct entry_header h;
	struct buf answer, cert;
	struct facts facts;
	struct ledger_hello hello;
	struct ledger_receive receive;
	struct ledger_intend intend;
	struct ledger_settle settle;
	struct ledger_got got;
};

static struct call *
call_new(struct book *b, struct item *i)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->b = b;
	if ((c->i = i) != NULL) {
		c->site = i->site;
		i->busy = true;
	}
	return c;
}

static void
call_free(struct call *c)
{
	ledger_batch_done(&c->receive.told);
	buf_done(&c->answer);
	buf_done(&c->cert);
	free(c);
}

static void
mark_case(struct call *c, enum mark_what what)
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

static struct item *
case_in(struct book *b, enum ledger_state state)
{
	size_t at = script_random(b->s, CASES_MAX);
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
		mark_case(c, MARK_CASE);
	}
	mark_batch(c, &r->told);
	call_free(c);
}

static void
receive_submit(struct call *c)
{
	struct item *i = c->i;

	str_copy(c->h.site, sizeof(c->h.site), sites[i->site]);
	memset(c->h.epoch, (int)i->site + 1, sizeof(c->h.epoch));
	c->h.id = i->is.seq;
	c->h.kind = ENTRY_CMP;
	c->h.digest = i->is.octets;
	c->receive = (struct ledger_receive){ .h = &c->h,
		.header = bytes_of("header", 6),
		.sig = bytes_of("sig", 3),
		.octets = buf_bytes(&i->octets),
		.once = i->is.row,
		.user = c };
	c->op = script_begin(c->b->s);
	ledger_receive(c->b->l, &c->receive, received, c->b->s->here);
}

static bool
do_receive(struct book *b)
{
	struct item *i = &b->v[b->n];

	if (b->n == CASES_MAX)
		return false;
	b->n++;
	i->site = (unsigned)script_random(b->s, SITES);
	i->octets = script_octets(b->s, "request", 40, 6000);
	i->is.seq = ++b->next[i->site];
	i->is.octets = digest_of(i->octets.data, i->octets.len);
	i->is.row = entry_once(ENTRY_CMP, buf_bytes(&i->octets));
	receive_submit(call_new(b, i));
	return true;
}

static bool
do_receive_again(struct book *b)
{
	struct item *i = case_in(b, 0);

	if (i == NULL)
		return false;
	receive_submit(call_new(b, i));
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
	mark_case(c, MARK_CASE);
	mark_case(c, MARK_SIGNED);
	call_free(c);
}

static bool
do_intend(struct book *b)
{
	struct item *i = case_in(b, LEDGER_OPEN);
	struct digest tbs;
	struct call *c;

	if (i == NULL)
		return false;
	c = call_new(b, i);
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
	mark_case(c, MARK_CASE);
	call_free(c);
}

static bool
settle_one(struct book *b, enum ledger_state from, enum batch_code code)
{
	struct item *i = case_in(b, from);
	struct call *c;

	if (i == NULL)
		return false;
	c = call_new(b, i);
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
greeted(void *x, const struct err *e)
{
	struct call *c = ((struct ledger_hello *)x)->user;

	script_done(c->b->s, e);
	call_free(c);
}

static void
hello(struct book *b, unsigned site)
{
	struct call *c = call_new(b, NULL);

	c->hello = (struct ledger_hello){ .site = sites[site], .user = c };
	memset(c->hello.epoch, (int)site + 1, sizeof(c->hello.epoch));
	c->op = script_begin(b->s);
	ledger_hello(b->l, &c->hello, greeted, b->s->here);
}

static void
acknowledged(void *x, const struct err *e)
{
	struct call *c = ((struct ledger_got *)x)->user;

	script_done(c->b->s, e);
	call_free(c);
}

static bool
do_got(struct book *b)
{
	unsigned site = (unsigned)script_random(b->s, SITES);
	struct call *c = call_new(b, NULL);

	c->got = (struct ledger_got){
		.site = sites[site], .upto = b->told[site], .user = c
	};
	c->op = script_begin(b->s);
	ledger_got(b->l, &c->got, acknowledged, b->s->here);
	return true;
}

/* ---- the run -------------------------------------------------------------- */

static const struct {
	unsigned weight;
	bool (*start)(struct book *b);
} calls[] = {
	{ 6, do_receive },
	{ 2, do_receive_again },
	{ 5, do_intend },
	{ 5, do_issue },
	{ 1, do_refuse },
	{ 1, do_got },
};

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
	calls[i].start(b);
}

static void
burst(struct book *b)
{
	uint64_t n = 1 + script_random(b->s, BURST);

	for (; n > 0 && b->s->op < b->s->ops; n--)
		start_one(b);
	script_wait(b->s);
	for (size_t i = 0; i < b->n; i++)
		b->v[i].busy = false;
}

void
script_ledger(struct script *s)
{
	struct ledger_conf conf = { .directory = s->store,
		.seal = s->seal,
		.map_size = CRASH_MAP,
		.service = CRASH_SERVICE,
		.signer = s->signer };
	struct mark opened = { .what = MARK_OPEN };
	struct book *b = xcalloc(1, sizeof(*b));
	struct err e = ERR_INIT;

	b->s = s;
	if (ledger_open(&conf, &b->l, &e) == -1)
		script_fail("%s", e.msg);
	memcpy(opened.hash.b, ledger_epoch(b->l), ENTRY_EPOCH_LEN);
	script_mark(&opened);
	for (unsigned site = 0; site < SITES; site++)
		hello(b, site);
	script_wait(s);
	while (s->op < s->ops)
		burst(b);
	ledger_close(b->l);
	for (size_t i = 0; i < b->n; i++) {
		buf_done(&b->v[i].octets);
		buf_done(&b->v[i].tbs);
	}
	free(b);
}
