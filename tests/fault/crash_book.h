/* What the parts of the scripted ledger share. */
#ifndef WAYBILL_TESTS_CRASH_BOOK_H
#define WAYBILL_TESTS_CRASH_BOOK_H

#include "common/service/ledger.h"
#include "tests/fault/crash_script.h"

#define BOOK_CASES 1024
#define BOOK_SITES 2

extern const char *const book_sites[BOOK_SITES];

/* A case, as the script knows it. */
struct item {
	struct mark is;
	unsigned site;
	struct buf octets, tbs;
	bool busy; /* a call of this burst is about it */
};

struct book {
	struct script *s;
	struct ledger *l;
	struct item v[BOOK_CASES];
	size_t n;
	uint64_t next[BOOK_SITES]; /* the site's own ids */
	uint64_t told[BOOK_SITES]; /* highest batch seen */
};

/* One call under way, with all that it borrows. */
struct call {
	struct book *b;
	unsigned op;
	struct item *i; /* what it is about; NULL: a site */
	unsigned site;
	struct entry_header h;
	struct buf answer, cert;
	struct facts facts;
	struct ledger_hello hello;
	struct ledger_receive receive;
	struct ledger_intend intend;
	struct ledger_settle settle;
	struct ledger_got got;
	struct ledger_recover recover;
	struct ledger_evidence evidence;
	struct ledger_resolve resolve;
};

struct call *book_call(struct book *b, struct item *i);
void book_called(struct call *c);

/* One in this state (0: in any) that nothing of this burst is about, at random;
 * NULL: there is none. */
struct item *book_in(struct book *b, enum ledger_state state);
/* A request of this site that the ledger has not seen; NULL: enough. */
struct item *book_new(struct book *b, unsigned site);
/* c->h: the header that c->i came with. */
void book_header(struct call *c);
/* This is what it is since this call. */
void book_mark(struct call *c, enum mark_what what);

/* Each begins one call, false if there is nothing to do it to. */
typedef bool (*book_start)(struct book *b);
bool book_resolve(struct book *b);
/* Nothing else may be under way with these. */
bool book_reopen(struct book *b);
bool book_rollback(struct book *b);

void book_open(struct book *b);
/* All sites say HELLO: without it nothing of theirs is decided. */
void book_greet(struct book *b);

#endif
